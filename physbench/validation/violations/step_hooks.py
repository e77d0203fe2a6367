"""Hooks that change a running simulation; each leaves everything as it is before its `start`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.validation.violations.hooked_world import HookedWorld
from physbench.world.scene import PHYSICS_HZ, Vector

Array = NDArray[np.float64]

FRAME = 1 / 30  # s; "a frame" in severities
SETTLE = 6  # steps after a contact until its impulse is over, at most


@dataclass
class StepHookBase:
    """A hook that does nothing: what the others share."""

    start: float  # s

    def before(self, world: HookedWorld) -> None:
        pass

    def after(self, world: HookedWorld) -> None:
        pass


@dataclass
class OneStepHook(StepHookBase):
    """A hook that acts in one step and never again."""

    done: bool = field(default=False, init=False)

    def before(self, world: HookedWorld) -> None:
        if not self.done:
            self.done = True
            self.act(world)

    def act(self, world: HookedWorld) -> None:
        raise NotImplementedError


@dataclass
class SetGravity(OneStepHook):
    """Another uniform gravity."""

    gravity: Vector  # m/s2

    def act(self, world: HookedWorld) -> None:
        world.set_gravity(self.gravity)


@dataclass
class ScaleFields(OneStepHook):
    """All central fields times a factor."""

    factor: float

    def act(self, world: HookedWorld) -> None:
        world.pull_by(self.factor)


@dataclass
class SetFieldExponent(OneStepHook):
    """Central fields fall with another power of the distance; every body feels at first what it felt before."""

    exponent: float  # positive: 2 is Newton's

    def act(self, world: HookedWorld) -> None:
        scene = world.scene
        sources = [scene.index(field.source) for field in scene.fields]
        distance = np.ones(len(scene.bodies))
        for i in range(len(scene.bodies)):
            others = [s for s in sources if s != i]
            if others:
                distance[i] = float(np.linalg.norm(world.state(i)[:3] - world.state(others[0])[:3]))
        world.bend = (self.exponent, distance)


@dataclass
class ShiftState(OneStepHook):
    """Adds to the place, the velocity and the spin of a body."""

    body: int
    place: Array  # (3,) m
    velocity: Array  # (3,) m/s
    spin: Array  # (3,) rad/s

    def act(self, world: HookedWorld) -> None:
        state = world.state(self.body)
        state[:3] += self.place
        state[7:10] += self.velocity
        state[10:] += self.spin
        world.put(self.body, state)


@dataclass
class GrowVelocity(StepHookBase):
    """Velocity and spin of bodies grow by a share in every thirtieth of a second."""

    bodies: tuple[int, ...]
    share: float

    def before(self, world: HookedWorld) -> None:
        factor = (1 + self.share) ** (1 / (FRAME * PHYSICS_HZ))
        for body in self.bodies:
            state = world.state(body)
            state[7:] *= factor
            world.put(body, state)


@dataclass
class HoldStill(StepHookBase):
    """A body stands still until `end` and then goes on with the motion that it had."""

    body: int
    end: float  # s; infinity: for good
    kept: Array | None = field(default=None, init=False)
    over: bool = field(default=False, init=False)

    def before(self, world: HookedWorld) -> None:
        if self.kept is None:
            self.kept = world.state(self.body)
        if not self.over and world.time >= self.end - 1e-9:
            self.over = True
            world.put(self.body, self.kept)
        self.after(world)

    def after(self, world: HookedWorld) -> None:
        if self.kept is not None and not self.over:
            world.put(self.body, np.concatenate([self.kept[:7], np.zeros(6)]))


@dataclass
class SetMaterial(OneStepHook):
    """Other material constants of bodies, by name as `changeDynamics` has them."""

    bodies: dict[int, dict[str, float]]

    def act(self, world: HookedWorld) -> None:
        for index, dynamics in self.bodies.items():
            world.tune(index, **dynamics)


@dataclass
class IgnoreContact(OneStepHook):
    """Two bodies go through each other."""

    a: int
    b: int

    def act(self, world: HookedWorld) -> None:
        world.ignore(self.a, self.b)


@dataclass
class RemoveBody(OneStepHook):
    """A body is gone."""

    body: int

    def act(self, world: HookedWorld) -> None:
        world.remove(self.body)


@dataclass
class ExtraImpulse(StepHookBase):
    """At the first contact of two bodies the second one gets `share` more of the impulse than the first one gives."""

    a: int
    b: int
    share: float
    past: list[Array] = field(default_factory=list, init=False)  # velocities (3,) of b before the last steps
    met_at: int | None = field(default=None, init=False)
    given: bool = field(default=False, init=False)

    def before(self, world: HookedWorld) -> None:
        if self.met_at is None:
            self.past = [*self.past[-2:], world.state(self.b)[7:10]]

    def after(self, world: HookedWorld) -> None:
        if self.given:
            return
        if self.met_at is None:
            if not world.touching(min(self.a, self.b), max(self.a, self.b)):
                return
            self.met_at = world.step
        if world.touching(min(self.a, self.b), max(self.a, self.b)) and world.step - self.met_at < SETTLE:
            return
        state = world.state(self.b)
        state[7:10] += self.share * (state[7:10] - self.past[0])
        world.put(self.b, state)
        self.given = True
