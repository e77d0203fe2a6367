"""A track as a chain of lawful segments: one trajectory is extended as long as it stays within the tolerance.

Where no trajectory of the scene can go on, that is a break: an event with a body and a time. The chain starts again
behind it. Bodies are simulated together, so that they meet; each has arcs of its own, and only those that have met are
fitted together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.shadowing.fit import Fit
from physbench.scoring.shadowing.forward import Way
from physbench.scoring.shadowing.problem import FREE, Arc, Problem
from physbench.scoring.shadowing.start import starts

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_SPAN = 0.3  # s of a segment that counts
LEAST_SPARE = 4  # points more than free numbers
MOST_BREAKS = 8  # of a body; what comes after them is unexplained
SURE_SDS = 5.0  # a point is not asked to be nearer than this many of its sd
AHEAD = 0.07  # s beyond the first miss that a fit is pulled by
FIRST = 0.3  # s that a new arc is fitted to
POLISH = 24  # random candidates where fits do not go on
STEPS = (0, 1, 2, 4, 7, 11, 16)  # frames at 30/s by which a new start is sought later and later
MOST_STARTS = 16  # of a body that are sought in vain; what comes after them is unexplained


@dataclass(frozen=True)
class Break:
    """Where a body's motion cannot be lawful."""

    disc: int
    frame: int  # first frame that belongs to what comes after
    time: float  # s, where the motion before and that behind it part
    gross: bool
    jump: float  # diameters between the lawful states before and behind it
    kick: float  # m/s between their velocities


@dataclass(eq=False)
class Chain:
    """Arcs and breaks at one tolerance."""

    tolerance: float  # diameters
    arcs: list[Arc]
    breaks: list[Break] = field(default_factory=list)
    place: Array = field(default_factory=lambda: np.zeros((0, 0, 2)))  # (T, N, 2) m on the arc that covers a frame
    speed: Array = field(default_factory=lambda: np.zeros((0, 0, 2)))  # (T, N, 2) m/s there
    errors: Array = field(default_factory=lambda: np.zeros((0, 0)))  # (T, N) diameters off what is seen
    touched: Mask = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))  # (T, N) since its arc began


class Chainer:
    """Makes the chain of a problem at one tolerance."""

    def __init__(
        self, problem: Problem, tolerance: float, *, only_first: bool = False, arcs: list[Arc] | None = None
    ) -> None:
        """only_first: stop at the first break. arcs: a hypothesis to begin with, one arc a body."""
        self.problem, self.seen = problem, problem.seen
        self.limit = np.maximum(tolerance, SURE_SDS * self.seen.sd)  # (T, N)
        self.total = len(self.seen.times)
        self.only_first = only_first
        self.chain = Chain(tolerance, list(arcs) if arcs is not None else [])
        self.current: dict[int, int] = {arc.disc: a for a, arc in enumerate(self.chain.arcs)}
        self.fps = 1 / float(self.seen.times[1] - self.seen.times[0])
        self.rng = np.random.default_rng(0)
        self._vain: dict[int, int] = {}
        self._way: Way | None = None

    def run(self) -> Chain:
        """Make the chain."""
        if not self.chain.arcs:
            self._begin_all()
        margin = base = self._frames(AHEAD)
        stalled: tuple[int, int] | None = None
        while True:
            way = self._simulate()
            errors = self._errors(way)
            missed = self._missed(errors)
            if not missed:
                break
            disc = min(missed, key=lambda n: (missed[n], -np.nan_to_num(errors[missed[n], n])))
            frame = missed[disc]
            # A fit starts from the state at its first frame; where that rounds a touch to another step, it is no gain.
            again, stalled = stalled == (disc, frame), (disc, frame)
            if not again and self._improve(disc, frame, way, margin):
                margin = min(2 * margin, self._frames(FIRST))  # what drifts away is followed in larger steps
                continue
            margin, longer = base, margin
            if not again and longer > base and self._improve(disc, frame, way, base):
                continue
            if again or not self._improve(disc, frame, way, margin, hard=True):
                self._break(disc, frame, way)
                if self.only_first:
                    break
        self._settle()
        self._finish()
        return self.chain

    def _settle(self) -> None:
        """Fit arcs that go on to the end once more to all of their points, where that breaks nothing."""
        way = self._simulate()
        left = set(self.current)
        while left:
            group = self._group(min(left), self.total - 1, way)
            left -= set(group)
            fit = Fit(self.problem, self.chain.arcs, [self.current[n] for n in group], way, self.total)
            numbers = fit.descend(self._mask(fit, self.total))
            if self._reach(fit, numbers[None])[0] >= self.total:
                self.chain.arcs = fit.result(numbers)

    def _finish(self) -> None:
        way, chain, seen = self._simulate(), self.chain, self.seen
        chain.errors = self._errors(way)
        place, speed, _ = way.at(seen.steps)
        chain.place, chain.speed = place[0], speed[0]
        chain.touched = np.zeros(chain.errors.shape, dtype=bool)
        covered = np.zeros(chain.errors.shape, dtype=bool)
        for arc in chain.arcs:
            covered[arc.first : arc.last, arc.disc] = True
            for step, i, j in way.touches:
                frame = int(np.searchsorted(seen.steps, step))
                if arc.disc in (i, j) and arc.first < frame < arc.last:
                    chain.touched[frame : arc.last, arc.disc] = True
        chain.place[~covered], chain.speed[~covered] = np.nan, np.nan

    # Where it stands

    def _frames(self, seconds: float) -> int:
        return max(1, round(seconds * self.fps))

    def _simulate(self) -> Way:
        return self.problem.simulate(self.chain.arcs, self.total - 1)

    def _errors(self, way: Way) -> Array:
        """Distances (T, N) in diameters from the arc that covers a frame; NaN where there is none or no point."""
        errors = self.problem.errors(way.at(self.seen.steps)[0], slice(0, self.total))[0]
        covered = np.zeros(errors.shape, dtype=bool)
        for arc in self.chain.arcs:
            covered[arc.first : arc.last, arc.disc] = True
        return np.where(covered, errors, np.nan)

    def _missed(self, errors: Array) -> dict[int, int]:
        """First frame that the present arc of a body misses, by body."""
        found = {}
        for disc, a in self.current.items():
            first = self.chain.arcs[a].first
            bad = np.flatnonzero(self._bad(errors[first:, disc], first, disc))
            if len(bad):
                found[disc] = first + int(bad[0])
        return found

    def _bad(self, errors: Array, first: int, disc: int) -> Mask:
        limit = self.limit[first : first + errors.shape[-1], disc]
        known = self.seen.known[first : first + errors.shape[-1], disc]
        return np.asarray(known & ~(errors <= limit))

    def _group(self, disc: int, frame: int, way: Way) -> list[int]:
        """Bodies whose present arcs have met, directly or not, up to a frame."""
        step = self.seen.steps[frame]
        group = {disc}
        grown = True
        while grown:
            grown = False
            for at, i, j in way.touches:
                if j < 0 or at > step or (i in group) == (j in group) or not {i, j} <= set(self.current):
                    continue
                since = max(self.seen.steps[self.chain.arcs[self.current[n]].first] for n in (i, j))
                if at >= since:
                    group |= {i, j}
                    grown = True
        if self.problem.forward.world is None and len(self.seen.diameter) > 1:
            group |= {n for n, a in self.current.items() if self.chain.arcs[a].first <= frame}  # drawn all the time
        return sorted(group)

    # Extending

    def _improve(self, disc: int, frame: int, way: Way, margin: int, hard: bool = False) -> bool:
        """Fit the arcs of those that have met so that they go on beyond a frame; whether they do."""
        chosen = [self.current[n] for n in self._group(disc, frame, way)]
        end = min(frame + max(2 * margin, self._frames(FIRST)) + 1, self.total)
        fit = Fit(self.problem, self.chain.arcs, chosen, way, end)
        mask = self._mask(fit, min(frame + margin, self.total))
        trials = []
        if not hard:
            trials.append(fit.descend(mask))
        else:
            exact = self._mask(fit, frame + 1)
            base = fit.descend(exact, rounds=3, extra=self._stress(fit, fit.start))
            trials.append(base)
            trials.append(fit.descend(exact, base, rounds=3, extra=self._stress(fit, base)))
            spread = fit.spread(exact, base)
            shaken = base + self.rng.normal(size=(POLISH, len(base))) @ spread.T * self.rng.choice(
                [1.0, 3.0, 10.0], (POLISH, 1)
            )
            reach = self._reach(fit, shaken)
            best = shaken[int(reach.argmax())]
            trials += [best, fit.descend(exact, best, rounds=3)]
        reach = self._reach(fit, np.stack(trials))
        if reach.max() <= frame:
            return False
        self.chain.arcs = fit.result(trials[int(reach.argmax())])
        return True

    def _mask(self, fit: Fit, end: int) -> Mask:
        mask = np.zeros((fit.frames.stop - fit.since, len(self.seen.diameter)), dtype=bool)
        for c in fit.chosen:
            arc = fit.arcs[c]
            mask[arc.first - fit.since : max(end - fit.since, 0), arc.disc] = True
        return mask

    def _stress(self, fit: Fit, numbers: Array) -> Array:
        """Factors of weights (F, N) that press a fit towards the smallest largest distance."""
        errors = np.nan_to_num(fit.errors(numbers[None])[0], nan=0.0)
        share = errors / self.limit[fit.frames]
        return np.asarray(1 + np.minimum(share, 3.0) ** 2 * 3)

    def _reach(self, fit: Fit, numbers: Array) -> NDArray[np.intp]:
        """First frame (K,) that some fitted arc misses; the end of the simulated frames where there is none."""
        errors = fit.errors(numbers)
        reach = np.full(len(numbers), fit.frames.stop)
        for c in fit.chosen:
            arc = fit.arcs[c]
            if arc.first >= fit.frames.stop:
                continue
            bad = self._bad(errors[:, arc.first - fit.since :, arc.disc], arc.first, arc.disc)
            reach = np.where(bad.any(axis=1), np.minimum(reach, arc.first + bad.argmax(axis=1)), reach)
        return reach

    # Breaks and beginnings

    def _break(self, disc: int, frame: int, way: Way) -> None:
        old = self.current.pop(disc)
        self.chain.arcs[old] = replace(self.chain.arcs[old], last=frame)
        before = self.chain.arcs[old]
        found = None
        if not self.only_first and sum(b.disc == disc for b in self.chain.breaks) < MOST_BREAKS - 1:
            found = self._next(disc, frame)
        time, gross, jump, kick = float(self.seen.times[frame]), True, np.inf, np.inf
        if found is not None:
            self.current[disc] = len(self.chain.arcs)
            self.chain.arcs.append(found)
            time, gross, jump, kick = self._compare(before, found, frame)
        self.chain.breaks.append(Break(disc, frame, time, gross, jump, kick))

    def _next(self, disc: int, frame: int) -> Arc | None:
        """The next arc of a body that lasts, from a frame on."""
        known = np.flatnonzero(self.seen.known[:, disc])
        tried, ladder = -1, [round(step * self.fps / 30) for step in STEPS]
        at = frame
        while at < self.total and self._vain.get(disc, 0) < MOST_STARTS:
            later = known[known >= at]
            if not len(later):
                return None
            if later[0] > tried:
                tried = int(later[0])
                found = self._begin(disc, tried, True)
                if found is not None:
                    return found
                self._vain[disc] = self._vain.get(disc, 0) + 1
            ladder = ladder[1:] if len(ladder) > 1 else [ladder[0] + self._frames(0.25)]
            at = max(frame + ladder[0], at + 1)
        return None

    def _begin_all(self) -> None:
        """First arcs of all bodies, each beside first guesses for the others."""
        for disc, first in enumerate(self.seen.start.tolist()):
            known = first + np.flatnonzero(self.seen.known[first:, disc])
            if not len(known):
                continue
            guesses = starts(self.problem, disc, int(known[0]))
            if guesses:
                self.current[disc] = len(self.chain.arcs)
                self.chain.arcs.append(guesses[-1])
        for disc, a in list(self.current.items()):
            found = self._begin(disc, self.chain.arcs[a].first, False, a)
            if found is not None:
                self.chain.arcs[a] = found

    def _begin(self, disc: int, frame: int, lasting: bool, at: int | None = None) -> Arc | None:
        """The arc from a frame on that goes on longest for a while; lasting: None if it does not last."""
        guesses = starts(self.problem, disc, frame)
        if not guesses:
            return None
        end = min(frame + 2 * self._frames(FIRST), self.total)
        values = self._try(guesses, end, at)
        ranked = sorted(range(len(guesses)), key=lambda g: values[g], reverse=True)
        if lasting and values[ranked[0]][0] < frame + self._frames(FIRST / 3):
            return None
        others = [g for g in ranked if guesses[g].face != guesses[ranked[0]].face]
        best: tuple[tuple[int, float], Arc] | None = None
        for g in [ranked[0], *(others[:1] if lasting else ranked[1:2])]:
            arcs, a = self._with(guesses[g], at)
            fit = Fit(self.problem, arcs, [a], self._before(frame, a, arcs), end)
            span = min(max(values[g][0] + self._frames(AHEAD), frame + self._frames(FIRST / 2)), end)
            for until in (span, frame + self._frames(FIRST) + 1):
                numbers = fit.descend(self._mask(fit, min(until, end)), rounds=3)
                fit = Fit(self.problem, fit.result(numbers), [a], self._way, end)
                value = self._try([fit.arcs[a]], end, at)[0]
                if best is None or value > best[0]:
                    best = (value, fit.arcs[a])
                if value[0] < frame + self._frames(FIRST / 3) or value[0] >= end:
                    break
            if best is not None and best[0][0] >= end:
                break
        assert best is not None
        reach = best[0][0]
        lasted = float(self.seen.times[min(reach, self.total) - 1] - self.seen.times[frame])
        points = int(self.seen.known[frame:reach, disc].sum())
        lasts = lasted >= LEAST_SPAN - 1e-9 and points >= len(best[1].numbers) + LEAST_SPARE
        return best[1] if lasts or not lasting else None

    def _with(self, arc: Arc, at: int | None) -> tuple[list[Arc], int]:
        arcs = list(self.chain.arcs)
        if at is None:
            return [*arcs, arc], len(arcs)
        arcs[at] = arc
        return arcs, at

    def _before(self, frame: int, a: int, arcs: list[Arc]) -> Way | None:
        """A simulation of the others up to a frame."""
        others = [arc for b, arc in enumerate(arcs) if b != a and arc.first <= frame]
        self._way = self.problem.simulate(others, frame) if others else None
        return self._way

    def _try(self, guesses: list[Arc], end: int, at: int | None) -> list[tuple[int, float]]:
        """First frame that each arc misses, and minus its rms distance up to there. All begin at one frame."""
        values: list[tuple[int, float]] = [(0, 0.0)] * len(guesses)
        for face in {guess.face for guess in guesses}:
            some = [g for g, guess in enumerate(guesses) if guess.face == face]
            arcs, a = self._with(guesses[some[0]], at)
            disc, first = arcs[a].disc, arcs[a].first
            fit = Fit(self.problem, arcs, [a], self._before(first, a, arcs), end)
            errors = fit.errors(np.stack([guesses[g].numbers for g in some]))
            bad = self._bad(errors[:, :, disc], first, disc)
            for g, row, missed in zip(some, errors[:, :, disc], bad, strict=True):
                reach = int(missed.argmax()) if missed.any() else end - first
                use = row[: max(reach, 1)]
                rms = float(np.sqrt(np.nanmean(use**2))) if np.isfinite(use).any() else np.inf
                values[g] = (first + reach, -rms)
        return values

    def _compare(self, old: Arc, new: Arc, frame: int) -> tuple[float, bool, float, float]:
        """Time at which two arcs of a body part, whether the break is gross, jump in diameters and in m/s."""
        n, seen = old.disc, self.seen
        arcs = [arc if arc is not old else replace(old, last=self.total) for arc in self.chain.arcs if arc is not new]
        place, speed, _ = self.problem.simulate(arcs, new.first).at(seen.steps[: new.first + 1])
        state = self.problem.state(n, new.face, new.numbers[None])[0]
        jump = float(np.linalg.norm(state[:2] - place[0, -1, n])) / float(seen.diameter[n])
        was, now = speed[0, -1, n], state[2:4]
        kick = float(np.linalg.norm(now - was))
        gross = not (jump <= 0.5 and kick <= 0.5 * max(float(np.linalg.norm(now)), float(np.linalg.norm(was))) + 1e-9)
        first = max(old.first, frame - self._frames(0.4))
        frames = np.arange(first, new.first + 1)
        back = (seen.times[frames] - seen.times[new.first])[:, None]
        pull = (
            np.zeros(2)
            if new.face != FREE
            else self.problem.forward.acceleration(np.repeat(state[None, :2], len(seen.diameter), 0))[n]
        )
        behind = state[:2] + back * now + 0.5 * pull * back**2
        cost_old = np.nan_to_num(((place[0, frames, n] - seen.place[frames, n]) ** 2).sum(-1))
        cost_new = np.nan_to_num(((behind - seen.place[frames, n]) ** 2).sum(-1))
        total = np.concatenate([[0.0], np.cumsum(cost_old)]) + np.concatenate([np.cumsum(cost_new[::-1])[::-1], [0.0]])
        cut = int(total[:-1].argmin())
        return float(seen.times[frames[cut]]), gross, jump, kick
