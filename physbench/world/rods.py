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
from physbench.world.scene import PHYSICS_STEP, Rod, Scene

SWEEPS = 8  # of Newton's method; three are enough for a double pendulum
EXACT = 1e-13  # m2, of the squares of distances


def rod_accelerations(
    scene: Scene, rods: Sequence[Rod], states: Array, other: Array, time: float, step: float = PHYSICS_STEP
) -> Array:
    """Accelerations (..., N, 3) m/s2 that rods give bodies.

    Args:
        scene: The scene.
        rods: Of which one whose anchor or body is gone does not act.
        states: (..., N, 13) of all bodies.
        other: (..., N, 3) m/s2 of all that acts beside rods, gravity included.
        time: s.
        step: s, of the simulator.
    """
    rods = [rod for rod in rods if not any(_gone(scene, end, time) for end in rod.sources)]
    if not rods:
        return np.zeros((*states.shape[:-1], 3))
    sign, inverse = _incidence(
        tuple((scene.index(rod.anchor), scene.index(rod.body)) for rod in rods), _inverse_masses(scene, time)
    )
    length2 = np.array([rod.length for rod in rods]) ** 2
    away = sign @ states[..., :3]  # (..., E, 3) from anchor to body
    ahead = away + step * (sign @ (states[..., 7:10] + step * (inverse > 0)[:, None] * other))
    # Change of each span by the tension of each rod over its length: (..., E, F, 3).
    effect = -(step**2) * (sign * inverse @ sign.T)[..., None] * away[..., None, :, :]
    pull = np.zeros(away.shape[:-1])  # (..., E) N/m, tension over length
    for _ in range(SWEEPS):
        span = ahead + (effect * pull[..., None, :, None]).sum(axis=-2)
        wrong = (span**2).sum(axis=-1) - length2
        if np.abs(wrong).max() < EXACT:
            break
        slope = 2 * (span[..., :, None, :] * effect).sum(axis=-1)
        pull = pull - (wrong / slope[..., 0] if len(rods) == 1 else np.linalg.solve(slope, wrong[..., None])[..., 0])
    return np.asarray(-inverse[:, None] * (sign.T @ (pull[..., None] * away)))


@lru_cache(maxsize=64)
def _incidence(ends: tuple[tuple[int, int], ...], inverse: tuple[float, ...]) -> tuple[Array, Array]:
    """Of rods (E, N): -1 at the anchor, 1 at the body; and the inverse masses (N,) 1/kg."""
    sign = np.zeros((len(ends), len(inverse)))
    for row, (anchor, body) in zip(sign, ends, strict=True):
        row[anchor], row[body] = -1.0, 1.0
    return sign, np.array(inverse)


def _gone(scene: Scene, name: str, time: float) -> bool:
    until = scene.bodies[scene.index(name)].until
    return until is not None and until <= time + 1e-9


def _inverse_masses(scene: Scene, time: float) -> tuple[float, ...]:
    """Inverse masses (N,) 1/kg; 0 of what is fixed, on rails or held."""
    return tuple(
        1 / body.mass if body.role == "moving" and (body.release is None or body.release <= time + 1e-9) else 0.0
        for body in scene.bodies
    )
