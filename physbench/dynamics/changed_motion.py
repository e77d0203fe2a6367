"""Simulators of changed worlds, made of others: one after another, at another speed, with exchanged bodies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import DISC, KIND, PUSH, STATE, STEP
from physbench.dynamics.field_orbits import follow_field
from physbench.dynamics.kepler_arcs import KeplerSimulator
from physbench.dynamics.simulator import Simulator, Trajectory

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
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
