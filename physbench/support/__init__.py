"""Support of every package: files, processes, plug-ins, errors, progress.

- `errors`: one error tree, each error with its remedy. `printable`: texts of models and users as they are shown.
- `files`: written whole or not at all, with a hash of their content, locked, in the cache folder. `cache`: what that
  holds.
- `run_folder`: where each file of a run lies. `remote`: folders behind URLs. `fingerprint`: sources that decide a
  result.
- `plugins`: tasks, scorers, laws, models of installed packages, and of files of the user's that nothing installed.
- `processes`: workers on every core, and maps over many items. `progress`: what takes over two seconds shows it.
"""
