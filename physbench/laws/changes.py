"""Altered worlds: laws that differ from those of a scene from some time on, and their simulators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from physbench.laws.field_orbits import ADVANCE, DRAG, EXPONENT, SOFTENING, TREND, TURN, follow_field
from physbench.laws.forward_model import ForwardModel
from physbench.laws.kepler_arcs import KeplerSimulator
from physbench.laws.planar_motion import DAMP, DISC, GRAVITY, KIND, PUSH, STATE, STEP
from physbench.laws.planar_rollout import PlanarSimulator
from physbench.laws.planar_scene import PlanarScene
from physbench.laws.simulator import Simulator, Trajectory
from physbench.support.arrays import Array, Whole
from physbench.world.scene import PHYSICS_HZ

# Changed worlds: laws that differ from those of a scene from some time on, and their forward model.


KICK_STEPS = 20  # physics steps from one change of a velocity by drag to the next: 1/60 s


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

    def joined(self, other: WorldChange) -> WorldChange:
        """Both changes at once, where they change different things; of the same thing, `other`."""
        own = WorldChange()
        values = {each.name: getattr(other, each.name) for each in fields(other)}
        return replace(self, **{name: value for name, value in values.items() if value != getattr(own, name)})


@dataclass(frozen=True, eq=False)
class ChangedModel(ForwardModel):
    """A forward model whose laws change at a physics step; before it they are those of the scene."""

    change: WorldChange = field(default_factory=WorldChange)
    since: int = 0
    later: ForwardModel | None = None  # what the scene itself is from then on, where that changes

    def simulator(self, factor: Array | None = None) -> Simulator:
        """The simulator of both worlds; factor (K,): gravity or the strength of the fields in both."""
        before = super().simulator(factor)
        base = self if self.later is None else self.later
        after: Simulator = (
            _field_simulator(base, self.change, factor)
            if base.world is None
            else planar_simulator(base.world, self.change, self.since, self._end, factor)
        )
        if self.change.time != 1.0:
            after = Hastened(after, self.since, self.change.time)
        joined: Simulator
        if isinstance(before, PlanarSimulator) and isinstance(after, PlanarSimulator):
            joined = before.followed_by(after, self.since)
        else:
            joined = Sequel(before, after, self.since)
        if self.change.exchanged:
            radius = np.array([self.scene.bodies[i].size[0] for i in self.index])
            joined = Exchanged(joined, self.since, radius)
        return joined

    @property
    def _end(self) -> int:
        """Step up to which forces change: after the horizon, in the world's own time."""
        return self.since + math.ceil((self.scene.horizon + 1) * max(self.change.time, 1.0) * PHYSICS_HZ)


def changed_model(
    model: ForwardModel, change: WorldChange, since: float = 0.0, later: ForwardModel | None = None
) -> ChangedModel:
    """The forward model of a world that is changed from a time on.

    Args:
        model: Of the true scene.
        change: What differs.
        since: s from which on it does.
        later: Forward model of another scene with the same moving bodies, which holds instead of the true one then.
    """
    own = {each.name: getattr(model, each.name) for each in fields(ForwardModel)}
    return ChangedModel(**own, change=change, since=round(since * PHYSICS_HZ), later=later)


def planar_simulator(
    world: PlanarScene, change: WorldChange, since: int, end: int, factor: Array | None
) -> PlanarSimulator:
    """The simulator of a changed world of discs, whose forces change up to step `end`; factor (K,): on gravity."""
    gravity = changed_gravity(world.gravity, change)
    scale = 1.0 if factor is None else float(factor[0])
    parts = []
    steps = np.arange(since, end, KICK_STEPS)
    if change.gravity_trend != 0:
        grown = 1 + change.gravity_trend * (steps + KICK_STEPS / 2 - since) / PHYSICS_HZ
        parts.append((steps, GRAVITY, scale * grown[:, None] * gravity))
    if change.drag != 0 or change.turn != 0:
        span = KICK_STEPS / PHYSICS_HZ
        value = np.array([math.exp(-change.drag * span), change.turn * span])
        parts.append((steps + KICK_STEPS // 2, DAMP, np.broadcast_to(value, (len(steps), 2))))
    return PlanarSimulator(
        changed_world(world, change), scale * gravity, (change.lead, change.twist), scheduled(parts) if parts else None
    )


def scheduled(parts: Sequence[tuple[NDArray[np.int64], int, Array]]) -> tuple[NDArray[np.int64], Array]:
    """Interventions on all bodies as rows (M, 3) and values (M, 1, 6).

    parts: steps (m,), kind and values (m, 2) of each.
    """
    rows = [np.stack([steps, np.full_like(steps, -1), np.full_like(steps, kind)], axis=-1) for steps, kind, _ in parts]
    value = np.zeros((sum(len(each) for each in rows), 1, 6))
    value[:, 0, :2] = np.concatenate([each for _, _, each in parts])
    return np.concatenate(rows), value


def changed_gravity(gravity: Array, change: WorldChange) -> Array:
    """Uniform gravity (2,) m/s2 of a changed world when the change sets in."""
    cos, sin = math.cos(change.gravity_angle), math.sin(change.gravity_angle)
    turned = np.array([[cos, -sin], [sin, cos]]) @ gravity
    return np.asarray(change.gravity * turned + np.asarray(change.wind))


def changed_world(world: PlanarScene, change: WorldChange) -> PlanarScene:
    """The discs, faces and corners of a changed world."""
    bounce, half_gap = math.sqrt(change.restitution), change.gap / 2
    mass = world.mass.copy()
    if len(mass) > 1:
        mass[int(mass.argmax())] *= change.mass
    return replace(
        world,
        mass=mass,
        collides=world.collides if change.contacts else np.zeros_like(world.collides),
        restitution=world.restitution * bounce,
        face_restitution=world.face_restitution * bounce,
        corner_restitution=world.corner_restitution * bounce,
        friction=world.friction * change.friction,
        table_friction=world.table_friction * change.friction,
        slide_deceleration=world.slide_deceleration * change.friction * change.gravity,
        radius=world.radius + half_gap * 2 * world.radius,
        offset=world.offset + half_gap * 2 * world.radius.mean(),
        corner_radius=world.corner_radius + half_gap * 2 * world.radius.mean(),
        # Bodies that do not meet lie at different depths: pairs are those at the same one.
        depth=world.depth if change.solid else world.depth + np.arange(len(world.depth)),
    )


def _field_simulator(model: ForwardModel, change: WorldChange, factor: Array | None) -> Simulator:
    kepler = KeplerSimulator(model.scene, model.index, factor)
    law = np.zeros(6)
    law[EXPONENT], law[SOFTENING], law[TREND] = change.exponent, change.softening, change.gravity_trend
    law[ADVANCE] = 1 - 1 / (1 + change.precession) ** 2
    law[DRAG], law[TURN] = change.drag, change.turn
    scale = change.central_mass * kepler.factor
    if not (law - np.array([2.0, 0, 0, 0, 0, 0])).any() and change.solid:
        return KeplerSimulator(model.scene, model.index, scale)
    return FieldSimulator(kepler, float(scale[0]), law, kepler.reach if change.solid else 0.0)


def is_changed(change: WorldChange) -> bool:
    """Whether a change changes anything."""
    return change != WorldChange()


def joined_change(changes: Sequence[WorldChange]) -> WorldChange:
    """Several changes at once."""
    whole = WorldChange()
    for each in changes:
        whole = whole.joined(each)
    return whole


States = tuple[Array, Array, Array]  # positions m, velocities m/s and spins m/s (K, F, N, 2)

MEETING_STEPS = 10  # physics steps between the times at which it is asked whether two bodies meet
MEETING_SHARE = 0.5  # of the sum of their radii; bodies at different depths that come nearer have met


@dataclass(frozen=True, eq=False)
class MadeTrajectory:
    """A trajectory whose states a function gives."""

    states: Callable[[Array], States]
    contacts: Sequence[tuple[int, int, int]] = ()

    def at(self, steps: Array) -> States:
        """Positions, velocities and spins at steps (F,), ascending."""
        return self.states(np.asarray(steps, dtype=np.float64))

    def positions(self, steps: Array) -> Array:
        """The positions alone."""
        return self.at(steps)[0]


@dataclass(frozen=True, eq=False)
class Sequel(Simulator):
    """One simulator up to a step, then another one from the states that bodies have there.

    Two planar ones are followed together instead, see `PlanarSimulator.followed_by`.
    """

    before: Simulator
    after: Simulator
    since: int

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention to step `end`."""
        split = int(np.searchsorted(rows[:, STEP], self.since))
        if end <= self.since:
            return self.before.follow(rows, value, end, smooth)
        if split == 0:
            return self.after.follow(rows, value, end, smooth)
        first = self.before.follow(rows[:split], value[:split], self.since, smooth)
        rows, value = rows[split:], value[split:]
        states = np.concatenate([part[:, 0] for part in first.at(np.array([float(self.since)]))], axis=-1)  # (K, N, 6)
        there = np.isfinite(states).all(axis=-1).any(axis=0)
        there[rows[(rows[:, STEP] == self.since) & (rows[:, KIND] == STATE), DISC]] = False  # they begin anew
        carried = np.flatnonzero(there)
        if not len(carried) and not (rows[:, KIND] == STATE).any():
            return first
        begun = np.empty((len(carried), 3), dtype=np.int64)
        begun[:, STEP], begun[:, DISC], begun[:, KIND] = self.since, carried, STATE
        rows = np.concatenate([begun, rows])
        value = np.concatenate([states[:, carried].swapaxes(0, 1), value])
        second = self.after.follow(rows, np.ascontiguousarray(value), end, smooth)

        def at(steps: Array) -> States:
            split = int(np.searchsorted(steps, self.since))
            if split == len(steps):
                return first.at(steps)
            if split == 0:
                return second.at(steps)
            parts = zip(first.at(steps[:split]), second.at(steps[split:]), strict=True)
            position, velocity, spin = (np.concatenate(pair, axis=1) for pair in parts)
            return position, velocity, spin

        met = [contact for contact in first.contacts if contact[0] < self.since]
        return MadeTrajectory(at, [*met, *second.contacts])


@dataclass(frozen=True, eq=False)
class Hastened(Simulator):
    """A world in which everything happens `speed` times as fast from a step on.

    States that are given from that step on are those that are seen: in the world's own time they are slower.
    """

    world: Simulator
    since: int
    speed: float

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention, which must not lie before the change, to step `end`."""
        slowed = value.copy()
        for row, each in zip(rows.tolist(), slowed, strict=True):
            if row[STEP] != self.since and row[KIND] in (STATE, PUSH):
                each[:, 2 if row[KIND] == STATE else 0 :] /= self.speed
        own = rows.copy()
        own[:, STEP] = np.round(self._own(rows[:, STEP].astype(np.float64)))
        run = self.world.follow(own, slowed, math.ceil(self._own(np.array([float(end)]))[0]), smooth)

        def at(steps: Array) -> States:
            position, velocity, spin = run.at(self._own(steps))
            return position, self.speed * velocity, self.speed * spin

        met = [(round(self.since + (step - self.since) / self.speed), i, j) for step, i, j in run.contacts]
        return MadeTrajectory(at, met)

    def _own(self, steps: Array) -> Array:
        """Steps in the world's own time."""
        return self.since + self.speed * (steps - self.since)


@dataclass(frozen=True, eq=False)
class Exchanged(Simulator):
    """A world in which the first two bodies that meet from a step on go on as each other."""

    world: Simulator
    since: int
    radius: Array  # (N,) m

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention to step `end`."""
        run = self.world.follow(rows, value, end, smooth)
        meeting = self._meeting(run, end)
        if meeting is None:
            return run
        when, i, j = meeting

        def at(steps: Array) -> States:
            position, velocity, spin = (part.copy() for part in run.at(steps))
            later = int(np.searchsorted(steps, when))
            for part in (position, velocity, spin):
                part[:, later:, [i, j]] = part[:, later:, [j, i]]
            return position, velocity, spin

        return MadeTrajectory(at, run.contacts)

    def _meeting(self, run: Trajectory, end: int) -> tuple[float, int, int] | None:
        """Step and bodies of the first contact, or of the first time that one passes before another."""
        found = [(float(step), i, j) for step, i, j in run.contacts if j >= 0 and step >= self.since]
        if end <= self.since or len(self.radius) < 2:
            return None
        steps = np.arange(self.since, end + 1, MEETING_STEPS, dtype=np.float64)
        position = run.positions(steps)[0]
        for i in range(len(self.radius)):
            for j in range(i):
                away = np.linalg.norm(position[:, i] - position[:, j], axis=-1)
                away = np.where(np.isfinite(away), away, np.inf)
                near = np.flatnonzero(away < MEETING_SHARE * (self.radius[i] + self.radius[j]))
                if len(near):
                    apart = np.flatnonzero(away[near[0] :] >= away[near[0]] + 1e-9)
                    last = near[0] + (int(apart[0]) if len(apart) else len(away) - near[0])
                    found.append((float(steps[near[0] + away[near[0] : last].argmin()]), i, j))
        return min(found, default=None)


@dataclass(frozen=True, eq=False)
class FieldSimulator(Simulator):
    """Simulates bodies in changed central fields, see `field_orbits`."""

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
