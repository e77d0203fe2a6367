"""What a touch does to discs.

The simulator sets the velocity along the normal of a touch, restitution included, after all forces of the step have
acted: `settle` takes out what the first step behind the touch would add again. Columns of arrays are those of
`columns`; arrays are changed in place. A touch is noted in struck (4,): disc, other or -1, normal, which is 0 for those
on their way apart.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import (
    AX,
    AY,
    BOUNCE,
    HOLD,
    MASS,
    NORMAL_X,
    NORMAL_Y,
    RUB,
    SX,
    SY,
    TURN,
    VX,
    VY,
    H,
    X,
    Y,
)
from physbench.dynamics.compiled import compiled

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CALM = 0.01  # m/s; what meets more slowly does not bounce
MOST_FEW = 20  # steps in which gravity makes what still does not bounce: 1.4 mm high


@compiled
def settle(now: Array, disc: Array, struck: Array) -> None:
    """Take the acceleration along the normal of touches (T, 4) just made out of the next step."""
    for row in struck:
        i, j, x, y = int(row[0]), int(row[1]), row[2], row[3]
        if j < 0:
            extra = H * (now[i, AX] * x + now[i, AY] * y)
            now[i, VX] -= extra * x
            now[i, VY] -= extra * y
            continue
        extra = H * ((now[i, AX] - now[j, AX]) * x + (now[i, AY] - now[j, AY]) * y) / (disc[i, MASS] + disc[j, MASS])
        now[i, VX] -= extra * disc[j, MASS] * x
        now[i, VY] -= extra * disc[j, MASS] * y
        now[j, VX] += extra * disc[i, MASS] * x
        now[j, VY] += extra * disc[i, MASS] * y


@compiled
def strike(
    now: Array, disc: Array, i: int, x: float, y: float, restitution: float, friction: float, fall: float, struck: Array
) -> bool:
    """Let disc i meet something fixed with normal (x, y), along which gravity is `fall` m/s2. Returns if it stays."""
    struck[0], struck[1], struck[2], struck[3] = i, -1, 0.0, 0.0
    vx, vy = now[i, VX], now[i, VY]
    inward = vx * x + vy * y
    hit = inward + H * fall  # as the simulator sees it
    if hit > 0:
        return False
    # A touch falls on a whole step, which gives back what e takes from bounces of some e / (1 - e) steps: no end.
    few = min(2 + restitution / max(1 - restitution, 1e-3), MOST_FEW)
    back = -restitution * hit if -hit > max(CALM, -few * H * fall) else 0.0
    vx += (back - inward) * x
    vy += (back - inward) * y
    if friction > 0:
        spins, spin = disc[i, TURN], now[i, SX]
        slip = vx * y - vy * x - (spin if spins > 0 else 0.0)
        most = friction * (back - inward)
        gain = max(-most, min(most, -slip / (1 + spins)))
        vx += gain * y
        vy -= gain * x
        now[i, SX] = spin - spins * gain
    now[i, VX], now[i, VY] = vx, vy
    struck[2], struck[3] = x, y
    return back == 0


@compiled
def collide(now: Array, rests: Mask, disc: Array, face: Array, i: int, j: int, table: bool, struck: Array) -> None:
    """Let discs i and j meet."""
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
    share_i, share_j, turn_i, turn_j = (1 / disc[i, MASS], 1 / disc[j, MASS], disc[i, TURN], disc[j, TURN])
    restitution, friction = (disc[i, BOUNCE] * disc[j, BOUNCE], disc[i, RUB] * disc[j, RUB])
    back = -restitution * inward if -inward > CALM else 0.0
    push = (back - inward) / (share_i + share_j)
    side = rubbed = 0.0
    if friction > 0:
        slip = ux * y - uy * x
        if table:  # rolling balls also rub up and down against each other
            lift = (now[i, SX] + now[j, SX]) * x + (now[i, SY] + now[j, SY]) * y
            steep = math.hypot(slip, lift)
            stop = slip / ((share_i + share_j) * (1 + turn_i))
            if steep > 0:
                side = -math.copysign(min(friction * push * abs(slip) / steep, abs(stop)), slip)
                rubbed = friction * push * lift / steep
        else:
            slip -= now[i, SX] + now[j, SX]
            stop = slip / (share_i * (1 + turn_i) + share_j * (1 + turn_j))
            side = -max(-friction * push, min(friction * push, stop))
            now[i, SX] -= turn_i * share_i * side
            now[j, SX] -= turn_j * share_j * side
    jx, jy = push * x + side * y, push * y - side * x
    now[i, VX] += jx * share_i
    now[i, VY] += jy * share_i
    now[j, VX] -= jx * share_j
    now[j, VY] -= jy * share_j
    if rubbed != 0:  # one is pressed onto the table, the other lifted
        _press(now, disc, i, rubbed, 1.0, x, y)
        _press(now, disc, j, rubbed, -1.0, x, y)
    for n in (i, j):
        for s in range(len(face)):
            if now[n, VX] * face[s, NORMAL_X] + now[n, VY] * face[s, NORMAL_Y] > CALM:
                rests[n, s] = False
    struck[2], struck[3] = x, y


@compiled
def _press(now: Array, disc: Array, i: int, rubbed: float, sign: float, x: float, y: float) -> None:
    """Let the touch of two rolling balls press disc i onto the table (sign 1) or lift it (-1)."""
    load, spins = rubbed / disc[i, MASS], disc[i, TURN]
    slide_x, slide_y = now[i, VX] - now[i, SX], now[i, VY] - now[i, SY]
    share = sign * load * disc[i, HOLD] / max(math.hypot(slide_x, slide_y), 1e-9)
    slide_x *= share
    slide_y *= share
    now[i, VX] -= slide_x
    now[i, VY] -= slide_y
    now[i, SX] += spins * slide_x - spins * load * x
    now[i, SY] += spins * slide_y - spins * load * y
