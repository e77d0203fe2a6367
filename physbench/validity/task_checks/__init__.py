"""Fitness of a task for measurement: `physbench tasks check`.

- `check_task`: all checks of one task, in order: docstring, parameters, scenes and draws, before anything is simulated;
  splits; the same clip in another process. `finding`: what a check reports.
- `physics`: no overlap, no energy from nowhere, no dependence on the time step.
- `clip_protocol`: history, view, deciding event, what objects touch can be seen.
- `task_readings`: what tracking and scoring ground truth and baselines give.
"""
