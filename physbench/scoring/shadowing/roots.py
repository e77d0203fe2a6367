"""When discs touch faces and each other, in closed form, for many candidates at once.

All functions broadcast, take seconds and metres and give seconds until the first touch of two things that approach each
other; infinity where there is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAMPLES = 12  # moments at which a bent way is looked at
NEWTON = 5


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

    Looks at SAMPLES moments; two that touch and part between two of them are not seen.
    """
    until = np.minimum(until, 1e3)

    def excess(time: Array) -> Array:
        t = time[..., None]
        place = apart + t * (speed + 0.5 * t * gain)
        return np.asarray(np.einsum("...i,...i->...", place, place) - np.square(reach))

    closing = np.einsum("...i,...i->...", apart, speed)
    inside = excess(np.zeros_like(until)) <= 0
    share = np.linspace(0.0, 1.0, SAMPLES + 1)
    values = np.stack([excess(part * until) for part in share])
    falls = (values[1:] <= 0) & (values[:-1] > 0)
    first = np.argmax(falls, axis=0)
    pick = np.take_along_axis
    low, high = share[first] * until, share[first + 1] * until
    above, below = (pick(values, (first + k)[None], axis=0)[0] for k in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        time = np.where(above > below, low + (high - low) * above / (above - below), high)
        for _ in range(NEWTON):
            t = time[..., None]
            slope = 2 * np.einsum("...i,...i->...", apart + t * (speed + 0.5 * t * gain), speed + t * gain)
            time = np.clip(np.where(slope < 0, time - excess(time) / slope, time), low, high)
    found = np.where(falls.any(axis=0), time, np.inf)
    return np.asarray(np.where(inside & (closing < 0), 0.0, found))
