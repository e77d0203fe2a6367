"""Skill of pixels against persistence: closed forms on true clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading
from physbench.scorers.diagnostics.appearance import persistence_skill

Clips = Callable[..., Clip]
TASK = "falling/projectile-v1"


def read(clip: Clip, frames: np.ndarray) -> Reading:
    rollout = Rollout(clip.id, 0, np.rint(frames).clip(0, 255).astype(np.uint8))
    found = persistence_skill.function(clip, rollout, None)
    assert isinstance(found, Reading)
    return found


@pytest.fixture
def clip(clip_of: Clips) -> Clip:
    return clip_of(TASK)


def still(clip: Clip) -> np.ndarray:
    return np.repeat(clip.context(1), clip.horizon, axis=0).astype(np.float64)


def test_truth_is_one_and_the_frozen_frame_zero(clip: Clip) -> None:
    assert read(clip, clip.future()).value == 1 and read(clip, still(clip)).value == 0


@pytest.mark.parametrize("share", (0.02, 0.5, 0.9))
def test_a_part_of_the_way_reads_its_closed_form(clip: Clip, share: float) -> None:
    """What is left of the difference is 1 - s of it: the reading is (1 - (1 - s)) / (1 + (1 - s)) = s / (2 - s)."""
    frames = still(clip) + share * (clip.future() - still(clip))
    assert read(clip, frames).value == pytest.approx(share / (2 - share), abs=0.01)


def test_noise_is_farther_than_the_frozen_frame(clip: Clip) -> None:
    noise = np.random.default_rng(0).uniform(0, 255, clip.future().shape)
    value = read(clip, noise).value
    assert value is not None and -1 < value < -0.5


def test_frames_that_are_missing_are_frozen_ones(clip: Clip) -> None:
    count = round(0.5 * clip.spec.fps)
    half = clip.future()[: count // 2]
    filled = np.concatenate([half, still(clip)[count // 2 :]])
    assert read(clip, half).value == read(clip, filled).value
    assert read(clip, clip.future()[:0]).value == 0
    late = clip.future().astype(np.float64)
    late[count:] = 0
    assert read(clip, late).value == 1, "what comes after the first half second is not looked at"


def test_nothing_is_read_where_ground_truth_stands_still(clip: Clip) -> None:
    unmoved = replace(clip, frames=np.repeat(clip.context(1), len(clip.frames), axis=0))
    assert read(unmoved, still(clip)).status == "not applicable"
