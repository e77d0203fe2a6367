"""Backgrounds and first frames against the plain formulas, bit for bit; skill of pixels against persistence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading
from physbench.scorers.diagnostics.appearance import (
    MAX_COLOUR,
    MAX_STATIC_CHANGE,
    OBJECT_REACH,
    SPAN,
    background,
    persistence_skill,
)
from physbench.track.colour import MIN_COLOUR, frame_indices

Clips = Callable[..., Clip]
Frames = NDArray[np.uint8]
SQUARE = np.ones((1, 2 * OBJECT_REACH + 1, 2 * OBJECT_REACH + 1), dtype=bool)


def coloured(frames: Frames) -> NDArray[np.bool_]:
    return np.ptp(frames, axis=-1) >= MIN_COLOUR


def changes(clip: Clip, shown: Frames) -> NDArray[np.float64]:
    """Levels (T,) by which a background changed."""
    frames = frame_indices(len(shown))
    before, shown, truth = clip.frames[clip.handover], shown[frames].astype(int), clip.future()[frames].astype(int)
    own = coloured(shown)
    own &= (own.sum(axis=(1, 2)) <= MAX_COLOUR * clip.full_area[clip.handover, list(clip.tracked)].sum())[:, None, None]
    out = binary_dilation(own | coloured(before[None]), SQUARE)
    out |= np.abs(truth - before).max(axis=-1) > MAX_STATIC_CHANGE
    off = np.abs(shown - before).sum(axis=-1) / 3
    return np.asarray(np.where(out, 0.0, off).sum(axis=(1, 2)) / (~out).sum(axis=(1, 2)))


def continuations(clip: Clip) -> dict[str, Frames]:
    """Truth and noise around it: weak noise has no colour, strong noise more than all objects."""
    rng, true = np.random.default_rng(0), clip.future().astype(int)
    noise = {f"{level} levels": true + rng.integers(-level, level + 1, true.shape) for level in (0, 3, 15, 25, 90)}
    noise["a part"] = noise["15 levels"][: len(true) // 3]
    noise["one frame"] = noise["15 levels"][:1]
    return {name: frames.clip(0, 255).astype(np.uint8) for name, frames in noise.items()}


@pytest.mark.parametrize("task", ["falling/projectile-v1", "occlusion/screen-lift-v1"])
def test_a_background_is_read_as_from_all_frames_at_once(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    for name, shown in continuations(clip).items():
        found = background.function(clip, Rollout(clip.id, 0, shown), None)
        times = (frame_indices(len(shown)) + 1) / clip.spec.fps
        expected = float(changes(clip, shown)[times >= 0.75 * times[-1]].mean())
        assert found[""].value == expected, name  # type: ignore[index]


@pytest.mark.parametrize("task", ["falling/projectile-v1", "occlusion/screen-lift-v1"])
def test_skill_is_read_as_from_floats(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    count = round(SPAN * clip.spec.fps)
    truth, frozen = clip.future()[:count].astype(np.float32), clip.context(1).astype(np.float32)
    still = float(np.sqrt(np.mean((frozen - truth) ** 2)))
    for name, shown in continuations(clip).items():
        whole = np.concatenate([shown[:count].astype(np.float32), np.repeat(frozen, count, axis=0)])[:count]
        own = float(np.sqrt(np.mean((whole - truth) ** 2)))
        found = persistence_skill.function(clip, Rollout(clip.id, 0, shown), None)
        assert found.value == (still - own) / (still + own), name  # type: ignore[union-attr]


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
