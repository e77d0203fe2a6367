"""When discs touch faces and each other, in closed form, for many candidates at once.

All functions broadcast, take seconds and metres and give seconds until the first touch of two things that approach each
other; infinity where there is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDS = 60  # at most, of Newton's method between two ends; 5 to 8 are the rule
FINE = 1e-13  # of the time looked at; a root is as good as that


def face_time(gap: Array, speed: Array, gain: Array) -> Array:
    """Seconds until gap + speed t + gain t^2 / 2 is no more than 0 while it shrinks.

    A gap that is negative already counts from the moment at which it shrinks.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = np.sqrt(np.maximum(speed * speed - 2 * gain * gap, 0.0))
        meets = speed * speed >= 2 * gain * gap
        late = np.where(meets, (speed + root) / -gain, speed / -gain)
        early = np.where(speed > 0, late, 2 * gap / (root - speed))  # each without cancellation
        above = np.where(meets & ((speed < 0) | (gain < 0)), early, np.inf)
        below = np.where(speed < 0, 0.0, np.where(gain < 0, late, np.inf))
    return np.asarray(np.where(gap > 0, above, below))


def meeting_time(apart: Array, speed: Array, reach: Array | float) -> Array:
    """Seconds until |apart + speed t| = reach; apart, speed (..., 2), a straight relative way.

    >>> meeting_time(np.array([3.0, 0.0]), np.array([-1.0, 0.0]), 1.0).item()
    2.0
    """
    closing = np.einsum("...i,...i->...", apart, speed)
    rest = np.einsum("...i,...i->...", apart, apart) - np.square(reach)
    square = np.einsum("...i,...i->...", speed, speed)
    inner = closing * closing - square * rest
    with np.errstate(divide="ignore", invalid="ignore"):
        time = rest / (np.sqrt(np.maximum(inner, 0.0)) - closing)
    time = np.where(rest > 0, time, 0.0)
    return np.asarray(np.where((closing < 0) & (inner >= 0), time, np.inf))


def bent_meeting_time(apart: Array, speed: Array, gain: Array, reach: Array | float, until: Array) -> Array:
    """As `meeting_time` where the relative way is bent: apart + speed t + gain t^2 / 2, at most `until` s ahead.

    apart, speed, gain: (M, 2); until: (M,). The distance's square is a polynomial of fourth degree. Between its turning
    points, which lie between those of its derivative, it rises or falls, so that no touch is passed over. What is
    nearer than `reach` already counts from the moment at which the distance shrinks.

    >>> thrown = np.array([[-1.0, 0.0]]), np.array([[2.0, 1.0]]), np.array([[0.0, -4.0]])
    >>> bent_meeting_time(*thrown, 0.5, np.array([9.0])).round(3).item()
    0.265
    """
    until = np.clip(until, 0.0, 1e3)
    u, v, w = apart, speed * until[:, None], gain * (until**2 / 2)[:, None]

    def dot(a: Array, b: Array) -> Array:
        return np.asarray(np.einsum("mi,mi->m", a, b))

    # Of the distance's square over [0, 1], from the constant term on
    parts = dot(u, u) - np.square(reach), 2 * dot(u, v), dot(v, v) + 2 * dot(u, w), 2 * dot(v, w), dot(w, w)
    square = np.stack(parts)
    slope = square[1:] * np.arange(1, 5)[:, None]
    bend = slope[1:] * np.arange(1, 4)[:, None]
    turns = _crossings(slope, bend, _quadratic(bend))
    ends = np.concatenate([np.zeros((1, len(u))), turns, np.ones((1, len(u)))])
    values = _value(square, ends)
    falls = (values[1:] <= 0) & (values[:-1] > values[1:])
    first, member = falls.argmax(axis=0), np.arange(len(u))
    low, high = ends[first, member], ends[first + 1, member]
    root = np.where(values[first, member] <= 0, low, _between(square, slope, low[None], high[None])[0])
    return np.asarray(np.where(falls.any(axis=0), root * until, np.inf))


def _value(polynomial: Array, at: Array) -> Array:
    """Values (R, M) of polynomials (D, M), constant term first, at (R, M)."""
    value = np.broadcast_to(polynomial[-1], at.shape)
    for part in polynomial[-2::-1]:
        value = value * at + part
    return np.asarray(value)


def _quadratic(p: Array) -> Array:
    """Roots (2, M) of polynomials (3, M) in ascending order, 0 or 1 where there are none between."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(p[1] * p[1] - 4 * p[2] * p[0], 0.0))
        q = -(p[1] + np.where(p[1] < 0, -root, root)) / 2
        found = np.nan_to_num(np.stack([q / p[2], p[0] / q]), nan=0.0, posinf=1.0, neginf=0.0)
    return np.asarray(np.sort(np.clip(found, 0.0, 1.0), axis=0))


def _crossings(p: Array, slope: Array, turns: Array) -> Array:
    """Roots (R + 1, M) of polynomials in [0, 1] between their turning points (R, M); the end of a part without one."""
    ends = np.concatenate([np.zeros((1, turns.shape[1])), turns, np.ones((1, turns.shape[1]))])
    return _between(p, slope, ends[:-1], ends[1:])


def _between(p: Array, slope: Array, low: Array, high: Array) -> Array:
    """Where polynomials (D, M) that rise or fall from low to high (R, M) are 0; the nearer end where they are not."""
    at_low, at_high = _value(p, low), _value(p, high)
    sign = np.where(at_high >= at_low, 1.0, -1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(np.clip(at_low / (at_low - at_high), 0.0, 1.0), nan=0.0)
        at = low + share * (high - low)
        low, high = np.where(share >= 1, high, low), np.where(share <= 0, low, high)
        for _ in range(ROUNDS):
            value = _value(p, at)
            over = sign * value >= 0
            low, high = np.where(over, low, at), np.where(over, at, high)
            step = at - value / _value(slope, at)
            step = np.where((step >= low) & (step <= high), step, (low + high) / 2)  # NaN: halve
            moved = np.abs(step - at).max(initial=0.0)
            at = step
            if moved < FINE:
                break
    return np.asarray(at)
