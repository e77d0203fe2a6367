"""Laws of motion against an independent integrator and the simulator, and fits that find back what made the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.laws import kepler
from physbench.laws.closed_form import Constant, Law, Orbit, Slope, law_of, slope_law, supports
from physbench.world.scene import Body, Camera, Scene, ramp

Array = NDArray[np.float64]
MU = 34.0


def integrated(law: Law, state: Array, times: Array) -> Array:
    """States (T, 4) by an eighth-order Runge-Kutta method."""

    def rate(_: float, y: Array) -> Array:
        return np.concatenate([y[2:], law.acceleration(y[:2])])

    answer = solve_ivp(rate, (0, times[-1]), state, t_eval=times, rtol=1e-12, atol=1e-12, method="DOP853")
    return np.asarray(answer.y.T)


def test_orbits_agree_with_an_integrator() -> None:
    rng = np.random.default_rng(1)
    law, times = Orbit((0.3, -0.2), MU), np.linspace(0, 4, 41)
    for speed in np.linspace(0.7, 1.7, 12):  # of the circular one; above sqrt(2) the orbit is open
        radius, angle, turn = rng.uniform((0.8, 1.1, -3), (2.0, 2.0, 3))
        v = speed * np.sqrt(MU / radius)
        place = np.array([0.3 + radius * np.cos(turn), -0.2 + radius * np.sin(turn)])
        state = np.concatenate([place, v * np.array([np.cos(turn + angle), np.sin(turn + angle)])])
        np.testing.assert_allclose(law.propagate(state, times), integrated(law, state, times), atol=1e-6)


def test_orbits_run_backwards_and_close() -> None:
    state = np.array([1.0, 0.0, 0.0, 1.2 * np.sqrt(MU)])
    semi = 1 / (2 - 1.2**2)
    period = 2 * np.pi * np.sqrt(semi**3 / MU)
    again = kepler.propagate(state, np.array([-5 * period, 0.0, 7 * period]), MU)
    np.testing.assert_allclose(again, np.tile(state, (3, 1)), atol=1e-9)


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.2, np.sqrt(2), 1.6])
def test_slopes_of_orbits_are_their_derivatives(speed: float) -> None:
    state = np.array([0.9, 0.3, -0.3 * speed * np.sqrt(MU), 0.9 * speed * np.sqrt(MU)])
    times = np.linspace(-0.5, 4, 61)
    moved, slope = kepler.positions_and_slopes(state, times, MU)
    step = 1e-6 * np.eye(4)
    there, back = (kepler.propagate(state + sign * step, times, MU)[..., :2] for sign in (1, -1))
    np.testing.assert_allclose(moved, kepler.propagate(state, times, MU)[:, :2], atol=1e-12)
    np.testing.assert_allclose(slope, np.moveaxis((there - back) / 2e-6, 0, -1), rtol=1e-4, atol=1e-4)


def test_states_batch() -> None:
    states = np.array([[1.0, 0, 0, 5.0], [0.8, 0.1, -1.0, 6.0]])
    times = np.linspace(0, 2, 9)
    both = kepler.propagate(states, times, MU)
    assert both.shape == (2, 9, 4)
    for state, path in zip(states, both, strict=True):
        np.testing.assert_allclose(kepler.propagate(state, times, MU), path, atol=1e-9)


@pytest.mark.parametrize("law", [Constant((0.0, -9.81)), Constant((0.0, 0.0)), Constant((0.0, -9.81), (0.0, 1.0), 0.4)])
def test_constant_acceleration_agrees_with_an_integrator_and_is_fitted_back(law: Constant) -> None:
    state = np.array([0.2, 0.4, 1.0, 0.0 if law.normal else 3.0])
    times = np.linspace(0, 1.5, 31)
    path = law.propagate(state, times)
    np.testing.assert_allclose(path, integrated(law, state, times), atol=1e-9)
    np.testing.assert_allclose(law.fit(times, path[:, :2]), state, atol=1e-9)


@pytest.mark.parametrize("law", [Constant((0.0, -9.81)), Orbit((0.0, 0.0), MU)])
def test_covariance_is_the_scatter_of_fits(law: Law) -> None:
    rng = np.random.default_rng(3)
    state = np.array([1.1, 0.2, -1.0, 5.5])
    times = np.linspace(-0.5, 0, 8)
    exact = law.propagate(state, times)[:, :2]
    fits = np.array([law.fit(times, exact + rng.normal(0, 0.002, exact.shape), state) for _ in range(400)])
    ratio = np.sqrt(np.diag(np.cov(fits.T)) / np.diag(law.covariance(state, times, 0.002)))
    np.testing.assert_allclose(ratio, 1, atol=0.15)


def test_a_fitted_orbit_is_right() -> None:
    law, rng = Orbit((0.0, 0.0), MU), np.random.default_rng(0)
    times = np.arange(128) / 15
    exact = law.propagate(np.array([0.9, 0.0, 0.0, 1.2 * np.sqrt(MU / 0.9)]), times)[:, :2]
    seen = exact + rng.normal(0, 0.0024, exact.shape)
    state = law.fit(times, seen, law.fit(times[:16], seen[:16]))
    assert np.abs(law.propagate(state, times)[:, :2] - exact).max() < 0.003


@pytest.mark.parametrize(
    ("task", "law", "supported"),
    [
        ("falling/projectile-v1", Constant((0.0, -9.81)), False),
        ("collisions/head-on-v1", Constant((0.0, 0.0)), False),
        ("occlusion/screen-pass-v1", Constant, True),
        ("orbits/kepler-v1", Orbit, False),
    ],
)
def test_the_law_of_a_task_follows_from_its_scene(
    clip_of: Callable[..., Clip], task: str, law: object, supported: bool
) -> None:
    clip = clip_of(task)
    index = next(i for i, body in enumerate(clip.scene.bodies) if body.role == "moving")
    found = law_of(clip, index)
    assert found == law if isinstance(law, Constant) else isinstance(found, law)  # type: ignore[arg-type]
    assert bool(supports(clip, index)) == supported


@pytest.mark.parametrize(
    ("friction", "spin", "restitution", "straight"),
    [
        (0.0, (0.0, 0.0, 0.0), 1.0, True),  # nothing grips
        (0.5, (0.0, 0.0, 0.0), 0.0, False),  # it slips, and is slowed until it rolls
        (0.5, None, 0.0, True),  # it rolls
        (0.1, None, 0.3, False),  # the wall may throw it back with a spin that is not that of rolling
        (1.0, None, 0.3, True),  # and it rolls again soon
        (0.1, None, 0.06, True),  # 0.06 x 0.6 is too little for that
    ],
)
@pytest.mark.parametrize("camera", ["front", "top"])
def test_friction_bends_the_law_of_what_slips_on_a_level_floor(
    clip_of: Callable[..., Clip],
    camera: str,
    friction: float,
    spin: tuple[float, float, float] | None,
    restitution: float,
    straight: bool,
) -> None:
    clip = clip_of("occlusion/screen-pass-v1")
    index = next(i for i, body in enumerate(clip.scene.bodies) if body.role == "moving")
    (floor,) = supports(clip, index)
    ball = clip.scene.bodies[index]
    rolling = (0.0, ball.velocity[0] / ball.size[0], 0.0)
    bodies = [replace(body, collides=body.role == "moving" or j == floor) for j, body in enumerate(clip.scene.bodies)]
    bodies[index] = replace(ball, friction=1.0, spin=rolling if spin is None else spin, restitution=0.6)
    bodies[floor] = replace(bodies[floor], friction=friction)
    wall = replace(bodies[floor], name="wall", shape="box", size=(0.1, 1.0, 1.0), position=(9.0, 0.0, 1.0))
    wall = replace(wall, friction=0.0, restitution=restitution)
    states = np.concatenate([clip.states, clip.states[:, floor, None]], axis=1)
    states[:, -1, :3] = wall.position
    scene = replace(clip.scene, bodies=(*bodies, wall), camera=replace(clip.scene.camera, view=camera))
    law = law_of(replace(clip, scene=scene, states=states), index)
    assert isinstance(law, Constant) if straight else law is None


ANGLE, G, C = 0.3, 9.81, 8
ALONG, NORMAL = (math.cos(ANGLE), math.sin(ANGLE)), (-math.sin(ANGLE), math.cos(ANGLE))
SMOOTH = Slope(ALONG, NORMAL, 0.4, G * 0.4, G * 0.2)
ROUGH = Slope(ALONG, NORMAL, 0.4, G * 0.6, -G * 0.1)
ROLLING = Slope(ALONG, NORMAL, 0.4, G * 0.2, G * 0.2)


def state_of(law: Slope, distance: float, velocity: float) -> Array:
    along, normal = np.array(law.along), np.array(law.normal)
    return np.concatenate([distance * along + law.height * normal, velocity * along])


def way_integrated(law: Slope, velocity: float, times: Array) -> Array:
    """Way (T,) m by an eighth-order Runge-Kutta method with the force of the direction in which it moves."""

    def rate(_: float, y: Array) -> Array:
        slow = law.rising if y[1] > 0 else law.sinking
        return np.array([y[1], 0.0 if law.stays and abs(y[1]) < 1e-4 else -slow])

    answer = solve_ivp(rate, (0, times[-1]), (0.0, velocity), t_eval=times, rtol=1e-9, atol=1e-9, max_step=5e-3)
    return np.asarray(answer.y[0])


@pytest.mark.parametrize("law", [SMOOTH, ROUGH, ROLLING])
@pytest.mark.parametrize("velocity", [2.0, 0.7, -0.8])
def test_motion_agrees_with_an_integrator(law: Slope, velocity: float) -> None:
    times = np.linspace(0, 1.5, 16)
    path = law.propagate(state_of(law, 0.0, velocity), times)
    np.testing.assert_allclose(path[:, :2] @ np.array(law.along), way_integrated(law, velocity, times), atol=4e-3)
    np.testing.assert_allclose(path[:, :2] @ np.array(law.normal), law.height, atol=1e-12)


@pytest.mark.parametrize("law", [SMOOTH, ROUGH, ROLLING])
@pytest.mark.parametrize("velocity", [2.0, -1.4])
def test_motion_runs_backwards(law: Slope, velocity: float) -> None:
    start = state_of(law, 0.3, velocity)
    later = law.propagate(start, np.array([0.1]))[0]  # before it stops
    np.testing.assert_allclose(law.propagate(later, np.array([-0.1]))[0], start, atol=1e-12)


@pytest.mark.parametrize("law", [SMOOTH, ROUGH, ROLLING])
@pytest.mark.parametrize("velocity", others_slow([0.4, 2.5, -0.9], 1))
def test_fits_find_back_what_made_the_data(law: Slope, velocity: float) -> None:
    times = np.arange(24) / 15
    state = state_of(law, 0.2, velocity)
    exact = law.propagate(state, times)[:, :2]
    np.testing.assert_allclose(law.fit(times, exact), state, atol=1e-4)
    rng = np.random.default_rng(0)
    fits = np.array([law.fit(times, exact + rng.normal(0, 0.002, exact.shape)) for _ in range(80)])
    expected = np.sqrt(np.diag(law.covariance(state, times, 0.002)))
    np.testing.assert_allclose(np.sqrt(np.diag(np.cov(fits.T))), expected, rtol=0.25)


def on_board(shape: str, friction: float, angle: float = ANGLE, **more: object) -> tuple[Scene, Array]:
    board = ramp("board", (-2.0, 0.0), angle, 4.0, friction=friction)
    position = np.array([-0.4 * math.sin(angle), 0.0, 0.4 * math.cos(angle)]) + np.array(board.position)
    position += 0.05 * np.array([-math.sin(angle), 0.0, math.cos(angle)])
    size = {"sphere": (0.4,), "cylinder": (0.4, 0.8), "box": (0.4, 0.4, 0.4)}[shape]
    turned = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)) if shape == "cylinder" else board.orientation
    body = Body("body", shape, size, "moving", tuple(position), turned, friction=1.0, restitution=0.0, **more)  # type: ignore[arg-type]
    return Scene((body, board), Camera("front", (0, 0, 0)), (0.0, 0.0, -G)), position


@pytest.mark.parametrize(
    ("shape", "friction", "rising", "sinking"),
    [
        ("sphere", 0.5, 5 / 7 * math.sin(ANGLE), 5 / 7 * math.sin(ANGLE)),
        ("cylinder", 0.5, 2 / 3 * math.sin(ANGLE), 2 / 3 * math.sin(ANGLE)),
        ("sphere", 0.02, math.sin(ANGLE) - 0.02 * math.cos(ANGLE), math.sin(ANGLE) - 0.02 * math.cos(ANGLE)),
        ("box", 0.2, math.sin(ANGLE) + 0.2 * math.cos(ANGLE), math.sin(ANGLE) - 0.2 * math.cos(ANGLE)),
        ("box", 0.5, math.sin(ANGLE) + 0.5 * math.cos(ANGLE), math.sin(ANGLE) - 0.5 * math.cos(ANGLE)),
    ],
)
@pytest.mark.parametrize("angle", [ANGLE, -ANGLE])
def test_the_law_follows_from_the_scene(
    shape: str, friction: float, rising: float, sinking: float, angle: float
) -> None:
    scene, position = on_board(shape, friction, angle)
    law = slope_law(scene, 0, 1, position)
    assert law is not None
    assert law.rising == pytest.approx(G * rising) and law.sinking == pytest.approx(G * sinking)
    np.testing.assert_allclose(law.along, (math.copysign(math.cos(ANGLE), angle), math.sin(ANGLE)), atol=1e-12)


def test_what_starts_without_the_spin_of_rolling_has_no_law() -> None:
    scene, position = on_board("sphere", 0.5, velocity=(1.0, 0.0, 0.3))
    assert slope_law(scene, 0, 1, position) is None


def test_a_box_on_a_level_floor_is_slowed_and_a_ball_is_not() -> None:
    scene, position = on_board("box", 0.2, 0.0)
    law = slope_law(scene, 0, 1, position)
    assert law is not None and law.stays and law.rising == -law.sinking == pytest.approx(0.2 * G)
    scene, position = on_board("sphere", 0.2, 0.0)
    assert slope_law(scene, 0, 1, position) is None  # straight on: motion.Constant
