"""The state of many candidates of a scene of discs, and what a touch does to it.

The simulator sets the velocity along the normal of a touch, restitution included, after all forces of the step have
acted: `settle` takes out what the first step behind the touch would add again.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.shadowing.flat import Flat
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

H = 1.0 / PHYSICS_HZ
CALM = 0.01  # m/s; what meets more slowly does not bounce
MOST_FEW = 20  # steps in which gravity makes what still does not bounce: 1.4 mm high


class State:
    """K candidates of N discs. Arrays are changed in place.

    A spin is the velocity that the disc would have if it rolled: a vector on a table; in the first component else,
    along the tangent (normal_y, -normal_x) of whatever it rolls on.
    """

    def __init__(self, world: Flat, size: int, gravity: Array) -> None:
        """gravity: (K or 1, 2) m/s2."""
        self.world = world
        self.gravity = np.broadcast_to(gravity, (size, 2))
        count = len(world.radius)
        self.step = np.zeros(size)
        self.place, self.speed, self.spin = (np.zeros((size, count, 2)) for _ in range(3))
        self.there = np.zeros(count, dtype=bool)
        self.rests = np.zeros((size, count, len(world.normal)), dtype=bool)
        self._struck: list[tuple[int, int, int, float, float]] = []  # candidate, disc, other or -1, normal

    def set(self, disc: int, value: Array) -> None:
        """Give a disc the states value (K, 6): place m, velocity m/s, spin m/s."""
        self.there[disc] = True
        self.place[:, disc], self.speed[:, disc], self.spin[:, disc] = value[:, :2], value[:, 2:4], value[:, 4:]
        self.rests[:, disc] = False

    def advance(self, count: Array, gain: Array, turn: Array) -> None:
        """Move by count (K,) steps."""
        n = count[:, None, None]
        self.place += n * H * (self.speed + (n + 1) * (H / 2) * gain)
        self.speed += n * H * gain
        self.spin += n * H * turn
        self.step += count

    def settle(self, gain: Array) -> None:
        """Take the acceleration along the normal of touches just made out of the next step."""
        w = self.world
        for k, i, j, x, y in self._struck:
            if j < 0:
                extra = H * (float(gain[k, i, 0]) * x + float(gain[k, i, 1]) * y)
                self.speed[k, i] -= (extra * x, extra * y)
                continue
            apart = gain[k, i] - gain[k, j]
            extra = H * (float(apart[0]) * x + float(apart[1]) * y) / float(w.mass[i] + w.mass[j])
            self.speed[k, i] -= (extra * w.mass[j] * x, extra * w.mass[j] * y)
            self.speed[k, j] += (extra * w.mass[i] * x, extra * w.mass[i] * y)
        self._struck.clear()

    def end_slides(self, ends: Mask, table: bool) -> None:
        """Let the slides that end (K, N) end in rolling."""
        if not ends.any():
            return
        w = self.world
        if table:
            slip = np.where(ends[..., None], self.speed - self.spin, 0.0)
            self.speed -= slip / (1 + w.turn[:, None])
            self.spin = np.where(ends[..., None], self.speed, self.spin)
            return
        for k, i in zip(*np.nonzero(ends), strict=True):
            faces = np.flatnonzero(self.rests[k, i])
            if len(faces) > 1:
                self.speed[k, i], self.spin[k, i] = 0.0, 0.0
            elif len(faces) and w.turn[i]:
                tangent = w.tangent[faces[0]]
                self.spin[k, i, 0] = self.speed[k, i] @ tangent
            elif len(faces):
                self.speed[k, i] = 0.0

    def leave(self, falls: Mask) -> None:
        """Let discs (K, N) fall off the ends of their faces."""
        if falls.any():
            self.rests[falls] = False

    def strike(self, k: int, i: int, normal: Array, restitution: float, friction: float, table: bool) -> bool:
        """Let disc i of candidate k meet something fixed. Returns whether it stays there."""
        x, y = float(normal[0]), float(normal[1])
        vx, vy = self.speed[k, i].tolist()
        inward = vx * x + vy * y
        hit = inward + H * (float(self.gravity[k, 0]) * x + float(self.gravity[k, 1]) * y)  # as the simulator sees it
        if hit > 0:
            return False
        # A touch falls on a whole step, which gives back what e takes from bounces of some e / (1 - e) steps: no end.
        pull = -(float(self.gravity[k, 0]) * x + float(self.gravity[k, 1]) * y)
        few = min(2 + restitution / max(1 - restitution, 1e-3), MOST_FEW)
        back = -restitution * hit if -hit > max(CALM, few * H * pull) else 0.0
        vx, vy = vx + (back - inward) * x, vy + (back - inward) * y
        if friction > 0 and not table:
            spins, spin = float(self.world.turn[i]), float(self.spin[k, i, 0])
            slip = vx * y - vy * x - (spin if spins else 0.0)
            most = friction * (back - inward)
            gain = max(-most, min(most, -slip / (1 + spins)))
            vx, vy = vx + gain * y, vy - gain * x
            self.spin[k, i, 0] = spin - spins * gain
        self.speed[k, i] = (vx, vy)
        self._struck.append((k, i, -1, x, y))
        return back == 0.0

    def collide(self, k: int, i: int, j: int, table: bool) -> None:
        """Let discs i and j of candidate k meet."""
        w = self.world
        dx, dy = (self.place[k, i] - self.place[k, j]).tolist()
        length = math.hypot(dx, dy) or 1.0
        x, y = dx / length, dy / length
        ux, uy = (self.speed[k, i] - self.speed[k, j]).tolist()
        inward = ux * x + uy * y
        if inward > 0:
            return
        share_i, share_j = 1 / float(w.mass[i]), 1 / float(w.mass[j])
        restitution, friction = float(w.bounce[i] * w.bounce[j]), float(w.rub[i] * w.rub[j])
        back = -restitution * inward if -inward > CALM else 0.0
        push = (back - inward) / (share_i + share_j)
        side = rubbed = 0.0
        if friction > 0:
            slip = ux * y - uy * x
            if table:  # rolling balls also rub up and down against each other
                lift = float((self.spin[k, i] + self.spin[k, j]) @ (x, y))
                steep = math.hypot(slip, lift)
                stop = slip / ((share_i + share_j) * (1 + float(w.turn[i])))
                if steep > 0:
                    side = -math.copysign(min(friction * push * abs(slip) / steep, abs(stop)), slip)
                    rubbed = friction * push * lift / steep
            else:
                slip -= float(self.spin[k, i, 0]) + float(self.spin[k, j, 0])
                stop = slip / (share_i * (1 + float(w.turn[i])) + share_j * (1 + float(w.turn[j])))
                side = -max(-friction * push, min(friction * push, stop))
                self.spin[k, i, 0] -= float(w.turn[i]) * share_i * side
                self.spin[k, j, 0] -= float(w.turn[j]) * share_j * side
        jx, jy = push * x + side * y, push * y - side * x
        self.speed[k, i] += (jx * share_i, jy * share_i)
        self.speed[k, j] -= (jx * share_j, jy * share_j)
        for ball, sign in ((i, 1.0), (j, -1.0)) if rubbed else ():  # one is pressed onto the table, the other lifted
            load, spins = rubbed / float(w.mass[ball]), float(w.turn[ball])
            slide = self.speed[k, ball] - self.spin[k, ball]
            slide *= sign * load * w.hold[ball] / max(math.hypot(*slide.tolist()), 1e-9)
            self.speed[k, ball] -= slide
            self.spin[k, ball] += spins * slide - spins * load * np.array((x, y))
        self.rests[k, i] = self.rests[k, i] & (self.speed[k, i] @ w.normal.T <= CALM)
        self.rests[k, j] = self.rests[k, j] & (self.speed[k, j] @ w.normal.T <= CALM)
        self._struck.append((k, i, j, x, y))
