"""From a task to clips: what is drawn, simulated and rendered, and kept on disk.

- `task`: what a task is, its parameters, finding tasks by name, what many share; changes of a scene, with and without
  which two clips are a pair.
- `generate`: from a `Row` (task, split, seed) to parameters, scene and `Clip`. `clip`: what a clip holds. `golden`:
  hashes of states that every machine must reproduce.
- `suite`: which rows a suite holds.
- `store`: clips on disk, made where they are missing. `packed`: those of a suite in one file, for other machines.
- `export`, `conditioning`: what models elsewhere are given. `video`: frames as video files. `preview`: pictures of a
  task.
"""
