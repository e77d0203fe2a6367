"""What a World promises: releases, holders, paths, impulses, contacts, and independence of everything else."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest

from physbench.support.errors import PhysbenchError
from physbench.world.ballistic import flies, fly
from physbench.world.bullet import World, initial_states, simulate, simulate_ensemble
from physbench.world.scene import (
    HISTORY,
    PHYSICS_HZ,
    Body,
    Camera,
    CentralGravity,
    Impulse,
    Scene,
    Vector,
    Waypoint,
    sphere_mass,
)

DOWN: Vector = (0.0, 0.0, -9.81)
FRONT, TOP = Camera("front", (0.0, 0.0, 2.0)), Camera("top", (0.0, 0.0, 0.0))
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)


def ball(name: str, position: Vector, radius: float = 0.4, **more: object) -> Body:
    return Body(name, "sphere", (radius,), "moving", position, mass=sphere_mass(radius), **more)  # type: ignore[arg-type]


def thrown(release: float = -0.7) -> Scene:
    """A ball that is held, thrown, bounces off the floor and off a second ball that rolls."""
    first = ball(
        "a", (-1.5, 0, 2), velocity=(1.5, 0, 1), spin=(0, 2, 0), restitution=0.8, friction=0.5, release=release
    )
    second = ball("b", (1.5, 0, 0.5), 0.5, velocity=(-0.5, 0, 0), spin=(0, -1, 0), restitution=0.8, friction=0.5)
    holder = Body("holder", "box", (0.2, 0.2, 0.05), "kinematic", (-1.5, 0, 1.55), collides=False, until=release)
    return Scene((FLOOR, first, second, holder), FRONT, DOWN)


def planets() -> Scene:
    star = Body("star", "sphere", (0.2,), "fixed", (0.1, 0, 0), collides=False)
    return Scene(
        (star, ball("p", (1.5, 0, 0), velocity=(0, 1.9, 0))), TOP, fields=(CentralGravity("star", 5.0),), horizon=8.0
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
    held = ball("held", (0, 0, 0), release=0.0)
    other = ball("other", (-1.5, 0, 0), velocity=(1.0, 0, 0))
    s = simulate(Scene((held, other), FRONT), [-HISTORY, -0.5]).states
    np.testing.assert_array_equal(s[1, 0], s[0, 0])
    assert s[1, 1, 7] == pytest.approx(-1.0, abs=1e-9)


def test_bodies_that_vanish_no_longer_collide() -> None:
    wall = Body("wall", "box", (0.1, 1, 1), "fixed", (0, 0, 0), until=-1.0)
    early, late = (ball("ball", (-x, 0, 0), velocity=(1.0, 0, 0)) for x in (1.0003, 2.0003))
    assert simulate(Scene((wall, early), FRONT), [0.0]).states[0, 1, 7] == pytest.approx(-1.0)
    assert simulate(Scene((wall, late), FRONT), [0.0]).states[0, 1, 7] == 1.0


def test_bodies_that_do_not_collide_pass() -> None:
    ghost = Body("ghost", "box", (0.1, 1, 1), "fixed", (0, 0, 0), collides=False)
    a = ball("a", (-1.0, 0, 0), velocity=(1.0, 0, 0))
    b = ball("b", (1.0, 0, 0), velocity=(-1.0, 0, 0), collides=False)
    result = simulate(Scene((ghost, a, b), FRONT), [0.0])
    np.testing.assert_allclose(result.states[0, 1:, 0], [1.0, -1.0], atol=1e-9)
    assert result.contacts == ()


def test_kinematic_path_is_kept_and_pushes() -> None:
    """A wall at 1 m/s sends a resting elastic ball off at 2 m/s and does not feel it."""
    path = (Waypoint(-2.0, (-1.0, 0, 0)), Waypoint(0.0, (1.0, 0, 0)))
    wall = Body("wall", "box", (0.1, 1, 1), "kinematic", (-1, 0, 0), path=path)
    t = times(-2, 0.5)
    result = simulate(Scene((wall, ball("ball", (0, 0, 0))), FRONT), t)
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


def test_impulse_changes_velocity_by_impulse_over_mass() -> None:
    pushed = ball("ball", (0, 0, 0), velocity=(0.5, 0, 0), spin=(0, 0, 1.0))
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
    result = simulate(Scene((FLOOR, ball("ball", (0, 0, 1.4), restitution=0.8)), FRONT, DOWN), every)
    height = result.states[:, 1, 2] - 0.4
    overlap = height <= 0
    first = every[1:][overlap[1:] & ~overlap[:-1]]
    logged = [c.time for c in result.contacts]
    assert len(logged) >= 4
    np.testing.assert_allclose(logged[:4], first[:4], atol=1e-9)
    assert {(c.a, c.b) for c in result.contacts} == {("floor", "ball")}


def test_permanent_support_is_one_contact() -> None:
    roller = ball("b", (1.5, 0, 0.5), 0.5, velocity=(-0.5, 0, 0), spin=(0, -1, 0), restitution=0.8, friction=0.5)
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
            "import test_stepping as t",
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
    scene = Scene((*planes, ball("ball", (0, 0, 0), velocity=(1.0, 0.5, 0))), FRONT)
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
    scene = Scene((ball("ball", (0, 0, 0), velocity=(1, 0, 5), spin=(1.0, -2.0, 0.5)),), FRONT, DOWN)
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
        (star, ball("p", (1.5, 0, 0), velocity=(0, 0.3, 0))), TOP, fields=(CentralGravity("star", 2.0),), horizon=8.0
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
