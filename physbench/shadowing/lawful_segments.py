"""A track as a chain of lawful segments: one trajectory is extended as long as it stays within the tolerance.

Where no trajectory of the scene can go on, that is a break: an event with a body and a time. The chain starts again
behind it (`restart`). Bodies are simulated together, so that they meet; each has arcs of its own, and only those that
have met are fitted together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.forward_model import Trajectory
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.change_point import LARGE, change_point
from physbench.shadowing.hypothesis import Arc, Hypothesis
from physbench.shadowing.placed_bodies import CONTEXT
from physbench.shadowing.segment_init import AHEAD, FIRST, SegmentStarts
from physbench.shadowing.tolerance import Tolerance
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_BREAKS = 8  # of a body that are followed; what comes after the next one is unexplained
FOLLOWED = 1.2  # s beyond a miss that a fit is pulled by at most
FAR_OFF = 2.0  # limits by which a least-squares fit may be off for harder ones to be tried
HOPELESS = 1.3  # limits; the same of the least largest distance, as far as slopes tell
POLISH = 24  # random candidates where fits do not go on
MOST_WORK = 10**8  # bodies x candidates x physics steps of one chain; what is missed by then is not looked behind
MOST_FITS = 4  # that end at one frame of a body
BACK = 1.2  # s before a miss in which the break may lie
LEAST_KICK = 0.1  # diameters/s by which a velocity at the start may lie outside of what is declared
TOUCH, TOUCH_TIME = 0.15, 0.2  # diameters between bodies, and s before a miss, in which they may have met


@dataclass(frozen=True)
class Break:
    """Where a body's motion cannot be lawful."""

    disc: int
    frame: int  # first frame that the arc before misses
    time: float  # s, first frame that the lawful motion behind it explains better than the one before
    gross: bool
    jump: float  # diameters between the lawful states before and behind it; NaN: no lawful motion follows
    kick: float  # m/s between their velocities; NaN as well


@dataclass(eq=False)
class LawfulSegments:
    """Arcs and breaks at one tolerance. The arrays are on the arc that covers a frame, NaN or False elsewhere."""

    tolerance: float  # diameters
    arcs: list[Arc]
    breaks: list[Break] = field(default_factory=list)
    place: Array = field(default_factory=lambda: np.zeros((0, 0, 2)))  # (T, N, 2) m
    speed: Array = field(default_factory=lambda: np.zeros((0, 0, 2)))  # (T, N, 2) m/s
    errors: Array = field(default_factory=lambda: np.zeros((0, 0)))  # (T, N) diameters off what is seen
    touched: Mask = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))  # (T, N) since the arc began
    cut: bool = False  # whether the search was ended by MOST_WORK; what follows is unexplained

    def broken(self, disc: int, frame: int) -> list[Break]:
        """Breaks of a body up to a frame."""
        return [b for b in self.breaks if b.disc == disc and b.frame <= frame]


class SegmentSearch:
    """Makes the chain of a problem at one tolerance."""

    def __init__(
        self, problem: Hypothesis, tolerance: float, *, only_first: bool = False, arcs: list[Arc] | None = None
    ) -> None:
        """only_first: stop at the first break. arcs: a hypothesis to begin with, one arc a body."""
        self.problem, self.seen = problem, problem.seen
        self.limits = Tolerance(problem.seen, tolerance)
        self.most = problem.work + MOST_WORK
        self.restarts = SegmentStarts(problem, self.limits, self.most)
        self.total = self.limits.total
        self.only_first = only_first
        self.chain = LawfulSegments(tolerance, list(arcs) if arcs is not None else [])
        self.current: dict[int, int] = {}  # arc of each body that goes on
        self.fitted = np.zeros(0)  # numbers (p,) of the last fit by least squares
        self.excess = 0.0  # largest distance in limits of the last fit that did not go on
        self.rng = np.random.default_rng(0)

    def run(self) -> LawfulSegments:
        """Make the chain; without arcs where nothing is seen that could have one."""
        if not self.chain.arcs:
            self.chain.arcs = self.restarts.firsts()
        self.current = {arc.disc: a for a, arc in enumerate(self.chain.arcs)}
        if self.chain.arcs:
            self._extend()
            self.chain.cut = self.chain.cut or self.restarts.cut
            if not (self.only_first and self.chain.breaks):
                self._settle()
        self._finish()
        self._check_starts()
        return self.chain

    def _extend(self) -> None:
        margin = base = self.limits.frames(AHEAD)
        stalled: tuple[int, int] | None = None
        fits: Counter[tuple[int, int]] = Counter()
        while True:
            way = self._simulate()
            errors = self._errors(way)
            missed = self._missed(errors)
            if not missed:
                return
            if self.problem.work > self.most:
                self._give_up(missed)
                return
            disc = min(missed, key=lambda n: (missed[n], -np.nan_to_num(errors[missed[n], n])))
            frame = missed[disc]
            # A fit starts from the state at its first frame; where that rounds a touch to another step, it is no gain.
            # Two bodies may undo each other's fits in turn: MOST_FITS ends that.
            again, stalled = stalled == (disc, frame), (disc, frame)
            fits[disc, frame] += 1
            again = again or fits[disc, frame] > MOST_FITS
            if not again and self._improve(disc, frame, way, margin):
                margin = min(2 * margin, self.limits.frames(FOLLOWED))  # what drifts away is followed in larger steps
                continue
            margin, longer = base, margin
            if not again and longer > base and self._improve(disc, frame, way, base):
                continue
            if again or not self._improve(disc, frame, way, margin, hard=True):
                self._break(disc, frame, way)
                if self.only_first and self.chain.breaks:
                    return

    def _give_up(self, missed: dict[int, int]) -> None:
        """End all that misses where it does, with nothing behind it: the work is spent."""
        chain = self.chain
        chain.cut = True
        for disc, frame in missed.items():
            index = self.current.pop(disc)
            chain.arcs[index] = replace(chain.arcs[index], last=frame)
            if disc not in self.seen.brief:
                chain.breaks.append(Break(disc, frame, float(self.seen.times[frame]), False, np.nan, np.nan))

    def _settle(self) -> None:
        """Fit arcs that go on to the end once more to all of their points, where that breaks nothing."""
        left = set(self.current)
        while left:
            way = self._simulate()
            group = self._group(min(left), self.total - 1, way)
            left -= set(group)
            fit = ArcFit(self.problem, self.chain.arcs, [self.current[n] for n in group], way, self.total)
            numbers = fit.descend(self.limits.points(fit, self.total))
            if self.limits.reach(fit, numbers[None])[0] >= self.total:
                before, self.chain.arcs = self.chain.arcs, fit.result(numbers)
                if self._missed(self._errors(self._simulate())):  # somebody else is met now, or is not
                    self.chain.arcs = before

    def _finish(self) -> None:
        chain, seen = self.chain, self.seen
        shape = seen.place.shape[:2]
        chain.place, chain.speed = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan)
        chain.errors, chain.touched = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        if not chain.arcs:
            return
        way = self._simulate()
        chain.errors = self._errors(way)
        place, speed, _ = way.at(seen.steps)
        for arc in chain.arcs:
            for step, i, j in way.touches:
                frame = int(np.searchsorted(seen.steps, step))
                if arc.disc in (i, j) and arc.first < frame < arc.last:
                    chain.touched[frame : arc.last, arc.disc] = True
        covered = self._covered()
        chain.place[covered], chain.speed[covered] = place[0][covered], speed[0][covered]

    def _check_starts(self) -> None:
        """A velocity that the context does not show and the task does not declare is a break at the hand-over."""
        seen, tolerance = self.seen, self.limits.tolerance
        if seen.declared is None:
            return
        firsts: dict[int, Arc] = {}
        for arc in self.chain.arcs:
            firsts.setdefault(arc.disc, arc)
        for disc, arc in firsts.items():
            if disc in seen.brief or seen.tells_speed[disc] or seen.times[arc.first] > 1e-9:
                continue
            velocity = self.problem.state(disc, arc.face, arc.numbers[None])[0, 2:4]
            kick = seen.declared.outside(disc, velocity)
            if kick > max(tolerance / CONTEXT, LEAST_KICK) * float(seen.diameter[disc]):
                larger = max(float(np.linalg.norm(velocity)), float(seen.declared.slowest[disc]))
                self.chain.breaks.append(Break(disc, arc.first, 0.0, kick > LARGE * larger, 0.0, kick))

    # Where it stands

    def _simulate(self) -> Trajectory:
        return self.problem.simulate(self.chain.arcs, self.total - 1)

    def _covered(self) -> Mask:
        covered = np.zeros(self.seen.place.shape[:2], dtype=bool)
        for arc in self.chain.arcs:
            covered[arc.first : arc.last, arc.disc] = True
        return covered

    def _errors(self, way: Trajectory) -> Array:
        """Distances (T, N) in diameters from the arc that covers a frame; NaN where there is none or no point."""
        errors = self.problem.errors(way.at(self.seen.steps)[0], slice(0, self.total))[0]
        return np.where(self._covered(), errors, np.nan)

    def _missed(self, errors: Array) -> dict[int, int]:
        """First frame that the present arc of a body misses, by body."""
        found = {}
        for disc, a in self.current.items():
            first = self.chain.arcs[a].first
            beyond = np.flatnonzero(self.limits.misses(errors[first:, disc], first, disc))
            if len(beyond):
                found[disc] = first + int(beyond[0])
        return found

    def _group(self, disc: int, frame: int, way: Trajectory) -> list[int]:
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

    def _improve(self, disc: int, frame: int, way: Trajectory, margin: int, hard: bool = False) -> bool:
        """Fit the arcs of those that have met so that they go on beyond a frame; whether they do."""
        limits = self.limits
        chosen = [self.current[n] for n in self._group(disc, frame, way)]
        end = min(frame + max(2 * margin, limits.frames(FIRST)) + 1, self.total)
        fit = ArcFit(self.problem, self.chain.arcs, chosen, way, end)
        for numbers in self._harder(fit, frame) if hard else self._plain(fit, frame + margin):
            if limits.reach(fit, numbers[None])[0] > frame:
                self.chain.arcs = fit.result(numbers)
                return True
            self.excess = float(limits.excess(fit, numbers[None], frame + 1)[0])
        return False

    def _plain(self, fit: ArcFit, end: int) -> Iterator[Array]:
        """Least squares to the points before a frame."""
        self.fitted = fit.descend(self.limits.points(fit, min(end, self.total)))
        yield self.fitted

    def _harder(self, fit: ArcFit, frame: int) -> Iterator[Array]:
        """Fits that press the largest distance up to a frame down, where slopes say that this may do."""
        limits, points = self.limits, self.limits.points(fit, frame + 1)
        if self.excess > FAR_OFF or fit.least(points, self.fitted, 1 / limits.limit[fit.frames]) > HOPELESS:
            return
        base = fit.descend(points, rounds=3, extra=limits.pressure(fit, fit.start))
        yield base
        yield fit.descend(points, base, rounds=3, extra=limits.pressure(fit, base))
        factors = self.rng.choice([1.0, 3.0, 10.0], (POLISH, 1))
        shaken = base + self.rng.normal(size=(POLISH, len(base))) @ fit.spread(points, base).T * factors
        best = shaken[int(limits.reach(fit, shaken).argmax())]
        yield best
        yield fit.descend(points, best, rounds=3)

    def _break(self, disc: int, frame: int, way: Trajectory) -> None:
        """End the arc of a body at a frame that it misses, and begin the next one."""
        index = self.current.pop(disc)
        chain = self.chain
        chain.arcs[index] = before = replace(chain.arcs[index], last=frame)
        innocent = (
            disc in self.seen.brief  # it is not judged, and goes on for the sake of those that it meets
            or self._met_the_unexplained(disc, frame)
            or self._was_met_wrongly(before, frame, way)
        )
        if not innocent and sum(b.disc == disc for b in chain.breaks) >= MOST_BREAKS:
            return
        found = None
        if (innocent or not self.only_first) and before.first < frame:  # else what is tried again fails again
            found = self.restarts.behind(before, frame, chain.arcs, way)
        if found is not None:
            self.current[disc] = len(chain.arcs)
            chain.arcs.append(found)
        if innocent:
            return
        if self.only_first:
            chain.breaks.append(Break(disc, frame, float(self.seen.times[frame]), False, np.nan, np.nan))
            return
        predicted = int(np.searchsorted(self.seen.times, 1e-9))  # the context is nobody's fault
        earliest = max(frame - self.limits.frames(BACK), predicted)
        parted = change_point(self.problem, chain.arcs, before, found, way, earliest, self.limits.tolerance)
        chain.breaks.append(Break(disc, frame, parted.time, parted.gross, parted.jump, parted.kick))

    def _met_the_unexplained(self, disc: int, frame: int) -> bool:
        """Whether a body may just have been met by one whose motion nothing explains, so that the break is not its."""
        seen, world = self.seen, self.problem.forward.world
        if world is None:
            return False
        recent = max(frame - self.limits.frames(TOUCH_TIME), 0)
        covered = self._covered()
        for other in range(len(seen.diameter)):
            reach = world.radius[disc] + world.radius[other]
            if other == disc or abs(world.depth[disc] - world.depth[other]) >= reach:
                continue
            away = np.linalg.norm(seen.place[: frame + 1, disc] - seen.place[: frame + 1, other], axis=-1)
            near = away <= reach + TOUCH * seen.diameter[disc]
            met = np.flatnonzero(near[recent:])
            if len(met):
                apart = np.flatnonzero(~near[: recent + met[-1]])
                first = int(apart[-1]) + 1 if len(apart) else 0  # when they came near
                if not covered[first, other]:
                    return True
        return False

    def _was_met_wrongly(self, arc: Arc, frame: int, way: Trajectory) -> bool:
        """Whether an arc goes wrong long after it was met by a body that was already off its own lawful motion.

        What goes wrong at once was not met at all: that is no excuse.
        """
        steps, chain = self.seen.steps, self.chain
        begin, end = steps[arc.first], steps[frame] - TOUCH_TIME / 2 * PHYSICS_HZ
        for step, i, j in way.touches:
            if j < 0 or arc.disc not in (i, j) or not begin <= step < end:
                continue
            other = j if arc.disc == i else i
            for b in chain.breaks:
                later = [a.first for a in chain.arcs if a.disc == other and a.first >= b.frame]
                if b.disc == other and steps[max(b.frame - 1, 0)] < step <= steps[min(later, default=self.total - 1)]:
                    return True
        return False
