"""Rival motions: simple continuations that need no laws, and when they part from what truly happens.

Until a contact, a turning point or a force has told them apart, the laws predict what constant velocity, acceleration
or turn rate predict, too: a prediction that is lawful so far has shown little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.world.camera import PLANE_AXES
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]
Rival = Callable[[Array, Array, float, Array], Array]

CHANGE = 0.1  # s before the hand-over over which a velocity is seen to change
MIN_TURN = 1e-6  # rad/s; what turns more slowly goes straight on


def rest(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m of what stays where it is."""
    return np.zeros((len(times), *velocity.shape))


def constant_velocity(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m in a straight line.

    Args:
        velocity: (N, 2) m/s at time 0.
        before: (N, 2) m/s earlier.
        span: s, how much earlier.
        times: (T,) s.
    """
    return np.asarray(velocity * times[:, None, None])


def constant_acceleration(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m with the acceleration that the two velocities show; arguments as above."""
    fall = (velocity - before) / span / 2 * (times**2)[:, None, None]
    return np.asarray(constant_velocity(velocity, before, span, times) + fall)


def constant_turn(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m at constant speed on the circle that the two velocities show; arguments as above."""
    cross = before[:, 0] * velocity[:, 1] - before[:, 1] * velocity[:, 0]
    rate = np.arctan2(cross, np.sum(before * velocity, axis=-1)) / span  # (N,)
    turns = np.abs(rate) > MIN_TURN
    safe = np.where(turns, rate, 1.0)
    angle = safe * times[:, None]
    along, across = np.sin(angle) / safe, (1 - np.cos(angle)) / safe  # (T, N)
    u, v = velocity.T
    circle = np.stack([along * u - across * v, across * u + along * v], axis=-1)
    return np.where(turns[:, None], circle, constant_velocity(velocity, before, span, times))


RIVALS: tuple[Rival, ...] = (rest, constant_velocity, constant_acceleration, constant_turn)


def motion_at_handover(clip: Clip) -> tuple[Array, Array, float]:
    """Velocities (N, 2) m/s of all bodies in the plane of motion at the hand-over, those about CHANGE s before, and
    how long before in s."""
    axes = [7 + axis for axis in PLANE_AXES[clip.scene.camera.view]]
    at = max(clip.handover - max(1, round(CHANGE * clip.spec.fps)), 0)
    span = float(clip.times[clip.handover] - clip.times[at])
    # Where nothing comes before the hand-over no change is seen.
    return clip.states[clip.handover][:, axes], clip.states[at][:, axes], span if span > 0 else 1.0


def distance_of_rivals(clip: Clip, index: tuple[int, ...], frames: NDArray[np.intp]) -> Array:
    """How far the best simple motion has been off so far, in diameters (T, N); 0 up to the hand-over.

    Of each rival the largest distance from ground truth up to a frame counts: one that has been wrong stays so.

    Args:
        clip: The clip.
        index: The N bodies among those of the scene.
        frames: (T,) of the clip.
    """
    axes, bodies = list(PLANE_AXES[clip.scene.camera.view]), list(index)
    velocity, before, span = motion_at_handover(clip)
    ahead = slice(clip.handover, None)
    times, moved = clip.times[ahead], clip.states[ahead][:, :, axes] - clip.states[clip.handover][:, axes]
    diameter = np.array([2 * apparent_radius(clip.scene.bodies[i], clip.scene.camera) for i in bodies])
    off = [
        np.linalg.norm(rival(velocity[bodies], before[bodies], span, times) - moved[:, bodies], axis=-1) / diameter
        for rival in RIVALS
    ]
    least = np.maximum.accumulate(off, axis=1).min(axis=0)
    return np.asarray(least[np.maximum(frames - clip.handover, 0)])
