"""Segments and breaks of truth and of what breaks the law, on exact places with 0.05 px of noise at 128 px."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import START, Edit, again, problem
from slow_cases import others_slow

from physbench.laws.bullet_law import BulletLaw
from physbench.laws.scene_law import scene_law
from physbench.shadowing import search
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import STRENGTH_GRID, at_levels, read, strength
from physbench.shadowing.observed_motion import POSITION, PlacedBodies
from physbench.shadowing.search import SegmentSearch
from physbench.world.bodies import ball, floor
from physbench.world.bullet import simulate
from physbench.world.scene import PHYSICS_HZ, Camera, Scene

Array = NDArray[np.float64]

TASKS = (
    "falling/projectile-v1",
    "falling/drop-bounce-v1",
    "falling/incline-v1",
    "collisions/wall-bounce-v1",
    "collisions/head-on-push-v1",
    "collisions/billiards-v1",
    "occlusion/screen-swap-v1",
    "orbits/kepler-thrust-v1",
    "orbits/binary-v1",
)


def at(times: Array, time: float) -> int:
    return int(np.searchsorted(times, time - 1e-9))


def teleported(time: float, shift: float) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        states[at(times, time) :, 0, 0] += shift * 2 * scene.bodies[0].size[0]
        return states

    return edit


def kicked(time: float, gain: float) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        def change(state: Array) -> None:
            state[0, 7] += gain

        return again(scene, times, states, at(times, time), change)

    return edit


def frozen(time: float) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        states[at(times, time) :] = states[at(times, time)]
        return states

    return edit


def gravity(factor: float) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        x, y, z = scene.gravity
        fields = tuple(replace(field, mu=factor * field.mu) for field in scene.fields)
        other = replace(scene, gravity=(factor * x, factor * y, factor * z), fields=fields)
        return again(other, times, states, at(times, 0.0), lambda state: None)

    return edit


@pytest.mark.parametrize("task", others_slow(TASKS, 3))
def test_truth_is_one_lawful_segment(task: str) -> None:
    level = at_levels(problem(task, 0))[0]
    assert not level.breaks
    assert level.explained == level.shadowed == 1.0
    assert np.nanmax(level.segments.errors) < 0.03


@pytest.mark.parametrize("task", ["falling/projectile-v1", "collisions/head-on-v1"])
def test_a_jump_is_one_break_where_it_happens(task: str) -> None:
    levels = at_levels(problem(task, 0, teleported(0.8, 0.15)))
    first = levels[0].breaks[0]
    assert first.body == 0
    assert first.time == pytest.approx(0.8, abs=0.1)
    assert not first.gross
    assert 0.05 < first.position_jump < 0.3
    assert len(levels[0].breaks) <= 2
    assert not levels[2].breaks  # less than 0.2 diameters
    assert levels[0].explained < levels[2].explained == 1.0


def test_a_push_out_of_nowhere_is_found_and_a_declared_one_is_not() -> None:
    level = at_levels(problem("collisions/head-on-push-v1", 0, kicked(2.0, 0.4)), (0.03,))[0]
    assert level.breaks[0].time == pytest.approx(2.0, abs=0.2)


def test_what_stops_in_the_air_breaks_grossly_and_is_never_explained_again() -> None:
    level = at_levels(problem("falling/projectile-v1", 0, frozen(0.3)), (0.08,))[0]
    assert level.breaks[0].gross
    assert level.breaks[0].time == pytest.approx(0.3, abs=0.2)
    assert level.explained < 0.15


def test_on_a_table_rest_out_of_motion_does_not_count() -> None:
    level = at_levels(problem("collisions/wall-bounce-v1", 0, frozen(0.0)), (0.08,))[0]
    assert level.breaks[0].gross
    assert level.explained < 0.1


def test_wrong_gravity_is_told_by_how_wrong_it_is() -> None:
    values = [strength(problem("falling/projectile-v1", 0, gravity(f))) for f in (1.0, 0.95, 0.8)]
    assert values[0] == STRENGTH_GRID[0]
    assert values[0] < values[1] < values[2]
    assert values[1] > 0.03


def test_wrong_mass_of_the_star_is_told() -> None:
    assert strength(problem("orbits/kepler-thrust-v1", 0, gravity(0.95))) > 0.08


def test_a_hidden_stretch_is_bridged_by_the_lawful_motion() -> None:
    def hidden(scene: Scene, times: Array, states: Array) -> Array:
        states[at(times, 0.6) : at(times, 1.6), :, :3] = np.nan
        return states

    def late(scene: Scene, times: Array, states: Array) -> Array:
        begin, end = at(times, 0.6), at(times, 1.6)
        states[end:, :, :3] = states[end - 6 : -6, :, :3]
        states[begin:end, :, :3] = np.nan
        return states

    whole = problem("occlusion/screen-pass-v1", 0, hidden)
    assert not at_levels(whole)[0].breaks
    broken = at_levels(problem("occlusion/screen-pass-v1", 0, late), (0.03,))[0]
    assert broken.breaks
    assert broken.breaks[0].frame >= at(whole.seen.times, 1.6)


def test_a_body_that_is_lost_is_unexplained_and_the_strongest_violation() -> None:
    def lost(scene: Scene, times: Array, states: Array) -> Array:
        states[at(times, 1.0) :, 0, :3] = np.nan
        return states

    trial = problem("falling/projectile-v1", 0, lost)
    assert strength(trial) == 2.0
    assert at_levels(trial, (0.2,))[0].explained == pytest.approx(0.25, abs=0.01)


def test_nothing_seen_is_nothing_explained() -> None:
    def empty(scene: Scene, times: Array, states: Array) -> Array:
        states[at(times, 1 / 30) :, :, :3] = np.nan
        return states

    level = at_levels(problem("collisions/head-on-v1", 0, empty), (0.2,))[0]
    assert level.explained == level.shadowed == 0.0


def test_too_short_a_segment_is_undetermined() -> None:
    def glimpse(scene: Scene, times: Array, states: Array) -> Array:
        states[: at(times, 1.0), :, :3] = np.nan
        states[at(times, 1.2) :, :, :3] = np.nan
        return states

    trial = problem("falling/projectile-v1", 0, glimpse)
    level = read(SegmentSearch(trial, 0.2).run(), trial.seen, 0.2)
    assert level.explained == 0.0
    assert level.undetermined > 0


def test_noise_costs_no_more_than_its_breaks() -> None:
    def noise(scene: Scene, times: Array, states: Array) -> Array:
        shape = states[at(times, 0.0) + 1 :, 0, :3].shape
        states[at(times, 0.0) + 1 :, 0, :3] = np.random.default_rng(0).uniform(-2, 2, shape)
        return states

    level = at_levels(problem("falling/projectile-v1", 0, noise), (0.03,))[0]
    assert 1 <= len(level.breaks) <= 8
    assert level.explained < 0.02


def test_work_ends_by_count_and_what_is_left_is_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too little work for its last breaks; truth needs next to none."""

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        for time, shift in ((0.5, 0.3), (1.0, -0.3), (1.5, 0.3)):
            states = teleported(time, shift)(scene, times, states)
        return states

    task = "orbits/kepler-v1"
    trial = problem(task, 0, edit)
    whole = SegmentSearch(trial, 0.03).run()
    assert not whole.truncated
    assert len(whole.breaks) >= 3
    monkeypatch.setattr(search, "SEARCH", replace(search.SEARCH, max_work=trial.work // 2))
    cut, again_ = (SegmentSearch(problem(task, 0, edit), 0.03).run() for _ in range(2))
    assert cut.truncated
    assert [(b.body, b.frame) for b in cut.breaks] == [(b.body, b.frame) for b in again_.breaks]
    assert 0 < len(cut.breaks) < len(whole.breaks)
    last = max(arc.last for arc in cut.arcs)
    assert last < len(trial.seen.times)
    assert np.isnan(cut.position[last:]).all()
    monkeypatch.setattr(search, "SEARCH", replace(search.SEARCH, max_work=trial.work // 4))
    truthful = SegmentSearch(problem(task, 0), 0.03).run()
    assert not truthful.truncated
    assert not truthful.breaks


def hit_on_the_floor(x: float, lifted: float = 0.0) -> Hypothesis:
    """A ball that rests on a floor and one thrown onto it from `x` m, under the law of last resort.

    Positions are those of ground truth with noise; lifted: m by which the hit ball is too high from the hit on.
    """
    balls = (
        ball("low", 0.4, (0.12, 0.0, 0.4), 0, restitution=0.7, friction=0.6),
        ball("thrown", 0.3, (x, 0, 2.2), 1, velocity=(0.8, 0, -1.0), restitution=0.7, friction=0.6, release=-0.4),
    )
    scene = Scene((*balls, floor(friction=0.6)), Camera("front", (0, 0, 1.5)), gravity=(0, 0, -9.81), horizon=1.2)
    planar, times = scene_law(scene, START), np.arange(-6, 19) / 15
    law = BulletLaw(scene, planar.index, planar.depth, planar.pushes, planar.since)
    rng = np.random.default_rng(0)
    position = simulate(scene, times).states[:, :2][..., [0, 2]] + rng.normal(0, 0.002, (len(times), 2, 2))  # m
    position[times > 0.2, 0, 1] += lifted
    everywhere = np.ones((len(times), 2), dtype=bool)
    seen = PlacedBodies(
        times,
        np.round(times * PHYSICS_HZ),
        position,
        np.full(everywhere.shape, POSITION.min_sd),
        np.array([0.8, 0.6]),
        everywhere & (times > 1e-9)[:, None],
        everywhere,
        np.zeros(2, dtype=int),
        ~everywhere,
    )
    return Hypothesis(law, seen)


@pytest.mark.parametrize("x", [-0.54, -0.42])
def test_a_hit_whose_way_rounding_decides_is_lawful_as_ground_truth_has_it(x: float) -> None:
    """Here the hit ball bounces off the floor, as of starts 1e-6 m apart some do and most do not."""
    problem = hit_on_the_floor(x)
    if problem.seen.position[:, 0, 1].max() < 0.43:  # m, of a centre that rests at 0.4 m
        pytest.skip("this machine rounds otherwise: the ball stays")
    segments = SegmentSearch(problem, 0.03).run()
    assert not segments.breaks and np.nanmax(segments.errors) < 0.02
    assert SegmentSearch(hit_on_the_floor(x, 0.08), 0.03, only_first=True).run().breaks
