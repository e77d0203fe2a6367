"""Orbits from elements agree with states that are moved in time."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.laws import kepler
from physbench.laws.kepler import elliptic_state, hyperbolic_states

TIMES = np.linspace(-3.0, 3.0, 25)
MU = 34.0


@pytest.mark.parametrize("eccentricity", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("sense", [1.0, -1.0])
def test_an_ellipse_is_the_orbit_of_its_state(eccentricity: float, sense: float) -> None:
    states = np.array(
        [np.ravel(elliptic_state(MU, 1.3, eccentricity, 0.7, -2.0, sense, time)) for time in (0.0, *TIMES)]
    )
    np.testing.assert_allclose(kepler.propagate(states[0], TIMES, MU), states[1:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eccentricity", [1.1, 2.2])
@pytest.mark.parametrize("sense", [1.0, -1.0])
def test_a_hyperbola_is_the_orbit_of_its_state(eccentricity: float, sense: float) -> None:
    states = np.concatenate(hyperbolic_states(MU, 0.9, eccentricity, 0.7, 0.4, sense, np.append(0.0, TIMES)), axis=-1)
    np.testing.assert_allclose(kepler.propagate(states[0], TIMES, MU), states[1:], rtol=1e-9, atol=1e-9)
    distance = np.linalg.norm(states[:, :2], axis=-1)
    assert distance.min() >= 0.9
