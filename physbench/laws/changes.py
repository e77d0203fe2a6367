"""Altered worlds: laws that differ from those of a scene from some time on.

A `WorldChange` says by what. Laws follow it (`altered_law`), and so does PyBullet (`ChangeLaws` of violations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from functools import reduce

import numpy as np

from physbench.laws.scene_law import Exchanged, Hastened, SceneLaw, Simulator
from physbench.support.arrays import Array
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ, ForceField, Scene, Vector


@dataclass(frozen=True)
class WorldChange:
    """By what the laws of a world differ from the true ones; as it is made, by nothing."""

    gravity: float = 1.0  # times uniform gravity
    gravity_angle: float = 0.0  # rad by which it is turned in the plane of motion, counter-clockwise
    gravity_trend: float = 0.0  # 1/s, share of itself by which gravity, or a central force, grows
    wind: tuple[float, float] = (0.0, 0.0)  # m/s2 in the plane of motion, on all bodies alike
    drag: float = 0.0  # 1/s, share of its velocity that a body loses; below 0 it gains
    turn: float = 0.0  # rad/s by which a force across the motion turns a velocity, counter-clockwise
    restitution: float = 1.0  # times that of every contact
    friction: float = 1.0  # times that of every contact
    mass: float = 1.0  # times that of the heaviest moving body
    twist: float = 0.0  # rad by which every rebound is turned, counter-clockwise
    gap: float = 0.0  # diameters from which on bodies act on each other as if they touched
    lead: float = 0.0  # s by which every contact comes too early
    solid: bool = True  # whether moving bodies meet each other
    contacts: bool = True  # whether anything meets anything
    central_mass: float = 1.0  # times the strength of central forces
    exponent: float = 2.0  # of the distance by which a central force falls
    softening: float = 0.0  # m
    precession: float = 0.0  # turns of an orbit's axis in a revolution
    time: float = 1.0  # how much faster everything happens
    exchanged: bool = False  # whether two bodies exchange their identities where they first meet
    constants: tuple[tuple[str, float], ...] = ()  # of the law of a scene (`SceneLaw.constants`), each times a factor

    @property
    def altered(self) -> frozenset[str]:
        """Names of all that differs: fields, and constants of a law."""
        own = {each.name for each in fields(self) if getattr(self, each.name) != each.default}
        return frozenset((own - {"constants"}) | {name for name, _ in self.constants})

    def gravity_in_plane(self, gravity: Array) -> Array:
        """Uniform gravity (2,) m/s2 in the plane of motion when the change sets in, where it was `gravity`."""
        cos, sin = math.cos(self.gravity_angle), math.sin(self.gravity_angle)
        turned = np.array([[cos, -sin], [sin, cos]]) @ gravity
        return np.asarray(self.gravity * turned + np.asarray(self.wind))

    def joined(self, other: WorldChange) -> WorldChange:
        """Both changes at once, where they change different things; of the same thing, `other`."""
        values = {each.name: getattr(other, each.name) for each in fields(other)}
        different = {each.name: values[each.name] for each in fields(other) if values[each.name] != each.default}
        constants = {**dict(self.constants), **dict(other.constants)}
        return replace(self, **{**different, "constants": tuple(constants.items())})


def joined_change(changes: Sequence[WorldChange]) -> WorldChange:
    """Several changes at once."""
    return reduce(WorldChange.joined, changes, WorldChange())


def changed_gravity(scene: Scene, change: WorldChange, factor: float = 1.0) -> Vector:
    """Uniform gravity m/s2 of a scene, times a factor, when a change sets in."""
    gravity, axes = factor * np.asarray(scene.gravity, dtype=np.float64), list(PLANE_AXES[scene.camera.view])
    in_plane = change.gravity_in_plane(gravity[axes])
    gravity *= change.gravity
    gravity[axes] = in_plane
    return float(gravity[0]), float(gravity[1]), float(gravity[2])


@dataclass(frozen=True, eq=False)
class AlteredField(ForceField):
    """A field times a factor; a radial one also times (r / r0)^higher, with an r0 for each body."""

    field: ForceField
    factor: float = 1.0
    higher: float = 0.0
    reference: Array | None = None  # (N,) m

    @property
    def sources(self) -> tuple[str, ...]:
        return self.field.sources

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        field = self.factor * self.field.accelerations(scene, position, velocity, time)
        if self.reference is None:
            return field
        source = scene.index(self.sources[0])
        away = np.linalg.norm(position - position[..., source : source + 1, :], axis=-1)
        away[..., source] = self.reference[source]
        return np.asarray((away / self.reference)[..., None] ** self.higher * field)


@dataclass(frozen=True, eq=False)
class Alteration:
    """A change of the laws of a scene at a physics step; before it they are those of the scene."""

    change: WorldChange
    since: int
    later: SceneLaw | None = None  # of what the scene itself is from then on, where that changes

    def simulator(self, law: SceneLaw, constants: Array | None) -> Simulator:
        """The simulator of both worlds; constants (K, C) of the law, in both."""
        base, change, since = law if self.later is None else self.later, self.change, self.since
        # Forces change up to a time after the horizon, in the world's own time.
        end = since + math.ceil((law.scene.horizon + 1) * max(change.time, 1.0) * PHYSICS_HZ)
        after = base.altered_simulator(change, since, end, constants)
        if change.time != 1.0:
            after = Hastened(after, since, change.time)
        joined = law.own_simulator(constants).followed_by(after, since)
        if change.exchanged:
            joined = Exchanged(joined, since, np.array([law.scene.bodies[i].size[0] for i in law.index]))
        return joined


def altered_law(law: SceneLaw, change: WorldChange, since: float = 0.0, later: SceneLaw | None = None) -> SceneLaw:
    """The law of a world that is changed from a time on.

    Args:
        law: Of the true scene.
        change: What differs.
        since: s from which on it does.
        later: Law of another scene with the same moving bodies, which holds instead of the true one then.
    """
    altered = copy(law)  # with what it has computed
    altered.alteration = Alteration(change, round(since * PHYSICS_HZ), later)
    return altered
