"""The protocol of simulators: candidates of a scene, interventions, and trajectories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from physbench.laws.planar_motion import KINDS
from physbench.support.arrays import Array, Whole

# Interventions: what sets, pushes or removes a body of a forward model at a given step, or changes its forces.


@dataclass(frozen=True, eq=False)
class Intervention:
    """A body gets the states of K candidates, gets a push, or is removed; or the forces on all bodies change.

    A state is position m, velocity m/s and the velocity m/s that the spin stands for. Only worlds that are changed have
    the kinds "gravity", another uniform gravity from here on, and "damp": velocities and spins are multiplied by a
    factor, and the velocities of bodies that rest on nothing are turned by an angle.
    """

    step: int
    disc: int  # which of the moving bodies; any where all of them are meant
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

    def positions(self, steps: Array) -> Array:
        """The positions alone."""
        ...


class Simulator(ABC):
    """Simulates K candidates of a scene."""

    @abstractmethod
    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first intervention, which gives a body its states, to step `end`.

        Args:
            rows: (M, 3) STEP, DISC and KIND of `array_layout`; steps ascending, none after `end`.
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
        rows[m] = change.step, change.disc, KINDS.index(change.kind)
        if change.value is not None:
            value[m, :, : change.value.shape[-1]] = change.value
    return rows, value, order
