"""What is to be explained: places of bodies over time in the plane of motion, and how well they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.due import accounted, due
from physbench.scoring.shadowing.forward import Forward
from physbench.tracks.tracks import Tracks
from physbench.world.camera import depth_axis, plane_from_px, plane_from_world
from physbench.world.outlines import apparent_radius
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CONTEXT = 0.5  # s before the hand-over that are looked at
SURE = 0.015  # diameters; a place with a larger sd tells presence only
NOISE = 0.003  # diameters, the least sd that a place is given in fits


@dataclass(frozen=True, eq=False)
class Seen:
    """Places of N bodies in T frames. Everything but time is in diameters of the body or of shape (T, N)."""

    times: Array  # (T,) s
    steps: Array  # (T,) physics steps
    place: Array  # (T, N, 2) m in the plane of motion, NaN where not known well enough
    sd: Array  # (T, N) diameters, at least NOISE
    diameter: Array  # (N,) m
    owed: Mask  # (T, N) where the body is due
    there: Mask  # (T, N) where it is present
    start: NDArray[np.intp]  # (N,) first frame in which the body moves freely
    rests: Mask  # (T, N) where ground truth rests

    @property
    def known(self) -> Mask:
        """Where there is a place (T, N)."""
        return np.isfinite(self.place[..., 0])


def from_tracks(clip: Clip, tracks: Tracks, model: Forward) -> Seen:
    """What tracks show of the moving bodies of a clip, its last context frames included."""
    camera = clip.scene.camera
    columns = [clip.tracked.index(i) if i in clip.tracked else -1 for i in model.index]
    if -1 in columns:
        raise ValueError("A body moves that no track follows.")
    plane = plane_from_px(camera, clip.spec, tracks.position - _offset(clip, tracks))
    centre = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    depth = model.depth - (camera.center[1] if camera.view == "front" else -camera.center[2])
    further = 1 + (depth if camera.view == "front" else -depth) / camera.distance
    place = centre + (plane[:, columns] - centre) * further[:, None]
    diameter = _diameters(clip, model)
    scale = clip.pixels_per_metre / further
    sd = np.nan_to_num(tracks.position_sd[:, columns], nan=np.inf) / (diameter * scale)
    place = np.where((sd <= SURE)[..., None], place, np.nan)
    return Seen(
        tracks.times,
        np.round(tracks.times * PHYSICS_HZ),
        place,
        np.maximum(np.where(np.isfinite(sd), sd, NOISE), NOISE),
        diameter,
        due(clip, tracks.context)[:, columns],
        accounted(clip, tracks)[:, columns],
        _start(clip, model, tracks.times),
        _resting(clip, model)[clip.window(tracks.context)],
    )


def _offset(clip: Clip, tracks: Tracks) -> Array:
    """Shift of the picture as a whole (2,) px: median over the predicted frames of fixed tracked bodies."""
    fixed = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed"]
    if not fixed:
        return np.zeros(2)
    away = (tracks.position - clip.px_positions()[clip.window(tracks.context)])[tracks.context :, fixed]
    away = away[np.isfinite(away[..., 0])]
    return np.median(away, axis=0) if len(away) else np.zeros(2)


def _diameters(clip: Clip, model: Forward) -> Array:
    """Apparent diameters (N,) m."""
    return np.array([2 * apparent_radius(clip.scene.bodies[i], clip.scene.camera) for i in model.index])


def _start(clip: Clip, model: Forward, times: Array) -> NDArray[np.intp]:
    """First of the frames at times (T,) s in which each body (N,) moves freely and is looked at."""
    released = [clip.scene.bodies[i].release for i in model.index]
    since = np.array([-CONTEXT if time is None else max(time, -CONTEXT) for time in released])
    return np.asarray(np.searchsorted(times, since - 1e-9))


def _resting(clip: Clip, model: Forward) -> Mask:
    """Where ground truth stands still (T, N)."""
    speed = np.linalg.norm(clip.states[:, list(model.index), 7:10], axis=-1)
    return np.asarray(speed < 0.1 * _diameters(clip, model))


def from_states(clip: Clip, times: Array, states: Array, model: Forward) -> Seen:
    """What predicted states (T, N, 13) at times (T,) s say of the moving bodies of a clip.

    A body that leaves its plane of motion by more than SURE diameters has no place there.
    """
    camera, index = clip.scene.camera, list(model.index)
    diameter = _diameters(clip, model)
    place = plane_from_world(camera, states[:, index, :3])
    off = np.abs(states[:, index, depth_axis(camera)] - model.depth) / diameter
    place = np.where((off <= SURE)[..., None], place, np.nan)
    true = np.searchsorted(clip.times, times - 1e-9).clip(0, len(clip.times) - 1)
    there = np.isfinite(place[..., 0])
    owed = np.repeat((times > 1e-9)[:, None], len(index), axis=1)
    return Seen(
        times,
        np.round(times * PHYSICS_HZ),
        place,
        np.full(there.shape, NOISE),
        diameter,
        owed,
        there,
        _start(clip, model, times),
        _resting(clip, model)[true],
    )
