"""Simulates many candidates of one planar scene at once, from event to event.

Between two events every disc has a constant acceleration, so that the semi-implicit Euler steps of PyBullet,
v += h a, x += h v, have the closed form x(n) = x + n h v + n (n + 1) / 2 h^2 a. An event (a contact, the end of a
slide, a push) falls on the step at which PyBullet sees it: the results agree to its rounding. `smooth` leaves events
where they are in continuous time, half a step later on average, so that the result has derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import KINDS, NO_RULES, corner_columns, disc_columns, face_columns, pair_columns
from physbench.dynamics.event_loop import evaluate, follow
from physbench.dynamics.interventions import Intervention
from physbench.dynamics.planar_scene import PlanarScene

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PlanarTrajectory:
    """Motion of K candidates of N discs in pieces of constant acceleration, as `event_loop.follow` gives it."""

    begin: Array  # (P,) steps
    pieces: Array  # (P, N, 10)
    last: Whole  # (K,) end of each candidate's pieces
    until: Array  # (K,) steps up to which candidates hold
    contact_rows: Whole  # (T, 3)

    @cached_property
    def contacts(self) -> list[tuple[int, int, int]]:
        """Contacts of candidate 0: step, disc, other disc or -1."""
        return [(step, one, other) for step, one, other in self.contact_rows.tolist()]

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Positions m, velocities and spins m/s (K, F, N, 2) at steps (F,), ascending."""
        position, velocity, spin = self._evaluate(steps, 3)
        return position, velocity, spin

    def positions(self, steps: Array) -> Array:
        """Positions (K, F, N, 2) m at steps (F,), ascending; NaN of a disc that is absent."""
        return np.asarray(self._evaluate(steps, 1)[0])

    def _evaluate(self, steps: Array, parts: int) -> Array:
        found = np.empty((parts, len(self.last), len(steps), self.pieces.shape[1], 2))
        evaluate(self.begin, self.pieces, self.last, self.until, np.ascontiguousarray(steps, dtype=np.float64), found)
        return found


class PlanarSimulator:
    """Simulates a `PlanarScene`."""

    def __init__(
        self,
        world: PlanarScene,
        gravity: Array | None = None,
        rules: tuple[float, float] = NO_RULES,
        schedule: tuple[Whole, Array] | None = None,
    ) -> None:
        """gravity: (K, 2) m/s2 or (2,), instead of that of the scene.

        Of a world that is changed: rules, CONTACT_LEAD and TWIST of `array_layout`; schedule, interventions on all
        discs as rows (M, 3), ascending, and values (M, 1, 6).
        """
        gravity = np.atleast_2d(world.gravity if gravity is None else gravity)
        self._world = (disc_columns(world), face_columns(world), corner_columns(world), pair_columns(world))
        self._gravity = np.ascontiguousarray(gravity, dtype=np.float64)
        self._rules, self._schedule = rules, schedule
        self._table = bool(world.slide_deceleration.any())

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> PlanarTrajectory:
        """Simulate from the first intervention, which gives a disc its states, to step `end`."""
        changes = sorted((change for change in changes if change.step <= end), key=lambda change: change.step)
        size = max(len(change.value) for change in changes if change.kind == "state" and change.value is not None)
        what, value = _rows(changes, size)
        if self._schedule is not None:
            rows, values = self._schedule
            due = (rows[:, 0] >= what[0, 0]) & (rows[:, 0] <= end)
            what = np.concatenate([what, rows[due]])
            value = np.concatenate([value, np.repeat(values[due], size, axis=1)])
            order = np.argsort(what[:, 0], kind="stable")
            what, value = what[order], value[order]
        found = follow(*self._world, self._gravity, what, value, int(end), self._table, smooth, self._rules)
        return PlanarTrajectory(*found)


def _rows(changes: Sequence[Intervention], size: int) -> tuple[Whole, Array]:
    """Interventions as rows (M, 3) with values (M, K, 6) of K = size candidates."""
    what = np.array([(change.step, change.disc, KINDS.index(change.kind)) for change in changes], dtype=np.int64)
    value = np.zeros((len(changes), size, 6))
    for row, change in zip(value, changes, strict=True):
        if change.value is not None:
            row[:, : change.value.shape[-1]] = change.value
    return what.reshape(-1, 3), value
