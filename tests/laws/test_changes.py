"""Changed worlds: against closed forms, and against PyBullet with the same change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import START, truth
from slow_cases import others_slow

from physbench.laws.changes import WorldChange, altered_law, joined_change
from physbench.laws.planar_law import PlanarLaw
from physbench.laws.scene_law import Intervention, SceneLaw, scene_law
from physbench.validity.violations.violation_apply import ChangeLaws, GrowVelocity, SetMaterial, simulate_hooked
from physbench.validity.violations.violation_plan import StepHook
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]


def started(task: str, seed: int = 0) -> tuple[SceneLaw, list[Intervention], Array, Array]:
    """A task's model, its true states at the frame before the hand-over, the frames' steps and true positions."""
    scene, times, states = truth(task, seed)
    model = scene_law(scene, START)
    axes, index = list(PLANE_AXES[scene.camera.view]), list(model.index)
    first = int(np.searchsorted(times, -1e-9)) - 1
    changes = []
    for n, state in enumerate(states[first, index]):
        spin = np.zeros(2)
        if isinstance(model, PlanarLaw) and model.world.slide_deceleration.any():
            spin = state[7:10][axes]
        value = np.concatenate([state[axes], state[7:10][axes], spin])[None]
        changes.append(Intervention(round(times[first] * PHYSICS_HZ), n, "state", value))
    return model, changes, np.round(times[first:] * PHYSICS_HZ), states[first:][:, index][..., axes]


def moved(task: str, change: WorldChange, seed: int = 0) -> Array:
    """Positions (F, N, 2) m of a task's true states under a change from the hand-over on."""
    model, changes, steps, _ = started(task, seed)
    run = altered_law(model, change).simulator().run(changes, int(steps[-1]))
    return run.positions(steps)[0]


def hooked(task: str, hooks: Sequence[StepHook], seed: int = 0) -> Array:
    """Positions (F, N, 2) m of PyBullet with hooks."""
    scene, _, _ = truth(task, seed)
    model, _, steps, _ = started(task, seed)
    states = simulate_hooked(scene, hooks, steps.astype(np.int64))
    return states[:, list(model.index)][..., list(PLANE_AXES[scene.camera.view])]


def off(one: Array, other: Array) -> float:
    """Largest distance m."""
    return float(np.nanmax(np.abs(one - other)))


@pytest.mark.parametrize(
    "task",
    others_slow(
        [
            "collisions/billiards-v1",
            "collisions/wall-bounce-v1",
            "falling/incline-v1",
            "falling/drop-bounce-v1",
            "occlusion/screen-swap-v1",
            "orbits/binary-v1",
            "orbits/kepler-v1",
        ],
        3,
    ),
)
def test_a_change_by_nothing_changes_nothing(task: str) -> None:
    model, changes, steps, _ = started(task)
    base = model.simulator().run(changes, int(steps[-1])).positions(steps)[0]
    assert off(moved(task, WorldChange()), base) < 1e-9
    # Through the pieces that drag cuts a motion into, the integrated field and the slowed clock as well.
    for tiny in (WorldChange(drag=1e-12), WorldChange(time=1 + 1e-12), WorldChange(precession=1e-13)):
        assert off(moved(task, tiny), base) < 1e-5


def test_nothing_changes_before_the_hand_over() -> None:
    _, _, steps, true = started("falling/projectile-v1")
    early = steps <= 0
    assert early.sum() == 2
    found = moved("falling/projectile-v1", WorldChange(gravity=0.2, drag=0.5, time=1.3))
    assert off(found[early], true[early]) < 1e-9
    assert off(found[~early], true[~early]) > 0.3


@pytest.mark.slow
def test_gravity_fields_and_drag_are_those_of_the_other_simulator() -> None:
    for change in (WorldChange(gravity=0.8), WorldChange(gravity_angle=math.radians(4))):
        other = hooked("falling/projectile-v1", [ChangeLaws(0.0, change)])
        assert off(moved("falling/projectile-v1", change), other) < 2e-3
    share = -0.01  # of a velocity in 1/30 s
    slowed = hooked("falling/projectile-v1", [GrowVelocity(0.0, (0,), share)])
    assert off(moved("falling/projectile-v1", WorldChange(drag=-30 * math.log(1 + share))), slowed) < 5e-3
    for change in (WorldChange(central_mass=0.9), WorldChange(exponent=1.7)):
        assert off(moved("orbits/kepler-v1", change), hooked("orbits/kepler-v1", [ChangeLaws(0.0, change)])) < 0.06


def test_a_hook_refuses_what_is_no_force() -> None:
    with pytest.raises(ValueError, match=r"got \['friction'\]"):
        hooked("falling/projectile-v1", [ChangeLaws(0.0, WorldChange(gravity=0.5, friction=0.5))])


def test_materials_are_those_of_the_other_simulator() -> None:
    scene, _, _ = truth("collisions/head-on-v1", 0)
    changed = {i: {"restitution": body.restitution * math.sqrt(0.7)} for i, body in enumerate(scene.bodies)}
    dull = hooked("collisions/head-on-v1", [SetMaterial(0.0, changed)])
    assert off(moved("collisions/head-on-v1", WorldChange(restitution=0.7)), dull) < 2e-3
    heaviest = max(
        (i for i, body in enumerate(scene.bodies) if body.role == "moving"), key=lambda i: scene.bodies[i].mass
    )
    heavy = hooked("collisions/head-on-v1", [SetMaterial(0.0, {heaviest: {"mass": 2 * scene.bodies[heaviest].mass}})])
    assert off(moved("collisions/head-on-v1", WorldChange(mass=2.0)), heavy) < 2e-3


def thrown(change: WorldChange, seconds: float) -> tuple[Array, Array, Array]:
    """Start (2,), start velocity (2,) and positions (F, 2) of the thrown ball at the hand-over and after it."""
    model, changes, _, _ = started("falling/projectile-v1")
    steps = np.round(np.linspace(0, seconds, 7) * PHYSICS_HZ)
    run = altered_law(model, change).simulator().run(changes, int(steps[-1]))
    position, velocity, _ = run.at(steps)
    return position[0, 0, 0], velocity[0, 0, 0], position[0, :, 0]


def test_flight_under_drag_a_turning_force_and_a_growing_gravity_has_its_closed_form() -> None:
    time = np.linspace(0, 0.3, 7)[:, None]
    g, down, rate = 9.81, np.array([0.0, -1.0]), 0.8
    start, velocity, found = thrown(WorldChange(drag=rate), 0.3)
    falls = (time / rate - (1 - np.exp(-rate * time)) / rate**2) * g * down
    assert off(found, start + velocity * (1 - np.exp(-rate * time)) / rate + falls) < 2e-3
    start, velocity, found = thrown(WorldChange(gravity_trend=rate), 0.3)
    assert off(found, start + velocity * time + (time**2 / 2 + rate * time**3 / 6) * g * down) < 2e-3
    start, velocity, found = thrown(WorldChange(turn=rate, gravity=0.0), 0.3)
    angle = rate * time[:, 0]
    x, y = velocity / rate
    arc = np.stack([x * np.sin(angle) - y * (1 - np.cos(angle)), x * (1 - np.cos(angle)) + y * np.sin(angle)], axis=-1)
    assert off(found, start + arc) < 2e-3
    start, velocity, found = thrown(WorldChange(wind=(1.5, 0.0)), 0.3)
    assert off(found, start + velocity * time + time**2 / 2 * np.array([1.5, -g])) < 6e-3


def test_a_faster_world_is_the_same_world_sooner() -> None:
    model, changes, _, _ = started("falling/drop-bounce-v1")
    steps = np.arange(0.0, 2400.0, 40.0)
    true = model.simulator().run(changes, 4800).positions(1.25 * steps)
    fast = altered_law(model, WorldChange(time=1.25)).simulator().run(changes, 2400).positions(steps)
    assert off(fast, true) < 1e-9


def first_bounce(change: WorldChange) -> tuple[float, float, float]:
    """Time s, the gap below the ball m there, and the direction rad of the rebound from the floor."""
    model, changes, _, _ = started("falling/projectile-v1")
    steps = np.arange(0.0, 3000.0)
    position, velocity, _ = altered_law(model, change).simulator().run(changes, 3000).at(steps)
    first = int(np.flatnonzero(np.diff(velocity[0, :, 0, 1]) > 1)[0]) + 1
    assert isinstance(model, PlanarLaw)
    gap = float(position[0, first, 0, 1] - model.world.radius[0])
    return steps[first] / PHYSICS_HZ, gap, math.atan2(velocity[0, first, 0, 1], velocity[0, first, 0, 0])


def test_bounces_come_early_in_time_or_in_place_and_are_turned() -> None:
    time, gap, angle = first_bounce(WorldChange())
    assert gap == pytest.approx(0, abs=0.01)
    for lead in (0.05, -0.02):
        assert first_bounce(WorldChange(lead=lead))[0] == pytest.approx(time - lead, abs=2 / PHYSICS_HZ)
    model, *_ = started("falling/projectile-v1")
    assert isinstance(model, PlanarLaw)
    for share in (0.15, -0.05):
        assert first_bounce(WorldChange(gap=share))[1] == pytest.approx(2 * share * model.world.radius[0], abs=0.01)
    assert first_bounce(WorldChange(twist=0.2))[2] - angle == pytest.approx(0.2, abs=0.01)


def test_turned_rebounds_of_two_bodies_keep_momentum_and_speed() -> None:
    model, changes, steps, _ = started("collisions/head-on-v1")
    assert isinstance(model, PlanarLaw)
    mass = model.world.mass[:, None]
    totals = []
    for change in (WorldChange(), WorldChange(twist=0.3)):
        velocity = altered_law(model, change).simulator().run(changes, int(steps[-1])).at(steps[[0, -1]])[1][0]
        totals.append(((mass * velocity[1]).sum(axis=0), float(np.linalg.norm(velocity[1, 0] - velocity[1, 1]))))
    np.testing.assert_allclose(totals[0][0], totals[1][0], atol=1e-9)
    assert totals[0][1] == pytest.approx(totals[1][1])


def test_bodies_pass_through_each_other_or_go_on_as_each_other() -> None:
    model, changes, steps, _ = started("collisions/head-on-v1")
    base = model.simulator().run(changes, int(steps[-1]))
    velocity = altered_law(model, WorldChange(solid=False)).simulator().run(changes, int(steps[-1])).at(steps)[1][0]
    np.testing.assert_allclose(velocity[-1], velocity[0], atol=1e-9)
    start, velocity, fallen = thrown(WorldChange(contacts=False), 2.0)
    time = np.linspace(0, 2.0, 7)[:, None]
    assert off(fallen, start + velocity * time + time**2 / 2 * np.array([0.0, -9.81])) < 2e-2
    assert fallen[-1, 1] < 0  # below the floor
    true, found = base.positions(steps)[0], moved("collisions/head-on-v1", WorldChange(exchanged=True))
    met = steps >= base.contacts[0][0]
    assert off(found[~met], true[~met]) < 1e-9
    assert off(found[met], true[met][:, ::-1]) < 1e-9
    # Behind a screen nothing touches: there they are exchanged where one passes before the other.
    passed, own = (moved("occlusion/screen-swap-v1", WorldChange(exchanged=value)) for value in (True, False))
    assert off(passed[0], own[0]) < 1e-9
    assert off(passed[-1], own[-1][::-1]) < 1e-9


def test_the_axis_of_an_orbit_turns_by_the_precession() -> None:
    model, changes, _, _ = started("orbits/kepler-v1")
    steps = np.arange(0.0, 9600.0, 2.0)
    star = np.asarray(model.scene.bodies[1].position)[:2]
    angles = []
    for change in (WorldChange(precession=1e-9), WorldChange(precession=0.05)):
        run = altered_law(model, change).simulator().run(changes, 9600).positions(steps)[0, :, 0] - star
        away = np.linalg.norm(run, axis=-1)
        lows = 1 + np.flatnonzero((away[1:-1] < away[:-2]) & (away[1:-1] <= away[2:]))[:2]
        angles.append(np.unwrap(np.arctan2(*run.T[::-1]))[lows])
    sense = math.copysign(1.0, float(np.diff(angles[0])[0]))
    assert sense * np.diff(angles[0])[0] == pytest.approx(2 * math.pi, abs=0.02)
    assert sense * np.diff(angles[1])[0] == pytest.approx(2 * math.pi * 1.05, abs=0.02)


def test_a_softened_force_is_weaker_near_its_centre() -> None:
    model, *_ = started("orbits/kepler-v1")
    star, soft, radius = np.asarray(model.scene.bodies[1].position)[:2], 0.5, 1.2
    mu = model.scene.fields[0].mu
    speed = math.sqrt(mu * radius**2 / (radius**2 + soft**2) ** 1.5)
    value = np.array([[star[0] + radius, star[1], 0.0, speed, 0.0, 0.0]])
    steps = np.arange(0.0, 9600.0, 40.0)
    run = altered_law(model, WorldChange(softening=soft)).simulator()
    away = run.run([Intervention(0, 0, "state", value)], 9600).positions(steps)[0, :, 0] - star
    np.testing.assert_allclose(np.linalg.norm(away, axis=-1), radius, atol=1e-3)


def test_changes_of_different_things_join() -> None:
    both = joined_change([WorldChange(gravity=0.9), WorldChange(drag=0.2), WorldChange(drag=0.3)])
    assert both == WorldChange(gravity=0.9, drag=0.3)
