"""Motion in radial fields of any power and sign, with drag: integrated for many candidates, compiled.

The acceleration of body n is

    g + sum of s (r^power - rest) u over the fields that act on it - drag v + turn (v turned by 90 degrees),

where r is the distance to the source of a field and u the unit vector towards it. The method is Runge and Kutta's of
fourth order, with steps that shrink where forces are steep: 3e-6 m off after ten turns of an oscillator.
"""

from __future__ import annotations

import math

import numpy as np

from physbench.laws.planar_motion import H
from physbench.support.arrays import Array
from physbench.world.compiled import borrowing, kernel

# Columns of a field (E, 7). SOURCE: a body, -1 for a fixed place (X, Y). TARGET: the body on which it acts, -1 for all.
SOURCE, X, Y, STRENGTH, POWER, REST, TARGET = range(7)
# Constants of a world (3,): what is the same for all bodies. TURN: rad/s by which velocities are turned.
GRAVITY_X, GRAVITY_Y, TURN = range(3)
LONGEST_STEP = 0.05  # s
STEP_ANGLE = 0.05  # rad of the fastest oscillation that a step covers, if that is above a physics step
NEAR = 1e-3  # m; nearer to a source a field is that at this distance


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
    return x, y, max(r, NEAR)


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
                steep = max(1.0, abs(field[e, POWER])) * abs(factor * field[e, STRENGTH])
                source = int(field[e, SOURCE])
                rate = max(rate, (2.0 if source >= 0 else 1.0) * steep * r ** (field[e, POWER] - 1))
    return math.ceil(span * min(math.sqrt(rate) / STEP_ANGLE, 1 / H) + 1e-9)


@borrowing
def _meets(state: Array, reach: Array) -> bool:
    for n in range(len(state)):
        for m in range(n):
            if reach[n, m] > 0 and math.hypot(state[n, 0] - state[m, 0], state[n, 1] - state[m, 1]) < reach[n, m]:
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
                span = min(times[f] - now, LONGEST_STEP)
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
