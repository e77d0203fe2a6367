"""Tensions of rods that do not act on each other, compiled: the simulator asks for them at every step."""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array, Whole
from physbench.world.compiled import kernel


@kernel("(float64[:,:,::1], float64[:,:,::1], int64[:,::1], float64[::1], float64[::1], float64)")
def lone_rods(states: Array, other: Array, ends: Whole, length2: Array, inverse: Array, step: float) -> Array:
    """Accelerations (M, N, 3) m/s2 that rods give the bodies of M copies of a scene.

    Of the tension over the length of each it is the smaller root of |ahead + pull effect|^2 = length^2, where `ahead`
    is the rod after the step without it.

    Args:
        states: (M, N, 13) of all bodies.
        other: (M, N, 3) m/s2 of all that acts beside rods, gravity included.
        ends: (E, 2) the bodies at which each begins and ends. None that can move is in two.
        length2: (E,) m2.
        inverse: (N,) 1/kg; 0 of what does not move.
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
            b, c = -b, c - length2[e]
            pull = c / (b + math.sqrt(max(0.0, b * b - a * c)))
            for k in range(3):
                result[m, anchor, k] += inverse[anchor] * (pull * away[k])
                result[m, body, k] -= inverse[body] * (pull * away[k])
    return result
