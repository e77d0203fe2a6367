"""`baseline:physicist`: knows the laws, sees the context, and simulates the future.

In the order of the data:

- `physicist_view`: what it is given of a clip: the frames of the context and the scene, without states.
- `state_estimate`: from tracks of the context to states at the hand-over.
- `motion_fit`: fits lawful motion to the tracks; `rest_alignment` aligns bodies at rest with the last frame.
- `physicist_model`: simulates and renders from these states, as a privileged model.
"""
