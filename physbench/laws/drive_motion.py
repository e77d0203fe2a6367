"""Driven bodies, balls and walls without friction, compiled: the simulator's own steps, in the plane of motion.

In each step of 1/1200 s motors act, contacts are solved one after the other for as many rounds as PyBullet has, and
bodies move on. Nothing turns.
"""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array, Whole
from physbench.world.compiled import compiled, kernel
from physbench.world.scene import DRIVE_TIME, PHYSICS_HZ, motor_share

STEP = 1.0 / PHYSICS_HZ  # s
MAX_SKIPPED = 60  # steps in which two bodies that cannot meet are not tested
# Columns of a body: place m and half extents m of what stands or moves, the radius of a ball (0 of a box), the cosine
# and sine of its orientation, 1 / mass, restitution, whether it collides.
X, Y, HALF_X, HALF_Y, RADIUS, COS, SIN, INVERSE_MASS, RESTITUTION, COLLIDES = range(10)
COLUMNS = 10
# Columns of a command: body, step from which on it holds, velocity m/s, largest acceleration m/s2.
BODY, START, GOAL_X, GOAL_Y, ACCELERATION = range(5)


_motor_share = compiled(motor_share)


@compiled
def _gap(one: Array, other: Array, dx: float, dy: float) -> tuple[float, float, float]:
    """Distance m of two bodies and the direction from the other to the one; dx, dy: from the other to the one, m."""
    if one[RADIUS] > 0 and other[RADIUS] > 0:
        away = math.sqrt(dx * dx + dy * dy)
        if away == 0:
            return -one[RADIUS] - other[RADIUS], 1.0, 0.0
        return away - one[RADIUS] - other[RADIUS], dx / away, dy / away
    sign = 1.0
    box, ball = other, one
    if other[RADIUS] > 0:
        box, ball, sign = one, other, -1.0
    c, s = box[COS], box[SIN]
    u, v = (
        sign * (c * dx + s * dy),
        sign * (c * dy - s * dx),
    )  # of the ball, or of the other box, in the box's own frame
    if ball[RADIUS] > 0:
        near_u, near_v = min(max(u, -box[HALF_X]), box[HALF_X]), min(max(v, -box[HALF_Y]), box[HALF_Y])
        away = math.sqrt((u - near_u) ** 2 + (v - near_v) ** 2)
        if away > 0:
            nu, nv, gap = (u - near_u) / away, (v - near_v) / away, away - ball[RADIUS]
        else:
            gap_u, gap_v = abs(u) - box[HALF_X], abs(v) - box[HALF_Y]
            nu, nv = (math.copysign(1.0, u), 0.0) if gap_u > gap_v else (0.0, math.copysign(1.0, v))
            gap = max(gap_u, gap_v) - ball[RADIUS]
    else:
        turn_c, turn_s = abs(c * ball[COS] + s * ball[SIN]), abs(c * ball[SIN] - s * ball[COS])
        gap_u = abs(u) - box[HALF_X] - turn_c * ball[HALF_X] - turn_s * ball[HALF_Y]
        gap_v = abs(v) - box[HALF_Y] - turn_s * ball[HALF_X] - turn_c * ball[HALF_Y]
        nu, nv = (math.copysign(1.0, u), 0.0) if gap_u > gap_v else (0.0, math.copysign(1.0, v))
        gap = max(gap_u, gap_v)
    return gap, sign * (c * nu - s * nv), sign * (s * nu + c * nv)


@compiled
def _drive(velocity: Array, command: Array, step: int, motor_factor: float) -> None:
    """Change velocities (N, 2) m/s as motors do in a step."""
    for e in range(len(command)):
        last = e + 1 == len(command) or command[e + 1, BODY] != command[e, BODY] or command[e + 1, START] > step
        if command[e, START] > step or not last:
            continue
        n = int(command[e, BODY])
        ax = (command[e, GOAL_X] - velocity[n, 0]) / DRIVE_TIME
        ay = (command[e, GOAL_Y] - velocity[n, 1]) / DRIVE_TIME
        share = STEP * _motor_share(math.sqrt(ax * ax + ay * ay), motor_factor * command[e, ACCELERATION])
        velocity[n, 0] += share * ax
        velocity[n, 1] += share * ay


@compiled
def _solve(velocity: Array, body: Array, pair: Whole, normal: Array, count: int) -> bool:
    """Change velocities (N, 2) m/s so that bodies in contact part; whether there was anything to change.

    pair, normal: (C, 2), the first `count` of them.
    """
    moving = len(velocity)
    rebound, impulses = np.empty(count), np.zeros(count)
    for c in range(count):
        i, j = pair[c]
        speed = normal[c, 0] * velocity[i, 0] + normal[c, 1] * velocity[i, 1]
        if j < moving:
            speed -= normal[c, 0] * velocity[j, 0] + normal[c, 1] * velocity[j, 1]
        # A contact that is met at less than 0.01 m/s does not rebound.
        rebound[c] = -body[i, RESTITUTION] * body[j, RESTITUTION] * speed if speed < -0.01 else 0.0
    for iteration in range(50):  # rounds of the solver
        changed = False
        for c in range(count):
            i, j = pair[c]
            inverse_mass_j = body[j, INVERSE_MASS] if j < moving else 0.0
            speed = normal[c, 0] * velocity[i, 0] + normal[c, 1] * velocity[i, 1]
            if j < moving:
                speed -= normal[c, 0] * velocity[j, 0] + normal[c, 1] * velocity[j, 1]
            impulse = (
                max(impulses[c] + (rebound[c] - speed) / (body[i, INVERSE_MASS] + inverse_mass_j), 0.0) - impulses[c]
            )
            if impulse == 0:
                continue
            changed = True
            impulses[c] += impulse
            for axis in range(2):
                velocity[i, axis] += impulse * body[i, INVERSE_MASS] * normal[c, axis]
                if j < moving:
                    velocity[j, axis] -= impulse * inverse_mass_j * normal[c, axis]
        if not changed:
            return iteration > 0
    return True


@kernel("(float64[:,:,::1], int64[::1], float64[:,::1], float64[:,::1], float64[::1], int64[:,::1])")
def follow_driven(
    states: Array, steps: Whole, body: Array, command: Array, factor: Array, met: Whole
) -> tuple[Array, int]:
    """States (K, F, N, 4) m and m/s of K candidates of N bodies, NaN of what is absent, and the number of contacts.

    Args:
        states: (K, N, 4) at the first of the steps.
        steps: (F,) ascending.
        body: (N + M, COLUMNS) of bodies that move and, after them, that stand.
        command: (E, 5), by body and step.
        factor: (K or 1,) on the accelerations of motors.
        met: (C, 3) for step, body and other body, or -1, of contacts of the first candidate.
    """
    size, count = states.shape[0], states.shape[1]
    motion = np.full((size, len(steps), count, 4), np.nan)
    place, velocity = np.empty((count, 2)), np.empty((count, 2))
    pairs = count * len(body)
    pair, normal = np.empty((pairs, 2), np.int64), np.empty((pairs, 2))
    touching = np.zeros((count, len(body)), np.bool_)
    earliest = np.zeros((count, len(body)), np.int64)  # steps before which two bodies cannot meet
    contacts, driven_speed = 0, 0.0
    for e in range(len(command)):  # m/s by which motors change velocities in that time, at most
        driven_speed += 2 * STEP * MAX_SKIPPED * command[e, ACCELERATION] * factor.max()
    for k in range(size):
        motor_factor = factor[min(k, len(factor) - 1)]
        touching[:] = False
        earliest[:] = steps[0]
        for n in range(count):
            for axis in range(2):
                place[n, axis], velocity[n, axis] = states[k, n, axis], states[k, n, 2 + axis]
        now = steps[0]
        for f in range(len(steps)):
            while now < steps[f]:
                active = 0
                for i in range(count):
                    for j in range(i + 1, len(body)):
                        if now < earliest[i, j] or body[i, COLLIDES] == 0 or body[j, COLLIDES] == 0:
                            continue
                        x, y = (place[j, 0], place[j, 1]) if j < count else (body[j, X], body[j, Y])
                        gap, nx, ny = _gap(body[i], body[j], place[i, 0] - x, place[i, 1] - y)
                        if gap <= 0:  # NaN is absent
                            pair[active, 0], pair[active, 1], normal[active, 0], normal[active, 1] = i, j, nx, ny
                            active += 1
                            if k == 0 and not touching[i, j] and contacts < len(met):
                                met[contacts, 0], met[contacts, 1], met[contacts, 2] = now, i, j if j < count else -1
                                contacts += 1
                            touching[i, j] = True
                        elif gap > 1e-3:
                            touching[i, j] = False
                            speed = math.sqrt(velocity[i, 0] ** 2 + velocity[i, 1] ** 2) + driven_speed
                            if j < count:
                                speed += math.sqrt(velocity[j, 0] ** 2 + velocity[j, 1] ** 2)
                            earliest[i, j] = now + min(MAX_SKIPPED, int(gap / (STEP * speed)))
                _drive(velocity, command, now, motor_factor)
                if active > 0 and _solve(velocity, body, pair, normal, active):
                    earliest[:] = now
                for n in range(count):
                    for axis in range(2):
                        place[n, axis] += STEP * velocity[n, axis]
                now += 1
            for n in range(count):
                for axis in range(2):
                    motion[k, f, n, axis], motion[k, f, n, 2 + axis] = place[n, axis], velocity[n, axis]
    return motion, contacts
