"""Motion of discs between two events and their contacts, compiled.

First the columns of the arrays, accelerations, and pieces of constant acceleration; then when contacts happen, and what
they do to velocities. The simulator sets the velocity along the normal of a contact, restitution included, after all
forces of the step have acted. `remove_normal_acceleration` takes out what the first step after the contact would add
again. Arrays are changed in place. A contact is noted in struck (4,): disc, other disc or -1, normal. The normal is 0
where the two are already separating.
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
# A spin is given as the velocity that the disc would have if it rolled. On a table it is a vector. Elsewhere its first
# component counts, along the tangent (normal_y, -normal_x) of the face on which the disc rolls.


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


# When discs touch faces and each other, in closed form.
#
# All functions take metres and seconds. They return the seconds until two things that approach each other first touch,
# and infinity where they do not. `impacts.meeting_time` is the form that tasks draw their scenes with.


@borrowing
def face_contact_time(gap: float, velocity: float, acceleration: float) -> float:
    """Seconds until gap + velocity t + acceleration t^2 / 2 is no more than 0 while it shrinks.

    A gap that is negative already counts from the moment at which it shrinks.

    >>> face_contact_time(2.0, -1.0, 0.0)
    2.0
    """
    if not (velocity < 0 or acceleration < 0):
        return math.inf
    inner = velocity * velocity - 2 * acceleration * gap
    if gap > 0:
        if not inner >= 0:
            return math.inf
        root = math.sqrt(inner)
        # Each form where it has no cancellation
        return (velocity + root) / -acceleration if velocity > 0 else 2 * gap / (root - velocity)
    if velocity < 0:
        return 0.0
    return (velocity + math.sqrt(inner)) / -acceleration if inner >= 0 else velocity / -acceleration


@borrowing
def straight_contact_time(x: float, y: float, vx: float, vy: float, reach: float) -> float:
    """Seconds until two that are (x, y) apart and move straight at (vx, vy) relative to each other are `reach` apart.

    >>> straight_contact_time(3.0, 0.0, -1.0, 0.0, 1.0)
    2.0
    """
    closing = x * vx + y * vy
    rest = x * x + y * y - reach * reach
    inner = closing * closing - (vx * vx + vy * vy) * rest
    if not (closing < 0 and inner >= 0):
        return math.inf
    return rest / (math.sqrt(inner) - closing) if rest > 0 else 0.0


@borrowing
def curved_contact_time(
    x: float, y: float, vx: float, vy: float, ax: float, ay: float, reach: float, until: float
) -> float:
    """As `straight_contact_time` under a relative acceleration (ax, ay), at most `until` s ahead.

    The squared distance is a polynomial of fourth degree. It is monotonic between its turning points, which lie between
    those of its derivative, so that no contact is missed. Two that are nearer than `reach` already touch at the moment
    at which their distance shrinks.

    >>> round(curved_contact_time(-1.0, 0.0, 2.0, 1.0, 0.0, -4.0, 0.5, 9.0), 3)
    0.258
    """
    until = min(max(until, 0.0), 1e3)  # s
    vx, vy, ax, ay = (vx * until, vy * until, ax * (until * until / 2), ay * (until * until / 2))
    # Of the distance's square over [0, 1], from the constant term on
    c0 = x * x + y * y - reach * reach
    c1 = 2 * (x * vx + y * vy)
    c2 = vx * vx + vy * vy + 2 * (x * ax + y * ay)
    c3 = 2 * (vx * ax + vy * ay)
    c4 = ax * ax + ay * ay
    turning_points = _quadratic_roots(2 * c2, 6 * c3, 12 * c4)
    ends = (0.0, turning_points[0], turning_points[1], 1.0)
    low, at_low = 0.0, c0
    for part in range(4):
        high = _monotonic_root(c1, 2 * c2, 3 * c3, 4 * c4, 0.0, ends[part], ends[part + 1]) if part < 3 else 1.0
        at_high = _polynomial(c0, c1, c2, c3, c4, high)
        if at_high <= 0 and at_low > at_high:
            return until * (low if at_low <= 0 else _monotonic_root(c0, c1, c2, c3, c4, low, high))
        low, at_low = high, at_high
    return math.inf


@borrowing
def _polynomial(c0: float, c1: float, c2: float, c3: float, c4: float, t: float) -> float:
    """Value of a polynomial, constant term first."""
    return (((c4 * t + c3) * t + c2) * t + c1) * t + c0


@borrowing
def _quadratic_roots(c0: float, c1: float, c2: float) -> tuple[float, float]:
    """Roots of a quadratic polynomial in ascending order, clipped to [0, 1]."""
    root = math.sqrt(max(c1 * c1 - 4 * c2 * c0, 0.0))
    q = -(c1 - root) / 2 if c1 < 0 else -(c1 + root) / 2
    one, other = q / c2, c0 / q
    one = min(max(one, 0.0), 1.0) if one == one else 0.0
    other = min(max(other, 0.0), 1.0) if other == other else 0.0
    return min(one, other), max(one, other)


@borrowing
def _monotonic_root(c0: float, c1: float, c2: float, c3: float, c4: float, low: float, high: float) -> float:
    """The root of a polynomial that is monotonic from low to high; the nearer end where it has none there."""
    at_low, at_high = _polynomial(c0, c1, c2, c3, c4, low), _polynomial(c0, c1, c2, c3, c4, high)
    share = at_low / (at_low - at_high)
    if not share > 0:
        return low
    if share >= 1:
        return high
    rises = at_high >= at_low
    t = low + share * (high - low)
    for _ in range(60):  # rounds of Newton's method between two ends, 5 to 8 are typical
        value = _polynomial(c0, c1, c2, c3, c4, t)
        if (value >= 0) == rises or value == 0:
            high = t
        else:
            low = t
        step = t - value / (((4 * c4 * t + 3 * c3) * t + 2 * c2) * t + c1)
        if not low <= step <= high:
            step = (low + high) / 2
        moved = abs(step - t)
        t = step
        if moved < 1e-13:  # of the span of time in which a root is sought
            break
    return t


# When the next event of one candidate of a planar scene happens.
#
# Times are seconds from now, infinity where an event does not happen. Those of a disc are (2 + S + C,): the end of its
# slide, the end of the face on which it rests, then its contacts with faces and corners.


MAX_OVERLAP = 0.1  # m; a face does not stop what lies deeper in it, nor a disc another one
CLEARANCE_MARGIN = 1e-6  # m; far above the rounding of any distance, far below what matters
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
            _face_times(now, rests, disc, face, i, left, time[i])
            for c in range(FIRST_FACE + len(face)):
                if time[i, c] < first:
                    first = time[i, c]
    until = first
    for i in range(len(disc)):
        if there[i] and len(corner) > 0:
            first = _corner_times(now, rests, disc, corner, i, until, first, time[i])
    _pair_times(now, there, disc, pair, first, pair_time)
    for t in pair_time:
        if t < first:
            first = t
    return first


@borrowing
def _face_times(now: Array, rests: Mask, disc: Array, face: Array, i: int, until: float, time: Array) -> None:
    """Set when disc i leaves the end of a face on which it rests, and meets others by `until` s: times (2 + S + C,)."""
    x, y, ax, ay = now[i, X], now[i, Y], now[i, AX], now[i, AY]
    vx, vy = now[i, VX] + H / 2 * ax, now[i, VY] + H / 2 * ay
    collides = disc[i, COLLIDES] > 0
    for s in range(len(face)):
        nx, ny = face[s, NORMAL_X], face[s, NORMAL_Y]
        if rests[i, s]:
            low, high = face[s, LOW], face[s, HIGH]
            if low > -math.inf:
                along, velocity, acceleration = x * ny - y * nx, vx * ny - vy * nx, ax * ny - ay * nx
                end_time = min(
                    face_contact_time(high - along, -velocity, -acceleration),
                    face_contact_time(along - low, velocity, acceleration),
                )
                time[FACE_END] = min(time[FACE_END], end_time)
            continue
        gap = x * nx + y * ny - face[s, OFFSET] - disc[i, RADIUS]
        if not (gap >= -MAX_OVERLAP and collides):
            continue
        t = face_contact_time(gap, vx * nx + vy * ny, ax * nx + ay * ny)
        if not t <= until:  # most lie later, or never happen
            continue
        low, high = face[s, LOW], face[s, HIGH]
        if low > -math.inf or high < math.inf:
            along = x * ny - y * nx
            along += t * (vx * ny - vy * nx) + t * t / 2 * (ax * ny - ay * nx)
            if along < low or along > high:
                continue
        time[FIRST_FACE + s] = t


@borrowing
def _corner_times(
    now: Array, rests: Mask, disc: Array, corner: Array, i: int, until: float, first: float, time: Array
) -> float:
    """Set when disc i meets corners, up to `until` s, in its times (2 + S + C,); return the first event, s.

    first: The first event so far, s. What is met more than a physics step later is not handled, and may be left out.
    """
    if disc[i, COLLIDES] == 0:
        return first
    for s in range(rests.shape[1]):
        if rests[i, s]:  # a disc meets no corner of the face on which it rolls; scenes with others are not supported
            return first
    ax, ay = now[i, AX], now[i, AY]
    vx, vy = now[i, VX] + H / 2 * ax, now[i, VY] + H / 2 * ay
    speed, acceleration = math.sqrt(vx * vx + vy * vy), math.sqrt(ax * ax + ay * ay)
    for c in range(len(corner)):
        soon = min(until, first + 2 * H)
        x, y = now[i, X] - corner[c, CORNER_X], now[i, Y] - corner[c, CORNER_Y]
        reach = disc[i, RADIUS] + corner[c, CORNER_RADIUS]
        far = reach + (speed + acceleration / 2 * soon) * soon
        if x * x + y * y > far * far * (1 + SQUARE_MARGIN):  # most are further away
            continue
        if _passes(x, y, vx, vy, speed, reach + acceleration / 2 * soon * soon, soon):
            continue
        met = _contact_time(x, y, vx, vy, ax, ay, reach, until)
        time[len(time) - len(corner) + c] = met
        first = min(first, met)
    return first


@borrowing
def _passes(x: float, y: float, vx: float, vy: float, speed: float, reach: float, until: float) -> bool:
    """True if a straight path stays further than `reach` m away up to `until` s."""
    closing = x * vx + y * vy
    t = min(-closing / (speed * speed), until) if closing < 0 else 0.0
    x_nearest, y_nearest, far = x + t * vx, y + t * vy, reach + CLEARANCE_MARGIN
    return x_nearest * x_nearest + y_nearest * y_nearest > far * far


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
    """Time until two meet, s; infinity for those too far apart to meet by `until` s."""
    speed, acceleration = math.sqrt(vx * vx + vy * vy), math.sqrt(ax * ax + ay * ay)
    way, square = (speed + acceleration / 2 * until) * until, x * x + y * y
    if square > (reach + way) * (reach + way) * (1 + SQUARE_MARGIN):  # most are: no root is needed
        return math.inf
    if not math.sqrt(square) - reach <= way:
        return math.inf
    if acceleration > 1e-9:  # m/s2; with less a path counts as straight
        # A path leaves the straight one by at most `bend`: of those too far from it, too, no root is needed.
        if _passes(x, y, vx, vy, speed, reach + acceleration / 2 * until * until, until):
            return math.inf
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
    """True if no disc moves by its clearance (N,) m in the next steps; takes from each what it moves at most."""
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


MIN_REBOUND_SPEED = 0.01  # m/s; a slower impact has no rebound


@borrowing
def remove_normal_acceleration(now: Array, disc: Array, struck: Array, count: int) -> None:
    """Take the acceleration along the normal of the first, new contacts struck (count, 4) out of the next step."""
    for t in range(count):
        i, j, x, y = int(struck[t, 0]), int(struck[t, 1]), struck[t, 2], struck[t, 3]
        if j < 0:
            excess = H * (now[i, AX] * x + now[i, AY] * y)
            now[i, VX] -= excess * x
            now[i, VY] -= excess * y
            continue
        excess = H * ((now[i, AX] - now[j, AX]) * x + (now[i, AY] - now[j, AY]) * y) / (disc[i, MASS] + disc[j, MASS])
        now[i, VX] -= excess * disc[j, MASS] * x
        now[i, VY] -= excess * disc[j, MASS] * y
        now[j, VX] += excess * disc[i, MASS] * x
        now[j, VY] += excess * disc[i, MASS] * y


@borrowing
def bounce_off_fixed(
    now: Array,
    disc: Array,
    i: int,
    x: float,
    y: float,
    restitution: float,
    friction: float,
    normal_gravity: float,
    surface_speed: float,
    struck: Array,
) -> bool:
    """Resolve the contact of disc i with something fixed; returns whether the disc stays on it.

    x, y: unit normal. normal_gravity: m/s2, gravity along it. surface_speed: m/s, along (y, -x).
    """
    struck[0], struck[1], struck[2], struck[3] = i, -1, 0.0, 0.0
    vx, vy = now[i, VX], now[i, VY]
    inward = vx * x + vy * y
    simulated_inward = inward + H * normal_gravity  # as the simulator sees it
    if simulated_inward > 0:
        return False
    # Contacts fall on whole steps. This gives back what e takes from bounces of some e / (1 - e) steps: without a limit
    # they would never end.
    # 20 steps of gravity make a speed that has no rebound: 1.4 mm high
    settling_steps = min(2 + restitution / max(1 - restitution, 1e-3), 20)
    rebound = (
        -restitution * simulated_inward
        if -simulated_inward > max(MIN_REBOUND_SPEED, -settling_steps * H * normal_gravity)
        else 0.0
    )
    vx += (rebound - inward) * x
    vy += (rebound - inward) * y
    if friction > 0:
        inverse_inertia, spin = disc[i, INVERSE_INERTIA], now[i, SX]
        slip = vx * y - vy * x - surface_speed - (spin if inverse_inertia > 0 else 0.0)
        max_friction = friction * (rebound - inward)
        slip_change = max(-max_friction, min(max_friction, -slip / (1 + inverse_inertia)))
        vx += slip_change * y
        vy -= slip_change * x
        now[i, SX] = spin - inverse_inertia * slip_change
    now[i, VX], now[i, VY] = vx, vy
    struck[2], struck[3] = x, y
    return rebound == 0


@borrowing
def collide_discs(
    now: Array, rests: Mask, disc: Array, face: Array, i: int, j: int, table: bool, struck: Array
) -> None:
    """Resolve the contact of discs i and j."""
    struck[0], struck[1], struck[2], struck[3] = i, j, 0.0, 0.0
    dx, dy = now[i, X] - now[j, X], now[i, Y] - now[j, Y]
    length = math.hypot(dx, dy)
    if length == 0:
        length = 1.0
    x, y = dx / length, dy / length
    ux, uy = now[i, VX] - now[j, VX], now[i, VY] - now[j, VY]
    inward = ux * x + uy * y
    if inward > 0:
        return
    inverse_mass_i, inverse_mass_j, inverse_inertia_i, inverse_inertia_j = (
        1 / disc[i, MASS],
        1 / disc[j, MASS],
        disc[i, INVERSE_INERTIA],
        disc[j, INVERSE_INERTIA],
    )
    restitution, friction = (disc[i, RESTITUTION] * disc[j, RESTITUTION], disc[i, FRICTION] * disc[j, FRICTION])
    rebound = -restitution * inward if -inward > MIN_REBOUND_SPEED else 0.0
    normal_impulse = (rebound - inward) / (inverse_mass_i + inverse_mass_j)
    friction_impulse = vertical_impulse = 0.0
    if friction > 0:
        slip = ux * y - uy * x
        if table:  # rolling balls also rub up and down against each other
            vertical_slip = (now[i, SX] + now[j, SX]) * x + (now[i, SY] + now[j, SY]) * y
            slip_speed = math.hypot(slip, vertical_slip)
            stopping_impulse = slip / ((inverse_mass_i + inverse_mass_j) * (1 + inverse_inertia_i))
            if slip_speed > 0:
                friction_impulse = -math.copysign(
                    min(friction * normal_impulse * abs(slip) / slip_speed, abs(stopping_impulse)), slip
                )
                vertical_impulse = friction * normal_impulse * vertical_slip / slip_speed
        else:
            slip -= now[i, SX] + now[j, SX]
            stopping_impulse = slip / (
                inverse_mass_i * (1 + inverse_inertia_i) + inverse_mass_j * (1 + inverse_inertia_j)
            )
            friction_impulse = -max(-friction * normal_impulse, min(friction * normal_impulse, stopping_impulse))
            now[i, SX] -= inverse_inertia_i * inverse_mass_i * friction_impulse
            now[j, SX] -= inverse_inertia_j * inverse_mass_j * friction_impulse
    jx, jy = normal_impulse * x + friction_impulse * y, normal_impulse * y - friction_impulse * x
    now[i, VX] += jx * inverse_mass_i
    now[i, VY] += jy * inverse_mass_i
    now[j, VX] -= jx * inverse_mass_j
    now[j, VY] -= jy * inverse_mass_j
    if vertical_impulse != 0:  # one is pressed onto the table, the other lifted
        _press_onto_table(now, disc, i, vertical_impulse, 1.0, x, y)
        _press_onto_table(now, disc, j, vertical_impulse, -1.0, x, y)
    for n in (i, j):
        for s in range(len(face)):
            if now[n, VX] * face[s, NORMAL_X] + now[n, VY] * face[s, NORMAL_Y] > MIN_REBOUND_SPEED:
                rests[n, s] = False
    struck[2], struck[3] = x, y


@borrowing
def _press_onto_table(
    now: Array, disc: Array, i: int, vertical_impulse: float, sign: float, x: float, y: float
) -> None:
    """Press disc i onto the table (sign 1) or lift it (-1), as the contact of two rolling balls does."""
    velocity_change, inverse_inertia = vertical_impulse / disc[i, MASS], disc[i, INVERSE_INERTIA]
    slide_x, slide_y = now[i, VX] - now[i, SX], now[i, VY] - now[i, SY]
    share = sign * velocity_change * disc[i, TABLE_FRICTION] / max(math.hypot(slide_x, slide_y), 1e-9)
    slide_x *= share
    slide_y *= share
    now[i, VX] -= slide_x
    now[i, VY] -= slide_y
    now[i, SX] += inverse_inertia * slide_x - inverse_inertia * velocity_change * x
    now[i, SY] += inverse_inertia * slide_y - inverse_inertia * velocity_change * y
