"""Ranks the results of several models on one static page.

- `entry.add`: adds a finished run of core to the folder of a board, with figures computed again from its scores.
- `site.build`: writes the page of a board from its entries.
- `ranking`: ranks with intervals. `measurable`: refuses sizes and rates at which ground truth itself is not lawful.
"""

if __name__ != "physbench.leaderboard":
    raise ImportError("import physbench.leaderboard, not leaderboard: the folder is part of the package physbench")
