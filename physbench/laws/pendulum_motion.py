"""Motion of bodies on rods that turn about fixed points: integrated for many candidates, compiled.

With the angle a of a rod of length L from the x axis of the picture,

    L a'' = (1 + trend (t - begin)) (g_y cos a - g_x sin a) - L drag a'.

The method is Runge and Kutta's of fourth order: 1e-6 m off after four swings of a rod of 2 m.
"""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array
from physbench.world.compiled import borrowing, kernel

X, Y, LENGTH = range(3)  # columns of a rod (N, 3): the point about which it turns, m
GRAVITY_X, GRAVITY_Y, DRAG, TREND, BEGIN = range(5)  # columns of a world (K or 1, 5): m/s2, m/s2, 1/s, 1/s, s
LONGEST_STEP = 0.02  # s
STEP_ANGLE = 0.1  # rad of the fastest small swing that a step covers


@borrowing
def _bend(angle: float, rate: float, now: float, length: float, world: Array) -> float:
    """Angular acceleration in rad/s2."""
    pull = (world[GRAVITY_Y] * math.cos(angle) - world[GRAVITY_X] * math.sin(angle)) / length
    bend: float = (1 + world[TREND] * (now - world[BEGIN])) * pull - world[DRAG] * rate
    return bend


@kernel("(float64[:,:,::1], float64[::1], float64[:,::1], float64[:,::1])")
def follow_pendulums(states: Array, times: Array, rod: Array, worlds: Array) -> Array:
    """States (K, F, N, 4) m and m/s of K candidates of N bodies on rods; NaN of what is absent.

    Args:
        states: (K, N, 4) at the first of the times. Of positions the direction from the fixed point counts, of
            velocities what is across the rod.
        times: (F,) s, ascending or descending.
        rod: (N, 3) of each body.
        worlds: (K or 1, 5) what acts on all of them.
    """
    size, count, frames = states.shape[0], states.shape[1], len(times)
    motion = np.full((size, frames, count, 4), np.nan)
    for k in range(size):
        world = worlds[min(k, len(worlds) - 1)]
        fastest = math.hypot(world[GRAVITY_X], world[GRAVITY_Y])
        for n in range(count):
            x, y, length = states[k, n, 0] - rod[n, X], states[k, n, 1] - rod[n, Y], rod[n, LENGTH]
            if not math.isfinite(x + y + states[k, n, 2] + states[k, n, 3]):
                continue
            angle = math.atan2(y, x)
            rate = (math.cos(angle) * states[k, n, 3] - math.sin(angle) * states[k, n, 2]) / length
            longest = min(LONGEST_STEP, STEP_ANGLE / math.sqrt(max(fastest / length, 1e-6)))
            now = times[0]
            for f in range(frames):
                parts = math.ceil(abs(times[f] - now) / longest - 1e-9)
                h = (times[f] - now) / max(parts, 1)
                for _ in range(parts):
                    a1 = _bend(angle, rate, now, length, world)
                    r2 = rate + h / 2 * a1
                    a2 = _bend(angle + h / 2 * rate, r2, now + h / 2, length, world)
                    r3 = rate + h / 2 * a2
                    a3 = _bend(angle + h / 2 * r2, r3, now + h / 2, length, world)
                    r4 = rate + h * a3
                    a4 = _bend(angle + h * r3, r4, now + h, length, world)
                    angle += h / 6 * (rate + 2 * r2 + 2 * r3 + r4)
                    rate += h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
                    now += h
                now = times[f]
                cos, sin = math.cos(angle), math.sin(angle)
                motion[k, f, n, 0], motion[k, f, n, 1] = rod[n, X] + length * cos, rod[n, Y] + length * sin
                motion[k, f, n, 2], motion[k, f, n, 3] = -length * rate * sin, length * rate * cos
    return motion
