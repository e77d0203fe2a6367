"""Fits of lawful arcs to a track: tolerances, hypotheses, first guesses, least squares.

Derivatives are those of the smooth model, in which contacts do not jump from step to step. Residuals are those of the
simulator itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import numpy as np

from physbench.laws.planar_motion import STEP
from physbench.laws.point_distances import distances, first_beyond, largest_share, weighted_distances, weighted_points
from physbench.laws.scene_law import FREE, Intervention, SceneLaw, Trajectory, intervention_arrays
from physbench.shadowing.observed_motion import PlacedBodies
from physbench.support.arrays import Array, Mask, Whole

# How far a lawful motion may be from the track, and where candidates exceed it.


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

    def misses(self, errors: Array, first: int, body: int) -> Mask:
        """Mask of errors (..., F) in diameters, from frame `first` on, that exceed the limit; NaN at a point does."""
        part = slice(first, first + errors.shape[-1])
        return np.asarray(self.known[part, body] & ~(errors <= self.limit[part, body]))

    def reach(self, fit: ArcFit, numbers: Array) -> Whole:
        """First frame (K,) that some fitted arc misses; the end of the simulated frames where none is missed."""
        part = fit.frames
        beyond = first_beyond(fit.errors(numbers), self.known[part], self.limit[part], self._arcs(fit))
        return fit.since + beyond

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
        return np.array([(arc.body, arc.first - fit.since) for arc in arcs], dtype=np.int64)

    def points(self, fit: ArcFit, end: int) -> Mask:
        """The points (F, N) of fitted arcs before frame `end`."""
        mask = np.zeros((fit.frames.stop - fit.since, len(self.seen.diameter)), dtype=bool)
        for c in fit.chosen:
            arc = fit.arcs[c]
            mask[arc.first - fit.since : max(end - fit.since, 0), arc.body] = True
        return mask

    def pressure(self, fit: ArcFit, numbers: Array) -> Array:
        """Factors of weights (F, N) that move a fit towards the smallest largest distance."""
        errors = np.nan_to_num(fit.errors(numbers[None])[0], nan=0.0)
        share = errors / self.limit[fit.frames]
        return np.asarray(1 + 3 * np.minimum(share, 3.0) ** 2)  # errors above 3 limits get no more weight


# What a track is compared with: arcs, one lawful motion of a body each, and their simulation together.


@dataclass(frozen=True, eq=False)
class Arc:
    """A body's lawful motion from a frame on, given by the numbers of a chart of the law: m, then m/s."""

    body: int
    first: int  # frame at which its numbers hold
    last: int  # first frame that it does not explain
    chart: int  # FREE, or on which face it rests or rolls
    numbers: Array  # (p,)


class Hypothesis:
    """The placed bodies of a scene, its law, and the simulation of arcs."""

    def __init__(
        self, law: SceneLaw, seen: PlacedBodies, factor: float | None = None, *, own_motion: bool = True
    ) -> None:
        """factor: multiplies the first constant of the law, such as gravity; None: 1.

        own_motion: whether a search may begin with that of the scene, see `SceneLaw.own_motion`.
        """
        self.law, self.seen, self.factor = law, seen, factor
        self.own_motion = own_motion and factor in (None, 1.0)
        constants = None if factor is None else np.array([[factor, *[1.0] * (len(law.constants) - 1)]])
        self.simulator = law.simulator(constants)
        # of whole tracks: before and after a fit
        self._simulated: deque[tuple[tuple[tuple[Arc, ...], int], int, Trajectory]] = deque(maxlen=2)
        self.guesses: dict[tuple[int, int], tuple[Arc, ...]] = {}  # by body and frame, see `initial_guesses`
        self.work = 0  # bodies x candidates x physics steps x cost of the law simulated so far

    def with_bodies(self, seen: PlacedBodies) -> Hypothesis:
        """The same laws for bodies that are placed otherwise."""
        return Hypothesis(self.law, seen, self.factor, own_motion=self.own_motion)

    def state(self, body: int, chart: int, numbers: Array) -> Array:
        """States (K, 6) from the numbers (K, p) of arcs."""
        state = np.zeros((len(numbers), 6))
        self.law.set_states(state, body, chart, numbers)
        return state

    def simulate(self, arcs: Sequence[Arc], end: int) -> Trajectory:
        """Simulate arcs up to frame `end`. The last simulations are kept, for searches ask for them again.

        The work of one that is known is counted too: how much may be done must not depend on what is kept.
        """
        key = (tuple(arcs), end)  # arcs are equal if they are the same object
        for known, work, trajectory in self._simulated:
            if known == key:
                self.work += work
                return trajectory
        before = self.work
        trajectory = self.run(
            *intervention_arrays(self.changes(arcs, 0, arcs)[0], self._step(end))[:2], self._step(end)
        )
        self._simulated.append((key, self.work - before, trajectory))
        return trajectory

    def run(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate interventions, as `Simulator.follow` takes them, to step `end`, and count the work."""
        self._count(rows, value, end)
        return self.simulator.follow(rows, value, end, smooth)

    def positions(self, rows: Whole, value: Array, end: int, frames: slice, smooth: bool = False) -> Array:
        """Positions (K, F, N, 2) m in some frames, of what `run` simulates."""
        self._count(rows, value, end)
        return self.simulator.positions(rows, value, end, self.seen.steps[frames], smooth)

    def _count(self, rows: Whole, value: Array, end: int) -> None:
        begin = int(rows[0, STEP]) if len(rows) else end
        self.work += self.law.cost * len(self.seen.diameter) * value.shape[1] * (end - begin)

    def changes(self, arcs: Sequence[Arc], since: int, every: Sequence[Arc]) -> tuple[list[Intervention], list[int]]:
        """Interventions from frame `since` on that stand for some of all arcs, `every`.

        A body continues its arc until its next one begins, so that others can touch it in between. After its last arc
        it is removed.

        Returns the interventions; which of them sets the first state of each arc, -1 where that lies before.
        """
        interventions: list[Intervention] = []
        first = [-1] * len(arcs)
        for a, arc in enumerate(arcs):
            begin = self._step(arc.first)
            if arc.first >= since:
                first[a] = len(interventions)
                state = self.state(arc.body, arc.chart, arc.numbers[None])
                interventions.append(Intervention(begin, arc.body, "state", state))
            if since < arc.last < len(self.seen.times):
                follows = any(other.body == arc.body and other.first >= arc.last for other in every)
                if not follows and self.law.removable:
                    interventions.append(Intervention(self._step(arc.last), arc.body, "gone"))
            until = self._step(arc.last) if arc.last < len(self.seen.times) else np.inf
            for push in self.law.pushes:
                later = push.step > self._step(since) or (arc.first >= since and push.step >= begin)
                if push.body == arc.body and begin <= push.step < until and later:
                    interventions.append(push)
        return interventions, first

    def frozen(self, trajectory: Trajectory, frame: int, bodies: Sequence[int]) -> list[Intervention]:
        """States of bodies at a frame of the first candidate of a simulation, as interventions."""
        position, velocity, spin = (part[0, 0] for part in trajectory.at(np.array([self.seen.steps[frame]])))
        return [
            Intervention(self._step(frame), n, "state", np.concatenate([position[n], velocity[n], spin[n]])[None])
            for n in bodies
            if np.isfinite(position[n]).all()
        ]

    def errors(self, position: Array, frames: slice) -> Array:
        """Distances (K, F, N) in diameters of positions (K, F, N, 2) m from the track; NaN where either is missing."""
        return distances(np.ascontiguousarray(position), self.seen.track[frames], self.seen.diameter)

    def _step(self, frame: int) -> int:
        return int(self.seen.steps[min(frame, len(self.seen.steps) - 1)])


# First guesses for an arc: states that fit the next few points under the forces that act there.


def initial_guesses(problem: Hypothesis, body: int, frame: int) -> tuple[Arc, ...]:
    """Arcs of a body that may begin at a frame. Only simulating them tells the best one.

    They are kept: searches at other tolerances ask for them again.
    """
    if (body, frame) not in problem.guesses:
        problem.guesses[body, frame] = tuple(_guesses(problem, body, frame))
    return problem.guesses[body, frame]


def _guesses(problem: Hypothesis, body: int, frame: int) -> list[Arc]:
    seen = problem.seen
    # s after its first frame within which the points of a guess lie
    window_end = int(np.searchsorted(seen.times, seen.times[frame] + 2.0 + 1e-9))
    known = frame + np.flatnonzero(seen.known[frame:window_end, body])
    guesses: list[Arc] = []
    min_guess_points = 3  # points
    # Two places of the context tell a velocity, where ground truth too may show no further one.
    if len(known) < min_guess_points and seen.given[known, body].sum() < 2:
        return guesses
    law, around = problem.law, _positions_around(problem, body, frame, seen.position[known[0], body])
    times = seen.moments - seen.moments[frame]
    # s of track, each of which gives a guess
    sizes = sorted({max(min_guess_points, int((times[known] <= span + 1e-9).sum())) for span in (0.1, 0.17, 0.3, 0.4)})
    charts = law.charts(body, seen.position[known[:min_guess_points], body], float(seen.diameter[body]))
    for size in sizes:
        points = known[:size]
        dt = times[points]
        for chart in charts:
            numbers = law.guess(body, chart, dt, seen.position[points, body], around)
            sunk = law.gaps(body, charts[1:], numbers[:2]) if chart == FREE and len(charts) > 1 else np.zeros(1)
            if sunk.min() < -0.03 * seen.diameter[body]:  # diameters by which a body may lie in a face
                continue  # it rests: a fall that fits the points would begin below the face
            guesses.append(Arc(body, frame, len(seen.times), chart, numbers))
    if frame == 0 and seen.first_velocity is not None and np.isfinite(seen.first_velocity[body]).all():
        start = seen.position[0, body], seen.first_velocity[body]
        guesses += [Arc(body, frame, len(seen.times), chart, law.numbers(chart, *start)) for chart in charts]
    return guesses


def _positions_around(problem: Hypothesis, body: int, frame: int, position: Array) -> Array:
    """Positions (N, 2) m of all bodies at a frame; of others as they are seen nearest to it, where they matter."""
    positions = np.repeat(position[None], len(problem.seen.diameter), axis=0)
    for other in np.flatnonzero(problem.law.linked[body]):
        known = np.flatnonzero(problem.seen.known[:, other])
        if other != body and len(known):
            positions[other] = problem.seen.position[known[np.abs(known - frame).argmin()], other]
    return positions


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
    """Damping matrices (D, p, p) for normal equations of `count` numbers."""
    damping = np.array([1e-4, 1e-2, 1.0, 100.0])[:, None, None] * np.eye(count)
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
        moved = {self.arcs[c].body for c in self.chosen if self.arcs[c].first == self.since}
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
        return np.array([step for n in sizes for step in (5e-4, 2e-3) for _ in range(n // 2)])  # m and m/s

    @cached_property
    def _diagonal(self) -> Array:
        return np.diag(self.steps)

    @cached_property
    def _interventions(self) -> tuple[Whole, Array, list[int | None]]:
        """Interventions for the first numbers: rows (M, 3), values (M, 1, 6), and the place of each chosen arc."""
        held, end = {change.body for change in self._frozen}, self.frames.stop
        relevant = [
            a
            for a, arc in enumerate(self.arcs)
            if arc.first < end and (arc.first >= self.since or (arc.body in held and arc.last > self.since))
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
                self.problem.law.set_states(value[place], self.arcs[c].body, self.arcs[c].chart, numbers[:, part])
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
            simulated = self._simulate(numbers)
            self._simulated.update(zip(keys, simulated, strict=True))
            return simulated
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
        """True if linearized motion near numbers (p,) comes within a weighted distance `most` of all points.

        mask, weight: (F, N) of the points. Lawson's method: points are weighted by their distances, again and again.
        The largest distance of each round can be had; the weighted root mean square, which a round makes as small as it
        can be, is a lower bound of what can: either ends the search.
        """
        points = self._weighted(np.where(mask & self.problem.seen.known[self.frames], weight, 0.0))
        slope, scale = self._slopes(at, points)
        slope, residual = slope / scale, self._residuals(at[None], points, False)[0]
        ridge = 1e-12 * np.eye(len(at))
        share = np.full(len(residual) // 2, 2 / max(len(residual), 1))
        for _ in range(40):  # rounds of weights in Lawson's method
            heavy = slope * np.repeat(share, 2)[:, None]
            step = np.linalg.solve(heavy.T @ slope + ridge, heavy.T @ residual)
            off = np.linalg.norm((residual - slope @ step).reshape(-1, 2), axis=1)
            if off.max(initial=0.0) <= most:
                return True
            # A lower bound counts if it is above by more than its rounding, 1e-6 limits
            if share @ off**2 > (most + 1e-6) ** 2:
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
