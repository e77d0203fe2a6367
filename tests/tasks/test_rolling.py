"""Tasks of rolling and sliding: PyBullet against closed forms, the protocol, what is seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import SPLITS, Params, Task
from physbench.laws.scene_law import scene_law
from physbench.tasks.rolling import (
    BACK_BEFORE_END,
    BOX,
    VIEW_AFTER_LANDING,
    VIEW_UNTIL,
    Conveyor,
    RampUp,
    RollingRace,
    RollOff,
    SlideStop,
    along_ramp_up,
    belt_speed,
    carried,
    edge_of,
    race_acceleration,
    race_times,
    ramp_up_times,
    slide_end,
    slide_way,
)
from physbench.track.tracker import track
from physbench.world.bullet import Simulation, simulate
from physbench.world.camera import px_from_world
from physbench.world.scene import HORIZON, PHYSICS_HZ, WINDOW, Scene

TIMES = np.arange(-2 * PHYSICS_HZ, 4 * PHYSICS_HZ + 1, 12) / PHYSICS_HZ  # s
SEEDS = range(2)


def played(task: type[Task], split: Split, seed: int) -> tuple[Params, Scene, Simulation, np.ndarray, np.ndarray]:
    """Parameters, scene and simulation of a clip; way of its body along its path from the middle, and its height, m."""
    row = Row(task.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    simulation = simulate(scene, TIMES)
    way = simulation.states[:, 0, 0] * math.copysign(1.0, p["belt" if task is Conveyor else "velocity"])
    assert np.abs(simulation.states[:, 0, 1]).max() < 0.01, "it stays in the plane of motion"
    return p, scene, simulation, way, simulation.states[:, 0, 2]


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_a_box_slides_as_coulomb_says(split: Split) -> None:
    """v / (mu g) s and v^2 / (2 mu g) m, whatever its mass."""
    for seed in SEEDS:
        p, _, _, way, height = played(SlideStop, split, seed)
        expected = [slide_way(p, time) - p["start"] for time in TIMES]
        np.testing.assert_allclose(way, expected, atol=0.003)
        stop, far = slide_end(p)
        half = height[0]
        assert 0.2 <= stop <= 2.4 and way[-1] == pytest.approx(far - p["start"], abs=0.006)
        np.testing.assert_allclose(height, half, atol=0.01)
        assert np.abs(way).max() + half <= WINDOW / 2
        assert way[-1] - way[TIMES == 0][0] >= 2 * BOX.rest_distance * p["size"] - 0.01


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_a_hollow_cylinder_rolls_as_euler_says(split: Split) -> None:
    """g sin a / (1 + k) along the ramp, k = 1/2 of a full and (1 + b^2) / 2 of a hollow one, to the stop."""
    for seed in SEEDS:
        row = Row(RollingRace.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        states = simulate(scene, TIMES).states
        assert scene_law(scene, 0.0).name == "planar"
        for name, bore, arrival in zip(("full", "hollow"), (0.0, p["bore"]), race_times(p), strict=True):
            way = np.linalg.norm(states[:, scene.index(name), :3] - states[0, scene.index(name), :3], axis=-1)
            rolled = race_acceleration(p, bore) * np.maximum(TIMES - p["release"], 0.0) ** 2 / 2
            np.testing.assert_allclose(way, np.minimum(rolled, p["start"]), atol=0.01)
            assert 0.2 <= arrival < HORIZON


def test_a_thin_ring_is_found_whole_where_its_pixels_come_in_pieces() -> None:
    clip = make_clip(Row(RollingRace.id, "test", 8), render_spec(64, 15))
    window = clip.window(8)
    tracks = track(clip, 8, clip.frames[window])
    ring = clip.states[window, clip.scene.index("hollow"), :3]
    off = tracks.position[:, tracks.names.index("hollow")] - px_from_world(clip.scene.camera, clip.spec, ring)
    assert np.linalg.norm(off, axis=1).max() < 0.25


def test_the_grey_shows_the_friction_of_the_floor() -> None:
    for split in SPLITS:
        for seed in range(10):
            scene = make_scene(Row(SlideStop.id, split, seed))
            box, ground = scene.bodies[0], scene.bodies[scene.index("floor")]
            assert ground.grey == pytest.approx(0.95 - 0.5 * box.friction * ground.friction) and ground.grey >= 0.6


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_a_ball_rolls_off_and_lands_where_galilei_says(split: Split) -> None:
    """Straight to the edge, sqrt(2 h / g) s of flight at the same speed, then bounces of e^2 of the height."""
    for seed in SEEDS:
        p, _, simulation, way, height = played(RollOff, split, seed)
        speed, radius, gravity = abs(p["velocity"]), p["radius"], p["gravity"]
        flight = math.sqrt(2 * p["height"] / gravity)
        np.testing.assert_allclose(way, -p["start"] + speed * np.maximum(TIMES - p["release"], 0.0), atol=0.02)
        on, off = p["leaving"], p["leaving"] + flight
        assert speed**2 > gravity * radius, "it leaves the edge at once"
        assert 0.2 <= on <= off <= 2.4 and edge_of(p) == pytest.approx(np.interp(on, TIMES, way), abs=0.01)
        landing = next(contact.time for contact in simulation.contacts if "floor" in (contact.a, contact.b))
        assert landing == pytest.approx(off, abs=0.01)
        rests = (p["release"] <= TIMES) & (on - 0.02 >= TIMES)
        np.testing.assert_allclose(height[rests], p["height"] + radius, atol=0.005)
        falls = (on <= TIMES) & (off - 0.02 >= TIMES)
        fallen = p["height"] + radius - gravity * (TIMES[falls] - on) ** 2 / 2
        np.testing.assert_allclose(height[falls], fallen, atol=0.02)
        peak = height[off + 0.05 < TIMES].max() - radius
        assert peak == pytest.approx(p["restitution"] ** 2 * p["height"], rel=0.03)
        assert np.abs(way[max(off + VIEW_AFTER_LANDING, VIEW_UNTIL) >= TIMES]).max() + radius <= WINDOW / 2


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_a_ball_rolls_up_a_ramp_and_back(split: Split) -> None:
    """5/7 g sin a, and (2 + 5 cos a) / 7 of the speed at the foot, up and down: within 4 mm after 4 s."""
    for seed in SEEDS[:1]:
        p, _, simulation, way, height = played(RampUp, split, seed)
        expected = np.array([along_ramp_up(p, time) for time in TIMES])
        np.testing.assert_allclose(np.stack([way, height], axis=-1), expected, atol=0.004)
        _, turn, back = ramp_up_times(p)
        assert 0.2 <= p["meeting"] < turn <= 2.4 and back <= 4.0 - BACK_BEFORE_END
        met = next(contact.time for contact in simulation.contacts if "ramp" in (contact.a, contact.b))
        assert met == pytest.approx(p["meeting"], abs=2 / PHYSICS_HZ)
        # It bumps twice: each costs 1 - ((2 + 5 cos a) / 7)^2 of the energy.
        loss = ((2 + 5 * math.cos(p["angle"])) / 7) ** 2
        assert simulation.states[-1, 0, 7] / simulation.states[TIMES == 0, 0, 7] == pytest.approx(-loss, abs=2e-3)
        assert np.abs(way).max() + p["radius"] <= WINDOW / 2


@pytest.mark.parametrize("split", ["test", "ood"])
def test_a_belt_carries_a_box_all_along_and_a_ball_by_two_sevenths(split: Split) -> None:
    """Within 4 mm after 4 s."""
    shapes = set()
    for seed in (1, 6 if split == "test" else 0):
        p, _, simulation, way, _ = played(Conveyor, split, seed)
        expected = [p["start"] + carried(p, time) for time in TIMES]
        np.testing.assert_allclose(way, expected, atol=0.004)
        share = 1.0 if p["shape"] == 0 else 2 / 7
        assert simulation.states[-1, 0, 7] == pytest.approx(share * belt_speed(p), abs=1e-3)
        slip = simulation.states[-1, 0, 7] - p["size"] * simulation.states[-1, 0, 11]
        assert slip == pytest.approx(belt_speed(p), abs=1e-3), "it does not slip any more"
        assert np.abs(way).max() + p["size"] <= WINDOW / 2
        shapes.add(p["shape"])
    assert shapes == {0, 1}


def test_marks_show_the_speed_of_the_belt() -> None:
    """They fill the window at any time, and move as fast as the surface, which stays where it is."""
    p, scene, simulation, _, _ = played(Conveyor, "test", 0)
    belt = scene.bodies[scene.index("belt")]
    marks = [i for i, body in enumerate(scene.bodies) if body.name.startswith("mark")]
    x = simulation.states[:, marks, 0]
    np.testing.assert_allclose(np.diff(x, axis=0) / np.diff(TIMES)[:, None], belt.surface[0], atol=1e-9)
    assert belt.surface[0] == belt_speed(p)
    np.testing.assert_array_equal(simulation.states[:, scene.index("belt"), :3], [belt.position] * len(TIMES))
    np.testing.assert_allclose(np.diff(np.sort(x, axis=1), axis=1), 1.6, atol=1e-9)
    assert (np.sum(np.abs(x) <= WINDOW / 2, axis=1) >= 3).all()
    assert belt.grey == pytest.approx(0.95 - 0.5 * belt.friction)
