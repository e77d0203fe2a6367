"""The laws of scenes with radial fields (Kepler's ellipses in closed form, else integrated), springs, drag, gravity.

Bodies touch nothing. `CentralLaw` is asked first: arcs of Kepler orbits for many candidates at once. The simulator's
semi-implicit Euler steps are the leapfrog method seen half a step earlier: after three revolutions they are 1e-5 of a
period off Kepler's ellipse, less than any track shows. `FieldLaw` takes any power and sign, `SpringLaw` springs; their
motion is integrated (`field_motion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from physbench.laws import kepler
from physbench.laws.changes import WorldChange
from physbench.laws.closed_form import two_bodies
from physbench.laws.field_motion import (
    ADVANCE,
    DRAG,
    EXPONENT,
    GRAVITY_X,
    GRAVITY_Y,
    ORBIT_TURN,
    SOFTENING,
    TREND,
    TURN,
    follow_field,
    follow_fields,
)
from physbench.laws.planar_motion import H
from physbench.laws.scene_law import (
    LawConstant,
    MadeTrajectory,
    PiecewiseSimulator,
    SceneLaw,
    Simulator,
    States,
    Trajectory,
)
from physbench.laws.support_check import ALIGNMENT, Unsupported
from physbench.support.arrays import Array, Mask, Whole
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, CentralGravity, Drag, RadialField, Scene, Spring


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
        return kepler.follow_orbits(
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


FIXED = -1.0  # the number of a source that does not move
ALL = -1.0  # the target of a field that acts on all bodies
FIELD_STRENGTH = LawConstant("field_strength", "fields were {value} times as strong", "strength of fields")


class FieldLaw(SceneLaw):
    """Balls in radial fields of fixed bodies and of each other, slowed by a medium, under gravity."""

    name = "fields"
    fields: ClassVar[tuple[type, ...]] = (CentralGravity, RadialField, Drag)
    constants: ClassVar[tuple[LawConstant, ...]] = (
        FIELD_STRENGTH,
        LawConstant("medium_drag", "the medium slowed bodies {value} times as much", "drag of the medium"),
    )
    removable = False  # a body that attracts others continues to do so

    def check(self) -> None:
        """Raises Unsupported where a scene is not of this kind."""
        scene, across = self.scene, depth_axis(self.scene.camera)
        if any(scene.bodies[i].shape != "sphere" for i in self.index):
            raise Unsupported("something in a field is not a ball")
        if any(body.collides for i, body in enumerate(scene.bodies) if i not in self.index):
            raise Unsupported("bodies in a field may meet something fixed")
        for name in self._sources:
            source = scene.bodies[scene.index(name)]
            if source.role == "kinematic" or source.until is not None:
                raise Unsupported(f"{source.name}, from which a force comes, moves on rails or vanishes")
            if np.abs(source.position[across] - self.depth).max() > ALIGNMENT:
                raise Unsupported(f"{source.name}, from which a force comes, lies before or behind what moves")
        if abs(scene.gravity[across]) > ALIGNMENT:
            raise Unsupported("bodies in a field fall along the view")

    @cached_property
    def _radial(self) -> Sequence[CentralGravity | RadialField]:
        return [each for each in self.scene.fields if isinstance(each, CentralGravity | RadialField)]

    @property
    def _sources(self) -> list[str]:
        """Names of the bodies from which forces come."""
        return [each.source for each in self._radial]

    @cached_property
    def _rows(self) -> Array:
        """The fields (E, 7) as `field_motion` has them."""
        rows = [[*self._place(each.source), each.strength, each.power, 0.0, ALL] for each in self._radial]
        return np.array(rows, dtype=np.float64).reshape(-1, 7)

    def _place(self, source: str) -> tuple[float, float, float]:
        """Number of a source and, where that is FIXED, its place."""
        i = self.scene.index(source)
        if i in self.index:
            return float(self.index.index(i)), 0.0, 0.0
        x, y = (self.scene.bodies[i].position[axis] for axis in PLANE_AXES[self.scene.camera.view])
        return FIXED, x, y

    @cached_property
    def _world(self) -> Array:
        """Constants (3,) of the world as `field_motion` has them."""
        world = np.zeros(3)
        world[[GRAVITY_X, GRAVITY_Y]] = np.asarray(self.scene.gravity)[list(PLANE_AXES[self.scene.camera.view])]
        return world

    @cached_property
    def _drag(self) -> float:
        return sum((each.rate for each in self.scene.fields if isinstance(each, Drag)), 0.0)

    @cached_property
    def _touch(self) -> Array:
        """Distances (N, N) m at which two bodies touch; 0 where they cannot."""
        radius = np.array([self.scene.bodies[i].size[0] for i in self.index])
        solid = np.array([self.scene.bodies[i].collides for i in self.index])
        return np.where(solid[:, None] & solid, radius[:, None] + radius, 0.0) * ~np.eye(len(radius), dtype=bool)

    @cached_property
    def linked(self) -> Mask:
        coupled = np.zeros((len(self.index),) * 2, dtype=bool)
        for source in self._rows[:, 0].astype(int):
            if source >= 0:
                coupled[source] = coupled[:, source] = True
        return coupled

    @cached_property
    def alterable(self) -> frozenset[str]:
        without = {"medium_drag"} if not self._drag else {"drag"}  # in a medium the two are the same
        return (super().alterable | {"drag", "turn"}) - without - (set() if len(self._rows) else {"field_strength"})

    def simulate(self, states: Array, times: Array, constants: Array) -> Array:
        return self._moved(states, times, constants, self._world, 0.0, self._touch)

    def _moved(self, states: Array, times: Array, constants: Array, world: Array, drag: float, touch: Array) -> Array:
        return follow_fields(
            np.ascontiguousarray(states, dtype=np.float64),
            np.ascontiguousarray(times, dtype=np.float64),
            self._rows,
            np.ascontiguousarray(constants[:, 0]),
            np.ascontiguousarray(self._rest(constants)),
            np.ascontiguousarray(constants[:, 1] * self._drag + drag),
            world,
            touch,
        )

    def _rest(self, constants: Array) -> Array:
        """Factors (K or 1,) on lengths at rest."""
        return np.ones(1)

    def acceleration(self, position: Array) -> Array:
        """As of any law; of bodies that overlap, too, which guesses and tracks may do."""
        states, step = np.concatenate([position, np.zeros_like(position)], axis=-1)[None], 1 / PHYSICS_HZ
        own, nothing = np.ones((1, len(self.constants))), np.zeros_like(self._touch)
        moved = self._moved(states, np.array([0.0, step]), own, self._world, 0.0, nothing)
        return np.asarray(moved[0, 1, :, 2:] / step)

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        factors = dict(change.constants)
        own = np.ones((1, len(self.constants))) if constants is None else constants
        scaled = own * np.array([factors.get(each.id, 1.0) for each in self.constants])
        world = self._world.copy()
        world[[GRAVITY_X, GRAVITY_Y]] = change.gravity_in_plane(world[[GRAVITY_X, GRAVITY_Y]])
        world[TURN] = change.turn

        def simulate(states: Array, times: Array, constants: Array) -> Array:
            return self._moved(states, times, constants, world, change.drag, self._touch)

        return PiecewiseSimulator(simulate, self.contacts, len(self.index), scaled)


class SpringLaw(FieldLaw):
    """Balls on springs between fixed bodies and each other, under gravity, in a medium or without one."""

    name = "springs"
    fields = (Spring, Drag)
    constants = (
        LawConstant("spring_stiffness", "springs were {value} times as stiff", "stiffness of springs"),
        FieldLaw.constants[1],
        LawConstant("spring_length", "springs were {value} times as long at rest", "length of springs at rest"),
    )

    @classmethod
    def covers(cls, scene: Scene) -> bool:
        return super().covers(scene) and any(isinstance(each, Spring) for each in scene.fields)

    @cached_property
    def _springs(self) -> list[tuple[Spring, str, str]]:
        """Each spring with a body that it moves and the one at its other end: twice if both move."""
        springs = [each for each in self.scene.fields if isinstance(each, Spring)]
        ends = [end for each in springs for end in ((each, each.body, each.anchor), (each, each.anchor, each.body))]
        return [(each, body, other) for each, body, other in ends if self.scene.index(body) in self.index]

    @property
    def _sources(self) -> list[str]:
        return [other for _, _, other in self._springs]

    @cached_property
    def _rows(self) -> Array:
        rows = []
        for spring, body, other in self._springs:
            i = self.scene.index(body)
            strength = spring.stiffness / self.scene.bodies[i].mass
            rows.append([*self._place(other), strength, 1.0, spring.length, float(self.index.index(i))])
        return np.array(rows, dtype=np.float64).reshape(-1, 7)

    def _rest(self, constants: Array) -> Array:
        return np.asarray(constants[:, 2])

    @cached_property
    def alterable(self) -> frozenset[str]:
        return super().alterable | {"wind", *(("gravity", "gravity_angle") if np.any(self._world) else ())}
