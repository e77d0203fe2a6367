"""Scoring a rollout: rows for everything, also for what fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.motion import error_curve
from physbench.score.protocol import AXES, Reading, Scorer, ScoreRow, scorer
from physbench.score.score_clip import find_scorers, score_clip, scorer_of
from physbench.support.errors import PhysbenchError, UsageError
from physbench.track import tracker
from physbench.track.tracks import Tracks, Visibility
from physbench.track.visibility import moving, truth_visible

Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]
TASKS = ("falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")


def a_scorer(function: Callable[..., object]) -> Scorer:
    return scorer(
        id="toy/toy", version=1, axis="drift", unit="1", better="higher", quality=lambda v: v, noise_floor="", source=""
    )(function)  # type: ignore[arg-type]


def headlines(rows: list[ScoreRow]) -> dict[str, float]:
    """Quality by axis: the mean of the headline scorers that apply."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.axis and row.quality is not None:
            found.setdefault(row.axis, []).append(row.quality)
    return {axis: float(np.mean(values)) for axis, values in found.items()}


def test_every_scorer_declares_itself_in_full() -> None:
    found = find_scorers()
    assert [each.axis for each in found if each.headline].count(None) == 0
    assert {each.axis for each in found if each.headline} == set(AXES)
    for each in found:
        assert each.doc.strip() and each.unit and each.source and each.version >= 1
        assert each.noise_floor and "tbd" not in each.noise_floor
        assert (each.quality is None) == (not each.headline)
        if each.quality:
            assert each.quality(0.0) == 0 and each.quality(1.0) == 1


def test_scorers_are_found_by_glob_and_offered_by_name() -> None:
    laws = [each.id for each in find_scorers("laws/*")]
    assert laws == sorted(laws) and {"laws/gravity", "laws/momentum"} < set(laws)
    assert all(name.startswith("laws/") for name in laws)
    assert [each.id for each in find_scorers("gravity")] == ["laws/gravity"]
    with pytest.raises(UsageError, match="permanence/intact"):
        find_scorers("permanence/intac")


@pytest.mark.parametrize("task", TASKS)
def test_truth_is_scored_deterministically(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    first, observation = score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, find_scorers())
    again, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, find_scorers())
    assert [asdict(row) for row in first] == [asdict(row) for row in again]
    assert observation is not None and len(observation.tracks.times) == 8 + clip.horizon
    assert headlines(first) == dict.fromkeys(AXES, 1.0)
    assert all(row.value is None or (type(row.value) is float and np.isfinite(row.value)) for row in first)
    assert not [row for row in first if row.status == "failed"]
    assert all(row.reason for row in first if row.status != "ok")


@pytest.mark.parametrize("task", TASKS)
def test_a_failed_rollout_has_quality_0_where_truth_has_one(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    rows, observation = score_clip(clip, Rollout(clip.id, 1, clip.future()[:0], "NaN in frame 3"), 8, find_scorers())
    assert observation is None
    assert headlines(rows) == dict.fromkeys(AXES, 0.0)
    for row in rows:
        assert row.value is None and row.status != "ok" and row.sample == 1
        assert row.status != "failed" or row.reason == "NaN in frame 3"


def test_what_does_not_apply_does_not_fail(clip_of: Clips) -> None:
    clip = clip_of("orbits/kepler-v1")  # an image of an orbit does not tell the speed
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()[:0], "time-out"), 1, find_scorers("drift/*"))
    assert (rows[0].status, rows[0].quality) == ("not applicable", None)


def test_frames_that_are_missing_at_the_end_are_absent(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()[:30]), 8, find_scorers())
    quality = headlines(rows)
    assert quality["permanence"] == pytest.approx(0.5)
    plain = {row.reading: row.value for row in rows}
    assert plain["consistency/shadowing.explained"] == pytest.approx(0.5)
    assert 0.3 < quality["consistency"] < 0.5  # the first half holds the fall, in which little is decided
    assert 0.25 < quality["drift"] < (31 / 60 + 1 / 3) / 2  # accuracy, and one quarter of three
    none, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()[:0]), 8, find_scorers())
    assert max(headlines(none).values()) < 0.02


def test_a_scorer_that_breaks_is_a_failed_row(clip_of: Clips) -> None:
    def broken(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading:
        raise ZeroDivisionError("of toys")

    def endless(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
        return {"": Reading(float("nan")), "more": Reading(2.0, unit="m")}

    clip = clip_of("falling/projectile-v1")
    whole = Rollout(clip.id, 0, clip.future())
    (row,), _ = score_clip(clip, whole, 8, [a_scorer(broken)])
    assert (row.status, row.quality) == ("failed", 0.0) and row.reason.endswith(" (broken): of toys")
    assert row.reason.startswith("toy/toy raised ZeroDivisionError in line ")
    (row,), _ = score_clip(clip, whole, 8, [a_scorer(lambda clip, rollout, tracks: 5)])
    assert (row.status, row.reason) == ("failed", "toy/toy gave 5, which is no Reading")
    strange = replace(a_scorer(lambda clip, rollout, tracks: Reading(2.0)), quality=lambda value: [][0])
    (row,), _ = score_clip(clip, whole, 8, [strange])
    assert (row.status, row.quality, row.value) == ("failed", 0.0, None) and "IndexError in its quality" in row.reason
    rows, _ = score_clip(clip, whole, 8, [a_scorer(endless)])
    assert [(r.reading, r.status, r.value, r.unit) for r in rows] == [
        ("toy/toy", "failed", None, "1"),
        ("toy/toy.more", "ok", 2.0, "m"),
    ]


def test_a_declaration_that_means_nothing_is_refused() -> None:
    for wrong in ({"better": "low"}, {"axis": "stability"}):
        words = {"id": "toy/toy", "version": 1, "axis": None, "unit": "1", "better": "lower", "quality": None} | wrong
        with pytest.raises(ValueError, match=r"toy/toy: .*expected one of"):
            scorer(**words, noise_floor="", source="")  # type: ignore[arg-type]


def test_full_memory_is_not_held_against_the_model(clip_of: Clips) -> None:
    def hungry(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading:
        raise MemoryError

    clip = clip_of("falling/projectile-v1")
    with pytest.raises(MemoryError):
        score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, [a_scorer(hungry)])


def test_frames_of_another_size_fail_with_a_reason(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    rows, observation = score_clip(clip, Rollout(clip.id, 0, np.zeros((60, 32, 32, 3), np.uint8)), 8, find_scorers())
    assert observation is None and not [row for row in rows if row.status == "ok"]
    assert headlines(rows) == dict.fromkeys(AXES, 0.0)
    assert all(row.reason.startswith("tracking: ValueError: ") for row in rows if row.status == "failed")
    other, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()[:0], "time-out"), 8, find_scorers())
    assert [(row.reading, row.status) for row in rows] == [(row.reading, row.status) for row in other]


def test_a_tracker_that_always_breaks_loses_no_scorer(clip_of: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Tracks:
        raise RuntimeError("of toys")

    monkeypatch.setattr(tracker, "track", broken)
    clip = clip_of("falling/projectile-v1")
    rows, observation = score_clip(clip, Rollout(clip.id, 0, clip.future()[::-1]), 8, find_scorers())
    reading = [each.id for each in find_scorers() if each.reads("falling")]
    assert observation is None and [row.reading for row in rows] == reading
    assert {(row.status, row.reason) for row in rows} == {("failed", "tracking: RuntimeError: of toys")}


def test_errors_are_distances_in_diameters(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("collisions/head-on-v1")
    px = clip.px_positions()[clip.window(8)]
    diameter = 2 * clip.tracked_bodies[0].radius * clip.pixels_per_metre
    px[:, 0, 0] += 0.5 * diameter
    tracks = ideal(clip, px=px, seen=np.ones(px.shape[:2], bool))
    state, position = tracks.state.copy(), tracks.position.copy()
    state[18, 0], position[18, 0] = Visibility.ABSENT, np.nan
    position[20, 0] = np.nan
    error = error_curve(clip, replace(tracks, state=state, position=position))
    assert error.shape == (60, 2)
    expected = truth_visible(clip, 8)[8:]
    assert np.isnan(error[~expected]).all() and moving(clip).all()
    assert error[10, 0] == np.inf and np.isnan(error[12, 0])
    usual = np.delete(np.arange(60), [10, 12])
    usual = usual[expected[usual, 0]]
    np.testing.assert_allclose(error[usual, 0], 0.5, atol=0.03)
    assert np.nanmax(error[:, 1]) < 0.02


def test_a_list_of_scorers_older_than_the_code_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the code was replaced and not installed again: its entry points lack the scorer."""
    monkeypatch.setattr("physbench.score.score_clip.builtin_scorers", lambda: ())
    scorer_of.cache_clear()
    try:
        with pytest.raises(PhysbenchError, match="Install physbench again"):
            scorer_of("early-sign")
    finally:
        scorer_of.cache_clear()
