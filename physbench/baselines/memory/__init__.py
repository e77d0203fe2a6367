"""`baseline:memory`: continues a clip with the displacements of the nearest clip of the `train` split.

In the order of the data:

- `recorded_motion`: what is kept of a clip of the `train` split; `memory_table` makes and stores many of them.
- `context_tracks`: what is seen in the pixels of a context, through the tracker.
- `nearest_clip`: which of the clips is most like it.
- `memory_model`: draws the objects of the context along the ways of that clip.
"""
