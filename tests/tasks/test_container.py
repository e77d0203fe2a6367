"""container: PyBullet against the flights from bounce to bounce, and how many of the balls stay in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.falling import CONTAINER, Container, container_middle, path_of, stays_in, thrown_legs
from physbench.world.bullet import simulate
from physbench.world.scene import HORIZON, PHYSICS_HZ, WINDOW

TIMES = np.arange(-2 * PHYSICS_HZ, 4 * PHYSICS_HZ + 1, 12) / PHYSICS_HZ  # s


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_a_ball_flies_from_bounce_to_bounce(split: Split) -> None:
    """Within 12 mm after 4 s and a dozen bounces; the rim is nowhere near."""
    row = Row(Container.id, split, 2)
    p, scene = make_params(row), make_scene(row)
    simulation, side = simulate(scene, TIMES), math.copysign(1.0, p["velocity_x"])
    x, z = simulation.states[:, 0, 0] * side, simulation.states[:, 0, 2]
    expected = path_of(thrown_legs(p, HORIZON), TIMES, p["gravity"])
    np.testing.assert_allclose(np.stack([x, z], axis=-1), expected, atol=0.012)
    walls = [scene.bodies[scene.index(name)] for name in ("left wall", "right wall")]
    for each in walls:
        rims = each.position[0] * side + np.array([-1, 1]) * each.size[0]
        away = np.hypot(x[:, None] - rims, z[:, None] - p["height"])[z > p["height"]]
        assert away.min(initial=np.inf) >= p["radius"] + CONTAINER.rim_distance - 0.015
        assert np.abs(rims).max() <= WINDOW / 2
    first = min(contact.time for contact in simulation.contacts)
    assert 0.2 <= first <= 2.4 and np.abs(x).max() + p["radius"] <= WINDOW / 2
    is_in = abs(x[-1] - container_middle(p)) < p["half_width"] and z[-1] < p["height"]
    assert is_in == stays_in(p)


def test_some_balls_stay_in_and_some_do_not() -> None:
    assert {stays_in(make_params(Row(Container.id, "test", seed))) for seed in range(6)} == {True, False}
