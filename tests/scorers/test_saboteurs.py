"""The scorers against ground truth, a frozen frame and sabotage of known size, through renderer and tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import saboteurs as sabotage
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.clips.suite import find_suite
from physbench.result.skill import clip_qualities, kinds, skills, task_means
from physbench.score.predictability import predictability
from physbench.score.protocol import ScoreRow
from physbench.score.score_clip import find_scorers, score_clip
from physbench.validity.gaming_baselines import GAMING_BASELINES

Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]

FALLING, COLLISIONS, OCCLUSION, ORBITS = TASKS = (
    "falling/projectile-v1",
    "collisions/head-on-v1",
    "occlusion/screen-pass-v1",
    "orbits/kepler-v1",
)
CONSISTENCY, PERMANENCE, DRIFT = HEADLINES = ("consistency/shadowing", "permanence/intact", "drift/accuracy")
CONTEXT = 8  # frames
INFORMATIVE = 0.25  # distance of truth and freeze from which a task tells something


def quality(rows: dict[str, ScoreRow], reading: str) -> float:
    value = rows[reading].quality
    assert value is not None
    return value


def mean_qualities(read: Read, clips: list[Clip], make: Callable[[Clip], np.ndarray]) -> dict[str, float]:
    tables = [read(clip, make(clip)) for clip in clips]
    return {reading: float(np.mean([quality(rows, reading) for rows in tables])) for reading in HEADLINES}


def mover(clip: Clip) -> str:
    return next(body.name for body in clip.tracked_bodies if body.role == "moving")


@pytest.mark.parametrize("task", TASKS)
def test_truth_is_right_and_a_frozen_frame_is_not(clip_of: Clips, read: Read, task: str) -> None:
    clips = [clip_of(task), clip_of(task, "ood")]
    truth = mean_qualities(read, clips, sabotage.truth)
    frozen = mean_qualities(read, clips, sabotage.freeze)
    for reading in HEADLINES:
        assert truth[reading] >= 0.95
        if truth[reading] - frozen[reading] >= INFORMATIVE:
            assert frozen[reading] <= 0.5, reading
    assert frozen[CONSISTENCY] <= 0.5


def test_half_the_gravity_is_seen_and_loses_nothing(clip_of: Clips, read: Read) -> None:
    clips = [clip_of(FALLING), clip_of(FALLING, "ood")]
    truth = mean_qualities(read, clips, sabotage.truth)
    halved = mean_qualities(read, clips, lambda clip: sabotage.gravity_times(clip, 0.5))
    assert halved[CONSISTENCY] <= truth[CONSISTENCY] - 0.3
    assert abs(halved[PERMANENCE] - truth[PERMANENCE]) <= 0.02
    for clip in clips:
        shown = read(clip, sabotage.gravity_times(clip, 0.5))["laws/gravity"].value
        assert shown == pytest.approx(9.81 / 2, abs=0.05)


def test_a_weaker_star_is_seen(clip_of: Clips, read: Read) -> None:
    clip = clip_of(ORBITS)
    rows = read(clip, sabotage.gravity_times(clip, 0.8))
    assert quality(rows, CONSISTENCY) < 0.5
    assert rows["laws/areal-velocity"].value == pytest.approx(1, abs=0.02)  # the force is still central
    assert rows["laws/areal-velocity.spread"].value < 0.1


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("change", [sabotage.removed, pytest.param(sabotage.recoloured, marks=pytest.mark.slow)])
def test_what_vanishes_or_changes_its_hue_is_missed(
    clip_of: Clips, read: Read, task: str, change: Callable[..., np.ndarray]
) -> None:
    clip = clip_of(task)
    rows = read(clip, change(clip, mover(clip), 1.0))
    assert quality(rows, PERMANENCE) <= 0.9
    assert quality(rows, CONSISTENCY) <= 0.9


def test_a_recoloured_object_is_a_hallucination(clip_of: Clips, read: Read) -> None:
    clip = clip_of(FALLING)
    rows = read(clip, sabotage.recoloured(clip, mover(clip), 1.0))
    assert rows["permanence/intact.hallucinations"].value == pytest.approx(0.75, abs=0.1)
    assert rows["appearance/hue"].value > 90


@pytest.mark.parametrize("task", TASKS)
def test_what_is_shown_in_every_third_frame_only_is_explained_in_those_only(
    clip_of: Clips, read: Read, task: str
) -> None:
    clip = clip_of(task)
    rows = read(clip, sabotage.flickering(clip))
    assert rows[f"{CONSISTENCY}.explained"].value == pytest.approx(1 / 3, abs=0.05)
    assert quality(rows, CONSISTENCY) < 1 / 3 + 0.05  # lawful time weighs little before anything is decided
    assert rows[f"{CONSISTENCY}.breaks-per-second"].value == 0  # what is seen of it is lawful
    assert quality(rows, PERMANENCE) < 0.7


@pytest.mark.parametrize("task", TASKS)
def test_half_the_speed_drifts(clip_of: Clips, read: Read, task: str) -> None:
    clip = clip_of(task)
    assert quality(read(clip, sabotage.at_speed(clip, 0.5)), DRIFT) <= 0.9


def test_an_error_that_the_context_allows_is_no_failure(
    clip_of: Clips, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(FALLING)
    frames = sabotage.at_speed(clip, 0.7)
    known = predictability(clip, CONTEXT)
    assert known.spread.max() < 1 and quality(read(clip, frames), DRIFT) < 0.9
    wide = replace(known, spread=np.full_like(known.spread, 100.0))
    monkeypatch.setattr("physbench.score.predictability.predictability", lambda *_, **__: wide)
    rows, _ = score_clip(clip, sabotage.rollout(clip, frames), CONTEXT, find_scorers(DRIFT))
    assert rows[0].quality == 1.0


def emptied(clip: Clip) -> np.ndarray:
    return GAMING_BASELINES["empty"].make(clip, CONTEXT)


@pytest.mark.parametrize(
    "make",
    others_slow([sabotage.black, pytest.param(sabotage.noise, marks=pytest.mark.slow), sabotage.one_hue, emptied], 1),
)
def test_pictures_of_nothing_have_no_skill_on_any_axis(
    clip_of: Clips, read: Read, make: Callable[[Clip], np.ndarray]
) -> None:
    clips = [clip_of(task) for task in TASKS]
    model, truth, frozen = (
        pd.DataFrame([vars(row) for clip in clips for row in read(clip, source(clip)).values()])
        for source in (make, sabotage.truth, sabotage.freeze)
    )
    qualities = clip_qualities({"model": model}, truth, frozen)
    means = task_means(qualities.means(), qualities.counts())
    found = skills(means, kinds(qualities), 0, slice(1, 3))
    assert np.isfinite(found.axis).all() and (found.axis <= 0).all()
    assert (found.axis_quality < 0.05).all()


def test_a_ball_that_stays_in_front_of_the_screen_does_not_come_back(clip_of: Clips, read: Read) -> None:
    clip = clip_of(OCCLUSION)
    truth, frozen = read(clip, sabotage.truth(clip)), read(clip, sabotage.freeze(clip))
    assert truth["permanence/intact.reemergence"].value == 1
    assert frozen["permanence/intact.reemergence"].value == 0
    assert read(clip, sabotage.black(clip))["permanence/intact.reemergence"].value == 0


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8])
def test_coming_back_late_counts_up_to_a_fifth_of_a_second(clip_of: Clips, read: Read, seconds: float) -> None:
    clip = clip_of(OCCLUSION)
    late = clip.future().copy()
    share = clip.visible_share()[clip.handover + 1 :, 0]
    hidden = int(np.argmax(share < 0.05))
    back = hidden + int(np.argmax(share[hidden:] >= 0.05))
    held = round(seconds * clip.spec.fps)
    late[back:] = clip.future()[np.maximum(np.arange(back, clip.horizon) - held, back - 1)]
    rows = read(clip, late)
    assert rows["permanence/intact.reemergence"].value == (1.0 if seconds < 0.2 else 0.0)


@pytest.mark.slow
def test_readings_agree_between_sizes_and_rates(clip_of: Clips, read: Read) -> None:
    found = []
    for size, fps in ((64, 15.0), (128, 30.0)):
        clip = clip_of(FALLING, size=size, fps=fps)
        found.append(read(clip, sabotage.gravity_times(clip, 0.5), round(fps / 2)))
    for reading in (CONSISTENCY, DRIFT):
        assert np.ptp([quality(rows, reading) for rows in found]) < 0.08, reading


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_core_is_right_throughout(clip_of: Clips, read: Read, task: str) -> None:
    """Every clip of `core`: prints the mean qualities of ground truth, the frozen frame and straight lines."""
    clips = [clip_of(task, row.split, row.seed) for row in find_suite("core", tasks=task).rows]
    truth = [read(clip, sabotage.truth(clip)) for clip in clips]
    assert min(quality(rows, reading) for rows in truth for reading in HEADLINES) >= 0.95
    frozen = mean_qualities(read, clips, sabotage.freeze)
    straight = mean_qualities(read, clips, sabotage.constant_velocity)
    for reading in HEADLINES:
        print(f"{task} {reading}: truth 1.00, freeze {frozen[reading]:.3f}, straight lines {straight[reading]:.3f}")
        assert frozen[reading] <= 0.5 or frozen[reading] > 1 - INFORMATIVE
