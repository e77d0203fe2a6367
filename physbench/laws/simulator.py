"""Simulators: candidates of a scene, interventions, trajectories; those that a function gives, and combinations."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol

import numpy as np

from physbench.laws.planar_motion import BODY, KIND, KINDS, PUSH, STATE, STEP
from physbench.support.arrays import Array, Whole
from physbench.world.scene import PHYSICS_HZ

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
