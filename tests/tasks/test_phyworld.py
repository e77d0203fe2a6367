"""PhyWorld's scenes keep its ranges and laws, and its errors of velocity are what they are defined to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import builtin_task_ids, find_task, splits_of
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.score.score_clip import find_scorers, read_observation, score_clip
from physbench.support.arrays import Array
from physbench.tasks.phyworld import SIZES, SPEEDS, UNIT, WIDTH
from physbench.track.tracks import Tracks, state_tracks
from physbench.world.camera import plane_from_world

TASKS = ("phyworld/uniform-v1", "phyworld/collision-v1", "phyworld/parabola-v1")
SCORER = find_scorers("drift/velocity")
CONTEXT, SPEC = 3, render_spec(128, 10)  # PhyWorld's own
PUBLISHED_TRUTH = dict(zip(TASKS, (0.0099, 0.0117, 0.0210), strict=True))  # of its parser, at 256 px, by its code
# Its drawing and parser written again, 200 clips at 128 px: what they make of ground truth by the paper's definition.
PARSED_TRUTH = dict(zip(TASKS, (0.050, 0.050, 0.066), strict=True))


@cache
def clip_of(task: str, split: Split = "test", seed: int = 0) -> Clip:
    return make_clip(Row(task, split, seed), SPEC)


def units(clip: Clip) -> Array:
    """True positions (T, K, 2) from the left and lower border, units."""
    middle = plane_from_world(clip.scene.camera, np.array(clip.scene.camera.center))
    return (plane_from_world(clip.scene.camera, clip.states[:, list(clip.tracked), :3]) - middle) / UNIT + WIDTH / 2


def errors(clip: Clip, tracks: Tracks) -> dict[str, float | None]:
    rows = read_observation(Observation(clip, Rollout(clip.id, 0, clip.future()[:0]), tracks), SCORER)
    return {row.reading.removeprefix("drift/velocity").lstrip("."): row.value for row in rows}


def moved(clip: Clip, extra: tuple[float, float]) -> Tracks:
    """Exact tracks of all bodies with another velocity, units/s, from the hand-over on."""
    states = clip.states[clip.handover + 1 :][:, list(clip.tracked)].copy()
    ways = clip.times[clip.handover + 1 :, None] * np.array(extra) * UNIT
    states[:, :, 0] += ways[:, :1]
    states[:, :, 2 if clip.scene.camera.view == "front" else 1] += ways[:, 1:]
    return state_tracks(clip, CONTEXT, states)


def test_the_suite_holds_its_scenes_in_three_splits_and_no_other_suite_does() -> None:
    suite = find_suite("phyworld")
    assert suite.tasks == tuple(sorted(TASKS)) and not suite.local
    assert set(Counter((row.task, row.split) for row in suite.rows).values()) == {16}
    assert {row.split for row in suite.rows} == {"test", "gap", "ood"}
    assert not set(TASKS) & {*builtin_task_ids(full=True), *builtin_task_ids(actions=True)}
    assert all(splits_of(find_task(task))[-1] == "gap" for task in TASKS)
    first = suite.rows[0]
    assert suite.golden[first].state_hash == clip_of(first.task, first.split, first.seed).state_hash


@pytest.mark.parametrize("task", TASKS)
def test_parameters_lie_in_the_ranges_of_the_paper(task: str) -> None:
    seen: Counter[float] = Counter()
    for split in splits_of(find_task(task)):
        for seed in range(25):
            params = make_params(Row(task, split, seed))
            outside = int(params["outside"])
            seen[outside] += 1
            assert bool(outside) is (split == "ood")
            for name, value in params.items():
                if name.startswith("radius"):
                    low, high = (1.5, 2.0) if outside & SIZES else (0.7, 1.5)
                    assert low <= value <= high
                if name.startswith("speed"):
                    inside = 1.0 <= value <= 4.0
                    assert inside is not bool(outside & SPEEDS) and 0 <= value <= 6
                    if inside and split != "ood":
                        assert (2.0 < value < 3.0) is (split == "gap")
    assert set(seen) == {0, 1, 2, 3}


@pytest.mark.parametrize("task", TASKS)
def test_motion_follows_its_law(task: str) -> None:
    clip, p = clip_of(task), make_params(Row(task, "test", 0))
    at, t = units(clip), clip.times[:, None]
    ahead = clip.times >= -0.35
    start = at[clip.times <= -0.4][0]
    assert (start - [[body.radius / UNIT] for body in clip.tracked_bodies] >= -1e-9).all(), "wholly in view"
    if task == TASKS[1]:
        masses, speeds = [p[f"radius_{side}"] ** 3 for side in ("left", "right")], (p["speed_left"], -p["speed_right"])
        shared = np.dot(masses, speeds) / sum(masses)
        after = 2 * shared - np.array(speeds)  # of an elastic impact on a line
        velocity = clip.states[:, list(clip.tracked), 7] / UNIT
        np.testing.assert_allclose(velocity[clip.times < p["meeting"] - 0.01][-1], speeds, atol=1e-3)
        np.testing.assert_allclose(velocity[-1], after, atol=0.03)
        assert clip.contacts[0].time == pytest.approx(p["meeting"], abs=2e-3)
    else:
        gravity = p.get("gravity", 0.0)
        fallen = np.stack([p["speed"] * (t + 0.4), -gravity * (t + 0.4) ** 2 / 2], axis=-1)
        np.testing.assert_allclose(at[ahead] - start, fallen[ahead], atol=0.01)


@pytest.mark.parametrize("task", TASKS)
def test_truth_through_our_tracker_reads_below_its_parser(task: str) -> None:
    clip = clip_of(task)
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), CONTEXT, SCORER)
    found = {row.reading: row.value for row in rows}
    assert found["drift/velocity.code"] is not None and found["drift/velocity.code"] < PUBLISHED_TRUTH[task] / 2
    assert found["drift/velocity"] is not None and found["drift/velocity"] < PARSED_TRUTH[task] / 2
    assert found["drift/velocity.missing"] == 0


@pytest.mark.parametrize("task", TASKS)
def test_an_injected_error_reads_as_its_size(task: str) -> None:
    clip = clip_of(task)
    exact = errors(clip, moved(clip, (0.0, 0.0)))
    assert exact[""] == pytest.approx(0, abs=1e-9) and exact["code"] == pytest.approx(0, abs=1e-9)
    found = errors(clip, moved(clip, (0.3, -0.4)))
    assert found[""] == pytest.approx(0.5, abs=1e-6), "the paper's: of the vector"
    assert found["code"] == pytest.approx(0.3, abs=1e-6), "the code's: along x"


def test_errors_that_cancel_are_seen_by_the_paper_alone() -> None:
    clip = clip_of(TASKS[0])
    tracks = moved(clip, (0.0, 0.0))
    position = tracks.position.copy()
    count = len(position) - CONTEXT
    position[CONTEXT:, 0, 0] += np.arange(count) % 2 * 0.1 * UNIT * clip.pixels_per_metre  # 0.1 units to and fro
    found = errors(clip, replace(tracks, position=position))
    assert found[""] == pytest.approx(1.0, abs=1e-6)
    assert found["code"] is not None and found["code"] < 0.1


@pytest.mark.parametrize("task", TASKS)
def test_missing_balls_are_counted(task: str) -> None:
    clip = clip_of(task)
    tracks = moved(clip, (0.0, 0.0))
    position = tracks.position.copy()
    position[CONTEXT:] = np.nan
    found = errors(clip, replace(tracks, position=position))
    at = units(clip)[clip.handover + 1 :]
    radius = np.array([body.radius for body in clip.tracked_bodies])[:, None] / UNIT
    whole = at[((at >= radius) & (at <= WIDTH - radius)).all(axis=(1, 2))]
    step = np.diff(whole, axis=0) / 0.1
    assert found["missing"] == 1
    assert found[""] == pytest.approx(np.linalg.norm(step, axis=-1).mean(), abs=1e-6), (
        "it rests: the error is its speed"
    )
    if task != TASKS[1]:
        assert found["code"] == pytest.approx(abs(step[..., 0].mean()), abs=1e-6), "at rest at the border"


def test_other_tasks_are_not_read() -> None:
    clip = make_clip(Row("orbits/kepler-v1", "test", 0), render_spec(16, 10))
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), CONTEXT, SCORER)
    assert rows == []
