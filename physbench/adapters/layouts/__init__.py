"""Checkpoints of others' training code, read through declared tables: our module names, their tensor names.

- `pickled_tensors`: what a .pt, .ckpt or .tar file names, and its tensors, without running code from it.
- `layout_adapter`: what the adapters of these files have in common.
- `dreamer_network`: encoder, recurrent state-space model and decoder of DreamerV3. `dreamer_layouts` holds the names of
  its tensors in each code base, `dreamer_sizes` reads its sizes from their shapes, `dreamer_checkpoint` is the adapter.
- `world_models_network`, `world_models_checkpoint`: VAE and MDN-RNN of "World Models".
"""
