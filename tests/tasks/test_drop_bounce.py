"""drop-bounce: the protocol of its clips, and PyBullet against free fall and Newton's law of restitution."""

from __future__ import annotations

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.falling import CENTER_Z, DropBounce, floor_grey
from physbench.world.bullet import simulate
from physbench.world.scene import BACKGROUND_GREY, WINDOW

STEP = 1 / 240
TIMES = np.arange(-480, 961) * STEP  # s
SEEDS = range(3)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_bounces_follow_the_closed_form(split: Split) -> None:
    """Impact speed v = sqrt(2 g h); then flights of 2 e^n v / g with peaks of e^2n h."""
    for seed in SEEDS:
        row = Row(DropBounce.id, split, seed)
        params, scene = make_params(row), make_scene(row)
        simulation = simulate(scene, TIMES)
        height = simulation.states[:, 0, 2] - params["radius"]  # m, of the lowest point
        g, e, h = params["gravity"], params["restitution"], params["start_height"]
        speed = np.sqrt(2 * g * h)
        flights = 2 * speed / g * e ** np.arange(1, 20)
        expected = params["release"] + speed / g + np.concatenate([[0], np.cumsum(flights)])
        found = np.array([contact.time for contact in simulation.contacts])
        expected = expected[expected < 4.0 - 0.01]
        assert 0.2 <= found[0] <= 0.6 * scene.horizon and len(expected) >= 3
        count = min(5, len(expected))
        np.testing.assert_allclose(found[:count], expected[:count], atol=0.02)
        for k in range(count - 1):
            between = (found[k] < TIMES) & (found[k + 1] > TIMES)
            assert height[between].max() == pytest.approx(e ** (2 * k + 2) * h, rel=0.02, abs=0.005)
        falling = (params["release"] <= TIMES) & (found[0] - STEP > TIMES)
        fallen = h - g * (TIMES - params["release"]) ** 2 / 2
        np.testing.assert_allclose(height[falling], fallen[falling], atol=5e-3)
        assert np.ptp(simulation.states[:, 0, 0]) < 1e-6, "straight down"
        assert height.min() > -0.02 and h + 2 * params["radius"] <= CENTER_Z + WINDOW / 2


def test_the_floor_shows_its_restitution() -> None:
    low, high = DropBounce.parameters["restitution"].train
    assert DropBounce.parameters["restitution"].ood is None, "another grey would be a riddle"
    assert floor_grey(low) == pytest.approx(0.2) and floor_grey(high) == pytest.approx(0.44)
    assert BACKGROUND_GREY - floor_grey(high) >= 0.05, "the floor is seen"
    for seed in range(10):
        row = Row(DropBounce.id, "ood", seed)
        scene = make_scene(row)
        floor = scene.bodies[scene.index("floor")]
        assert floor.grey == pytest.approx(0.2 + 1.2 * (scene.bodies[0].restitution * floor.restitution - 0.7))
