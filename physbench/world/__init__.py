"""Scenes as frozen data, their simulation and their pictures.

- `scene`: what a scene holds. `bodies`: balls, floors, walls and holders for it. `camera`: from metres to pixels.
- `bullet`: `World`, `simulate` and `simulate_ensemble` step a scene with PyBullet, which is imported in this package
  only, and when a `World` is made. `ballistic`: flight, without it.
- `links`: what hinges and sliders leave a body, and pictures of springs, joints and thrusters.
- `drawing`: `render` makes frames and areas of all bodies, by `renderer`, PyBullet's own before a camera. `styles/`:
  the looks by name, and the natural one.
- `geometry`: distances between the surfaces of bodies. `compiled`: functions compiled by Numba, such as
  `compiled_rods`.
"""
