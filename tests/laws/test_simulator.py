"""A law that only moves states from one moment to others: pieces between interventions, contacts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.laws.scene_law import Intervention, PiecewiseSimulator
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
NONE = np.ones((1, 0))


def straight(states: Array, times: Array, constants: Array) -> Array:
    """Uniform motion."""
    dt = (times - times[0])[:, None, None]
    velocity = states[:, None, :, 2:] + 0 * dt
    return np.concatenate([states[:, None, :, :2] + dt * velocity, velocity], axis=-1)


def touches(states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
    """Body 0 passes x = 1.5 m."""
    (x, _, vx, _), (begin, end) = states[0], times
    when = begin + (1.5 - x) / vx
    return [(when, 0, -1)] if begin <= when < end else []


def state(*values: float) -> Array:
    """States (1, 6)."""
    return np.array([[*values, 0.0, 0.0]])


def test_pieces_follow_each_other() -> None:
    changes = [
        Intervention(0, 0, "state", state(0.0, 0.0, 1.0, 0.0)),
        Intervention(600, 1, "state", state(5.0, 0.0, 0.0, 2.0)),
        Intervention(1200, 0, "push", np.array([1.0, -1.0])),
        Intervention(1800, 1, "gone"),
    ]
    run = PiecewiseSimulator(straight, touches, 2, NONE).run(changes, 2400)
    position, velocity, spin = run.at(np.array([0.0, 300.0, 600.0, 1199.0, 1200.0, 1799.0, 1800.0, 2400.0]))
    np.testing.assert_allclose(position[0, :, 0, 0], [0, 0.25, 0.5, 1199 / 1200, 1, 1 + 2 * 599 / 1200, 2, 3])
    np.testing.assert_allclose(position[0, :, 0, 1], [0, 0, 0, 0, 0, -599 / 1200, -0.5, -1])
    assert np.isnan(position[0, [0, 1, 6, 7], 1]).all()
    np.testing.assert_allclose(position[0, 2:6, 1, 1], [0, 2 * 599 / 1200, 1, 2 * 1199 / 1200])
    np.testing.assert_allclose(velocity[0, :, 0, 0], [1, 1, 1, 1, 2, 2, 2, 2])
    assert not spin[0, :, 0].any()
    assert run.contacts == [(round(1.25 * PHYSICS_HZ), 0, -1)]
