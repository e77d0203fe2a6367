"""Rolls models out over clips, in a process of their own. Nothing that a model does ends the run.

In the order of the data:

- `batches`: which clips share a batch, how many a model can take, and a batch on its way.
- `engine`: sends jobs, collects results, and replaces a process that hangs or dies. `in_process` does the same for a
  model that lives in the caller's process, `device_group` on several devices.
- `model_process` starts and ends the process, `messages` are what is sent both ways, `server` runs in it.
- `predict`: asks the model for frames, states or surprise. `frame_transfer`: to and from the device, checked, rounded.
  `states`: what models of states are given. `device`: devices, memory, compiled networks.
- `store`: one continuation of a clip, and where it lies, between processes too.
- `check_model`: `physbench models check`. `export_model`: as a graph.
"""
