"""Submission bundles and the ranking built from them."""

if __name__ != "physbench.leaderboard":
    raise ImportError("import physbench.leaderboard, not leaderboard: the folder is part of the package physbench")
