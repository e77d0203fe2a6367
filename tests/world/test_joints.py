"""Hinges and sliders: PyBullet against closed forms, their pictures, and those that are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ellipk

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.support.arrays import Array
from physbench.validity.task_checks.check_task import check_scene
from physbench.validity.task_checks.clip_protocol import check_links
from physbench.world.bodies import ball, turned_from_front
from physbench.world.bullet import World, initial_states, simulate, simulate_ensemble
from physbench.world.drawing import render
from physbench.world.links import guides
from physbench.world.scene import PHYSICS_HZ, Body, Camera, Hinge, Scene, Slider, Vector

G, FRONT, TOP = 9.81, Camera("front", (0.0, 0.0, 2.0)), Camera("top", (0.0, 0.0, 0.0))
SIZE, ARM, AXIS = (0.12, 0.5, 1.1), 0.9, (0.3, 0.0, 2.2)
INERTIA = (SIZE[0] ** 2 + SIZE[2] ** 2) / 3 + ARM**2  # about the axis, over the mass
TIMES = np.arange(-2 * PHYSICS_HZ, 6 * PHYSICS_HZ + 1, 4) / PHYSICS_HZ  # s


def plank(angle: float, release: float | None = None) -> Body:
    """A plank that hangs from its hinge, `angle` rad away from straight down."""
    place = (AXIS[0] + ARM * np.sin(angle), 0.0, AXIS[2] - ARM * np.cos(angle))
    turn = turned_from_front(angle)
    return Body("plank", "box", SIZE, "moving", place, turn, hue=0, flat=True, collides=False, release=release)


def hanging(angle: float, *others: Body, release: float | None = None) -> Scene:
    return Scene((plank(angle, release), *others), FRONT, (0.0, 0.0, -G), (Hinge("plank", AXIS),), prompt="It swings.")


@pytest.mark.parametrize("angle, release", [(0.1, None), (1.0, -1.5), (2.5, None)])
def test_a_plank_on_a_hinge_has_the_period_of_a_physical_pendulum(angle: float, release: float | None) -> None:
    """T = 4 K(sin(a / 2)) sqrt(I / (m g d)) at any amplitude (Legendre), and the plank stays on its circle."""
    states = simulate(hanging(angle, release=release), TIMES).states[:, 0]
    x, z = states[:, 0] - AXIS[0], AXIS[2] - states[:, 2]
    swing = np.arctan2(x, z)
    (at,) = np.nonzero((swing[:-1] < 0) & (swing[1:] >= 0))
    crossings = TIMES[at] - swing[at] / (swing[at + 1] - swing[at]) * (TIMES[1] - TIMES[0])
    period = 4 * ellipk(np.sin(angle / 2) ** 2) * np.sqrt(INERTIA / (G * ARM))
    assert np.diff(crossings).mean() == pytest.approx(period, rel=1e-6)
    assert np.abs(np.hypot(x, z) - ARM).max() < 1e-12 and not states[:, 1].any()
    assert np.abs(np.abs(swing).max() - angle) < 1e-5
    assert states[:, 3:7] == pytest.approx(np.array([turned_from_front(a) for a in swing]), abs=1e-9)


@pytest.mark.parametrize("angle", [0.3, 1.2])
def test_a_box_on_a_slider_is_accelerated_by_g_sin_a(angle: float) -> None:
    along = np.array([np.cos(angle), 0.0, -np.sin(angle)])
    box = Body("box", "box", (0.4, 0.4, 0.4), "moving", (0.0, 0.0, 2.0), hue=0, flat=True)
    scene = Scene((box,), FRONT, (0.0, 0.0, -G), (Slider("box", *rail((0.0, 0.0, 2.0), along)),))
    states = simulate(scene, TIMES[:300]).states[:, 0]
    time = TIMES[:300] + 2
    way = G * np.sin(angle) * time * (time + 1 / PHYSICS_HZ) / 2  # of the simulator's steps, v += h a, x += h v
    assert np.abs(states[:, :3] - [0.0, 0.0, 2.0] - way[:, None] * along).max() < 1e-10
    assert np.abs(states[:, 3:6]).max() == 0 and np.abs(states[:, 10:]).max() == 0


def rail(begin: Vector, along: Array) -> tuple[Vector, Vector]:
    x, y, z = (begin + 2 * along).tolist()
    return begin, (x, y, z)


@pytest.mark.parametrize("restitution", [1.0, 0.4])
def test_a_gate_that_a_ball_hits_has_the_impulse_of_a_lever(restitution: float) -> None:
    """J = (1 + e) v / (1/m + r^2/I) at distance r from the axis; the gate turns by J r / I, seen from the top."""
    gate = Body("gate", "box", (0.9, 0.16, 0.5), "moving", (0.9, 0.0, 0.0), hue=0, flat=True)
    thrown = ball("ball", 0.4, (1.3, -1.0, 0.0), 1, velocity=(0.0, 3.0, 0.0), restitution=restitution)
    hinge = Hinge("gate", (0.1, 0.0, 0.0))
    scene = Scene((gate, thrown), TOP, fields=(hinge,))
    lever, inertia = 1.2, guides(scene)[0].inertia
    assert inertia == pytest.approx(gate.mass * ((0.9**2 + 0.16**2) / 3 + 0.8**2))
    impulse = (1 + restitution) * 3.0 / (1 / thrown.mass + lever**2 / inertia)
    after = simulate(scene, [-1.7]).states[0]
    assert after[0, 12] == pytest.approx(impulse * lever / inertia, rel=1e-3)
    assert after[1, 8] == pytest.approx(3.0 - impulse / thrown.mass, abs=2e-3)
    assert np.linalg.norm(after[0, :3] - hinge.point) == pytest.approx(0.8, abs=1e-12)


def test_a_hinge_in_the_middle_of_a_body_keeps_its_turn() -> None:
    wheel = Body("wheel", "box", (0.9, 0.5, 0.3), "moving", AXIS, turned_from_front(0.4), spin=(0.0, -2.0, 0.0), hue=0)
    scene = Scene((wheel,), FRONT, (0.0, 0.0, -G), (Hinge("wheel", AXIS),))
    states = simulate(scene, [-1.0, 0.0]).states[:, 0]
    assert states[:, 3:7] == pytest.approx(np.array([turned_from_front(2.4), turned_from_front(4.4)]), abs=1e-9)
    assert states[:, :3] == pytest.approx(np.array([AXIS, AXIS]), abs=0)


def test_copies_and_other_states_are_brought_onto_the_joint() -> None:
    scene, times = hanging(1.0, ball("ball", 0.4, (-1.5, 0.0, 0.4), 1)), np.array([-1.0, 0.0, 1.0])
    alone = simulate(scene, times).states
    start = np.repeat(initial_states(scene)[None], 3, axis=0)
    start[1, 0, :3] += 0.02 * (start[1, 0, :3] - AXIS)  # off its circle, in the same direction
    assert np.abs(simulate_ensemble(scene, -2.0, start, times) - alone).max() < 1e-12


def test_a_push_turns_what_a_hinge_holds() -> None:
    with World(hanging(0.0)) as world:
        world.push("plank", (10.0, 0.0, 7.0))
        state = world.states()[0, 0]
    mass = plank(0.0).mass
    assert state[7:10] == pytest.approx([10.0 * ARM**2 / (mass * INERTIA), 0.0, 0.0])
    assert state[11] == pytest.approx(-10.0 * ARM / (mass * INERTIA))


def test_the_rim_of_a_hinge_is_seen() -> None:
    scene, spec = hanging(0.5), render_spec(128, 1)
    states = simulate(scene, [0.0]).states
    before, after = (render(each, [0.0], states, spec) for each in (replace(scene, fields=()), scene))
    assert np.abs(before.visible_area - after.visible_area).max() < 0.5  # px
    y, x = np.nonzero((before.frames[0] != after.frames[0]).any(axis=-1))
    here = 5.12 / 128 * np.stack([x - 63.5, 63.5 - y], axis=-1) + [0.0, FRONT.center[2]]
    away = np.linalg.norm(here - np.array(AXIS)[[0, 2]], axis=-1)
    assert len(away) > 8 and away.min() > 0.08 and away.max() < 0.12 + 0.08 + 0.06  # from the edge of the plank on


def test_joints_that_no_picture_can_show_are_refused() -> None:
    clip = make_clip(Row("falling/seesaw-v1", "test", 0), render_spec(64, 1))
    assert not list(check_links(clip))
    screen = Body("screen", "box", (2.0, 0.05, 2.5), "fixed", (0.0, -1.0, 1.0), grey=0.28)
    hidden = replace(clip.scene, bodies=(*clip.scene.bodies, screen))
    clip = replace(clip, scene=hidden, states=np.concatenate([clip.states, clip.states[:, -1:]], axis=1))
    clip.states[:, -1] = initial_states(hidden)[-1]
    assert [each.text for each in check_links(clip)] == [
        "the Hinge of plank cannot be seen before 0: it differs from what is behind it by 0 of 255 grey levels, and 12 "
        "are needed"
    ]


def test_a_body_that_its_joint_does_not_hold_is_refused() -> None:
    scene = hanging(0.0)
    assert not [each for each in check_scene(scene) if each.state == "failed"]

    def refused(**changes: object) -> list[str]:
        body = replace(scene.bodies[0], **changes)  # type: ignore[arg-type]
        return [each.text for each in check_scene(replace(scene, bodies=(body,))) if each.state == "failed"]

    assert refused(position=(0.3, 0.0, 0.5)) == ["the hinge of plank is 0.60 m beside it"]
    moves = ["plank begins with a motion that its Hinge does not let it have"]
    assert refused(velocity=(0.0, 0.0, 1.0)) == moves and refused(spin=(0.0, 1.0, 0.0)) == moves
    assert not refused(velocity=(-ARM, 0.0, 0.0), spin=(0.0, 1.0, 0.0))
    sliding = replace(scene, fields=(Slider("plank", (0.0, 0.0, 2.0), (1.0, 0.0, 2.0)),))
    assert "plank begins 0.700 m beside its slider" in [each.text for each in check_scene(sliding)]
    assert "plank hangs on a hinge and does not turn" in refused(turns=False)
    outwards = replace(scene, fields=(Slider("plank", (0.3, -1.0, 2.3), (0.3, 1.0, 0.3)),))
    assert "the slider of plank leads out of the plane of motion" in [each.text for each in check_scene(outwards)]


def test_a_body_that_turns_in_place_is_said_to_be_read_by_no_scorer() -> None:
    def said(scene: Scene) -> list[str]:
        return [each.text for each in check_scene(scene) if "turns in place" in each.text]

    wheel = replace(plank(0.0), position=AXIS, hue=1)
    assert not said(replace(hanging(0.0), bodies=(replace(plank(0.0), hue=1),)))
    assert said(replace(hanging(0.0), bodies=(wheel,))) == [
        "plank turns in place: no reading sees how far, only what it hits is judged"
    ]
    assert not said(replace(hanging(0.0), bodies=(replace(wheel, hue=None),))), "what no tracker follows anyway"


def test_the_depth_at_which_a_hinge_is_named_changes_nothing() -> None:
    scenes = [replace(hanging(1.0), fields=(Hinge("plank", (AXIS[0], y, AXIS[2])),)) for y in (0.0, 0.3)]
    (near,), (far,) = (guides(scene).values() for scene in scenes)
    assert near.inertia == pytest.approx(far.inertia) and near.point == pytest.approx(far.point)
    one, other = (simulate(scene, TIMES[:300]).states for scene in scenes)
    assert one == pytest.approx(other, abs=1e-12)
    assert far.coordinates(other[:, 0])[0] == pytest.approx(near.coordinates(one[:, 0])[0])


def test_what_is_no_joint_is_refused() -> None:
    with pytest.raises(ValueError, match="is no hinge: expected a point"):
        Hinge("plank", (0.0, float("nan"), 0.0))
    with pytest.raises(ValueError, match="is no slider: expected two points"):
        Slider("plank", AXIS, AXIS)
    with pytest.raises(ValueError, match=r"0\.01 m apart or more"):
        Slider("plank", (0.0, 0.0, 1.0), (1e-200, 0.0, 1.0))
    with pytest.raises(ValueError, match="expected one on 'plank', a body that moves"):
        replace(hanging(0.0), fields=(Hinge("plank", AXIS), Slider("plank", AXIS, (0.0, 0.0, 0.0))))
    with pytest.raises(ValueError, match="no body named 'gate'"):
        replace(hanging(0.0), fields=(Hinge("gate", AXIS),))
