"""Applies a violation plan: what a perfect renderer would show of the violated world."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.laws.changes import AlteredField, WorldChange, changed_gravity
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError, nearest
from physbench.validity.violations import violation_plan
from physbench.validity.violations.violation_plan import StepHook, candidate_events
from physbench.world.bodies import UPRIGHT
from physbench.world.bullet import World, step_of
from physbench.world.camera import plane_from_world
from physbench.world.scene import (
    HISTORY,
    PHYSICS_HZ,
    Contact,
    Drag,
    ForceField,
    Joint,
    RadialField,
    RenderSpec,
    Scene,
    Spring,
)
from physbench.world.styles.catalogue import draw

LEAST_EFFECT = 0.05  # diameters; a violation of the motion that moves nothing further is not seen


@dataclass(eq=False)
class Violated:
    """A violated world: a scene, what was done to it, and what is seen of that."""

    scene: Scene
    acts: tuple[violation_plan.Act, ...]
    plans: tuple[violation_plan.ViolationPlan, ...]  # one of each act
    seed: int
    _known: tuple[Array, Array] | None = field(default=None, repr=False)  # times and states that were asked for last

    @property
    def id(self) -> str:
        """ "teleport:0.25", or several joined by +."""
        return "+".join(act.id for act in self.acts)

    @property
    def plan(self) -> violation_plan.ViolationPlan:
        """All that is done to the scene."""
        return sum(self.plans, violation_plan.ViolationPlan(()))

    @property
    def events(self) -> tuple[violation_plan.ViolationEvent, ...]:
        """Times and bodies at which the acts are seen. Raises Inapplicable where a clock puts one after the end.

        What happens in the world happens later where a clock makes it slow: times of hooks, bends and appearances are
        those of the world.
        """
        clocks = [clock for whose, clock in self.plan.clocks if whose is None]
        if not clocks or len(self.plans) == 1:
            return self.plan.events
        shown = np.arange(round(self.scene.horizon * PHYSICS_HZ) + 1) / PHYSICS_HZ
        shown_events, before = [], 0
        for plan in self.plans:
            own = sum(whose is None for whose, _ in plan.clocks)
            world = _through(clocks[:before] if own else clocks, shown)
            before += own
            for event in plan.events:
                later = np.flatnonzero(world > event.time + 1e-9)
                if not len(later):
                    raise violation_plan.Inapplicable("with another clock it comes after the end of the clip")
                time = float(shown[max(later[0] - 1, 0)])
                shown_events.append(replace(event, time=time, hidden_since=None if event.hidden_since is None else 0.0))
        return tuple(shown_events)

    def states(self, times: Sequence[float] | Array) -> Array:
        """States (T, N, 13) of the bodies of the scene, as shown at times (T,) s, ascending multiples of 1/1200."""
        times = np.asarray(times, dtype=np.float64)
        if self._known is None or not np.isin(times, self._known[0]).all():
            self._known = times, self._simulate(times)
        known, states = self._known
        return np.asarray(states[np.searchsorted(known, times)])

    def _simulate(self, times: Array) -> Array:
        names = [body.name for body in self.scene.bodies]
        shown = np.empty((len(times), len(names)))  # s of the simulation
        world = self._world(times)
        shown[:] = world[:, None]
        for whose, clock in self.plan.clocks:
            if whose is not None:
                shown[:, names.index(whose)] = clock(shown[:, names.index(whose)])
        steps = np.maximum(np.rint(shown * PHYSICS_HZ).astype(np.int64), -round(HISTORY * PHYSICS_HZ))
        states = simulate_hooked(self.scene, copy.deepcopy(self.plan.hooks), np.unique(steps))
        at = np.searchsorted(np.unique(steps), steps)
        result = np.stack([states[at[:, i], i] for i in range(len(names))], axis=1)
        for name, bend in self.plan.bends:
            result[:, names.index(name)] = bend(world, result[:, names.index(name)])
        return result

    def _world(self, times: Array) -> Array:
        """Time in the world (T,) s when it is shown at `times` (T,) s."""
        return _through([clock for whose, clock in self.plan.clocks if whose is None], times)

    def frames(self, times: Sequence[float] | Array, spec: RenderSpec) -> Image:
        """Frames (T, H, W, 3) at times (T,) s."""
        times = np.asarray(times, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # areas of bodies that flew far out of the view, which frames do not need
            frames = self._drawn_frames(times, spec)
        random = np.random.default_rng(self.seed)
        for treat in self.plan.treatments:
            late = times > 1e-9
            frames = frames.copy()
            frames[late] = treat(frames[late], times[late], random)
        return frames

    def _drawn_frames(self, times: Array, spec: RenderSpec) -> Image:
        """Frames (T, H, W, 3) before anything is done to the picture."""
        states = self.states(times)
        world = self._world(times)  # which holders are still there is a matter of that
        if not self.plan.appearances:
            return draw(self.scene, world, states, spec).frames
        frames = np.empty((len(times), spec.height, spec.width, 3), dtype=np.uint8)
        active = np.stack([appearance.active(world) for appearance in self.plan.appearances], axis=1)
        for row in np.unique(active, axis=0):
            at = np.flatnonzero((active == row).all(axis=1))
            appearances = [appearance for appearance, on in zip(self.plan.appearances, row, strict=True) if on]
            frames[at] = _drawn(self.scene, appearances, world[at], states[at], spec)
        return frames

    def effect(self, times: Array, lawful: Array) -> float:
        """Largest distance in diameters from the lawful states (T, N, 13) while either is in view; 0 if none moves."""
        candidates = candidate_events(self.scene)
        ours, most = self.states(times), 0.0
        for i in candidates.moving:
            a, b = (plane_from_world(self.scene.camera, states[:, i, :3]) for states in (ours, lawful))
            seen = candidates.in_view(i, a) | candidates.in_view(i, b)
            far = np.linalg.norm(a - b, axis=1)[seen]
            most = max(most, float(far.max(initial=0.0)) / candidates.diameter(i))
        return most

    def refuse_unseen(self, times: Array, lawful: Array) -> None:
        """Raise Inapplicable where only the motion is wrong and no body ever is LEAST_EFFECT off for it.

        It is Unseen where something moves at all, by 0.005 diameters or more; else there is nothing to violate.
        """
        if self.plan.appearances or self.plan.treatments:
            return
        effect = self.effect(times, lawful)
        if effect < LEAST_EFFECT:
            refused = violation_plan.Inapplicable if effect < 0.005 else violation_plan.Unseen
            raise refused(f"it moves nothing in view by more than {effect:.2g} diameters")


def _through(clocks: Sequence[violation_plan.Clock], times: Array) -> Array:
    """Times (T,) s through clocks, one after the other."""
    for clock in clocks:
        times = clock(times)
    return times


def _drawn(
    scene: Scene, appearances: Sequence[violation_plan.Appearance], times: Array, states: Array, spec: RenderSpec
) -> Image:
    """Frames of a scene in which these appearances hold throughout."""
    bodies, columns, coloured = list(scene.bodies), [states], {}
    for appearance in appearances:
        i = scene.index(appearance.body)
        if appearance.hidden:
            bodies[i] = replace(bodies[i], drawn=False)
        if appearance.size != 1.0:
            bodies[i] = replace(bodies[i], size=tuple(appearance.size * x for x in bodies[i].size))
        if appearance.shape is not None:
            shape, measures = appearance.shape
            bodies[i] = replace(bodies[i], shape=shape, size=measures, flat=True)
            states[:, i, 3:7] = UPRIGHT
        states[:, i, 2] += appearance.lift
        if appearance.colour is not None:
            coloured[i] = appearance.colour
    for appearance in appearances:
        if appearance.shift is not None:
            i = scene.index(appearance.body)
            double = states[:, i : i + 1].copy()
            double[..., :3] += appearance.shift
            columns.append(double)
            if i in coloured:
                coloured[len(bodies)] = coloured[i]
            bodies.append(replace(bodies[i], name=f"{appearance.body} again"))
    every = np.concatenate(columns, axis=1)
    return draw(replace(scene, bodies=tuple(bodies), bins=()), times, every, spec, coloured).frames


def violate(scene: Scene, acts: Sequence[violation_plan.Act], key: str) -> Violated:
    """Plan violations of a scene, one after the other, each on its own random numbers.

    key: what the drawn times, bodies and directions depend on besides the scene, such as the id of a clip; severities
    of one violation share them. Raises Inapplicable with the reason where one of them finds nothing to violate.
    """
    candidates = candidate_events(scene)
    plans = (
        act.violation.plan(candidates, act.severity, np.random.default_rng(_seed(key, act.violation.name)))
        for act in acts
    )
    return Violated(scene, tuple(acts), tuple(plans), _seed(key, "picture"))


def _seed(key: str, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"physbench violation|{key}|{name}".encode()).digest()[:8], "big")


def find_acts(text: str) -> tuple[violation_plan.Act, ...]:
    """The acts of "teleport:0.25+hue:72"; without a severity a violation has its main one. Raises UsageError."""
    acts = []
    for part in text.split("+"):
        name, _, severity = part.partition(":")
        if name not in violation_plan.REGISTRY:
            raise UsageError(f"There is no violation '{name}'.{nearest(name, violation_plan.REGISTRY)}")
        violation = violation_plan.REGISTRY[name]
        try:
            number = float(severity) if severity else violation.main
        except ValueError:
            raise UsageError(f"'{part}': expected a number after the colon, as in {violation.acts[0].id}.") from None
        acts.append(violation.act(number))
    names = [act.violation.name for act in acts]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"'{text}': {twice[0]} is there twice. Give it once, at the severity that is meant.")
    return tuple(acts)


UNIFORM = {"gravity", "gravity_angle", "wind"}  # parts of a change that PyBullet has as its one gravity
FORCES = UNIFORM | {"central_mass", "exponent"}
SCALED_FIELDS: dict[str, type[ForceField]] = {"medium_drag": Drag, "spring_stiffness": Spring}  # constants of laws

# A simulation with hooks: the same steps as `World`, and hooks that act between them.


class HookedWorld(World):
    """A `World` from the start of the history with hooks. Until the first one acts, states are bit-identical to it."""

    def __init__(self, scene: Scene, hooks: Sequence[StepHook]) -> None:
        self.pull = 1.0  # times central gravity
        self.bend: tuple[float, Array] | None = None  # (exponent, (N, N) m: where bodies feel what they felt before)
        self.gone: set[int] = set()  # bodies that hooks took away: no force acts on or from them
        super().__init__(scene)
        self._hooks = tuple(hooks)
        self._first = min((step_of(hook.start) for hook in hooks), default=None)

    def advance(self, time: float) -> None:
        """As `World.advance`, with hooks before and after each step."""
        last = step_of(time)
        if self._first is None or self.step < self._first:
            super().advance(min(last, last if self._first is None else self._first) / PHYSICS_HZ)
        while self.step < last:
            busy = [hook for hook in self._hooks if step_of(hook.start) <= self.step]
            for hook in busy:
                hook.before(self)
            super().advance((self.step + 1) / PHYSICS_HZ)
            for hook in busy:
                hook.after(self)

    # What hooks may do

    def state(self, index: int) -> Array:
        """State (13,) of a body now."""
        self._read(index)
        state: Array = self._states[0, index].copy()
        return state

    def put(self, index: int, state: Array) -> None:
        """Put a moving body into a state (13,), a guided one into the nearest that its joint allows."""
        number, api, client = self._ids[0][index], self._client.api, self._client.id
        if self._link(index) < 0 and np.array_equal(self.state(index)[:7], state[:7]):  # its pose is left as it is
            api.resetBaseVelocity(number, state[7:10].tolist(), state[10:].tolist(), physicsClientId=client)
        else:
            self._set(0, index, state)

    def tune(self, index: int, **dynamics: float) -> None:
        """Change mass (kg), restitution or lateralFriction of a body."""
        if self._ids[0][index] >= 0:
            self._client.api.changeDynamics(
                self._ids[0][index], self._link(index), **dynamics, physicsClientId=self._client.id
            )

    def ignore(self, a: int, b: int) -> None:
        """Two bodies do not collide with each other any more."""
        ids = self._ids[0]
        links = self._link(a), self._link(b)
        self._client.api.setCollisionFilterPair(ids[a], ids[b], *links, 0, physicsClientId=self._client.id)

    def alter(self, change: WorldChange) -> None:
        """The forces of a changed world from now on. Raises ValueError for changes of anything else."""
        factors = dict(change.constants)
        unknown = change.altered - FORCES - SCALED_FIELDS.keys()
        if unknown:
            raise ValueError(f"A hook changes {sorted(FORCES | SCALED_FIELDS.keys())} but got {sorted(unknown)}.")
        if change.altered & UNIFORM:
            self._client.api.setGravity(*changed_gravity(self.scene, change), physicsClientId=self._client.id)
        if change.central_mass != 1.0:
            self.pull *= change.central_mass
            self._pulls = self._find_pulls()
            self._scale(lambda field: not isinstance(field, Drag | Spring), change.central_mass)
        for name, kind in SCALED_FIELDS.items():
            if name in factors:
                self._scale(lambda field, kind=kind: isinstance(field, kind), factors[name])  # type: ignore[misc]
        if change.exponent != 2.0:
            self._bend_fields(change.exponent)

    def remove(self, index: int) -> None:
        """Take a body away; it keeps its last pose at rest."""
        self._remove(index)
        self.gone.add(index)
        self._pulls = self._find_pulls()
        name = self.scene.bodies[index].name
        self._act(each for each in self._own_fields if name not in each.sources)

    def _scale(self, chosen: Callable[[ForceField], bool], factor: float) -> None:
        """Fields that are not central gravity become `factor` times as strong, where `chosen` is true of them."""
        self._act(
            replace(each, factor=factor * each.factor)
            if isinstance(each, AlteredField) and chosen(each.field)
            else each
            for each in map(altered, self._own_fields)
        )

    def _bend_fields(self, exponent: float) -> None:
        """Fields go with a power of the distance that is 2 - exponent higher; bodies feel at first what they felt."""
        scene, places = self.scene, self.states()[0, :, :3]
        away = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(len(places))  # m
        self.bend = exponent, away
        self._act(
            replace(each, higher=2 - exponent, reference=away[:, scene.index(each.field.source)])
            if isinstance(each, AlteredField) and isinstance(each.field, RadialField)
            else each
            for each in map(altered, self._own_fields)
        )

    def touching(self, a: int, b: int) -> bool:
        """True if two bodies are in contact now."""
        return ((a, b) if a < b else (b, a)) in self._touching

    def met(self, pair: frozenset[str], since: float) -> Contact | None:
        """The first contact of a pair of bodies from `since` s on."""
        return next((c for c in self.contacts if c.time >= since - 1e-9 and {c.a, c.b} == pair), None)

    # Fields

    def _find_pulls(self) -> list[tuple[int, list[tuple[int, float]]]]:
        pulls = super()._find_pulls()
        if self.pull == 1.0 and not self.gone:
            return pulls
        return [
            (c, [(i, s * self.pull) for i, s in drawn if i not in self.gone])
            for c, drawn in pulls
            if c not in self.gone
        ]

    def _attract(self) -> None:
        """With an exponent p other than 2: the field times (r / r0)^(2 - p), r0 the distance when that set in."""
        if self.bend is None:
            super()._attract()
            return
        exponent, reference = self.bend
        pulls = self._pulls
        places = {i: self.state(i)[:3] for c, drawn in pulls for i in (c, *(j for j, _ in drawn))}
        self._pulls = [
            (
                c,
                [
                    (i, s * float(np.linalg.norm(places[c] - places[i]) / reference[i, c]) ** (2 - exponent))
                    for i, s in drawn
                ],
            )
            for c, drawn in pulls
        ]
        try:
            super()._attract()
        finally:
            self._pulls = pulls


def altered(field: ForceField) -> ForceField:
    """A field that can be altered, and altered again; a joint, whose force follows from all others, as it is."""
    return field if isinstance(field, AlteredField | Joint) else AlteredField(field)


def simulate_hooked(scene: Scene, hooks: Sequence[StepHook], steps: NDArray[np.int64]) -> Array:
    """States (T, N, 13) of a simulation with hooks at physics steps (T,), in any order, from -2400 on."""
    order: Any = np.unique(steps)
    with HookedWorld(scene, hooks) as world:
        states = []
        for step in order.tolist():
            world.advance(step / PHYSICS_HZ)
            states.append(world.states()[0])
    return np.stack(states)[np.searchsorted(order, steps)]


FRAME = 1 / 30  # s; "a frame" in severities


@dataclass
class OneStepHook(StepHook):
    """A hook that acts in one step and never again."""

    done: bool = field(default=False, init=False)

    def before(self, world: HookedWorld) -> None:
        if not self.done:
            self.done = True
            self.act(world)

    def act(self, world: HookedWorld) -> None:
        raise NotImplementedError


@dataclass
class ChangeLaws(OneStepHook):
    """The forces are those of a changed world."""

    change: WorldChange

    def act(self, world: HookedWorld) -> None:
        world.alter(self.change)


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
class GrowVelocity(StepHook):
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
class HoldStill(StepHook):
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
class ExtraImpulse(StepHook):
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
            if not world.touching(self.a, self.b):
                return
            self.met_at = world.step
        # steps after a contact until its impulse is over, at most
        if world.touching(self.a, self.b) and world.step - self.met_at < 6:
            return
        state = world.state(self.b)
        state[7:10] += self.share * (state[7:10] - self.past[0])
        world.put(self.b, state)
        self.given = True
