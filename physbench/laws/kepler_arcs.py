"""Many candidates of a scene with central gravity, in closed form: arcs of Kepler orbits.

The simulator's semi-implicit Euler steps are the leapfrog method seen half a step earlier. After three revolutions it
is 1e-5 of a period off Kepler's ellipse, less than any track shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from physbench.laws import kepler_jit
from physbench.laws.motion_law import two_bodies
from physbench.laws.planar_motion import H
from physbench.laws.simulator import Simulator
from physbench.laws.support_check import Unsupported
from physbench.support.arrays import Array, Whole
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import Scene


@dataclass(eq=False)
class KeplerTrajectory:
    """Motion of K candidates of N bodies, which is computed where it is asked for."""

    central: KeplerSimulator
    rows: Whole  # (M, 3) interventions
    value: Array  # (M, K, 6)
    contacts: Sequence[tuple[int, int, int]] = ()

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Positions m, velocities m/s and spins, which are 0, at steps (F,), ascending; NaN where a body is absent."""
        position, velocity = self._follow(steps)
        return position, velocity, np.zeros_like(position)

    def positions(self, steps: Array) -> Array:
        """Positions (K, F, N, 2) m at steps (F,), ascending."""
        return self._follow(steps)[0]

    def _follow(self, steps: Array) -> tuple[Array, Array]:
        centre, steps = self.central, np.ascontiguousarray(steps, dtype=np.float64)
        return kepler_jit.follow_orbits(
            self.rows,
            self.value,
            steps,
            H,
            centre.source,
            centre.mu,
            centre.factor,
            centre.mutual,
            centre.reach,
            len(centre.index),
        )


class KeplerSimulator(Simulator):
    """Simulates bodies about one fixed source, or two that attract each other."""

    def __init__(self, scene: Scene, index: tuple[int, ...], factor: Array | None = None) -> None:
        """index: (N,) of the moving bodies in the scene. factor: (K,), times the strength of all fields."""
        axes = list(PLANE_AXES[scene.camera.view])
        self.mutual = two_bodies(scene)
        self.index = index
        sources = [scene.index(field.source) for field in scene.fields]
        self.source = np.asarray(scene.bodies[sources[0]].position, dtype=np.float64)[axes]
        self.order = [index.index(source) for source in sources] if self.mutual else []
        self.mu = np.array([field.mu for field in scene.fields])  # (1,), or (2,) in the order of the bodies
        if self.mutual:
            self.mu[self.order] = self.mu.copy()
        self.factor = np.ones(1) if factor is None else np.asarray(factor, dtype=np.float64)
        radius = [scene.bodies[i].size[0] for i in index]
        self.reach = float(sum(radius)) if self.mutual and all(scene.bodies[i].collides for i in index) else 0.0

    @staticmethod
    def check(scene: Scene, index: tuple[int, ...]) -> None:
        """Raise Unsupported where a scene is not of this kind."""
        sources = [scene.bodies[scene.index(field.source)] for field in scene.fields]
        bodies = [scene.bodies[i] for i in index]
        if np.any(scene.gravity):
            raise Unsupported("bodies are in a field and under gravity at once")
        if any(body.shape != "sphere" for body in bodies):
            raise Unsupported("something in a field is not a ball")
        if any(body.collides for i, body in enumerate(scene.bodies) if i not in index):
            raise Unsupported("bodies in a field may meet something fixed")
        if two_bodies(scene):
            return
        if len(sources) != 1 or sources[0].role != "fixed" or sources[0].path:
            raise Unsupported("more than one source attracts, or it moves, or only one of two attracts the other")
        if len(bodies) > 1 and any(body.collides for body in bodies):
            raise Unsupported("bodies about a centre may meet each other")

    def acceleration(self, position: Array) -> Array:
        """Acceleration (N, 2) m/s2 of bodies at positions (N, 2) m; 0 between bodies at the same position."""
        acceleration = np.zeros_like(position)
        sources = [position[n] for n in self.order] if self.mutual else [self.source]
        strengths = self.mu[self.order] if self.mutual else self.mu
        for source, mu in zip(sources, strengths, strict=True):
            away = source - position
            distance = np.linalg.norm(away, axis=-1, keepdims=True)
            acceleration += np.where(distance > 1e-6, mu * away / np.maximum(distance, 1e-6) ** 3, 0.0)
        return acceleration

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> KeplerTrajectory:
        """Simulate from the first intervention; whether `smooth` or not is the same."""
        return KeplerTrajectory(self, rows, value)
