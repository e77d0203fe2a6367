"""What simulates candidates of a scene, and what it returns. Interventions reach it as arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import KINDS
from physbench.dynamics.interventions import Intervention

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


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
