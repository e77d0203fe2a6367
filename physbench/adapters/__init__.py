"""Makes models answer: from what the user names to an object that keeps the protocol of models.

In the order of use:

- `model_protocol`: FrameModel, PrivilegedModel, RecordedModel and their ModelCard, which the harness knows models by.
- `load_model`: finds the adapter of a target and loads the model; `unrecognised` describes a target that has none.
- `model_contract`: checks that what was loaded keeps the protocol.

One module, or group of modules, for each kind of model:

- `python_code`: functions of the user's that make a model; `factory_arguments` converts --model-arg for them.
- `checkpoints`: .safetensors files and `reference:NAME`; `tensor_file` reads them. `pickle_scan` looks into other
  checkpoints without running their code, for messages.
- `videos`: videos made elsewhere. `videos_source` opens a folder or an archive, `videos_containers` lists the video
  formats that are accepted, `videos_listing` matches files with clips, `videos_decode` reads frames, `videos_time` and
  `videos_fit` resample them in time and in space, `videos_model` plays them back, and `videos_check` reports problems.
- `diffusers_adapter`: pipelines of diffusers in local folders. `pipeline_folder` reads a folder, `pipeline_quirks` is a
  table of classes, `pipeline_plan` decides how one is called, `pipeline_load` loads it, `pipeline_call` rolls it out,
  and `pipeline_words` says what it does.

Baselines have an adapter of their own: `physbench.baselines.baseline_adapter`.
"""
