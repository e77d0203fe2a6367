"""The built-in tasks, one class per task; found by the entry points `physbench.tasks`.

- `falling`: free fall and bounces, rolling and sliding on a ramp, towers of blocks, a block that sticks out.
- `rolling`: of the family falling, too: a box that slides and stops, a ball off a table.
- `swinging`: of the family falling, too: a ball on a rod, one on a spring, and two on one in flight.
- `collisions`: two balls, a ball and walls, a row of balls, a row of blocks, balls on a table with cushions.
- `occlusion`: a ball behind a screen, two balls or a wall behind one, a bounce behind one, a plate that moves, two
  covers that rise, a light that goes out.
- `orbits`: a planet and a fixed star, two bodies around each other, a fly-by.
- `fields`: of the family orbits, too: a spring's orbit, a force that pushes away, a gas that slows, three bodies.
- `moving_camera`: of falling, occlusion and collisions: a camera that follows, looks away or walks round.
- `chance`: a ball that falls through pins.
- `actions`: tasks in which something is pushed after the hand-over.
"""

if __name__ != "physbench.tasks":
    raise ImportError("import physbench.tasks, not tasks: the folder is part of the package physbench")
