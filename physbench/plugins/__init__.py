"""Code that physbench finds at run time: what is installed, and what the user names.

In the order of use:

- `entry_points`: tasks, scorers, adapters, architectures and baselines of installed packages, physbench included.
- `local_imports`: the files that a Python file imports from its own folder, and the hash over all of them.
- `user_files`: Python files with tasks or scorers that nothing has installed (`./my_task.py`), in all processes.
- `tracebacks`: one line on an error in such code, with the line that raised it.
"""
