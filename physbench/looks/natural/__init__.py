"""The look `natural`: textured ground and walls, soft light and cast shadows around the same bodies.

- `stage`: what stands around the bodies of a scene: surfaces, materials and lights, drawn from `Scene.decor`;
  `textures` are theirs, `view_rays` says what each pixel shows of them, `starry_sky` paints what has no ground.
- `light_layers`: pictures of the stage without what moves, lit by one light each, by Mitsuba 3, and their cache;
  `mitsuba_scene` describes the stage to Mitsuba, and whole frames for comparison; `mitsuba_variant` finds out which of
  its variants works here.
- `natural_frames`: puts what moves on the layers; `light_blocking` has the closed forms of shadows, `gathered_light`
  the light that arrives from everything around a body, `mover_pixels` the pixels of bodies.
- `path_traced_frames`: whole frames by Mitsuba, on request, of scenes with planes that the layers cannot hold.
"""
