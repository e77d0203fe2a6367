"""wall-bounce: the protocol of its clips, and PyBullet against reflection in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.collisions import VIEW_AFTER_BOUNCE, WallBounce, bounce_path
from physbench.world.bullet import simulate
from physbench.world.geometry import gap, rotate
from physbench.world.scene import WINDOW

TIMES = np.arange(-40, 81) / 20  # s
SEEDS = range(4)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_way_of_the_ball(split: Split) -> None:
    numbers = set()
    for seed in SEEDS:
        row = Row(WallBounce.id, split, seed)
        params, scene = make_params(row), make_scene(row)
        simulation = simulate(scene, TIMES)
        position, velocity = simulation.states[:, 0, :2], simulation.states[:, 0, 7:9]
        corners, speeds, normals = bounce_path(params)
        starts = [params["release"], params["meeting"], params["meeting"] + params["between"]][: len(corners)]
        numbers.add(len(normals))

        leg = np.maximum(np.searchsorted(starts, TIMES + 1e-9) - 1, 0)
        since = np.maximum(TIMES - np.array(starts)[leg], 0)[:, None]
        expected = np.array(corners)[leg] + np.array(speeds)[leg] * since
        assert np.linalg.norm(position - expected, axis=-1).max() < 0.02  # m; the bounce is seen a step late
        assert [contact.time for contact in simulation.contacts] == pytest.approx(starts[1:], abs=3e-3)
        assert np.abs(simulation.states[:, 0, 2]).max() < 1e-6 and np.abs(simulation.states[:, 0, 10:]).max() < 1e-6

        assert starts[1] >= 0.2 and starts[-1] <= 2.4
        full = (starts[0] <= TIMES) & (starts[-1] + VIEW_AFTER_BOUNCE >= TIMES)
        assert np.abs(position[full]).max() + params["radius"] <= WINDOW / 2
        speed = np.linalg.norm(velocity[40])
        assert speed == pytest.approx(params["speed"], rel=1e-6)


def test_numbers_of_walls_are_equally_likely() -> None:
    walls = [make_params(Row(WallBounce.id, "test", seed))["walls"] for seed in range(60)]
    assert 18 <= walls.count(1) <= 42 and set(walls) == {1, 2}


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_each_bounce_obeys_the_law_of_restitution(split: Split) -> None:
    """Normal speed times -0.9, speed along the wall as it was, with normals taken from the walls themselves."""
    row = next(row for row in (Row(WallBounce.id, split, k) for k in range(40)) if make_params(row)["walls"] == 2)
    scene = make_scene(row)
    simulation = simulate(scene, TIMES)
    for contact in simulation.contacts:
        wall = scene.bodies[scene.index(contact.b if contact.a == "ball" else contact.a)]
        normal = rotate(wall.orientation, (0.0, 1.0, 0.0))
        before, after = (
            simulation.states[np.argmin(np.abs(TIMES - contact.time - shift)), 0, 7:10] for shift in (-0.06, 0.06)
        )
        assert after @ normal == pytest.approx(-0.9 * (before @ normal), abs=0.01)
        along = np.cross(normal, (0.0, 0.0, 1.0))
        assert after @ along == pytest.approx(before @ along, abs=1e-6)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_walls_are_in_view_and_apart_from_the_ball_before(split: Split) -> None:
    for seed in SEEDS:
        row = Row(WallBounce.id, split, seed)
        scene = make_scene(row)
        ball = scene.bodies[0]
        for wall in (body for body in scene.bodies if body.name.startswith("wall")):
            corners = [
                np.array(wall.position) + rotate(wall.orientation, (sx * wall.size[0], sy * wall.size[1], wall.size[2]))
                for sx in (-1, 1)
                for sy in (-1, 1)
            ]
            assert np.abs(corners)[:, :2].max() <= WINDOW / 2 + 1e-9
            assert gap(ball, ball.position, wall, wall.position) > 0.1
