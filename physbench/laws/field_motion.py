"""Motion in fields that have no closed form, integrated for many candidates: compiled.

Radial fields of any power and sign, with drag (`follow_fields`). The acceleration of body n is

    g + sum of s (r^power - rest) u over the fields that act on it - drag v + turn (v turned by 90 degrees),

where r is the distance to the source of a field and u the unit vector towards it. The steps shrink where forces are
steep: 3e-6 m off after ten turns of an oscillator.

Orbits in changed fields, where Kepler's ellipses do not hold (`follow_field`). The acceleration towards an attracting
body at the distance r, with the unit vector u towards it, is

    mu (1 + trend t) (r / r0)^(2 - exponent) r / (r^2 + softening^2)^(3/2) u + advance L^2 / r^3 u,

where r0 is the distance at which the change sets in: there the force is that of before. L is the areal velocity twice;
the last term turns the axis of an ellipse (Newton 1687, Principia, book I, proposition 44). Drag takes drag v, and a
force across the motion turns the velocity by `turn` radians a second.

The method is Runge and Kutta's of fourth order for both.
"""

from __future__ import annotations

import math

import numpy as np

from physbench.laws.kepler import MIN_ORBIT_RADIUS
from physbench.laws.planar_motion import PUSH, STATE, H
from physbench.support.arrays import Array, Whole
from physbench.world.compiled import borrowing, kernel

# Columns of a field (E, 7). SOURCE: a body, -1 for a fixed place (X, Y). TARGET: the body on which it acts, -1 for all.
SOURCE, X, Y, STRENGTH, POWER, REST, TARGET = range(7)
# Constants of a world (3,): what is the same for all bodies. TURN: rad/s by which velocities are turned.
GRAVITY_X, GRAVITY_Y, TURN = range(3)


@borrowing
def _pull(state: Array, n: int, row: Array) -> tuple[float, float, float]:
    """The way (x, y) m from body n to the source of a field, and its length; 0 where it does not act on it."""
    source, target = int(row[SOURCE]), int(row[TARGET])
    if source == n or (target >= 0 and target != n):
        return 0.0, 0.0, 0.0
    x = (state[source, 0] if source >= 0 else row[X]) - state[n, 0]
    y = (state[source, 1] if source >= 0 else row[Y]) - state[n, 1]
    r = math.sqrt(x * x + y * y)
    if not math.isfinite(r):  # one of the two is absent
        return 0.0, 0.0, 0.0
    return x, y, max(r, 1e-3)  # m; nearer to a source a field is that at this distance


@borrowing
def _slope(state: Array, field: Array, factor: float, rest: float, drag: float, world: Array, slope: Array) -> None:
    """Set slope (N, 4), the derivatives of states (N, 4) by time."""
    for n in range(len(state)):
        vx, vy = state[n, 2], state[n, 3]
        ax = world[GRAVITY_X] - drag * vx - world[TURN] * vy
        ay = world[GRAVITY_Y] - drag * vy + world[TURN] * vx
        for e in range(len(field)):
            x, y, r = _pull(state, n, field[e])
            if r > 0:
                if field[e, POWER] == 1:
                    size = 1.0 - rest * field[e, REST] / r
                elif field[e, POWER] == -2:
                    size = 1 / (r * r * r)
                else:
                    size = r ** (field[e, POWER] - 1)
                size *= factor * field[e, STRENGTH]
                ax += size * x
                ay += size * y
        slope[n, 0], slope[n, 1], slope[n, 2], slope[n, 3] = vx, vy, ax, ay


@borrowing
def _steps(state: Array, field: Array, factor: float, span: float) -> int:
    """Number of steps into which `span` s is divided."""
    rate = 0.0
    for n in range(len(state)):
        for e in range(len(field)):
            r = _pull(state, n, field[e])[2]
            if r > 0:
                power, source = field[e, POWER], int(field[e, SOURCE])
                steep = max(1.0, abs(power)) * abs(factor * field[e, STRENGTH])
                steep *= 2.0 if source >= 0 else 1.0
                if power == 1:
                    rate = max(rate, steep)
                elif power != -2 or steep / (r * r * r) > 0.999 * rate:  # a power takes long
                    rate = max(rate, steep * r ** (power - 1))
    # A step covers 0.05 rad of the fastest oscillation, if that is above a physics step.
    return math.ceil(span * min(math.sqrt(rate) / 0.05, 1 / H) + 1e-9)


@borrowing
def _meets(state: Array, reach: Array) -> bool:
    for n in range(len(state)):
        for m in range(n):
            if reach[n, m] > 0:
                x, y = state[n, 0] - state[m, 0], state[n, 1] - state[m, 1]
                near = x * x + y * y < 1.001 * reach[n, m] * reach[n, m]
                if near and math.hypot(x, y) < reach[n, m]:  # which takes longer
                    return True
    return False


@kernel(
    "(float64[:,:,::1], float64[::1], float64[:,::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    "float64[:,::1])"
)
def follow_fields(
    states: Array,
    times: Array,
    field: Array,
    factor: Array,
    rest: Array,
    drag: Array,
    world: Array,
    reach: Array,
) -> Array:
    """States (K, F, N, 4) m and m/s of K candidates of N bodies; NaN of what is absent, and of all after a contact.

    Args:
        states: (K, N, 4) at the first of the times.
        times: (F,) s, ascending.
        field: (E, 7) of the fields; REST counts where POWER is 1.
        factor: (K or 1,) times the strength of all fields.
        rest: (K or 1,) times the rest of all fields.
        drag: (K or 1,) 1/s.
        world: (3,) constants of the world.
        reach: (N, N) m, distances at which two bodies touch, after which nothing is modelled; 0 where they cannot.
    """
    size, count, frames = states.shape[0], states.shape[1], len(times)
    motion = np.full((size, frames, count, 4), np.nan)
    state, slope, total, trial = (
        np.empty((count, 4)),
        np.empty((count, 4)),
        np.empty((count, 4)),
        np.empty((count, 4)),
    )
    for k in range(size):
        strength, slowed = factor[min(k, len(factor) - 1)], drag[min(k, len(drag) - 1)]
        length = rest[min(k, len(rest) - 1)]
        for n in range(count):
            for c in range(4):
                state[n, c] = states[k, n, c]
        now = times[0]
        for f in range(frames):
            while now < times[f] - 1e-12:
                span = min(times[f] - now, 0.05)  # s
                h = span / max(_steps(state, field, strength, span), 1)
                for stage in range(4):
                    ahead = 0.0 if stage == 0 else h if stage == 3 else h / 2
                    for n in range(count):
                        for c in range(4):
                            trial[n, c] = state[n, c] + (ahead * slope[n, c] if stage > 0 else 0.0)
                    _slope(trial, field, strength, length, slowed, world, slope)
                    for n in range(count):
                        for c in range(4):
                            share = slope[n, c] * (1 if stage in (0, 3) else 2)
                            total[n, c] = share if stage == 0 else total[n, c] + share
                for n in range(count):
                    for c in range(4):
                        state[n, c] += h / 6 * total[n, c]
                now += h
                if _meets(state, reach):
                    for n in range(count):
                        for c in range(4):
                            state[n, c] = np.nan
            for n in range(count):
                for c in range(4):
                    motion[k, f, n, c] = state[n, c]
    return motion


# Constants of a field (6,)
EXPONENT, SOFTENING, ADVANCE, DRAG, ORBIT_TURN, TREND = range(6)


@borrowing
def _orbit_slope(
    state: Array, time: float, mu: Array, source: Array, reference: Array, law: Array, slope: Array
) -> None:
    """Set slope (N, 4), the derivatives of states (N, 4) by time; two that attract each other where mu is (2,)."""
    count = len(state)
    for n in range(count):
        if len(mu) == 1:
            x, y, ux, uy, strength = source[0] - state[n, 0], source[1] - state[n, 1], -state[n, 2], -state[n, 3], mu[0]
        else:
            o = 1 - n
            x, y = state[o, 0] - state[n, 0], state[o, 1] - state[n, 1]
            ux, uy, strength = state[o, 2] - state[n, 2], state[o, 3] - state[n, 3], mu[o]
        square = max(x * x + y * y, MIN_ORBIT_RADIUS**2)
        soft = square + law[SOFTENING] ** 2
        pull = strength * (1 + law[TREND] * time) / (soft * math.sqrt(soft))
        if law[EXPONENT] != 2:
            pull *= (math.sqrt(square) / reference[n]) ** (2 - law[EXPONENT])
        if law[ADVANCE] != 0:
            share = strength / mu.sum()
            pull += share * law[ADVANCE] * (x * uy - y * ux) ** 2 / (square * square)
        vx, vy = state[n, 2], state[n, 3]
        slope[n, 0], slope[n, 1] = vx, vy
        slope[n, 2] = pull * x - law[DRAG] * vx - law[ORBIT_TURN] * vy
        slope[n, 3] = pull * y - law[DRAG] * vy + law[ORBIT_TURN] * vx


@borrowing
def _orbit_distance(state: Array, n: int, mu: Array, source: Array) -> float:
    """Distance m of body n from what attracts it."""
    if len(mu) == 1:
        return math.hypot(source[0] - state[n, 0], source[1] - state[n, 1])
    return math.hypot(state[0, 0] - state[1, 0], state[0, 1] - state[1, 1])


@borrowing
def _move_orbit(
    state: Array, time: float, span: float, mu: Array, source: Array, reference: Array, law: Array, scratch: Array
) -> None:
    """Move states (N, 4) on by `span` s from `time` s on. scratch: (3, N, 4)."""
    slope, total, trial = scratch[0], scratch[1], scratch[2]
    left = span
    while left > 1e-12:
        rate = 0.0
        for n in range(len(state)):
            rate = max(rate, mu.sum() / max(_orbit_distance(state, n, mu, source), MIN_ORBIT_RADIUS) ** 3)
        # A step covers 0.06 rad of a circular orbit, if that is above a physics step: off by 3e-6 m a turn.
        h = left / math.ceil(left * min(math.sqrt(rate) / 0.06, 1 / H) + 1e-9)
        total[:] = 0.0
        for stage in range(4):
            reach = 0.0 if stage == 0 else h if stage == 3 else h / 2
            for n in range(len(state)):
                for c in range(4):
                    trial[n, c] = state[n, c] + (reach * slope[n, c] if stage > 0 else 0.0)
            _orbit_slope(trial, time + span - left + reach, mu, source, reference, law, slope)
            for n in range(len(state)):
                for c in range(4):
                    total[n, c] += slope[n, c] * (1 if stage in (0, 3) else 2)
        for n in range(len(state)):
            for c in range(4):
                state[n, c] += h / 6 * total[n, c]
        left -= h


@kernel("(int64[:,::1], float64[:,:,::1], float64[::1], float64[::1], float64[::1], float64, float64[::1], int64)")
def follow_field(
    intervention: Whole, value: Array, steps: Array, source: Array, mu: Array, touch: float, law: Array, count: int
) -> tuple[Array, Array]:
    """Positions m and velocities m/s (K, F, N, 2) of K candidates of N = count bodies; NaN where a body is absent.

    Args:
        intervention: (C, 3) step, body and what happens (STATE, PUSH, GONE), steps ascending.
        value: (C, K, 6) m and m/s: the new state, or what is added to a velocity.
        steps: (F,) ascending.
        source: (2,) m, the fixed centre; ignored where two attract each other.
        mu: (1,) m3/s2 of the source, or (2,) of two bodies that attract each other.
        touch: m, distance from which on two that attract each other are not modelled; 0 where they cannot meet.
        law: (6,) constants of the field.
    """
    size, frames = value.shape[1], len(steps)
    position, velocity = np.full((size, frames, count, 2), np.nan), np.full((size, frames, count, 2), np.nan)
    state, reference, there = np.empty((count, 4)), np.ones(count), np.zeros(count, np.bool_)
    scratch = np.empty((3, count, 4))
    for k in range(size):
        state[:] = np.nan
        there[:] = False
        c, step, begin = 0, 0.0, 0.0
        for f in range(frames):
            while c < len(intervention) and intervention[c, 0] <= steps[f]:
                n, at = intervention[c, 1], float(intervention[c, 0])
                if there.all() or (len(mu) == 1 and there.any()):
                    _move_orbit(state, (step - begin) * H, (at - step) * H, mu, source, reference, law, scratch)
                if not there.any():
                    begin = at
                step = at
                if intervention[c, 2] == STATE:
                    for column in range(4):  # not as a slice, which takes long to compile
                        state[n, column] = value[c, k, column]
                    there[n] = True
                    for each in range(count):
                        reference[each] = max(_orbit_distance(state, each, mu, source), MIN_ORBIT_RADIUS)
                elif intervention[c, 2] == PUSH:
                    for axis in range(2):
                        state[n, 2 + axis] += value[c, k, axis]
                else:
                    there[n] = False
                    state[n] = np.nan
                c += 1
            if not (there.all() or (len(mu) == 1 and there.any())):
                continue
            _move_orbit(state, (step - begin) * H, (steps[f] - step) * H, mu, source, reference, law, scratch)
            step = steps[f]
            if touch > 0 and _orbit_distance(state, 0, mu, source) < touch:
                there[:] = False
                state[:] = np.nan
            for n in range(count):
                for axis in range(2):
                    position[k, f, n, axis], velocity[k, f, n, axis] = state[n, axis], state[n, axis + 2]
    return position, velocity
