"""Lawful time where simple motions are lawful, too; errors of constants; noise that is taken off, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from handmade import tracks_at, true_places
from numpy.typing import NDArray
from shadow_scenes import problem
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.shadowing import shadow_states
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import (
    UNDECIDED,
    at_levels,
    decided,
    discriminative_weight,
    jitter,
    judge,
    quality,
    share_of_level,
    strength,
)
from physbench.shadowing.nuisances import _noise, independent_noise, local_means, with_noise, without_independent_noise
from physbench.shadowing.observed_motion import from_states
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.validity.gaming_baselines import Extrapolation, accelerate, stay, straight, turn
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import plane_from_world
from physbench.world.scene import Scene

ClipOf = Callable[..., Clip]
PROJECTILE, KEPLER, WALL, PASS, STOP = (
    "falling/projectile-v1",
    "orbits/kepler-v1",
    "collisions/wall-bounce-v1",
    "occlusion/screen-pass-v1",
    "occlusion/screen-stop-v1",
)
CONTEXT = 8


def quality_of(clip: Clip, future: np.ndarray) -> float:
    window = clip.window(CONTEXT)
    states = np.concatenate([clip.states[window][:CONTEXT], future])
    found = shadow_states(clip, clip.times[window], states)
    assert found is not None
    return found.quality


def extrapolated(clip: Clip, how: Extrapolation) -> float:
    return quality_of(clip, how(clip, clip.states[clip.handover], clip.times[clip.handover + 1 :]))


def with_constants(scene: Scene, factor: float) -> Scene:
    """Gravity, central masses and restitution times a factor; that of a pair is the product of both."""
    x, y, z = (factor * value for value in scene.gravity)
    bodies = tuple(replace(body, restitution=body.restitution * factor**0.5) for body in scene.bodies)
    fields = tuple(replace(field, mu=field.mu * factor) for field in scene.fields)
    return replace(scene, gravity=(x, y, z), bodies=bodies, fields=fields)


def test_undecided_lawful_time_counts_a_tenth_and_nothing_unlawful_is_excused() -> None:
    decisive = np.array([[False, False], [False, False], [True, False], [True, False]])
    lawful = np.array([[True, True], [False, True], [True, True], [False, False]])
    due = np.ones((4, 2), dtype=bool)
    assert discriminative_weight(decisive, lawful, due).tolist() == [
        [UNDECIDED] * 2,
        [1, UNDECIDED],
        [1, UNDECIDED],
        [1, 1],
    ]
    assert (discriminative_weight(np.zeros((4, 2), dtype=bool), lawful, due) == 1).all()
    assert (discriminative_weight(decisive, lawful, ~decisive) == 1).all(), (
        "what is decided out of sight makes nothing cheaper"
    )


def test_a_tolerance_weighs_as_the_time_that_is_decided_there(clip_of: ClipOf) -> None:
    clip = clip_of(PROJECTILE)
    model, window = scene_law_of(clip), clip.window(CONTEXT)
    assert model is not None
    seen = from_states(clip, clip.times[window], clip.states[window], model)
    strict, loose = decided(seen, 0.03), decided(seen, 0.5)
    assert (strict | ~loose).all() and strict.sum() > loose.sum() > 0
    assert UNDECIDED < share_of_level(seen, 0.5) < share_of_level(seen, 0.03) < 1
    unknown = replace(seen, extrapolation_distance=None)
    assert decided(unknown, 0.5).all() and share_of_level(unknown, 0.5) == 1


@pytest.mark.parametrize("task", [PROJECTILE, WALL])
def test_what_knows_no_law_earns_next_to_nothing_by_a_lawful_start(clip_of: ClipOf, task: str) -> None:
    clip = clip_of(task)
    assert quality_of(clip, clip.states[clip.handover + 1 :]) == 1.0
    for how in (straight, accelerate, turn):
        assert extrapolated(clip, how) < 0.1


def test_a_straight_way_stays_lawful_where_nothing_turns_it(clip_of: ClipOf) -> None:
    clip = clip_of(PASS)
    assert extrapolated(clip, straight) == 1.0
    assert extrapolated(clip, stay) < 0.1


def test_lawful_time_before_a_screen_is_worth_little_to_what_comes_out_where_it_cannot(clip_of: ClipOf) -> None:
    """All that is decided is out of sight in ground truth: who shows it is judged by it, who hides it loses nothing."""
    clip = clip_of(STOP)
    model = scene_law_of(clip)
    assert model is not None
    moved = straight(clip, clip.states[clip.handover], clip.times[clip.handover + 1 :])[:, list(clip.tracked), :3]
    found = []
    for places in (true_places(clip), plane_from_world(clip.scene.camera, moved)):
        seen = place_bodies(clip, tracks_at(clip, places, CONTEXT), model)
        assert seen.sight is not None
        gone = seen.sight.out_of_sight(seen.position)
        place = np.where(gone[..., None], np.nan, seen.position)
        problem = Hypothesis(model, replace(seen, position=place, present=seen.present & ~gone))
        (level,) = at_levels(problem, (0.03,))
        found.append((level.quality, (level.explained + level.shadowed) / 2))
    assert found[0] == (1.0, 1.0)
    assert found[1][0] < 0.4 * found[1][1]


@pytest.mark.parametrize("task", [PROJECTILE, pytest.param(KEPLER, marks=pytest.mark.slow)])
def test_simulators_are_in_the_order_of_their_errors(clip_of: ClipOf, task: str) -> None:
    """Constants off by 5, 20 and 80 %, on exact places."""
    clip = clip_of(task)
    ahead, now = clip.times[clip.handover + 1 :], clip.states[clip.handover][None]
    found = [
        quality_of(clip, simulate_ensemble(with_constants(clip.scene, 1 - x), 0.0, now, ahead)[0])
        for x in (0.0, 0.05, 0.2, 0.8)
    ]
    assert found[0] == 1.0
    assert (-np.diff(found) >= 0.04).all(), found


def test_states_may_leave_their_plane_by_no_more_than_positions_are_uncertain(clip_of: Callable[..., Clip]) -> None:
    """By 0.01 diameters; at 0.02 a body has no position, whatever noise of pictures is taken for."""
    clip = clip_of("falling/projectile-v1")
    model, window = scene_law_of(clip), clip.window(8)
    assert model is not None
    (ball,) = model.index
    for off, known in ((0.01, True), (0.02, False)):
        states = clip.states[window].copy()
        states[:, ball, 1] += off * float(clip.diameters()[0, 0])
        assert np.isfinite(from_states(clip, clip.times[window], states, model).position).all() == known


Array = NDArray[np.float64]
TASKS = ("falling/drop-bounce-v1", "collisions/head-on-v1", "orbits/kepler-v1")


def moved(task: str, off: Array | None = None, seed: int = 0, fps: float = 15) -> Hypothesis:
    """Truth that is off by (T, N, 2) diameters in predicted frames."""
    true = problem(task, seed, fps=fps)
    if off is None:
        return true
    later = (true.seen.times > 1e-9)[:, None, None]
    return true.with_bodies(
        replace(true.seen, position=true.seen.position + np.where(later, off, 0.0) * true.seen.diameter[:, None])
    )


def noise_of(task: str, sd: float, seed: int = 0) -> Array:
    shape = problem(task, seed, fps=15).seen.position.shape
    return np.asarray(np.random.default_rng(seed).normal(0, sd, shape))


@pytest.mark.parametrize("task", others_slow(TASKS, 2))
@pytest.mark.parametrize("sd", [0.02, 0.05])
def test_independent_noise_about_a_lawful_motion_costs_nothing(task: str, sd: float) -> None:
    noisy = moved(task, noise_of(task, sd))
    assert quality(at_levels(noisy)) < 0.85
    judged, levels = judge(noisy)
    assert quality(levels) > 0.97
    assert strength(judged, levels) <= 0.075
    assert jitter(levels[2].segments, judged.seen) == pytest.approx(sd, rel=0.2)


@pytest.mark.parametrize("task", TASKS)
def test_local_means_of_noise_are_as_small_as_their_sd_says(task: str) -> None:
    """Each is of n positions: its sd is that of the noise over the root of n, and what moves is left."""
    true, noisy = moved(task).seen, moved(task, noise_of(task, 0.05)).seen
    later = noisy.known & (noisy.times > 1e-9)[:, None]
    sd = independent_noise(noisy, at_levels(moved(task))[-1].segments)
    seen = with_noise(noisy, sd)
    away = (noisy.position - true.position) / noisy.diameter[:, None]
    mean, mean_sd = local_means(away, later, seen)
    assert np.mean((mean[later] / mean_sd[later]) ** 2) == pytest.approx(2, rel=0.6)
    assert (mean[later] < 5 * mean_sd[later]).all() and not mean[~later].any()
    assert np.median(mean_sd[later]) == pytest.approx(0.05 / np.sqrt(13), rel=0.2)  # 0.8 s at 15 frames/s
    assert (local_means(away + 0.2, later, seen)[0][later] > 5 * mean_sd[later])[10:].all()
    assert not local_means(away, later, noisy)[0].any()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("radius", [0.1, 0.3])
def test_a_vibration_is_no_noise(task: str, radius: float) -> None:
    """Circles with a period of three frames: neighbouring steps go together as those of noise do."""
    turn = 2 * np.pi / 3 * np.arange(len(problem(task, 0, fps=15).seen.times))
    circle = radius * np.stack([np.cos(turn), np.sin(turn)], axis=-1)[:, None]
    noisy = moved(task, circle)
    judged, levels = judge(noisy)
    assert judged is noisy and quality(levels) < 0.75 and strength(judged, levels) >= radius * 0.8


@pytest.mark.parametrize("task", TASKS)
def test_noise_as_large_as_bodies_shake_costs_more_the_larger_it_is(task: str) -> None:
    less, more = (quality(judge(moved(task, noise_of(task, sd)))[1]) for sd in (0.1, 0.2))
    assert 0.9 > less > more and more < 0.5


def test_a_body_that_comes_to_rest_tells_its_noise_while_it_moves() -> None:
    true = problem("falling/drop-bounce-v1", 0, fps=15)
    away = np.random.default_rng(0).normal(0, 0.03, (60, 2))
    away[20:] = away[19]  # a still picture
    assert _noise(away, np.zeros(60, dtype=np.int64))[0] == pytest.approx(0.03, rel=0.35)
    unsure = true.with_bodies(replace(true.seen, sd=np.full(true.seen.sd.shape, 0.012)))
    quiet = without_independent_noise(
        replace(moved("falling/drop-bounce-v1", noise_of("falling/drop-bounce-v1", 0.008)).seen, sd=unsure.seen.sd),
        at_levels(true)[-1].segments,
    )
    # What the tracker is unsure of, beside noise that is independent, is still unsure.
    assert quiet is not None and np.median(quiet.sd) > 0.007


@pytest.mark.parametrize("task", TASKS)
def test_a_random_walk_of_the_same_steps_costs_in_full(task: str) -> None:
    walk = moved(task, noise_of(task, 0.05).cumsum(axis=0))
    judged, levels = judge(walk)
    assert judged is walk
    assert quality(levels) < 0.6


def test_noise_is_presumed_in_few_frames_unless_they_jump_repeat_or_recur() -> None:
    rng, arc = np.random.default_rng(0), np.zeros(7, dtype=np.int64)
    noise = [_noise(rng.normal(0, 0.05, (7, 2)), arc, seldom_expected=True) for _ in range(200)]
    told = [each[0, 0] for each in noise if each.any()]
    assert len(told) > 160 and np.mean(np.square(told)) == pytest.approx(0.05**2, rel=0.15)
    walks = [_noise(rng.normal(0, 0.05, (7, 2)).cumsum(axis=0), arc, seldom_expected=True) for _ in range(200)]
    assert np.mean([each.any() for each in walks]) < 0.4
    frame = np.arange(7)
    wrong = {
        "jumps": 0.25 * (frame > 2),
        "is off once": 0.25 * (frame == 3),
        "is off twice": 0.25 * ((frame == 3) | (frame == 4)),
        "is off at the end": 0.25 * (frame == 6),
        "repeats": 0.25 * (frame % 2),
        "circles in 3": 0.1 * np.exp(2j * np.pi / 3 * frame),
        "circles in 4": 0.1 * np.exp(2j * np.pi / 4 * frame),
    }
    for name, off in wrong.items():
        away = np.stack([np.real(off), np.imag(off) if np.iscomplexobj(off) else np.real(off)], axis=1)
        assert not _noise(away + rng.normal(0, 1e-6, away.shape), arc, seldom_expected=True).any(), name
    trembling = rng.normal(0, 0.05, (7, 2))
    assert _noise(trembling, arc, seldom_expected=True).any()
    assert not _noise(trembling, arc).any()
    assert _noise(trembling[:5], arc[:5], seldom_expected=True).any(), "three products"
    assert not _noise(trembling[:4], arc[:4], seldom_expected=True).any()
    assert not _noise(trembling * [1.0, 0.1], arc, seldom_expected=True).any()
    assert not _noise(trembling, np.where(frame < 3, 0, 1), seldom_expected=True).any()


def test_noise_in_few_frames_is_presumed_of_what_is_seldom_expected_alone() -> None:
    plain, presumed = [], []
    for seed in range(6):
        noisy = moved(PROJECTILE, noise_of(PROJECTILE, 0.05, seed)).seen
        later = noisy.times > 1e-9
        gone = noisy.times > 8.5 / 15
        often = replace(noisy, position=np.where(gone[:, None, None], np.nan, noisy.position))
        seldom = replace(often, expected_visible=(later & ~gone)[:, None] & noisy.known)
        each, other = (moved(PROJECTILE).with_bodies(seen) for seen in (often, seldom))
        assert judge(each)[0] is each
        plain.append(quality(at_levels(other)))
        presumed.append(quality(judge(other)[1]))
    assert np.mean(plain) < 0.75 and sum(share == 1 for share in presumed) >= 4


@pytest.mark.parametrize("task", TASKS)
def test_truth_has_no_noise(task: str) -> None:
    true = moved(task)
    assert judge(true)[0] is true
    assert without_independent_noise(true.seen, at_levels(true)[-1].segments) is None


@pytest.mark.parametrize("every", [2, 3])
def test_repeated_frames_are_no_noise(every: int) -> None:
    true = moved("occlusion/screen-pass-v1")
    held = np.arange(len(true.seen.times)) // every * every
    repeated = true.with_bodies(replace(true.seen, position=true.seen.position[held]))
    assert without_independent_noise(repeated.seen, at_levels(repeated)[-1].segments) is None


def test_what_is_off_in_a_single_frame_stays_off() -> None:
    off = noise_of("falling/drop-bounce-v1", 0.0)
    off[len(off) // 2] = 0.3
    jump = moved("falling/drop-bounce-v1", off)
    assert judge(jump)[0] is jump


def test_a_position_moves_by_few_sd_and_the_context_stays() -> None:
    task = "orbits/kepler-v1"
    off = noise_of(task, 0.03)
    off[40] += 0.5
    noisy = moved(task, off)
    quiet = without_independent_noise(noisy.seen, at_levels(noisy)[-1].segments)
    assert quiet is not None and quiet.noise is not None
    by = np.linalg.norm(quiet.noise, axis=-1) / quiet.diameter
    assert np.nanmax(by) < 5 * np.sqrt(2) * 0.04
    assert not quiet.noise[quiet.times <= 1e-9].any()
    assert quiet.position + quiet.noise == pytest.approx(noisy.seen.position, nan_ok=True)


@pytest.mark.parametrize("factor", [0.9, 0.7])
def test_noise_hides_no_wrong_constant(factor: float) -> None:
    """What lies below 0.075 diameters is lost in noise of 0.05, and nothing that is larger."""
    task = "falling/drop-bounce-v1"
    wrong = problem(task, 0, fps=15, factor=1 / factor)
    plain = quality(judge(wrong)[1])
    off = np.where((wrong.seen.times > 1e-9)[:, None, None], noise_of(task, 0.05), 0.0)
    noisy = replace(wrong.seen, position=wrong.seen.position + off * wrong.seen.diameter[:, None])
    assert quality(judge(wrong.with_bodies(noisy))[1]) < plain + 0.05


def test_a_tremble_along_a_floor_is_noise_where_the_floor_shows_it_across() -> None:
    """Else it might be a matter of time; and nothing is taken off across the floor."""
    task = "falling/drop-bounce-v1"
    off = noise_of(task, 0.05)
    shake = np.where((problem(task, 0, fps=15).seen.times > 1e-9)[:, None], off[::-1, 0], 0.0) * 0.5
    off[..., 1] = 0.0
    noisy = moved(task, off)
    floor = replace(noisy.seen, unshown=np.array([[1.0, 0.0]]))
    assert quality(judge(noisy.with_bodies(floor))[1]) < 0.85
    judged, levels = judge(noisy.with_bodies(replace(floor, shake=shake)))
    assert quality(levels) > 0.97
    assert judged.seen.noise is not None and not judged.seen.noise[..., 1].any()
