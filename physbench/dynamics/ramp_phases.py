"""Motion of a body on a ramp from its release to rest, in phases of constant acceleration, in closed form.

The solver makes scenes of tasks and their golden states: its values must stay equal to the last bit. The law of motion
on a ramp, which tracks are compared with, is in `rolling_sliding`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Phase:
    """A part of the motion with one acceleration; distance, velocity and acceleration count up the ramp."""

    start: float  # s
    distance: float  # m from the foot of the ramp, at the start
    velocity: float  # m/s, at the start
    acceleration: float  # m/s2


def ramp_phases(start: float, distance: float, velocity: float, rising: float, sinking: float) -> list[Phase]:
    """The motion of a body on a ramp with a stop at its foot that takes all speed.

    Args:
        start: When it is released, s.
        distance: Its distance from the stop then, m.
        velocity: Its velocity up the ramp then, m/s.
        rising: Deceleration on its way up, m/s2.
        sinking: Acceleration on its way down, m/s2; not above 0: it stays where it stops.

    Returns:
        The phases in order; the last one is rest.

    A body that slides down 2 m without friction at 1 m/s2:

    >>> [(phase.start, phase.distance) for phase in ramp_phases(0.0, 2.0, 0.0, 1.0, 1.0)]
    [(0.0, 2.0), (2.0, 0.0)]
    """
    now = Phase(start, distance, velocity, -rising)
    found = []
    if now.velocity > 0:
        found.append(now)
        turn = now.velocity / rising
        now = Phase(now.start + turn, now.distance + now.velocity * turn / 2, 0.0, -sinking)
    elif sinking > 0 or now.velocity < 0:
        now = replace(now, acceleration=-sinking)
    if sinking <= 0 and now.velocity == 0:
        return [*found, replace(now, acceleration=0.0)]
    found.append(now)
    reach = now.velocity**2 + 2 * sinking * now.distance
    if reach <= 0:  # it stops before it reaches the foot
        slow = now.velocity / sinking
        return [*found, Phase(now.start + slow, now.distance + now.velocity * slow / 2, 0.0, 0.0)]
    hit = 2 * now.distance / (math.sqrt(reach) - now.velocity)
    return [*found, Phase(now.start + hit, 0.0, 0.0, 0.0)]


def distance_at(phases: Sequence[Phase], time: float) -> float:
    """Distance in m up the ramp at `time` s, at or after the release."""
    phase = [phase for phase in phases if phase.start <= time][-1]
    since = time - phase.start
    return phase.distance + phase.velocity * since + phase.acceleration * since**2 / 2
