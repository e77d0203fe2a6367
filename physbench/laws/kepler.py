"""Kepler motion about a fixed centre in closed form: from a state or elements, and compiled for many candidates.

From a state and from elements after Bate, Mueller and White, Fundamentals of Astrodynamics (1971), chapter 4; Kepler's
equation by Laguerre's method as in Conway, doi 10.1007/BF01230852, which converges from any start; derivatives after
Battin, An Introduction to the Mathematics and Methods of Astrodynamics (1999), section 9.7.

The compiled functions follow each candidate for itself. Battin's universal functions U0 to U3, section 4.5, serve every
conic, and the first guess continues from the time before, so that one step is typical.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from physbench.laws.impacts import Flat
from physbench.laws.planar_motion import BODY, KIND, PUSH, STATE, STEP
from physbench.support.arrays import Array, Whole
from physbench.world.compiled import compiled, kernel

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


MIN_CURVATURE = 1e-6  # 1/m of alpha; below it the first guess is that of a parabola
MAX_GUESS_TERM = 0.3  # of the series that guesses from the time before; with larger terms it is not used
MIN_PARABOLA = 1e-4  # 1/m of alpha; a conic nearer to a parabola counts as an ellipse in times of contact


@compiled
def _universal(chi: float, alpha: float) -> tuple[float, float]:
    """U2 and U3; U0 = 1 - alpha U2 and U1 = chi - alpha U3. alpha: 1/m, one over the semi-major axis."""
    square = chi * chi
    z = alpha * square
    if abs(z) < 0.1:  # squared angle below which the universal functions are summed as series
        u2 = 1 / 3628800 - z * (1 / 479001600)
        u3 = 1 / 39916800 - z * (1 / 6227020800)
        u2 = 1 / 2 - z * (1 / 24 - z * (1 / 720 - z * (1 / 40320 - z * u2)))
        u3 = 1 / 6 - z * (1 / 120 - z * (1 / 5040 - z * (1 / 362880 - z * u3)))
        return u2 * square, u3 * square * chi
    root = math.sqrt(abs(alpha))
    angle = root * chi
    if alpha > 0:
        sine, cosine = math.sin(angle), math.cos(angle)
    else:
        power = math.exp(angle)
        sine, cosine = (power - 1 / power) / 2, (power + 1 / power) / 2
    return (1 - cosine) / alpha, (angle - sine) / (alpha * root)


@compiled
def _initial_guess(dt: float, mu: float, r0: float, radial: float, alpha: float) -> float:
    """First guess of the universal anomaly."""
    if alpha < -MIN_CURVATURE:  # far out a hyperbola grows exponentially in chi
        sign = -1.0 if dt < 0 else 1.0
        base = radial * math.sqrt(mu) + sign * math.sqrt(-mu / alpha) * (1 - r0 * alpha)
        growth = -2 * mu * alpha * dt / base if base != 0 else 0.0
        if growth > 2:
            return sign * math.log(growth) / math.sqrt(-alpha)
    return math.sqrt(mu) * dt * (alpha if alpha > MIN_CURVATURE else 1 / r0)


@compiled
def _propagate_one(state: Array, dt: Array, mu: float, moved: Array) -> None:
    """Fill moved (T or more, 4) with the states dt (T,) s, ascending, after state (4,) about the origin."""
    x, y, u, v = state[0], state[1], state[2], state[3]
    if not math.isfinite(x + y + u + v):
        for t in range(len(dt)):
            for axis in range(4):
                moved[t, axis] = np.nan
        return
    r0 = math.sqrt(x * x + y * y)
    if r0 < MIN_ORBIT_RADIUS:
        x, y, r0 = MIN_ORBIT_RADIUS, 0.0, MIN_ORBIT_RADIUS
    root_mu = math.sqrt(mu)
    alpha = 2 / r0 - (u * u + v * v) / mu
    radial = (x * u + y * v) / root_mu
    root = math.sqrt(abs(alpha))
    limit = MAX_HYPERBOLIC / root if alpha < -MIN_CURVATURE else np.inf
    fine = 1e-5 / (1 + root)  # sqrt(m), of a step: convergence is cubic: the next step would be below 1e-13
    since = 0.0  # s of x, y, u, v
    for t in range(len(dt)):
        span = dt[t] - since
        clock, shape, chi = root_mu * span, 1 - alpha * r0, 0.0
        ahead = clock / r0
        first_term, curve = ahead * radial / r0, ahead * ahead * shape / r0
        if abs(first_term) < MAX_GUESS_TERM and abs(curve) < MAX_GUESS_TERM:
            chi = ahead * (1 - first_term / 2 + (3 * first_term * first_term - curve) / 6)
        else:
            chi = _initial_guess(span, mu, r0, radial, alpha)
        chi = min(max(chi, -limit), limit)
        u2, u3 = _universal(chi, alpha)
        for _ in range(40):  # rounds of Laguerre's method
            u0, u1 = 1 - alpha * u2, chi - alpha * u3
            value = r0 * u1 + radial * u2 + u3 - clock
            r, slope = r0 * u0 + radial * u1 + u2, shape * u1 + radial * u0
            step = -5 * value / (r + math.sqrt(abs(16 * r * r - 20 * value * slope)))
            step = min(max(chi + step, -limit), limit) - chi
            chi += step
            if abs(step) < fine:
                u3 += step * (u2 + step * (u1 + step * u0 / 3) / 2)
                u2 += step * (u1 + step * (u0 - step * alpha * u1 / 3) / 2)
                break
            u2, u3 = _universal(chi, alpha)
        u0, u1 = 1 - alpha * u2, chi - alpha * u3
        r = max(r0 * u0 + radial * u1 + u2, MIN_ORBIT_RADIUS)
        f, g = 1 - u2 / r0, span - u3 / root_mu
        f_dot, g_dot = -root_mu * u1 / (r * r0), 1 - u2 / r
        moved[t, 0], moved[t, 1] = f * x + g * u, f * y + g * v
        moved[t, 2], moved[t, 3] = f_dot * x + g_dot * u, f_dot * y + g_dot * v
        # 0.02 m; nearer to the centre the orbit is not restarted from the last state
        if r > 0.02:  # the next time starts from here: a short step needs no sines
            x, y, u, v = moved[t, 0], moved[t, 1], moved[t, 2], moved[t, 3]
            r0, radial, since = r, shape * u1 + radial * u0, dt[t]


@compiled
def time_to(distance: float, state: Array, mu: float) -> float:
    """Seconds until a body with state (4,) about the origin comes as near as `distance` m; infinity for never.

    0 where it is nearer already, infinity where the state is NaN.
    """
    x, y, u, v = state[0], state[1], state[2], state[3]
    r0 = math.sqrt(x * x + y * y)
    if r0 <= distance:
        return 0.0
    if not math.isfinite(r0 + u + v):
        return np.inf
    alpha = 2 / r0 - (u * u + v * v) / mu
    if abs(alpha) < MIN_PARABOLA:
        alpha = MIN_PARABOLA
    inwards = x * u + y * v
    swept = (x * v - y * u) ** 2 / mu
    eccentric = math.sqrt(max(1 - swept * alpha, 0.0))
    if eccentric == 0:
        return np.inf
    then, now = (1 - distance * alpha) / eccentric, (1 - r0 * alpha) / eccentric  # cos E or cosh F
    rate = math.sqrt(mu * abs(alpha) ** 3)
    if alpha > 0:  # an ellipse: on the way in E lies in (pi, 2 pi)
        if abs(then) > 1:
            return np.inf
        e_then, e_now = -math.acos(then), -math.acos(min(max(now, -1.0), 1.0))
        if inwards > 0:
            e_now = -e_now
        mean = (e_then - eccentric * math.sin(e_then)) - (e_now - eccentric * math.sin(e_now))
        return (mean % (2 * math.pi)) / rate
    if then < 1 or inwards >= 0:  # it passes only once
        return np.inf
    f_then, f_now = -math.acosh(then), -math.acosh(max(now, 1.0))  # on the way in F is negative
    return ((eccentric * math.sinh(f_then) - f_then) - (eccentric * math.sinh(f_now) - f_now)) / rate


@compiled
def _propagate_straight(state: Array, dt: Array, moved: Array) -> None:
    """As `_propagate_one` without attraction."""
    for t in range(len(dt)):
        moved[t, 0], moved[t, 1] = state[0] + dt[t] * state[2], state[1] + dt[t] * state[3]
        moved[t, 2], moved[t, 3] = state[2], state[3]


@compiled
def _propagate_pair(state: Array, dt: Array, first: float, second: float, reach: float, moved: Array) -> None:
    """Fill moved (2, T or more, 4) with the states of two that attract each other, after state (2, 4).

    first, second: m3/s2, mu of each. NaN from their contact on, `reach` m from each other: what follows is not
    modelled. Where one of them is absent the other moves straight on.
    """
    total = 0.0
    for n in range(2):
        for axis in range(4):
            total += state[n, axis]
    if not math.isfinite(total):
        for n in range(2):
            _propagate_straight(state[n], dt, moved[n])
        return
    share = second / (first + second)
    apart = state[0] - state[1]
    until = time_to(reach, apart, first + second) if reach > 0 else np.inf
    _propagate_one(apart, dt, first + second, moved[0])
    for axis in range(4):
        middle = (1 - share) * state[0, axis] + share * state[1, axis]
        drift = (1 - share) * state[0, axis + 2] + share * state[1, axis + 2] if axis < 2 else 0.0
        for t in range(len(dt)):
            separation, ahead = moved[0, t, axis], middle + drift * dt[t]
            if dt[t] >= until:
                ahead = np.nan
            moved[0, t, axis], moved[1, t, axis] = ahead + share * separation, ahead - (1 - share) * separation


@kernel(
    "(int64[:,::1], float64[:,:,::1], float64[::1], float64,"
    "float64[::1], float64[::1], float64[::1], boolean, float64, int64)"
)
def follow_orbits(
    intervention: Whole,
    value: Array,
    steps: Array,
    h: float,
    source: Array,
    mu: Array,
    factor: Array,
    mutual: bool,
    reach: float,
    count: int,
) -> tuple[Array, Array]:
    """Positions m and velocities m/s (K, F, N, 2) of K candidates of N = count bodies; NaN where a body is absent.

    Args:
        intervention: (C, 3) step, body and what happens (STATE, PUSH, GONE), steps ascending.
        value: (C, K, 6) m and m/s: the new state, or what is added to a velocity.
        steps: (F,) ascending.
        h: s of a step.
        source: (2,) m, the fixed centre; ignored where two attract each other.
        mu: (1,) m3/s2 of the source, or (2,) of two bodies that attract each other.
        factor: (K or 1,) times mu.
        mutual: whether two bodies attract each other.
        reach: m, distance at which they touch; 0 where they cannot.
    """
    origin = np.zeros(2) if mutual else source
    size, frames = value.shape[1], len(steps)
    position, velocity = np.full((size, frames, count, 2), np.nan), np.full((size, frames, count, 2), np.nan)
    moved, dt, state = np.empty((count, frames + 1, 4)), np.empty(frames + 1), np.empty((count, 4))
    for k in range(size):
        strength = factor[min(k, len(factor) - 1)]
        c = first = 0
        for n in range(count):
            for axis in range(4):
                state[n, axis] = np.nan
        while c < len(intervention):  # a piece, which begins with the interventions of one step
            begin = intervention[c, STEP]
            while first < frames and steps[first] < begin:
                first += 1
            if first == frames:
                break
            while c < len(intervention) and intervention[c, STEP] == begin:
                n, kind = intervention[c, BODY], intervention[c, KIND]
                for axis in range(4):
                    if kind == STATE:
                        state[n, axis] = value[c, k, axis]
                    elif kind != PUSH:
                        state[n, axis] = np.nan
                    elif axis >= 2:
                        state[n, axis] += value[c, k, axis - 2]
                c += 1
            wanted = 0
            while first + wanted < frames and (c == len(intervention) or steps[first + wanted] < intervention[c, STEP]):
                dt[wanted] = (steps[first + wanted] - begin) * h
                wanted += 1
            times = wanted
            if c < len(intervention):
                dt[wanted] = (intervention[c, STEP] - begin) * h
                times += 1
            if mutual:
                _propagate_pair(state, dt[:times], strength * mu[0], strength * mu[1], reach, moved)
            else:
                for n in range(count):
                    for axis in range(2):
                        state[n, axis] -= source[axis]
                    _propagate_one(state[n], dt[:times], strength * mu[0], moved[n])
            for n in range(count):
                for t in range(wanted):
                    for axis in range(2):
                        position[k, first + t, n, axis] = moved[n, t, axis] + origin[axis]
                        velocity[k, first + t, n, axis] = moved[n, t, axis + 2]
                for axis in range(4):
                    state[n, axis] = moved[n, times - 1, axis] + (origin[axis] if axis < 2 else 0.0)
    return position, velocity
