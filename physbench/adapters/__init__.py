"""Makes models answer: from what the user names to an object that keeps the protocol of models.

In the order of use:

- `model_protocol`: FrameModel, StateModel, SurpriseModel, PrivilegedModel, RecordedModel and their ModelCard, which the
  harness knows models by; `state_card` is that of models that answer with states, `surprise_card` that of
  models that answer with surprise.
- `load_model`: finds the adapter of a target and loads the model; `unrecognised` describes a target that has none.
- `model_contract`: checks that what was loaded keeps the protocol.

One module, or group of modules, for each kind of model:

- `python_code`: functions of the user's that make a model; `factory_arguments` converts --model-arg for them.
- `checkpoints`: .safetensors files and `reference:NAME`; `tensor_file` reads them. `pickle_scan` looks into other
  checkpoints without running their code, for messages.
- `onnx_adapter`: .onnx files. `onnx_graph` reads and checks them, `onnx_nodes` walks through their nodes, `onnx_model`
  runs them. `exported_program` and `program_model` do the same for .pt2 files. `graph_card` holds what both agree on.
  `stepped_model` is the base class of models with `init` and `step`, which `export_graph` turns into either.
- `layouts`: checkpoints of others' training code, read through declared tables of tensor names.
- `videos`: videos made elsewhere. `videos_source` opens a folder or an archive, `videos_containers` lists the video
  formats that are accepted, `videos_listing` matches files with clips, `videos_decode` reads frames, `videos_time` and
  `videos_fit` resample them in time and in space, `videos_model` plays them back, and `videos_check` reports problems.
  Whether they begin with the one image that a model was shown: `videos_steps` measures how far the first frame of each
  is ahead of `videos_image`, `videos_start` decides from all of them, `videos_start_words` says it.
- `diffusers_adapter`: pipelines of diffusers in local folders. `pipeline_folder` reads a folder, `pipeline_quirks` is a
  table of classes, `pipeline_plan` decides how one is called, `pipeline_load` loads it, `pipeline_call` rolls it out,
  and `pipeline_words` says what it does.
- `http_adapter`: models behind a server. `http_model` asks it for frames, `http_connection` holds the connection,
  `http_protocol` reads and writes messages. `serve_model` is the server: a file that users copy beside their model and
  that imports nothing of physbench.

Baselines have an adapter of their own: `physbench.baselines.baseline_adapter`.
"""
