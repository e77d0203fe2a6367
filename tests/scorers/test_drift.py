"""Accuracy on exact tracks: time in which simple motions do as well is worth little, and lateness always costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from handmade import times_ahead, tracks_at, true_places
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.scorers.axes.drift import accuracy
from physbench.track.visibility import truth_visible
from physbench.validity.gaming_baselines import Extrapolation, accelerate, straight
from physbench.world.camera import plane_from_world

ClipOf = Callable[..., Clip]
Places = NDArray[np.float64]
WALL, PASS, STOP = "collisions/wall-bounce-v1", "occlusion/screen-pass-v1", "occlusion/screen-stop-v1"


def read(clip: Clip, places: Places) -> tuple[float, float, float]:
    """Accuracy, time to failure and predictability in s."""
    found = dict(accuracy.read(Observation(clip, Rollout(clip.id, 0, clip.future()[:0]), tracks_at(clip, places))))  # type: ignore[arg-type]
    values = [found[name].value for name in ("", "time-to-failure", "predictability")]
    assert None not in values
    return values[0], values[1], values[2]  # type: ignore[return-value]


def extrapolated(clip: Clip, how: Extrapolation) -> Places:
    states = how(clip, clip.states[clip.handover], times_ahead(clip))
    return plane_from_world(clip.scene.camera, states[:, list(clip.tracked), :3])


def test_truth_is_accurate_and_what_goes_straight_earns_next_to_nothing_up_to_the_wall(clip_of: ClipOf) -> None:
    clip = clip_of(WALL)
    assert read(clip, true_places(clip))[0] == 1.0
    for how in (straight, accelerate):
        share, failure, limit = read(clip, extrapolated(clip, how))
        assert 0 < share < 0.5 * failure / limit  # as suite version 2 had it: failure / limit


def test_where_nothing_is_decided_it_is_the_time_to_failure_over_the_predictable_one(clip_of: ClipOf) -> None:
    clip = clip_of(PASS)
    places = true_places(clip)
    places[times_ahead(clip) > 0.4, :, 1] += 2.0 * clip.diameters()[0, 0]
    share, failure, limit = read(clip, places)
    assert share == pytest.approx(failure / limit, abs=1e-6) and failure < limit


def test_a_straight_way_is_accurate_where_nothing_turns_it(clip_of: ClipOf) -> None:
    clip = clip_of(PASS)
    assert read(clip, extrapolated(clip, straight))[0] == 1.0


def test_the_earlier_it_fails_the_less_it_is_worth(clip_of: ClipOf) -> None:
    clip, found = clip_of(WALL), []
    ahead = times_ahead(clip)
    for since in (0.2, 0.6, 1.5):
        places = true_places(clip)
        places[ahead > since, :, 1] += 2.0 * clip.diameters()[0, 0]
        found.append(read(clip, places)[0])
    assert found[0] < found[1] < found[2] < 1


def test_what_has_to_stay_behind_a_screen_fails_when_it_comes_out(clip_of: ClipOf) -> None:
    clip = clip_of(STOP)
    assert read(clip, true_places(clip))[0] == 1.0
    places = extrapolated(clip, straight)
    share, failure, limit = read(clip, places)
    assert share < 0.5 and failure < limit
    hidden = ~truth_visible(clip, 8)[8:]
    gone = np.where(hidden[..., None], np.nan, places)
    assert read(clip, gone)[0] == 1.0, "out of sight it is not asked"
