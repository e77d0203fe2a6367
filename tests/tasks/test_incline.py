"""falling/incline: the simulation against the closed form, the protocol, and the grey that shows the friction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.laws.closed_form import distance_at, slope_law
from physbench.tasks.falling import RAMP, RUN, SHAPES, Incline, phases_of, ramp_point, reach_of, slope_accelerations
from physbench.world.bullet import simulate
from physbench.world.scene import PHYSICS_HZ, WINDOW

TASK = Incline()
TIMES = np.arange(-2 * PHYSICS_HZ, 4 * PHYSICS_HZ + 1, 60) / PHYSICS_HZ
# m of way; Bullet's cylinder has a polygon's edge where it touches
WITHIN = {"sphere": 0.005, "box": 0.005, "cylinder": 0.06}


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_simulation_follows_the_closed_form(split: Split) -> None:
    for seed in range(5):
        row = Row(TASK.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        simulation = simulate(scene, TIMES)
        states = simulation.states[:, 0]
        up = np.array([p["side"] * math.cos(p["angle"]), 0.0, math.sin(p["angle"])])
        way = (states[:, :3] - states[0, :3]) @ up + p["start"]
        phases = phases_of(p)
        expected = [distance_at(phases, max(time, p["release"])) for time in TIMES]
        np.testing.assert_allclose(way, expected, atol=WITHIN[scene.bodies[0].shape])
        assert np.abs(states[:, 1]).max() < 0.03, "it stays in the plane of motion"
        first = phases[1].start
        assert 0.2 <= first <= 2.4
        if phases[-1].distance == 0.0 and phases[-1].start < 3.9:
            hits = [contact.time for contact in simulation.contacts if contact.b == "stop"]
            assert hits[0] == pytest.approx(phases[-1].start, abs=0.04)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_it_stays_in_view_and_does_not_end_where_it_was(split: Split) -> None:
    for seed in range(40):
        p = make_params(Row(TASK.id, split, seed))
        phases = phases_of(p)
        reach = reach_of(p) * (math.cos(p["angle"]) + math.sin(p["angle"]) if p["shape"] == 2 else 1.0)
        for time in np.arange(p["release"], 4.0, 0.05):
            way = distance_at(phases, time) + RAMP.stop + reach_of(p)
            assert np.abs(ramp_point(p, way, reach_of(p))).max() + reach <= WINDOW / 2
        if phases[-1].acceleration == 0.0 and phases[-1].start < 4.0:
            assert abs(phases[-1].distance - distance_at(phases, 0.0)) >= 2 * RUN.rest_distance * p["size"]


def test_all_shapes_and_ways_are_drawn() -> None:
    drawn = [make_params(Row(TASK.id, "test", seed)) for seed in range(120)]
    for kind in range(len(SHAPES)):
        assert 0.2 < np.mean([p["shape"] == kind for p in drawn]) < 0.47
    assert 0.3 < np.mean([p["velocity"] > 0 for p in drawn]) < 0.8
    assert 0.3 < np.mean([p["side"] > 0 for p in drawn]) < 0.7
    slips = [
        p["ramp_friction"] < (2 / 7, 1 / 3)[int(p["shape"])] * math.tan(p["angle"]) for p in drawn if p["shape"] < 2
    ]
    stays = [p["ramp_friction"] > math.tan(p["angle"]) for p in drawn if p["shape"] == 2]
    assert any(slips) and not all(slips) and any(stays) and not all(stays)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_the_grey_shows_the_friction_and_the_law_is_that_of_the_scene(split: Split) -> None:
    for seed in range(20):
        row = Row(TASK.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        board = scene.bodies[1]
        assert board.grey == pytest.approx(0.95 - 0.5 * p["ramp_friction"]) and board.grey > 0.6
        assert scene.bodies[0].friction * board.friction == pytest.approx(p["ramp_friction"])
        law = slope_law(scene, 0, 1, np.array(scene.bodies[0].position))
        assert law is not None
        np.testing.assert_allclose((law.rising, law.sinking), slope_accelerations(p), rtol=1e-9)
