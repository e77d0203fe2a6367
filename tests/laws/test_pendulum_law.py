"""The laws of rods and springs: against SciPy and PyBullet; truth is lawful, changed worlds are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from shadow_scenes import START, Edit, problem
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.task import own_ids
from physbench.laws.changes import WorldChange, altered_law
from physbench.laws.pendulum_motion import follow_pendulums
from physbench.laws.scene_law import Intervention, scene_law
from physbench.laws.support_check import Unsupported
from physbench.shadowing.levels import at_levels
from physbench.validity.violations.violation_apply import ChangeLaws, simulate_hooked
from physbench.validity.violations.violation_plan import StepHook
from physbench.world.ballistic import accelerations
from physbench.world.bodies import ball
from physbench.world.bullet import initial_states, simulate, simulate_ensemble
from physbench.world.scene import PHYSICS_HZ, Body, Camera, Drag, Rod, Scene, Spring

Array = NDArray[np.float64]
PENDULUM, SPRING, CRADLE = "falling/pendulum-v1", "falling/spring-v1", "collisions/cradle-v1"
FRONT, DOWN = Camera("front", (0.0, 0.0, 0.0)), (0.0, 0.0, -9.81)
HOOK = Body("hook", "box", (0.1, 0.1, 0.1), "fixed", (0.3, 0.0, 1.5), hue=2, collides=False)
AIR = Body("air", "plane", (), "fixed", (0.0, 0.0, -2.0), grey=0.3, collides=False)
BALLS = tuple(
    replace(ball(n, 0.4, (x, 0.0, 0.1), k), collides=False) for k, (n, x) in enumerate((("a", 1.2), ("b", -1.0)))
)
LENGTH = float(np.hypot(0.9, 1.4))
SCENES = {
    "rods": Scene(
        (*BALLS, HOOK, AIR),
        FRONT,
        gravity=DOWN,
        fields=(Rod("hook", "a", LENGTH), Rod("hook", "b", float(np.hypot(1.3, 1.4))), Drag("air", 0.2)),
    ),
    "springs": Scene(
        (*BALLS, HOOK, AIR),
        FRONT,
        gravity=DOWN,
        fields=(Spring("hook", "a", 200.0, 0.7), Spring("a", "b", 150.0, 1.8), Drag("air", 0.2)),
    ),
}


def test_springs_agree_with_scipy() -> None:
    """With the forces of the scene itself, by another method and to another tolerance."""
    scene, axes = SCENES["springs"], [0, 2]
    start = np.array([[1.2, 0.1, 0.8, 0.5], [-1.0, 0.1, 0.5, -0.5]])

    def slope(time: float, flat: Array) -> Array:
        state, states = flat.reshape(2, 4), initial_states(scene)
        states[:2, axes], states[:2, [7, 9]] = state[:, :2], state[:, 2:]
        pull = accelerations(scene, scene.fields, states, time)[:2, axes] + [0.0, -9.81]
        return np.concatenate([state[:, 2:], pull], axis=-1).ravel()

    times = np.linspace(0.0, 2.0, 31)
    exact = solve_ivp(slope, (0.0, 2.0), start.ravel(), "DOP853", times, rtol=1e-9, atol=1e-10).y.T
    found = scene_law(scene, START).simulate(start[None], times, np.ones((1, 3)))[0]
    assert np.abs(found - exact.reshape(31, 2, 4)).max() < 1e-4


def test_rods_agree_with_scipy() -> None:
    """And backwards in time."""
    law, times = scene_law(SCENES["rods"], START), np.linspace(0.0, 2.0, 31)

    def slope(time: float, state: Array) -> list[float]:
        return [state[1], -9.81 / LENGTH * np.sin(state[0]) - 0.2 * state[1]]

    angle, rate = np.arctan2(0.9, 1.4), 0.7
    exact = solve_ivp(slope, (0.0, 2.0), [angle, rate], "DOP853", times, rtol=1e-9, atol=1e-10).y
    at = LENGTH * np.stack([np.sin(exact[0]), -np.cos(exact[0])], axis=-1) + [0.3, 1.5]
    moves = LENGTH * exact[1, :, None] * np.stack([np.cos(exact[0]), np.sin(exact[0])], axis=-1)
    expected = np.concatenate([at, moves], axis=-1)
    states = np.full((1, 2, 4), np.nan)
    states[0, 0] = expected[0]
    found = law.simulate(states, times, np.ones((1, 1)))[0]
    assert np.abs(found[:, 0] - expected).max() < 1e-5 and np.isnan(found[:, 1]).all()
    assert follow_pendulums.function.signatures == [follow_pendulums.types]
    positions, velocities = law.before(0, found[-1, 0], times, found)
    assert np.abs(np.concatenate([positions, velocities], axis=-1) - found[:-1, 0]).max() < 1e-6


def test_a_state_beside_the_circle_is_taken_to_it() -> None:
    law = scene_law(SCENES["rods"], START)
    start = np.array([[[0.3, -2.5, 0.7, 5.0], [0.3, -2.0, 0.0, 0.0]]])
    moved = law.simulate(start, np.zeros(2), np.ones((1, 1)))[0, 1, 0]
    assert moved == pytest.approx([0.3, 1.5 - LENGTH, 0.7, 0.0], abs=1e-9)


UPPER, LOWER = 1.1, 0.9  # m


def double(**other: object) -> Scene:
    """A double pendulum 0.8 and -0.5 rad from the vertical, held until 0 s."""
    x, z = 0.3 + UPPER * np.sin(0.8), 1.5 - UPPER * np.cos(0.8)
    places = ((x, 0.0, z), (x + LOWER * np.sin(-0.5), 0.0, z - LOWER * np.cos(-0.5)))
    balls = (ball("a", 0.3, places[0], 0, release=0.0), ball("b", 0.4, places[1], 1, release=0.0))
    rods = (Rod("a", "b", LOWER), Rod("hook", "a", UPPER))
    return replace(Scene((*balls, HOOK, AIR), FRONT, gravity=DOWN, fields=rods), **other)  # type: ignore[arg-type]


def test_a_double_pendulum_agrees_with_the_textbook() -> None:
    """With the accelerations as they are solved by hand for two rods, and with PyBullet; backwards in time, too."""
    scene, times = double(), np.linspace(0.0, 4.0, 41)
    law, (m1, m2) = scene_law(scene, 0.0), (each.mass for each in scene.bodies[:2])

    def slope(time: float, state: Array) -> list[float]:
        a, b, u, v = state
        d, g = a - b, 9.81
        share = 2 * m1 + m2 - m2 * np.cos(2 * d)
        pull = -g * (2 * m1 + m2) * np.sin(a) - m2 * g * np.sin(a - 2 * b)
        first = pull - 2 * np.sin(d) * m2 * (v * v * LOWER + u * u * UPPER * np.cos(d))
        second = u * u * UPPER * (m1 + m2) + g * (m1 + m2) * np.cos(a) + v * v * LOWER * m2 * np.cos(d)
        return [u, v, first / UPPER / share, 2 * np.sin(d) * second / LOWER / share]

    a, b, *_ = solve_ivp(slope, (0.0, 4.0), [0.8, -0.5, 0.0, 0.0], "DOP853", times, rtol=1e-10, atol=1e-12).y
    upper = UPPER * np.stack([np.sin(a), -np.cos(a)], axis=-1) + [0.3, 1.5]
    expected = np.stack([upper, upper + LOWER * np.stack([np.sin(b), -np.cos(b)], axis=-1)], axis=1)
    states = np.concatenate([expected[0], np.zeros((2, 2))], axis=-1)[None]
    found = law.simulate(states, times, np.ones((1, 1)))[0]
    assert np.abs(found[..., :2] - expected).max() < 1e-4
    seen = simulate(scene, times.tolist()).states[:, :2][..., [0, 2]]
    assert np.abs(found[..., :2] - seen).max() < 3e-3  # half a step of its velocity
    back = law.simulate(found[-1:], times[::-1], np.ones((1, 1)))[0, ::-1]
    assert np.abs(back - found).max() < 1e-3
    near = np.linspace(0.0, 0.2, 7)
    moved = law.simulate(found[20:21], near, np.ones((1, 1)))[0]
    positions, _ = law.before(1, moved[-1, 1], near, moved)
    assert np.abs(positions - moved[:-1, 1, :2]).max() < 1e-3


@pytest.mark.parametrize("seed", others_slow([0, 1, 2, 3], 1))
def test_truth_of_the_double_pendulum_of_the_examples_is_lawful_and_less_gravity_is_not(seed: int) -> None:
    """Of a file, as a user names it."""
    (task,) = own_ids(str(Path(__file__).parents[2] / "examples" / "double_pendulum.py"))
    assert all(level.explained == 1.0 and not level.breaks for level in at_levels(problem(task, seed)))
    gravity = hooked(ChangeLaws(0.0, WorldChange(gravity=0.8)))
    assert any(each.time >= 0 for each in at_levels(problem(task, seed, gravity))[0].breaks)


def test_a_chain_of_three_keeps_its_energy_and_loses_it_in_a_medium() -> None:
    """Held straight and level, with a heavy end that whips the light ones."""
    radii = (0.2, 0.3, 0.5)
    sizes = enumerate(zip("abc", radii, strict=True), 1)
    balls = tuple(replace(ball(name, r, (x, 0.0, 1.5), 0), collides=False) for x, (name, r) in sizes)
    rods = (Rod("a", "b", 1.0), Rod("hook", "a", 0.7), Rod("b", "c", 1.0))
    for fields in (rods, (*rods, Drag("air", 0.3))):
        law = scene_law(Scene((*balls, HOOK, AIR), FRONT, gravity=DOWN, fields=fields), 0.0)
        start = np.array([[[1.0, 1.5, 0, 0], [2.0, 1.5, 0, 0], [3.0, 1.5, 0, 0]]])
        mass = np.array([each.mass for each in balls])
        moved = law.simulate(start, np.linspace(0, 3, 31), np.ones((1, 1)))[0]
        energy = (mass * ((moved[..., 2:] ** 2).sum(axis=-1) / 2 + 9.81 * (moved[..., 1] - 1.5))).sum(axis=-1)
        scale = mass.sum() * 9.81 * 2.7
        if fields is rods:
            assert np.abs(energy).max() < 2e-3 * scale
        else:
            assert (np.diff(energy) < 0).all() and energy[-1] < -0.3 * scale


def test_of_two_chains_one_that_is_absent_leaves_the_other_alone() -> None:
    """And nothing that is absurd stops a search."""
    balls = tuple(
        replace(ball(name, 0.3, (x, 0.0, z), 0), collides=False)
        for name, x, z in (("a", 1.0, 0.5), ("c", -1.0, 0.5), ("b", 1.3, -0.5), ("d", -1.0, -0.5))
    )
    rods = (Rod("a", "b", 1.0), Rod("c", "d", 1.0), Rod("hook", "c", 1.6), Rod("hook", "a", 1.2))
    law = scene_law(Scene((*balls, HOOK), FRONT, gravity=DOWN, fields=rods), 0.0)
    states = np.full((4, 4, 4), np.nan)
    states[0] = [[*body.position[::2], 0, 0] for body in balls]
    states[1, [0, 2]] = states[0, [0, 2]]
    states[2, [0, 2, 3]] = states[0, [0, 2, 3]]
    states[3] = 1e200
    moved = law.simulate(states, np.linspace(0, 1, 5), np.ones((1, 1)))
    assert np.isfinite(moved[0]).all() and moved.shape == (4, 5, 4, 4)
    np.testing.assert_array_equal(moved[1:3, :, [0, 2]], np.repeat(moved[:1, :, [0, 2]], 2, axis=0))
    assert np.isnan(moved[1:3, :, [1, 3]]).all()
    pairs = [[i, j] for i, j in np.argwhere(law.linked).tolist()]
    assert pairs == [[0, 2], [1, 3], [2, 0], [3, 1]] and not law.removable


def test_a_light_elbow_between_heavy_balls_whips_and_keeps_its_energy() -> None:
    """Without gravity: a lower ball of ten times the mass, against the way of the upper one."""
    radii = (0.2, 0.2 * 10 ** (1 / 3))
    balls = tuple(
        replace(ball(n, r, (0.3, 0.0, z), 0), collides=False) for n, r, z in zip("ab", radii, (0.1, -1.3), strict=True)
    )
    law = scene_law(Scene((*balls, HOOK), FRONT, fields=(Rod("hook", "a", 1.4), Rod("a", "b", 1.4))), 0.0)
    start = np.array([[[0.3, 0.1, 3 * 1.4, 0.0], [0.3, -1.3, 3 * 1.4 - 6 * 1.4, 0.0]]])
    moved = law.simulate(start, np.linspace(0, 6, 61), np.ones((1, 1)))[0]
    energy = (np.array([each.mass for each in balls]) * (moved[..., 2:] ** 2).sum(axis=-1) / 2).sum(axis=-1)
    assert np.abs(energy / energy[0] - 1).max() < 0.01


@pytest.mark.parametrize(
    "change", [WorldChange(gravity=0.8), WorldChange(mass=2.0), WorldChange(drag=0.3)], ids=["gravity", "mass", "drag"]
)
def test_changed_worlds_of_a_chain_are_those_of_the_simulator(change: WorldChange) -> None:
    """Twice the mass: of the heavier ball, which is the lower one."""
    scene, times = double(), np.arange(11) / 5
    law = scene_law(scene, 0.0)
    assert law.can_alter(change)
    states = [
        Intervention(0, n, "state", np.array([[each.position[0], each.position[2], 0, 0, 0, 0]]))
        for n, each in enumerate(scene.bodies[:2])
    ]
    run = altered_law(law, change).simulator().run(states, 2400)
    upper, lower, *others = scene.bodies
    changed = replace(
        scene,
        bodies=(upper, replace(lower, mass=change.mass * lower.mass), *others),
        gravity=(0.0, 0.0, change.gravity * DOWN[2]),
        fields=(*scene.fields, Drag("air", change.drag)),
    )
    expected = simulate(changed, times.tolist()).states[:, :2][..., [0, 2]]
    assert np.abs(run.positions(times * PHYSICS_HZ)[0] - expected).max() < 5e-3


def hooked(hook: StepHook) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        return simulate_hooked(scene, [hook], np.round(times * PHYSICS_HZ).astype(np.int64))

    return edit


@pytest.mark.parametrize(
    ("task", "change"),
    [
        pytest.param(PENDULUM, WorldChange(gravity=0.95), marks=pytest.mark.slow),
        pytest.param(SPRING, WorldChange(constants=(("spring_stiffness", 0.95),)), marks=pytest.mark.slow),
    ],
)
def test_truth_is_lawful_and_another_law_is_found(task: str, change: WorldChange) -> None:
    assert all(level.explained == 1.0 and not level.breaks for level in at_levels(problem(task, 0)))
    smallest = at_levels(problem(task, 0, hooked(ChangeLaws(0.0, change))))[0]
    assert smallest.breaks and smallest.breaks[0].time >= 0


@pytest.mark.parametrize(
    ("task", "change"),
    others_slow(
        [
            (PENDULUM, WorldChange(gravity=0.8)),
            (SPRING, WorldChange(constants=(("spring_stiffness", 0.8),))),
            (SPRING, WorldChange(gravity=0.8)),
        ],
        1,
    ),
)
def test_changed_worlds_of_a_law_are_those_of_the_simulator(task: str, change: WorldChange) -> None:
    scene, steps = make_scene(Row(task, "test", 1)), np.arange(0, 1801, 300)
    law = scene_law(scene, 0.0)
    now = simulate(scene, [0.0]).states[0, 0]
    at = np.array([*now[[0, 2]], *(now[[7, 9]] + law.acceleration(now[None, [0, 2]])[0] / (2 * PHYSICS_HZ)), 0.0, 0.0])
    assert law.can_alter(change)
    run = altered_law(law, change).simulator().run([Intervention(0, 0, "state", at[None])], 1800)
    expected = simulate_hooked(scene, [ChangeLaws(0.0, change)], steps)[:, 0, [0, 2]]
    assert np.abs(run.positions(steps.astype(np.float64))[0, :, 0] - expected).max() < 2e-3


@pytest.mark.parametrize(
    ("seed", "change"),
    others_slow(
        [
            (0, WorldChange()),
            (1, WorldChange(restitution=0.5)),
            (3, WorldChange(mass=2.0)),
            (1, WorldChange(solid=False)),
        ],
        2,
    ),
)
def test_balls_on_rods_hit_each_other_as_in_the_simulator(seed: int, change: WorldChange) -> None:
    """To 10 mm in 4 s and a dozen hits, of which a physics step is 1 mm; in changed worlds, too."""
    scene, steps = make_scene(Row(CRADLE, "test", seed)), np.arange(0, 4801, 120)
    law = scene_law(scene, 0.0)
    count = len(law.index)
    now = simulate(scene, [0.0]).states
    start = now[0, :count][:, [0, 2, 7, 9]]
    start[:, 2:] += law.acceleration(start[:, :2]) / (2 * PHYSICS_HZ)
    states = [Intervention(0, n, "state", np.concatenate([each, np.zeros(2)])[None]) for n, each in enumerate(start)]
    assert law.can_alter(change)
    run = altered_law(law, change).simulator().run(states, 4800)
    bounce = np.sqrt(change.restitution)
    changed = [
        replace(body, restitution=body.restitution * bounce, collides=body.collides and change.solid, release=None)
        for body in scene.bodies
    ]
    changed[0] = replace(changed[0], mass=changed[0].mass * change.mass)
    moved = simulate_ensemble(replace(scene, bodies=tuple(changed)), 0.0, now, steps / PHYSICS_HZ)
    assert (
        np.abs(run.positions(steps.astype(np.float64))[0] - moved[0, :, :count, [0, 2]].transpose(1, 2, 0)).max() < 0.01
    )
    assert bool(run.contacts) == change.solid


def test_a_hit_on_rods_keeps_angular_momentum_and_newtons_restitution() -> None:
    """Of a light ball on a long rod and a heavy one on a short rod, where a half of the speed is left."""
    bodies = (
        ball("light", 0.4, (-0.35, 0.0, -1.0), 0, restitution=0.5),
        ball("heavy", 0.5, (0.6, 0.0, -1.0), 1, restitution=1.0),
        *(
            Body(name, "sphere", (0.1,), "fixed", (x, 0.0, z), hue=k, collides=False)
            for k, (name, x, z) in enumerate((("left", -0.35, 2.0), ("right", 0.6, 0.5)), 2)
        ),
    )
    scene = Scene(bodies, FRONT, gravity=DOWN, fields=(Rod("left", "light", 3.0), Rod("right", "heavy", 1.5)))
    law = scene_law(scene, START)
    states = np.array([[[-0.35, -1.0, 2.0, 0.0], [0.6, -1.0, 0.0, 0.0]]])
    moved = law.simulate(states, np.array([0.0, 0.024, 0.028]), np.ones((1, 1)))[0]
    ((time, one, other),) = law.contacts(states[0], np.array([0.0, 0.1]), np.ones(1))
    assert {one, other} == {0, 1} and time == pytest.approx(0.025, abs=1e-4)
    (before, after), mass = moved[1:, :, 2], np.array([scene.bodies[0].mass, scene.bodies[1].mass])
    assert after[1] - after[0] == pytest.approx(0.5 * before[0], abs=0.01)
    # Each rod turns about its own point: the sum that is kept is that of momenta across the rods.
    assert (mass * after).sum() == pytest.approx((mass * before).sum(), rel=0.005)


def test_scenes_that_they_cannot_move_are_refused() -> None:
    rods, springs = SCENES["rods"], SCENES["springs"]
    solid = tuple(replace(each, collides=True) for each in BALLS)
    block = replace(double().bodies[0], shape="box", size=(0.3, 0.3, 0.8))
    for scene, reason in (
        (replace(rods, fields=rods.fields[:1]), "b is not on one rod"),
        (replace(rods, fields=(Rod("b", "a", 2.2), Rod("a", "b", 2.2))), "ring"),
        (replace(rods, fields=(*rods.fields[:2], Rod("a", "b", 2.2))), "b is not on one rod"),
        (double(fields=(Rod("hook", "a", UPPER), Rod("a", "b", 0.6))), "a and b, in a chain of rods, may meet"),
        (double(bodies=(block, *double().bodies[1:])), "something solid in a chain of rods is not a ball"),
        (replace(rods, bodies=(*BALLS, replace(HOOK, until=1.0), AIR)), "moves or vanishes"),
        (replace(rods, bodies=(*BALLS, replace(HOOK, position=(0.3, 0.5, 1.5)), AIR)), "before or behind"),
        (replace(rods, bodies=(*solid, HOOK, replace(AIR, collides=True))), "may meet something fixed"),
        (replace(rods, bodies=(*(replace(each, friction=0.5) for each in solid), HOOK, AIR)), "are rough"),
        (replace(rods, fields=(*rods.fields, springs.fields[0])), "no law covers a scene with Drag and Rod and Spring"),
    ):
        with pytest.raises(Unsupported, match=reason):
            scene_law(scene, START)


def test_balls_that_lean_on_each_other_as_they_hang_have_no_law_of_hits() -> None:
    """Hits are instants: nothing would hold one up by the other."""
    balls = tuple(ball(n, 0.4, (x, 0.0, -2.0), k) for k, (n, x) in enumerate((("a", -0.41), ("b", 0.41))))
    for half, leans in ((0.2, True), (0.402, True), (0.41, False)):
        hooks = tuple(replace(HOOK, name=n, position=(x, 0.0, 0.0), hue=None) for n, x in (("l", -half), ("r", half)))
        length = float(np.hypot(0.41 - half, 2.0))
        scene = Scene((*balls, *hooks), FRONT, DOWN, fields=(Rod("l", "a", length), Rod("r", "b", length)))
        if leans:
            with pytest.raises(Unsupported, match="lean on each other"):
                scene_law(scene, START)
        else:
            assert scene_law(scene, START).name == "pendulum"
