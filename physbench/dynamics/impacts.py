"""What balls do when they meet, in closed form, in a plane: when, and with which velocities they part.

A ball is smooth: an impact changes its velocity along the common normal only and leaves its spin. On a table with
friction it slides from then on until its spin suits its speed again: it then rolls on with 5/7 of its velocity and 2/7
of that which its spin stands for (Coriolis 1835, Theorie mathematique des effets du jeu de billard).
"""

from __future__ import annotations

import math

Flat = tuple[float, float]

ROLLING = 2 / 7  # share of the spin in the velocity of a solid ball once it rolls


def at(place: Flat, velocity: Flat, time: float) -> Flat:
    """Where a body is after `time` s of straight motion."""
    return place[0] + velocity[0] * time, place[1] + velocity[1] * time


def meeting_time(a: Flat, va: Flat, b: Flat, vb: Flat, reach: float) -> float:
    """Seconds until two centres that move on straight lines are `reach` m apart and approach; inf if never."""
    x, y, u, v = b[0] - a[0], b[1] - a[1], vb[0] - va[0], vb[1] - va[1]
    closing = x * u + y * v
    square = u * u + v * v
    if closing >= 0 or square == 0:
        return math.inf
    root = closing * closing - square * (x * x + y * y - reach * reach)
    return max((-closing - math.sqrt(root)) / square, 0.0) if root >= 0 else math.inf


def nearest(a: Flat, va: Flat, b: Flat, vb: Flat, start: float, end: float) -> float:
    """Smallest distance in m of two centres on straight lines between `start` and `end` s."""
    x, y, u, v = b[0] - a[0], b[1] - a[1], vb[0] - va[0], vb[1] - va[1]
    square = u * u + v * v
    time = min(max(-(x * u + y * v) / square, start), end) if square > 0 else start
    return math.hypot(x + u * time, y + v * time)


def rebound(
    a: Flat, va: Flat, mass_a: float, b: Flat, vb: Flat, mass_b: float, restitution: float
) -> tuple[Flat, Flat]:
    """Velocities of two smooth balls with centres a, b m after they touched (Newton's law of restitution)."""
    x, y = b[0] - a[0], b[1] - a[1]
    length = math.hypot(x, y)
    normal = (x / length, y / length)
    closing = (va[0] - vb[0]) * normal[0] + (va[1] - vb[1]) * normal[1]
    impulse = (1 + restitution) * closing / (1 / mass_a + 1 / mass_b)
    return (
        (va[0] - impulse / mass_a * normal[0], va[1] - impulse / mass_a * normal[1]),
        (vb[0] + impulse / mass_b * normal[0], vb[1] + impulse / mass_b * normal[1]),
    )


def reflected(velocity: Flat, normal: Flat, restitution: float) -> Flat:
    """Velocity of a smooth ball after it met a fixed wall with this unit normal."""
    gain = (1 + restitution) * (velocity[0] * normal[0] + velocity[1] * normal[1])
    return velocity[0] - gain * normal[0], velocity[1] - gain * normal[1]


def rolled(velocity: Flat, roll: Flat) -> Flat:
    """Velocity of a solid ball once it rolls. roll: m/s, the velocity that its spin stands for (spin x radius)."""
    return (
        (1 - ROLLING) * velocity[0] + ROLLING * roll[0],
        (1 - ROLLING) * velocity[1] + ROLLING * roll[1],
    )


def slid(velocity: Flat, roll: Flat, grip: float) -> Flat:
    """How far in m a ball lies ahead of one that rolls from the impact on, once it rolls itself.

    grip: m/s2, friction x gravity, by which a sliding ball is braked against its slip s = velocity - roll. The velocity
    changes by 2/7 s, evenly, in 2/7 |s| / grip.
    """
    slip = (velocity[0] - roll[0], velocity[1] - roll[1])
    time = ROLLING * math.hypot(*slip) / grip
    return ROLLING * slip[0] * time / 2, ROLLING * slip[1] * time / 2
