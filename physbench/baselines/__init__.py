"""Models without weights, which give every score a scale: `baseline:NAME`.

- `baseline_adapter`: the adapter, the table of baselines, and two of them, for frames and for states: `freeze`, the
  persistence baseline, repeats the last context frame; `oracle` answers with the true future.
- `constant_velocity`: coloured objects move on in straight lines over the background of the context. Pixels only.
- `memory`: displacements of the nearest clip of the `train` split. `recorded_motion`: what is kept of such a clip.
- `physicist`: tracks the context, fits the laws of the scene to the tracks, and simulates.
"""
