"""The simulator against closed forms: every row of the study of PyBullet's settings, and each family's law."""

from __future__ import annotations

import math

import numpy as np
import pytest

from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.geometry import unrotate
from physbench.world.scene import (
    HISTORY,
    PHYSICS_HZ,
    Body,
    Camera,
    CentralGravity,
    Quaternion,
    Scene,
    Vector,
    sphere_mass,
)

G = 9.81
DOWN: Vector = (0.0, 0.0, -G)
FRONT = Camera("front", (0.0, 0.0, 2.0))
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)


def ball(name: str, position: Vector, radius: float = 0.4, **more: object) -> Body:
    return Body(name, "sphere", (radius,), "moving", position, mass=sphere_mass(radius), **more)  # type: ignore[arg-type]


def scene(*bodies: Body, gravity: Vector = DOWN) -> Scene:
    return Scene(bodies, FRONT, gravity)


def times(seconds: float, every: int = 1) -> np.ndarray:
    return -HISTORY + np.arange(0, round(seconds * PHYSICS_HZ) + 1, every) / PHYSICS_HZ


def few_and_all(few: int, many: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.slow)])


def test_free_fall() -> None:
    """x = v t and z = v t - g t^2 / 2, the latter short by g h t / 2 of the first-order step."""
    s = simulate(scene(ball("ball", (0, 0, 30.0), velocity=(1.5, 0, 3.0))), times(2, 100)).states[:, 0]
    t = times(2, 100) + HISTORY
    np.testing.assert_allclose(s[:, 0], 1.5 * t, atol=1e-9)
    exact = 30 + 3 * t - G * t**2 / 2
    np.testing.assert_allclose(s[:, 2], exact - G * t / PHYSICS_HZ / 2, atol=1e-9)
    np.testing.assert_allclose(s[:, 2], exact, atol=0.01)
    np.testing.assert_allclose(s[:, 9], 3 - G * t, atol=1e-9)


@few_and_all(7, 21)
def test_rebound_height(count: int) -> None:
    """A ball of restitution 0.9 rises to 0.81 of its height, whatever the phase of the step at which it lands."""
    heights = np.linspace(0.5, 1.5, count)
    still = scene(FLOOR, ball("ball", (0, 0, 1.0), restitution=0.9))
    states = np.zeros((count, 2, 13))
    states[..., 6] = 1.0
    states[:, 1, 2] = 0.4 + heights
    z = simulate_ensemble(still, -HISTORY, states, times(1.5, 4))[:, :, 1, 2] - 0.4
    landed = np.argmin(z[:, : round(0.62 * 300)], axis=1)
    top = np.array([row[first:].max() for row, first in zip(z, landed, strict=True)]) / heights
    assert top.mean() == pytest.approx(0.812, abs=0.003)
    assert top.std() < 1e-3
    assert top.min() > 0.805


@few_and_all(7, 21)
def test_restitution_of_two_balls(count: int) -> None:
    distances = np.linspace(0.05, 1.05, count)
    pair = scene(ball("a", (-1, 0, 0)), ball("b", (0.4, 0, 0), restitution=0.9), gravity=(0, 0, 0))
    states = np.zeros((count, 2, 13))
    states[..., 6] = 1.0
    states[:, 0, 0], states[:, 0, 7] = -0.4 - distances, 1.5
    states[:, 1, 0] = 0.4
    after = simulate_ensemble(pair, -HISTORY, states, times(1.5, 1800))[:, -1, :, 7]
    restitution = (after[:, 1] - after[:, 0]) / 1.5
    assert restitution.mean() == pytest.approx(0.9, abs=0.007)
    assert restitution.std() < 0.003
    np.testing.assert_allclose(after.sum(axis=1), 1.5, atol=1e-12)  # momentum of equal masses


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_elastic_collision_of_unequal_balls(offset: float) -> None:
    """Momentum and energy are kept, and the normal velocities are those of the closed form."""
    radii = (0.4, 0.6)
    a = ball("a", (-1.2, 0, 0), radii[0], velocity=(1.5, 0, 0))
    b = ball("b", (0.6, 0, offset), radii[1], velocity=(-0.8, 0, 0))
    s = simulate(scene(a, b, gravity=(0, 0, 0)), times(2, 1)).states
    m = np.array([sphere_mass(r) for r in radii])[:, None]
    np.testing.assert_allclose((m * s[-1, :, 7:10]).sum(0), (m * s[0, :, 7:10]).sum(0), atol=1e-9)
    energy = (m * s[:, :, 7:10] ** 2).sum(axis=(1, 2))
    assert energy[-1] == pytest.approx(energy[0], rel=1e-9)
    contact = np.argmax(np.abs(s[1:, 0, 7:10] - s[:-1, 0, 7:10]).max(axis=1) > 1e-9)
    normal = s[contact, 1, :3] - s[contact, 0, :3]
    normal /= np.linalg.norm(normal)
    before, after = s[0, :, 7:10] @ normal, s[-1, :, 7:10] @ normal
    centre = (m[:, 0] * before).sum() / m.sum()
    np.testing.assert_allclose(after, 2 * centre - before, atol=1e-6)


def on_incline(shape: str, friction: float, degrees: float = 20.0) -> tuple[float, float, float]:
    """Acceleration down the incline (m/s2), way (m) and angular acceleration (rad/s2) in one second."""
    angle = math.radians(degrees)
    turn: Quaternion = (0.0, math.sin(angle / 2), 0.0, math.cos(angle / 2))
    incline = Body("incline", "plane", (), "fixed", (0, 0, 0), turn, friction=1.0)
    x, z = 0.4 * math.sin(angle), 0.4 * math.cos(angle)
    across: Quaternion = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))  # a cylinder's axis is that of the view
    size, turned = {
        "sphere": ((0.4,), (0.0, 0.0, 0.0, 1.0)),
        "cylinder": ((0.4, 0.8), across),
        "box": ((0.4, 0.4, 0.4), turn),
    }[shape]
    thing = Body("thing", shape, size, "moving", (x, 0, z), turned, mass=10, friction=friction, restitution=0)  # type: ignore[arg-type]
    s = simulate(scene(incline, thing), times(1, 20)).states[:, 1]
    down = np.array([math.cos(angle), 0.0, -math.sin(angle)])
    t = times(1, 20) + HISTORY
    later = t > 0.2
    acceleration = np.polyfit(t[later], (s[:, 7:10] @ down)[later], 1)[0]
    return float(acceleration), float((s[-1, :3] - s[0, :3]) @ down), float(s[-1, 11] / t[-1])


SIN, COS = math.sin(math.radians(20)), math.cos(math.radians(20))


def test_sliding_on_an_incline() -> None:
    assert on_incline("box", 0.2)[0] == pytest.approx(G * (SIN - 0.2 * COS), rel=1e-3)


def test_sticking_on_an_incline() -> None:
    acceleration, way, _ = on_incline("box", 0.5)
    assert abs(acceleration) < 1e-4
    assert abs(way) < 1e-4


def test_rolling_on_an_incline() -> None:
    acceleration, _, turning = on_incline("sphere", 0.5)
    assert acceleration == pytest.approx(5 / 7 * G * SIN, rel=1e-4)
    assert turning == pytest.approx(5 / 7 * G * SIN / 0.4, rel=1e-4)


def test_a_cylinder_rolls_on_an_incline() -> None:
    """The edges of Bullet's cylinder catch a little where it touches: within 2 %."""
    acceleration, _, turning = on_incline("cylinder", 0.5)
    assert acceleration == pytest.approx(2 / 3 * G * SIN, rel=0.02)
    assert turning == pytest.approx(2 / 3 * G * SIN / 0.4, rel=0.02)


def test_slipping_on_an_incline() -> None:
    acceleration, _, turning = on_incline("sphere", 0.05)
    assert acceleration == pytest.approx(G * (SIN - 0.05 * COS), rel=1e-4)
    assert turning == pytest.approx(2.5 * 0.05 * G * COS / 0.4, rel=1e-4)


def test_rolling_on_the_floor_keeps_its_speed() -> None:
    roller = ball("ball", (-2, 0, 0.4), velocity=(1.0, 0, 0), spin=(0, 1 / 0.4, 0), friction=0.8)
    s = simulate(scene(FLOOR, roller), times(4, 1200)).states[:, 1]
    np.testing.assert_allclose(s[:, 7], 1.0, atol=1e-4)
    np.testing.assert_allclose(s[:, 0], np.arange(-2, 3), atol=1e-3)


def test_ball_at_rest_does_not_sink() -> None:
    s = simulate(scene(FLOOR, ball("ball", (0, 0, 0.4), restitution=0.5)), times(4, 400)).states[:, 1]
    assert np.abs(s[:, 2] - 0.4).max() < 2e-5
    assert np.abs(s[:, :2]).max() < 1e-9


def test_stack_of_four_boxes_stands() -> None:
    boxes = [
        Body(f"box {i}", "box", (0.25,) * 3, "moving", (0, 0, 0.25 + 0.5 * i), mass=12.5, friction=0.7, restitution=0.0)
        for i in range(4)
    ]
    result = simulate(scene(FLOOR, *boxes), times(4, 1200))
    sunk = result.states[0, 1:, 2] - result.states[-1, 1:, 2]
    assert sunk.max() < 0.8e-3
    assert np.abs(result.states[:, 1:, :2]).max() < 5e-3
    assert len(result.contacts) == 4


def test_boxes_at_rest_do_not_creep() -> None:
    """A leaning tower, 6 cm from falling, and a box that sticks to a ramp stay where they are for 4 s."""
    boxes = [
        Body(
            f"box {i}",
            "box",
            (0.5, 0.5, 0.3),
            "moving",
            (0.22 * i, 0, 0.3 + 0.6 * i),
            mass=60.0,
            friction=0.9,
            restitution=0.0,
        )
        for i in range(3)
    ]
    s = simulate(scene(FLOOR, *boxes), times(4, 1200)).states[:, 1:]
    assert np.abs(s[:, :, :3] - s[0, :, :3]).max() < 3e-3
    angle = math.radians(20)
    turn: Quaternion = (0.0, math.sin(angle / 2), 0.0, math.cos(angle / 2))
    incline = Body("incline", "plane", (), "fixed", (0, 0, 0), turn, friction=1.0)
    place = (0.4 * math.sin(angle), 0.0, 0.4 * math.cos(angle))
    sticking = Body("box", "box", (0.4,) * 3, "moving", place, turn, mass=50.0, friction=0.5, restitution=0.0)
    s = simulate(scene(incline, sticking), times(4, 1200)).states[:, 1]
    assert np.abs(s[:, :3] - s[0, :3]).max() < 1e-3


@few_and_all(3, 20)
@pytest.mark.parametrize(("shape", "gain"), [("box", 0.002), ("cylinder", 0.015)])
def test_tumbling_gains_no_energy(shape: str, gain: float, count: int) -> None:
    """The largest rise of mechanical energy of a dropped, spinning body of about 20 J."""
    m, rng = 2.0, np.random.default_rng(0)
    size = (0.3, 0.3, 0.3) if shape == "box" else (0.3, 0.6)
    inertia = [m * 0.06] * 3 if shape == "box" else [m * (3 * 0.09 + 0.36) / 12] * 2 + [m * 0.045]
    thing = Body("thing", shape, size, "moving", (0, 0, 1), mass=m, friction=0.5, restitution=0.5)  # type: ignore[arg-type]
    states = np.zeros((count, 2, 13))
    states[..., 6] = 1.0
    states[:, 1, 2], states[:, 1, 7] = 1.0, 0.5
    for k in range(count):
        turn = rng.normal(size=4)
        states[k, 1, 3:7], states[k, 1, 10:] = turn / np.linalg.norm(turn), rng.normal(0, 3, 3)
    s = simulate_ensemble(scene(FLOOR, thing), -HISTORY, states, times(2.5, 4))[:, :, 1]
    spin = unrotate(s[..., 3:7], s[..., 10:])
    energy = m * G * s[..., 2] + m / 2 * (s[..., 7:10] ** 2).sum(-1) + (spin**2 * inertia).sum(-1) / 2
    rise = energy - np.minimum.accumulate(energy, axis=1)
    assert rise.max() < gain
    assert (energy[:, -1] < energy[:, 0] - 3).all()  # they did land


def two_balls_in_a_box(rng: np.random.Generator) -> Scene:
    s = math.sin(math.pi / 4)
    walls = (
        Body("left", "plane", (), "fixed", (-2.5, 0, 0), (0, s, 0, s)),
        Body("right", "plane", (), "fixed", (2.5, 0, 0), (0, -s, 0, s)),
    )
    x, z = rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.4, 0.4, 2)
    a = ball("a", (-1 + x[0], 0, 1.5 + z[0]), 0.3, velocity=(2, 0, 1), restitution=0.9)
    b = ball("b", (1 + x[1], 0, 1.5 + z[1]), 0.45, velocity=(-1.5, 0, 0), restitution=0.9)
    return scene(FLOOR, *walls, a, b)


@few_and_all(3, 12)
def test_convergence_with_the_step(count: int) -> None:
    """First order: a quarter of the step leaves at most half of the distance to a run of a sixteenth."""
    rng = np.random.default_rng(1)
    far: dict[int, list[np.ndarray]] = {1: [], 4: []}
    for _ in range(count):
        boxed = two_balls_in_a_box(rng)
        fine = simulate(boxed, times(1.6, 480), refine=16).states[:, 3:, :3]
        for refine, errors in far.items():
            coarse = simulate(boxed, times(1.6, 480), refine=refine).states[:, 3:, :3]
            errors.append(np.linalg.norm(coarse - fine, axis=-1).max(axis=1))
    median = {refine: np.median(errors, axis=0) for refine, errors in far.items()}
    assert median[1][1] < 0.004  # m after 0.4 s
    assert median[1][4] < 0.025  # m after 1.6 s
    assert median[4].mean() < median[1].mean() / 2


def orbit(axis: float, eccentricity: float, mu: float, seconds: float = 12.0) -> np.ndarray:
    """States (T, 13) of a planet that starts at its periapsis on +x."""
    near = axis * (1 - eccentricity)
    star = Body("star", "sphere", (0.2,), "fixed", (0, 0, 0), collides=False)
    speed = math.sqrt(mu * (1 + eccentricity) / near)
    planet = Body("planet", "sphere", (0.4,), "moving", (near, 0, 0), velocity=(0, speed, 0))
    system = Scene((star, planet), Camera("top", (0, 0, 0)), fields=(CentralGravity("star", mu),))
    return simulate(system, times(seconds, 20)).states[:, 1]


@pytest.mark.parametrize(("axis", "eccentricity", "mu"), [(1.5, 0.1, 9.0), (1.2, 0.5, 9.0), (1.0, 0.6, 4.0)])
def test_keplers_laws(axis: float, eccentricity: float, mu: float) -> None:
    s = orbit(axis, eccentricity, mu)
    radius, angle = np.linalg.norm(s[:, :3], axis=1), np.unwrap(np.arctan2(s[:, 1], s[:, 0]))
    ellipse = axis * (1 - eccentricity**2) / (1 + eccentricity * np.cos(angle))
    assert np.abs(radius - ellipse).max() < 0.008  # first law
    areal = (s[:, 0] * s[:, 8] - s[:, 1] * s[:, 7]) / 2
    assert np.ptp(areal) < 1e-9 * areal.mean()  # second
    whole = 2 * np.pi * np.arange(1, int(angle[-1] / 2 / np.pi) + 1)
    assert len(whole) >= 1
    t = times(12, 20) + HISTORY
    period = np.interp(whole, angle, t) / np.arange(1, len(whole) + 1)
    np.testing.assert_allclose(period, 2 * np.pi * math.sqrt(axis**3 / mu), rtol=2e-4)  # third
