"""Ranks the results of several models on one static page.

- `verify`: all checks of a submission or a run, in the order of their cost, and its way onto a board: `claim`,
  `check_tables`, `rescoring`, `fresh_rollouts`.
- `submit`, `submission`, `commitment`: what a submitter sends, and which rollouts a board asks for.
- `entries`: what a board keeps. `eligibility`: what it takes. `site`: ranks with intervals, and its pages.
"""

if __name__ != "physbench.leaderboard":
    raise ImportError("import physbench.leaderboard, not leaderboard: the folder is part of the package physbench")
