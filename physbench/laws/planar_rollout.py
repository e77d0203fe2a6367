"""Simulates many candidates of one planar scene at once, from event to event.

Between two events every disc has a constant acceleration, so that the semi-implicit Euler steps of PyBullet,
v += h a, x += h v, have the closed form x(n) = x + n h v + n (n + 1) / 2 h^2 a. An event (a contact, the end of a
slide, a push) falls on the step at which PyBullet sees it: the results agree to its rounding. `smooth` leaves events
where they are in continuous time, half a step later on average, so that the result has derivatives.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from physbench.laws.event_loop import follow, followed_positions
from physbench.laws.planar_motion import (
    NO_RULES,
    STEP,
    corner_columns,
    disc_columns,
    evaluate,
    face_columns,
    pair_columns,
)
from physbench.laws.planar_scene import PlanarScene
from physbench.laws.simulator import Simulator
from physbench.support.arrays import Array, Whole


@dataclass(eq=False)
class PlanarTrajectory:
    """Motion of K candidates of N discs in pieces of constant acceleration, as `event_loop.follow` gives it."""

    span: Whole  # (R, 2) of R worlds, one after another
    size: int  # K
    begin: Array  # (P,) steps
    pieces: Array  # (P, N, 10)
    last: Whole  # (R K,) end of each candidate's pieces
    until: Array  # (R K,) steps up to which candidates hold
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
        found = np.empty((parts, self.size, len(steps), self.pieces.shape[1], 2))
        steps = np.ascontiguousarray(steps, dtype=np.float64)
        evaluate(self.begin, self.pieces, self.last, self.until, self.span, steps, found)
        return found


class PlanarSimulator(Simulator):
    """Simulates a `PlanarScene`, and from some step on another one with the same discs, if asked."""

    def __init__(
        self,
        world: PlanarScene,
        gravity: Array | None = None,
        rules: tuple[float, float] = NO_RULES,
        schedule: tuple[Whole, Array] | None = None,
    ) -> None:
        """gravity: (K, 2) m/s2 or (2,), instead of that of the scene.

        Of a world that is changed: rules, CONTACT_LEAD and TWIST of `array_layout`; schedule, interventions on all
        discs as rows (M, 3) and values (M, 1, 6).
        """
        gravity = np.atleast_2d(world.gravity if gravity is None else gravity)
        scene = (disc_columns(world), face_columns(world), corner_columns(world), pair_columns(world))
        strength = np.ascontiguousarray(gravity, dtype=np.float64)
        table = bool(world.slide_deceleration.any())
        self._worlds, self._gravity, self._table, self._rules = (
            (scene,) * 2,
            (strength,) * 2,
            (table,) * 2,
            (rules,) * 2,
        )
        self._since: float = np.inf
        self._schedule = schedule
        if schedule is not None:
            order = np.argsort(schedule[0][:, STEP], kind="stable")
            self._schedule = schedule[0][order], schedule[1][order]

    def followed_by(self, after: PlanarSimulator, since: int) -> PlanarSimulator:
        """The simulator that goes on as another one from a step on; this one must have no schedule."""
        both = copy(self)
        both._worlds = self._worlds[0], after._worlds[0]
        both._gravity = self._gravity[0], after._gravity[0]
        both._table = self._table[0], after._table[0]
        both._rules = self._rules[0], after._rules[0]
        both._schedule, both._since = after._schedule, since
        return both

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> PlanarTrajectory:
        """Simulate from the first intervention to step `end`."""
        span, rows, value = self._spans(rows, value, end)
        found = follow(self._worlds, self._gravity, self._table, self._rules, span, rows, value, smooth)
        return PlanarTrajectory(span, value.shape[1], *found)

    def positions(self, rows: Whole, value: Array, end: int, steps: Array, smooth: bool = False) -> Array:
        """As `Simulator.positions`, in one compiled call."""
        steps = np.ascontiguousarray(steps, dtype=np.float64)
        span, rows, value = self._spans(rows, value, end)
        return followed_positions(
            self._worlds, self._gravity, self._table, self._rules, span, rows, value, smooth, steps
        )

    def _spans(self, rows: Whole, value: Array, end: int) -> tuple[Whole, Whole, Array]:
        """The spans (R, 2) of the worlds that are followed, and all interventions with those of the schedule."""
        if self._since < end:
            first = int(np.searchsorted(rows[:, STEP], self._since))
            rows, value = self._with_schedule(rows, value, end)
            return np.array([[first, self._since], [len(rows), end]], dtype=np.int64), rows, value
        if self._since == np.inf:
            rows, value = self._with_schedule(rows, value, end)
        return np.array([[len(rows), end]], dtype=np.int64), rows, value

    def _with_schedule(self, rows: Whole, value: Array, end: int) -> tuple[Whole, Array]:
        """Interventions together with those of the schedule up to step `end`."""
        if self._schedule is None:
            return rows, value
        due = int(np.searchsorted(self._schedule[0][:, STEP], end, side="right"))
        rows = np.concatenate([rows, self._schedule[0][:due]])
        value = np.concatenate([value, np.repeat(self._schedule[1][:due], value.shape[1], axis=1)])
        order = np.argsort(rows[:, STEP], kind="stable")
        return rows[order], value[order]
