"""The planar simulator: candidates of one scene of discs from event to event, compiled.

`planar_motion` names the columns of the arrays. Candidates are followed one by one: none depends on another.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from physbench.laws.planar_motion import (
    AX,
    BODY,
    CORNER_FRICTION,
    CORNER_RESTITUTION,
    CORNER_X,
    CORNER_Y,
    DAMP,
    FACE_END,
    FACE_FRICTION,
    FACE_RESTITUTION,
    FACE_SPEED,
    FIRST_FACE,
    FRICTION,
    GRAVITY,
    KIND,
    MASS,
    MIN_REBOUND_SPEED,
    NORMAL_X,
    NORMAL_Y,
    ONE,
    OTHER,
    PUSH,
    RESTITUTION,
    SLIDE,
    STATE,
    STEP,
    SX,
    SY,
    TX,
    VX,
    VY,
    H,
    X,
    Y,
    accelerate,
    bounce_off_fixed,
    clearances,
    collide_discs,
    end_slide,
    evaluate,
    first_event,
    first_slide_end,
    more_room,
    moved_by,
    record_contacts,
    record_piece,
    remove_normal_acceleration,
    stays_clear,
)
from physbench.support.arrays import Array, Mask, Whole
from physbench.world.compiled import borrowing, kernel

Columns = tuple[Array, Array, Array, Whole]  # discs, faces, corners and pairs of a scene

SCENE = "Tuple((float64[:,::1], float64[:,::1], float64[:,::1], int64[:,::1]))"
FOLLOW_TYPES = (  # of its arguments
    f"UniTuple({SCENE}, 2), UniTuple(float64[:,::1], 2), UniTuple(boolean, 2), UniTuple(UniTuple(float64, 2), 2),"
    "int64[:,::1], int64[:,::1], float64[:,:,::1], boolean"
)
PIECES_AT_FIRST = 12  # for which there is room in the arrays, per candidate
# Of a count: a literal 0 has a type of its own, for which what takes it is compiled once more.
ZERO = cast(int, np.int64(0))


@kernel(f"({FOLLOW_TYPES})")
def follow(
    worlds: tuple[Columns, Columns],
    gravity: tuple[Array, Array],
    table: tuple[bool, bool],
    rules: tuple[tuple[float, float], tuple[float, float]],
    span: Whole,
    intervention: Whole,
    value: Array,
    smooth: bool,
) -> tuple[Array, Array, Whole, Array, Whole]:
    """Follow K candidates through interventions (M, 3), ascending, in one world and, if asked, then in another.

    worlds: discs, faces, corners and pairs of each. gravity: (K or 1, 2) m/s2 of each. rules: CONTACT_LEAD and TWIST of
    each. span: (R, 2) of the R worlds that are used, the end of its interventions and the step at which it ends. value:
    (M, K, 6), as in `Intervention`. Interventions on all discs do not count before the first disc.

    Returns:
        The first steps (P,) of pieces of constant acceleration; the discs (P, N, 10) at each, NaN for the position of
        one that is absent; by world and candidate, the end (R K,) of its pieces in these arrays, and the step (R K,) up
        to which it holds; the contacts (T, 3) of the first candidate: step, disc, other disc or -1.
    """
    count, size = len(worlds[0][0]), value.shape[1]
    now, there = np.zeros((count, 10)), np.zeros(count, np.bool_)
    carried, remains = np.zeros((size, count, 6)), np.zeros((size, count), np.bool_)  # from one world to the next
    touches, clearance = np.empty((16, 3), np.int64), np.zeros(count)
    begin, pieces = np.empty(PIECES_AT_FIRST * size), np.empty((PIECES_AT_FIRST * size, count, 10))
    last, until = np.empty(len(span) * size, np.int64), np.full(len(span) * size, np.inf)
    since = start = 0
    used = touched = ZERO
    for w in range(len(span)):
        disc, face, corner, pair = worlds[w]
        faces, corners, (lead, twist) = len(face), len(corner), rules[w]
        rests, contact = np.zeros((count, faces), np.bool_), np.empty((count * (faces + corners) + len(pair), 4))
        time, pair_time = np.empty((count, FIRST_FACE + faces + corners)), np.empty(len(pair))
        ahead = np.empty((count, 10)) if lead != 0 else now
        stop, end = span[w]
        while start < stop and intervention[start, BODY] < 0 and not remains.any():
            start += 1
        for k in range(size):
            gx, gy = gravity[w][min(k, len(gravity[w]) - 1)]
            step, contacts, present, known = float(since), ZERO, 0, False  # known: how far discs are from contacts
            now[:] = 0.0
            rests[:] = False
            for i in range(count):
                there[i] = remains[k, i]
                if there[i]:
                    for c in range(AX):  # not as a slice, which takes long to compile
                        now[i, c] = carried[k, i, c]
                    present += 1
            for m in range(start, stop + 1):
                target = float(intervention[m, STEP] if m < stop else end)
                rounds = 0
                # more events between two interventions: the candidate is given up from there on
                while step < target and present > 0 and rounds < 150:
                    rounds += 1
                    _accelerate_present(now, there, rests, disc, face, gx, gy, table[w], time)
                    remove_normal_acceleration(now, disc, contact, contacts)
                    if used == len(begin):
                        begin, pieces = more_room(begin, pieces)
                    record_piece(now, there, step, used, begin, pieces)
                    used += 1
                    left = target - step
                    known = known and stays_clear(now, there, left, clearance)
                    if known:
                        first = first_slide_end(there, left * H, time, pair_time)
                    else:
                        if lead != 0:
                            _look_ahead(now, rests, lead, ahead)
                        first = first_event(ahead, there, rests, disc, face, corner, pair, left * H, time, pair_time)
                    steps = 0.0
                    if not smooth:
                        steps = float(math.ceil(first / H - 1e-6))
                    elif first > 0:
                        steps = first / H + (0.5 if first < left * H else 0.0)
                    steps = min(steps, left)
                    _advance(now, there, steps)
                    step, contacts = step + steps, ZERO
                    if steps < left:
                        known = False
                        bound = min(steps * H, first + 1e-12) if smooth else steps * H + 1e-9
                        contacts = _handle_events(
                            now, rests, disc, face, corner, pair, gx, gy, table[w], bound, time, pair_time, contact
                        )
                        if twist != 0:
                            _turn_rebounds(now, disc, contact, contacts, twist)
                    if k == 0 and contacts > 0 and (w + 1 == len(span) or int(step) < end):
                        touches = record_contacts(contact[:contacts], step, touched, touches)
                        touched += contacts
                if step < target and present > 0:
                    until[w * size + k] = step
                    break
                if m < stop:
                    step = target
                    if not known and lead == 0 and intervention[m, KIND] in (GRAVITY, DAMP):
                        # Many of these may follow before a disc comes near anything: no search is needed until then.
                        clearances(now, there, rests, disc, face, corner, pair, clearance)
                        known = True
                    if intervention[m, KIND] == GRAVITY:
                        gx, gy = value[m, k, 0], value[m, k, 1]
                    elif intervention[m, KIND] == DAMP:
                        _damp(now, there, rests, value[m, k, 0], value[m, k, 1], table[w])
                    else:
                        known = False
                        present += _intervene(now, there, rests, intervention[m], value[m, k])
            remains[k, :] = False
            if until[w * size + k] == math.inf:
                for i in range(count):
                    accelerate(now, rests, disc, face, i, gx, gy, table[w])
                if used == len(begin):
                    begin, pieces = more_room(begin, pieces)
                record_piece(now, there, step, used, begin, pieces)
                used += 1
                for i in range(count):
                    remains[k, i] = there[i]
                    for axis in range(2):
                        moved = moved_by(now[i], end - step, axis)
                        carried[k, i, X + axis], carried[k, i, VX + axis], carried[k, i, SX + axis] = moved
            last[w * size + k] = used
        start, since = stop, end
    return begin[:used], pieces[:used], last, until, touches[:touched]


_follow, _evaluate = follow.function, evaluate.function  # as compiled code calls them


@kernel(f"({FOLLOW_TYPES}, float64[::1])")
def followed_positions(
    worlds: tuple[Columns, Columns],
    gravity: tuple[Array, Array],
    table: tuple[bool, bool],
    rules: tuple[tuple[float, float], tuple[float, float]],
    span: Whole,
    intervention: Whole,
    value: Array,
    smooth: bool,
    steps: Array,
) -> Array:
    """Positions (K, F, N, 2) m at steps (F,), ascending, of the motion that `follow` gives for the same arguments."""
    begin, pieces, last, until, _ = _follow(worlds, gravity, table, rules, span, intervention, value, smooth)
    sampled = np.empty((1, value.shape[1], len(steps), pieces.shape[1], 2))
    _evaluate(begin, pieces, last, until, span, steps, sampled)
    positions: Array = sampled[0]
    return positions


@borrowing
def _accelerate_present(
    now: Array, there: Mask, rests: Mask, disc: Array, face: Array, gx: float, gy: float, table: bool, time: Array
) -> None:
    """Set the accelerations of discs that are present, and times (N, 2 + S + C): the ends of slides, else infinity."""
    for i in range(len(now)):
        for c in range(time.shape[1]):
            time[i, c] = math.inf
        if there[i]:
            time[i, SLIDE] = accelerate(now, rests, disc, face, i, gx, gy, table)


@borrowing
def _intervene(now: Array, there: Mask, rests: Mask, intervention: Whole, value: Array) -> int:
    """Apply an intervention (3,) with value (6,). Returns by how much the number of present discs grows."""
    i, kind = intervention[BODY], intervention[KIND]
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


@borrowing
def _damp(now: Array, there: Mask, rests: Mask, factor: float, angle: float, table: bool) -> None:
    """Multiply velocities and spins by a factor; turn the velocities of discs that rest on no face by an angle rad."""
    cos, sin = factor * math.cos(angle), factor * math.sin(angle)
    for i in range(len(now)):
        if not there[i]:
            continue
        if rests[i].any():
            now[i, VX] *= factor
            now[i, VY] *= factor
            now[i, SX] *= factor
            continue
        now[i, VX], now[i, VY] = cos * now[i, VX] - sin * now[i, VY], sin * now[i, VX] + cos * now[i, VY]
        if table:
            now[i, SX], now[i, SY] = cos * now[i, SX] - sin * now[i, SY], sin * now[i, SX] + cos * now[i, SY]
        else:
            now[i, SX] *= factor


@borrowing
def _look_ahead(now: Array, rests: Mask, lead: float, ahead: Array) -> None:
    """Set where discs (N, 10) would be `lead` s later without a contact; those that rest on a face stay."""
    for i in range(len(now)):
        for c in range(now.shape[1]):
            ahead[i, c] = now[i, c]
        if not rests[i].any():
            for axis in range(2):
                ahead[i, X + axis] += lead * (now[i, VX + axis] + lead / 2 * now[i, AX + axis])
                ahead[i, VX + axis] += lead * now[i, AX + axis]


@borrowing
def _turn_rebounds(now: Array, disc: Array, struck: Array, count: int, angle: float) -> None:
    """Turn the velocity with which discs leave the first contacts struck (count, 4); not into them.

    Of two discs it is that against each other.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    for t in range(count):
        i, j, x, y = int(struck[t, 0]), int(struck[t, 1]), struck[t, 2], struck[t, 3]
        share = 0.0  # of the velocity against each other that the second disc has
        ux, uy = now[i, VX], now[i, VY]
        if j >= 0:
            share = disc[i, MASS] / (disc[i, MASS] + disc[j, MASS])
            ux, uy = ux - now[j, VX], uy - now[j, VY]
        turned_x, turned_y = cos * ux - sin * uy, sin * ux + cos * uy
        if min(ux * x + uy * y, turned_x * x + turned_y * y) <= MIN_REBOUND_SPEED:
            continue
        now[i, VX] += (1 - share) * (turned_x - ux)
        now[i, VY] += (1 - share) * (turned_y - uy)
        if j >= 0:
            now[j, VX] -= share * (turned_x - ux)
            now[j, VY] -= share * (turned_y - uy)


@borrowing
def _advance(now: Array, there: Mask, n: float) -> None:
    """Move by n steps."""
    for i in range(len(now)):
        if there[i]:
            for axis in range(2):
                now[i, X + axis] += n * H * (now[i, VX + axis] + (n + 1) * (H / 2) * now[i, AX + axis])
                now[i, VX + axis] += n * H * now[i, AX + axis]
                now[i, SX + axis] += n * H * now[i, TX + axis]


@borrowing
def _handle_events(
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
    pair_time: Array,
    contact: Array,
) -> int:
    """Handle all events within `bound` s. Returns the number of contacts, noted in contact (T, 4)."""
    count, faces, contacts = len(disc), len(face), 0
    for i in range(count):
        if time[i, SLIDE] <= bound:
            end_slide(now, rests, disc, face, i, table)
        if time[i, FACE_END] <= bound:
            rests[i, :] = False
    for i in range(count):
        for s in range(faces):
            if time[i, FIRST_FACE + s] <= bound:
                x, y = face[s, NORMAL_X], face[s, NORMAL_Y]
                restitution, friction = (
                    disc[i, RESTITUTION] * face[s, FACE_RESTITUTION],
                    disc[i, FRICTION] * face[s, FACE_FRICTION],
                )
                stays = bounce_off_fixed(
                    now,
                    disc,
                    i,
                    x,
                    y,
                    restitution,
                    0.0 if table else friction,
                    gx * x + gy * y,
                    face[s, FACE_SPEED],
                    contact[contacts],
                )
                rests[i, s] |= stays and not table
                for other in range(faces):  # a ramp lifts what rolls onto it from the floor
                    if now[i, VX] * face[other, NORMAL_X] + now[i, VY] * face[other, NORMAL_Y] > MIN_REBOUND_SPEED:
                        rests[i, other] = False
                contacts += 1
    for i in range(count):
        for c in range(len(corner)):
            if time[i, FIRST_FACE + faces + c] <= bound:
                x, y = now[i, X] - corner[c, CORNER_X], now[i, Y] - corner[c, CORNER_Y]
                away = max(math.hypot(x, y), 1e-9)
                x, y = x / away, y / away
                restitution, friction = (
                    disc[i, RESTITUTION] * corner[c, CORNER_RESTITUTION],
                    disc[i, FRICTION] * corner[c, CORNER_FRICTION],
                )
                bounce_off_fixed(
                    now,
                    disc,
                    i,
                    x,
                    y,
                    restitution,
                    0.0 if table else friction,
                    gx * x + gy * y,
                    0.0,
                    contact[contacts],
                )
                contacts += 1
    for p in range(len(pair)):
        if pair_time[p] <= bound:
            collide_discs(now, rests, disc, face, pair[p, ONE], pair[p, OTHER], table, contact[contacts])
            contacts += 1
    return contacts
