"""What the physicist is given of a clip: the frames of its context and the scene, and none of its states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.context_information import middle_scene
from physbench.world.camera import PLANE_AXES, depth_axis, plane_from_px, plane_from_world
from physbench.world.engine import initial_states
from physbench.world.scene import Body, Scene, Vector
from physbench.world.silhouettes import full_area

Array = NDArray[np.float64]


def context_view(clip: Clip, context: int) -> Clip:
    """Reduce a clip to its context, without the states of its moving bodies.

    Shape, size, mass, hue, orientation and plane of motion of these bodies stay. Their positions are NaN, velocities
    and spins zero, and all bodies count as visible in full. A parameter that the context does not reveal has the middle
    of its range.

    Args:
        clip: The clip.
        context: Number of frames up to the hand-over.

    Returns:
        A clip that ends at the hand-over.
    """
    scene = middle_scene(clip, context)
    scene = replace(scene, bodies=tuple(_without_state(body, scene) for body in scene.bodies))
    window = slice(clip.handover + 1 - context, clip.handover + 1)
    times = clip.times[window]
    states = np.repeat(initial_states(scene)[None], context, axis=0)
    area = np.zeros((context, len(scene.bodies)), dtype=np.float32)
    middle = np.asarray(scene.camera.center, dtype=np.float64)
    for i in scene.tracked:
        posed = states[:, i].copy()
        for axis in PLANE_AXES[scene.camera.view]:
            posed[:, axis] = np.where(np.isfinite(posed[:, axis]), posed[:, axis], middle[axis])
        area[:, i] = full_area(scene, i, times, posed, clip.spec)
    return replace(
        clip,
        scene=scene,
        times=times,
        frames=clip.frames[window],
        states=states,
        visible_area=area,
        full_area=area,
        contacts=(),
        state_hash="",
    )


def _without_state(body: Body, scene: Scene) -> Body:
    if body.role != "moving":
        return body
    position = np.full(3, np.nan)
    position[depth_axis(scene.camera)] = body.position[depth_axis(scene.camera)]
    return replace(body, position=_as_vector(position), velocity=(0.0, 0.0, 0.0), spin=(0.0, 0.0, 0.0))


def with_positions(clip: Clip, positions: Array) -> Clip:
    """The view with its moving bodies at positions (N, 3) in m."""
    bodies = tuple(
        replace(body, position=_as_vector(position)) if body.role == "moving" else body
        for body, position in zip(clip.scene.bodies, positions, strict=True)
    )
    return replace(clip, scene=replace(clip.scene, bodies=bodies))


def _as_vector(vector: Array) -> Vector:
    x, y, z = vector.tolist()
    return (x, y, z)


def plane_positions(clip: Clip, px: Array) -> Array:
    """Convert px (T, K, 2) of the tracked bodies to positions (T, K, 2) in m, each in its plane of motion."""
    camera = clip.scene.camera
    axis = depth_axis(camera)
    centre = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    depth = np.array([body.position[axis] - camera.center[axis] for body in clip.tracked_bodies])
    magnification = 1 + (depth if camera.view == "front" else -depth) / camera.distance
    return np.asarray(centre + (plane_from_px(camera, clip.spec, px) - centre) * magnification[:, None])
