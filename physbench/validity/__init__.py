"""Tests of scorers and tasks: videos with a known fault or with none, and what each reading makes of them.

- Where videos come from: `violations/` (ground truth with one thing wrong, by a stated amount),
  `lawful_alternatives` (and frames at wrong times), `gaming_baselines`; `sources` names them all, and
  `saboteur_adapter` evaluates one like a model.
- From videos to the table: `measure` (each source on each clip, kept on disk), `table`, also the published one,
  `thresholds` (the bars that are declared). `text` is what `physbench scorers check` prints.
- `task_checks/`: `physbench tasks check`.
"""
