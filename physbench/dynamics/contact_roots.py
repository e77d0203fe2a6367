"""When discs touch faces and each other, in closed form.

All functions take seconds and metres and give seconds until the first touch of two things that approach each other;
infinity where there is none.
"""

from __future__ import annotations

import math

from physbench.dynamics.compiled import compiled

ROUNDS = 60  # at most, of Newton's method between two ends; 5 to 8 are the rule
FINE = 1e-13  # of the time looked at; a root is as good as that
FARTHEST = 1e3  # s that are looked ahead


@compiled
def face_time(gap: float, speed: float, gain: float) -> float:
    """Seconds until gap + speed t + gain t^2 / 2 is no more than 0 while it shrinks.

    A gap that is negative already counts from the moment at which it shrinks.
    """
    if not (speed < 0 or gain < 0):
        return math.inf
    inner = speed * speed - 2 * gain * gap
    if gap > 0:
        if not inner >= 0:
            return math.inf
        root = math.sqrt(inner)
        return (speed + root) / -gain if speed > 0 else 2 * gap / (root - speed)  # each without cancellation
    if speed < 0:
        return 0.0
    return (speed + math.sqrt(inner)) / -gain if inner >= 0 else speed / -gain


@compiled
def meeting_time(x: float, y: float, vx: float, vy: float, reach: float) -> float:
    """Seconds until two that are (x, y) apart and move straight at (vx, vy) relative to each other are `reach` apart.

    >>> meeting_time(3.0, 0.0, -1.0, 0.0, 1.0)
    2.0
    """
    closing = x * vx + y * vy
    rest = x * x + y * y - reach * reach
    inner = closing * closing - (vx * vx + vy * vy) * rest
    if not (closing < 0 and inner >= 0):
        return math.inf
    return rest / (math.sqrt(inner) - closing) if rest > 0 else 0.0


@compiled
def bent_meeting_time(
    x: float, y: float, vx: float, vy: float, ax: float, ay: float, reach: float, until: float
) -> float:
    """As `meeting_time` where the way is bent by an acceleration (ax, ay), at most `until` s ahead.

    The distance's square is a polynomial of fourth degree. Between its turning points, which lie between those of its
    derivative, it rises or falls, so that no touch is passed over. What is nearer than `reach` already counts from the
    moment at which the distance shrinks.

    >>> round(bent_meeting_time(-1.0, 0.0, 2.0, 1.0, 0.0, -4.0, 0.5, 9.0), 3)
    0.258
    """
    until = min(max(until, 0.0), FARTHEST)
    vx, vy, ax, ay = (vx * until, vy * until, ax * (until * until / 2), ay * (until * until / 2))
    # Of the distance's square over [0, 1], from the constant term on
    c0 = x * x + y * y - reach * reach
    c1 = 2 * (x * vx + y * vy)
    c2 = vx * vx + vy * vy + 2 * (x * ax + y * ay)
    c3 = 2 * (vx * ax + vy * ay)
    c4 = ax * ax + ay * ay
    bends = _turns(2 * c2, 6 * c3, 12 * c4)
    ends = (0.0, bends[0], bends[1], 1.0)
    low, at_low = 0.0, c0
    for part in range(4):
        high = _between(c1, 2 * c2, 3 * c3, 4 * c4, 0.0, ends[part], ends[part + 1]) if part < 3 else 1.0
        at_high = _value(c0, c1, c2, c3, c4, high)
        if at_high <= 0 and at_low > at_high:
            return until * (low if at_low <= 0 else _between(c0, c1, c2, c3, c4, low, high))
        low, at_low = high, at_high
    return math.inf


@compiled
def _value(c0: float, c1: float, c2: float, c3: float, c4: float, t: float) -> float:
    """Value of a polynomial, constant term first."""
    return (((c4 * t + c3) * t + c2) * t + c1) * t + c0


@compiled
def _turns(c0: float, c1: float, c2: float) -> tuple[float, float]:
    """Roots of a polynomial of second degree in ascending order, 0 or 1 where there are none between."""
    root = math.sqrt(max(c1 * c1 - 4 * c2 * c0, 0.0))
    q = -(c1 - root) / 2 if c1 < 0 else -(c1 + root) / 2
    one, other = q / c2, c0 / q
    one = min(max(one, 0.0), 1.0) if one == one else 0.0
    other = min(max(other, 0.0), 1.0) if other == other else 0.0
    return min(one, other), max(one, other)


@compiled
def _between(c0: float, c1: float, c2: float, c3: float, c4: float, low: float, high: float) -> float:
    """Where a polynomial that rises or falls from low to high is 0; the nearer end where it is not."""
    at_low, at_high = _value(c0, c1, c2, c3, c4, low), _value(c0, c1, c2, c3, c4, high)
    share = at_low / (at_low - at_high)
    if not share > 0:
        return low
    if share >= 1:
        return high
    rises = at_high >= at_low
    t = low + share * (high - low)
    for _ in range(ROUNDS):
        value = _value(c0, c1, c2, c3, c4, t)
        if (value >= 0) == rises or value == 0:
            high = t
        else:
            low = t
        step = t - value / (((4 * c4 * t + 3 * c3) * t + 2 * c2) * t + c1)
        if not low <= step <= high:
            step = (low + high) / 2
        moved = abs(step - t)
        t = step
        if moved < FINE:
            break
    return t
