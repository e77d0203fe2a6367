"""Tracks of predicted states: exact places, without a camera, a renderer or a tracker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks, Visibility
from physbench.world.camera import depth_axis, px_from_world

Array = NDArray[np.float64]

MOST_OUT_OF_PLANE = 0.1  # diameters from the plane of motion; beyond it a body has no place there
FARTHEST = 100.0  # m from the middle of the window; a body beyond it is gone


def state_tracks(clip: Clip, context: int, states: Array) -> Tracks:
    """Tracks of a clip's context and of states (T, K, 13) after it; moments that are missing at the end are absent.

    Every body is seen whole, wherever it is: nothing hides it, and no border cuts it. Its place is exact, with an sd of
    0. It is unknown where the body has left its plane of motion. A body that has left for good is absent.
    """
    window = clip.window(context)
    world = clip.states[window][:, list(clip.tracked), :3].copy()
    depth = depth_axis(clip.scene.camera)
    plane = world[context:, :, depth].copy()
    world[context:] = np.nan
    world[context : context + len(states)] = states[: len(plane), :, :3]
    diameter = np.maximum(clip.diameters()[window], 1e-9)
    with np.errstate(invalid="ignore"):
        out = np.abs(world[context:, :, depth] - plane) > MOST_OUT_OF_PLANE * diameter[context:]
        there = np.abs(world - np.asarray(clip.scene.camera.center)).max(axis=-1) <= FARTHEST  # False where NaN
    world[context:, :, depth] = plane  # seen from straight ahead: depth moves nothing in the picture
    position = px_from_world(clip.scene.camera, clip.spec, world)
    known = there.copy()
    known[context:] &= ~out
    position[~known] = np.nan
    whole = clip.full_area[window][:, list(clip.tracked)].astype(np.float64)
    return Tracks(
        names=tuple(body.name for body in clip.tracked_bodies),
        times=clip.times[window],
        context=context,
        position=position,
        position_sd=np.where(known, 0.0, np.nan),
        area=np.where(there, whole, 0.0),
        hue=np.where(there, 0.0, np.nan),
        state=np.where(there, Visibility.VISIBLE, Visibility.ABSENT).astype(np.uint8),
        duplicates=np.zeros(there.shape, dtype=np.uint8),
        hallucinations=np.zeros(len(there), dtype=np.uint8),
    )
