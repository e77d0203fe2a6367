"""Corners, pegs and bodies that meet nothing: the law against the simulator, however long it looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.laws.planar_law import PlanarLaw
from physbench.laws.scene_law import Intervention, scene_law
from physbench.world.bullet import simulate_ensemble
from physbench.world.scene import Body, Camera, Scene

Array = NDArray[np.float64]

CAMERA = Camera("front", (0.0, 0.0, 1.0))
GRAVITY = (0.0, 0.0, -9.81)
BOX = Body("box", "box", (0.5, 0.5, 0.5), "fixed", (0.0, 0.0, 0.5), friction=0.6)
PEG = Body("peg", "sphere", (0.1,), "fixed", (0.1, 0.0, 1.0))
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, -3.0))


def ball(x: float, z: float, **more: object) -> Body:
    return Body("ball", "sphere", (0.3,), "moving", (x, 0.0, z), hue=0, restitution=0.8, **more)  # type: ignore[arg-type]


def states_of(scene: Scene) -> Array:
    states = np.zeros((len(scene.bodies), 13))
    for state, body in zip(states, scene.bodies, strict=True):
        state[:3], state[3:7], state[7:10], state[10:] = body.position, body.orientation, body.velocity, body.spin
    return states


def positions(scene: Scene, end: float) -> tuple[Array, Array]:
    """Places (T, 2) m of the first body at 30 frames/s up to `end` s, of the law and of the simulator."""
    times = np.arange(1, round(end * 30) + 1) / 30
    states = states_of(scene)
    true = simulate_ensemble(scene, 0.0, states[None], times)[0]
    model = scene_law(scene, 0.0)
    changes = []
    for n, i in enumerate(model.index):
        x, _, z, vx, _, vz = states[i, [0, 1, 2, 7, 8, 9]]
        spin = states[i, 11] * scene.bodies[i].size[0]
        changes.append(Intervention(0, n, "state", np.array([[x, z, vx, vz, spin, 0.0]])))
    trajectory = model.simulator().run(changes, round(times[-1] * 1200)).positions(times * 1200)[0]
    return trajectory[:, 0], true[:, model.index[0], [0, 2]]


# At 0.51 the ball touches by 0.04 mm: the simulator takes that for 0.01 mm too few, and 0.01 m/s of the bounce away.
@pytest.mark.parametrize(("x", "most"), [(0.51, 8e-3), (0.55, 1e-3), (0.6, 1e-3), (0.7, 1e-3), (0.79, 1e-3)])
@pytest.mark.parametrize("friction", [0.0, 0.5])
def test_a_ball_on_a_corner_of_a_box_goes_where_the_simulators_goes(x: float, most: float, friction: float) -> None:
    scene = Scene((ball(x, 3.0, friction=friction), BOX), CAMERA, gravity=GRAVITY)
    trajectory, true = positions(scene, 1.2)
    assert np.linalg.norm(trajectory - true, axis=-1).max() < most
    assert np.abs(true[-1, 0] - x) > 0.1  # it was thrown aside


def test_what_rolls_off_the_edge_of_a_box_falls_as_the_simulators() -> None:
    rolling = ball(0.3, 1.3, velocity=(2.0, 0.0, 0.0), spin=(0.0, 2.0 / 0.3, 0.0), friction=0.5)
    trajectory, true = positions(Scene((rolling, BOX), CAMERA, gravity=GRAVITY), 0.6)
    assert np.linalg.norm(trajectory - true, axis=-1).max() < 0.01


@pytest.mark.parametrize("obstacle", [PEG, BOX])
def test_corners_are_met_at_the_same_time_however_far_the_model_looks(obstacle: Body) -> None:
    x = {"peg": 0.15, "box": 0.6}[obstacle.name]
    scene = Scene((ball(x, 3.0), obstacle), CAMERA, gravity=GRAVITY)
    model = scene_law(scene, 0.0)
    start = [Intervention(0, 0, "state", np.array([[x, 3.0, 0.0, 0.0, 0.0, 0.0]]))]
    touches = [model.simulator().run(start, round(1200 * end)).contacts[0] for end in (0.7, 1.0, 3.0, 9.0)]
    assert len(set(touches)) == 1
    trajectory, true = positions(scene, 1.0)
    assert np.linalg.norm(trajectory - true, axis=-1).max() < 2e-3


def test_what_collides_with_nothing_passes_through_everything() -> None:
    ghosts = ball(0.0, 2.0, collides=False), Body("other", "sphere", (0.3,), "moving", (0.1, 0.0, 3.0), hue=1)
    scene = Scene((*ghosts, FLOOR, BOX), CAMERA, gravity=GRAVITY)
    trajectory, true = positions(scene, 1.0)
    assert np.allclose(trajectory, true, atol=1e-6)
    assert trajectory[-1, 1] < -2.0


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_a_cylinder_seen_from_its_end_meets_corners_as_a_ball_does(turn: float) -> None:
    across = (float(np.sqrt(0.5)), 0.0, 0.0, float(np.sqrt(0.5)))
    disc = Body("disc", "cylinder", (0.3, 0.6), "moving", (0.6, 0.0, 2.0), across, hue=0, restitution=0.8, flat=True)
    tilted = (0.0, float(np.sin(turn / 2)), 0.0, float(np.cos(turn / 2)))
    box = Body("box", "box", (0.5, 0.5, 0.5), "fixed", (0.0, 0.0, 0.5), tilted)
    trajectory, true = positions(Scene((disc, box), CAMERA, gravity=GRAVITY), 0.8)
    assert np.linalg.norm(trajectory - true, axis=-1).max() < 1e-3


def test_corners_that_other_bodies_cover_cost_nothing() -> None:
    """A box on the floor shows two of its four; where the cushions of a table meet, a ball touches none."""
    table = scene_law(make_scene(Row("collisions/billiards-v1", "test", 0)), -0.4)
    assert isinstance(table, PlanarLaw) and len(table.world.corner) < 16
    ground = replace(FLOOR, position=(0.0, 0.0, 0.0))
    box = scene_law(Scene((ball(0.6, 3.0), BOX, ground), CAMERA, gravity=GRAVITY), 0.0)
    assert isinstance(box, PlanarLaw)
    assert np.allclose(np.sort(box.world.corner[:, 0]), [-0.499, 0.499])
    assert np.allclose(box.world.corner[:, 1], 0.999)


def test_a_ball_that_has_bounced_enough_rests() -> None:
    """Bounces of a few steps would go on for ever, one event each: the candidate would be lost, and cost the most."""
    ground = replace(FLOOR, position=(0.0, 0.0, 0.0))
    scene = Scene((ball(0.0, 0.5), ground), CAMERA, gravity=GRAVITY)
    model = scene_law(scene, 0.0)
    trajectory = model.simulator().run([Intervention(0, 0, "state", np.array([[0.0, 0.5, 0.0, 0.0, 0.0, 0.0]]))], 4800)
    assert len(trajectory.contacts) < 40
    found, true = positions(scene, 4.0)
    assert np.linalg.norm(found - true, axis=-1).max() < 3e-3
