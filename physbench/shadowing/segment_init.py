"""Where and how a body's next lawful arc begins: at the start of a track, and after a break."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.simulator import Trajectory
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.hypothesis import FREE, Arc, Hypothesis
from physbench.shadowing.initial_guess import initial_guesses
from physbench.shadowing.tolerance import Tolerance

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_SEGMENT_TIME = 0.3  # s of a segment that counts
MIN_SEGMENT_POINTS = 4  # of a segment that counts: 8 numbers, 4 more than its start has
FIT_MARGIN = 0.07  # s of track after the first miss that a fit includes
FIRST_FIT_TIME = 0.3  # s of track to which a new arc is fitted
MIN_PROMISE = 0.1  # s; a guess that holds for less is not fitted
MAX_GUESS_EXCESS = 4.0  # limits; a best guess that is further off within MIN_SEGMENT_TIME is not fitted
DELAYS = (0, 1, 2, 4, 7, 11, 16)  # thirtieths of a second after a break at which a new arc is sought
LATER_DELAY = 0.25  # s between further attempts
MAX_VAIN_STARTS = 16  # of a body; what comes after them is unexplained

VELOCITY_LOOKBACK = 2  # frames before a start whose velocity is tried, too

Value = tuple[int, float]  # first frame that an arc misses, minus the rms distance before it: larger is better


def is_long_enough(times: Array) -> bool:
    """Whether positions at times (n,) s, ascending, are enough for a segment that counts."""
    return bool(len(times) >= MIN_SEGMENT_POINTS and times[-1] - times[0] >= MIN_SEGMENT_TIME - 1e-9)


class SegmentStarts:
    """Looks for first and next arcs at one tolerance."""

    def __init__(self, problem: Hypothesis, limits: Tolerance, work_limit: int, lawful: Mask | None = None) -> None:
        """work_limit: work of the problem at which the search ends. lawful: (T, N) where a next arc may begin.

        It is where a larger tolerance has one; None: anywhere.
        """
        self.problem, self.seen, self.limits, self.work_limit = problem, problem.seen, limits, work_limit
        self.may_begin = problem.seen.known if lawful is None else problem.seen.known & lawful
        self.truncated = False  # whether the limit of work ended a search
        self._vain = [0] * len(problem.seen.diameter)

    def first_arcs(self) -> list[Arc]:
        """First arcs of all bodies that have one, each fitted while the others follow their first guesses."""
        arcs: list[Arc] = []
        for disc, first in enumerate(self.seen.start.tolist()):
            for frame in (first + np.flatnonzero(self.seen.known[first:, disc])).tolist():
                guesses = initial_guesses(self.problem, disc, frame)
                if guesses:
                    arcs.append(guesses[-1])
                    break
        for a, arc in enumerate(arcs):
            others = [*arcs[:a], *arcs[a + 1 :]]
            trajectory = self._trajectory_to(arc.first, others)
            found = self._best(
                arc.first, arcs[:a], arcs[a + 1 :], initial_guesses(self.problem, arc.disc, arc.first), trajectory, True
            )
            arcs[a] = found[1]
        return arcs

    def after(self, old: Arc, frame: int, arcs: Sequence[Arc], trajectory: Trajectory) -> Arc | None:
        """The next arc of a body that is long enough, from a frame on; None where there is none.

        old: the arc before, one of `arcs`. trajectory: a simulation in which the body continues its old arc.
        """
        disc, total = old.disc, self.limits.total
        known = np.flatnonzero(self.may_begin[:, disc])
        delays = [round(delay * self.limits.fps / 30) for delay in DELAYS]
        tried, at = -1, frame
        while at < total and self._vain[disc] < MAX_VAIN_STARTS:
            if self.problem.work > self.work_limit:
                self.truncated = True
                return None
            later = known[known >= at]
            if not len(later):
                return None
            if later[0] > tried:
                tried = int(later[0])
                found = self._lasting_arc(old, tried, arcs, trajectory)
                if found is not None:
                    return found
                self._vain[disc] += 1
            delays = delays[1:] if len(delays) > 1 else [delays[0] + self.limits.frames(LATER_DELAY)]
            at = max(frame + delays[0], at + 1)
        return None

    def _lasting_arc(self, old: Arc, frame: int, arcs: Sequence[Arc], trajectory: Trajectory) -> Arc | None:
        guesses = [*initial_guesses(self.problem, old.disc, frame), *self._continued(old, frame, trajectory)]
        if not guesses:
            return None
        (reach, _), arc = self._best(frame, arcs, (), guesses, trajectory)
        lasted = float(self.seen.times[min(reach, self.limits.total) - 1] - self.seen.times[frame])
        points = int(self.seen.known[frame:reach, old.disc].sum())
        return arc if lasted >= MIN_SEGMENT_TIME - 1e-9 and points >= MIN_SEGMENT_POINTS else None

    def _continued(self, old: Arc, frame: int, trajectory: Trajectory) -> list[Arc]:
        """Guesses for a body that soon touches something: with its velocity before, and with that of two points."""
        seen, n = self.seen, old.disc
        recent = max(frame - VELOCITY_LOOKBACK, old.first)  # in between the old arc may have met something
        old_velocities = trajectory.at(seen.steps[[recent, frame]])[1][0, :, n]
        position, velocities = seen.position[frame, n], list(old_velocities)
        if frame + 1 < len(seen.times) and seen.known[frame + 1, n]:
            dt = float(seen.times[frame + 1] - seen.times[frame])
            positions = np.repeat(position[None], len(seen.diameter), axis=0)
            acceleration = self.problem.forward.acceleration(positions)[n]
            velocities.append((seen.position[frame + 1, n] - position) / dt - acceleration * dt / 2)
        return [
            Arc(n, frame, len(seen.times), FREE, np.concatenate([position, value]))
            for value in velocities
            if np.isfinite(value).all()
        ]

    def _best(
        self,
        frame: int,
        before: Sequence[Arc],
        later: Sequence[Arc],
        guesses: Sequence[Arc],
        trajectory: Trajectory | None,
        first: bool = False,
    ) -> tuple[Value, Arc]:
        """Fit guesses, and return the arc that holds longest beside the other arcs.

        trajectory: a simulation up to the frame. first: it is the first arc of its body, which always gets one.
        """
        limits, disc = self.limits, guesses[0].disc
        end = min(frame + max(2 * limits.frames(FIRST_FIT_TIME), MIN_SEGMENT_POINTS + 2), limits.total)
        index, promising = len(before), frame + limits.frames(MIN_PROMISE)
        around = [*before, guesses[0], *later]
        values, excess = self._guess_durations(guesses, around, index, trajectory, end)
        ranked = sorted(range(len(guesses)), key=lambda g: values[g], reverse=True)
        best: tuple[Value, Arc] = values[ranked[0]], guesses[ranked[0]]
        if best[0][0] >= end or (not first and (best[0][0] < promising or excess > MAX_GUESS_EXCESS)):
            return best
        others = [g for g in ranked if guesses[g].face != guesses[ranked[0]].face and values[g][0] >= promising]
        for g in [ranked[0], *(ranked[1:2] if first else others[:1])]:
            around[index] = guesses[g]
            fit = ArcFit(self.problem, around, [index], trajectory, end)
            numbers = fit.start
            span = min(max(values[g][0] + limits.frames(FIT_MARGIN), frame + limits.frames(FIRST_FIT_TIME / 2)), end)
            for until in (span, frame + limits.frames(FIRST_FIT_TIME) + 1):
                numbers = fit.descend(limits.points(fit, min(until, end)), numbers, rounds=3)
                value = self._durations(fit.errors(numbers[None])[:, :, disc], frame, disc)[0]
                if value > best[0]:
                    best = (value, fit.result(numbers)[index])
                if value[0] < promising or value[0] >= end:
                    break
            if best[0][0] >= end:
                break
        return best

    def _trajectory_to(self, frame: int, arcs: Sequence[Arc]) -> Trajectory | None:
        """A simulation of arcs up to a frame; None where none has begun by then."""
        begun = [arc for arc in arcs if arc.first <= frame]
        return self.problem.simulate(begun, frame) if begun else None

    def _guess_durations(
        self, guesses: Sequence[Arc], around: Sequence[Arc], index: int, trajectory: Trajectory | None, end: int
    ) -> tuple[list[Value], float]:
        """How long each guess holds at position `index` among other arcs; all begin at one frame.

        Also the smallest, over the guesses, of the largest distance in limits within MIN_SEGMENT_TIME.
        """
        values: list[Value] = [(0, -np.inf)] * len(guesses)
        disc, first = guesses[0].disc, guesses[0].first
        excess, until = np.inf, min(first + self.limits.frames(MIN_SEGMENT_TIME) + 1, end)
        for face in {guess.face for guess in guesses}:
            some = [g for g, guess in enumerate(guesses) if guess.face == face]
            arcs = [*around[:index], guesses[some[0]], *around[index + 1 :]]
            fit = ArcFit(self.problem, arcs, [index], trajectory, end)
            numbers = np.stack([guesses[g].numbers for g in some])
            for g, value in zip(some, self._durations(fit.errors(numbers)[:, :, disc], first, disc), strict=True):
                values[g] = value
            excess = min(excess, float(self.limits.excess(fit, numbers, until).min()))
        return values, excess

    def _durations(self, errors: Array, first: int, disc: int) -> list[Value]:
        """How long arcs of a body that begin at a frame hold, from their distances (K, F) in diameters."""
        beyond = self.limits.misses(errors, first, disc)
        reaches = np.where(beyond.any(axis=1), beyond.argmax(axis=1), beyond.shape[1]).tolist()
        return [(first + reach, -_rms(row[: max(reach, 1)])) for row, reach in zip(errors, reaches, strict=True)]


def _rms(values: Array) -> float:
    """Root mean square of those values (n,) that are not NaN; infinite where none is finite."""
    square, known = values**2, np.isfinite(values)
    if not known.any():
        return float(np.inf)
    if known.all():
        return math.sqrt(square.sum() / len(square))
    unknown = np.isnan(square)
    square[unknown] = 0.0
    return math.sqrt(square.sum() / (len(square) - int(unknown.sum())))
