"""When the next event of one candidate of a scene of discs is due.

Columns of arrays are those of `columns`. Times are seconds from now, infinity where there is none. Those of a disc are
(2 + S + C,): the end of its slide, of the face on which it rests, then its touches with faces and corners.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import (
    AX,
    AY,
    CORNER_X,
    CORNER_Y,
    HIGH,
    LOW,
    NORMAL_X,
    NORMAL_Y,
    OFFSET,
    ONE,
    OTHER,
    PAD,
    RADIUS,
    SOLID,
    VX,
    VY,
    H,
    X,
    Y,
)
from physbench.dynamics.compiled import compiled
from physbench.dynamics.contact_response import CALM
from physbench.dynamics.contact_roots import bent_meeting_time, face_time, meeting_time

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

DEEP = 0.1  # m; what lies deeper behind a face is not stopped by it, nor a disc by another that it lies deeper in
STRAIGHT = 1e-9  # m/s2
SLIDE, LEAVES, FACES = range(3)  # in the times of a disc: the end of its slide and of its face, then faces and corners


@compiled
def first_event(
    now: Array,
    there: Mask,
    rests: Mask,
    disc: Array,
    face: Array,
    corner: Array,
    pair: Whole,
    left: float,
    time: Array,
    meets: Array,
) -> float:
    """Set times (N, 2 + S + C), beside the ends of slides, and (P,) of pairs; return the first, `left` at most."""
    first = left
    for i in range(len(disc)):
        if there[i]:
            _face_times(now, rests, disc, face, i, time[i])
            for c in range(FACES + len(face)):
                if time[i, c] < first:
                    first = time[i, c]
    until = first
    for i in range(len(disc)):
        if there[i] and len(corner) > 0:
            _corner_times(now, rests, disc, corner, i, until, time[i])
            for c in range(FACES + len(face), time.shape[1]):
                if time[i, c] < first:
                    first = time[i, c]
    _pair_times(now, there, disc, pair, first, meets)
    for t in meets:
        if t < first:
            first = t
    return first


@compiled
def _face_times(now: Array, rests: Mask, disc: Array, face: Array, i: int, time: Array) -> None:
    """Set when disc i leaves the end of a face on which it rests, and meets the others, in its times (2 + S + C,)."""
    x, y, ax, ay = now[i, X], now[i, Y], now[i, AX], now[i, AY]
    vx, vy = now[i, VX] + H / 2 * ax, now[i, VY] + H / 2 * ay
    for s in range(len(face)):
        nx, ny, low, high = (face[s, NORMAL_X], face[s, NORMAL_Y], face[s, LOW], face[s, HIGH])
        bounded = low > -math.inf or high < math.inf
        along, speed, pull = x * ny - y * nx, vx * ny - vy * nx, ax * ny - ay * nx
        if rests[i, s]:
            if low > -math.inf:
                ends = min(face_time(high - along, -speed, -pull), face_time(along - low, speed, pull))
                time[LEAVES] = min(time[LEAVES], ends)
            continue
        gap = x * nx + y * ny - face[s, OFFSET] - disc[i, RADIUS]
        if not (gap >= -DEEP and disc[i, SOLID] > 0):
            continue
        t = face_time(gap, vx * nx + vy * ny, ax * nx + ay * ny)
        if bounded and t < math.inf:
            along += t * speed + t * t / 2 * pull
            if along < low or along > high:
                continue
        time[FACES + s] = t


@compiled
def _corner_times(now: Array, rests: Mask, disc: Array, corner: Array, i: int, until: float, time: Array) -> None:
    """Set when disc i meets corners, up to `until` s, in its times (2 + S + C,)."""
    if disc[i, SOLID] == 0:
        return
    for s in range(rests.shape[1]):
        if rests[i, s]:  # what rolls on a face meets no corner of it; a scene with others in its way has no model
            return
    ax, ay = now[i, AX], now[i, AY]
    vx, vy = now[i, VX] + H / 2 * ax, now[i, VY] + H / 2 * ay
    for c in range(len(corner)):
        x, y = now[i, X] - corner[c, CORNER_X], now[i, Y] - corner[c, CORNER_Y]
        time[len(time) - len(corner) + c] = _meeting(x, y, vx, vy, ax, ay, disc[i, RADIUS] + corner[c, PAD], until)


@compiled
def _pair_times(now: Array, there: Mask, disc: Array, pair: Whole, until: float, time: Array) -> None:
    """Set when discs meet each other, up to `until` s: times (P,)."""
    for p in range(len(pair)):
        i, j = pair[p, ONE], pair[p, OTHER]
        time[p] = math.inf
        x, y, reach = (now[i, X] - now[j, X], now[i, Y] - now[j, Y], disc[i, RADIUS] + disc[j, RADIUS])
        if not (there[i] and there[j] and math.sqrt(x * x + y * y) >= reach - DEEP):
            continue
        vx, vy, ax, ay = (
            now[i, VX] - now[j, VX],
            now[i, VY] - now[j, VY],
            now[i, AX] - now[j, AX],
            now[i, AY] - now[j, AY],
        )
        t = _meeting(x, y, vx + H / 2 * ax, vy + H / 2 * ay, ax, ay, reach, until)
        # What only the forces of the next step press together has no speed to lose: it would meet for ever.
        if t > 0 or x * vx + y * vy <= -CALM * 1e-3:
            time[p] = t


@compiled
def _meeting(x: float, y: float, vx: float, vy: float, ax: float, ay: float, reach: float, until: float) -> float:
    """When two meet, infinity for those that are too far apart to meet by `until` s."""
    fast, pull = math.sqrt(vx * vx + vy * vy), math.sqrt(ax * ax + ay * ay)
    if not math.sqrt(x * x + y * y) - reach <= (fast + pull / 2 * until) * until:
        return math.inf
    if pull > STRAIGHT:
        return bent_meeting_time(x, y, vx, vy, ax, ay, reach, until)
    return meeting_time(x, y, vx, vy, reach)
