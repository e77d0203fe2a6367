"""Motion of bodies, but for one law without PyBullet. Laws depend on scenes only.

Laws of one body between contacts, in closed form:
    `closed_form` (which law a body of a clip follows; ramps), `kepler` (orbits, from states or elements), `impacts`.
Laws of whole scenes, for many candidates at once:
    `scene_law` (the protocol, which law a scene gets; interventions, trajectories, combinations), `support_check`
    (scenes that no law moves, and why); compiled: `point_distances` (residuals of a fit).
    Planar scenes: `planar_law`, `planar_scene`; compiled: `event_loop` (from event to event), `planar_motion`
    (accelerations, pieces of motion, when discs touch, and what a contact does).
    Central fields, fields of any power, springs, drag: `field_law`; compiled: `kepler`, `field_motion`.
    Bodies on rods, which may hit each other, and chains of rods: `pendulum_law`; compiled: `pendulum_motion`.
    Driven bodies and what they hit: `drive_law`; compiled: `drive_motion`.
    All that no other law covers: `bullet_law`, which simulates it again with PyBullet.
    `physbench.world.compiled` compiles functions with Numba and keeps them on disk; `kernels` lists those that
    Python calls.
Altered worlds, whose laws differ from those of the scene from the hand-over on: `changes`.
"""
