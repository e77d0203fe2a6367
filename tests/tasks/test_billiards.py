"""Billiards: the protocol of its clips, and PyBullet against the closed form of rolling and smooth impacts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS, Params
from physbench.laws.impacts import at, meeting_time, nearest, rebound, reflected, rolled
from physbench.tasks.collisions import BILLIARDS, CHAOS, Billiards, play, start
from physbench.world.bullet import Simulation, simulate
from physbench.world.geometry import gap
from physbench.world.scene import Scene

TASK = Billiards.id
TIMES = np.arange(-40, 81) / 20  # s
NOW = 40
SEEDS = range(3)


@lru_cache
def simulated(split: Split, seed: int) -> tuple[Params, Scene, Simulation]:
    row = Row(TASK, split, seed)
    scene = make_scene(row)
    return make_params(row), scene, simulate(scene, TIMES)


def balls(scene: Scene) -> range:
    return range(len(scene.tracked))


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_protocol(split: Split) -> None:
    for seed in SEEDS:
        params, scene, simulation = simulated(split, seed)
        states, count = simulation.states, len(scene.tracked)
        assert count == params["balls"] and scene.tracked == tuple(range(count))
        radius = params["radius"]
        assert radius >= 0.4 and {body.radius for body in scene.bodies[:count]} == {radius}
        hits = [c for c in simulation.contacts if "table" not in (c.a, c.b)]
        assert hits[0].time >= BILLIARDS.first_hit, "nothing is hit before"
        meetings = [c.time for c in hits if c.a.startswith("ball") and c.b.startswith("ball")]
        assert meetings[0] <= 1.0
        assert np.abs(states[:, :count, :2]).max() <= BILLIARDS.half - radius + 0.005, "nothing leaves the table"
        assert np.ptp(states[:, :count, 2]) < 0.003, "nothing hops"
        speeds = np.linalg.norm(states[NOW, :count, 7:9], axis=-1)
        assert speeds.min() >= 0.59 and np.argmax(speeds) == 0, "the cue ball is the fastest"
        spin = np.stack([-states[NOW, :count, 8], states[NOW, :count, 7]], axis=-1) / radius
        np.testing.assert_allclose(states[NOW, :count, 10:12], spin, atol=2e-3)  # all roll
        moved = np.linalg.norm(states[NOW : NOW + 34, :count, :2] - states[NOW, :count, :2], axis=-1).max(axis=0)
        assert moved.min() > 2 * radius, "a frozen picture is wrong about every ball"
        for a in balls(scene):
            for b in range(a):
                room = gap(scene.bodies[a], states[: NOW + 1, a, :3], scene.bodies[b], states[: NOW + 1, b, :3])
                assert room[:20].min() > (0 if (b, a) == (0, 1) else BILLIARDS.clearance - 0.01)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_first_hit_follows_the_closed_form(split: Split) -> None:
    """Impulse along the line of centres, then 5/7 of the velocity and 2/7 of that of rolling before."""
    compared = 0
    for seed in SEEDS:
        params, _, simulation = simulated(split, seed)
        places, before = start(params)
        _, hits = play(params, places, before, [TIMES[-1]])
        (first, a, b), later = hits[0], [time for time, *who in hits[1:] if {*who} & {hits[0][1], hits[0][2]}]
        contacts = [c.time for c in simulation.contacts if "table" not in (c.a, c.b)]
        assert contacts[0] == pytest.approx(first, abs=3e-3)
        frame = NOW + int(np.ceil((first + 0.12) * 20))
        if b < 0 or min(later, default=9.0) < TIMES[frame] + 0.01:
            continue
        compared += 1
        meet = [at(place, velocity, first) for place, velocity in zip(places, before, strict=True)]
        assert np.hypot(*np.subtract(meet[a], meet[b])) == pytest.approx(2 * params["radius"], abs=1e-6)
        parted = rebound(meet[a], before[a], 1.0, meet[b], before[b], 1.0, params["restitution"])
        expected = [rolled(after, before[k]) for after, k in zip(parted, (a, b), strict=True)]
        np.testing.assert_allclose(simulation.states[frame, [a, b], 7:9], expected, atol=0.02)
    assert compared


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_the_whole_game_follows_the_closed_form(split: Split) -> None:
    """Exact but for who is hit again while it still slides, and for the step of the simulation."""
    farthest = []
    for seed in SEEDS:
        params, scene, simulation = simulated(split, seed)
        frames = range(NOW + 5, NOW + int(CHAOS.by * 20), 5)
        paths, _ = play(params, *start(params), [float(TIMES[k]) for k in frames])
        off = np.linalg.norm(np.array(paths) - simulation.states[list(frames), : len(scene.tracked), :2], axis=-1)
        farthest.append(off.max())
    assert np.median(farthest) < 0.06 and max(farthest) < 0.5  # m


@pytest.mark.slow
def test_a_smaller_step_changes_little() -> None:
    _, scene, simulation = simulated("test", 0)
    fine = simulate(scene, TIMES[NOW::10], refine=4)
    off = np.linalg.norm((fine.states - simulation.states[NOW::10])[:, list(scene.tracked), :2], axis=-1)
    assert off[:5].max() < 0.04 and off.max() < 0.12  # m at 2 s and 4 s: first order in the step


def test_impacts() -> None:
    assert meeting_time((0, 0), (1, 0), (3, 0), (-1, 0), 1) == pytest.approx(1)
    assert meeting_time((0, 0), (-1, 0), (3, 0), (1, 0), 1) == np.inf
    assert meeting_time((0, 0), (1, 0), (3, 1.01), (-1, 0), 1) == np.inf
    assert nearest((0, 0), (1, 0), (3, 1), (-1, 0), -1, 5) == pytest.approx(1)
    assert nearest((0, 0), (1, 0), (3, 1), (-1, 0), -1, 0) == pytest.approx(np.sqrt(10))
    a, b = rebound((0, 0), (2, 0), 1.0, (1, 0), (0, 0), 3.0, 0.5)
    assert (a[0] + 3 * b[0], b[0] - a[0]) == (pytest.approx(2), pytest.approx(0.5 * 2))
    np.testing.assert_allclose(reflected((3, -2), (0, -1), 0.5), (3, 1))
    np.testing.assert_allclose(rolled((0, 0), (7, 0)), (2, 0))  # a ball stopped dead rolls on with 2/7
