"""When the next event of one candidate of a planar scene happens.

`array_layout` names the columns of the arrays. Times are seconds from now, infinity where an event does not happen.
Those of a disc are (2 + S + C,): the end of its slide, the end of the face on which it rests, then its contacts with
faces and corners.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import (
    AX,
    AY,
    COLLIDES,
    CORNER_RADIUS,
    CORNER_X,
    CORNER_Y,
    HIGH,
    LOW,
    NORMAL_X,
    NORMAL_Y,
    OFFSET,
    ONE,
    OTHER,
    RADIUS,
    VX,
    VY,
    H,
    X,
    Y,
)
from physbench.dynamics.contact_response import MIN_REBOUND_SPEED
from physbench.dynamics.contact_roots import curved_contact_time, face_contact_time, straight_contact_time
from physbench.world.compiled import borrowing

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

MAX_OVERLAP = 0.1  # m; a face does not stop what lies deeper in it, nor a disc another one
CLEARANCE_MARGIN = 1e-6  # m; far above the rounding of any distance, far below what matters
MIN_ACCELERATION = 1e-9  # m/s2; with less a path counts as straight
SQUARE_MARGIN = 1e-9  # relative; far above the rounding of a square
# In the times of a disc: the end of its slide and of its face, then faces and corners
SLIDE, FACE_END, FIRST_FACE = range(3)


@borrowing
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
    pair_time: Array,
) -> float:
    """Set times (N, 2 + S + C) but the ends of slides, and times (P,) of pairs; return the first, at most `left`."""
    first = left
    for i in range(len(disc)):
        if there[i]:
            _face_times(now, rests, disc, face, i, time[i])
            for c in range(FIRST_FACE + len(face)):
                if time[i, c] < first:
                    first = time[i, c]
    until = first
    for i in range(len(disc)):
        if there[i] and len(corner) > 0:
            _corner_times(now, rests, disc, corner, i, until, time[i])
            for c in range(FIRST_FACE + len(face), time.shape[1]):
                if time[i, c] < first:
                    first = time[i, c]
    _pair_times(now, there, disc, pair, first, pair_time)
    for t in pair_time:
        if t < first:
            first = t
    return first


@borrowing
def _face_times(now: Array, rests: Mask, disc: Array, face: Array, i: int, time: Array) -> None:
    """Set when disc i leaves the end of a face on which it rests, and meets the others, in its times (2 + S + C,)."""
    x, y, ax, ay = now[i, X], now[i, Y], now[i, AX], now[i, AY]
    vx, vy = now[i, VX] + H / 2 * ax, now[i, VY] + H / 2 * ay
    for s in range(len(face)):
        nx, ny, low, high = (face[s, NORMAL_X], face[s, NORMAL_Y], face[s, LOW], face[s, HIGH])
        bounded = low > -math.inf or high < math.inf
        along, velocity, acceleration = x * ny - y * nx, vx * ny - vy * nx, ax * ny - ay * nx
        if rests[i, s]:
            if low > -math.inf:
                end_time = min(
                    face_contact_time(high - along, -velocity, -acceleration),
                    face_contact_time(along - low, velocity, acceleration),
                )
                time[FACE_END] = min(time[FACE_END], end_time)
            continue
        gap = x * nx + y * ny - face[s, OFFSET] - disc[i, RADIUS]
        if not (gap >= -MAX_OVERLAP and disc[i, COLLIDES] > 0):
            continue
        t = face_contact_time(gap, vx * nx + vy * ny, ax * nx + ay * ny)
        if bounded and t < math.inf:
            along += t * velocity + t * t / 2 * acceleration
            if along < low or along > high:
                continue
        time[FIRST_FACE + s] = t


@borrowing
def _corner_times(now: Array, rests: Mask, disc: Array, corner: Array, i: int, until: float, time: Array) -> None:
    """Set when disc i meets corners, up to `until` s, in its times (2 + S + C,)."""
    if disc[i, COLLIDES] == 0:
        return
    for s in range(rests.shape[1]):
        if rests[i, s]:  # a disc meets no corner of the face on which it rolls; scenes with others are not supported
            return
    ax, ay = now[i, AX], now[i, AY]
    vx, vy = now[i, VX] + H / 2 * ax, now[i, VY] + H / 2 * ay
    for c in range(len(corner)):
        x, y = now[i, X] - corner[c, CORNER_X], now[i, Y] - corner[c, CORNER_Y]
        time[len(time) - len(corner) + c] = _contact_time(
            x, y, vx, vy, ax, ay, disc[i, RADIUS] + corner[c, CORNER_RADIUS], until
        )


@borrowing
def _pair_times(now: Array, there: Mask, disc: Array, pair: Whole, until: float, time: Array) -> None:
    """Set when discs meet each other, up to `until` s: times (P,)."""
    for p in range(len(pair)):
        i, j = pair[p, ONE], pair[p, OTHER]
        time[p] = math.inf
        x, y, reach = (now[i, X] - now[j, X], now[i, Y] - now[j, Y], disc[i, RADIUS] + disc[j, RADIUS])
        if not (there[i] and there[j] and math.sqrt(x * x + y * y) >= reach - MAX_OVERLAP):
            continue
        vx, vy, ax, ay = (
            now[i, VX] - now[j, VX],
            now[i, VY] - now[j, VY],
            now[i, AX] - now[j, AX],
            now[i, AY] - now[j, AY],
        )
        t = _contact_time(x, y, vx + H / 2 * ax, vy + H / 2 * ay, ax, ay, reach, until)
        # Discs that only the forces of the next step press together have no speed to lose: they would meet for ever.
        if t > 0 or x * vx + y * vy <= -MIN_REBOUND_SPEED * 1e-3:
            time[p] = t


@borrowing
def _contact_time(x: float, y: float, vx: float, vy: float, ax: float, ay: float, reach: float, until: float) -> float:
    """When two meet; infinity for those that are too far apart to meet by `until` s."""
    speed, acceleration = math.sqrt(vx * vx + vy * vy), math.sqrt(ax * ax + ay * ay)
    way, square = (speed + acceleration / 2 * until) * until, x * x + y * y
    if square > (reach + way) * (reach + way) * (1 + SQUARE_MARGIN):  # most are: no root is needed
        return math.inf
    if not math.sqrt(square) - reach <= way:
        return math.inf
    if acceleration > MIN_ACCELERATION:
        return curved_contact_time(x, y, vx, vy, ax, ay, reach, until)
    return straight_contact_time(x, y, vx, vy, reach)


@borrowing
def clearances(
    now: Array, there: Mask, rests: Mask, disc: Array, face: Array, corner: Array, pair: Whole, clearance: Array
) -> None:
    """Set how many metres (N,) each disc can move, in any direction, before `first_event` can find a contact of it.

    At most 0 where a disc touches something, overlaps with it, or rests on a face, which may end.
    """
    for i in range(len(disc)):
        clearance[i] = math.inf
        if not there[i]:
            continue
        for s in range(len(face)):
            if rests[i, s]:
                clearance[i] = 0.0
        if clearance[i] == 0 or disc[i, COLLIDES] == 0:
            continue
        x, y, nearest = now[i, X], now[i, Y], math.inf
        for s in range(len(face)):
            nx, ny = face[s, NORMAL_X], face[s, NORMAL_Y]
            gap, along = x * nx + y * ny - face[s, OFFSET] - disc[i, RADIUS], x * ny - y * nx
            # What lies behind a face, or beside it, must first come to where the face counts.
            gap = max(gap, -MAX_OVERLAP - gap)
            nearest = min(nearest, max(gap, max(face[s, LOW] - along, along - face[s, HIGH])))
        for c in range(len(corner)):
            x_away, y_away = x - corner[c, CORNER_X], y - corner[c, CORNER_Y]
            away = math.sqrt(x_away * x_away + y_away * y_away)
            nearest = min(nearest, away - disc[i, RADIUS] - corner[c, CORNER_RADIUS])
        clearance[i] = nearest
    for p in range(len(pair)):
        i, j = pair[p, ONE], pair[p, OTHER]
        if there[i] and there[j]:
            x, y = now[i, X] - now[j, X], now[i, Y] - now[j, Y]
            half = (math.sqrt(x * x + y * y) - disc[i, RADIUS] - disc[j, RADIUS]) / 2  # each may go half of the way
            clearance[i], clearance[j] = min(clearance[i], half), min(clearance[j], half)


@borrowing
def stays_clear(now: Array, there: Mask, steps: float, clearance: Array) -> bool:
    """Whether no disc moves by its clearance (N,) m in the next steps; takes from each what it moves at most."""
    clear = True
    for i in range(len(now)):
        if there[i]:
            speed = math.sqrt(now[i, VX] * now[i, VX] + now[i, VY] * now[i, VY])
            acceleration = math.sqrt(now[i, AX] * now[i, AX] + now[i, AY] * now[i, AY])
            clearance[i] -= steps * H * (speed + (steps + 1) * (H / 2) * acceleration)
            clear = clear and clearance[i] > CLEARANCE_MARGIN
    return clear


@borrowing
def first_slide_end(there: Mask, left: float, time: Array, pair_time: Array) -> float:
    """As `first_event` where no disc can touch anything: no contact but the ends of slides in times (N, 2 + S + C)."""
    first = left
    for i in range(len(there)):
        if there[i] and time[i, SLIDE] < first:
            first = time[i, SLIDE]
    pair_time[:] = math.inf
    return first
