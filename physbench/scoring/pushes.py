"""A push that the scene gives is a known change of velocity: it joins the motion before it and behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.motion import Constant, Fittable, Law, Orbit, descend
from physbench.scoring.slope import INERTIA, face
from physbench.scoring.stretches import Motion
from physbench.world.camera import depth_axis, plane_from_world
from physbench.world.scene import Impulse

Array = NDArray[np.float64]

LONGEST_SLIDE = 0.1  # s, until a pushed ball rolls again; for longer its motion has no closed form here
STEP = 1e-6  # m and m/s, of numerical derivatives


@dataclass(frozen=True, eq=False)
class Push:
    """An impulse whose effect on the motion of a body is known."""

    time: float  # s
    change: Array  # (4,) m and m/s, of the state: J / m, or what is left of it and the way gained once a ball rolls


@dataclass(frozen=True, eq=False)
class Pushed:
    """A law of motion with pushes on the way."""

    law: Constant | Orbit
    pushes: tuple[Push, ...]  # ascending; times s behind the epoch, >= 0

    @property
    def unknowns(self) -> int:
        """Free numbers of a state."""
        return self.law.unknowns

    def propagate(self, state: Array, dt: Array) -> Array:
        """States (..., 4) at their epoch and dt (T,) s -> states (..., T, 4) at epoch + dt."""
        moved, since = self.law.propagate(state, dt), 0.0
        for push in self.pushes:
            state = self.law.propagate(state, np.array([push.time - since]))[..., 0, :] + push.change
            since = push.time
            behind = dt > since
            moved[..., behind, :] = self.law.propagate(state, dt[behind] - since)
        return moved

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        """Least squares over times dt (T,) s from the epoch and positions (T, 2) m -> state (4,) at the epoch."""
        pushed = np.zeros_like(position)
        for push in self.pushes:
            behind = (dt - push.time)[:, None]
            pushed += np.where(behind > 0, push.change[:2] + push.change[2:] * behind, 0.0)
        if isinstance(self.law, Constant):  # exact: the way that a push adds does not depend on the state
            return self.law.fit(dt, position - pushed, start)
        if not pushed.any():
            return self.law.fit(dt, position, start)

        def run(state: Array) -> tuple[Array, Array]:
            moved = self.propagate(state + STEP * np.concatenate([np.zeros((1, 4)), np.eye(4)]), dt)[..., :2]
            return moved[0], np.moveaxis((moved[1:] - moved[0]) / STEP, 0, -1)

        return descend(run, self.law.fit(dt, position - pushed) if start is None else start, position)


def known_pushes(clip: Clip, motion: Motion) -> tuple[Push, ...]:
    """The pushes on a body whose effect has a closed form: in free flight, on a table without friction, and those
    after which a ball soon rolls again on a table on which it rolled before."""
    name = clip.scene.bodies[motion.index].name
    changes = [(each.time, _change(clip, motion, each)) for each in clip.scene.impulses if each.body == name]
    return tuple(sorted((Push(time, x) for time, x in changes if x is not None), key=lambda push: push.time))


def with_pushes(law: Law, pushes: tuple[Push, ...], begin: float, end: float) -> Fittable:
    """The law from `begin` s, its epoch, to `end` s, with what pushes bring in between."""
    inside = tuple(Push(max(x.time - begin, 0.0), x.change) for x in pushes if begin - 1e-9 <= x.time < end - 1e-9)
    return Pushed(law, inside) if inside and isinstance(law, (Constant, Orbit)) else law


def _change(clip: Clip, motion: Motion, action: Impulse) -> Array | None:
    """What a push changes in the state of a body (4,) m and m/s, None where that is not known."""
    scene = clip.scene
    body, across = scene.bodies[motion.index], depth_axis(scene.camera)
    gain = np.asarray(action.impulse, dtype=np.float64) / body.mass
    size = float(np.linalg.norm(gain))
    if not isinstance(motion.law, (Constant, Orbit)) or abs(gain[across]) > 1e-9 * size or len(motion.supports) > 1:
        return None
    change = np.concatenate([np.zeros(2), plane_from_world(scene.camera, gain)])
    if not motion.supports:
        return change
    board = scene.bodies[motion.supports[0]]
    normal = face(board, clip.states[-1, motion.index, :3])
    if normal is None or abs(gain @ normal) > 1e-9 * size:
        return None
    grip = body.friction * board.friction * abs(float(np.asarray(scene.gravity, dtype=np.float64) @ normal))
    if grip == 0:
        return change
    lost = INERTIA["sphere"] / (1 + INERTIA["sphere"])  # 2/7: its spin takes it up
    slide = lost * size / grip  # s, evenly braked by `grip`
    if body.shape != "sphere" or slide > LONGEST_SLIDE:
        return None
    return np.concatenate([lost * slide / 2 * change[2:], (1 - lost) * change[2:]])
