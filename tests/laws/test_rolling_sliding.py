"""The law of slopes against an independent integrator, against the simulator, and against wrong constants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from slow_cases import others_slow

from physbench.laws.closed_form import Slope, slope_law
from physbench.world.scene import Body, Camera, Scene, ramp

Array = NDArray[np.float64]

ANGLE, G, C = 0.3, 9.81, 8
ALONG, NORMAL = (math.cos(ANGLE), math.sin(ANGLE)), (-math.sin(ANGLE), math.cos(ANGLE))
SMOOTH = Slope(ALONG, NORMAL, 0.4, G * 0.4, G * 0.2)
ROUGH = Slope(ALONG, NORMAL, 0.4, G * 0.6, -G * 0.1)
ROLLING = Slope(ALONG, NORMAL, 0.4, G * 0.2, G * 0.2)


def state_of(law: Slope, distance: float, velocity: float) -> Array:
    along, normal = np.array(law.along), np.array(law.normal)
    return np.concatenate([distance * along + law.height * normal, velocity * along])


def integrated(law: Slope, velocity: float, times: Array) -> Array:
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
    np.testing.assert_allclose(path[:, :2] @ np.array(law.along), integrated(law, velocity, times), atol=4e-3)
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
