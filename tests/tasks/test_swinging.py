"""pendulum and spring: PyBullet against the closed forms."""

from __future__ import annotations

import numpy as np
from scipy.special import ellipj, ellipk

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import Params, Task
from physbench.support.arrays import Array
from physbench.tasks.swinging import HANGS_AT, HEIGHT, HangingSpring, Pendulum, hanging
from physbench.world.bullet import simulate
from physbench.world.scene import WINDOW

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
