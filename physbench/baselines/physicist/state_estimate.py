"""Estimates the states at the hand-over from the tracks of a context."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.physicist.motion_fit import SUPPORT_DISTANCE, EstimatedState, fit_states
from physbench.baselines.physicist.physicist_view import plane_positions, with_positions
from physbench.baselines.physicist.rest_alignment import align_to_frame
from physbench.clips.clip import Clip
from physbench.dynamics.rolling_sliding import face
from physbench.shadowing.context_information import body_signature, open_velocities, other_states
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES
from physbench.world.engine import initial_states
from physbench.world.geometry import gap
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]

REST_EXTENT = 0.01  # diameters; the track of a body at rest extends less
MIN_LEVEL_COSINE = 0.5  # between the normal and up, for a face that carries bodies


def estimate_states(view: Clip, tracks: Tracks) -> Array:
    """Estimate the states at the hand-over.

    What the context does not show is the mean over other draws of the task.

    Args:
        view: The clip as the physicist sees it.
        tracks: Of its frames.

    Returns:
        States (N, 13): position in m, orientation, velocity in m/s, spin in rad/s.
    """
    states = initial_states(view.scene)
    positions = plane_positions(view, tracks.position)  # (T, K, 2) m
    axes = list(PLANE_AXES[view.scene.camera.view])
    velocities = {}  # (2,) m/s by index, zero where the context shows it
    for column, index in enumerate(view.tracked):
        body = view.scene.bodies[index]
        if body.role != "moving":
            continue
        since = -np.inf if body.release is None or body.release >= 0 else body.release
        known = np.flatnonzero(np.isfinite(positions[:, column, 0]))
        position, velocities[index] = np.zeros(2), np.zeros(2)
        if np.count_nonzero(tracks.times[known] >= since - 1e-9) < 2 and not (body.release or 0.0) > 0:
            position, velocities[index] = _mean_of_other_draws(view, index)
        states[index, axes] = positions[known[-1], column] if len(known) else position
    for index in velocities:
        if view.scene.bodies[index].shape == "box":  # it slides flat on its support; a pixel above it, it would tumble
            _move_onto_support(view, states, index)
    seen = with_positions(view, states[:, :3])
    known_states = fit_states(seen, tracks, velocities)
    if known_states is not None:
        for index, state in known_states.items():
            _set_plane_state(view, states, index, state)
        return states
    for column, index in enumerate(view.tracked):
        if index in velocities:
            _fit_single_body(seen, states, index, positions[:, column], tracks.times, velocities[index])
    resting = [i for i in velocities if not np.any(states[i, 7:10]) and view.scene.bodies[i].collides]
    resting.sort(key=lambda i: -float(states[i, :3] @ np.asarray(view.scene.gravity)))
    for index in resting:  # the lowest first: each block of a tower rests on those below
        _move_onto_support(view, states, index)
    align_to_frame(view, states, [i for i in resting if view.scene.bodies[i].shape != "sphere"])
    return states


def _mean_of_other_draws(view: Clip, index: int) -> tuple[Array, Array]:
    """Mean position (2,) m and velocity (2,) m/s over other draws of the task, else centre of the view and 0.

    The mean velocity is the middle of its range, and about zero where the direction is drawn too; where the prompt
    tells the motion, it is the middle of what its words mean.
    """
    axes = list(PLANE_AXES[view.scene.camera.view])
    others = other_states(view.row.task, view.row.split, body_signature(view.scene), index)
    if not len(others):
        return np.asarray(view.scene.camera.center, dtype=np.float64)[axes], np.zeros(2)
    middle = others.mean(axis=0)
    velocity = open_velocities(view, index).mean(axis=0) if view.told else middle[[7 + axis for axis in axes]]
    return middle[axes], velocity


def _set_plane_state(view: Clip, states: Array, index: int, known: EstimatedState) -> None:
    """Write a fitted state in the plane into the states (N, 13)."""
    camera, body = view.scene.camera, view.scene.bodies[index]
    axes = list(PLANE_AXES[camera.view])
    states[index, axes], states[index, [7 + axis for axis in axes]] = known.position, known.velocity
    if body.shape not in ("sphere", "cylinder"):
        return
    if camera.view == "front":  # clockwise as seen, about the axis into the picture
        states[index, 11] = known.rolling_velocity[0] / body.size[0]
    else:
        states[index, 10:12] = -known.rolling_velocity[1] / body.size[0], known.rolling_velocity[0] / body.size[0]


def _fit_single_body(view: Clip, states: Array, index: int, positions: Array, times: Array, velocity: Array) -> None:
    """Fit one body of a scene without a forward model: at rest if its track rests, else in free motion."""
    body, camera = view.scene.bodies[index], view.scene.camera
    axes = list(PLANE_AXES[camera.view])
    since = -np.inf if body.release is None or body.release >= 0 else body.release
    known = np.flatnonzero(np.isfinite(positions[:, 0]) & (times >= since - 1e-9))
    if not len(known):
        return
    points, dt = positions[known], times[known]
    if len(known) > 1 and np.ptp(points, axis=0).max() < REST_EXTENT * 2 * apparent_radius(body, camera):
        states[index, axes], velocity = points.mean(axis=0), np.zeros(2)
    elif len(known) > 1:
        carried = _supporting_face(view, states, index) is not None
        gravity = np.zeros(2) if carried else np.asarray(view.scene.gravity, dtype=np.float64)[axes]
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        position, velocity = np.linalg.lstsq(design, points - gravity * dt[:, None] ** 2 / 2, rcond=None)[0]
        states[index, axes] = position
    states[index, [7 + axis for axis in axes]] = velocity


def _move_onto_support(view: Clip, states: Array, index: int) -> None:
    """Move a body onto the face that carries it, if there is one."""
    found = _supporting_face(view, states, index)
    if found is not None:
        normal, distance = found
        states[index, :3] -= distance * normal


def _supporting_face(view: Clip, states: Array, index: int) -> tuple[Array, float] | None:
    """Normal (3,) of the most level face that carries a body, and the gap in m between both; None if it is free."""
    scene = view.scene
    body, position = scene.bodies[index], states[index, :3]
    gravity = np.asarray(scene.gravity, dtype=np.float64)
    if not np.any(gravity) or not body.collides:
        return None
    up = -gravity / np.linalg.norm(gravity)
    near = SUPPORT_DISTANCE * 2 * apparent_radius(body, scene.camera)
    best: tuple[float, Array, float] | None = None
    for i, other in enumerate(scene.bodies):
        present = other.collides and (other.until is None or other.until > 0) and np.isfinite(states[i, :3]).all()
        if i == index or not present:
            continue
        distance = float(gap(body, position, other, states[i, :3]))
        normal = face(replace(other, position=tuple(states[i, :3].tolist())), position)
        if (
            abs(distance) < near
            and normal is not None
            and normal @ up > MIN_LEVEL_COSINE
            and (best is None or normal @ up > best[0])
        ):
            best = float(normal @ up), normal, distance
    return None if best is None else best[1:]
