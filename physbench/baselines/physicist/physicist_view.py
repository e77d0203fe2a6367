"""What the physicist is given of a clip: the pixels of its context and the scene's data, and nothing of its states."""

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
    """A clip that ends at the hand-over and says of its moving bodies what stays as it is.

    These are shape, size, mass, hue, how they lie, and the plane in which they move. Where they are, how fast, and how
    they turn is NaN or nought; so is what truth knows of visibility: all is taken to be seen in full. A parameter that
    the context does not show has the middle of its range.
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
    place = np.full(3, np.nan)
    place[depth_axis(scene.camera)] = body.position[depth_axis(scene.camera)]
    return replace(body, position=_as_vector(place), velocity=(0.0, 0.0, 0.0), spin=(0.0, 0.0, 0.0))


def with_positions(clip: Clip, places: Array) -> Clip:
    """The view with its moving bodies at places (N, 3) m."""
    bodies = tuple(
        replace(body, position=_as_vector(place)) if body.role == "moving" else body
        for body, place in zip(clip.scene.bodies, places, strict=True)
    )
    return replace(clip, scene=replace(clip.scene, bodies=bodies))


def _as_vector(place: Array) -> Vector:
    x, y, z = place.tolist()
    return (x, y, z)


def plane_positions(clip: Clip, px: Array) -> Array:
    """Places (T, K, 2) m of the tracked bodies, each in the plane in which it moves, from px (T, K, 2)."""
    camera = clip.scene.camera
    axis = depth_axis(camera)
    centre = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    behind = np.array([body.position[axis] - camera.center[axis] for body in clip.tracked_bodies])
    further = 1 + (behind if camera.view == "front" else -behind) / camera.distance
    return np.asarray(centre + (plane_from_px(camera, clip.spec, px) - centre) * further[:, None])
