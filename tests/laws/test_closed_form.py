"""Laws of motion against an independent integrator, and fits that find back what made the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from physbench.clips.clip import Clip
from physbench.laws import kepler
from physbench.laws.closed_form import Constant, Law, Orbit, law_of, supports

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
