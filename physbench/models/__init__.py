"""Makes models answer: from what the user names to an object that keeps the protocol of models.

In the order of use:

- `protocol`: the kinds of answer (frames, states, surprise), the cards by which the harness knows models, and checks
  that what was loaded keeps to them.
- `load_model`: finds the adapter of a target and loads the model. `unrecognised`: describes a target that has none.
- `networks`: the networks of what was loaded, and its untrained copy.

One module or folder for each kind of model:

- `python_code`: functions of the user's that make a model.
- `safetensors_files`: .safetensors files and `reference:NAME`. `unrecognised` looks into other checkpoints without
  running them.
- `onnx_file`, `exported_program`: .onnx and .pt2 files, both with a `graph_card`. `layouts`: checkpoints of others'
  training code, by tables of their tensors' names.
- `huggingface`: pipelines of diffusers and networks of transformers, in local folders.
- `http`: models behind a server, and the server that users copy beside their model.
- `videos`: videos made elsewhere; `videos.files` lists the formats that are accepted.

Baselines have an adapter of their own: `physbench.baselines.baseline_adapter`.
"""
