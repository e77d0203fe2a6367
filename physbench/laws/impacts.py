"""Impacts of smooth balls in a plane, in closed form: when they meet, and their velocities afterwards.

An impact changes the velocity of a smooth ball along the common normal only and leaves its spin. On a table with
friction the ball then slides until it rolls again, with 5/7 of its velocity and 2/7 of the velocity that its spin
stands for (Coriolis 1835, Theorie mathematique des effets du jeu de billard). The solvers here make scenes of tasks and
their golden states.
"""

from __future__ import annotations

import math

Flat = tuple[float, float]

ROLLING = 2 / 7  # share of the spin in the velocity of a solid ball once it rolls


def at(position: Flat, velocity: Flat, time: float) -> Flat:
    """Position in m after `time` s of straight motion.

    >>> at((1.0, 0.0), (0.0, 2.0), 0.5)
    (1.0, 1.0)
    """
    return position[0] + velocity[0] * time, position[1] + velocity[1] * time


def meeting_time(a: Flat, va: Flat, b: Flat, vb: Flat, reach: float) -> float:
    """Time until two balls that move on straight lines touch.

    Args:
        a, b: Positions of their centres, m.
        va, vb: Their velocities, m/s.
        reach: Distance of the centres at which they touch, m.

    Returns seconds until they approach each other at that distance; infinity if they never do.

    >>> meeting_time((0.0, 0.0), (1.0, 0.0), (3.0, 0.0), (0.0, 0.0), 1.0)
    2.0
    """
    x, y, u, v = b[0] - a[0], b[1] - a[1], vb[0] - va[0], vb[1] - va[1]
    approach = x * u + y * v
    square = u * u + v * v
    if approach >= 0 or square == 0:
        return math.inf
    root = approach * approach - square * (x * x + y * y - reach * reach)
    return max((-approach - math.sqrt(root)) / square, 0.0) if root >= 0 else math.inf


def nearest(a: Flat, va: Flat, b: Flat, vb: Flat, start: float, end: float) -> float:
    """Smallest distance in m of two centres on straight lines between `start` and `end` s."""
    x, y, u, v = b[0] - a[0], b[1] - a[1], vb[0] - va[0], vb[1] - va[1]
    square = u * u + v * v
    time = min(max(-(x * u + y * v) / square, start), end) if square > 0 else start
    return math.hypot(x + u * time, y + v * time)


def rebound(
    a: Flat, va: Flat, mass_a: float, b: Flat, vb: Flat, mass_b: float, restitution: float
) -> tuple[Flat, Flat]:
    """Velocities of two smooth balls after an impact (Newton's law of restitution).

    Args:
        a, b: Positions of their centres, m.
        va, vb: Their velocities before, m/s.
        mass_a, mass_b: kg.
        restitution: Of the pair, 0 to 1.

    Returns velocities of both, m/s.

    >>> rebound((0.0, 0.0), (1.0, 0.0), 1.0, (1.0, 0.0), (0.0, 0.0), 1.0, 1.0)
    ((0.0, 0.0), (1.0, 0.0))
    """
    x, y = b[0] - a[0], b[1] - a[1]
    length = math.hypot(x, y)
    normal = (x / length, y / length)
    approach = (va[0] - vb[0]) * normal[0] + (va[1] - vb[1]) * normal[1]
    impulse = (1 + restitution) * approach / (1 / mass_a + 1 / mass_b)
    return (
        (va[0] - impulse / mass_a * normal[0], va[1] - impulse / mass_a * normal[1]),
        (vb[0] + impulse / mass_b * normal[0], vb[1] + impulse / mass_b * normal[1]),
    )


def reflected(velocity: Flat, normal: Flat, restitution: float) -> Flat:
    """Velocity m/s of a smooth ball after it met a fixed wall with this unit normal.

    >>> reflected((1.0, -2.0), (0.0, 1.0), 0.5)
    (1.0, 1.0)
    """
    normal_change = (1 + restitution) * (velocity[0] * normal[0] + velocity[1] * normal[1])
    return velocity[0] - normal_change * normal[0], velocity[1] - normal_change * normal[1]


def rolled(velocity: Flat, roll: Flat) -> Flat:
    """Velocity m/s of a solid ball once it rolls. roll: m/s, the velocity that its spin stands for (spin x radius).

    >>> rolled((7.0, 0.0), (0.0, 7.0))
    (5.0, 2.0)
    """
    return (
        (1 - ROLLING) * velocity[0] + ROLLING * roll[0],
        (1 - ROLLING) * velocity[1] + ROLLING * roll[1],
    )


def slid(velocity: Flat, roll: Flat, deceleration: float) -> Flat:
    """Lead, in m, of a ball that slides after an impact over one that rolls from the impact on.

    deceleration: m/s2, friction x gravity, against the slip s = velocity - roll. The velocity changes by 2/7 s, evenly,
    in 2/7 |s| / deceleration.
    """
    slip = (velocity[0] - roll[0], velocity[1] - roll[1])
    time = ROLLING * math.hypot(*slip) / deceleration
    return ROLLING * slip[0] * time / 2, ROLLING * slip[1] * time / 2
