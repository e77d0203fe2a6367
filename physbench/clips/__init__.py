"""From a task to clips: what is drawn, simulated and rendered, and kept on disk.

- `task`: what a task is, its parameters, and finding tasks by name; `task_helpers`: what many tasks share; `template`:
  files to start a task or a scorer from.
- `generate`: from a `Row` (task, split, seed) to parameters, scene and `Clip`; `clip`: what a clip holds; `golden`:
  hashes of states that every machine must reproduce.
- `suite`: which rows a suite holds; `conditioning`: what a model is given of a clip; `scene_changes`: two clips from
  one context, with and without a change.
- `store`: clips on disk, made where they are missing; `archive`: a clip as a file; `packed_clips`: those of a suite in
  one file, for machines that cannot make them.
- `export`, `export_readme`, `encode`: clips as videos with tables; `preview`, `animate`: pictures of a task.
"""
