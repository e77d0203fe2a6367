"""The built-in tasks, one file per family, one class per task."""

if __name__ != "physbench.tasks":
    raise ImportError("import physbench.tasks, not tasks: the folder is part of the package physbench")
