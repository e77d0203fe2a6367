"""Motion of discs between two events, compiled: columns of the arrays, accelerations, pieces of constant acceleration.

`array_layout` names the columns of the arrays.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.laws.planar_scene import PlanarScene
from physbench.support.arrays import Array, Mask, Whole
from physbench.world.compiled import borrowing, compiled, kernel
from physbench.world.scene import PHYSICS_HZ

# Columns of the arrays that the compiled functions take, and how a `PlanarScene` fills them.


H = 1.0 / PHYSICS_HZ

# Discs (N, 8) as in `PlanarScene`
RADIUS, MASS, INVERSE_INERTIA, RESTITUTION, FRICTION, COLLIDES, TABLE_FRICTION, SLIDE_DECELERATION = range(8)
# Faces (S, 8)
NORMAL_X, NORMAL_Y, OFFSET, LOW, HIGH, FACE_RESTITUTION, FACE_FRICTION, FACE_SPEED = range(8)
# Corners (C, 5)
CORNER_X, CORNER_Y, CORNER_RADIUS, CORNER_RESTITUTION, CORNER_FRICTION = range(5)
# Moving discs (N, 10): position m, velocity m/s, spin as a velocity m/s, the accelerations m/s2 of both velocities
X, Y, VX, VY, SX, SY, AX, AY, TX, TY = range(10)
# Pairs (P, 2) of discs that can meet
ONE, OTHER = range(2)
# Interventions (M, 3)
STEP, BODY, KIND = range(3)
KINDS = ("state", "push", "gone", "gravity", "damp")
STATE, PUSH, GONE, GRAVITY, DAMP = range(5)
# Rules of contacts (2,), both 0 in the true world: s by which a contact comes too early, and the angle in rad by which
# every rebound is turned
CONTACT_LEAD, TWIST = range(2)
NO_RULES = (0.0, 0.0)


def disc_columns(world: PlanarScene) -> Array:
    """Discs (N, 8)."""
    columns = (
        world.radius,
        world.mass,
        world.inverse_inertia,
        world.restitution,
        world.friction,
        world.collides,
        world.table_friction,
        world.slide_deceleration,
    )
    return np.stack(columns, axis=-1, dtype=np.float64)


def face_columns(world: PlanarScene) -> Array:
    """Faces (S, 8)."""
    columns = (
        *world.normal.T,
        world.offset,
        world.low,
        world.high,
        world.face_restitution,
        world.face_friction,
        world.face_speed,
    )
    return np.stack(columns, axis=-1, dtype=np.float64)


def corner_columns(world: PlanarScene) -> Array:
    """Corners (C, 5)."""
    columns = (*world.corner.T, world.corner_radius, world.corner_restitution, world.corner_friction)
    return np.stack(columns, axis=-1, dtype=np.float64)


def pair_columns(world: PlanarScene) -> NDArray[np.int64]:
    """Pairs (P, 2) of colliding discs that lie at the same depth."""
    pairs = [
        (i, j)
        for i in range(len(world.radius))
        for j in range(i)
        if world.collides[i] and world.collides[j] and abs(world.depth[i] - world.depth[j]) < 1e-6
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


# Accelerations of discs between two events: gravity, a table on which they slide, faces on which they rest.
#
# `array_layout` names the columns of the arrays, which are changed in place. A spin is given as the velocity that the
# disc would have if it rolled. On a table it is a vector. Elsewhere its first component counts, along the tangent
# (normal_y, -normal_x) of the face on which the disc rolls.


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
    slip = now[i, VX] * x + now[i, VY] * y - face[s, FACE_SPEED] - (spin if inverse_inertia > 0 else 0.0)
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
    """End the slide of disc i: it rolls, moves with its face where it cannot turn, or is wedged."""
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
        along = now[i, VX] * face[first, NORMAL_Y] - now[i, VY] * face[first, NORMAL_X]
        now[i, SX] = along - face[first, FACE_SPEED]
    elif count == 1:
        now[i, VX] = face[first, FACE_SPEED] * face[first, NORMAL_Y]
        now[i, VY] = -face[first, FACE_SPEED] * face[first, NORMAL_X]


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
def evaluate(
    begin: Array, pieces: Array, last: Whole, until: Array, span: Whole, steps: Array, positions: Array
) -> None:
    """Set positions at steps (F,), ascending, and velocities and spins if there is room: found (1 or 3, K, F, N, 2).

    The motion is as `event_loop.follow` gives it. A world that is followed by another one ends before its last step.
    """
    size, piece, f_begin = positions.shape[1], 0, 0
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
                        positions[0, k - w * size, f, i, axis] = position if known else math.nan
                        if len(positions) > 1:
                            positions[1, k - w * size, f, i, axis] = velocity
                            positions[2, k - w * size, f, i, axis] = spin
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
