"""What a World promises, against closed forms and SciPy: releases, holders, paths, impulses, contacts, joints, rods."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import ellipk

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError
from physbench.validity.task_checks.check_task import check_scene
from physbench.validity.task_checks.clip_protocol import check_links
from physbench.world.ballistic import accelerations, flies, fly
from physbench.world.bodies import ball, turned_from_front
from physbench.world.bullet import World, initial_states, simulate, simulate_batch, simulate_ensemble
from physbench.world.drawing import render
from physbench.world.links import guides
from physbench.world.scene import (
    HISTORY,
    PHYSICS_HZ,
    PHYSICS_STEP,
    Body,
    Camera,
    CentralGravity,
    ForceField,
    Hinge,
    Impulse,
    Rod,
    Scene,
    Slider,
    Spring,
    Vector,
    Waypoint,
    sphere_mass,
)

DOWN: Vector = (0.0, 0.0, -9.81)
FRONT, TOP = Camera("front", (0.0, 0.0, 2.0)), Camera("top", (0.0, 0.0, 0.0))
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)


def ball_at(name: str, position: Vector, radius: float = 0.4, **more: object) -> Body:
    return Body(name, "sphere", (radius,), "moving", position, mass=sphere_mass(radius), **more)  # type: ignore[arg-type]


def thrown(release: float = -0.7) -> Scene:
    """A ball that is held, thrown, bounces off the floor and off a second ball that rolls."""
    first = ball_at(
        "a", (-1.5, 0, 2), velocity=(1.5, 0, 1), spin=(0, 2, 0), restitution=0.8, friction=0.5, release=release
    )
    second = ball_at("b", (1.5, 0, 0.5), 0.5, velocity=(-0.5, 0, 0), spin=(0, -1, 0), restitution=0.8, friction=0.5)
    holder = Body("holder", "box", (0.2, 0.2, 0.05), "kinematic", (-1.5, 0, 1.55), collides=False, until=release)
    return Scene((FLOOR, first, second, holder), FRONT, DOWN)


def planets() -> Scene:
    star = Body("star", "sphere", (0.2,), "fixed", (0.1, 0, 0), collides=False)
    return Scene(
        (star, ball_at("p", (1.5, 0, 0), velocity=(0, 1.9, 0))),
        TOP,
        fields=(CentralGravity("star", 5.0),),
        horizon=8.0,
    )


def times(first: float, last: float, fps: float = 20) -> np.ndarray:
    return np.arange(round(first * fps), round(last * fps) + 1) / fps


def test_held_body_stays_and_then_gets_its_motion() -> None:
    every = np.arange(-2400, -838) / PHYSICS_HZ
    s = simulate(thrown(), every).states[:, 1]
    held = every < -0.7 - 1e-9
    assert (s[held, :7] == s[0, :7]).all()
    assert (s[held, 7:] == 0).all()
    k = int(np.argmin(np.abs(every + 0.7)))
    np.testing.assert_array_equal(s[k, :3], s[0, :3])
    np.testing.assert_array_equal(s[k, 7:], [1.5, 0, 1, 0, 2, 0])
    np.testing.assert_allclose(s[k + 1, 7:10], [1.5, 0, 1 - 9.81 / PHYSICS_HZ], atol=1e-12)


def test_others_bounce_off_a_held_body() -> None:
    held = ball_at("held", (0, 0, 0), release=0.0)
    other = ball_at("other", (-1.5, 0, 0), velocity=(1.0, 0, 0))
    s = simulate(Scene((held, other), FRONT), [-HISTORY, -0.5]).states
    np.testing.assert_array_equal(s[1, 0], s[0, 0])
    assert s[1, 1, 7] == pytest.approx(-1.0, abs=1e-9)


def test_bodies_that_vanish_no_longer_collide() -> None:
    wall = Body("wall", "box", (0.1, 1, 1), "fixed", (0, 0, 0), until=-1.0)
    early, late = (ball_at("ball", (-x, 0, 0), velocity=(1.0, 0, 0)) for x in (1.0003, 2.0003))
    assert simulate(Scene((wall, early), FRONT), [0.0]).states[0, 1, 7] == pytest.approx(-1.0)
    assert simulate(Scene((wall, late), FRONT), [0.0]).states[0, 1, 7] == 1.0


def test_bodies_that_do_not_collide_pass() -> None:
    ghost = Body("ghost", "box", (0.1, 1, 1), "fixed", (0, 0, 0), collides=False)
    a = ball_at("a", (-1.0, 0, 0), velocity=(1.0, 0, 0))
    b = ball_at("b", (1.0, 0, 0), velocity=(-1.0, 0, 0), collides=False)
    result = simulate(Scene((ghost, a, b), FRONT), [0.0])
    np.testing.assert_allclose(result.states[0, 1:, 0], [1.0, -1.0], atol=1e-9)
    assert result.contacts == ()


def test_kinematic_path_is_kept_and_pushes() -> None:
    """A wall at 1 m/s sends a resting elastic ball off at 2 m/s and does not feel it."""
    path = (Waypoint(-2.0, (-1.0, 0, 0)), Waypoint(0.0, (1.0, 0, 0)))
    wall = Body("wall", "box", (0.1, 1, 1), "kinematic", (-1, 0, 0), path=path)
    t = times(-2, 0.5)
    result = simulate(Scene((wall, ball_at("ball", (0, 0, 0))), FRONT), t)
    np.testing.assert_allclose(result.states[:, 0, 0], np.clip(t + 1, -1, 1), atol=1e-12)
    np.testing.assert_array_equal(result.states[:, 0, 7], np.where(t < 0, 1.0, 0.0))
    assert result.states[-1, 1, 7] == pytest.approx(2.0, abs=1e-6)
    assert [(c.a, c.b) for c in result.contacts] == [("wall", "ball")]
    assert result.contacts[0].time == pytest.approx(-1.5, abs=2e-3)


def test_a_belt_drags_what_lies_on_it_and_stays() -> None:
    """Coulomb's acceleration up to its speed; it stands where it did, as one copy or several."""
    belt = Body("belt", "box", (3, 1, 0.5), "fixed", (0, 0, -0.5), friction=0.2, surface=(1.0, 0, 0))
    box = Body("box", "box", (0.4, 0.4, 0.4), "moving", (0, 0, 0.4), restitution=0.0, friction=1.0, hue=0)
    scene = Scene((belt, box), FRONT, gravity=(0, 0, -9.81))
    t = times(-2, 0)
    result = simulate(scene, t)
    np.testing.assert_allclose(result.states[:, 1, 7], np.minimum(0.2 * 9.81 * (t + 2), 1.0), atol=2e-3)
    np.testing.assert_array_equal(result.states[:, 0, :3], [belt.position] * len(t))
    members = simulate_ensemble(scene, -2.0, np.repeat(initial_states(scene)[None], 2, axis=0), [0.0])
    np.testing.assert_allclose(members[:, 0, 1, :3], [result.states[-1, 1, :3]] * 2, atol=1e-4)
    with pytest.raises(ValueError, match="expected a fixed box"):
        dataclasses.replace(box, surface=(1.0, 0, 0))


def test_a_kept_world_is_not_lent_across_a_release() -> None:
    held = dataclasses.replace(ball_at("ball", (0, 0, 2.0)), release=0.5)
    scene = Scene((FLOOR, held), FRONT, DOWN)
    start = initial_states(scene)[None]
    hanging, _ = simulate_batch(scene, 0.0, start, [0.3])
    fallen, _ = simulate_batch(scene, 0.6, start, [0.8])
    assert hanging[0, 0, 1, 2] == pytest.approx(2.0)
    assert fallen[0, 0, 1, 2] == pytest.approx(2.0 - 9.81 * 0.2**2 / 2, abs=2e-3)


def pile(pins: int = 0) -> Scene:
    """Balls that fall onto each other beside a block that tips; a gate on a hinge, a block on a path, and many pins."""
    balls = [ball_at(f"ball {k}", (0.31 * (k % 2), 0, 0.4 + 0.85 * k), restitution=0.5, friction=0.6) for k in range(3)]
    block = Body("block", "box", (0.2, 0.4, 0.6), "moving", (-0.75, 0, 0.6), hue=0, restitution=0.2, friction=0.6)
    gate = Body("gate", "box", (0.1, 0.5, 0.5), "moving", (2.0, 0, 0.6), hue=0)
    path = (Waypoint(0.2, (3.2, 0, 0.6)), Waypoint(1.2, (2.3, 0, 0.6)))
    pusher = Body("pusher", "box", (0.1, 0.5, 0.4), "kinematic", (3.2, 0, 0.6), path=path)
    row = [Body(f"pin {k}", "sphere", (0.1,), "fixed", (-1.6 - 0.25 * k, 0, 0.1), friction=0.5) for k in range(pins)]
    return Scene((*balls, FLOOR, block, gate, pusher, *row), FRONT, DOWN, (Hinge("gate", (2.0, 0, 1.2)),))


@pytest.mark.parametrize("pins, log", [(0, False), (0, True), (40, False)])
def test_a_kept_world_begins_again_as_a_new_one(pins: int, log: bool) -> None:
    """To the last bit, in any order and beside any copies: contacts of what was simulated before are forgotten."""
    scene, rng, when = pile(pins), np.random.default_rng(0), [0.4, 0.8, 1.6]
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    starts = np.repeat(initial_states(scene)[None], 3, axis=0)
    starts[1:, moving, 0] += rng.normal(0, 0.02, (2, len(moving)))
    starts[2, moving, 7] += 0.5  # m/s

    def moved(scene: Scene, order: tuple[int, ...]) -> list[bytes]:
        each = {k: simulate_batch(scene, 0.0, starts[[k, k]], when, log=log)[0].tobytes() for k in order}
        return [each[k] for k in range(3)]

    first = moved(scene, (0, 1, 2))
    assert moved(scene, (2, 0, 1)) == first == moved(replace(scene), (1, 2, 0))
    assert (
        simulate_batch(scene, 0.0, starts[[0, 1, 2]], when, log=log)[0][:1].tobytes()
        == simulate_batch(scene, 0.0, starts[:1], when, log=log)[0].tobytes()
    )


def test_steps_are_the_same_however_many_are_asked_for() -> None:
    """Also where 1/1200 s x n / n is rounded, as for 80 steps; logged contacts are of the same motion."""
    scene = dataclasses.replace(pile(), fields=())
    start, every = initial_states(scene)[None], np.arange(1, 1601) / PHYSICS_HZ
    single, seldom = (simulate_batch(scene, 0.0, start, when)[0] for when in (every, every[79::80]))
    logged, contacts = simulate_batch(scene, 0.0, start, every[79::80], log=True)
    np.testing.assert_array_equal(single[:, 79::80], seldom)
    np.testing.assert_array_equal(logged, seldom)
    assert contacts


@pytest.mark.parametrize("count", [119, 225, 450])
def test_no_step_is_left_out_however_many_are_asked_for(count: int) -> None:
    """n steps of 1/1200 s in one call: n / 1200 s over n, and n / 1200 s over that, which rounds down for some n."""
    scene = Scene((ball_at("ball", (0, 0, 50)), FLOOR), FRONT, DOWN)
    when = [count / PHYSICS_HZ]
    fallen = simulate(scene, when).states[0, 0, 2]
    assert fallen == pytest.approx(simulate(scene, np.arange(1, count + 1) / PHYSICS_HZ).states[-1, 0, 2], abs=1e-9)
    again = [simulate_batch(scene, 0.0, initial_states(scene)[None], when)[0].tobytes() for _ in range(3)]
    assert len(set(again)) == 1


def test_impulse_changes_velocity_by_impulse_over_mass() -> None:
    pushed = ball_at("ball", (0, 0, 0), velocity=(0.5, 0, 0), spin=(0, 0, 1.0))
    s = simulate(
        Scene((pushed,), TOP, impulses=(Impulse(-1.5, "ball", (3.0, -2.0, 0.0)),)),
        np.arange(-1801, -1797) / PHYSICS_HZ,
    ).states[:, 0]
    np.testing.assert_allclose(s[1, 7:10], [0.5, 0, 0], atol=1e-12)  # at its time it is about to act
    change = s[2, 7:10] - s[1, 7:10]
    np.testing.assert_allclose(change, np.array([3.0, -2.0, 0.0]) / sphere_mass(0.4), rtol=1e-12)
    np.testing.assert_allclose(s[2, :3] - s[1, :3], s[2, 7:10] / PHYSICS_HZ, atol=1e-12)
    np.testing.assert_allclose(s[3, 10:], [0, 0, 1.0], atol=1e-12)


@pytest.mark.parametrize(("time", "name"), [(-0.71, "a"), (-1.0, "a"), (0.0, "floor")])
def test_impulses_that_cannot_act_are_refused(time: float, name: str) -> None:
    with pytest.raises(PhysbenchError, match="impulse"):
        simulate(dataclasses.replace(thrown(), impulses=(Impulse(time, name, (1, 0, 0)),)), [0.0])


def test_contact_is_logged_at_the_first_step_that_overlaps() -> None:
    every = np.arange(-2400, 1200) / PHYSICS_HZ
    result = simulate(Scene((FLOOR, ball_at("ball", (0, 0, 1.4), restitution=0.8)), FRONT, DOWN), every)
    height = result.states[:, 1, 2] - 0.4
    overlap = height <= 0
    first = every[1:][overlap[1:] & ~overlap[:-1]]
    logged = [c.time for c in result.contacts]
    assert len(logged) >= 4
    np.testing.assert_allclose(logged[:4], first[:4], atol=1e-9)
    assert {(c.a, c.b) for c in result.contacts} == {("floor", "ball")}


def test_permanent_support_is_one_contact() -> None:
    roller = ball_at("b", (1.5, 0, 0.5), 0.5, velocity=(-0.5, 0, 0), spin=(0, -1, 0), restitution=0.8, friction=0.5)
    box = Body("box", "box", (0.4, 0.4, 0.4), "moving", (-4, 0, 0.4), friction=0.5, restitution=0.3)
    result = simulate(Scene((FLOOR, roller, box), FRONT, DOWN), times(-2, 4))
    assert [(c.a, c.b) for c in result.contacts] == [("floor", "b"), ("floor", "box")]
    assert result.states[-1, 1, 0] == pytest.approx(1.5 - 3.0, abs=1e-3)


def test_times_off_the_grid_are_refused() -> None:
    with pytest.raises(PhysbenchError, match="multiples of 1/1200"):
        simulate(thrown(), [0.0001])


def test_does_not_depend_on_other_scenes() -> None:
    alone = simulate(thrown(), times(-2, 4)).states
    with World(planets()) as other:
        other.advance(-1.0)
        again = simulate(thrown(), times(-2, 4)).states
        other.advance(-0.5)
    np.testing.assert_array_equal(alone, again)


def test_does_not_depend_on_what_is_asked() -> None:
    """More requested times, or none logged, change nothing."""
    often, seldom = simulate(thrown(), times(-2, 4, 60)).states, simulate(thrown(), times(-2, 4, 5)).states
    np.testing.assert_array_equal(often[::12], seldom)
    with World(thrown(), log=False) as quiet:
        quiet.advance(4.0)
        np.testing.assert_array_equal(quiet.states()[0], often[-1])
        assert quiet.contacts == []


def test_same_states_in_another_process() -> None:
    code = "\n".join(
        [
            "import sys, hashlib; sys.path.insert(0, sys.argv[1])",
            "import test_bullet as t",
            "print(hashlib.sha256(t.simulate(t.thrown(), t.times(-2, 4)).states.tobytes()).hexdigest())",
        ]
    )
    here = __import__("hashlib").sha256(simulate(thrown(), times(-2, 4)).states.tobytes()).hexdigest()
    folder = __file__.rsplit("/", 1)[0]
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [here]  # and PyBullet wrote nothing
    assert done.stderr == ""


@pytest.mark.parametrize("make", [thrown, planets])
def test_ensemble_equals_single_simulations(make: object) -> None:
    scene: Scene = make()  # type: ignore[operator]
    t = times(0, 3)
    whole = simulate(scene, times(-2, 3)).states
    start = whole[40]
    members = np.repeat(start[None], 5, axis=0)
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    rng = np.random.default_rng(0)
    plane = [0, 2] if scene.camera.view == "front" else [0, 1]
    for axis in plane:
        members[1:, moving, axis] += rng.normal(0, 1e-3, (4, len(moving)))
        members[1:, moving, 7 + axis] += rng.normal(0, 1e-2, (4, len(moving)))
    together = simulate_ensemble(scene, 0.0, members, t)
    assert together.shape == (5, len(t), len(scene.bodies), 13)
    alone = np.concatenate([simulate_ensemble(scene, 0.0, member[None], t) for member in members])
    np.testing.assert_allclose(together, alone, atol=1e-9)
    np.testing.assert_allclose(together[0, ..., :3], whole[40:, :, :3], atol=1e-9)


def test_ensemble_with_a_release_ahead() -> None:
    scene = thrown(release=-0.4)
    scene = dataclasses.replace(scene, bodies=(scene.bodies[0], scene.bodies[1], scene.bodies[3]))
    whole = simulate(scene, times(-2, 2)).states
    members = np.repeat(whole[20][None], 3, axis=0)
    after = simulate_ensemble(scene, -1.0, members, times(-1, 2))
    np.testing.assert_allclose(after[1, ..., :3], whole[20:, :, :3], atol=1e-9)


def test_ensemble_on_a_table_that_collides() -> None:
    """Seen from above copies cannot stand one above the other: they stand side by side."""
    scene = dataclasses.replace(thrown(), camera=TOP)
    t = times(-2, 1)
    members = np.repeat(simulate(scene, [-2.0]).states, 3, axis=0)
    np.testing.assert_allclose(
        simulate_ensemble(scene, -2.0, members, t)[2, ..., :3], simulate(scene, t).states[..., :3], atol=1e-9
    )


def test_planes_on_all_sides_leave_single_simulations() -> None:
    s = math.sin(math.pi / 4)
    sides = [((0, 0, 0, 1), (0, 0, -5)), ((0, s, 0, s), (-5, 0, 0)), ((s, 0, 0, s), (0, 5, 0))]
    planes = [Body(f"p{i}", "plane", (), "fixed", at, turn) for i, (turn, at) in enumerate(sides)]  # type: ignore[arg-type]
    scene = Scene((*planes, ball_at("ball", (0, 0, 0), velocity=(1.0, 0.5, 0))), FRONT)
    members = np.repeat(simulate(scene, [-2.0]).states, 2, axis=0)
    t = times(-2, 1)
    np.testing.assert_array_equal(simulate_ensemble(scene, -2.0, members, t)[1], simulate(scene, t).states)


def test_numpy_flight_equals_bullet() -> None:
    t = times(-2, 8)
    bullet = simulate(planets(), t).states
    flight, near = fly(planets(), bullet[:1], np.rint((t + HISTORY) * PHYSICS_HZ).astype(np.int64), -HISTORY)
    assert not near.any()
    np.testing.assert_allclose(flight[0], bullet, atol=1e-10)


def test_numpy_flight_turns_and_falls_as_bullet() -> None:
    scene = Scene((ball_at("ball", (0, 0, 0), velocity=(1, 0, 5), spin=(1.0, -2.0, 0.5)),), FRONT, DOWN)
    t = times(-2, 0)
    bullet = simulate(scene, t).states
    flight, _ = fly(scene, bullet[:1], np.rint((t + HISTORY) * PHYSICS_HZ).astype(np.int64), -HISTORY)
    np.testing.assert_allclose(flight[0, ..., :3], bullet[..., :3], atol=1e-10)
    np.testing.assert_allclose(flight[0, ..., 7:], bullet[..., 7:], atol=1e-10)
    same = np.abs((flight[0, ..., 3:7] * bullet[..., 3:7]).sum(-1))
    np.testing.assert_allclose(same, 1.0, atol=1e-9)


def test_flight_is_left_to_bullet_where_bodies_meet() -> None:
    star = Body("star", "sphere", (0.2,), "fixed", (0, 0, 0))  # collides
    scene = Scene(
        (star, ball_at("p", (1.5, 0, 0), velocity=(0, 0.3, 0))),
        TOP,
        fields=(CentralGravity("star", 2.0),),
        horizon=8.0,
    )
    assert flies(scene, -2.0)
    t = times(-2, 2)
    one = simulate(scene, t)
    assert one.contacts
    result = simulate_ensemble(scene, -2.0, one.states[:1], t)[0]
    np.testing.assert_allclose(result, one.states, atol=1e-9)


def test_pybullet_is_imported_late() -> None:
    code = (
        "import sys, physbench.world, physbench.world.scene, physbench.world.camera, physbench.world.geometry, "
        "physbench.world.bullet, physbench.world.drawing; assert 'pybullet' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_pybullet_is_explained() -> None:
    code = "\n".join(
        [
            "import sys; sys.modules['pybullet'] = None",
            "from physbench.world.bullet import bullet",
            "from physbench.support.errors import PhysbenchError",
            "try: bullet()",
            "except PhysbenchError as error: print(error)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout
    assert "CPython 3.11" in done.stdout


G = 9.81
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


HOOK = Body("hook", "box", (0.05, 0.3, 0.05), "fixed", (0.0, 0.0, 1.6), grey=0.3, collides=False)
LENGTH, ANGLE, RATE = 2.4, 0.7, 1.0
MOMENTS = np.arange(-40, -15) / 20  # s
BOB = (LENGTH * np.sin(ANGLE), 0.0, 1.6 - LENGTH * np.cos(ANGLE))
MOVES = (LENGTH * RATE * np.cos(ANGLE), 0.0, LENGTH * RATE * np.sin(ANGLE))


def scene_of(*fields: ForceField, bodies: tuple[Body, ...]) -> Scene:
    """A scene that begins with the velocities of half a step ago, as the simulator has them."""
    alone = tuple(replace(body, collides=False) for body in bodies)
    scene = Scene((HOOK, *alone), Camera("front", (0.0, 0.0, 0.0)), gravity=(0.0, 0.0, -G), fields=fields)
    start = accelerations(scene, fields, initial_states(scene), -2.0) + np.array(scene.gravity)
    begun = [
        replace(body, velocity=tuple((np.array(body.velocity) - PHYSICS_STEP / 2 * a).tolist()))
        for body, a in zip(alone, start[1:], strict=True)
    ]
    return replace(scene, bodies=(HOOK, *begun))


def integrated(slopes: object, start: list[float]) -> Array:
    return np.asarray(solve_ivp(slopes, (0, 1.2), start, t_eval=MOMENTS + 2, rtol=1e-11, atol=1e-12).y)


def test_a_pendulum() -> None:
    scene = scene_of(Rod("hook", "a", LENGTH), bodies=(ball("a", 0.42, BOB, 0, velocity=MOVES),))
    states = simulate(scene, MOMENTS).states
    angle = integrated(lambda t, y: [y[1], -G / LENGTH * np.sin(y[0])], [ANGLE, RATE])[0]
    assert np.abs(states[:, 1, 0] - LENGTH * np.sin(angle)).max() < 1e-5
    away = np.linalg.norm(states[:, 1, :3] - HOOK.position, axis=-1)
    assert np.abs(away - LENGTH).max() < 1e-12
    copies = simulate_ensemble(scene, -2.0, np.repeat(initial_states(scene)[None], 2, axis=0), MOMENTS)
    assert np.abs(copies - states).max() < 1e-10


def test_a_double_pendulum() -> None:
    upper, lower = ball("a", 0.4, BOB, 0), ball("b", 0.3, (BOB[0] + 1.0, 0.0, BOB[2]), 1)
    scene = scene_of(Rod("hook", "a", LENGTH), Rod("a", "b", 1.0), bodies=(upper, lower))
    share = lower.mass / (upper.mass + lower.mass)

    def slopes(t: float, y: Array) -> list[float]:
        a, b, u, w = y
        sine, cosine = np.sin(a - b), np.cos(a - b)
        matrix = np.array([[LENGTH, share * cosine], [LENGTH * cosine, 1.0]])
        right = [-share * w * w * sine - G * np.sin(a), LENGTH * u * u * sine - G * np.sin(b)]
        return [u, w, *np.linalg.solve(matrix, right)]

    a, b = integrated(slopes, [ANGLE, np.pi / 2, 0.0, 0.0])[:2]
    found = simulate(scene, MOMENTS).states[:, 2, 0]
    assert np.abs(found - (LENGTH * np.sin(a) + np.sin(b))).max() < 1e-5


@pytest.mark.parametrize("rest", [0.0, 1.2])
def test_a_spring(rest: float) -> None:
    bob = ball("a", 0.42, BOB, 0, velocity=MOVES)
    scene = scene_of(Spring("hook", "a", 9.0 * bob.mass, rest), bodies=(bob,))

    def slopes(t: float, y: Array) -> list[float]:
        x, z = -y[0], 1.6 - y[1]
        pull = 9.0 * (1 - rest / np.hypot(x, z))
        return [y[2], y[3], pull * x, pull * z - G]

    x, z = integrated(slopes, [BOB[0], BOB[2], MOVES[0], MOVES[2]])[:2]
    found = simulate(scene, MOMENTS).states[:, 1]
    assert max(np.abs(found[:, 0] - x).max(), np.abs(found[:, 2] - z).max()) < 2e-5


def test_two_bodies_on_a_spring_keep_their_momentum() -> None:
    one, two = ball("a", 0.4, (0.0, 0.0, 0.0), 0), ball("b", 0.3, (1.5, 0.0, 0.0), 1)
    scene = replace(scene_of(Spring("a", "b", 300.0, 1.0), bodies=(one, two)), gravity=(0.0, 0.0, 0.0))
    states = simulate(scene, MOMENTS).states
    momentum = one.mass * states[:, 1, 7:10] + two.mass * states[:, 2, 7:10]
    assert np.ptp(momentum, axis=0).max() < 1e-9
    assert np.abs(states[:, 1, 7]).max() > 0.5


def test_a_rod_ends_where_its_anchor_vanishes() -> None:
    scene = scene_of(Rod("hook", "a", LENGTH), bodies=(ball("a", 0.42, BOB, 0),))
    cut = replace(scene, bodies=(replace(HOOK, until=-1.5), *scene.bodies[1:]))
    fall = simulate(cut, MOMENTS).states[:, 1, 9]
    assert np.diff(fall[MOMENTS > -1.4]) == pytest.approx(-G / 20, abs=1e-9)


def test_what_is_none_is_refused() -> None:
    wrong = [lambda: Rod("a", "a", 1.0), lambda: Rod("a", "b", 0.0), lambda: Spring("a", "b", -1.0, 1.0)]
    for make in wrong:
        with pytest.raises(ValueError, match="expected two bodies"):
            make()
