"""One evaluation of one model: planned, executed, interrupted, resumed and finished.

- `options`, `manifest`, `state`: what was asked for, what decides the run, what of it is done or damaged.
- `evaluate`: the order of the work. `stages`: each stage in its folder, also alone. `shards`: parts of a run, joined.
- `pipeline`: clips, rollouts and scores at the same time, in the processes of `worker`, through `jobs` and `preload`.
- `rollouts` (with model and clips), `references`: what goes through it. `progress`, `finalize`: what it shows, its
  end.
- `ray_cluster`, `remote_run`: on other machines.
- `interruption`: Ctrl-C, a full disk, a dead worker; peak memory. `versions`: code and libraries that decide scores.
"""
