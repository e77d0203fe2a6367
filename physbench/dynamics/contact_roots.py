"""When discs touch faces and each other, in closed form.

All functions take metres and seconds. They return the seconds until two things that approach each other first touch,
and infinity where they do not. `impacts.meeting_time` is the form that tasks draw their scenes with.
"""

from __future__ import annotations

import math

from physbench.world.compiled import borrowing

MAX_NEWTON_ROUNDS = 60  # of Newton's method between two ends; 5 to 8 are typical
ROOT_ACCURACY = 1e-13  # of the span of time in which a root is sought
MAX_LOOKAHEAD = 1e3  # s


@borrowing
def face_contact_time(gap: float, velocity: float, acceleration: float) -> float:
    """Seconds until gap + velocity t + acceleration t^2 / 2 is no more than 0 while it shrinks.

    A gap that is negative already counts from the moment at which it shrinks.

    >>> face_contact_time(2.0, -1.0, 0.0)
    2.0
    """
    if not (velocity < 0 or acceleration < 0):
        return math.inf
    inner = velocity * velocity - 2 * acceleration * gap
    if gap > 0:
        if not inner >= 0:
            return math.inf
        root = math.sqrt(inner)
        # Each form where it has no cancellation
        return (velocity + root) / -acceleration if velocity > 0 else 2 * gap / (root - velocity)
    if velocity < 0:
        return 0.0
    return (velocity + math.sqrt(inner)) / -acceleration if inner >= 0 else velocity / -acceleration


@borrowing
def straight_contact_time(x: float, y: float, vx: float, vy: float, reach: float) -> float:
    """Seconds until two that are (x, y) apart and move straight at (vx, vy) relative to each other are `reach` apart.

    >>> straight_contact_time(3.0, 0.0, -1.0, 0.0, 1.0)
    2.0
    """
    closing = x * vx + y * vy
    rest = x * x + y * y - reach * reach
    inner = closing * closing - (vx * vx + vy * vy) * rest
    if not (closing < 0 and inner >= 0):
        return math.inf
    return rest / (math.sqrt(inner) - closing) if rest > 0 else 0.0


@borrowing
def curved_contact_time(
    x: float, y: float, vx: float, vy: float, ax: float, ay: float, reach: float, until: float
) -> float:
    """As `straight_contact_time` under a relative acceleration (ax, ay), at most `until` s ahead.

    The squared distance is a polynomial of fourth degree. It is monotonic between its turning points, which lie between
    those of its derivative, so that no contact is missed. Two that are nearer than `reach` already touch at the moment
    at which their distance shrinks.

    >>> round(curved_contact_time(-1.0, 0.0, 2.0, 1.0, 0.0, -4.0, 0.5, 9.0), 3)
    0.258
    """
    until = min(max(until, 0.0), MAX_LOOKAHEAD)
    vx, vy, ax, ay = (vx * until, vy * until, ax * (until * until / 2), ay * (until * until / 2))
    # Of the distance's square over [0, 1], from the constant term on
    c0 = x * x + y * y - reach * reach
    c1 = 2 * (x * vx + y * vy)
    c2 = vx * vx + vy * vy + 2 * (x * ax + y * ay)
    c3 = 2 * (vx * ax + vy * ay)
    c4 = ax * ax + ay * ay
    turning_points = _quadratic_roots(2 * c2, 6 * c3, 12 * c4)
    ends = (0.0, turning_points[0], turning_points[1], 1.0)
    low, at_low = 0.0, c0
    for part in range(4):
        high = _monotonic_root(c1, 2 * c2, 3 * c3, 4 * c4, 0.0, ends[part], ends[part + 1]) if part < 3 else 1.0
        at_high = _polynomial(c0, c1, c2, c3, c4, high)
        if at_high <= 0 and at_low > at_high:
            return until * (low if at_low <= 0 else _monotonic_root(c0, c1, c2, c3, c4, low, high))
        low, at_low = high, at_high
    return math.inf


@borrowing
def _polynomial(c0: float, c1: float, c2: float, c3: float, c4: float, t: float) -> float:
    """Value of a polynomial, constant term first."""
    return (((c4 * t + c3) * t + c2) * t + c1) * t + c0


@borrowing
def _quadratic_roots(c0: float, c1: float, c2: float) -> tuple[float, float]:
    """Roots of a quadratic polynomial in ascending order, clipped to [0, 1]."""
    root = math.sqrt(max(c1 * c1 - 4 * c2 * c0, 0.0))
    q = -(c1 - root) / 2 if c1 < 0 else -(c1 + root) / 2
    one, other = q / c2, c0 / q
    one = min(max(one, 0.0), 1.0) if one == one else 0.0
    other = min(max(other, 0.0), 1.0) if other == other else 0.0
    return min(one, other), max(one, other)


@borrowing
def _monotonic_root(c0: float, c1: float, c2: float, c3: float, c4: float, low: float, high: float) -> float:
    """The root of a polynomial that is monotonic from low to high; the nearer end where it has none there."""
    at_low, at_high = _polynomial(c0, c1, c2, c3, c4, low), _polynomial(c0, c1, c2, c3, c4, high)
    share = at_low / (at_low - at_high)
    if not share > 0:
        return low
    if share >= 1:
        return high
    rises = at_high >= at_low
    t = low + share * (high - low)
    for _ in range(MAX_NEWTON_ROUNDS):
        value = _polynomial(c0, c1, c2, c3, c4, t)
        if (value >= 0) == rises or value == 0:
            high = t
        else:
            low = t
        step = t - value / (((4 * c4 * t + 3 * c3) * t + 2 * c2) * t + c1)
        if not low <= step <= high:
            step = (low + high) / 2
        moved = abs(step - t)
        t = step
        if moved < ROOT_ACCURACY:
            break
    return t
