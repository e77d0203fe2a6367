"""Rolls models out over clips, in a process of their own. Nothing that a model does ends the run.

In the order of the data:

- `batch_plan`: which clips share a batch; `batch_size_probe` finds how many a model can take at once.
- `batch_jobs`: turns a batch into the job that is sent to the model's process.
- `rollout_engine`: sends jobs, collects results, and replaces a process that hangs or dies; `in_flight` holds a batch
  on its way. `in_process` does the same for a model that lives in the caller's process.
- `model_process` starts and ends the process, `messages` defines what is sent both ways, `model_server` runs in it.
- `predict`: calls the model along time, through `model_calls`, which take its time; `compiled_networks` compiles what
  these call; `frame_validation` checks its frames and rounds them, `frame_transfer` takes them from the device;
  `predict_states` does all that for a model of states, whose inputs `state_inputs` collects and `state_format`
  converts; `device` finds devices and their memory.
- `rollout`: one continuation of a clip, the result. `rollout_store` keeps it in the run folder, without loss in the
  formats of `video` and `states_file`; `answer_memory` lays it out between the processes, `drawn_states`
  draws states for people.
- `state_export`: what models of states are given, as tables, for models that run elsewhere.
- `check_model`, `side_by_side`: `physbench models check`, its tests and its picture.
"""
