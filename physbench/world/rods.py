"""Rods without mass: the tensions that keep bodies at their distances, solved anew at every physics step.

The simulator adds h a to a velocity v and then h v to a position x. The tensions are those with which the distances are
right after the step (Ryckaert, Ciccotti and Berendsen 1977, J. Comput. Phys. 23, 327): a pendulum keeps its length to
rounding, and its period to (w h)^2 / 24, 3e-7 at w = 3 rad/s, without drift of its energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError
from physbench.world.scene import PHYSICS_STEP, Rod, Scene

SWEEPS = 8  # of Newton's method; three are enough for a double pendulum
EXACT = 1e-13  # m2, of the squares of distances


def rod_accelerations(
    scene: Scene, rods: Sequence[Rod], states: Array, other: Array, time: float, step: float = PHYSICS_STEP
) -> Array:
    """Accelerations (..., N, 3) m/s2 that rods give bodies.

    Args:
        scene: The scene.
        rods: Of which one does not act where an end is gone, or where neither can move.
        states: (..., N, 13) of all bodies.
        other: (..., N, 3) m/s2 of all that acts beside rods, gravity included.
        time: s.
        step: s, of the simulator.
    """
    masses = _inverse_masses(scene, time)
    ends = {rod: (scene.index(rod.anchor), scene.index(rod.body)) for rod in rods}
    rods = [rod for rod, (a, b) in ends.items() if masses[a] + masses[b] > 0 and not _gone(scene, (a, b), time)]
    if not rods:
        return np.zeros((*states.shape[:-1], 3))
    sign, inverse = _incidence(tuple(ends[rod] for rod in rods), masses)
    length2 = np.array([rod.length for rod in rods]) ** 2
    away = sign @ states[..., :3]  # (..., E, 3) from anchor to body
    ahead = away + step * (sign @ (states[..., 7:10] + step * (inverse > 0)[:, None] * other))
    # Change of each span by the tension of each rod over its length: (..., E, F, 3).
    effect = -(step**2) * (sign * inverse @ sign.T)[..., None] * away[..., None, :, :]
    pull = _alone(ahead, effect[..., 0, :], length2) if len(rods) == 1 else _together(ahead, effect, length2)
    return np.asarray(-inverse[:, None] * (sign.T @ (pull[..., None] * away)))


def _alone(ahead: Array, effect: Array, length2: Array) -> Array:
    """Tension over length (..., 1) N/m of one rod: the smaller root of |ahead + pull effect|^2 = length^2."""
    a, b = (effect**2).sum(axis=-1), -(ahead * effect).sum(axis=-1)
    c = (ahead**2).sum(axis=-1) - length2
    return np.asarray(c / (b + np.sqrt(np.maximum(b * b - a * c, 0.0))))


def _together(ahead: Array, effect: Array, length2: Array) -> Array:
    """Tensions over lengths (..., E) N/m of rods whose bodies pull at each other, by Newton's method."""
    pull = np.zeros(ahead.shape[:-1])
    for _ in range(SWEEPS):
        span = ahead + (effect * pull[..., None, :, None]).sum(axis=-2)
        wrong = (span**2).sum(axis=-1) - length2
        if np.abs(wrong).max() < EXACT:
            break
        slope = 2 * (span[..., :, None, :] * effect).sum(axis=-1)
        try:
            pull = pull - np.linalg.solve(slope, wrong[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise PhysbenchError("Rods hold the same bodies twice: leave one of them out.") from None
    return pull


@lru_cache(maxsize=64)
def _incidence(ends: tuple[tuple[int, int], ...], inverse: tuple[float, ...]) -> tuple[Array, Array]:
    """Of rods (E, N): -1 at the anchor, 1 at the body; and the inverse masses (N,) 1/kg."""
    sign = np.zeros((len(ends), len(inverse)))
    for row, (anchor, body) in zip(sign, ends, strict=True):
        row[anchor], row[body] = -1.0, 1.0
    return sign, np.array(inverse)


def _gone(scene: Scene, ends: tuple[int, int], time: float) -> bool:
    untils = [scene.bodies[end].until for end in ends]
    return any(until is not None and until <= time + 1e-9 for until in untils)


def _inverse_masses(scene: Scene, time: float) -> tuple[float, ...]:
    """Inverse masses (N,) 1/kg; 0 of what is fixed, on rails or held."""
    return tuple(
        1 / body.mass if body.role == "moving" and (body.release is None or body.release <= time + 1e-9) else 0.0
        for body in scene.bodies
    )
