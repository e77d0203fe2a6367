"""Weighted distances from points are those that NumPy computes."""

from __future__ import annotations

import numpy as np

from physbench.dynamics.point_distances import weighted_distances


def test_distances_are_those_of_numpy_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    position, index = rng.normal(size=(5, 40, 2)), np.sort(rng.choice(40, 17, replace=False))
    point, diameter, weight = rng.normal(size=(17, 2)), rng.uniform(0.1, 1, 17), rng.uniform(1, 500, 17)
    expected = (position[:, index] - point) / diameter[:, None] * weight[:, None]
    found = weighted_distances(position, index, point, diameter, weight, 1e3)
    assert found.tobytes() == expected.reshape(5, -1).tobytes()


def test_what_is_absent_is_as_far_off_as_is_asked() -> None:
    position = np.array([[[np.nan, np.inf], [-np.inf, 2.0]]])
    found = weighted_distances(position, np.arange(2), np.zeros((2, 2)), np.ones(2), np.full(2, 3.0), 1e3)
    np.testing.assert_array_equal(found, [[1e3, 1e3, -1e3, 6.0]])
