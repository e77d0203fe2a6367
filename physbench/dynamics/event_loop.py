"""Candidates of one scene of discs from event to event, compiled.

Columns of arrays are those of `columns`. Candidates are followed one by one: none depends on another.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.accelerations import accelerate, end_slide
from physbench.dynamics.array_layout import (
    AX,
    BOUNCE,
    CORNER_BOUNCE,
    CORNER_RUB,
    CORNER_X,
    CORNER_Y,
    DISC,
    FACE_BOUNCE,
    FACE_RUB,
    KIND,
    NORMAL_X,
    NORMAL_Y,
    ONE,
    OTHER,
    PUSH,
    RUB,
    STATE,
    STEP,
    SX,
    TX,
    VX,
    VY,
    H,
    X,
    Y,
)
from physbench.dynamics.compiled import compiled
from physbench.dynamics.contact_response import collide, settle, strike
from physbench.dynamics.contact_times import FACES, LEAVES, SLIDE, first_event

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

MOST_EVENTS = 150  # between two scheduled ones; a candidate with more is lost from there on
ROOM = 12  # pieces of a candidate for which there is room at first


@compiled
def follow(
    disc: Array,
    face: Array,
    corner: Array,
    pair: Whole,
    gravity: Array,
    change: Whole,
    value: Array,
    end: int,
    table: bool,
    smooth: bool,
) -> tuple[Array, Array, Whole, Array, Whole]:
    """Follow K candidates through changes (M, 3), ascending, to step `end`.

    gravity: (K or 1, 2) m/s2. value: (M, K, 6), of a push its velocity m/s in the first two. Returns the first steps
    (P,) of pieces of constant acceleration, the discs (P, N, 10) at each, NaN for a place of one that is not there, the
    end (K,) of each candidate's pieces in these arrays, the steps (K,) up to which candidates hold, and touches (T, 3)
    of the first one: step, disc, other disc or -1.
    """
    count, size, faces, corners = len(disc), value.shape[1], len(face), len(corner)
    now, there, rests = (np.zeros((count, 10)), np.zeros(count, np.bool_), np.zeros((count, faces), np.bool_))
    time, meets = np.empty((count, FACES + faces + corners)), np.empty(len(pair))
    struck, touches = (np.empty((count * (faces + corners) + len(pair), 4)), np.empty((16, 3), np.int64))
    begin, pieces = np.empty(ROOM * size), np.empty((ROOM * size, count, 10))
    last, until = np.empty(size, np.int64), np.full(size, np.inf)
    used = touched = 0
    for k in range(size):
        gx, gy = gravity[min(k, len(gravity) - 1)]
        step, hits, present = 0.0, 0, 0
        now[:] = 0.0
        there[:] = False
        rests[:] = False
        for m in range(len(change) + 1):
            target = float(change[m, STEP] if m < len(change) else end)
            rounds = 0
            while step < target and present > 0 and rounds < MOST_EVENTS:
                rounds += 1
                for i in range(count):
                    time[i, :] = math.inf
                    if there[i]:
                        time[i, SLIDE] = accelerate(now, rests, disc, face, i, gx, gy, table)
                settle(now, disc, struck[:hits])
                begin, pieces = _record(now, there, step, used, begin, pieces)
                used += 1
                left = target - step
                first = first_event(now, there, rests, disc, face, corner, pair, left * H, time, meets)
                steps = 0.0
                if not smooth:
                    steps = float(math.ceil(first / H - 1e-6))
                elif first > 0:
                    steps = first / H + (0.5 if first < left * H else 0.0)
                steps = min(steps, left)
                _advance(now, there, steps)
                step, hits = step + steps, 0
                if steps < left:
                    bound = min(steps * H, first + 1e-12) if smooth else steps * H + 1e-9
                    hits = _meet(now, rests, disc, face, corner, pair, gx, gy, table, bound, time, meets, struck)
                if k == 0 and hits > 0:
                    touches = _note(struck[:hits], step, touched, touches)
                    touched += hits
            if step < target and present > 0:
                until[k] = step
                break
            if m < len(change):
                step = target
                present += _change(now, there, rests, change[m], value[m, k])
        if until[k] == math.inf:
            for i in range(count):
                accelerate(now, rests, disc, face, i, gx, gy, table)
            begin, pieces = _record(now, there, step, used, begin, pieces)
            used += 1
        last[k] = used
    return begin[:used], pieces[:used], last, until, touches[:touched]


@compiled
def look(begin: Array, pieces: Array, last: Whole, until: Array, steps: Array, found: Array) -> None:
    """Set places, and if there is room velocities and spins (1 or 3, K, F, N, 2), at steps (F,), ascending."""
    piece = 0
    for k in range(len(last)):
        first = piece
        for f in range(len(steps)):
            while piece + 1 < last[k] and begin[piece + 1] <= steps[f] + 1e-9:
                piece += 1
            n = steps[f] - begin[piece]
            known = begin[first] - 1e-9 <= steps[f] <= until[k]
            for i in range(pieces.shape[1]):
                disc = pieces[piece, i]
                for axis in range(2):
                    speed, gain = disc[VX + axis], disc[AX + axis]
                    place = disc[X + axis] + n * H * (speed + (n + 1) * (H / 2) * gain)
                    found[0, k, f, i, axis] = place if known else math.nan
                    if len(found) > 1:
                        found[1, k, f, i, axis] = speed + n * H * gain
                        found[2, k, f, i, axis] = disc[SX + axis] + n * H * disc[TX + axis]
        piece = last[k]


@compiled
def _change(now: Array, there: Mask, rests: Mask, change: Whole, value: Array) -> int:
    """Let a change (3,) with value (6,) happen. Returns how many discs more are there."""
    i, kind = change[DISC], change[KIND]
    before = int(there[i])
    if kind == STATE:
        for c in range(len(value)):
            now[i, c] = value[c]
        there[i] = True
        rests[i, :] = False
    elif kind == PUSH:
        now[i, VX] += value[0]
        now[i, VY] += value[1]
    else:
        there[i] = False
    return int(there[i]) - before


@compiled
def _record(now: Array, there: Mask, step: float, used: int, begin: Array, pieces: Array) -> tuple[Array, Array]:
    """Write a piece behind those `used`, and return the arrays of all, larger ones where there was no room."""
    if used == len(begin):
        old_begin, old_pieces = begin, pieces
        begin, pieces = np.empty(2 * used), np.empty((2 * used, len(now), now.shape[1]))
        for p in range(used):
            begin[p] = old_begin[p]
            for i in range(len(now)):
                for c in range(now.shape[1]):
                    pieces[p, i, c] = old_pieces[p, i, c]
    begin[used] = step
    for i in range(len(now)):
        for c in range(now.shape[1]):
            pieces[used, i, c] = now[i, c] if there[i] or c > Y else math.nan
    return begin, pieces


@compiled
def _note(struck: Array, step: float, touched: int, touches: Whole) -> Whole:
    """Write touches (T, 4) behind those `touched`, and return the array of all, a larger one without room."""
    while touched + len(struck) > len(touches):
        old = touches
        touches = np.empty((2 * len(old), 3), np.int64)
        for t in range(touched):
            for c in range(3):
                touches[t, c] = old[t, c]
    for t in range(len(struck)):
        touches[touched + t, 0], touches[touched + t, 1], touches[touched + t, 2] = (step, struck[t, 0], struck[t, 1])
    return touches


@compiled
def _advance(now: Array, there: Mask, n: float) -> None:
    """Move by n steps."""
    for i in range(len(now)):
        if there[i]:
            for axis in range(2):
                now[i, X + axis] += n * H * (now[i, VX + axis] + (n + 1) * (H / 2) * now[i, AX + axis])
                now[i, VX + axis] += n * H * now[i, AX + axis]
                now[i, SX + axis] += n * H * now[i, TX + axis]


@compiled
def _meet(
    now: Array,
    rests: Mask,
    disc: Array,
    face: Array,
    corner: Array,
    pair: Whole,
    gx: float,
    gy: float,
    table: bool,
    bound: float,
    time: Array,
    meets: Array,
    struck: Array,
) -> int:
    """Let everything happen that is due within `bound` s. Returns the number of touches, noted in struck (T, 4)."""
    count, faces, hits = len(disc), len(face), 0
    for i in range(count):
        if time[i, SLIDE] <= bound:
            end_slide(now, rests, disc, face, i, table)
        if time[i, LEAVES] <= bound:
            rests[i, :] = False
    for i in range(count):
        for s in range(faces):
            if time[i, FACES + s] <= bound:
                x, y = face[s, NORMAL_X], face[s, NORMAL_Y]
                bounce, rub = (disc[i, BOUNCE] * face[s, FACE_BOUNCE], disc[i, RUB] * face[s, FACE_RUB])
                stays = strike(now, disc, i, x, y, bounce, 0.0 if table else rub, gx * x + gy * y, struck[hits])
                rests[i, s] |= stays and not table
                hits += 1
    for i in range(count):
        for c in range(len(corner)):
            if time[i, FACES + faces + c] <= bound:
                x, y = now[i, X] - corner[c, CORNER_X], now[i, Y] - corner[c, CORNER_Y]
                away = max(math.hypot(x, y), 1e-9)
                x, y = x / away, y / away
                bounce, rub = (disc[i, BOUNCE] * corner[c, CORNER_BOUNCE], disc[i, RUB] * corner[c, CORNER_RUB])
                strike(now, disc, i, x, y, bounce, 0.0 if table else rub, gx * x + gy * y, struck[hits])
                hits += 1
    for p in range(len(pair)):
        if meets[p] <= bound:
            collide(now, rests, disc, face, pair[p, ONE], pair[p, OTHER], table, struck[hits])
            hits += 1
    return hits
