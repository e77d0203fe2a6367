"""How a contact changes the velocities of discs.

The simulator sets the velocity along the normal of a contact, restitution included, after all forces of the step have
acted. `remove_normal_acceleration` takes out what the first step after the contact would add again. `array_layout`
names the columns of the arrays, which are changed in place. A contact is noted in struck (4,): disc, other disc or -1,
normal. The normal is 0 where the two are already separating.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import (
    AX,
    AY,
    FRICTION,
    INVERSE_INERTIA,
    MASS,
    NORMAL_X,
    NORMAL_Y,
    RESTITUTION,
    SX,
    SY,
    TABLE_FRICTION,
    VX,
    VY,
    H,
    X,
    Y,
)
from physbench.world.compiled import borrowing

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_REBOUND_SPEED = 0.01  # m/s; a slower impact has no rebound
MAX_SETTLING_STEPS = 20  # of gravity make a speed that has no rebound: 1.4 mm high


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
    struck: Array,
) -> bool:
    """Resolve the contact of disc i with something fixed; returns whether the disc stays on it.

    x, y: unit normal. normal_gravity: m/s2, gravity along it.
    """
    struck[0], struck[1], struck[2], struck[3] = i, -1, 0.0, 0.0
    vx, vy = now[i, VX], now[i, VY]
    inward = vx * x + vy * y
    simulated_inward = inward + H * normal_gravity  # as the simulator sees it
    if simulated_inward > 0:
        return False
    # Contacts fall on whole steps. This gives back what e takes from bounces of some e / (1 - e) steps: without a limit
    # they would never end.
    settling_steps = min(2 + restitution / max(1 - restitution, 1e-3), MAX_SETTLING_STEPS)
    rebound = (
        -restitution * simulated_inward
        if -simulated_inward > max(MIN_REBOUND_SPEED, -settling_steps * H * normal_gravity)
        else 0.0
    )
    vx += (rebound - inward) * x
    vy += (rebound - inward) * y
    if friction > 0:
        inverse_inertia, spin = disc[i, INVERSE_INERTIA], now[i, SX]
        slip = vx * y - vy * x - (spin if inverse_inertia > 0 else 0.0)
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
