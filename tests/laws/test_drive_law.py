"""The law of driven bodies against PyBullet, step by step, and the scenes that it does not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.laws.drive_law import DriveLaw
from physbench.laws.scene_law import scene_law
from physbench.world.bodies import ball, turned_from_top, wall
from physbench.world.bullet import simulate
from physbench.world.scene import Body, Camera, Command, Drive, Scene

STEPS = np.arange(-600, 4801, 60)
ONE = np.ones((1, 1))


def moved(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Positions (F, N, 2) m by the law and by PyBullet, from one state."""
    law = scene_law(scene, STEPS[0] / 1200)
    assert isinstance(law, DriveLaw)
    truth = simulate(scene, STEPS / 1200, log=False).states[:, list(law.index)]
    found = law.simulate(truth[None, 0][..., [0, 1, 7, 8]], STEPS / 1200, ONE)[0]
    return found[..., :2], truth[..., :2]


@pytest.mark.parametrize(("seed", "within"), [(4, 1e-4), (1, 0.01)])
def test_it_steps_as_the_simulator_does(seed: int, within: float) -> None:
    """Struck, to 0.1 mm; pressed against a wall, where the order of contacts counts, to 1 cm of 0.9 m."""
    found, truth = moved(make_scene(Row("collisions/pusher-v1", "test", seed)))
    assert np.linalg.norm(found - truth, axis=-1).max() < within


def test_corners_and_two_motors() -> None:
    """A ball that meets the corner of a bar, and two bars that meet each other and a wall."""
    bars = [
        Body(name, "box", (0.3, 0.5, 0.4), "moving", (x, y, 0.0), turned_from_top(angle), restitution=0.5, turns=False)
        for name, x, y, angle in (("one", -1.0, 0.0, 0.0), ("two", 1.2, 0.1, np.pi / 2))
    ]
    balls = [ball("ball", 0.4, (-0.2, 0.75, 0.0), 1, restitution=0.8)]
    commands = Command(0.0, (0.8, 0.0, 0.0)), Command(1.5, (0.0, -0.6, 0.0))
    drives = Drive("one", 200.0, commands), Drive("two", 100.0, (Command(0.5, (-0.5, 0.0, 0.0)),))
    bodies = (*bars, *balls, wall("wall", (2.5, 0.2, 0.5), (0.0, -1.5, 0.0), restitution=0.5))
    found, truth = moved(Scene(bodies, Camera("top", (0.0, 0.0, 0.0)), fields=drives))
    assert np.ptp(truth[:, 2], axis=0).min() > 0.3, "the ball goes aside"
    assert np.linalg.norm(found - truth, axis=-1).max() < 0.02


def test_candidates_are_moved_apart_and_absent_bodies_touch_nothing() -> None:
    scene = make_scene(Row("collisions/pusher-v1", "test", 4))
    law = scene_law(scene, -0.5)
    first = simulate(scene, [-0.5], log=False).states[0][list(law.index)][:, [0, 1, 7, 8]]
    both = np.stack([first, first])
    both[1, 1] = np.nan
    moved = law.simulate(both, STEPS / 1200, ONE)
    np.testing.assert_array_equal(moved[0], law.simulate(both[:1], STEPS / 1200, ONE)[0])
    assert np.isnan(moved[1, :, 1]).all() and np.isfinite(moved[1, :, [0, 2]]).all()
    stronger = law.simulate(both[:1], np.array([0.0, 0.1]), 2 * ONE)[0, -1, 0, 2:]
    assert np.linalg.norm(stronger) == pytest.approx(0.8, rel=0.05), "twice the 4 m/s2 of its motor"
    (hit, *_) = law.contacts(first, np.array([-0.5, 4.0]), ONE)
    assert hit[1:] == (0, 1) and 0.5 < hit[0] < 1.7
    assert [each[2] for each in law.contacts(both[1], np.array([-0.5, 4.0]), ONE)] == []


def test_what_may_turn_or_slow_down_is_left_to_other_laws() -> None:
    scene = make_scene(Row("collisions/pusher-v1", "test", 4))
    bar, struck, *rest = scene.bodies
    for bodies in ((replace(bar, turns=True), struck, *rest), (bar, replace(struck, friction=0.1), *rest)):
        assert scene_law(replace(scene, bodies=bodies), -0.5).name == "bullet"
