"""Accuracy on exact tracks, where lateness always costs, and stability on segments made by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from handmade import times_ahead, tracks_at, true_places
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.scorers.axes.drift import Stability, accuracy, quarter_shares, stability_of
from physbench.shadowing import Break, shadow
from physbench.track.tracks import Tracks
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


CONTEXT, FRAMES, DT = 5, 40, 0.1  # a horizon of 4 s
TIMES = (np.arange(CONTEXT + FRAMES) - CONTEXT + 1) * DT


def broken(disc: int, frame: int, gross: bool = False) -> Break:
    return Break(disc, frame, float(TIMES[frame]), gross, 0.1, 0.1)


def weights(breaks: list[Break], bodies: int = 1) -> NDArray[np.float64]:
    """Weights of bodies that are lawful all the time but for these breaks."""
    weight = np.ones((len(TIMES), bodies))
    for each in breaks:
        weight[each.frame :, each.body] *= 0.5 ** (4 if each.gross else 1)
    return weight


def shares(breaks: list[Break], bodies: int = 1, truth: NDArray[np.bool_] | None = None) -> tuple[float | None, ...]:
    expected = np.repeat((TIMES > 1e-9)[:, None], bodies, axis=1) if truth is None else truth
    return quarter_shares(TIMES, expected, expected, weights(breaks, bodies), breaks)


def test_a_lawful_prediction_is_stable() -> None:
    assert shares([]) == (1.0, 1.0, 1.0, 1.0)


def test_a_break_counts_in_its_own_quarter_only_and_a_gross_one_to_the_end() -> None:
    """In the middle of the second quarter: half of it is before, half counts a half or a sixteenth."""
    assert shares([broken(0, CONTEXT + 15)]) == (1.0, pytest.approx(0.75), 1.0, 1.0)
    least = 0.5**4
    assert shares([broken(0, CONTEXT + 15, gross=True)]) == (1.0, pytest.approx(0.5 + 0.5 * least), least, least)


def test_where_a_quarter_has_the_places_of_one_segment_only_the_breaks_of_the_frames_before_it_count_too() -> None:
    """At 4 frames/s a quarter of 4 s has four frames, and breaks count over eight: those of the quarter before too."""
    times = (np.arange(2 + 16) - 1) * 0.25
    expected = (times > 1e-9)[:, None]
    at = 2 + 5  # the second frame of the second quarter
    weight = np.where(np.arange(len(times)) >= at, 0.5, 1.0)[:, None]
    breaks = [Break(0, at, float(times[at]), False, 0.1, 0.1)]
    assert quarter_shares(times, expected, expected, weight, breaks) == (1.0, pytest.approx(0.625), 0.5, 1.0)


def test_a_break_at_the_join_is_no_drift() -> None:
    found = Stability((shares([broken(0, CONTEXT)]),), 4.0)
    assert found.quality == 1.0
    assert found.slope == pytest.approx(0.0)


def test_breaks_of_one_quarter_add_up_and_are_forgotten() -> None:
    found = shares([broken(0, CONTEXT + 20), broken(0, CONTEXT + 25)])  # the first opens the third quarter
    assert found == (1.0, 1.0, pytest.approx(0.75), 1.0)


def test_bodies_share_a_quarter_by_their_due_time() -> None:
    truth = np.repeat((TIMES > 1e-9)[:, None], 2, axis=1)
    truth[CONTEXT + 15 :, 1] = False  # visible for half of the second quarter, then never
    weight = np.ones((len(TIMES), 2))
    weight[:, 1] = 0.0
    found = quarter_shares(TIMES, truth, truth, weight, [])
    assert found == (0.5, pytest.approx(10 / 15), 1.0, 1.0)


def test_quarters_in_which_nothing_is_due_are_left_out() -> None:
    truth = (TIMES > 1e-9)[:, None] & (TIMES < 2.05)[:, None]
    truth[CONTEXT + 20] = True  # 0.1 s of the third quarter: too little
    found = Stability((shares([], truth=truth),), 4.0)
    assert found.shares == (1.0, 1.0, None, None)
    assert found.quality == 1.0 and found.slope is None
    assert Stability((shares([], truth=truth & (TIMES < 0.9)[:, None]),), 4.0).quality is None


def test_what_is_lawfully_away_is_stable() -> None:
    """Out of the view from 1.5 s on at one tolerance, from 1 s on at another."""
    truth = (TIMES > 1e-9)[:, None]
    weight = weights([])
    some = quarter_shares(TIMES, truth, truth & (TIMES < 1.55)[:, None], np.full_like(weight, 0.5), [])
    gone = quarter_shares(TIMES, truth, truth & (TIMES < 0.95)[:, None], weight, [])
    assert some[:2] == (0.5, 0.5) and np.isnan(some[2:]).all() and np.isnan(gone[1:]).all()
    assert Stability((some,), 4.0).quality == 0.5 and Stability((some,), 4.0).shares == (0.5, 0.5, None, None)
    assert Stability((gone,), 4.0).quality == 1.0 and Stability((gone,), 4.0).slope is None
    assert Stability((gone, some), 4.0).quality == 0.75
    lost = quarter_shares(TIMES, truth, truth, np.where(TIMES[:, None] < 0.95, 1.0, 0.0), [])  # this is not excused
    assert Stability((lost,), 4.0).quality == 0.0


def test_the_slope_is_the_loss_per_second() -> None:
    weight = np.ones((len(TIMES), 1))
    for quarter, share in enumerate((1.0, 0.9, 0.6, 0.3)):
        weight[CONTEXT + quarter * 10 : CONTEXT + (quarter + 1) * 10] = share
    found = Stability((quarter_shares(TIMES, (TIMES > 1e-9)[:, None], (TIMES > 1e-9)[:, None], weight, []),), 4.0)
    assert found.quality == pytest.approx(0.6)
    assert found.slope == pytest.approx(-0.3)


@pytest.mark.parametrize("task", ["falling/projectile-v1", "collisions/head-on-v1"])
def test_truth_is_stable_and_a_frozen_picture_is_not(
    clip_of: Callable[..., Clip], ideal: Callable[..., Tracks], task: str
) -> None:
    clip = clip_of(task)
    truth = shadow(clip, ideal(clip, 6))
    px = clip.px_positions()[clip.window(6)].copy()
    px[6:] = px[5]
    frozen = shadow(clip, ideal(clip, 6, px))
    assert truth is not None and frozen is not None
    assert stability_of(truth).quality == pytest.approx(1.0, abs=1e-6)
    quality = stability_of(frozen).quality
    assert quality is not None and quality < 0.05


@pytest.mark.parametrize("fps", [15.0, 4.0])
def test_another_lawful_future_is_stable(
    clip_of: Callable[..., Clip], ideal: Callable[..., Tracks], fps: float
) -> None:
    """A jump in velocity at the hand-over, and all that follows is lawful: it costs the join, not the drift."""
    clip = clip_of("occlusion/screen-pass-v1", fps=fps)
    px = clip.px_positions()[clip.window(6)].copy()
    step = px[1:] - px[:-1]
    px[6:] = px[5] + 0.6 * np.cumsum(step[5:], axis=0)
    slower = shadow(clip, ideal(clip, 6, px, np.ones((len(px), 1), dtype=bool)))
    assert slower is not None and slower.levels[0].breaks
    assert stability_of(slower).quality == pytest.approx(1.0, abs=0.02)
