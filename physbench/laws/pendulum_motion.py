"""Motion of bodies on rods that turn about fixed points, and hit each other: integrated for many candidates, compiled.

With the angle a of a rod of length L from the x axis of the picture,

    L a'' = (1 + trend (t - begin)) (g_y cos a - g_x sin a) - L drag a'.

The method is Runge and Kutta's of fourth order: 1e-6 m off after four swings of a rod of 2 m. Between steps bodies are
looked at: where two overlap that come nearer, the step ends where they touch, and they part by Newton's law of
restitution, along the line of their middles as far as rods let them.

Where rods hang on bodies of other rods (`follow_chains`), with m_ij the mass of all that hangs on both rod i and j,

    sum_j m_ij L_i L_j (cos(a_i - a_j) (a_j'' + drag a_j') + sin(a_i - a_j) a_j'^2)
        = m_ii L_i (1 + trend (t - begin)) (g_y cos a_i - g_x sin a_i)

(Lagrange's equations; a double pendulum's are in Landau and Lifshitz, Mechanics, section 5).
"""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array, Whole
from physbench.world.compiled import borrowing, compiled, kernel

X, Y, LENGTH, RADIUS, INVERSE_MASS, RESTITUTION = range(6)  # columns of a rod (N, 6), see `follow_pendulums`
GRAVITY_X, GRAVITY_Y, DRAG, TREND, BEGIN = range(5)  # columns of a world (K or 1, 5): m/s2, m/s2, 1/s, 1/s, s
LONGEST_STEP = 0.04  # s
STEP_ANGLE = 0.1  # rad of the fastest small swing that a step covers
TOUCH = 1e-6  # m, to which the place of a hit is found
AT_REST = 1e-9  # m/s


@borrowing
def _bend(angle: float, rate: float, now: float, length: float, world: Array) -> float:
    """Angular acceleration in rad/s2."""
    across = world[GRAVITY_Y] * math.cos(angle)
    if world[GRAVITY_X] != 0:  # sines take long
        across -= world[GRAVITY_X] * math.sin(angle)
    pull = across / length
    bend: float = (1 + world[TREND] * (now - world[BEGIN])) * pull - world[DRAG] * rate
    return bend


@borrowing
def _swing_one(swing: Array, moved: Array, rod: Array, n: int, now: float, h: float, world: Array) -> None:
    """Set `moved[n]` to the angle rad and rate rad/s of body n of `swing` (N, 2) after h s."""
    angle, rate, length = swing[n, 0], swing[n, 1], rod[n, LENGTH]
    a1 = _bend(angle, rate, now, length, world)
    r2 = rate + h / 2 * a1
    a2 = _bend(angle + h / 2 * rate, r2, now + h / 2, length, world)
    r3 = rate + h / 2 * a2
    a3 = _bend(angle + h / 2 * r2, r3, now + h / 2, length, world)
    r4 = rate + h * a3
    a4 = _bend(angle + h * r3, r4, now + h, length, world)
    moved[n, 0] = angle + h / 6 * (rate + 2 * r2 + 2 * r3 + r4)
    moved[n, 1] = rate + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)


@borrowing
def _swing(swing: Array, moved: Array, rod: Array, now: float, h: float, world: Array) -> None:
    """The same of all bodies."""
    for n in range(len(rod)):
        _swing_one(swing, moved, rod, n, now, h, world)


@borrowing
def _closing(swing: Array, rod: Array, i: int, j: int) -> tuple[float, float, float, float]:
    """Gap m of two bodies, speed m/s with which it grows, and by how much it does so per rate of either, m.

    NaN of what is absent.
    """
    ci, si, cj, sj = math.cos(swing[i, 0]), math.sin(swing[i, 0]), math.cos(swing[j, 0]), math.sin(swing[j, 0])
    x = rod[i, X] + rod[i, LENGTH] * ci - rod[j, X] - rod[j, LENGTH] * cj
    y = rod[i, Y] + rod[i, LENGTH] * si - rod[j, Y] - rod[j, LENGTH] * sj
    away = max(math.sqrt(x * x + y * y), 1e-9)
    by_i, by_j = rod[i, LENGTH] * (ci * y - si * x) / away, rod[j, LENGTH] * (sj * x - cj * y) / away
    return away - rod[i, RADIUS] - rod[j, RADIUS], by_i * swing[i, 1] + by_j * swing[j, 1], by_i, by_j


@borrowing
def _first_hit(moved: Array, rod: Array, hung: Array) -> tuple[int, int]:
    """The pair of bodies that overlap most in `moved` and come nearer there; -1, -1 where none does.

    hung (N, 2): room for where bodies hang from their fixed points, m. The speed of most pairs is not asked.
    """
    one, other, deepest = -1, -1, 0.0
    for i in range(len(rod)):
        if rod[i, RADIUS] == 0:
            continue
        hung[i, 0], hung[i, 1] = rod[i, LENGTH] * math.cos(moved[i, 0]), rod[i, LENGTH] * math.sin(moved[i, 0])
        for j in range(i):
            if rod[j, RADIUS] > 0:
                x = rod[i, X] + hung[i, 0] - rod[j, X] - hung[j, 0]
                y = rod[i, Y] + hung[i, 1] - rod[j, Y] - hung[j, 1]
                gap = max(math.sqrt(x * x + y * y), 1e-9) - rod[i, RADIUS] - rod[j, RADIUS]
                if gap < deepest and _closing(moved, rod, i, j)[1] < -AT_REST:
                    one, other, deepest = i, j, gap
    return one, other


@compiled
def _hit(swing: Array, rod: Array, time: float, met: Array, count: int) -> int:
    """Let all bodies part that touch and come nearer; returns the number of contacts, which are added to `met`."""
    for sweep in range(50):  # sweeps through the pairs that touch at once
        parted = True
        for i in range(len(rod)):
            for j in range(i):
                if rod[i, RADIUS] == 0 or rod[j, RADIUS] == 0:
                    continue
                gap, speed, by_i, by_j = _closing(swing, rod, i, j)
                if gap > TOUCH or not speed < -AT_REST:
                    continue
                parted = False
                # A hit of less than 0.01 m/s does not rebound, as in the simulator.
                bounce = rod[i, RESTITUTION] * rod[j, RESTITUTION] if speed < -0.01 else 0.0
                # An impulse J turns rods by J by / (m L^2).
                light_i = by_i * rod[i, INVERSE_MASS] / rod[i, LENGTH] ** 2
                light_j = by_j * rod[j, INVERSE_MASS] / rod[j, LENGTH] ** 2
                impulse = -(1 + bounce) * speed / max(by_i * light_i + by_j * light_j, 1e-12)
                swing[i, 1] += impulse * light_i
                swing[j, 1] += impulse * light_j
                if sweep == 0 and count < len(met):
                    met[count, 0], met[count, 1], met[count, 2] = time, i, j
                    count += 1
        if parted:
            break
    return count


@compiled
def _advance(
    swing: Array, room: Array, rod: Array, now: float, h: float, world: Array, met: Array, count: int, hits: int
) -> tuple[int, int]:
    """Move angles and rates (N, 2) by h s, through all hits on the way; numbers of contacts and hits so far.

    room: (2, N, 2) for what is moved, see `_first_hit`.
    """
    moved = room[0]
    left = h
    while True:
        _swing(swing, moved, rod, now, left, world)
        # After 400 hits of a candidate its bodies pass through each other
        one, other = (-1, -1) if h < 0 or hits >= 400 else _first_hit(moved, rod, room[1])
        if one < 0:
            swing[:] = moved
            return count, hits
        hits += 1
        low, high = 0.0, left
        gap_low, speed, _, _ = _closing(swing, rod, one, other)
        gap_high, _, _, _ = _closing(moved, rod, one, other)
        if gap_low <= TOUCH:  # they overlap already: they part at once, or where they begin to come nearer
            part = 0.0 if speed < -AT_REST else left
        else:
            part = left
            for k in range(30):
                share = gap_low / (gap_low - gap_high)
                part = low + (high - low) * (share if k % 3 < 2 else 0.5)
                _swing_one(swing, moved, rod, one, now, part, world)
                _swing_one(swing, moved, rod, other, now, part, world)
                gap, _, _, _ = _closing(moved, rod, one, other)
                if abs(gap) < TOUCH / 2:
                    break
                if gap > 0:
                    low, gap_low = part, gap
                else:
                    high, gap_high = part, gap
        _swing(swing, moved, rod, now, part, world)
        swing[:] = moved
        now += part
        left -= part
        count = _hit(swing, rod, now, met, count)


@kernel("(float64[:,:,::1], float64[::1], float64[:,::1], float64[:,::1], float64[:,::1])")
def follow_pendulums(states: Array, times: Array, rod: Array, worlds: Array, met: Array) -> tuple[Array, int]:
    """States (K, F, N, 4) m and m/s of K candidates of N bodies on rods, NaN of what is absent; number of contacts.

    Args:
        states: (K, N, 4) at the first of the times. Of positions the direction from the fixed point counts, of
            velocities what is across the rod.
        times: (F,) s, ascending or, without hits, descending.
        rod: (N, 6) of each body: the point m about which its rod turns and its length m; its radius m, 0 of what hits
            nothing; 1 / mass and restitution.
        worlds: (K or 1, 5) what acts on all of them.
        met: (C, 3) for times s and two bodies of contacts of the first candidate.
    """
    size, count, frames = states.shape[0], states.shape[1], len(times)
    motion = np.full((size, frames, count, 4), np.nan)
    swing, room, nobody = np.empty((count, 2)), np.empty((2, count, 2)), np.empty((0, 3))
    contacts = 0
    for k in range(size):
        world = worlds[min(k, len(worlds) - 1)]
        fastest = math.hypot(world[GRAVITY_X], world[GRAVITY_Y])
        longest, hits = LONGEST_STEP, 0
        for n in range(count):
            x, y, length = states[k, n, 0] - rod[n, X], states[k, n, 1] - rod[n, Y], rod[n, LENGTH]
            angle = math.atan2(y, x)
            swing[n, 0] = angle
            swing[n, 1] = (math.cos(angle) * states[k, n, 3] - math.sin(angle) * states[k, n, 2]) / length
            if math.isfinite(swing[n, 0] + swing[n, 1]):
                longest = min(longest, STEP_ANGLE / math.sqrt(max(fastest / length, 1e-6)))
            else:
                swing[n] = np.nan
        now = times[0]
        for f in range(frames):
            parts = math.ceil(abs(times[f] - now) / longest - 1e-9)
            h = (times[f] - now) / max(parts, 1)
            for _ in range(parts):
                if k == 0:
                    contacts, hits = _advance(swing, room, rod, now, h, world, met, contacts, hits)
                else:
                    _, hits = _advance(swing, room, rod, now, h, world, nobody, 0, hits)
                now += h
            now = times[f]
            for n in range(count):
                length, cos, sin = rod[n, LENGTH], math.cos(swing[n, 0]), math.sin(swing[n, 0])
                motion[k, f, n, 0], motion[k, f, n, 1] = rod[n, X] + length * cos, rod[n, Y] + length * sin
                motion[k, f, n, 2], motion[k, f, n, 3] = -length * swing[n, 1] * sin, length * swing[n, 1] * cos
    return motion, contacts


@compiled
def _chain_slope(swing: Array, slope: Array, now: float, rod: Array, hung: Array, world: Array) -> None:
    """Set `slope` (N, 2) to rates rad/s and accelerations rad/s2 of the rods of chains."""
    count, pull = len(rod), 1 + world[TREND] * (now - world[BEGIN])
    inertia, torque = np.empty((count, count)), np.empty(count)
    for i in range(count):
        across = world[GRAVITY_Y] * math.cos(swing[i, 0]) - world[GRAVITY_X] * math.sin(swing[i, 0])
        torque[i] = hung[i, i] * rod[i, LENGTH] * pull * across
        for j in range(count):
            both = hung[i, j] * rod[i, LENGTH] * rod[j, LENGTH]
            inertia[i, j] = both * math.cos(swing[i, 0] - swing[j, 0])
            torque[i] -= both * math.sin(swing[i, 0] - swing[j, 0]) * swing[j, 1] ** 2
    # Gauss's elimination: what is infinite becomes NaN, where LAPACK's solver would raise. The matrix is definite.
    for i in range(count):
        for j in range(i + 1, count):
            share = inertia[j, i] / inertia[i, i]
            inertia[j, i:] -= share * inertia[i, i:]
            torque[j] -= share * torque[i]
    for i in range(count - 1, -1, -1):
        for j in range(i + 1, count):
            torque[i] -= inertia[i, j] * torque[j]
        torque[i] /= inertia[i, i]
    slope[:, 0] = swing[:, 1]
    slope[:, 1] = torque - world[DRAG] * swing[:, 1]


@borrowing
def _chain_step(swing: Array, rod: Array, hung: Array, world: Array) -> float:
    """Longest step in s. A rod bears what hangs on it: light bodies swing fast between heavy ones, and whip."""
    fastest, pull = 1e-6, math.hypot(world[GRAVITY_X], world[GRAVITY_Y])
    for n in range(len(rod)):
        share = hung[n, n] * rod[n, INVERSE_MASS]
        fastest = max(fastest, share * (4 * pull / rod[n, LENGTH] + swing[n, 1] ** 2))
    return max(min(LONGEST_STEP, STEP_ANGLE / math.sqrt(fastest)), 1 / 1200)  # s, of what whirls as nothing here does


@borrowing
def _hang(place: Array, rod: Array, parent: Whole, n: int) -> tuple[float, float, float, float]:
    """State of the point on which rod n hangs, of bodies with states `place` (N, 4)."""
    on = parent[n]
    if on < 0:
        return rod[n, X], rod[n, Y], 0.0, 0.0
    return place[on, 0], place[on, 1], place[on, 2], place[on, 3]


@borrowing
def _place(swing: Array, rod: Array, parent: Whole, n: int, place: Array) -> None:
    """Set the state of body n in `place` (N, 4) from angles rad and rates rad/s (N, 2) of rods."""
    x, y, vx, vy = _hang(place, rod, parent, n)
    along, across = rod[n, LENGTH] * math.cos(swing[n, 0]), rod[n, LENGTH] * math.sin(swing[n, 0])
    place[n, 0], place[n, 1] = x + along, y + across
    place[n, 2], place[n, 3] = vx - across * swing[n, 1], vy + along * swing[n, 1]


@kernel("(float64[:,:,::1], float64[::1], float64[:,::1], int64[::1], int64[::1], float64[:,::1], float64[:,::1])")
def follow_chains(
    states: Array, times: Array, rod: Array, parent: Whole, order: Whole, hung: Array, worlds: Array
) -> Array:
    """States (K, F, N, 4) m and m/s of K candidates of N bodies on chained rods; NaN where one of them is absent.

    Args:
        states: (K, N, 4) at the first of the times. Of positions the direction from where the rod hangs counts, of
            velocities what is across the rod, beside the velocity of that place.
        times: (F,) s, ascending or descending.
        rod: (N, 6) as in `follow_pendulums`; of a rod that hangs on a body the length alone counts.
        parent: (N,) the body on which a rod hangs, -1: on its fixed point.
        order: (N,) the bodies, each after the one on which it hangs.
        hung: (N, N) kg of all that hangs on both of two rods.
        worlds: (K or 1, 5) what acts on all of them.
    """
    size, count, frames = states.shape[0], states.shape[1], len(times)
    motion, place = np.full((size, frames, count, 4), np.nan), np.empty((count, 4))
    swing, slope = np.empty((count, 2)), np.empty((count, 2))
    other, total = np.empty((count, 2)), np.empty((count, 2))
    for k in range(size):
        if not np.isfinite(states[k].sum()):
            continue
        world = worlds[min(k, len(worlds) - 1)]
        for n in order:
            x, y, vx, vy = _hang(place, rod, parent, n)
            angle = math.atan2(states[k, n, 1] - y, states[k, n, 0] - x)
            across = math.cos(angle) * (states[k, n, 3] - vy) - math.sin(angle) * (states[k, n, 2] - vx)
            swing[n, 0], swing[n, 1] = angle, across / rod[n, LENGTH]
            _place(swing, rod, parent, n, place)
        now = times[0]
        for f in range(frames):
            while abs(times[f] - now) > 1e-12:
                left = times[f] - now
                h = left / math.ceil(abs(left) / _chain_step(swing, rod, hung, world))
                _chain_slope(swing, total, now, rod, hung, world)
                other[:] = swing + h / 2 * total
                _chain_slope(other, slope, now + h / 2, rod, hung, world)
                total += 2 * slope
                other[:] = swing + h / 2 * slope
                _chain_slope(other, slope, now + h / 2, rod, hung, world)
                total += 2 * slope
                other[:] = swing + h * slope
                _chain_slope(other, slope, now + h, rod, hung, world)
                swing += h / 6 * (total + slope)
                now += h
            now = times[f]
            for n in order:
                _place(swing, rod, parent, n, motion[k, f])
    return motion
