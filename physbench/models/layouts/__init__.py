"""Checkpoints of others' training code, read through declared tables: our module names, their tensor names.

- `layout_adapter`: what a .pt, .ckpt or .tar file names, and its tensors, without running code from it; what the
  adapters of these files share.
- `dreamer_checkpoint`: DreamerV3 in two code bases: names of tensors. `dreamer_network`: its encoder, recurrent
  state-space model and decoder.
- `world_models_checkpoint`, `world_models_network`: VAE and MDN-RNN of "World Models".
"""
