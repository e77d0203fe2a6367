"""Kepler's orbits for many candidates and times at once: ellipses by their eccentric anomaly, all else as `kepler`.

A fit asks for some thousand places a call, nearly all of them on ellipses, for which the universal variables of
`physbench.scoring.kepler` are four to five times as costly. Kepler's equation is solved as in Danby, Fundamentals of
Celestial Mechanics (1992), section 6.6: his start and steps of third order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.scoring import kepler

Array = NDArray[np.float64]

LEAST_ALPHA = 1e-3  # 1/m; what is nearer to a parabola goes the other way
LEAST_RADIUS = 1e-3  # m
ROUNDS = 12  # at most; three are the rule
PARABOLA = 1e-4  # 1/m; what is nearer to it is taken for an ellipse
FINE = 1e-4  # of a step: the next one would be below 1e-12


def propagate(state: Array, dt: Array, mu: float) -> Array:
    """As `kepler.propagate`: states (M, 4) about the origin, dt (T,) or (M, T) s -> (M, T, 4)."""
    x, y, u, v = state.T
    r0 = np.sqrt(x * x + y * y)
    alpha = (2 - r0 * (u * u + v * v) / mu) / np.maximum(r0, LEAST_RADIUS)
    near = (alpha > LEAST_ALPHA) & (r0 > LEAST_RADIUS)
    if near.all():
        return _ellipses(state, dt, mu, r0, alpha)
    dt = np.broadcast_to(dt, (len(state), dt.shape[-1]))
    result = np.empty((*dt.shape, 4))
    if near.any():
        result[near] = _ellipses(state[near], dt[near], mu, r0[near], alpha[near])
    result[~near] = kepler.propagate(state[~near], dt[~near], mu)
    return result


def _ellipses(state: Array, dt: Array, mu: float, r0: Array, alpha: Array) -> Array:
    """States (M, T, 4) on ellipses. r0: (M,) m, alpha: (M,) 1/m, one over the semi-major axis."""
    x, y, u, v = state.T
    cosine = 1 - r0 * alpha  # e cos E and e sin E at the beginning
    sine = (x * u + y * v) * np.sqrt(alpha / mu)
    eccentric = np.sqrt(cosine * cosine + sine * sine)[:, None]
    begin, rate = np.arctan2(sine, cosine), np.sqrt(mu * alpha) * alpha
    mean = (begin - sine)[:, None] + rate[:, None] * dt
    turns = np.round(mean * (0.5 / np.pi)) * (2 * np.pi)
    mean -= turns
    anomaly = mean + np.copysign(0.85 * eccentric, mean)
    for _ in range(ROUNDS):
        es, ec = eccentric * np.sin(anomaly), eccentric * np.cos(anomaly)
        value, slope = mean - anomaly + es, 1 - ec
        step = value / (slope + value * es / (slope + slope))
        step = value / (slope + step * (es / 2 + step * ec / 6))
        anomaly += step
        if np.abs(step).max(initial=0.0) < FINE:
            break
    gone = anomaly + turns - begin[:, None]
    s, c = np.sin(gone), np.cos(gone)
    back = 1 - c
    axis = (1 / alpha)[:, None]
    r = axis * (1 - cosine[:, None] * c + sine[:, None] * s)
    f, g = 1 - back * (axis / r0[:, None]), dt - (gone - s) / rate[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        f_dot, g_dot = -(np.sqrt(mu / alpha) / r0)[:, None] * s / r, 1 - axis * back / r
    result = np.empty((*gone.shape, 4))
    for k, (place, speed) in enumerate(((x, u), (y, v))):
        result[..., k] = f * place[:, None] + g * speed[:, None]
        result[..., 2 + k] = f_dot * place[:, None] + g_dot * speed[:, None]
    return result


def time_to(distance: float, state: Array, mu: float | Array) -> Array:
    """Seconds (M,) until bodies with states (M, 4) about the origin come as near as `distance` m; infinity for never.

    0 where they are nearer already, infinity where a state is NaN. mu: m3/s2 or (M,).
    """
    position, velocity = state[:, :2], state[:, 2:]
    r0 = np.sqrt(np.einsum("mi,mi->m", position, position))
    with np.errstate(all="ignore"):
        alpha = 2 / r0 - np.einsum("mi,mi->m", velocity, velocity) / mu
        alpha = np.where(np.abs(alpha) < PARABOLA, PARABOLA, alpha)
        inwards = np.einsum("mi,mi->m", position, velocity)
        swept = np.square(position[:, 0] * velocity[:, 1] - position[:, 1] * velocity[:, 0]) / mu
        eccentric = np.sqrt(np.maximum(1 - swept * alpha, 0.0))
        size = np.abs(alpha)
        rate = np.sqrt(mu * size**3)
        then, now = ((1 - r * alpha) / eccentric for r in (distance, r0))  # cos E or cosh F
        # On ellipses: on the way in E lies in (pi, 2 pi).
        e_then, e_now = (-np.arccos(np.clip(part, -1.0, 1.0)) for part in (then, now))
        e_now = np.where(inwards > 0, -e_now, e_now)
        mean = (e_then - eccentric * np.sin(e_then)) - (e_now - eccentric * np.sin(e_now))
        bound = np.where(np.abs(then) <= 1, np.mod(mean, 2 * np.pi) / rate, np.inf)
        # On hyperbolas: inwards F is negative, and it comes by but once.
        f_then, f_now = (-np.arccosh(np.maximum(part, 1.0)) for part in (then, now))
        mean = (eccentric * np.sinh(f_then) - f_then) - (eccentric * np.sinh(f_now) - f_now)
        open_ = np.where((then >= 1) & (inwards < 0), mean / rate, np.inf)
        found = np.where(alpha > 0, bound, open_)
        return np.asarray(np.where(r0 <= distance, 0.0, np.where(np.isfinite(r0 * alpha), found, np.inf)))
