"""Simple motions, and when they part from the true one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.shadowing.observed_motion import (
    EXTRAPOLATIONS,
    constant_acceleration,
    constant_turn,
    constant_velocity,
    distance_of_extrapolations,
)

ClipOf = Callable[..., Clip]
TIMES = np.array([0.0, 0.5, 1.0])


def test_a_circle_is_closed_after_a_turn_and_a_straight_line_is_none() -> None:
    """At 1 m/s and a turn of 90 degrees a second the radius is 2 / pi m."""
    velocity, before = np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([[0.0, -1.0], [2.0, 1.0]])
    moved = constant_turn(velocity, before, 1.0, np.array([1.0, 2.0, 4.0]))
    assert moved[:, 0] == pytest.approx(np.array([[2 / np.pi, 2 / np.pi], [0.0, 4 / np.pi], [0.0, 0.0]]))
    assert moved[:, 1] == pytest.approx(constant_velocity(velocity, before, 1.0, np.array([1.0, 2.0, 4.0]))[:, 1])


def test_what_gains_speed_falls_as_the_square_of_time() -> None:
    velocity, before = np.array([[1.0, -2.0]]), np.array([[1.0, 0.0]])
    moved = constant_acceleration(velocity, before, 0.2, TIMES)[:, 0]
    assert moved == pytest.approx(np.stack([TIMES, -2 * TIMES - 5 * TIMES**2], axis=-1))


def test_a_fall_is_decided_by_its_bounce_an_orbit_by_its_force_and_what_rolls_on_by_nothing(clip_of: ClipOf) -> None:
    for task, early, late in (
        ("falling/projectile-v1", 0.05, 2.0),
        ("orbits/kepler-v1", 0.05, 1.0),
        ("occlusion/screen-pass-v1", 0.02, 0.0),
    ):
        clip = clip_of(task)
        index = tuple(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
        frames = np.arange(clip.handover - 7, len(clip.times))
        off = distance_of_extrapolations(clip, index, frames)
        assert off.shape == (len(frames), len(index)) and not off[:8].any()
        assert (np.diff(off, axis=0) >= 0).all()  # what has been wrong stays so
        times = clip.times[frames]
        assert off[(times > 0) & (times < 0.15)].max() < early
        assert off[-1].max() > late or task.startswith("occlusion")
        if task.startswith("occlusion"):
            assert off.max() < early


def test_the_future_decides_not_how_it_is_shown(clip_of: ClipOf) -> None:
    """Extrapolations know the hand-over alone: four of them, whatever the clip."""
    clip = clip_of("falling/projectile-v1")
    frames = np.arange(clip.handover, len(clip.times))
    index = tuple(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    few = distance_of_extrapolations(clip, index, frames[::3])
    assert np.array_equal(few, distance_of_extrapolations(clip, index, frames)[::3])
    assert len(EXTRAPOLATIONS) == 4
