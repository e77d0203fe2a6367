"""seesaw: PyBullet against the lever, and the questions about the end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.falling import SIDES, TORQUE_MARGIN, Seesaw, torque_margin, torques
from physbench.world.bullet import simulate
from physbench.world.links import moments

TIMES = np.arange(81) / 20  # s
TURNS = 0.15  # rad of a plank that has not reached the floor


@pytest.mark.parametrize("split", others_slow(SPLITS, 1))
def test_the_side_with_the_larger_torque_goes_down(split: Split) -> None:
    """Until the plank reaches the floor it turns with the blocks as one body, as SciPy integrates that."""
    for seed in range(3):
        row = Row(Seesaw.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        states = simulate(scene, TIMES).states
        sinks = int(np.argmax(torques(p)))
        rise = states[-1, :2, 2] - states[0, :2, 2]
        assert torque_margin(p) >= TORQUE_MARGIN
        assert rise[sinks] < -0.2 and rise[1 - sinks] > 0.05, (split, seed)
        assert scene.outcomes[-1].body == f"{SIDES[sinks]} block"
        assert np.abs(states[-1, :3, 7:]).max() < 0.05, "all but at rest at the end"

        bodies = scene.bodies[:3]
        away = np.array([np.subtract(body.position, bodies[2].position)[[0, 2]] for body in bodies])
        masses = np.array([body.mass for body in bodies])
        inertia = sum(moments(body)[1] for body in bodies) + masses @ (away**2).sum(axis=1)

        def slopes(t: float, y: np.ndarray, g: float = p["gravity"]) -> list[float]:
            across = away @ [np.cos(y[0]), -np.sin(y[0])]  # noqa: B023
            return [y[1], -g * (masses @ across) / inertia]  # noqa: B023

        exact = solve_ivp(slopes, (0, 4), [0.0, 0.0], t_eval=TIMES, rtol=1e-10, atol=1e-12).y[0]
        free = np.abs(exact) < TURNS
        angle = -2 * np.arcsin(states[:, 2, 4])
        assert free.sum() > 8 and np.abs(angle - exact)[free].max() < 2e-3, (split, seed)


def test_all_four_ends_are_as_frequent() -> None:
    ends = []
    for seed in range(200):
        row = Row(Seesaw.id, "test", seed)
        left, right, *_ = make_scene(row).bodies
        sinks = int(np.argmax(torques(make_params(row))))
        ends.append(2 * sinks + ((left, right)[sinks].mass > (right, left)[sinks].mass))
    counts = np.bincount(ends, minlength=4)
    assert counts.min() >= 33 and counts.max() <= 69, "three standard deviations of 50"
