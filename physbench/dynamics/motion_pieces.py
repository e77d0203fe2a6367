"""Motion in pieces of constant acceleration: how it is recorded, and evaluated at given steps. Compiled.

`array_layout` names the columns of the arrays.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import AX, SX, TX, VX, H, X, Y
from physbench.world.compiled import borrowing, compiled, kernel

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@borrowing
def moved_by(disc: Array, n: float, axis: int) -> tuple[float, float, float]:
    """Position m, velocity and spin m/s of a disc (10,) after n steps along an axis."""
    velocity, acceleration = disc[VX + axis], disc[AX + axis]
    return (
        disc[X + axis] + n * H * (velocity + (n + 1) * (H / 2) * acceleration),
        velocity + n * H * acceleration,
        disc[SX + axis] + n * H * disc[TX + axis],
    )


@kernel("(float64[::1], float64[:,:,::1], int64[::1], float64[::1], int64[:,::1], float64[::1], float64[:,:,:,:,::1])")
def evaluate(begin: Array, pieces: Array, last: Whole, until: Array, span: Whole, steps: Array, found: Array) -> None:
    """Set positions at steps (F,), ascending, and velocities and spins if there is room: found (1 or 3, K, F, N, 2).

    The motion is as `event_loop.follow` gives it. A world that is followed by another one ends before its last step.
    """
    size, piece, f_begin = found.shape[1], 0, 0
    for w in range(len(span)):
        f_end = f_begin
        while f_end < len(steps) and (w + 1 == len(span) or steps[f_end] < span[w, 1]):
            f_end += 1
        for k in range(w * size, (w + 1) * size):
            first = piece
            for f in range(f_begin, f_end):
                while piece + 1 < last[k] and begin[piece + 1] <= steps[f] + 1e-9:
                    piece += 1
                n = steps[f] - begin[piece]
                known = begin[first] - 1e-9 <= steps[f] <= until[k]
                for i in range(pieces.shape[1]):
                    for axis in range(2):
                        position, velocity, spin = moved_by(pieces[piece, i], n, axis)
                        found[0, k - w * size, f, i, axis] = position if known else math.nan
                        if len(found) > 1:
                            found[1, k - w * size, f, i, axis] = velocity
                            found[2, k - w * size, f, i, axis] = spin
            piece = last[k]
        f_begin = f_end


@compiled
def more_room(begin: Array, pieces: Array) -> tuple[Array, Array]:
    """The arrays of pieces, all used, with room for as many more."""
    used = len(begin)
    more_begin, more_pieces = np.empty(2 * used), np.empty((2 * used, *pieces.shape[1:]))
    for p in range(used):  # an assignment to a slice takes 3 s longer to compile
        more_begin[p] = begin[p]
        for i in range(pieces.shape[1]):
            for c in range(pieces.shape[2]):
                more_pieces[p, i, c] = pieces[p, i, c]
    return more_begin, more_pieces


@borrowing
def record_piece(now: Array, there: Mask, step: float, used: int, begin: Array, pieces: Array) -> None:
    """Append a piece after those `used`."""
    begin[used] = step
    for i in range(len(now)):
        for c in range(now.shape[1]):
            pieces[used, i, c] = now[i, c]
        if not there[i]:
            pieces[used, i, X] = pieces[used, i, Y] = math.nan


@compiled
def record_contacts(contact: Array, step: float, touched: int, touches: Whole) -> Whole:
    """Append contacts (T, 4) after those `touched`; return the array of all, a larger one where there was no room."""
    while touched + len(contact) > len(touches):
        old = touches
        touches = np.empty((2 * len(old), 3), np.int64)
        for t in range(touched):
            for c in range(3):
                touches[t, c] = old[t, c]
    for t in range(len(contact)):
        touches[touched + t, 0], touches[touched + t, 1], touches[touched + t, 2] = (step, contact[t, 0], contact[t, 1])
    return touches
