"""pendulum, spring, cradle and tumble: PyBullet against the closed forms, and what a pair in flight conserves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import ellipj, ellipk

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import HALF_WINDOW, Params, Task
from physbench.support.arrays import Array
from physbench.tasks.swinging import (
    HANGS_AT,
    HEIGHT,
    Cradle,
    HangingSpring,
    Pendulum,
    Tumble,
    cradle_hit,
    hanging,
    pendulum_turn,
    spring_turn,
    tumble_reach,
    tumble_shares,
)
from physbench.world.bullet import simulate
from physbench.world.scene import PHYSICS_HZ, WINDOW, sphere_mass

TIMES = np.arange(-20, 61, 4) / 20  # s


def played(task: type[Task], split: Split, seed: int) -> tuple[Params, Array, Array]:
    """Parameters, places (T, 3) m of the ball, and s since the release, at least 0."""
    row = Row(task.id, split, seed)
    p = make_params(row)
    return p, simulate(make_scene(row), TIMES).states[:, 0, :3], np.maximum(TIMES - p["release"], 0.0)


def test_a_pendulum_swings_as_the_elliptic_functions() -> None:
    """From rest at a_0: sin(a / 2) = k sn(K(k) - w t, k) with k = sin(a_0 / 2), w^2 = g / l."""
    p, place, since = played(Pendulum, "ood", 0)
    k = np.sin(p["angle"] / 2)
    sine = ellipj(ellipk(k * k) - np.sqrt(p["gravity"] / p["length"]) * since, k * k)[0]
    angle = 2 * np.arcsin(k * sine)
    assert np.abs(place[:, 0] - p["middle"] - p["length"] * np.sin(angle)).max() < 5e-5
    assert np.abs(HEIGHT + HANGS_AT - place[:, 2] - p["length"] * np.cos(angle)).max() < 5e-5


def test_a_spring_is_harmonic_about_its_height_of_rest() -> None:
    p, place, since = played(HangingSpring, "test", 0)
    far, rate = hanging(p)
    assert np.abs(HEIGHT + HANGS_AT - far + p["drop"] * np.cos(rate * since) - place[:, 2]).max() < 5e-5
    assert np.ptp(place[:, 0]) < 1e-9
    assert place[:, 2].min() - p["radius"] > HEIGHT - WINDOW / 2


@pytest.mark.parametrize(("task", "turn", "axis"), [(Pendulum, pendulum_turn, 0), (HangingSpring, spring_turn, 2)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_deciding_event_is_the_next_turning_point(
    task: type[Task], turn: Callable[[Params], float], axis: int, seed: int
) -> None:
    """The simulated ball is slower there than 5 ms earlier and later, and it has not turned since the hand-over."""
    row = Row(task.id, "test", seed)
    time = turn(make_params(row))
    steps = np.round(np.array([time - 0.005, time, time + 0.005]) * PHYSICS_HZ) / PHYSICS_HZ
    before = np.arange(0, steps[0], 6 / PHYSICS_HZ)
    speed = simulate(make_scene(row), np.concatenate([before, steps])).states[:, 0, 7 + axis]
    assert time > 0 and abs(speed[-2]) < min(abs(speed[-3]), abs(speed[-1]))
    assert len(set(np.sign(speed[: len(before)]))) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_cradle_swings_out_as_far_as_its_hits_let_it(seed: int) -> None:
    """The last ball is hit by the last one let go through the row: sin(a / 2) is (1 + e) / 2 of that before each hit.

    As many swing out as were let go, the others hardly move.
    """
    row = Row(Cradle.id, "test", seed)
    p, scene = make_params(row), make_scene(row)
    count, lifted = int(p["balls"]), int(p["lifted"])
    played = simulate(scene, np.arange(0, 41) / 20)
    assert played.contacts[0].time == pytest.approx(cradle_hit(p), abs=0.001)
    hooks = np.array([body.position[0] for body in scene.bodies[count : 2 * count]])
    angles = np.arcsin((played.states[:, :count, 0] - hooks) / p["length"]) * -np.sign(p["angle"])
    sine = ((1 + p["restitution"]) / 2) ** (count - lifted) * np.sin(abs(p["angle"]) / 2)
    assert angles[:, -1].max() == pytest.approx(2 * np.arcsin(sine), abs=0.002)
    out = angles.max(axis=0)
    assert (out[-lifted:] > 0.85 * abs(p["angle"])).all() and (out[:-lifted] < 0.15 * abs(p["angle"])).all()


def test_a_pair_that_tumbles_flies_as_one_ball_and_keeps_its_angular_momentum() -> None:
    row = Row(Tumble.id, "ood", 0)
    p = make_params(row)
    times = np.arange(-4, 25, 2) / 10  # s
    free = times > p["release"]
    states, since = simulate(make_scene(row), times).states[free, :2][..., [0, 2, 7, 9]], times[free] - p["release"]
    shares = np.array(tumble_shares(p))
    middle = np.einsum("tnk,n->tk", states[..., :2], shares)
    height = HALF_WINDOW + p["start_z"] + p["velocity_z"] * since - p["gravity"] * since**2 / 2
    np.testing.assert_allclose(middle[:, 1], height, atol=1e-4)
    np.testing.assert_allclose(middle[:, 0], p["start_x"] + p["velocity_x"] * since, atol=1e-4)
    apart, closing = states[:, 1, :2] - states[:, 0, :2], states[:, 1, 2:] - states[:, 0, 2:]
    before = apart - closing / (2 * PHYSICS_HZ)  # a velocity of the simulation is that of half a step ago
    turning = before[:, 0] * closing[:, 1] - before[:, 1] * closing[:, 0]
    np.testing.assert_allclose(turning, p["spin"] * p["length"] ** 2, rtol=1e-3)
    length = np.linalg.norm(apart, axis=-1)
    mass = shares[0] * sphere_mass(p["radius_b"])
    energy = (closing**2).sum(axis=-1) + p["stiffness"] / mass * (length - p["length"]) ** 2
    np.testing.assert_allclose(energy, (p["spin"] * p["length"]) ** 2, rtol=0.01)
    assert np.ptp(length) > 0.1 and length.min() > p["radius_a"] + p["radius_b"] + 0.25
    away = np.linalg.norm(states[..., :2] - middle[:, None], axis=-1)
    assert (away.max(axis=0) <= np.array(tumble_reach(p)) + 1e-3).all()
