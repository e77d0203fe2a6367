"""Distances of tracked bodies from everything solid in a scene."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.free_segments import BodyMotion
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES
from physbench.world.geometry import gap, rotate
from physbench.world.scene import Body

MAX_TURN = 0.05  # sine of the angle by which an axis of a body may turn while its orientation counts as known

Array = NDArray[np.float64]


def gaps(
    clip: Clip,
    tracks: Tracks,
    bodies: tuple[BodyMotion, ...],
    motion: BodyMotion,
    *,
    shift: float = 0.0,
    turned: Literal["inner", "outer"] = "inner",
) -> Array:
    """Distance in m of a tracked body from each other solid one over the window (J, T); negative: overlap.

    NaN where one of them is not known or gone. shift: m by which the body is moved along the scene's gravity. The
    orientation of a body is not seen: one that turns in ground truth, and is no ball, counts as the largest disc inside
    it ("inner": the distance is at least this large) or the smallest one around it ("outer": at most).
    """
    scene = clip.scene
    body = scene.bodies[motion.index]
    if not body.collides:
        return np.full((0, len(tracks.times)), np.nan)
    by_index = {other.index: other for other in bodies}
    pull = np.asarray(scene.gravity, dtype=np.float64)
    own = _path(clip, tracks, motion.index, motion) + shift * pull / max(float(np.linalg.norm(pull)), 1e-12)
    shape = _shape(clip, tracks, motion.index, turned)
    found = []
    for index, other in enumerate(scene.bodies):
        if index == motion.index or not other.collides:
            continue
        path = _path(clip, tracks, index, by_index.get(index))
        found.append(gap(shape, own, _shape(clip, tracks, index, turned), path))
    return np.stack(found) if found else np.full((0, len(tracks.times)), np.nan)


def _path(clip: Clip, tracks: Tracks, index: int, motion: BodyMotion | None) -> Array:
    """Centre of a body over the window (T, 3) m: tracked if it moves by itself, else true."""
    body = clip.scene.bodies[index]
    path = clip.states[clip.window(tracks.context), index, :3].copy()
    if motion is not None:
        path[:, list(PLANE_AXES[clip.scene.camera.view])] = motion.position
        path[: motion.start] = np.nan
    if body.until is not None:
        path[tracks.times >= body.until] = np.nan
    return path


def _shape(clip: Clip, tracks: Tracks, index: int, turned: Literal["inner", "outer"]) -> Body:
    """The body in its first orientation, or a ball in its place where it turns by more than MAX_TURN."""
    body = clip.scene.bodies[index]
    if body.shape in ("sphere", "plane"):
        return body
    turns = clip.states[clip.window(tracks.context), index, 3:7]
    turns = turns[:1] if (turns == turns[0]).all() else turns  # most bodies never turn
    axes = [np.array([0.0, 0.0, 1.0])] if body.shape == "cylinder" else list(np.eye(3))
    most = max(
        float(np.linalg.norm(np.cross(rotate(turns, axis), rotate(body.orientation, axis)), axis=-1).max())
        for axis in axes
    )
    if most < MAX_TURN:
        return body
    extents = (body.size[0], body.size[1] / 2)
    if body.shape == "box":
        first, second = PLANE_AXES[clip.scene.camera.view]
        extents = (body.size[first], body.size[second])
    return replace(body, shape="sphere", size=(min(extents) if turned == "inner" else math.hypot(*extents),))
