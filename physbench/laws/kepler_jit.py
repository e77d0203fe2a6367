"""Kepler motion for many candidates and times, compiled; each candidate is followed for itself.

The universal functions U0 to U3 of Battin, An Introduction to the Mathematics and Methods of Astrodynamics (1999),
section 4.5, serve every conic. Kepler's equation is solved by Laguerre's method as in `physbench.laws.kepler`. The
first guess continues from the time before, so that one step is typical.
"""

from __future__ import annotations

import math

import numpy as np

from physbench.laws.kepler import MAX_HYPERBOLIC, MIN_ORBIT_RADIUS
from physbench.laws.planar_motion import BODY, KIND, PUSH, STATE, STEP
from physbench.support.arrays import Array, Whole
from physbench.world.compiled import compiled, kernel

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
def propagate(state: Array, dt: Array, mu: float) -> Array:
    """States (M, 4) about the origin after dt (T,) s, ascending: (M, T, 4). mu: m3/s2, the acceleration is mu / r^2.

    NaN where a state is NaN.
    """
    moved = np.empty((len(state), len(dt), 4))
    for m in range(len(state)):
        _propagate_one(state[m], dt, mu, moved[m])
    return moved


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
