"""Least squares for arcs: Levenberg and Marquardt's method on batches of simulated candidates.

Derivatives are those of the smooth model, in which contacts do not jump from step to step. Residuals are those of the
simulator itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.point_distances import weighted_distances, weighted_points
from physbench.dynamics.simulator import Trajectory, intervention_arrays
from physbench.shadowing.hypothesis import Arc, Hypothesis

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

POSITION_STEP, VELOCITY_STEP = 5e-4, 2e-3  # m and m/s, of numerical derivatives
DAMPINGS = np.array([1e-4, 1e-2, 1.0, 100.0])
MINIMAX_ROUNDS = 40  # of weights in Lawson's method
BOUND_MARGIN = 1e-6  # limits; a lower bound counts if it is more than its rounding above
ABSENT_RESIDUAL = 1e3  # sd, where a candidate is absent


@dataclass(frozen=True, eq=False)
class WeightedPoints:
    """The M / 2 points of a track to which arcs are fitted."""

    index: Whole  # (M / 2,) in frames x bodies
    position: Array  # (M / 2, 2) m
    diameter: Array  # (M / 2,) m, of their bodies
    weight: Array  # (M / 2,) 1 / diameters: 1 / sd, or 1 / limit


@lru_cache(maxsize=64)
def _damping(count: int) -> Array:
    """What is added to normal equations of `count` numbers (D, p, p)."""
    damping = DAMPINGS[:, None, None] * np.eye(count)
    damping.flags.writeable = False
    return damping


class ArcFit:
    """A fit of some arcs while the other arcs, and all that lies before, stay as they are."""

    def __init__(
        self, problem: Hypothesis, arcs: Sequence[Arc], chosen: Sequence[int], trajectory: Trajectory | None, end: int
    ) -> None:
        """chosen: indices of the arcs that are fitted. trajectory: of all arcs; None: simulate from the beginning.

        end: first frame that is not simulated.
        """
        self.problem, self.arcs, self.chosen = problem, list(arcs), list(chosen)
        self.since = min(self.arcs[c].first for c in self.chosen)
        self.frames = slice(self.since, end)
        moved = {self.arcs[c].disc for c in self.chosen if self.arcs[c].first == self.since}
        others = [n for n in range(len(problem.seen.diameter)) if n not in moved]
        self._frozen = problem.frozen(trajectory, self.since, others) if trajectory is not None else []
        ends = [0, *accumulate(len(self.arcs[c].numbers) for c in self.chosen)]
        self._parts = [slice(*pair) for pair in pairwise(ends)]  # of the numbers
        self.start = np.concatenate([self.arcs[c].numbers for c in self.chosen])
        self._simulated: dict[bytes, Array] = {}  # positions (F, N, 2) m of simulated candidates

    @cached_property
    def steps(self) -> Array:
        """Steps (p,) of numerical derivatives."""
        sizes = [part.stop - part.start for part in self._parts]
        return np.array([step for n in sizes for step in (POSITION_STEP, VELOCITY_STEP) for _ in range(n // 2)])

    @cached_property
    def _diagonal(self) -> Array:
        return np.diag(self.steps)

    @cached_property
    def _interventions(self) -> tuple[Whole, Array, list[int | None]]:
        """Interventions for the first numbers: rows (M, 3), values (M, 1, 6), and the place of each chosen arc."""
        held, end = {change.disc for change in self._frozen}, self.frames.stop
        relevant = [
            a
            for a, arc in enumerate(self.arcs)
            if arc.first < end and (arc.first >= self.since or (arc.disc in held and arc.last > self.since))
        ]
        changes, first = self.problem.changes([self.arcs[a] for a in relevant], self.since, self.arcs)
        rows, value, order = intervention_arrays([*self._frozen, *changes], self._last)
        begins = dict(zip(relevant, first, strict=True))
        places = [order.index(len(self._frozen) + begins[c]) if c in begins else None for c in self.chosen]
        return rows, value, places

    @cached_property
    def _last(self) -> int:
        """The last step that is simulated."""
        return int(self.problem.seen.steps[self.frames.stop - 1])

    def _with_numbers(self, numbers: Array) -> tuple[Whole, Array]:
        """Interventions of candidates with numbers (K, p): rows (M, 3) and values (M, K, 6)."""
        rows, first, places = self._interventions
        value = first.repeat(len(numbers), axis=1)
        for c, place, part in zip(self.chosen, places, self._parts, strict=True):
            if place is not None:
                self.problem.set_state(value[place], self.arcs[c].disc, self.arcs[c].face, numbers[:, part])
        return rows, value

    def trajectory(self, numbers: Array, smooth: bool = False) -> Trajectory:
        """The trajectories of candidates with numbers (K, p)."""
        return self.problem.run(*self._with_numbers(numbers), self._last, smooth)

    def positions(self, numbers: Array, smooth: bool = False) -> Array:
        """Positions (K, F, N, 2) m of candidates with numbers (K, p); each candidate is simulated once."""
        if smooth:
            return self._simulate(numbers, smooth)
        keys = [row.tobytes() for row in numbers]
        new = [k for k, key in enumerate(keys) if key not in self._simulated]
        if len(new) == len(keys):
            found = self._simulate(numbers)
            self._simulated.update(zip(keys, found, strict=True))
            return found
        if new:
            self._simulated.update(zip([keys[k] for k in new], self._simulate(numbers[new]), strict=True))
        if len(keys) == 1:
            return self._simulated[keys[0]][None]
        return np.stack([self._simulated[key] for key in keys])

    def _simulate(self, numbers: Array, smooth: bool = False) -> Array:
        return self.problem.positions(*self._with_numbers(numbers), self._last, self.frames, smooth)

    def errors(self, numbers: Array) -> Array:
        """Distances (K, F, N) in diameters; NaN where there is no body or no point."""
        return self.problem.errors(self.positions(numbers), self.frames)

    def _residuals(self, numbers: Array, points: WeightedPoints, smooth: bool) -> Array:
        """Weighted distances (K, M) of candidates with numbers (K, p) from M / 2 points."""
        position = self.positions(numbers, smooth)
        flat = np.ascontiguousarray(position).reshape(len(numbers), -1, 2)
        return weighted_distances(flat, points.index, points.position, points.diameter, points.weight, ABSENT_RESIDUAL)

    def _weighted(self, weight: Array) -> WeightedPoints:
        """The points with a weight above 0 of weights (F, N)."""
        seen = self.problem.seen
        weight = np.ascontiguousarray(weight)
        return WeightedPoints(*weighted_points(weight, seen.track[self.frames], seen.diameter))

    def _weight(self, mask: Mask) -> Array:
        """1 / sd of the known points of mask (F, N), else 0."""
        seen = self.problem.seen
        return np.where(mask & seen.known[self.frames], seen.certainty[self.frames], 0.0)

    def _slopes(self, at: Array, points: WeightedPoints) -> tuple[Array, Array]:
        """Derivatives (M, p) of the residuals by the numbers (p,), and the norm (p,) of each column."""
        moved = self._residuals(self._moved(at), points, True)
        slope = (moved[1:] - moved[0]).T / self.steps
        return slope, np.sqrt((slope**2).sum(axis=0)) + 1e-9

    def _moved(self, at: Array) -> Array:
        """Numbers (1 + p, p): as they are, and each of them moved by its step."""
        moved = np.empty((1 + len(at), len(at)))
        moved[0] = at
        np.add(at, self._diagonal, out=moved[1:])
        return moved

    def linearized(self, mask: Mask, slopes: bool = True) -> tuple[Array, Array]:
        """Residuals (M,) in sd of the points of mask (F, N) at the first guess, and their derivatives (M, p), if asked.

        Both are those of the smooth model. Derivatives are central differences: where numbers nearly make up for each
        other, as those of an orbit over some revolutions do, the error of one-sided ones is as large as what is left.
        """
        points = self._weighted(self._weight(mask))
        residual = self._residuals(self.start[None], points, True)[0]
        if not slopes:
            return residual, np.zeros((len(residual), 0))
        moved = self._diagonal
        both = self._residuals(np.concatenate([self.start + moved, self.start - moved]), points, True)
        return residual, (both[: len(moved)] - both[len(moved) :]).T / (2 * self.steps)

    def descend(self, mask: Mask, start: Array | None = None, rounds: int = 5, extra: Array | None = None) -> Array:
        """Fit the points of mask (F, N), frames from `since` on, and return numbers (p,).

        extra: (F, N) factors of the weights.
        """
        weight = self._weight(mask)
        if extra is not None:
            weight = weight * extra
        best = self.start if start is None else start
        points, damping = self._weighted(weight), _damping(len(best))
        residual = self._residuals(best[None], points, False)[0]
        cost = float(residual @ residual)
        for _ in range(rounds):
            slope, scale = self._slopes(best, points)
            slope = slope / scale
            normal, right = slope.T @ slope, slope.T @ residual
            trials = best - np.linalg.solve(normal + damping, right[None, :, None])[..., 0] / scale
            values = self._residuals(trials, points, False)
            costs = np.einsum("km,km->k", values, values)
            chosen = int(costs.argmin())
            improvement = cost - float(costs[chosen])
            if not improvement > 1e-2 * cost:
                if improvement > 0:
                    best = trials[chosen]
                break
            best, residual, cost = trials[chosen], values[chosen], float(costs[chosen])
        return best

    def can_reach(self, mask: Mask, at: Array, weight: Array, most: float) -> bool:
        """Whether linearized motion near numbers (p,) comes within a weighted distance `most` of all points.

        mask, weight: (F, N) of the points. Lawson's method: points are weighted by their distances, again and again.
        The largest distance of each round can be had; the weighted root mean square, which a round makes as small as it
        can be, is a lower bound of what can: either ends the search.
        """
        points = self._weighted(np.where(mask & self.problem.seen.known[self.frames], weight, 0.0))
        slope, scale = self._slopes(at, points)
        slope, residual = slope / scale, self._residuals(at[None], points, False)[0]
        ridge = 1e-12 * np.eye(len(at))
        share = np.full(len(residual) // 2, 2 / max(len(residual), 1))
        for _ in range(MINIMAX_ROUNDS):
            heavy = slope * np.repeat(share, 2)[:, None]
            step = np.linalg.solve(heavy.T @ slope + ridge, heavy.T @ residual)
            off = np.linalg.norm((residual - slope @ step).reshape(-1, 2), axis=1)
            if off.max(initial=0.0) <= most:
                return True
            if share @ off**2 > (most + BOUND_MARGIN) ** 2:
                return False
            share = share * (off + 1e-9)
            share /= share.sum()
        return False

    def covariance_root(self, mask: Mask, at: Array) -> Array:
        """Square root (p, p) of the covariance of the numbers at a fit."""
        slope, scale = self._slopes(at, self._weighted(self._weight(mask)))
        values, vectors = np.linalg.eigh(slope.T @ slope / np.outer(scale, scale))
        return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-6)) / scale[:, None])

    def result(self, numbers: Array) -> list[Arc]:
        """All arcs, with numbers (p,) instead of those of the fitted ones."""
        arcs = list(self.arcs)
        for c, part in zip(self.chosen, self._parts, strict=True):
            arcs[c] = replace(arcs[c], numbers=numbers[part].copy())
        return arcs
