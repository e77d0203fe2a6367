"""From the track of a context to the states at the hand-over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.physicist.motion_fit import EstimatedState, fit_states
from physbench.baselines.physicist.physicist_view import plane_positions, with_positions
from physbench.baselines.physicist.rest_alignment import align_to_frame
from physbench.clips.clip import Clip
from physbench.dynamics.rolling_sliding import face
from physbench.shadowing.context_information import cast, other_states
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES
from physbench.world.engine import initial_states
from physbench.world.geometry import gap
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]

REST_EXTENT = 0.01  # diameters between all places of a body that rests
NEAR = 0.12  # diameters from what carries a body
MIN_LEVEL_COSINE = 0.5  # cosine of the steepest face that carries something


def estimate_states(view: Clip, tracks: Tracks) -> Array:
    """States (N, 13) at the hand-over from the tracks of a view, and what nothing shows as other draws have it."""
    states = initial_states(view.scene)
    places = plane_positions(view, tracks.position)  # (T, K, 2) m
    axes = list(PLANE_AXES[view.scene.camera.view])
    speeds = {}  # (2,) m/s by index, 0 where the context tells it
    for column, index in enumerate(view.tracked):
        body = view.scene.bodies[index]
        if body.role != "moving":
            continue
        since = -np.inf if body.release is None or body.release >= 0 else body.release
        known = np.flatnonzero(np.isfinite(places[:, column, 0]))
        place, speeds[index] = np.zeros(2), np.zeros(2)
        if np.count_nonzero(tracks.times[known] >= since - 1e-9) < 2 and not (body.release or 0.0) > 0:
            place, speeds[index] = _mean_of_other_draws(view, index)
        states[index, axes] = places[known[-1], column] if len(known) else place
    for index in speeds:
        if view.scene.bodies[index].shape == "box":  # flat on something it slides; within a pixel of it it would tumble
            _move_onto_support(view, states, index)
    seen = with_positions(view, states[:, :3])
    known_states = fit_states(seen, tracks, speeds)
    if known_states is not None:
        for index, state in known_states.items():
            _set_plane_state(view, states, index, state)
        return states
    for column, index in enumerate(view.tracked):
        if index in speeds:
            _fit_single_body(seen, states, index, places[:, column], tracks.times, speeds[index])
    resting = [i for i in speeds if not np.any(states[i, 7:10]) and view.scene.bodies[i].collides]
    resting.sort(key=lambda i: -float(states[i, :3] @ np.asarray(view.scene.gravity)))
    for index in resting:  # the lowest first: a tower's heights are those of its blocks
        _move_onto_support(view, states, index)
    align_to_frame(view, states, [i for i in resting if view.scene.bodies[i].shape != "sphere"])
    return states


def _mean_of_other_draws(view: Clip, index: int) -> tuple[Array, Array]:
    """Mean place (2,) m and velocity (2,) m/s of other draws of the task; the middle of the view and 0 without any.

    The mean is the middle of a range, and about nought where the direction is drawn too.
    """
    axes = list(PLANE_AXES[view.scene.camera.view])
    others = other_states(view.row.task, view.row.split, cast(view.scene), index)
    if not len(others):
        return np.asarray(view.scene.camera.center, dtype=np.float64)[axes], np.zeros(2)
    middle = others.mean(axis=0)
    return middle[axes], middle[[7 + axis for axis in axes]]


def _set_plane_state(view: Clip, states: Array, index: int, known: EstimatedState) -> None:
    """Write what is known of a body in the plane into its state."""
    camera, body = view.scene.camera, view.scene.bodies[index]
    axes = list(PLANE_AXES[camera.view])
    states[index, axes], states[index, [7 + axis for axis in axes]] = known.place, known.speed
    if body.shape not in ("sphere", "cylinder"):
        return
    if camera.view == "front":  # clockwise as seen, about the axis into the picture
        states[index, 11] = known.spin[0] / body.size[0]
    else:
        states[index, 10:12] = -known.spin[1] / body.size[0], known.spin[0] / body.size[0]


def _fit_single_body(view: Clip, states: Array, index: int, places: Array, times: Array, speed: Array) -> None:
    """A body where nothing is known of how bodies meet: at rest where it rests, else in free motion."""
    body, camera = view.scene.bodies[index], view.scene.camera
    axes = list(PLANE_AXES[camera.view])
    since = -np.inf if body.release is None or body.release >= 0 else body.release
    known = np.flatnonzero(np.isfinite(places[:, 0]) & (times >= since - 1e-9))
    if not len(known):
        return
    points, dt = places[known], times[known]
    if len(known) > 1 and np.ptp(points, axis=0).max() < REST_EXTENT * 2 * apparent_radius(body, camera):
        states[index, axes], speed = points.mean(axis=0), np.zeros(2)
    elif len(known) > 1:
        carried = _supporting_face(view, states, index) is not None
        pull = np.zeros(2) if carried else np.asarray(view.scene.gravity, dtype=np.float64)[axes]
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        place, speed = np.linalg.lstsq(design, points - pull * dt[:, None] ** 2 / 2, rcond=None)[0]
        states[index, axes] = place
    states[index, [7 + axis for axis in axes]] = speed


def _move_onto_support(view: Clip, states: Array, index: int) -> None:
    """Let a body lie on what carries it, if something does."""
    found = _supporting_face(view, states, index)
    if found is not None:
        normal, apart = found
        states[index, :3] -= apart * normal


def _supporting_face(view: Clip, states: Array, index: int) -> tuple[Array, float] | None:
    """Normal (3,) of the most level face that carries a body, and the gap in m between both; None if it is free."""
    scene = view.scene
    body, place = scene.bodies[index], states[index, :3]
    pull = np.asarray(scene.gravity, dtype=np.float64)
    if not np.any(pull) or not body.collides:
        return None
    up = -pull / np.linalg.norm(pull)
    near = NEAR * 2 * apparent_radius(body, scene.camera)
    best: tuple[float, Array, float] | None = None
    for i, other in enumerate(scene.bodies):
        there = other.collides and (other.until is None or other.until > 0) and np.isfinite(states[i, :3]).all()
        if i == index or not there:
            continue
        apart = float(gap(body, place, other, states[i, :3]))
        normal = face(replace(other, position=tuple(states[i, :3].tolist())), place)
        if (
            abs(apart) < near
            and normal is not None
            and normal @ up > MIN_LEVEL_COSINE
            and (best is None or normal @ up > best[0])
        ):
            best = float(normal @ up), normal, apart
    return None if best is None else best[1:]
