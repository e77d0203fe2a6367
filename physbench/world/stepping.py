"""From a scene to its states over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.world.ballistic import flies, fly
from physbench.world.engine import World, free_axis, step_of
from physbench.world.scene import Contact, Scene

__all__ = ["Simulation", "World", "simulate", "simulate_ensemble"]

Array = NDArray[np.float64]

SETTLED_TIME = 0.5  # s at rest, after which an ensemble is not stepped any more
SETTLED_SPEED = 5e-3  # m/s and rad/s; slower is rest


@dataclass(frozen=True, eq=False)
class Simulation:
    """States at the requested times and every contact up to the last of them."""

    states: Array  # (T, N, 13) position m, quaternion xyzw, velocity m/s, spin rad/s
    contacts: tuple[Contact, ...]


def simulate(scene: Scene, times: Sequence[float] | Array, *, refine: int = 1) -> Simulation:
    """Simulate a scene from -HISTORY.

    times: ascending, in s, multiples of 1/1200. refine: into how many smaller steps each is divided.
    Returns states (T, N, 13) at these times and the contacts in between.
    """
    with World(scene, refine=refine) as world:
        states = []
        for time in times:
            world.advance(float(time))
            states.append(world.states()[0])
        return Simulation(np.stack(states), tuple(world.contacts))


def simulate_ensemble(scene: Scene, start: float, states: Array, times: Sequence[float] | Array) -> Array:
    """Simulate copies of a scene from given states.

    start: s. states: (M, N, 13) at `start`. times: ascending, s. Returns (M, T, N, 13).
    A central field without contacts is computed in numpy, everything else in Bullet.
    """
    states = np.asarray(states, dtype=np.float64)
    if not scene.fields or not flies(scene, start):
        return _ensemble(scene, start, states, times)
    steps = np.array([step_of(float(time)) for time in times]) - step_of(start)
    result, touched = fly(scene, states, steps)
    if touched.any():
        result[touched] = _ensemble(scene, start, states[touched], times)
    return result


def _ensemble(scene: Scene, start: float, states: Array, times: Sequence[float] | Array) -> Array:
    """The members in one client, where its planes leave room for them."""
    if len(states) > 1 and free_axis(scene) is None:
        return np.concatenate([_ensemble(scene, start, member[None], times) for member in states])
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    settled, since = max(_last_change(scene), start) + SETTLED_TIME, None
    with World(scene, start, states, log=False) as world:
        result: list[Array] = []
        for time in times:
            if since is not None and time - since >= SETTLED_TIME and time >= settled:
                result.append(result[-1])  # all rests, and nothing is left that could move it
                continue
            world.advance(float(time))
            result.append(world.states())
            rests = bool((np.abs(result[-1][:, moving, 7:]) < SETTLED_SPEED).all())
            since = (time if since is None else since) if rests else None
        return np.stack(result, axis=1)


def _last_change(scene: Scene) -> float:
    """Time in s of the last event that is not due to the motion of bodies; infinity where forces never end."""
    if scene.fields:
        return math.inf
    times = [time for body in scene.bodies for time in (body.release, body.until) if time is not None]
    times += [action.time for action in scene.impulses] + [point.time for body in scene.bodies for point in body.path]
    return max(times, default=-math.inf)
