"""Many candidates of one scene of discs at once, from event to event.

Between two events every disc has a constant acceleration, so that the semi-implicit Euler steps of the simulator,
v += h a, x += h v, have the closed form x(n) = x + n h v + n (n + 1) / 2 h^2 a. An event (a touch, the end of a slide,
a push) falls on the step at which the simulator sees it: the result is that of PyBullet to its own rounding. `smooth`
leaves events where they are in continuous time, half a step later on average, so that the result has derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import KINDS, corner_columns, disc_columns, face_columns, pair_columns
from physbench.dynamics.event_loop import follow, look
from physbench.dynamics.interventions import Intervention
from physbench.dynamics.planar_scene import PlanarScene

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Motion of K candidates of N discs in pieces of constant acceleration, as `events.follow` gives it."""

    begin: Array  # (P,) steps
    pieces: Array  # (P, N, 10)
    last: Whole  # (K,) end of each candidate's pieces
    until: Array  # (K,) steps up to which candidates hold
    touched: Whole  # (T, 3)

    @cached_property
    def touches(self) -> list[tuple[int, int, int]]:
        """Step, disc, other disc or -1, of candidate 0."""
        return [(step, one, other) for step, one, other in self.touched.tolist()]

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Places m, velocities and spins m/s (K, F, N, 2) at steps (F,), ascending."""
        place, speed, spin = self._look(steps, 3)
        return place, speed, spin

    def places(self, steps: Array) -> Array:
        """Places (K, F, N, 2) m at steps (F,), ascending; NaN of a disc that is not there."""
        return np.asarray(self._look(steps, 1)[0])

    def _look(self, steps: Array, parts: int) -> Array:
        found = np.empty((parts, len(self.last), len(steps), self.pieces.shape[1], 2))
        look(self.begin, self.pieces, self.last, self.until, np.ascontiguousarray(steps, dtype=np.float64), found)
        return found


class Discs:
    """The forward model of a `PlanarScene`."""

    def __init__(self, world: PlanarScene, gravity: Array | None = None) -> None:
        """gravity: (K, 2) m/s2 or (2,), instead of that of the scene."""
        gravity = np.atleast_2d(world.gravity if gravity is None else gravity)
        self._world = (disc_columns(world), face_columns(world), corner_columns(world), pair_columns(world))
        self._gravity = np.ascontiguousarray(gravity, dtype=np.float64)
        self._table = bool(world.grip.any())

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Pieces:
        """Simulate from the first change, at which some disc gets a state, to step `end`."""
        changes = sorted((change for change in changes if change.step <= end), key=lambda change: change.step)
        size = max(len(change.value) for change in changes if change.kind == "state" and change.value is not None)
        what = np.array([(change.step, change.disc, KINDS.index(change.kind)) for change in changes], dtype=np.int64)
        value = np.zeros((len(changes), size, 6))
        for row, change in zip(value, changes, strict=True):
            if change.value is not None:
                row[:, : change.value.shape[-1]] = change.value
        return Pieces(*follow(*self._world, self._gravity, what, value, int(end), self._table, smooth))
