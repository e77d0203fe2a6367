"""The laws of scenes against the simulator, also one that only moves states from one moment to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.laws import kepler
from physbench.laws.scene_law import Intervention, PiecewiseSimulator, SceneLaw, scene_law_or_none
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ, Body, Camera, Scene, ramp

Array = NDArray[np.float64]
TIMES = np.arange(1, 91) / 30


def value(scene: Scene, model: SceneLaw, states: Array, n: int) -> Array:
    """State (6,) of moving body n from states (N, 13)."""
    axes = list(PLANE_AXES[scene.camera.view])
    state, radius = states[model.index[n]], scene.bodies[model.index[n]].size[0]
    spin = [state[11] * radius, 0.0] if scene.camera.view == "front" else [state[11] * radius, -state[10] * radius]
    velocity = state[[7 + axis for axis in axes]]
    if scene.fields:  # Euler's velocities are those of half a step ago
        velocity = velocity + model.acceleration(states[list(model.index)][:, axes])[n] / (2 * PHYSICS_HZ)
    return np.concatenate([state[axes], velocity, spin])


def distance(scene: Scene, states: Array, times: Array = TIMES, start: float = 0.0) -> float:
    """Largest distance in m of the law from the simulator, from states (N, 13) at `start`."""
    model = scene_law_or_none(scene, start)
    assert model is not None
    true = simulate_ensemble(scene, start, states[None], times)[0]
    begin = round(start * PHYSICS_HZ)
    changes = [
        Intervention(begin, n, "state", value(scene, model, states, n)[None]) for n in range(len(model.index))
    ] + list(model.pushes)
    steps = np.round(times * PHYSICS_HZ)
    position = model.simulator().run(changes, int(steps[-1])).positions(steps)[0]
    axes = list(PLANE_AXES[scene.camera.view])
    return float(np.linalg.norm(position - true[:, list(model.index)][..., axes], axis=-1).max())


# Largest distances of 10 seeds over 4 s: 1.2 mm (one touch a step later), 0.4 mm on orbits after 8 s.
@pytest.mark.parametrize(
    ("task", "most"),
    [
        ("falling/projectile-v1", 2e-3),
        ("falling/drop-bounce-v1", 1e-6),
        ("collisions/wall-bounce-v1", 2e-3),
        ("collisions/head-on-push-v1", 1e-6),
        ("collisions/billiards-v1", 3e-3),
        ("occlusion/screen-swap-v1", 1e-6),
        ("occlusion/screen-stop-v1", 1e-4),
        ("occlusion/screen-lift-v1", 1e-4),
        ("orbits/kepler-thrust-v1", 1e-3),
        ("orbits/binary-v1", 1e-3),
        ("orbits/flyby-v1", 1e-3),
    ],
)
def test_a_law_is_the_simulator(task: str, most: float) -> None:
    scene = make_scene(Row(task, "test", 1))
    start = simulate(scene, [0.0]).states[0]
    assert distance(scene, start) < most


def test_spin_friction_and_slopes_are_the_simulators() -> None:
    """A ball thrown with spin onto a rough ramp that is not elastic: it lands, slides, rolls, and meets a wall."""
    ball = Body("ball", "sphere", (0.4,), "moving", (0.9, 0.0, 1.6), hue=0, mass=2.0, friction=0.5, restitution=0.3)
    board = ramp("ramp", (-2.0, 0.0), 0.2, 5.0)
    wall = Body("wall", "box", (0.1, 0.5, 1.0), "fixed", (-2.2, 0.0, 0.5))
    scene = Scene((ball, board, wall), Camera("front", (0.0, 0.0, 1.0)), gravity=(0.0, 0.0, -9.81))
    states = np.zeros((3, 13))
    states[:, 6] = 1.0
    for state, body in zip(states, scene.bodies, strict=True):
        state[:3], state[3:7] = body.position, body.orientation
    states[0, 7], states[0, 11] = 0.6, -4.0
    assert distance(scene, states, np.arange(1, 40) / 30) < 5e-3


def test_balls_with_spin_rub_against_each_other() -> None:
    balls = [
        Body(n, "sphere", (0.3,), "moving", (x, 0.0, 0.0), hue=h, mass=m, friction=0.4, restitution=0.9)
        for n, x, h, m in (("a", -1.0, 0, 1.0), ("b", 1.0, 1, 2.0))
    ]
    scene = Scene(tuple(balls), Camera("front", (0.0, 0.0, 0.0)))
    states = np.zeros((2, 13))
    states[:, 6] = 1.0
    states[:, 0], states[:, 2] = (-1.0, 1.0), (0.0, 0.2)
    states[:, 7], states[:, 11] = (1.5, -1.0), (6.0, 2.0)
    assert distance(scene, states) < 5e-3


def test_scenes_that_are_no_discs_have_no_law() -> None:
    assert scene_law_or_none(make_scene(Row("falling/stack-v1", "test", 0)), 0.0) is None
    scene = make_scene(Row("falling/projectile-v1", "test", 0))
    tilted = replace(scene.bodies[1], orientation=(0.3, 0.0, 0.0, 0.954))
    assert scene_law_or_none(replace(scene, bodies=(scene.bodies[0], tilted)), 0.0) is None


def test_a_factor_is_another_gravity() -> None:
    for task in ("falling/drop-bounce-v1", "orbits/kepler-v1"):
        scene = make_scene(Row(task, "test", 0))
        weak = replace(
            scene,
            gravity=tuple(0.7 * g for g in scene.gravity),  # type: ignore[arg-type]
            fields=tuple(replace(field, mu=0.7 * field.mu) for field in scene.fields),
        )
        start = simulate(scene, [0.0]).states[0]
        a, b = scene_law_or_none(scene, 0.0), scene_law_or_none(weak, 0.0)
        assert a is not None and b is not None
        state = value(scene, a, start, 0)
        changes = [Intervention(0, 0, "state", np.stack([state, state]))]
        steps = np.arange(0, 3600, 40.0)
        first = a.simulator(np.array([[0.7], [1.0]])).run(changes, 3600).positions(steps)
        assert np.allclose(first[0], b.simulator().run(changes, 3600).positions(steps)[0], atol=1e-9)
        assert np.allclose(first[1], a.simulator().run(changes, 3600).positions(steps)[0], atol=1e-9)


def pair(states: Array, times: Array) -> Array:
    """Places (K, T, 2, 2) m of candidates (K, 2, 4) of two balls of `orbits/binary-v1` that draw each other."""
    model = scene_law_or_none(make_scene(Row("orbits/binary-v1", "test", 1)), 0.0)
    assert model is not None
    changes = [
        Intervention(0, n, "state", np.concatenate([states[:, n], np.zeros((len(states), 2))], 1)) for n in (0, 1)
    ]
    steps = np.round(times * PHYSICS_HZ)
    return model.simulator().run(changes, int(steps[-1])).positions(steps)


def test_a_lost_candidate_leaves_the_others_as_they_are() -> None:
    scene = make_scene(Row("orbits/binary-v1", "test", 1))
    model = scene_law_or_none(scene, 0.0)
    assert model is not None
    states = simulate(scene, [0.0]).states[0]
    start = np.stack([value(scene, model, states, n)[:4] for n in (0, 1)])
    alone = pair(start[None], TIMES)
    lost = start.copy()
    lost[0, 2] = np.nan
    both = pair(np.stack([start, lost]), TIMES)
    assert np.allclose(both[0], alone[0])
    assert np.isfinite(both[1, :, 1]).all()
    assert np.allclose(np.diff(both[1, :, 1], 2, axis=0), 0.0)  # nothing draws it


def test_candidates_do_not_depend_on_their_mates() -> None:
    """On ellipses, far out, and such as touch before the first look: each as if it were alone."""
    rng = np.random.default_rng(2)
    states = np.concatenate([rng.uniform(-2, 2, (40, 2, 2)), 2 * rng.normal(size=(40, 2, 2))], axis=-1)
    states[0] = [[-1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    states[1, :, 2:] *= 30
    together = pair(states, TIMES)
    lost = np.isnan(together[:, :, 0, 0]).any(axis=1)
    assert 5 < lost.sum() < 35
    for k in range(len(states)):
        np.testing.assert_array_equal(pair(states[k : k + 1], TIMES)[0], together[k])


def test_a_body_is_nowhere_before_it_is_there() -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 0))
    model = scene_law_or_none(scene, 0.0)
    assert model is not None
    state = value(scene, model, simulate(scene, [0.0]).states[0], 0)
    steps = np.arange(0.0, 2400.0, 40.0)
    position = model.simulator().run([Intervention(800, 0, "state", state[None])], 2400).positions(steps)[0, :, 0]
    assert (np.isnan(position[:, 0]) == (steps < 800)).all()
    early = model.simulator().run([Intervention(0, 0, "state", state[None])], 2400).positions(steps)[0, :, 0]
    assert np.allclose(position[20:], early[:-20], atol=1e-12)


def test_a_touch_between_two_looks_is_not_passed_over() -> None:
    """Two that fall towards each other from rest turn back within a frame; they would touch."""
    start = np.array([[[-1.5, 0.0, 0.0, 0.02], [1.5, 0.0, 0.0, -0.02]]])
    fine = pair(start, np.arange(1, 4800) / 1200)[0]
    met = float(np.flatnonzero(np.isnan(fine[:, 0, 0]))[0] + 1) / 1200
    for fps in (3, 7, 30):
        times = np.arange(1, 4 * fps) / fps
        lost = np.isnan(pair(start, times)[0, :, 0, 0])
        assert (lost == (times >= met - 1e-9)).all()


def test_ellipses_are_those_of_universal_variables() -> None:
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 500), rng.uniform(0.3, 3, 500)
    position = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    velocity = rng.normal(size=(500, 2)) * np.sqrt(2.0 / radius)[:, None] * 0.7  # some are hyperbolas
    state, dt = np.concatenate([position, velocity], axis=-1), np.linspace(-3, 8, 90)
    found = kepler.propagate(state, dt, 2.0)
    assert np.allclose(found, kepler.propagate(state, dt, 2.0), atol=1e-7)
    # the energy is that of the beginning, which the other solver does not know of
    energy = (found[..., 2:] ** 2).sum(-1) / 2 - 2.0 / np.linalg.norm(found[..., :2], axis=-1)
    bound = energy[:, 0] < -0.1
    assert 100 < bound.sum() < 500
    assert np.allclose(energy[bound], energy[bound, :1], rtol=1e-6)


@pytest.mark.slow
def test_the_time_of_a_touch_is_when_a_fine_look_finds_it() -> None:
    rng = np.random.default_rng(1)
    position = rng.uniform(-2, 2, (120, 2))
    state = np.concatenate([position, rng.normal(size=(120, 2)) * 1.5], axis=-1)
    moments = np.linspace(0, 12, 6001)
    separation = np.linalg.norm(kepler.propagate(state, moments, 2.0)[..., :2], axis=-1)
    near = separation <= 0.4
    first = np.where(near.any(axis=1), moments[near.argmax(axis=1)], np.inf)
    found = np.array([kepler.time_to(0.4, each, 2.0) for each in state])
    clear = np.abs(separation.min(axis=1) - 0.4) > 1e-4  # a graze may lie between two looks
    assert clear.sum() > 110
    late, never = np.isfinite(first), np.isinf(first)
    assert np.allclose(found[clear & late], first[clear & late], atol=2.1e-3)
    assert (found[clear & never] > 12).all()
    assert 15 < np.isinf(found).sum() < 105


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("task", ["collisions/billiards-v1", "falling/incline-v1"])
def test_candidates_do_not_depend_on_each_other(task: str, smooth: bool) -> None:
    scene = make_scene(Row(task, "test", 1))
    model, start = scene_law_or_none(scene, 0.0), simulate(scene, [0.0]).states[0]
    assert model is not None
    rng, steps = np.random.default_rng(0), np.arange(0, 4800, 40.0)
    values = [value(scene, model, start, n) + 0.02 * rng.normal(size=(6, 6)) for n in range(len(model.index))]
    values[0][3] = np.nan

    def places(chosen: list[int]) -> Array:
        changes = [Intervention(0, n, "state", states[chosen]) for n, states in enumerate(values)]
        return model.simulator().run(changes, 4800, smooth).positions(steps)

    every = places(list(range(6)))
    for k in range(6):
        assert np.array_equal(every[k], places([k])[0], equal_nan=True)
    assert np.isnan(every[3, :, 0]).all() and not np.isnan(every[[0, 1, 2, 4, 5], :, 0]).any()


def test_what_is_not_there_is_nowhere_and_meets_nothing() -> None:
    """A disc is taken away before it is met, comes back elsewhere, and is pushed while it is not there."""
    balls = [Body(n, "sphere", (0.3,), "moving", (x, 0.0, 0.0), hue=0) for n, x in (("a", -1.0), ("b", 1.0))]
    model = scene_law_or_none(Scene(tuple(balls), Camera("front", (0.0, 0.0, 0.0))), 0.0)
    assert model is not None
    state = np.array([[-1.0, 0.0, 1.0, 0.0, 0.0, 0.0]]), np.array([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    changes = [Intervention(0, 0, "state", state[0]), Intervention(0, 1, "state", state[1])]
    gone = [Intervention(600, 1, "gone"), Intervention(1200, 1, "push", np.array([1.0, 0.0]))]
    back = [Intervention(3600, 1, "state", np.array([[1.0, 2.0, 0.0, 0.0, 0.0, 0.0]]))]
    steps = np.arange(0, 4800, 40.0)
    met = model.simulator().run(changes, 4800)
    assert met.contacts == [(1680, 1, 0)]
    trajectory = model.simulator().run([*changes, *gone, *back], 4800)
    position = trajectory.positions(steps)[0]
    assert not trajectory.contacts
    assert np.allclose(position[:, 0, 0], -1 + steps / PHYSICS_HZ)
    assert (np.isfinite(position[:, 1, 0]) == ((steps < 600) | (steps >= 3600))).all()
    assert np.allclose(position[steps >= 3600, 1], [1.0, 2.0])


NONE = np.ones((1, 0))


def straight(states: Array, times: Array, constants: Array) -> Array:
    """Uniform motion."""
    dt = (times - times[0])[:, None, None]
    velocity = states[:, None, :, 2:] + 0 * dt
    return np.concatenate([states[:, None, :, :2] + dt * velocity, velocity], axis=-1)


def touches(states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
    """Body 0 passes x = 1.5 m."""
    (x, _, vx, _), (begin, end) = states[0], times
    when = begin + (1.5 - x) / vx
    return [(when, 0, -1)] if begin <= when < end else []


def state(*values: float) -> Array:
    """States (1, 6)."""
    return np.array([[*values, 0.0, 0.0]])


def test_pieces_follow_each_other() -> None:
    changes = [
        Intervention(0, 0, "state", state(0.0, 0.0, 1.0, 0.0)),
        Intervention(600, 1, "state", state(5.0, 0.0, 0.0, 2.0)),
        Intervention(1200, 0, "push", np.array([1.0, -1.0])),
        Intervention(1800, 1, "gone"),
    ]
    run = PiecewiseSimulator(straight, touches, 2, NONE).run(changes, 2400)
    position, velocity, spin = run.at(np.array([0.0, 300.0, 600.0, 1199.0, 1200.0, 1799.0, 1800.0, 2400.0]))
    np.testing.assert_allclose(position[0, :, 0, 0], [0, 0.25, 0.5, 1199 / 1200, 1, 1 + 2 * 599 / 1200, 2, 3])
    np.testing.assert_allclose(position[0, :, 0, 1], [0, 0, 0, 0, 0, -599 / 1200, -0.5, -1])
    assert np.isnan(position[0, [0, 1, 6, 7], 1]).all()
    np.testing.assert_allclose(position[0, 2:6, 1, 1], [0, 2 * 599 / 1200, 1, 2 * 1199 / 1200])
    np.testing.assert_allclose(velocity[0, :, 0, 0], [1, 1, 1, 1, 2, 2, 2, 2])
    assert not spin[0, :, 0].any()
    assert run.contacts == [(round(1.25 * PHYSICS_HZ), 0, -1)]
