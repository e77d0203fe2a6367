"""Simulators of changed worlds, made of others: one after another, at another speed, with exchanged bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import KINDS
from physbench.dynamics.field_orbits import follow_field
from physbench.dynamics.forward_model import Simulator, Trajectory
from physbench.dynamics.interventions import Intervention
from physbench.dynamics.kepler_arcs import KeplerSimulator

Array = NDArray[np.float64]
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
class Sequel:
    """One simulator up to a step, then another one from the states that bodies have there."""

    before: Simulator
    after: Simulator
    since: int
    count: int  # of bodies

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention to step `end`."""
        early = [change for change in changes if change.step < self.since]
        late = [change for change in changes if change.step >= self.since]
        if end <= self.since or (not late and not early):
            return self.before.run(changes, end, smooth)
        if not early:
            return self.after.run(late, end, smooth)
        first = self.before.run(early, self.since, smooth)
        states = np.concatenate([part[:, 0] for part in first.at(np.array([float(self.since)]))], axis=-1)  # (K, N, 6)
        new = {change.disc for change in late if change.step == self.since and change.kind == "state"}
        carried = [
            Intervention(self.since, n, "state", np.ascontiguousarray(states[:, n]))
            for n in range(self.count)
            if n not in new and np.isfinite(states[:, n]).all(axis=-1).any()
        ]
        if not carried and not any(change.kind == "state" for change in late):
            return first
        second = self.after.run([*carried, *late], end, smooth)

        def at(steps: Array) -> States:
            split = int(np.searchsorted(steps, self.since))
            if split == len(steps):
                return first.at(steps)
            if split == 0:
                return second.at(steps)
            parts = zip(first.at(steps[:split]), second.at(steps[split:]), strict=True)
            position, velocity, spin = (np.concatenate(_alike(*pair), axis=1) for pair in parts)
            return position, velocity, spin

        met = [contact for contact in first.contacts if contact[0] < self.since]
        return MadeTrajectory(at, [*met, *second.contacts])


def _alike(one: Array, other: Array) -> tuple[Array, Array]:
    """Both arrays with as many candidates: a single one stands for all."""
    size = max(len(one), len(other))
    return (
        one if len(one) == size else np.repeat(one, size, axis=0),
        other if len(other) == size else np.repeat(other, size, axis=0),
    )


@dataclass(frozen=True, eq=False)
class Hastened:
    """A world in which everything happens `speed` times as fast from a step on.

    States that are given from that step on are those that are seen: in the world's own time they are slower.
    """

    world: Simulator
    since: int
    speed: float

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention, which must not lie before the change, to step `end`."""
        asked = self._own(np.array([*(change.step for change in changes), end], dtype=np.float64))
        own = [
            replace(change, step=round(step), value=self._slowed(change))
            for change, step in zip(changes, asked.tolist(), strict=False)
        ]
        run = self.world.run(own, int(np.ceil(asked[-1])), smooth)

        def at(steps: Array) -> States:
            position, velocity, spin = run.at(self._own(steps))
            return position, self.speed * velocity, self.speed * spin

        met = [(round(self.since + (step - self.since) / self.speed), i, j) for step, i, j in run.contacts]
        return MadeTrajectory(at, met)

    def _own(self, steps: Array) -> Array:
        """Steps in the world's own time."""
        return self.since + self.speed * (steps - self.since)

    def _slowed(self, change: Intervention) -> Array | None:
        if change.value is None or change.step == self.since or change.kind not in ("state", "push"):
            return change.value
        value = np.array(change.value, dtype=np.float64)
        value[..., 2 if change.kind == "state" else 0 :] /= self.speed
        return value


@dataclass(frozen=True, eq=False)
class Exchanged:
    """A world in which the first two bodies that meet from a step on go on as each other."""

    world: Simulator
    since: int
    radius: Array  # (N,) m

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention to step `end`."""
        run = self.world.run(changes, end, smooth)
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
class FieldSimulator:
    """Simulates bodies in changed central fields, see `field_orbits`."""

    kepler: KeplerSimulator  # of the true fields
    scale: float  # times their strength
    law: Array  # (6,) constants of the field
    touch: float  # m from which on two bodies are not modelled

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention to step `end`."""
        size = max(len(change.value) for change in changes if change.kind == "state" and change.value is not None)
        ordered = sorted((change for change in changes if change.step <= end), key=attrgetter("step"))
        rows = np.array([(c.step, c.disc, KINDS.index(c.kind)) for c in ordered], dtype=np.int64)
        value = np.zeros((len(ordered), size, 4))
        for row, change in zip(value, ordered, strict=True):
            if change.value is not None:
                row[:, 2 if change.kind == "push" else 0 :] = change.value[..., : 2 if change.kind == "push" else 4]
        source, mu, count = self.kepler.source, self.scale * self.kepler.mu, len(self.kepler.index)

        def at(steps: Array) -> States:
            position, velocity = follow_field(
                rows, value, np.ascontiguousarray(steps, dtype=np.float64), source, mu, self.touch, self.law, count
            )
            return position, velocity, np.zeros_like(position)

        return MadeTrajectory(at)
