"""Kepler motion about a fixed centre in closed form, from a state or from orbital elements.

`kepler_jit` computes the same compiled, for the candidates of a fit; `elliptic_state` starts from orbital elements.

After Bate, Mueller and White, Fundamentals of Astrodynamics (1971), chapter 4; Kepler's equation by Laguerre's method
as in Conway, doi 10.1007/BF01230852, which converges from any start; derivatives after Battin, An Introduction to the
Mathematics and Methods of Astrodynamics (1999), section 9.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from physbench.laws.impacts import Flat
from physbench.support.arrays import Array

MAX_HYPERBOLIC = 40.0  # hyperbolic anomaly sqrt(-z): beyond it no body is anywhere near, and cosh stays finite
MIN_ORBIT_RADIUS = 1e-3  # m; states closer to the centre (fits of broken tracks pass there) are moved out to it


def stumpff(z: Array) -> tuple[Array, Array]:
    """Return Stumpff's C(z) and S(z), any shape.

    >>> c, s = stumpff(np.array([0.0, np.pi**2]))
    >>> bool(np.allclose(c, [1 / 2, 2 / np.pi**2])) and bool(np.allclose(s, [1 / 6, 1 / np.pi**2]))
    True
    """
    root = np.sqrt(np.abs(z))
    small = root < 0.03
    root = np.where(small, 1.0, root)
    cubed = root * root * root
    c, s = (1 - np.cos(root)) / (root * root), (root - np.sin(root)) / cubed
    if np.min(z, initial=0.0) < 0:
        bent = np.minimum(root, MAX_HYPERBOLIC)
        c = np.where(z < 0, (np.cosh(bent) - 1) / (root * root), c)
        s = np.where(z < 0, (np.sinh(bent) - bent) / cubed, s)
    if small.any():
        c = np.where(small, 1 / 2 - z / 24 + z * z / 720, c)
        s = np.where(small, 1 / 6 - z / 120 + z * z / 5040, s)
    return c, s


@dataclass(frozen=True, eq=False)
class _Anomaly:
    """States (..., 1, 2 and 1), the universal anomaly chi (..., T) of each time, and Stumpff's functions there."""

    position: Array
    velocity: Array
    r0: Array
    alpha: Array  # 1 / semi-major axis
    chi: Array
    dt: Array
    c: Array
    s: Array


def _anomaly(state: Array, dt: Array, mu: float) -> _Anomaly:
    position, velocity = state[..., None, :2], state[..., None, 2:]  # (..., 1, 2)
    r0 = np.sqrt(np.sum(position * position, axis=-1))  # (..., 1)
    if np.min(r0) < MIN_ORBIT_RADIUS:
        position = np.where((r0 < MIN_ORBIT_RADIUS)[..., None], np.array([MIN_ORBIT_RADIUS, 0.0]), position)
        r0 = np.maximum(r0, MIN_ORBIT_RADIUS)
    root_mu = math.sqrt(mu)
    alpha = 2 / r0 - np.sum(velocity * velocity, axis=-1) / mu
    radial = np.sum(position * velocity, axis=-1) / root_mu
    dt = np.broadcast_to(dt, np.broadcast_shapes(alpha.shape, dt.shape))  # (..., T)

    chi = root_mu * dt * np.where(alpha > 1e-6, alpha, 1 / r0)
    limit: Array | float = np.inf
    if (alpha < -1e-6).any():  # far out a hyperbola grows exponentially in chi
        limit = np.where(alpha < -1e-6, MAX_HYPERBOLIC / np.sqrt(np.maximum(-alpha, 1e-6)), np.inf)
        open_ = np.minimum(alpha, -1e-6)
        sign = np.where(dt < 0, -1.0, 1.0)
        base = radial * root_mu + sign * np.sqrt(mu / -open_) * (1 - r0 * open_)
        growth = -2 * mu * open_ * dt / np.where(base == 0, np.inf, base)
        far = sign * np.log(np.maximum(growth, 1.0)) / np.sqrt(-open_)
        chi = np.clip(np.where((alpha < -1e-6) & (growth > 2), far, chi), -limit, limit)
    shape, clock = 1 - alpha * r0, root_mu * dt
    for _ in range(40):
        square = chi * chi
        z = alpha * square
        c, s = stumpff(z)
        square_c, flat = square * c, 1 - z * s
        value = radial * square_c + shape * square * chi * s + r0 * chi - clock
        slope = radial * chi * flat + shape * square_c + r0  # the radius, > 0
        curve = radial * (1 - z * c) + shape * chi * flat
        step = 5 * value / (slope + np.sqrt(np.abs(16 * slope * slope - 20 * value * curve)))
        chi = chi - step if isinstance(limit, float) else np.clip(chi - step, -limit, limit)
        if np.max(np.abs(step), initial=0.0) < 1e-7:  # convergence is cubic: the next step would be below 1e-18
            break
    c, s = stumpff(alpha * chi * chi)
    return _Anomaly(position, velocity, r0, alpha, chi, dt, c, s)


def _states(at: _Anomaly, mu: float) -> tuple[Array, Array, Array, Array, Array]:
    """Positions and velocities (..., T, 2), the Lagrange coefficients f, g (..., T), the radius (..., T)."""
    root_mu, chi = math.sqrt(mu), at.chi
    f = 1 - chi * chi * at.c / at.r0
    g = at.dt - chi * chi * chi * at.s / root_mu
    moved = f[..., None] * at.position + g[..., None] * at.velocity
    r = np.maximum(np.sqrt(np.sum(moved * moved, axis=-1)), MIN_ORBIT_RADIUS)
    f_dot = root_mu / (r * at.r0) * chi * (at.alpha * chi * chi * at.s - 1)
    g_dot = 1 - chi * chi * at.c / r
    return moved, f_dot[..., None] * at.position + g_dot[..., None] * at.velocity, f, g, r


def propagate(state: Array, dt: Array, mu: float) -> Array:
    """Move states about the origin.

    Args:
        state: (..., 4) x, y m and vx, vy m/s at one time.
        dt: (T,) s, of either sign.
        mu: m3/s2, the acceleration is mu / r^2.

    Returns (..., T, 4) states at that time + dt.

    A circular orbit of radius 1 m after half a period:

    >>> after = propagate(np.array([1.0, 0.0, 0.0, 1.0]), np.array([np.pi]), 1.0)
    >>> bool(np.allclose(after, [[-1.0, 0.0, 0.0, -1.0]]))
    True
    """
    moved, velocity, *_ = _states(_anomaly(state, dt, mu), mu)
    return np.concatenate([moved, velocity], axis=-1)


def positions_and_slopes(state: Array, dt: Array, mu: float) -> tuple[Array, Array]:
    """Positions (T, 2) m of one state (4,) after dt (T,) s, and their derivatives by the state (T, 2, 4)."""
    at = _anomaly(state, dt, mu)
    moved, velocity, f, g, r = _states(at, mu)
    chi, root_mu = at.chi, math.sqrt(mu)
    z = at.alpha * chi * chi
    small = np.abs(z) < 1e-3
    safe = np.where(small, 1.0, z)
    c4 = np.where(small, 1 / 24 - z / 720, (1 / 2 - at.c) / safe)
    c5 = np.where(small, 1 / 120 - z / 5040, (1 / 6 - at.s) / safe)
    u2, u4, u5 = chi**2 * at.c, chi**4 * c4, chi**5 * c5
    late = ((3 * u5 - chi * u4 - root_mu * at.dt * u2) / root_mu)[:, None, None]
    p0, v0, r0 = at.position[0], at.velocity[0], float(at.r0[0])
    velocity_change = velocity - v0
    eye = np.eye(2)
    by_position = (
        (r / mu)[:, None, None] * velocity_change[:, :, None] * velocity_change[:, None, :]
        + ((r0 * (1 - f))[:, None, None] * moved[:, :, None] + late * velocity[:, :, None]) * p0 / r0**3
        + f[:, None, None] * eye
    )
    by_velocity = (
        (r0 / mu * (1 - f))[:, None, None] * ((moved - p0)[:, :, None] * v0 - velocity_change[:, :, None] * p0)
        + late / mu * velocity[:, :, None] * v0
        + g[:, None, None] * eye
    )
    return moved, np.concatenate([by_position, by_velocity], axis=-1)


# Kepler orbits from their elements, in closed form: Kepler's equation of the ellipse and of the hyperbola.
#
# The solvers here make scenes of tasks and their golden states: their values must stay equal to the last bit. `kepler`
# moves a state in time instead, for every conic.


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

    Returns position m from the focus and velocity m/s.

    >>> (x, y), (vx, vy) = elliptic_state(1.0, 1.0, 0.5, 0.0, 0.0, 1.0, 0.0)
    >>> x, y, vx, round(vy, 6)
    (0.5, 0.0, -0.0, 1.732051)
    """
    a, e = semi_axis, eccentricity
    rate = math.sqrt(mu / a**3)  # rad/s, mean motion
    mean = phase + rate * time
    anomaly = mean
    for _ in range(60):  # of Newton's method
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

    Returns positions m from the focus and velocities m/s, both (T, 2).

    >>> position, velocity = hyperbolic_states(1.0, 1.0, 3.0, 0.0, 0.0, 1.0, np.zeros(1))
    >>> bool(np.allclose(position, [[1.0, 0.0]])) and bool(np.allclose(velocity, [[0.0, 2.0]]))
    True
    """
    e = eccentricity
    a = periapsis / (e - 1)
    rate = math.sqrt(mu / a**3)
    mean = rate * (np.asarray(times) - passage)
    anomaly = np.arcsinh(mean / e)
    for _ in range(8):  # of Newton's method: the first step goes beyond the root, the others come back to it
        anomaly -= (e * np.sinh(anomaly) - anomaly - mean) / (e * np.cosh(anomaly) - 1)
    b = a * math.sqrt(e**2 - 1)
    sinh, cosh = np.sinh(anomaly), np.cosh(anomaly)
    pace = rate / (e * cosh - 1)
    cos, sin = math.cos(orientation), math.sin(orientation)
    axes = np.array([[cos, sin], [-sense * sin, sense * cos]])
    position = np.stack([a * (e - cosh), b * sinh], axis=-1) @ axes
    velocity = np.stack([-a * sinh, b * cosh], axis=-1) * pace[:, None] @ axes
    return position, velocity
