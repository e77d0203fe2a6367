"""What accelerates discs between two events: gravity, a table on which they slide, faces on which they rest.

Columns of arrays are those of `columns`; arrays are changed in place. A spin is the velocity that the disc would have
if it rolled: a vector on a table; in the first component else, along the tangent (normal_y, -normal_x) of whatever it
rolls on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import (
    AX,
    AY,
    FACE_RUB,
    GRIP,
    NORMAL_X,
    NORMAL_Y,
    RUB,
    SX,
    SY,
    TURN,
    TX,
    TY,
    VX,
    VY,
)
from physbench.dynamics.compiled import compiled

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SLIP = 1e-7  # m/s


@compiled
def accelerate(now: Array, rests: Mask, disc: Array, face: Array, i: int, gx: float, gy: float, table: bool) -> float:
    """Set the accelerations of disc i under gravity (gx, gy) m/s2. Returns the seconds to the end of its slide."""
    now[i, AX], now[i, AY], now[i, TX], now[i, TY] = gx, gy, 0.0, 0.0
    if table:
        slip_x, slip_y = now[i, VX] - now[i, SX], now[i, VY] - now[i, SY]
        size = math.sqrt(slip_x * slip_x + slip_y * slip_y)
        if not size > SLIP:
            return math.inf
        grip, spins = disc[i, GRIP], disc[i, TURN]
        now[i, AX] -= grip * (slip_x / size)
        now[i, AY] -= grip * (slip_y / size)
        now[i, TX], now[i, TY] = (spins * grip * (slip_x / size), spins * grip * (slip_y / size))
        return float(size / (grip * (1 + spins)))
    for s in range(len(face)):
        if rests[i, s]:
            return _support(now, rests, disc, face, i, gx, gy)
    return math.inf


@compiled
def _support(now: Array, rests: Mask, disc: Array, face: Array, i: int, gx: float, gy: float) -> float:
    """What faces do to a disc that rests on them: it rolls, slides, sticks or is wedged."""
    s, load = -1, -math.inf
    for other in range(len(face)):
        press = -(gx * face[other, NORMAL_X] + gy * face[other, NORMAL_Y])
        if rests[i, other] and press > load:
            s, load = other, press
    if load <= 1e-9:
        rests[i, :] = False
        return math.inf
    x, y = face[s, NORMAL_Y], -face[s, NORMAL_X]  # along the face
    pull = gx * x + gy * y
    most, spins, spin = (disc[i, RUB] * face[s, FACE_RUB] * load, disc[i, TURN], now[i, SX])
    slip = now[i, VX] * x + now[i, VY] * y - (spin if spins > 0 else 0.0)
    ends = math.inf
    if abs(slip) <= SLIP and abs(pull) / (1 + spins) <= most:
        gained = turned = pull * spins / (1 + spins)
    else:
        sign = math.copysign(1.0, slip if abs(slip) > SLIP else pull)
        gained, turned = pull - most * sign, spins * most * sign
        change = gained - turned
        if slip * change < 0:
            ends = -slip / change
    for other in range(len(face)):
        if other == s or not rests[i, other]:
            continue
        if gained * (x * face[other, NORMAL_X] + y * face[other, NORMAL_Y]) < -1e-12:  # wedged between two faces
            gained = 0.0
            if abs(spin) <= SLIP:
                turned = 0.0
            ends = abs(spin / turned) if turned != 0 else math.inf
        else:
            rests[i, other] = False
    now[i, AX], now[i, AY], now[i, TX] = gained * x, gained * y, turned
    return ends


@compiled
def end_slide(now: Array, rests: Mask, disc: Array, face: Array, i: int, table: bool) -> None:
    """Let the slide of disc i end in rolling."""
    if table:
        now[i, VX] -= (now[i, VX] - now[i, SX]) / (1 + disc[i, TURN])
        now[i, VY] -= (now[i, VY] - now[i, SY]) / (1 + disc[i, TURN])
        now[i, SX], now[i, SY] = now[i, VX], now[i, VY]
        return
    count, first = 0, -1
    for s in range(len(face)):
        if rests[i, s]:
            count += 1
            first = s if first < 0 else first
    if count > 1:
        now[i, VX] = now[i, VY] = now[i, SX] = now[i, SY] = 0.0
    elif count == 1 and disc[i, TURN] > 0:
        now[i, SX] = now[i, VX] * face[first, NORMAL_Y] - now[i, VY] * face[first, NORMAL_X]
    elif count == 1:
        now[i, VX] = now[i, VY] = 0.0
