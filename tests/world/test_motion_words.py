"""Velocities in words: the bounds that a word has, and that a velocity is inside those of its own words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physbench.world.scene import Body, Camera, Scene
from physbench.world.styles.prompt import PACES, angle_bounds, motion_sentence, speed_bounds, stated_velocities

BALL = Body("ball", "sphere", (0.4,), "moving", (0.0, 0.0, 0.5), hue=0)
BOX = Body("box", "box", (0.5, 0.5, 0.5), "moving", (2.0, 0.0, 0.5), hue=1)
SCENE = Scene((BALL, BOX), Camera("front", (0.0, 0.0, 0.0)))


def moving(velocity: tuple[float, float, float], spin: float = 0.0) -> np.ndarray:
    """States (2, 13) at the hand-over: the ball with a velocity in m/s and a spin about y in rad/s; the box rests."""
    states = np.zeros((2, 13))
    states[0, 7:10], states[0, 11] = velocity, spin
    return states


@pytest.mark.parametrize(
    ("velocity", "spin", "said"),
    [
        ((0.6, 0.0, 0.0), 1.5, "rolls slowly to the right (less than its own width a second)"),
        ((0.6, 0.0, 0.0), 0.0, "moves slowly to the right"),
        ((-1.0, 0.0, 0.05), 0.0, "moves at a moderate speed to the left"),
        ((1.2, 0.0, 1.2), 0.0, "moves fast up and to the right"),
        ((0.0, 0.0, -4.0), 0.0, "moves very fast straight down"),
    ],
)
def test_the_words_of_a_velocity(velocity: tuple[float, float, float], spin: float, said: str) -> None:
    """The ball is 0.8 m wide: 0.8, 1.6 and 3.2 m/s are 1, 2 and 4 of its widths a second; it rolls at spin x 0.4 m."""
    sentence = motion_sentence(SCENE, stated_velocities(SCENE, moving(velocity, spin)))
    assert sentence.startswith(f"At the start the red ball {said}")
    assert sentence.endswith("; the lime box is at rest.")


def test_all_at_rest_and_nothing_told() -> None:
    resting = motion_sentence(SCENE, stated_velocities(SCENE, moving((0.0, 0.0, 0.0))))
    assert resting == "At the start the red ball is at rest; the lime box is at rest."
    assert motion_sentence(SCENE, ()) == ""


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_a_velocity_is_inside_its_own_words(right: float, up: float) -> None:
    told = stated_velocities(SCENE, moving((right, 0.0, up)))[0]
    speed, (slowest, fastest) = math.hypot(right, up), speed_bounds(SCENE, told)
    assert slowest <= speed * (1 + 1e-12) and speed < fastest
    toward, beside = angle_bounds(told)
    assert speed == 0 or abs(math.remainder(math.atan2(up, right) - toward, math.tau)) <= beside + 1e-9


def test_paces_leave_no_gap() -> None:
    bounds = [slowest for slowest, _, _ in PACES]
    assert bounds[0] == 0.0 and bounds == sorted(set(bounds))
