"""The built-in scorers: those of an axis count (`axes/`), those of a law or of looks explain (`diagnostics/`)."""

if __name__ != "physbench.scorers":
    raise ImportError("import physbench.scorers, not scorers: the folder is part of the package physbench")
