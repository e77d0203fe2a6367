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

MOST_ECCENTRIC = 0.9
ROUNDS = 8  # at most; three are the rule
FINE = 1e-4  # of a step: the next one would be below 1e-12


def propagate(state: Array, dt: Array, mu: float) -> Array:
    """As `kepler.propagate`: states (M, 4) about the origin, dt (T,) or (M, T) s -> (M, T, 4)."""
    position, velocity = state[:, :2], state[:, 2:]
    r0 = np.maximum(np.sqrt(np.einsum("mi,mi->m", position, position)), 1e-12)
    alpha = 2 / r0 - np.einsum("mi,mi->m", velocity, velocity) / mu
    near = alpha > 1e-3
    safe = np.where(near, alpha, 1.0)
    cosine = 1 - r0 * safe  # e cos E, e sin E at the beginning
    sine = np.einsum("mi,mi->m", position, velocity) * np.sqrt(safe / mu)
    near &= (np.hypot(cosine, sine) < MOST_ECCENTRIC) & (r0 > 1e-3)
    dt = np.broadcast_to(dt, (len(state), dt.shape[-1]))
    if near.all():
        return _ellipses(state, dt, mu, r0, alpha, cosine, sine)
    result = np.empty((*dt.shape, 4))
    if near.any():
        parts = (part[near] for part in (r0, alpha, cosine, sine))
        result[near] = _ellipses(state[near], dt[near], mu, *parts)
    result[~near] = kepler.propagate(state[~near], dt[~near], mu)
    return result


def _ellipses(state: Array, dt: Array, mu: float, r0: Array, alpha: Array, cosine: Array, sine: Array) -> Array:
    """States (M, T, 4) on ellipses. alpha: (M,) 1/m; cosine, sine: (M,) eccentricity times those of the first E."""
    eccentric = np.hypot(cosine, sine)[:, None]
    begin = np.arctan2(sine, cosine)
    rate = np.sqrt(mu * alpha**3)
    mean = (begin - sine)[:, None] + rate[:, None] * dt
    turns = np.round(mean / (2 * np.pi)) * (2 * np.pi)
    mean = mean - turns
    anomaly = mean + np.copysign(0.85, mean) * eccentric * np.minimum(np.abs(mean), 1.0)
    for _ in range(ROUNDS):
        es, ec = eccentric * np.sin(anomaly), eccentric * np.cos(anomaly)
        value, slope = anomaly - es - mean, 1 - ec
        step = -value / slope
        step = -value / (slope + step * es / 2)
        step = -value / (slope + step * es / 2 + step * step * ec / 6)
        anomaly = anomaly + step
        if np.abs(step).max(initial=0.0) < FINE:
            break
    gone = anomaly + turns - begin[:, None]
    s, c = np.sin(gone), np.cos(gone)
    axis, root = 1 / alpha[:, None], np.sqrt(mu / alpha)[:, None]
    f = 1 - axis / r0[:, None] * (1 - c)
    g = dt - (gone - s) / rate[:, None]
    r = axis * (1 - cosine[:, None] * c + sine[:, None] * s)
    f_dot = -root / (r * r0[:, None]) * s
    g_dot = 1 - axis / r * (1 - c)
    result = np.empty((*dt.shape, 4))
    result[..., :2] = f[..., None] * state[:, None, :2] + g[..., None] * state[:, None, 2:]
    result[..., 2:] = f_dot[..., None] * state[:, None, :2] + g_dot[..., None] * state[:, None, 2:]
    return result
