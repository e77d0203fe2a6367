"""The law of a scene: the one protocol by which shadowing, predictability, the physicist and diagnosis move bodies.

`scene_law` gives a scene the first law that can move it: planar discs and central fields come with physbench, others
are found as tasks are. A law of one's own says which fields it covers and moves states (`simulate`); what else the
protocol asks has an answer for bodies that touch nothing.

A law moves candidates of a scene with a `Simulator`, under interventions, to a `Trajectory`; those that a function
gives, and combinations, are here too.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from itertools import groupby
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from physbench.laws.planar_motion import BODY, KIND, KINDS, PUSH, STATE, STEP
from physbench.laws.support_check import Unsupported, check_motion
from physbench.support import plugins
from physbench.support.arrays import Array, Mask, Whole
from physbench.support.errors import LAW_FAULT, LawError, PhysbenchError, UsageError
from physbench.support.plugins import UserFile, describe_error_in_file, entries, load
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Scene

if TYPE_CHECKING:
    from physbench.laws.changes import Alteration, WorldChange

# Interventions: what sets, pushes or removes a body at a given step, or changes its forces.


@dataclass(frozen=True, eq=False)
class Intervention:
    """A body gets the states of K candidates, gets a push, or is removed; or the forces on all bodies change.

    A state is position m, velocity m/s and the velocity m/s that the spin stands for. Only worlds that are changed have
    the kinds "gravity", another uniform gravity from here on, and "damp": velocities and spins are multiplied by a
    factor, and the velocities of bodies that rest on nothing are turned by an angle.
    """

    step: int
    body: int  # which of the moving bodies; any where all of them are meant
    kind: Literal["state", "push", "gone", "gravity", "damp"]
    value: Array | None = (
        None  # (K, 6) of a state, (2,) m/s of a push or m/s2 of gravity, (2,) factor and rad of "damp"
    )


class Trajectory(Protocol):
    """The motion of K candidates of N bodies."""

    @property
    def contacts(self) -> Sequence[tuple[int, int, int]]:
        """Contacts of the first candidate: step, body and other body or -1."""
        ...

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Positions m, velocities m/s and spins m/s (K, F, N, 2) at steps (F,), ascending.

        NaN where a body is absent, or a candidate has been given up."""
        ...

    def positions(self, steps: Array) -> Array: ...


class Simulator(ABC):
    """Simulates K candidates of a scene."""

    @abstractmethod
    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention, which gives a body its states, to step `end`.

        Args:
            rows: (M, 3) STEP, BODY and KIND of `planar_motion`; steps ascending, none after `end`.
            value: (M, K, 6) what each sets or adds, as of an `Intervention`; 0 in columns that it does not have.
            end: Step.
            smooth: Events stay where they are in continuous time, so that the result has derivatives.
        """

    def positions(self, rows: Whole, value: Array, end: int, steps: Array, smooth: bool = False) -> Array:
        """Positions (K, F, N, 2) m at steps (F,), ascending, of what `follow` simulates."""
        return self.follow(rows, value, end, smooth).positions(steps)

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Trajectory:
        """As `follow` with interventions in any order; those after `end` do not count."""
        rows, value, _ = intervention_arrays(changes, end)
        return self.follow(rows, value, end, smooth)

    def followed_by(self, after: Simulator, since: int) -> Simulator:
        """The simulator that goes on as another one, of the same bodies, from a step on."""
        return Sequel(self, after, since)


def intervention_arrays(changes: Sequence[Intervention], end: int) -> tuple[Whole, Array, list[int]]:
    """Interventions up to a step as arrays.

    Returns:
        Rows (M, 3) and values (M, K, 6), in the order of steps, as `Simulator.follow` takes them; the interventions
        (M,) that they stand for.
    """
    order = sorted((c for c in range(len(changes)) if changes[c].step <= end), key=lambda c: changes[c].step)
    size = max((len(each.value) for each in changes if each.kind == "state" and each.value is not None), default=1)
    rows, value = np.empty((len(order), 3), dtype=np.int64), np.zeros((len(order), size, 6))
    for m, c in enumerate(order):
        change = changes[c]
        rows[m] = change.step, change.body, KINDS.index(change.kind)
        if change.value is not None:
            value[m, :, : change.value.shape[-1]] = change.value
    return rows, value, order


# Simulators that a function gives, and combinations of simulators.


States = tuple[Array, Array, Array]  # positions m, velocities m/s and spins m/s (K, F, N, 2)
Simulate = Callable[[Array, Array, Array], Array]  # as `SceneLaw.simulate`
Touches = Callable[[Array, Array, Array], Sequence[tuple[float, int, int]]]  # as `SceneLaw.contacts`


@dataclass(frozen=True, eq=False)
class MadeTrajectory:
    """A trajectory whose states a function gives."""

    states: Callable[[Array], States]
    contacts: Sequence[tuple[int, int, int]] = ()

    def at(self, steps: Array) -> States:
        """Positions, velocities and spins at steps (F,), ascending."""
        return self.states(np.asarray(steps, dtype=np.float64))

    def positions(self, steps: Array) -> Array:
        return self.at(steps)[0]


@dataclass(frozen=True, eq=False)
class Piece:
    """Motion from one step on that no intervention changes, up to the begin of the next piece."""

    begin: int
    states: Array  # (K, N, 4) m and m/s, NaN of a body that is absent
    spin: Array  # (K, N, 2) m/s, as it was given


@dataclass(frozen=True, eq=False)
class PiecewiseTrajectory:
    """Motion of K candidates in pieces, computed where it is asked for."""

    simulator: PiecewiseSimulator
    pieces: Sequence[Piece]
    end: int

    @property
    def contacts(self) -> Sequence[tuple[int, int, int]]:
        """Contacts of the first candidate: step, body and other body or -1."""
        ends = [*(piece.begin for piece in self.pieces[1:]), self.end]
        return [
            (round(time * PHYSICS_HZ), one, other)
            for piece, end in zip(self.pieces, ends, strict=True)
            for time, one, other in self.simulator.touches(
                piece.states[0], np.array([piece.begin, end]) / PHYSICS_HZ, self.simulator.constants[0]
            )
        ]

    def at(self, steps: Array) -> States:
        """Positions m, velocities m/s and spins m/s (K, F, N, 2) at steps (F,); NaN before the first piece."""
        states = np.full((3, *self._shape(steps)), np.nan)
        for piece, part in self._parts(steps):
            moved = self.simulator.moved(piece, steps[part])
            states[0, :, part], states[1, :, part] = moved[..., :2], moved[..., 2:]
            states[2, :, part] = piece.spin[:, None]
        return states[0], states[1], states[2]

    def positions(self, steps: Array) -> Array:
        position = np.full(self._shape(steps), np.nan)
        for piece, part in self._parts(steps):
            position[:, part] = self.simulator.moved(piece, steps[part])[..., :2]
        return position

    def _shape(self, steps: Array) -> tuple[int, int, int, int]:
        size, count = self.pieces[0].states.shape[:2]
        return size, len(steps), count, 2

    def _parts(self, steps: Array) -> Iterator[tuple[Piece, slice]]:
        """The pieces, and which of the steps (F,) lie in each; those in which none does are left out."""
        cuts = np.searchsorted(steps, [piece.begin for piece in self.pieces]).tolist()
        for piece, first, end in zip(self.pieces, cuts, [*cuts[1:], len(steps)], strict=True):
            if first < end:
                yield piece, slice(first, end)


@dataclass(frozen=True, eq=False)
class PiecewiseSimulator(Simulator):
    """Simulates with a function that moves all bodies of all candidates from one moment to others."""

    simulate: Simulate
    touches: Touches
    count: int  # N
    constants: Array  # (K or 1, C)

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> PiecewiseTrajectory:
        """Simulate from the first intervention; whether `smooth` or not is the same."""
        size = value.shape[1]
        now = Piece(end, np.full((size, self.count, 4), np.nan), np.full((size, self.count, 2), np.nan))
        pieces: list[Piece] = []
        for step, group in groupby(zip(rows.tolist(), value, strict=True), key=lambda pair: pair[0][STEP]):
            states = self.moved(now, np.array([float(step)]))[:, 0] if pieces else now.states
            now = Piece(step, states.copy(), now.spin.copy())
            for row, each in group:
                body = row[BODY]
                if row[KIND] == STATE:
                    now.states[:, body], now.spin[:, body] = each[:, :4], each[:, 4:]
                elif row[KIND] == PUSH:
                    now.states[:, body, 2:] += each[:, :2]
                else:
                    now.states[:, body], now.spin[:, body] = np.nan, np.nan
            pieces.append(now)
        return PiecewiseTrajectory(self, pieces or [now], end)

    def moved(self, piece: Piece, steps: Array) -> Array:
        """States (K, F, N, 4) of a piece at steps (F,)."""
        times = np.concatenate([[piece.begin], steps]) / PHYSICS_HZ
        return self.simulate(piece.states, times, self.constants)[:, 1:]


@dataclass(frozen=True, eq=False)
class Sequel(Simulator):
    """One simulator up to a step, then another one from the states that bodies have there."""

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
        there[rows[(rows[:, STEP] == self.since) & (rows[:, KIND] == STATE), BODY]] = False  # they begin anew
        carried = np.flatnonzero(there)
        if not len(carried) and not (rows[:, KIND] == STATE).any():
            return first
        begun = np.empty((len(carried), 3), dtype=np.int64)
        begun[:, STEP], begun[:, BODY], begun[:, KIND] = self.since, carried, STATE
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
        meetings = [(float(step), i, j) for step, i, j in run.contacts if j >= 0 and step >= self.since]
        if end <= self.since or len(self.radius) < 2:
            return None
        # physics steps between the times at which it is asked whether two bodies meet
        steps = np.arange(self.since, end + 1, 10, dtype=np.float64)
        position = run.positions(steps)[0]
        for i in range(len(self.radius)):
            for j in range(i):
                away = np.linalg.norm(position[:, i] - position[:, j], axis=-1)
                away = np.where(np.isfinite(away), away, np.inf)
                # bodies at different depths that come nearer than half the sum of their radii have met
                near = np.flatnonzero(away < 0.5 * (self.radius[i] + self.radius[j]))
                if len(near):
                    apart = np.flatnonzero(away[near[0] :] >= away[near[0]] + 1e-9)
                    last = near[0] + (int(apart[0]) if len(apart) else len(away) - near[0])
                    meetings.append((float(steps[near[0] + away[near[0] : last].argmin()]), i, j))
        return min(meetings, default=None)


LAW_GROUP = "physbench.laws"
FREE = -1  # the chart of free motion


@dataclass(frozen=True)
class LawConstant:
    """A number of a law, as a factor on its value in the scene: 1 changes nothing.

    A factor on the first one is free where a context shows no forces. With a phrase it is also a changed world that
    diagnosis tries (`physbench.result.diagnosis.changed_world` says what each of these is).
    """

    id: str  # "stiffness"
    phrase: str = ""  # in the subjunctive, with {value}: "the spring were {value} times as stiff"
    short: str = ""  # "stiffness"
    seen: str | tuple[str, str] = ""
    values: tuple[float, ...] = (0.4, 0.7, 0.9, 1.1, 1.4, 2.0)  # first ones that are tried
    range: tuple[float, float] = (0.05, 4.0)

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"LawConstant '{self.id}': expected factors to try in `values`, but got none")


@dataclass(eq=False)
class SceneLaw:
    """Motion of the N moving bodies of a scene in its plane of motion.

    A state is position m and velocity m/s (4,), in interventions followed by the velocity m/s that a spin stands for.
    A chart is what a body's motion begins with, as numbers: FREE takes x, y m and vx, vy m/s; on a face there are less.
    Bodies are numbered from 0 to N - 1, frames and candidates come first in arrays.
    """

    scene: Scene
    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    depth: Array  # (N,) m along the view
    pushes: tuple[Intervention, ...]  # impulses of the scene
    since: float  # s from which on the scene is simulated
    alteration: Alteration | None = None  # by which the world is another one, see `changes.altered_law`

    name: ClassVar[str] = ""
    fields: ClassVar[tuple[type, ...]] = ()  # kinds of fields that it covers; scenes with none where it is empty
    constants: ClassVar[tuple[LawConstant, ...]] = ()  # (C,) what is free in it
    has_contacts: ClassVar[bool] = False  # whether it lets bodies touch anything
    continuous: ClassVar[bool] = True  # whether velocities are those of the moment, not of half a physics step before
    removable: ClassVar[bool] = True  # whether bodies that are no longer followed may be left out
    last_resort: ClassVar[bool] = False  # whether it is asked after those of users, and says nothing where it cannot

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Let what a user's law raises in a method of the protocol be a LawError: any reading may call it."""
        super().__init_subclass__(**arguments)
        if comes_with_physbench(cls):
            return
        for name in (each for each in vars(SceneLaw) if not each.startswith("__")):
            owner = next(kind for kind in cls.__mro__ if name in vars(kind))
            value = vars(owner)[name]
            if owner is not cls and issubclass(owner, SceneLaw):
                continue  # what is inherited from a class that is no law is the law's own
            if isinstance(value, (classmethod, staticmethod)):
                setattr(cls, name, type(value)(_naming_the_law(cls, value.__func__)))
            elif isinstance(value, cached_property):
                again = cached_property(_naming_the_law(cls, value.func))
                again.__set_name__(cls, name)
                setattr(cls, name, again)
            elif isinstance(value, property) and value.fget:
                setattr(cls, name, property(_naming_the_law(cls, value.fget)))
            elif isinstance(value, FunctionType):
                setattr(cls, name, _naming_the_law(cls, value))

    @classmethod
    def covers(cls, scene: Scene) -> bool:
        """True where it has all kinds of fields that act in a scene; else it is not asked."""
        return bool(scene.fields) == bool(cls.fields) and all(isinstance(each, cls.fields) for each in scene.fields)

    def check(self) -> None:
        """Scenes with these fields that it cannot move: raise `Unsupported`, with the reason."""

    # Motion

    def simulate(self, states: Array, times: Array, constants: Array) -> Array:
        """Move all candidates.

        Args:
            states: (K, N, 4) at the first of the times; NaN of a body that is absent.
            times: (F,) s, ascending; the first two may be the same.
            constants: (K or 1, C) factors.

        Returns states (K, F, N, 4).
        """
        raise NotImplementedError(f"{type(self).__name__} has no simulate()")

    def contacts(self, states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
        """Contacts of one candidate, states (N, 4), between two times: s, body and other body or -1."""
        return ()

    def moved(self, states: Array, times: Array, constants: Array) -> Array:
        """As `simulate`, which cannot change what a user's law is given.

        Raises LawError where that returns another shape.
        """
        given = (states, times, constants)
        moved = self.simulate(*(given if comes_with_physbench(type(self)) else map(_read_only, given)))
        size, count, columns = states.shape
        if np.shape(moved) != (size, len(times), count, columns):
            raise _law_error(
                type(self),
                f"simulate() was given states {states.shape} and {len(times)} times: expected states "
                f"{(size, len(times), count, columns)} but got {np.shape(moved)}",
            )
        return moved

    def own_simulator(self, constants: Array | None) -> Simulator:
        """The simulator of the scene as it is. constants: (K or 1, C) factors; None: all are 1."""
        constants = np.ones((1, len(self.constants))) if constants is None else constants
        return PiecewiseSimulator(self.moved, self.contacts, len(self.index), constants)

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        """The simulator of the scene under a change at step `since`, as far as `alterable` says; up to step `end`."""
        factors = dict(change.constants)
        own = np.ones((1, len(self.constants))) if constants is None else constants
        return self.own_simulator(own * np.array([factors.get(each.id, 1.0) for each in self.constants]))

    def simulator(self, constants: Array | None = None) -> Simulator:
        """The simulator of the scene, or of the altered world. constants: (K or 1, C) factors; None: all are 1."""
        if self.alteration is None:
            return self.own_simulator(constants)
        return self.alteration.simulator(self, constants)

    def acceleration(self, position: Array) -> Array:
        """Acceleration (N, 2) m/s2 of bodies in free motion at positions (N, 2) m; as `simulate` has it."""
        step = 1 / PHYSICS_HZ
        states = np.concatenate([position, np.zeros_like(position)], axis=-1)
        moved = self.moved(states[None], np.array([0.0, step]), np.ones((1, len(self.constants))))
        return np.asarray(moved[0, 1, :, 2:] / step)

    @cached_property
    def linked(self) -> Mask:
        """Bodies (N, N) that act on each other at a distance: they are fitted together."""
        return np.zeros((len(self.index),) * 2, dtype=bool)

    @cached_property
    def reach(self) -> Array:
        """Distances (N, N) m of the centres at which two bodies touch; 0 where they cannot."""
        return np.zeros((len(self.index),) * 2)

    @property
    def cost(self) -> int:
        """Cost of one body of one candidate in a step; a search may have `max_work` of it at one tolerance."""
        return 1

    # What may differ

    @cached_property
    def alterable(self) -> frozenset[str]:
        """Names of all that a change can alter with effect: constants, and fields of a `WorldChange`."""
        company = {"exchanged"} if len(self.index) > 1 else set()
        return frozenset({"time", *company, *(each.id for each in self.constants)})

    def can_alter(self, change: WorldChange) -> bool:
        """True of a change that has a meaning here."""
        return change.altered <= self.alterable

    @property
    def has_free_constant(self) -> bool:
        """True where a factor on the first constant changes anything that can be seen."""
        return bool(self.constants) and self.constants[0].id in self.alterable

    # First guesses of initial states

    def own_motion(self, step: int) -> Array | None:
        """States (N, 6) at a step of the scene's own motion, before the impulses of that step.

        A search begins with them where a fit would not find that motion again; None: it would, or none is declared.
        """
        return None

    def set_states(self, state: Array, body: int, chart: int, numbers: Array) -> None:
        """Set in states (K, 6) what depends on numbers (K, p); the rest is 0."""
        state[:, :4] = numbers

    def directions(self, chart: int) -> Array:
        """Unit vectors (2, m) along which a body may move."""
        return np.eye(2)

    def numbers(self, chart: int, position: Array, velocity: Array) -> Array:
        """Numbers (p,) of a position (2,) m and a velocity (2,) m/s."""
        if chart == FREE:
            return np.concatenate([position, velocity])
        (along,) = self.directions(chart).T
        return np.array([along @ position, along @ velocity])

    def charts(self, body: int, position: Array, size: float) -> tuple[int, ...]:
        """Charts, FREE first, with which a body of diameter `size` m at positions (n, 2) m may begin."""
        return (FREE,)

    def gaps(self, body: int, charts: Sequence[int], position: Array) -> Array:
        """Distances (m,) m of a body at a position (2,) m from lying on other charts than FREE; below 0 inside."""
        return np.zeros(len(charts))

    def first_acceleration(self, body: int, chart: int, positions: Array) -> Array:
        """Acceleration (2,) m/s2 of a body that begins with a chart while bodies are at positions (N, 2) m."""
        return np.asarray(self.acceleration(positions)[body])

    def guess(self, body: int, chart: int, dt: Array, position: Array, positions: Array) -> Array:
        """Numbers (p,) with which a body may begin, by least squares; here under the acceleration at its begin.

        Args:
            chart: With which it begins.
            dt: (n,) s from its begin.
            position: (n, 2) m where it is then.
            positions: (N, 2) m of all bodies at its begin.
        """
        target = position - 0.5 * self.first_acceleration(body, chart, positions) * dt[:, None] ** 2
        at, velocity = np.linalg.lstsq(np.stack([np.ones_like(dt), dt], axis=-1), target, rcond=None)[0]
        return self.numbers(chart, at, velocity)

    def before(self, body: int, start: Array, times: Array, others: Array) -> tuple[Array, Array]:
        """Free motion that leads to a state (4,): positions m and velocities m/s (B, 2) at all times but the last.

        By leapfrog steps backwards, as far as `acceleration` knows.

        Args:
            start: Its state at the last time.
            times: (B + 1,) s, ascending.
            others: (B + 1, N, 4) m and m/s, states of the other bodies; 0 of those that are absent.
        """
        count = len(times) - 1
        positions, velocities = np.empty((count, 2)), np.empty((count, 2))
        at, velocity, around = start[:2], start[2:], others[..., :2].copy()
        around[-1, body] = at
        acceleration = self.acceleration(around[-1])[body]
        for f in range(count - 1, -1, -1):
            dt = float(times[f] - times[f + 1])
            half = velocity + 0.5 * dt * acceleration
            at = at + dt * half
            around[f, body] = at
            acceleration = self.acceleration(around[f])[body]
            velocity = half + 0.5 * dt * acceleration
            positions[f], velocities[f] = at, velocity
        return positions, velocities


def comes_with_physbench(kind: type[SceneLaw]) -> bool:
    """True of a law that no user has brought, in a file or a package."""
    return kind.__module__.startswith("physbench.")


@contextmanager
def blaming(kind: type[SceneLaw], method: str) -> Iterator[None]:
    """Turn what a user's law raises in a method into a LawError that names law, file and line."""
    try:
        yield
    except (MemoryError, PhysbenchError, Unsupported):
        raise
    except Exception as error:
        if comes_with_physbench(kind):
            raise
        raise _law_error(kind, f"{method} raised {describe_error_in_file(error, source_of(kind))}") from error


def _naming_the_law(kind: type[SceneLaw], method: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose errors are blamed on a law."""

    @wraps(method)
    def called(*arguments: Any, **named: Any) -> Any:
        with blaming(kind, f"{method.__name__}()"):
            return method(*arguments, **named)

    return called


def source_of(kind: type[SceneLaw]) -> Path:
    """The file of a law."""
    return Path(inspect.getfile(kind))


def _read_only(array: Array) -> Array:
    """A view in which nothing can be changed."""
    view = array.view()
    view.flags.writeable = False
    return view


def _law_error(kind: type[SceneLaw], what: str) -> LawError:
    return LawError(f"The law {kind.name} ({source_of(kind).name}) {LAW_FAULT}{what}.")


def find_laws() -> tuple[type[SceneLaw], ...]:
    """All laws in the order in which they are asked.

    Those of physbench, of installed packages, and of the files with tasks that the user names.
    """
    return _laws(plugins.registered_files())


@lru_cache(maxsize=8)
def _laws(files: tuple[UserFile, ...]) -> tuple[type[SceneLaw], ...]:
    points = sorted(entries(LAW_GROUP).values(), key=lambda point: not point.value.startswith("physbench."))
    places = [(load(LAW_GROUP, point.name), f"Entry point '{point.name}' in {LAW_GROUP}") for point in points]
    for file in files:
        places += [(law, str(file.path)) for _, law in plugins.public_members(file, _is_law)]
    laws: dict[str, type[SceneLaw]] = {}
    for law, place in places:
        if not _is_law(law) or not law.name:
            raise UsageError(f"{place}: expected a class derived from SceneLaw with a `name`, but got {law!r:.80}.")
        if law.name in laws:
            raise UsageError(f"{place}: there is a law '{law.name}' already. Give this one another name.")
        laws[law.name] = law
    return tuple(sorted(laws.values(), key=lambda law: law.last_resort))


def _is_law(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, SceneLaw) and value is not SceneLaw


def scene_law(scene: Scene, since: float) -> SceneLaw:
    """The first law that can move the bodies of a scene.

    Args:
        scene: The scene; its moving bodies must stay in the camera's plane of motion.
        since: s from which on it is simulated; bodies must be free by then.

    Raises Unsupported, which says why no law can move it.
    """
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    if not index:
        raise Unsupported("nothing moves")
    check_motion(scene, [scene.bodies[i] for i in index], since)
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    pushes = []
    for action in scene.impulses:
        if action.time >= since - 1e-9:
            body = scene.index(action.body)
            velocity_change = np.asarray(action.impulse, dtype=np.float64)[axes] / scene.bodies[body].mass
            pushes.append(Intervention(round(action.time * PHYSICS_HZ), index.index(body), "push", velocity_change))
    depth = np.array([scene.bodies[i].position[across] for i in index])
    reasons: dict[str, str] = {}
    for kind in find_laws():
        if kind.covers(scene):
            with blaming(kind, "__init__()"):
                law = kind(scene, index, depth, tuple(pushes), since)
            try:
                law.check()
            except Unsupported as error:
                if not (kind.last_resort and reasons):
                    reasons[kind.name] = str(error)
            else:
                return law
    if not reasons:
        kinds = sorted({type(each).__name__ for each in scene.fields})
        raise Unsupported(f"no law covers a scene with {' and '.join(kinds)}")
    if len(reasons) == 1:
        raise Unsupported(*reasons.values())
    raise Unsupported("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))


def scene_law_or_none(scene: Scene, since: float) -> SceneLaw | None:
    """As `scene_law`; None where there is none."""
    try:
        return scene_law(scene, since)
    except Unsupported:
        return None
