"""Pictures of a camera that moves: each frame drawn whole, with marks that tell where the camera is.

A bare floor or a sky shows no camera. Faint squares lie just behind the plane of motion, where a camera that moves in
any way shows them by the same homography as the bodies. They are in no state of a clip, and nothing touches them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from physbench.support.arrays import Array, Image
from physbench.world.camera import (
    depth_axis,
    normal,
    pixels_per_metre,
    plane_from_world,
    px_from_plane,
    world_from_plane,
)
from physbench.world.camera_path import area_weights, homographies, in_picture, poses_at
from physbench.world.drawing import SUPERSAMPLING, TinyRenderer, downsample, paint_background, shown
from physbench.world.scene import Body, RenderSpec, Scene

MARK_GREY = 0.58  # 20 levels brighter than the background, and no hue
MARK_SPACING, MARK_JITTER = 1.0, 0.28  # m; no two are alike placed, so that no shift takes them to each other


def marks(scene: Scene, times: Array, spec: RenderSpec) -> Scene:
    """The marks that the camera of a scene sees at `times` (T,) s, as fixed bodies before that camera."""
    camera = scene.camera
    mark_half_side = 0.11  # m: 4 px at 128 px
    size = [mark_half_side] * 3
    size[depth_axis(camera)] = 0.004  # m
    mark_reach = 8  # marks on either side of the target
    reach = np.arange(-mark_reach, mark_reach + 1)
    grid = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2).astype(np.float64)
    jitter = np.random.default_rng(0).uniform(-MARK_JITTER, MARK_JITTER, grid.shape)
    flat = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64)) + grid * MARK_SPACING + jitter
    moved = homographies(camera, spec, times)[:, None]
    beyond = 4 * mark_half_side * pixels_per_metre(camera, spec)
    flat = flat[in_picture(moved, spec, px_from_plane(camera, spec, flat), beyond).any(axis=0)]
    # m from the plane of motion: behind plates and links
    places = world_from_plane(camera, flat) + 0.03 * normal(camera)
    x, y, z = size
    bodies = tuple(
        Body(f"mark {n}", "box", (x, y, z), "fixed", tuple(place.tolist()), grey=MARK_GREY, collides=False)
        for n, place in enumerate(places)
    )
    return Scene(bodies, camera)


def moving_pictures(
    scene: Scene, times: Sequence[float] | Array, states: Array, spec: RenderSpec
) -> tuple[Image, Array]:
    """Frames (T, H, W, 3) and visible areas (T, N) px of bodies drawn at `states` (T, N, 13).

    An area is that which the camera at rest would see, of what both pictures show.
    """
    count = len(scene.bodies)
    moments = np.asarray(times, dtype=np.float64)
    drawn = {i: body for i, body in enumerate(scene.bodies) if body.drawn}
    frames = np.empty((len(moments), spec.height, spec.width, 3), dtype=np.uint8)
    area = np.zeros((len(moments), count))
    back = np.linalg.inv(homographies(scene.camera, spec, moments))
    marked = marks(scene, moments, spec)
    with (
        TinyRenderer(drawn, scene.camera, spec, whole=True) as renderer,
        TinyRenderer(dict(enumerate(marked.bodies)), marked.camera, spec, whole=True) as behind,
    ):
        names = {i: renderer.numbers[i][0] for i in drawn}
        hued = [names[i] for i in drawn if scene.bodies[i].hue is not None]
        for t, (time, pose) in enumerate(zip(moments, poses_at(scene.camera, moments), strict=True)):
            for i in drawn:
                if shown(scene.bodies[i], float(time)):
                    renderer.show(i, 0, states[t, i])
                else:
                    renderer.hide(i, 0)
            renderer.look_from(pose)
            behind.look_from(pose)
            layer, squares = renderer.picture(), behind.picture()
            rgb = paint_background(layer)
            # The near side of a ball reaches behind the marks: none is seen before a body with a hue.
            seen = (squares.depth < layer.depth) & ~np.isin(layer.number, hued)
            rgb[seen] = squares.rgb[seen, :3]
            frames[t] = downsample(rgb)
            weight = area_weights(back[t], spec, SUPERSAMPLING)
            total = np.bincount(layer.number.ravel() + 1, weight.ravel(), minlength=max(names.values(), default=0) + 2)
            area[t, list(names)] = total[[name + 1 for name in names.values()]]
    return frames, area
