"""The law of scenes with central gravity: arcs of Kepler orbits in closed form, for many candidates at once.

The simulator's semi-implicit Euler steps are the leapfrog method seen half a step earlier. After three revolutions it
is 1e-5 of a period off Kepler's ellipse, less than any track shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from physbench.laws import kepler_jit
from physbench.laws.changes import WorldChange
from physbench.laws.closed_form import two_bodies
from physbench.laws.field_motion import ADVANCE, DRAG, EXPONENT, ORBIT_TURN, SOFTENING, TREND, follow_field
from physbench.laws.planar_motion import H
from physbench.laws.scene_law import LawConstant, SceneLaw
from physbench.laws.simulator import MadeTrajectory, Simulator, States, Trajectory
from physbench.laws.support_check import Unsupported
from physbench.support.arrays import Array, Mask, Whole
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import CentralGravity, Scene


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
        sources = [scene.index(field.source) for field in scene.central]
        self.source = np.asarray(scene.bodies[sources[0]].position, dtype=np.float64)[axes]
        self.order = [index.index(source) for source in sources] if self.mutual else []
        self.mu = np.array([field.mu for field in scene.central])  # (1,), or (2,) in the order of the bodies
        if self.mutual:
            self.mu[self.order] = self.mu.copy()
        self.factor = np.ones(1) if factor is None else np.asarray(factor, dtype=np.float64)
        radius = [scene.bodies[i].size[0] for i in index]
        self.reach = float(sum(radius)) if self.mutual and all(scene.bodies[i].collides for i in index) else 0.0

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


@dataclass(frozen=True, eq=False)
class FieldSimulator(Simulator):
    """Simulates bodies in changed central fields, see `field_motion`."""

    kepler: KeplerSimulator  # of the true fields
    scale: float  # times their strength
    law: Array  # (6,) constants of the field
    touch: float  # m from which on two bodies are not modelled

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention; whether `smooth` or not is the same."""
        source, mu, count = self.kepler.source, self.scale * self.kepler.mu, len(self.kepler.index)

        def at(steps: Array) -> States:
            position, velocity = follow_field(
                rows, value, np.ascontiguousarray(steps, dtype=np.float64), source, mu, self.touch, self.law, count
            )
            return position, velocity, np.zeros_like(position)

        return MadeTrajectory(at)


class CentralLaw(SceneLaw):
    """Balls about one fixed source, or two that attract each other."""

    name = "central"
    fields = (CentralGravity,)
    constants = (LawConstant("central_mass"),)
    removable = False  # a body that attracts others continues to do so

    def check(self) -> None:
        """Raises Unsupported where a scene is not of this kind."""
        scene = self.scene
        sources = [scene.bodies[scene.index(field.source)] for field in scene.central]
        bodies = [scene.bodies[i] for i in self.index]
        if np.any(scene.gravity):
            raise Unsupported("bodies are in a field and under gravity at once")
        if any(body.shape != "sphere" for body in bodies):
            raise Unsupported("something in a field is not a ball")
        if any(body.collides for i, body in enumerate(scene.bodies) if i not in self.index):
            raise Unsupported("bodies in a field may meet something fixed")
        if two_bodies(scene):
            return
        if len(sources) != 1 or sources[0].role != "fixed" or sources[0].path:
            raise Unsupported("more than one source attracts, or it moves, or only one of two attracts the other")
        if len(bodies) > 1 and any(body.collides for body in bodies):
            raise Unsupported("bodies about a centre may meet each other")

    @cached_property
    def alterable(self) -> frozenset[str]:
        return super().alterable | {"gravity_trend", "drag", "turn", "exponent", "softening", "precession"}

    @cached_property
    def _orbits(self) -> KeplerSimulator:
        return KeplerSimulator(self.scene, self.index)

    @cached_property
    def linked(self) -> Mask:
        return np.ones((len(self.index),) * 2, dtype=bool)

    def own_simulator(self, constants: Array | None) -> Simulator:
        return KeplerSimulator(self.scene, self.index, None if constants is None else constants[:, 0])

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        kepler = KeplerSimulator(self.scene, self.index, None if constants is None else constants[:, 0])
        law = np.zeros(6)
        law[EXPONENT], law[SOFTENING], law[TREND] = change.exponent, change.softening, change.gravity_trend
        law[ADVANCE] = 1 - 1 / (1 + change.precession) ** 2
        law[DRAG], law[ORBIT_TURN] = change.drag, change.turn
        scale = change.central_mass * kepler.factor
        if not (law - np.array([2.0, 0, 0, 0, 0, 0])).any() and change.solid:
            return KeplerSimulator(self.scene, self.index, scale)
        return FieldSimulator(kepler, float(scale[0]), law, kepler.reach if change.solid else 0.0)

    def acceleration(self, position: Array) -> Array:
        return self._orbits.acceleration(position)
