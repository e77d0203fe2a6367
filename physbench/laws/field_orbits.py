"""Orbits in changed fields, where Kepler's ellipses do not hold: integrated step by step, compiled.

The acceleration towards an attracting body at the distance r, with the unit vector u towards it, is

    mu (1 + trend t) (r / r0)^(2 - exponent) r / (r^2 + softening^2)^(3/2) u + advance L^2 / r^3 u,

where r0 is the distance at which the change sets in: there the force is that of before. L is the areal velocity twice;
the last term turns the axis of an ellipse (Newton 1687, Principia, book I, proposition 44). Drag takes drag v, and a
force across the motion turns the velocity by `turn` radians a second. The method is Runge and Kutta's of fourth order.
"""

from __future__ import annotations

import math

import numpy as np

from physbench.laws.kepler import MIN_ORBIT_RADIUS
from physbench.laws.planar_motion import PUSH, STATE, H
from physbench.support.arrays import Array, Whole
from physbench.world.compiled import borrowing, kernel

# Constants of a field (6,)
EXPONENT, SOFTENING, ADVANCE, DRAG, TURN, TREND = range(6)
STEP_ANGLE = 0.06  # rad of a circular orbit that a step covers, if that is above a physics step: off by 3e-6 m a turn


@borrowing
def _slope(state: Array, time: float, mu: Array, source: Array, reference: Array, law: Array, slope: Array) -> None:
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
        slope[n, 2] = pull * x - law[DRAG] * vx - law[TURN] * vy
        slope[n, 3] = pull * y - law[DRAG] * vy + law[TURN] * vx


@borrowing
def _distance(state: Array, n: int, mu: Array, source: Array) -> float:
    """Distance m of body n from what attracts it."""
    if len(mu) == 1:
        return math.hypot(source[0] - state[n, 0], source[1] - state[n, 1])
    return math.hypot(state[0, 0] - state[1, 0], state[0, 1] - state[1, 1])


@borrowing
def _move(
    state: Array, time: float, span: float, mu: Array, source: Array, reference: Array, law: Array, scratch: Array
) -> None:
    """Move states (N, 4) on by `span` s from `time` s on. scratch: (3, N, 4)."""
    slope, total, trial = scratch[0], scratch[1], scratch[2]
    left = span
    while left > 1e-12:
        rate = 0.0
        for n in range(len(state)):
            rate = max(rate, mu.sum() / max(_distance(state, n, mu, source), MIN_ORBIT_RADIUS) ** 3)
        h = left / math.ceil(left * min(math.sqrt(rate) / STEP_ANGLE, 1 / H) + 1e-9)
        total[:] = 0.0
        for stage in range(4):
            reach = 0.0 if stage == 0 else h if stage == 3 else h / 2
            for n in range(len(state)):
                for c in range(4):
                    trial[n, c] = state[n, c] + (reach * slope[n, c] if stage > 0 else 0.0)
            _slope(trial, time + span - left + reach, mu, source, reference, law, slope)
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
                    _move(state, (step - begin) * H, (at - step) * H, mu, source, reference, law, scratch)
                if not there.any():
                    begin = at
                step = at
                if intervention[c, 2] == STATE:
                    for column in range(4):  # not as a slice, which takes long to compile
                        state[n, column] = value[c, k, column]
                    there[n] = True
                    for each in range(count):
                        reference[each] = max(_distance(state, each, mu, source), MIN_ORBIT_RADIUS)
                elif intervention[c, 2] == PUSH:
                    for axis in range(2):
                        state[n, 2 + axis] += value[c, k, axis]
                else:
                    there[n] = False
                    state[n] = np.nan
                c += 1
            if not (there.all() or (len(mu) == 1 and there.any())):
                continue
            _move(state, (step - begin) * H, (steps[f] - step) * H, mu, source, reference, law, scratch)
            step = steps[f]
            if touch > 0 and _distance(state, 0, mu, source) < touch:
                there[:] = False
                state[:] = np.nan
            for n in range(count):
                for axis in range(2):
                    position[k, f, n, axis], velocity[k, f, n, axis] = state[n, axis], state[n, axis + 2]
    return position, velocity
