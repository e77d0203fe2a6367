"""Kepler orbits from their elements, in closed form: Kepler's equation of the ellipse and of the hyperbola.

The solvers here make scenes of tasks and their golden states: their values must stay equal to the last bit. `kepler`
moves a state in time instead, for every conic.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.impacts import Flat

Array = NDArray[np.float64]

ELLIPTIC_ROUNDS, HYPERBOLIC_ROUNDS = 60, 8  # of Newton's method


def elliptic_state(
    mu: float, semi_axis: float, eccentricity: float, orientation: float, phase: float, sense: float, time: float
) -> tuple[Flat, Flat]:
    """State on an ellipse; Kepler's equation, E - e sin E = M, by Newton's method.

    Args:
        mu: m3/s2, the acceleration is mu / r^2.
        semi_axis: Semi-major axis, m.
        eccentricity: 0 to 0.6, where few rounds converge.
        orientation: Direction of the periapsis, rad.
        phase: Mean anomaly at time 0, rad.
        sense: 1 is counter-clockwise, -1 clockwise.
        time: s.

    Returns:
        Position m from the focus and velocity m/s.

    >>> (x, y), (vx, vy) = elliptic_state(1.0, 1.0, 0.5, 0.0, 0.0, 1.0, 0.0)
    >>> x, y, vx, round(vy, 6)
    (0.5, 0.0, -0.0, 1.732051)
    """
    a, e = semi_axis, eccentricity
    rate = math.sqrt(mu / a**3)  # rad/s, mean motion
    mean = phase + rate * time
    anomaly = mean
    for _ in range(ELLIPTIC_ROUNDS):
        anomaly -= (anomaly - e * math.sin(anomaly) - mean) / (1 - e * math.cos(anomaly))
    b = a * math.sqrt(1 - e**2)
    pace = rate / (1 - e * math.cos(anomaly))  # rad/s, of the eccentric anomaly
    along, across = a * (math.cos(anomaly) - e), sense * b * math.sin(anomaly)
    v_along, v_across = -a * math.sin(anomaly) * pace, sense * b * math.cos(anomaly) * pace
    cos, sin = math.cos(orientation), math.sin(orientation)
    return (cos * along - sin * across, sin * along + cos * across), (
        cos * v_along - sin * v_across,
        sin * v_along + cos * v_across,
    )


def hyperbolic_states(
    mu: float, periapsis: float, eccentricity: float, orientation: float, passage: float, sense: float, times: Array
) -> tuple[Array, Array]:
    """States on a hyperbola; Kepler's equation, e sinh F - F = M, by Newton's method.

    Args:
        mu: m3/s2, the acceleration is mu / r^2.
        periapsis: Least distance from the focus, m.
        eccentricity: Above 1.
        orientation: Direction of the periapsis, rad.
        passage: When the periapsis is passed, s.
        sense: 1 is counter-clockwise, -1 clockwise.
        times: (T,) s.

    Returns:
        Positions m from the focus and velocities m/s, both (T, 2).

    >>> position, velocity = hyperbolic_states(1.0, 1.0, 3.0, 0.0, 0.0, 1.0, np.zeros(1))
    >>> bool(np.allclose(position, [[1.0, 0.0]])) and bool(np.allclose(velocity, [[0.0, 2.0]]))
    True
    """
    e = eccentricity
    a = periapsis / (e - 1)
    rate = math.sqrt(mu / a**3)
    mean = rate * (np.asarray(times) - passage)
    anomaly = np.arcsinh(mean / e)
    for _ in range(HYPERBOLIC_ROUNDS):  # the first step goes beyond the root, the others come back to it
        anomaly -= (e * np.sinh(anomaly) - anomaly - mean) / (e * np.cosh(anomaly) - 1)
    b = a * math.sqrt(e**2 - 1)
    sinh, cosh = np.sinh(anomaly), np.cosh(anomaly)
    pace = rate / (e * cosh - 1)
    cos, sin = math.cos(orientation), math.sin(orientation)
    axes = np.array([[cos, sin], [-sense * sin, sense * cos]])
    position = np.stack([a * (e - cosh), b * sinh], axis=-1) @ axes
    velocity = np.stack([-a * sinh, b * cosh], axis=-1) * pace[:, None] @ axes
    return position, velocity
