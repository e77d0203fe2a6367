"""Deciding events behind one image: the chances of lawful futures, and what tracks of predictions show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from dodging import dodging_velocities, exact_events, motion_with, velocities_of_draws
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.laws.planar_law import PlanarLaw, PlanarTrajectory
from physbench.result.skill import frequency
from physbench.rollout.store import Rollout
from physbench.score.outcomes import event_chances
from physbench.score.protocol import EVENT_KINDS, Observation
from physbench.score.score_clip import score_clip
from physbench.scorers.diagnostics.events import event_frequency
from physbench.shadowing.context import MEMBERS
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.validity.lawful_alternatives import ahead, frames_of
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import PLANE_AXES

Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]
HEAD_ON, WALL, PASS = "collisions/head-on-v1", "collisions/wall-bounce-v1", "occlusion/screen-pass-v1"
DECIDED = {HEAD_ON: "meeting", WALL: "bounce", PASS: "hiding"}


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many draws for the range of velocities as for the chances, a quarter of them: each is a simulation."""
    for module in ("physbench.shadowing.context", "dodging"):
        monkeypatch.setattr(f"{module}.PRIOR_DRAWS", MEMBERS)


def behind_an_image(clip: Clip) -> Hypothesis:
    model = scene_law_of(clip)
    assert model is not None
    return Hypothesis(model, place_bodies(clip, track(clip, 1, clip.frames[clip.window(1)]), model))


def read(clip: Clip, frames: np.ndarray, context: int = 1) -> dict[str, float | None]:
    tracks = track(clip, context, np.concatenate([clip.context(context), frames]))
    found = event_frequency.read(Observation(clip, Rollout(clip.id, 0, frames), tracks))
    readings = found if isinstance(found, dict) else {"": found}
    return {key: reading.value for key, reading in readings.items()}


def pictures(clip: Clip, problem: Hypothesis, velocity: np.ndarray) -> np.ndarray:
    """Frames of the lawful future with velocities (N, 2) m/s at the hand-over, simulated by PyBullet."""
    start, axes = clip.states[clip.handover].copy(), list(PLANE_AXES[clip.scene.camera.view])
    for n, index in enumerate(problem.law.index):
        ratio = start[index, 10:] / max(float(np.linalg.norm(start[index, 7:10])), 1e-9)
        along = np.sign(velocity[n] @ start[index, 7:10][axes])
        start[index, 10:] = ratio * along * np.linalg.norm(velocity[n])  # it rolls if it rolled
        start[index, [7 + axis for axis in axes]] = velocity[n]
    return frames_of(clip, simulate_ensemble(clip.scene, 0.0, start[None], ahead(clip))[0])


@pytest.mark.slow
def test_a_ball_beside_a_screen_is_hidden_where_it_rolls_that_way(clip_of: Clips) -> None:
    """The sense of its velocity decides: Laplace's rule of succession for those of the ensemble that have it."""
    clip = clip_of(PASS)
    problem = behind_an_image(clip)
    towards = np.sign(clip.states[clip.handover, 0, 7])
    same = int((velocities_of_draws(clip, problem)[:MEMBERS, 0, 0] * towards > 0).sum())
    assert event_chances(clip, 1, problem) == {"hiding": pytest.approx((same + 1) / (MEMBERS + 2))}


def test_a_ball_meets_a_wall_as_often_as_its_way_leads_there(clip_of: Clips, few_draws: None) -> None:
    """By straight lines alone: those whose way reaches a face of a wall in time."""
    clip = clip_of(WALL, seed=0)
    problem = behind_an_image(clip)
    assert isinstance(problem.law, PlanarLaw)
    world = problem.law.world
    place, meets = problem.seen.position[0, 0], 0
    for (velocity,) in velocities_of_draws(clip, problem)[:MEMBERS]:
        reached = False
        for normal, offset, tangent, low, high in zip(
            world.normal, world.offset, world.tangent, world.low, world.high, strict=True
        ):
            towards = -(velocity @ normal)
            time = (place @ normal - offset - world.radius[0]) / towards if towards > 0 else -1.0
            along = (place + max(time, 0.0) * velocity) @ tangent
            reached |= bool(0 < time < clip.scene.horizon and low <= along <= high)
        meets += reached
    chance = event_chances(clip, 1, problem)["bounce"]
    assert abs(chance * (MEMBERS + 2) - 1 - meets) <= 2  # corners, and bounces at the very border


@pytest.mark.parametrize("task", others_slow([PASS, HEAD_ON, WALL], 1))
def test_truth_shows_its_event_and_a_dodging_future_none(clip_of: Clips, few_draws: None, task: str) -> None:
    clip, kind = clip_of(task, seed=1), DECIDED[task]
    problem = behind_an_image(clip)
    found = read(clip, clip.future())
    assert found[kind] == 1
    velocity = dodging_velocities(clip, problem, 1)
    assert exact_events(problem, motion_with(clip, problem, 1, velocity), 1) == set()
    dodged = read(clip, pictures(clip, problem, velocity))
    assert dodged[kind] == 0 and dodged[f"{kind}-chance"] == found[f"{kind}-chance"] > 0
    assert dodged[""] == pytest.approx(-sum(value for key, value in found.items() if key.endswith("-chance")))


def test_what_passes_through_a_wall_has_met_it(clip_of: Clips) -> None:
    """What follows the event is read elsewhere."""
    clip = clip_of(WALL, seed=1)
    states = clip.states[clip.handover + 1 :].copy()
    index, times = clip.tracked[0], ahead(clip)
    now = clip.states[clip.handover, index]
    states[:, index, :3] = now[:3] + times[:, None] * now[7:10]
    assert read(clip, frames_of(clip, states))["bounce"] == 1


def test_a_frozen_picture_shows_no_event(clip_of: Clips) -> None:
    clip = clip_of(WALL, seed=1)
    assert read(clip, np.repeat(clip.context(1), clip.horizon, axis=0))["bounce"] == 0


def test_a_failed_prediction_is_no_event_and_no_error(clip_of: Clips) -> None:
    clip = clip_of(WALL, seed=1)
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()[:0], failure="it broke"), 1, [event_frequency])
    assert {row.reading.split(".")[-1] for row in rows} == {event_frequency.id, "bounce", "bounce-chance"}
    assert all((row.value, row.status, row.reason) == (None, "failed", "it broke") for row in rows)


def test_a_video_is_not_asked(clip_of: Clips) -> None:
    clip = clip_of(PASS)
    assert read(clip, clip.future(), context=8) == {"": None}


@pytest.mark.parametrize("task", ["falling/stack-v1", pytest.param("orbits/kepler-v1", marks=pytest.mark.slow)])
def test_a_scene_without_events_is_not_asked(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    assert read(clip, clip.future()) == {"": None}


def lawful_sets(clips: list[Clip], sets: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """By kind, the chances (n,) of clips and what lawful draws that are not in the ensemble show, (sets, n)."""
    rng, chances, shown = np.random.default_rng(3), {}, {}
    for clip in clips:
        problem = behind_an_image(clip)
        drawn = velocities_of_draws(clip, problem)
        events = [
            exact_events(problem, motion_with(clip, problem, 1, drawn[m]), 1)
            for m in rng.integers(MEMBERS, len(drawn), sets)
        ]
        for kind, chance in event_chances(clip, 1, problem).items():
            chances.setdefault(kind, []).append(chance)
            shown.setdefault(kind, []).append([float(kind in found) for found in events])
    return {k: np.array(v) for k, v in chances.items()}, {k: np.array(v).T for k, v in shown.items()}


def assert_lawful_draws_keep_all(clips: list[Clip], sets: int, times: int = 1, unlucky: int = 0) -> None:
    """times: how often each clip is taken, with other draws; unlucky: sets that may lose."""
    chances, shown = lawful_sets(clips, sets * times)
    chances = {kind: np.tile(each, times) for kind, each in chances.items()}
    shown = {kind: each.reshape(sets, -1) for kind, each in shown.items()}
    for kind in chances:
        assert sum(frequency(chances[kind], each).lost > 0 for each in shown[kind]) <= unlucky, kind
        assert abs(shown[kind].mean() - chances[kind].mean()) < 0.15


def test_lawful_draws_lose_nothing(clip_of: Clips) -> None:
    """Few clips stand in for many."""
    assert_lawful_draws_keep_all([clip_of(PASS, seed=seed) for seed in range(4)], 20, times=6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        *("collisions/billiards-v1", "collisions/billiards-push-v1", HEAD_ON, "collisions/head-on-push-v1", WALL),
        *("falling/drop-bounce-v1", "falling/incline-v1", "falling/projectile-v1", "occlusion/screen-lift-v1", PASS),
        *("occlusion/screen-stop-v1", "occlusion/screen-swap-v1"),
    ],
)
def test_of_20_sets_of_lawful_draws_one_at_most_loses(clip_of: Clips, task: str) -> None:
    """The 32 clips of `core`. Orbits and towers have no events, as tested above.

    One set may lose: by definition a lawful one does with a probability of up to TOO_RARE, in 240 sets and more 1 in 4
    times. Of rare events that is a set without any: pushed balls meet in 6.0 of 32 clips (by 96 other draws; by the
    chances 6.6), and in none with a probability of 0.0013. Two of 20 sets would be 0.0003.
    """
    clips = [clip_of(task, split, seed) for split, count in (("test", 24), ("ood", 8)) for seed in range(count)]
    assert_lawful_draws_keep_all(clips, 20, unlucky=1)


@pytest.mark.slow
@pytest.mark.parametrize("task", DECIDED)
def test_tracks_of_rendered_lawful_draws_show_the_events_of_the_motion(clip_of: Clips, task: str) -> None:
    for seed in range(6):
        clip = clip_of(task, seed=seed)
        problem = behind_an_image(clip)
        velocity = velocities_of_draws(clip, problem)[MEMBERS + seed]
        motion = motion_with(clip, problem, 1, velocity)
        assert isinstance(motion, PlanarTrajectory)
        expected, found = exact_events(problem, motion, 1), read(clip, pictures(clip, problem, velocity))
        for kind in EVENT_KINDS:
            if kind in found:
                assert found[kind] == (kind in expected), (task, seed, kind)
