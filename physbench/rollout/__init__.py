"""Rolls models out over clips, in a process of their own. Nothing that a model does ends the run.

In the order of the data:

- `batches`: which clips share a batch, how many a model can take, and a batch on its way.
- `engine`: sends jobs, collects results, and replaces a process that hangs or dies. It also does so on several devices.
  `in_process` does the same for a model that lives in the caller's process.
- `model_process` starts and ends the process, `messages` are what is sent both ways, `server` runs in it.
- `predict`: asks the model for frames, states or surprise. `device`: devices, memory, compiled networks;
  frames to and from the device, checked, rounded. `states`: what models of states are given.
- `store`: one continuation of a clip, and where it lies, between processes too.
- `check_model`: `physbench models check`. `export_model`: as a graph.
"""
