"""A shift that all bodies share is free where nothing shows it, and only as far as a picture may tremble."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.shadowing import shadow
from physbench.track.tracker import track
from physbench.track.tracks import Tracks

CONTEXT = 8


@cache
def true(task: str) -> tuple[Clip, Tracks]:
    clip = make_clip(Row(task, "test", 0), render_spec(128, 15.0))
    return clip, track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)])


def quality(task: str, off: np.ndarray) -> float:
    """Quality of ground truth whose predicted positions are off by (T, K, 2) px."""
    clip, tracks = true(task)
    position = tracks.position.copy()
    position[CONTEXT:] += np.broadcast_to(off, position.shape)[CONTEXT:]
    found = shadow(clip, replace(tracks, position=position))
    assert found is not None
    return found.quality


@pytest.mark.parametrize("task", others_slow(("collisions/head-on-v1", "orbits/binary-v1"), 1))
def test_what_bodies_share_on_bare_ground_is_free(task: str) -> None:
    _, tracks = true(task)
    noise = np.random.default_rng(0).normal(0, 0.3, (len(tracks.times), 1, 2))
    assert quality(task, noise) > 0.97
    assert quality(task, np.array([[[1.0, -0.8]]])) > 0.95


def test_a_larger_shift_and_one_of_a_single_body_are_not() -> None:
    task = "collisions/head-on-v1"
    assert quality(task, np.array([[[3.5, 0.0]]])) < 0.9
    assert quality(task, np.array([[[1.5, 0.0], [0.0, 0.0]]])) < 0.95


def pan(task: str, px: float) -> np.ndarray:
    """A pan (T, 1, 2) by so many px/s to the left from the hand-over on."""
    _, tracks = true(task)
    return np.maximum(tracks.times, 0.0)[:, None, None] * np.array([-px, 0.0])


@pytest.mark.parametrize("task", ("collisions/head-on-v1", pytest.param("orbits/binary-v1", marks=pytest.mark.slow)))
def test_a_slow_pan_of_two_bodies_on_bare_ground_is_free(task: str) -> None:
    assert quality(task, pan(task, 0.03 * 128)) > 0.97
    assert quality(task, pan(task, 0.08 * 128)) < 0.9  # faster than a slow camera


@pytest.mark.parametrize("task", others_slow(("collisions/head-on-v1", "orbits/binary-v1"), 1))
def test_a_push_of_one_body_and_one_that_grows_are_no_pan(task: str) -> None:
    steady = pan(task, 0.03 * 128)
    assert quality(task, steady * np.array([[1.0], [0.0]])) < 0.95
    assert quality(task, steady * np.maximum(true(task)[1].times, 0.0)[:, None, None]) < 0.95


def test_what_looks_like_a_pan_of_a_lone_body_is_a_push() -> None:
    task = "falling/drop-bounce-v1"
    assert quality(task, pan(task, 0.03 * 128)) < 0.9


def test_along_a_floor_and_not_across_it() -> None:
    task = "falling/drop-bounce-v1"
    _, tracks = true(task)
    noise = np.random.default_rng(0).normal(0, 0.3, len(tracks.times))
    along, across = np.zeros((2, len(tracks.times), 1, 2))
    along[:, 0, 0] = across[:, 0, 1] = np.clip(noise, -0.9, 0.9)
    assert quality(task, along) > 0.97
    assert quality(task, 2 * across) < 0.9
