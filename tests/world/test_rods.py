"""Rods and springs of a scene against SciPy's integration of their equations of motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from physbench.support.arrays import Array
from physbench.world.ballistic import accelerations
from physbench.world.bodies import ball
from physbench.world.bullet import initial_states, simulate, simulate_ensemble
from physbench.world.scene import PHYSICS_STEP, Body, Camera, ForceField, Rod, Scene, Spring

HOOK = Body("hook", "box", (0.05, 0.3, 0.05), "fixed", (0.0, 0.0, 1.6), grey=0.3, collides=False)
G, LENGTH, ANGLE, RATE = 9.81, 2.4, 0.7, 1.0
TIMES = np.arange(-40, -15) / 20  # s
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
    return np.asarray(solve_ivp(slopes, (0, 1.2), start, t_eval=TIMES + 2, rtol=1e-11, atol=1e-12).y)


def test_a_pendulum() -> None:
    scene = scene_of(Rod("hook", "a", LENGTH), bodies=(ball("a", 0.42, BOB, 0, velocity=MOVES),))
    states = simulate(scene, TIMES).states
    angle = integrated(lambda t, y: [y[1], -G / LENGTH * np.sin(y[0])], [ANGLE, RATE])[0]
    assert np.abs(states[:, 1, 0] - LENGTH * np.sin(angle)).max() < 1e-5
    away = np.linalg.norm(states[:, 1, :3] - HOOK.position, axis=-1)
    assert np.abs(away - LENGTH).max() < 1e-12
    copies = simulate_ensemble(scene, -2.0, np.repeat(initial_states(scene)[None], 2, axis=0), TIMES)
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
    found = simulate(scene, TIMES).states[:, 2, 0]
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
    found = simulate(scene, TIMES).states[:, 1]
    assert max(np.abs(found[:, 0] - x).max(), np.abs(found[:, 2] - z).max()) < 2e-5


def test_two_bodies_on_a_spring_keep_their_momentum() -> None:
    one, two = ball("a", 0.4, (0.0, 0.0, 0.0), 0), ball("b", 0.3, (1.5, 0.0, 0.0), 1)
    scene = replace(scene_of(Spring("a", "b", 300.0, 1.0), bodies=(one, two)), gravity=(0.0, 0.0, 0.0))
    states = simulate(scene, TIMES).states
    momentum = one.mass * states[:, 1, 7:10] + two.mass * states[:, 2, 7:10]
    assert np.ptp(momentum, axis=0).max() < 1e-9
    assert np.abs(states[:, 1, 7]).max() > 0.5


def test_a_rod_ends_where_its_anchor_vanishes() -> None:
    scene = scene_of(Rod("hook", "a", LENGTH), bodies=(ball("a", 0.42, BOB, 0),))
    cut = replace(scene, bodies=(replace(HOOK, until=-1.5), *scene.bodies[1:]))
    fall = simulate(cut, TIMES).states[:, 1, 9]
    assert np.diff(fall[TIMES > -1.4]) == pytest.approx(-G / 20, abs=1e-9)


def test_what_is_none_is_refused() -> None:
    wrong = [lambda: Rod("a", "a", 1.0), lambda: Rod("a", "b", 0.0), lambda: Spring("a", "b", -1.0, 1.0)]
    for make in wrong:
        with pytest.raises(ValueError, match="expected two bodies"):
            make()
