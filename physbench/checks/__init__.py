"""Whether a task is fit to be measured with: `physbench tasks check`.

- `check_task`: all checks of one task, in order; `finding`, `finding_picture`: what a check reports.
- `declaration`, `splits`: docstring, parameters, scenes and draws, before anything is simulated.
- `repeatability`: a clip is the same in another process; `physics`: no overlap, no energy from nowhere, no dependence
  on the time step; `clip_protocol`: history, view and deciding event; `visible`: what objects touch can be seen.
- `task_readings`: what tracking and scoring ground truth and baselines give.
"""
