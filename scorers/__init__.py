"""The built-in scorers, one file per axis or law."""

if __name__ != "physbench.scorers":
    raise ImportError("import physbench.scorers, not scorers: the folder is part of the package physbench")
