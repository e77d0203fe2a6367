"""Tensions of rods that do not act on each other, and of one string, compiled: they are asked for at every step."""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array, Whole
from physbench.world.compiled import kernel


@kernel("(int64[:,::1], float64[::1], float64[::1], float64[:,:,::1], float64[:,:,::1], float64)")
def lone_rods(ends: Whole, length: Array, inverse: Array, states: Array, other: Array, step: float) -> Array:
    """Accelerations (M, N, 3) m/s2 that rods give the bodies of M copies of a scene.

    Of the tension over the length of each it is the smaller root of |ahead + pull effect|^2 = length^2, where `ahead`
    is the rod after the step without it.

    Args:
        ends: (E, 2) the bodies at which each begins and ends. None that can move is in two.
        length: (E,) m.
        inverse: (N,) 1/kg; 0 of what does not move.
        states: (M, N, 13) of all bodies.
        other: (M, N, 3) m/s2 of all that acts beside rods, gravity included.
        step: s.
    """
    result, away, ahead = np.zeros(other.shape), np.empty(3), np.empty(3)
    for m in range(len(states)):
        for e in range(len(ends)):
            anchor, body = ends[e]
            light = inverse[anchor] + inverse[body]
            a, b, c = 0.0, 0.0, 0.0
            for k in range(3):
                away[k] = states[m, body, k] - states[m, anchor, k]
                first, last = states[m, anchor, 7 + k], states[m, body, 7 + k]
                if inverse[anchor] > 0:
                    first += step * other[m, anchor, k]
                if inverse[body] > 0:
                    last += step * other[m, body, k]
                ahead[k] = away[k] + step * (last - first)
                effect = -(step * step) * light * away[k]
                a += effect * effect
                b += ahead[k] * effect
                c += ahead[k] * ahead[k]
            b, c = -b, c - length[e] * length[e]
            pull = c / (b + math.sqrt(max(0.0, b * b - a * c)))
            for k in range(3):
                result[m, anchor, k] += inverse[anchor] * (pull * away[k])
                result[m, body, k] -= inverse[body] * (pull * away[k])
    return result


@kernel("(int64[::1], float64, float64[::1], float64, float64[:,:,::1], float64[:,:,::1], float64)")
def lone_string(
    bodies: Whole, length: float, inverse: Array, closing: float, states: Array, other: Array, step: float
) -> Array:
    """Accelerations (M, N, 3) m/s2 that one string gives the bodies of M copies of a scene, as `ballistic._taut`.

    Args:
        bodies: (P + 1,) that it goes to, in order.
        length: m.
        inverse: (N,) 1/kg; 0 of what does not move.
        closing: m/s by which it gets shorter where it is too long.
        states: (M, N, 13) of all bodies.
        other: (M, N, 3) m/s2 of all that acts beside the string, gravity included.
        step: s.
    """
    parts = len(bodies) - 1
    result = np.zeros(other.shape)
    along, ahead, change, now = np.empty((parts, 3)), np.empty((parts, 3)), np.empty((parts, 3)), np.empty(parts)
    for m in range(len(states)):
        total = 0.0
        for p in range(parts):
            a, b, size = bodies[p], bodies[p + 1], 0.0
            for k in range(3):
                along[p, k] = states[m, b, k] - states[m, a, k]
                size += along[p, k] ** 2
                first, last = states[m, a, 7 + k], states[m, b, 7 + k]
                if inverse[a] > 0:
                    first += step * other[m, a, k]
                if inverse[b] > 0:
                    last += step * other[m, b, k]
                ahead[p, k] = along[p, k] + step * (last - first)
            now[p] = math.sqrt(size)
            total += now[p]
            for k in range(3):
                along[p, k] /= max(now[p], 1e-9)
        reach = 0.0
        for p in range(parts):
            for k in range(3):
                back = (inverse[bodies[p]] + inverse[bodies[p + 1]]) * along[p, k]
                if p > 0:
                    back -= inverse[bodies[p]] * along[p - 1, k]
                if p + 1 < parts:
                    back -= inverse[bodies[p + 1]] * along[p + 1, k]
                change[p, k] = -(step * step) * back
                reach -= along[p, k] * change[p, k]
        target, pull = length + max(max(total - length, 0.0) - closing * step, 0.0), 0.0
        for _ in range(20):
            far, slope = 0.0, 0.0
            for p in range(parts):
                size, fall = 0.0, 0.0
                for k in range(3):
                    span = ahead[p, k] + pull * change[p, k]
                    size += span * span
                    fall += span * change[p, k]
                size = math.sqrt(size)
                far += size
                slope -= fall / max(size, 1e-9)
            wrong = far - target
            if wrong + reach * pull <= 0:
                wrong, slope = -reach * pull, reach
            if abs(wrong) < 1e-10:
                break
            pull += wrong / (slope + 1e-9 * reach)
        for p in range(parts):
            for k in range(3):
                result[m, bodies[p], k] += inverse[bodies[p]] * pull * along[p, k]
                result[m, bodies[p + 1], k] -= inverse[bodies[p + 1]] * pull * along[p, k]
    return result
