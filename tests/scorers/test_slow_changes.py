"""Sizes and hues that change slowly cost as far as they have gone; those that a style changes at once cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.scorers.axes.permanence import HUE, OWN, SIZE, kept
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.track.visibility import whole_area

C, FALLING, COLLISION = 8, "falling/projectile-v1", "orbits/binary-v1"
Clips = Callable[..., Clip]


def true_tracks(clip: Clip) -> Tracks:
    return track(clip, C, clip.frames[clip.window(C)])


def sized(clip: Clip, length: np.ndarray) -> np.ndarray:
    """What is kept (T,) of the first body, its diameters times `length` (T,) in the predicted frames."""
    tracks = true_tracks(clip)
    area = tracks.area.copy()
    area[C:, 0] *= length**2
    return kept(clip, replace(tracks, area=area), {})[C:, 0]


def test_truth_keeps_all(clip_of: Clips) -> None:
    for task in (FALLING, COLLISION):
        assert (kept(clip_of(task), true_tracks(clip_of(task)), {}) == 1).all()


def test_a_body_that_shrinks_loses_in_proportion(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    times = clip.times[clip.handover + 1 :]
    length = 1 - 0.05 * times
    begins = np.median(np.log(length[times <= times[0] + 0.5]))  # free, as a style may draw it so
    diameter = np.sqrt(4 / np.pi * np.median(whole_area(clip, C)[:, 0]))  # px
    free = max(SIZE.free, OWN.size_error_px / diameter)
    expected = 1 - np.clip((begins - np.log(length) - free) / (SIZE.all - free), 0, 1)
    assert sized(clip, length) == pytest.approx(expected, abs=0.08)
    assert expected[-1] == 0


def test_a_body_that_breathes_loses_where_it_is_another_size(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    found = sized(clip, 1 + 0.08 * np.sin(2 * np.pi * clip.times[clip.handover + 1 :]))
    assert 0.6 < found.mean() < 0.95 and found.min() < 0.6


@pytest.mark.parametrize("length", (0.9, 1.1))
def test_a_size_that_a_style_gives_at_once_costs_nothing(clip_of: Clips, length: float) -> None:
    """Nor does it when the style ends; noise of 2 % of a diameter neither."""
    clip = clip_of(FALLING)
    some = np.full(clip.horizon, length)
    noise = 1 + np.random.default_rng(0).normal(0, 0.02, clip.horizon)
    ended = np.where(np.arange(clip.horizon) < clip.horizon // 2, some, 1.0)
    for each in (some, ended, some * noise):
        assert (sized(clip, each) == 1).all()


@pytest.mark.parametrize(("alone", "costs"), ((True, True), (False, False)))
def test_a_hue_counts_against_the_other_one(clip_of: Clips, alone: bool, costs: bool) -> None:
    clip = clip_of(COLLISION)
    tracks = true_tracks(clip)
    turned = tracks.hue.copy()
    turned[:, : 1 if alone else None] += 5 * np.maximum(tracks.times, 0)[:, None]
    found = kept(clip, replace(tracks, hue=turned), {})
    assert (found.min() < 0.95) == costs
    assert (found[:, 1] == 1).all()
    assert HUE.free < 5  # a second at this rate is seen
