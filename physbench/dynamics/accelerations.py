"""Accelerations of discs between two events: gravity, a table on which they slide, faces on which they rest.

`array_layout` names the columns of the arrays, which are changed in place. A spin is given as the velocity that the
disc would have if it rolled. On a table it is a vector. Elsewhere its first component counts, along the tangent
(normal_y, -normal_x) of the face on which the disc rolls.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import (
    AX,
    AY,
    FACE_FRICTION,
    FRICTION,
    INVERSE_INERTIA,
    NORMAL_X,
    NORMAL_Y,
    SLIDE_DECELERATION,
    SX,
    SY,
    TX,
    TY,
    VX,
    VY,
)
from physbench.world.compiled import borrowing

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_SLIP = 1e-7  # m/s; with less slip a disc rolls


@borrowing
def accelerate(now: Array, rests: Mask, disc: Array, face: Array, i: int, gx: float, gy: float, table: bool) -> float:
    """Set the accelerations of disc i under gravity (gx, gy) m/s2. Returns the seconds until its slide ends."""
    now[i, AX], now[i, AY], now[i, TX], now[i, TY] = gx, gy, 0.0, 0.0
    if table:
        slip_x, slip_y = now[i, VX] - now[i, SX], now[i, VY] - now[i, SY]
        slip_speed = math.sqrt(slip_x * slip_x + slip_y * slip_y)
        if not slip_speed > MIN_SLIP:
            return math.inf
        deceleration, inverse_inertia = disc[i, SLIDE_DECELERATION], disc[i, INVERSE_INERTIA]
        now[i, AX] -= deceleration * (slip_x / slip_speed)
        now[i, AY] -= deceleration * (slip_y / slip_speed)
        now[i, TX], now[i, TY] = (
            inverse_inertia * deceleration * (slip_x / slip_speed),
            inverse_inertia * deceleration * (slip_y / slip_speed),
        )
        return float(slip_speed / (deceleration * (1 + inverse_inertia)))
    for s in range(len(face)):
        if rests[i, s]:
            return _accelerate_on_face(now, rests, disc, face, i, gx, gy)
    return math.inf


@borrowing
def _accelerate_on_face(now: Array, rests: Mask, disc: Array, face: Array, i: int, gx: float, gy: float) -> float:
    """Set the acceleration of disc i, which rests on faces: it rolls, slides, sticks or is wedged between two."""
    s, normal_load = -1, -math.inf
    for other in range(len(face)):
        normal_pull = -(gx * face[other, NORMAL_X] + gy * face[other, NORMAL_Y])
        if rests[i, other] and normal_pull > normal_load:
            s, normal_load = other, normal_pull
    if normal_load <= 1e-9:
        rests[i, :] = False
        return math.inf
    x, y = face[s, NORMAL_Y], -face[s, NORMAL_X]  # along the face
    tangential_pull = gx * x + gy * y
    max_friction, inverse_inertia, spin = (
        disc[i, FRICTION] * face[s, FACE_FRICTION] * normal_load,
        disc[i, INVERSE_INERTIA],
        now[i, SX],
    )
    slip = now[i, VX] * x + now[i, VY] * y - (spin if inverse_inertia > 0 else 0.0)
    slide_time = math.inf
    if abs(slip) <= MIN_SLIP and abs(tangential_pull) / (1 + inverse_inertia) <= max_friction:
        acceleration = spin_acceleration = tangential_pull * inverse_inertia / (1 + inverse_inertia)
    else:
        sign = math.copysign(1.0, slip if abs(slip) > MIN_SLIP else tangential_pull)
        acceleration, spin_acceleration = tangential_pull - max_friction * sign, inverse_inertia * max_friction * sign
        change = acceleration - spin_acceleration
        if slip * change < 0:
            slide_time = -slip / change
    for other in range(len(face)):
        if other == s or not rests[i, other]:
            continue
        if acceleration * (x * face[other, NORMAL_X] + y * face[other, NORMAL_Y]) < -1e-12:  # wedged between two faces
            acceleration = 0.0
            if abs(spin) <= MIN_SLIP:
                spin_acceleration = 0.0
            slide_time = abs(spin / spin_acceleration) if spin_acceleration != 0 else math.inf
        else:
            rests[i, other] = False
    now[i, AX], now[i, AY], now[i, TX] = acceleration * x, acceleration * y, spin_acceleration
    return slide_time


@borrowing
def end_slide(now: Array, rests: Mask, disc: Array, face: Array, i: int, table: bool) -> None:
    """End the slide of disc i: it rolls, stands still where it cannot turn, or is wedged."""
    if table:
        now[i, VX] -= (now[i, VX] - now[i, SX]) / (1 + disc[i, INVERSE_INERTIA])
        now[i, VY] -= (now[i, VY] - now[i, SY]) / (1 + disc[i, INVERSE_INERTIA])
        now[i, SX], now[i, SY] = now[i, VX], now[i, VY]
        return
    count, first = 0, -1
    for s in range(len(face)):
        if rests[i, s]:
            count += 1
            first = s if first < 0 else first
    if count > 1:
        now[i, VX] = now[i, VY] = now[i, SX] = now[i, SY] = 0.0
    elif count == 1 and disc[i, INVERSE_INERTIA] > 0:
        now[i, SX] = now[i, VX] * face[first, NORMAL_Y] - now[i, VY] * face[first, NORMAL_X]
    elif count == 1:
        now[i, VX] = now[i, VY] = 0.0
