"""How far a lawful motion may be from the track, and where candidates exceed it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.point_distances import first_beyond, largest_share
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.placed_bodies import PlacedBodies

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

MAX_PRESSURE_RATIO = 3.0  # of the limit; larger errors get no more weight


class Tolerance:
    """The limits of all points of a track at one tolerance."""

    def __init__(self, seen: PlacedBodies, tolerance: float) -> None:
        """tolerance: diameters."""
        self.seen, self.tolerance = seen, tolerance
        self.limit = np.ascontiguousarray(seen.limit(tolerance))  # (T, N) diameters
        self.known = np.ascontiguousarray(seen.known)  # (T, N)
        self.total = len(seen.times)
        self.fps = 1 / float(seen.times[1] - seen.times[0]) if self.total > 1 else 1.0

    def frames(self, seconds: float) -> int:
        """A time as a number of frames, at least 1."""
        return max(1, round(seconds * self.fps))

    def misses(self, errors: Array, first: int, disc: int) -> Mask:
        """Which errors (..., F) in diameters, from frame `first` on, exceed the limit; NaN at a point does."""
        part = slice(first, first + errors.shape[-1])
        return np.asarray(self.known[part, disc] & ~(errors <= self.limit[part, disc]))

    def reach(self, fit: ArcFit, numbers: Array) -> Whole:
        """First frame (K,) that some fitted arc misses; the end of the simulated frames where none is missed."""
        part = fit.frames
        found = first_beyond(fit.errors(numbers), self.known[part], self.limit[part], self._arcs(fit))
        return fit.since + found

    def excess(self, fit: ArcFit, numbers: Array, end: int) -> Array:
        """Largest distances (K,) of fitted arcs from points before frame `end`, in limits; inf where it is absent.

        What lies beyond the simulated frames does not count.
        """
        part = fit.frames
        last = min(end, part.stop) - fit.since
        return largest_share(fit.errors(numbers), self.known[part], self.limit[part], self._arcs(fit), last)

    @staticmethod
    def _arcs(fit: ArcFit) -> Whole:
        """Body and first of the simulated frames (C, 2) of each fitted arc."""
        arcs = [fit.arcs[c] for c in fit.chosen]
        return np.array([(arc.disc, arc.first - fit.since) for arc in arcs], dtype=np.int64)

    def points(self, fit: ArcFit, end: int) -> Mask:
        """The points (F, N) of fitted arcs before frame `end`."""
        mask = np.zeros((fit.frames.stop - fit.since, len(self.seen.diameter)), dtype=bool)
        for c in fit.chosen:
            arc = fit.arcs[c]
            mask[arc.first - fit.since : max(end - fit.since, 0), arc.disc] = True
        return mask

    def pressure(self, fit: ArcFit, numbers: Array) -> Array:
        """Factors of weights (F, N) that move a fit towards the smallest largest distance."""
        errors = np.nan_to_num(fit.errors(numbers[None])[0], nan=0.0)
        share = errors / self.limit[fit.frames]
        return np.asarray(1 + 3 * np.minimum(share, MAX_PRESSURE_RATIO) ** 2)
