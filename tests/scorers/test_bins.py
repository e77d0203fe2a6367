"""Bins in which samples end: total variation and CRPS against what the context allows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from handmade import tracks_at, true_places

from physbench.clips.clip import Clip
from physbench.score.predictability import MEMBERS
from physbench.score.protocol import Reading
from physbench.scorers.diagnostics.bins import DRAWS, expected_variation, of_samples, possible_ends
from physbench.track.tracks import Tracks

TASK = "chance/galton-v1"


def value(readings: dict[str, Reading], key: str = "") -> float:
    found = readings[key].value
    assert found is not None
    return found


def ending(clip: Clip, x: float) -> Tracks:
    """Tracks of the true way whose last place is x m to the right; NaN: none in the last half second."""
    places = true_places(clip)
    places[-8:, 0, 0] = x
    return tracks_at(clip, places)


def test_right_samples_read_their_sampling_error_and_a_sure_model_reads_far_more(
    clip_of: Callable[..., Clip],
) -> None:
    clip = clip_of(TASK)
    ends = possible_ends(clip, 8)
    assert len(ends) == DRAWS * MEMBERS and len(set(np.searchsorted(clip.scene.bins, ends))) > 1
    draw = np.random.default_rng(0)
    right = [of_samples(clip, 8, [ending(clip, x) for x in draw.choice(ends, 8)]) for _ in range(20)]
    variation = np.mean([value(each) for each in right])
    assert variation == pytest.approx(value(right[0], "open"), abs=0.05)
    assert np.mean([value(each, "place") for each in right]) == pytest.approx(value(right[0], "place-open"), abs=0.1)
    shares = np.bincount(np.searchsorted(clip.scene.bins, ends), minlength=len(clip.scene.bins) + 1) / len(ends)
    rarest = min((k for k in range(len(shares)) if shares[k]), key=lambda k: shares[k])
    sure = of_samples(clip, 8, [ending(clip, ends[np.searchsorted(clip.scene.bins, ends) == rarest][0])] * 8)
    assert value(sure) == pytest.approx(1 - shares[rarest]) and value(sure) > variation
    assert value(sure, "place") > value(sure, "place-open")


def test_samples_that_fail_or_end_nowhere_are_in_no_bin(clip_of: Callable[..., Clip]) -> None:
    clip = clip_of(TASK)
    readings = of_samples(clip, 8, [None, ending(clip, np.nan)])
    assert value(readings) == pytest.approx(1.0) and value(readings, "place") > 3


def test_it_needs_bins_and_samples(clip_of: Callable[..., Clip]) -> None:
    other = clip_of("falling/projectile-v1")
    assert of_samples(other, 8, [tracks_at(other, true_places(other))] * 2)[""].status == "not applicable"
    clip = clip_of(TASK)
    assert of_samples(clip, 8, [ending(clip, 0.0)])[""].status == "not applicable"


def test_the_expected_variation_is_that_of_draws() -> None:
    shares, draw = np.array([0.5, 0.3, 0.2, 0.0]), np.random.default_rng(0)
    drawn = draw.multinomial(6, shares, 20_000) / 6
    assert expected_variation(shares, 6) == pytest.approx(np.abs(drawn - shares).sum(axis=1).mean() / 2, abs=0.003)
