"""What shadowing promises whatever a video holds: cheats gain nothing, lawful motion loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import METRES, Edit, again, problem, truth

from physbench.clips.clip import Clip
from physbench.shadowing import shadow
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import at_levels, strength
from physbench.shadowing.observed_motion import from_tracks
from physbench.shadowing.search import SEARCH, SegmentSearch
from physbench.shadowing.shadow import scene_law_of
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import px_from_world
from physbench.world.scene import Scene

Array = NDArray[np.float64]
ClipOf = Callable[..., Clip]
Ideal = Callable[..., Tracks]

slow = pytest.mark.slow

HEAD_ON = "collisions/head-on-v1"
WALL = "collisions/wall-bounce-v1"
THROWN = "falling/projectile-v1"


def at(times: Array, time: float) -> int:
    return int(np.searchsorted(times, time - 1e-9))


def jumped(*jumps: tuple[float, float]) -> Edit:
    """Body 0 is so many diameters further from a time in s on."""

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        for time, shift in jumps:
            states[at(times, time) :, 0, 0] += shift * 2 * scene.bodies[0].size[0]
        return states

    return edit


def hidden(first: float, last: float, late: float) -> Edit:
    """Nothing is seen from `first` to `last` s; what is seen then is late by so many s."""

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        begin, end, by = at(times, first), at(times, last), at(times, late) - at(times, 0.0)
        states[end:, :, :3] = states[end - by : len(states) - by, :, :3]
        states[begin:end, :, :3] = np.nan
        return states

    return edit


def shown(clip: Clip, context: int, future: Array, seen: NDArray[np.bool_] | None, ideal: Ideal) -> Tracks:
    """Tracks (T, K) of the true context and of another future (horizon, K, 2) px."""
    px = clip.px_positions()[clip.window(context)].copy()
    px[context:] = future
    every = np.ones(px.shape[:2], dtype=bool)
    if seen is not None:
        every[context:] = seen
    return ideal(clip, context, px, every)


def frozen(clip: Clip, context: int, ideal: Ideal) -> Tracks:
    now = clip.px_positions()[clip.handover]
    return shown(clip, context, np.repeat(now[None], clip.horizon, axis=0), None, ideal)


# What is not known is not lawful


@pytest.mark.parametrize(
    ("context", "black"),
    [
        (8, False),
        (2, True),
        *(pytest.param(*case, marks=slow) for case in ((1, False), (1, True), (2, False), (8, True))),
    ],
)
def test_nothing_shown_is_nothing_explained(clip_of: ClipOf, context: int, black: bool) -> None:
    clip = clip_of(WALL)
    frames = clip.frames[clip.window(context)].copy()
    frames[context:] = 0
    found = shadow(clip, track(clip, context, frames if black else frames[:context]))
    assert found is not None
    assert found.explained == found.shadowed == 0.0
    assert found.strength == 2.0


@slow
@pytest.mark.parametrize("context", [1, 4, 8])
def test_noise_in_which_nothing_can_be_placed_explains_nothing(clip_of: ClipOf, ideal: Ideal, context: int) -> None:
    clip = clip_of(WALL)
    tracks = frozen(clip, context, ideal)
    tracks.position_sd[context:] = 0.04 * clip.diameters()[0, 0] * clip.pixels_per_metre
    found = shadow(clip, tracks)
    assert found is not None
    assert found.explained == found.shadowed == 0.0
    assert found.strength == 2.0


def test_uncertainty_buys_no_more_than_a_few_hundredths(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of(WALL)
    model, tracks = scene_law_of(clip), frozen(clip, 8, ideal)
    assert model is not None
    limits = []
    for sd in (0.002, 0.01, 0.015, 0.025):
        tracks.position_sd[8:] = sd * clip.diameters()[0, 0] * clip.pixels_per_metre
        placed = from_tracks(clip, tracks, model)
        assert placed.known[8:].all()
        limits.append([float(placed.limit(tolerance)[-1, 0]) for tolerance in (0.03, 0.2)])
    assert np.allclose(limits, [[0.03, 0.2], [0.05, 0.2], [0.075, 0.2], [0.075, 0.2]], atol=1e-3)


def test_a_glimpse_is_no_lawful_clip() -> None:
    def glimpse(scene: Scene, times: Array, states: Array) -> Array:
        states[: at(times, 1.0), :, :3] = np.nan
        states[at(times, 1.2) :, :, :3] = np.nan
        return states

    trial = problem(THROWN, 0, glimpse)
    present = replace(trial.seen, present=np.ones_like(trial.seen.present))  # as if only its places were unsure
    assert strength(Hypothesis(trial.law, present)) == 2.0


# What the context does not show


@pytest.mark.parametrize(
    ("task", "context"),
    [(WALL, 1), (WALL, 4), *(pytest.param(task, n, marks=slow) for task in (WALL, HEAD_ON, THROWN) for n in (1, 2, 4))],
)
def test_a_frozen_picture_is_not_lawful_after_short_contexts(
    clip_of: ClipOf, ideal: Ideal, task: str, context: int
) -> None:
    clip = clip_of(task)
    found = shadow(clip, frozen(clip, context, ideal))
    assert found is not None
    assert found.explained < 0.4
    assert found.shadowed < 0.4
    assert found.levels[0].quality < 0.15


@pytest.mark.parametrize(
    "task", [WALL, pytest.param(HEAD_ON, marks=slow), pytest.param("orbits/kepler-v1", marks=slow)]
)
def test_truth_is_lawful_after_an_image(clip_of: ClipOf, ideal: Ideal, task: str) -> None:
    clip = clip_of(task)
    found = shadow(clip, ideal(clip, 1))
    assert found is not None
    assert found.quality == 1.0
    assert found.strength < 0.03


@pytest.mark.slow
def test_a_fast_exit_after_an_image_is_not(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of(HEAD_ON)
    ahead = clip.times[clip.handover + 1 :]
    future = clip.px_positions()[clip.handover] + ahead[:, None, None] * np.array([20.0, 0.0]) * clip.pixels_per_metre
    found = shadow(clip, shown(clip, 1, future, future[..., 0] < clip.spec.width, ideal))
    assert found is not None
    assert found.quality < 0.05
    assert found.strength == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("context", [1, 6])
def test_whoever_is_lawfully_out_of_sight_owes_nothing(clip_of: ClipOf, ideal: Ideal, context: int) -> None:
    """At another declared velocity it is behind the screen while ground truth is not."""
    clip = clip_of("occlusion/screen-pass-v1")
    states = clip.states[clip.handover].copy()
    states[0, 7:] *= (1.25 if abs(states[0, 7]) < 1.05 else 0.85) / abs(states[0, 7])
    future = simulate_ensemble(clip.scene, 0.0, states[None], clip.times[clip.handover + 1 :])[0]
    px = px_from_world(clip.scene.camera, clip.spec, future[:, list(clip.tracked), :3])
    true, order = clip.px_positions()[:, 0, 0], np.argsort(clip.px_positions()[:, 0, 0])
    seen = np.interp(px[..., 0], true[order], clip.visible_share()[order, 0]) >= 0.25
    found = shadow(clip, shown(clip, context, px, seen, ideal))
    assert found is not None
    expected_visible = found.problem.seen.expected_visible
    if context == 1:
        assert (expected_visible & ~found.levels[-1].counted).any()
        assert found.quality > 0.98
        assert found.strength < 0.1
    else:  # the jump in speed is a break, and who has broken owes all
        assert found.levels[0].shadowed < 0.3
        assert found.levels[0].counted[expected_visible].all()


# Breaks: whose, when, how many


@pytest.mark.parametrize("before", [0.1, 0.05])
@pytest.mark.parametrize("seed", [0, 1])
def test_whom_a_broken_body_meets_is_not_broken(seed: int, before: float) -> None:
    """Body 0 jumps shortly before it hits body 1."""
    scene, times, states = truth(HEAD_ON, seed)
    apart = np.linalg.norm(states[:, 0, :3] - states[:, 1, :3], axis=-1)
    reach = scene.bodies[0].size[0] + scene.bodies[1].size[0]
    hit = times[np.flatnonzero(apart <= reach * 1.02)[0]]

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        def change(state: Array) -> None:
            state[0, 0] -= 0.12 * 2 * scene.bodies[0].size[0] * np.sign(state[0, 7])

        return again(scene, times, states, at(times, hit - before), change)

    level = at_levels(problem(HEAD_ON, seed, edit), (0.03,))[0]
    assert {b.body for b in level.breaks} == {0}
    assert level.explained > 0.7


@pytest.mark.parametrize(("first", "last"), [(0.6, 1.6), (0.1, 0.5)])
def test_a_break_out_of_sight_is_dated_when_the_body_is_seen_again(first: float, last: float) -> None:
    level = at_levels(problem("occlusion/screen-pass-v1", 0, hidden(first, last, 0.2)), (0.03,))[0]
    assert level.breaks[0].time == pytest.approx(last, abs=0.04)
    assert (
        level.explained_after_handover == level.explained
    )  # not at the hand-over, however near to it the body was hidden


def test_a_stop_is_dated_when_it_begins() -> None:
    def stopped(scene: Scene, times: Array, states: Array) -> Array:
        begin, end = at(times, 1.0), at(times, 1.5)
        later = states[begin : len(states) - (end - begin)].copy()
        states[begin:end] = states[begin]
        states[end:] = later
        return states

    level = at_levels(problem(THROWN, 0, stopped), (0.03,))[0]
    assert level.breaks[0].time == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_passing_through_is_dated_at_the_touch(seed: int) -> None:
    scene, times, states = truth(HEAD_ON, seed)
    apart = np.linalg.norm(states[:, 0, :3] - states[:, 1, :3], axis=-1)
    hit = int(np.flatnonzero(apart <= 1.02 * (scene.bodies[0].size[0] + scene.bodies[1].size[0]))[0]) - 1

    def through(scene: Scene, times: Array, states: Array) -> Array:
        after = (times[hit:] - times[hit])[:, None, None]
        states[hit:, :2, :3] = states[hit, :2, :3] + after * states[hit, :2, 7:10]
        return states

    level = at_levels(problem(HEAD_ON, seed, through), (0.03,))[0]
    assert {b.body for b in level.breaks} == {0, 1}
    for b in level.breaks:
        assert b.time == pytest.approx(times[hit], abs=0.2)


def test_one_jump_of_the_join_is_forgiven_and_no_second_one() -> None:
    one = at_levels(problem(THROWN, 0, jumped((0.1, 0.3))), (0.03,))[0]
    two = at_levels(problem(THROWN, 0, jumped((0.1, 0.3), (0.6, 0.3))), (0.03,))[0]
    assert one.explained_after_handover > 0.95
    assert one.shadowed < 0.1
    assert two.explained_after_handover < 0.7


def test_breaks_are_followed_up_to_a_number_and_no_further() -> None:
    jumps = tuple((0.4 * k, 0.3) for k in range(1, 8))
    task = "collisions/wall-bounce-v1"
    few = at_levels(problem(task, 0, jumped(*jumps)), (0.03,))[0]
    assert 6 <= len(few.breaks) <= SEARCH.max_breaks
    assert max(b.position_jump for b in few.breaks if np.isfinite(b.position_jump)) < 0.5
    assert not any(b.gross for b in few.breaks if not np.isfinite(b.position_jump))


# The same at every rate and size


@pytest.mark.parametrize("task", [THROWN, pytest.param(WALL, marks=slow)])
def test_rate_and_size_change_nothing(task: str) -> None:
    edit = jumped((0.8, 0.3))
    plain = at_levels(problem(task, 0, edit))
    for trial in (
        problem(task, 0, edit, fps=10),
        problem(task, 0, edit, fps=60),
        problem(task, 0, edit, metres=METRES / 2),
        problem(task, 0, edit, metres=METRES * 2),
    ):
        for level, other in zip(plain, at_levels(trial), strict=True):
            assert other.explained == pytest.approx(level.explained, abs=0.04)
            assert other.shadowed == pytest.approx(level.shadowed, abs=0.04)


def test_a_chain_is_the_same_every_time() -> None:
    edit = jumped((0.8, 0.3), (1.5, 0.1))
    a, b = (SegmentSearch(problem(HEAD_ON, 0, edit), 0.03).run() for _ in range(2))
    assert a.breaks == b.breaks
    assert np.array_equal(a.position, b.position, equal_nan=True)


# From pixels to metres


def test_a_camera_above_the_table_changes_no_place(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of("collisions/billiards-v1")
    camera = replace(clip.scene.camera, center=(0.1, -0.2, 0.5))
    clip = replace(clip, scene=replace(clip.scene, camera=camera))
    model = scene_law_of(clip)
    assert model is not None
    seen = from_tracks(clip, ideal(clip, 6), model)
    true = clip.states[clip.window(6)][:, list(model.index), :2]
    away = np.linalg.norm(seen.position - true, axis=-1)[seen.known]
    assert np.median(away) < 0.05 / clip.pixels_per_metre


@pytest.mark.parametrize(("shift", "forgiven"), [(1.0, True), pytest.param(4.0, False, marks=slow)])
def test_a_small_shift_of_a_picture_with_its_star_is_no_break(
    clip_of: ClipOf, ideal: Ideal, shift: float, forgiven: bool
) -> None:
    clip = clip_of("orbits/kepler-v1")
    future = clip.px_positions()[clip.handover + 1 :] + np.array([shift, 0.0])
    found = shadow(clip, shown(clip, 6, future, None, ideal), tolerances=(0.08,))
    assert found is not None
    star = next(k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed")
    assert found.offset * clip.diameters()[0, star] * clip.pixels_per_metre == pytest.approx(shift, abs=0.05)
    assert (found.explained == 1.0) == forgiven
    assert bool(found.levels[0].breaks) != forgiven
