"""`baseline:memory`: continues a clip with the displacements of the nearest clip of the `train` split.

- `recorded_motion`: what is kept of a clip of the `train` split.
- `memory_model`: many of these, tracks of the context, the clip that is most like it, and the objects drawn along its
  ways.
"""
