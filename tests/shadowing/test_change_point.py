"""When breaks are dated and how large they are said to be, on exact places with 0.05 px of noise at 128 px."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import Edit, again, problem

from physbench.shadowing.levels import at_levels
from physbench.shadowing.search import Break
from physbench.validity.violations import find_acts, violate
from physbench.world.scene import Scene

Array = NDArray[np.float64]

WOBBLE = 0.006  # m rms per coordinate; 0.008 diameters
SLOW = 3.0  # frames, sd of the kernel that smooths it
BODY = 0


def at(times: Array, time: float) -> int:
    return int(np.searchsorted(times, time - 1e-9))


def kicked(time: float, gain: tuple[float, float, float]) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        def change(state: Array) -> None:
            state[BODY, 7:10] += gain

        return again(scene, times, states, at(times, time), change)

    return edit


def violated(name: str) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        return violate(scene, find_acts(name), "clip").states(times)

    return edit


def then(*edits: Edit) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        for each in edits:
            states = each(scene, times, states)
        return states

    return edit


def lost(begin: float, end: float = np.inf) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        states[(times > begin) & (times < end), BODY, :3] = np.nan
        return states

    return edit


def wobbling(scene: Scene, times: Array, states: Array) -> Array:
    lags = np.arange(-9, 10)
    kernel = np.exp(-0.5 * (lags / SLOW) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    noise = np.random.default_rng(0).normal(size=(len(times) + len(lags) - 1, states.shape[1], 3))
    smooth = np.apply_along_axis(np.convolve, 0, noise, kernel, "valid")
    states[:, :, :3] += WOBBLE * smooth * (times > 1e-9)[:, None, None]
    return states


def first_break(task: str, edit: Edit, seed: int = 0, tolerance: float = 0.03) -> Break:
    return at_levels(problem(task, seed, edit), (tolerance,))[0].breaks[0]


@pytest.mark.parametrize(
    ("task", "time", "gain"),
    [
        ("collisions/head-on-v1", 1.5, (0.14, 0.14, 0.0)),
        ("collisions/wall-bounce-v1", 1.2, (0.14, -0.14, 0.0)),
        ("falling/projectile-v1", 0.8, (0.2, 0.0, 0.0)),
        ("orbits/kepler-v1", 3.0, (0.14, 0.14, 0.0)),
        ("occlusion/screen-pass-v1", 0.5, (0.28, 0.0, 0.0)),  # of which 5/7 are left when the ball rolls again
    ],
)
def test_a_weak_push_is_dated_when_it_happens(task: str, time: float, gain: tuple[float, float, float]) -> None:
    found = first_break(task, kicked(time, gain))
    assert found.body == BODY
    assert found.time == pytest.approx(time, abs=0.15)
    assert found.velocity_jump == pytest.approx(0.2, abs=0.05)
    assert found.position_jump < 0.04
    assert found.frame > at(np.arange(-12, 200) / 30, time) + 3  # it is missed only later


def test_a_push_before_a_bounce_is_dated_before_it() -> None:
    task = "falling/drop-bounce-v1"
    trial = problem(task, 0)
    height = trial.seen.position[:, BODY, 1]
    bounce = float(trial.seen.times[np.flatnonzero(np.diff(np.sign(np.diff(height))) > 0)[0] + 1])
    time = round((bounce - 0.1) * 30) / 30
    found = first_break(task, kicked(time, (0.4, 0.0, 0.0)))
    assert found.time == pytest.approx(time, abs=0.1)
    assert found.velocity_jump == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize("wobble", [False, True])
@pytest.mark.parametrize("task", ["collisions/head-on-v1", "collisions/wall-bounce-v1"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_passes_through_breaks_at_the_touch_that_does_not_happen(task: str, seed: int, wobble: bool) -> None:
    """Both trajectories are one up to there; two pieces would fit a slow wobble better than one."""

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        event.append(min(each.time for each in violate(scene, find_acts("pass-through:1"), "clip").events))
        states = violated("pass-through:1")(scene, times, states)
        return wobbling(scene, times, states) if wobble else states

    event: list[float] = []
    found = first_break(task, edit, seed)
    assert found.time == pytest.approx(event[0], abs=0.1)


def test_a_break_out_of_sight_is_dated_when_the_body_is_seen_again() -> None:
    found = first_break("collisions/wall-bounce-v1", then(kicked(0.6, (0.4, 0.4, 0.0)), lost(0.55, 0.85)))
    assert found.time == pytest.approx(0.85, abs=0.04)


def test_what_nothing_lawful_follows_is_dated_too() -> None:
    found = first_break("collisions/wall-bounce-v1", then(kicked(0.6, (0.4, 0.4, 0.0)), lost(0.78)))
    assert found.time == pytest.approx(0.6, abs=0.1)
    assert np.isnan(found.position_jump)
    assert np.isnan(found.velocity_jump)
    assert not found.gross


def test_what_stands_still_in_the_air_is_dated_when_it_stops() -> None:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        begin, held = at(times, 0.8), 12
        return np.concatenate([states[:begin], np.repeat(states[begin : begin + 1], held, 0), states[begin:-held]])

    found = first_break("falling/projectile-v1", edit, tolerance=0.08)
    assert found.time == pytest.approx(0.8, abs=0.1)
    assert found.velocity_jump > 0.5


def test_no_break_lies_in_the_context() -> None:
    found = first_break("orbits/kepler-v1", kicked(0.0, (0.1, 0.1, 0.0)))
    assert 0 < found.time < 0.2
