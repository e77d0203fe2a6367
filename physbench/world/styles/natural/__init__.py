"""The look `natural`: textured ground and walls, soft light and cast shadows around the same bodies.

- `stage`: what stands around the bodies of a scene: surfaces, lights, holders, drawn from `Scene.decor`. `materials`:
  how surfaces look. `rays`: what each pixel shows of them.
- `mitsuba_scene`: the stage without what moves, lit by one light each, by Mitsuba 3, and their cache; on request whole
  frames, of scenes with planes that the layers cannot hold.
- `frames`: puts what moves on these. `movers`: pixels of bodies and closed forms of their shadows, `light`: light
  that arrives from everything around a body, `compiled_shadows`: most of the work. `exposure`: shutter, noise and
  what a camera that turns sees of the stage.
"""
