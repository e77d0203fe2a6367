"""Ranks the results of several models on one static page.

- `admission.admit`: checks a submission or a run (`verify`) and adds it to the folder of a board (`entry.add`).
- `verify.verified`: all checks, in the order of their cost: `claim`, `check_tables`, `check_documents`, `rescoring`,
  `check_rollouts`, `fresh_rollouts`, with `table_differences`, `sent_tracks`, `skill_gaps`, `verdicts`.
- `submit`, `submission_file`, `commitment`: what a submitter sends, and which rollouts a board asks for.
- `site.build`: writes the page of a board from its entries.
- `ranking`: ranks with intervals. `measurable`: refuses sizes and rates at which ground truth itself is not lawful.
"""

if __name__ != "physbench.leaderboard":
    raise ImportError("import physbench.leaderboard, not leaderboard: the folder is part of the package physbench")
