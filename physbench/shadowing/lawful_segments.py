"""A track as lawful segments with breaks between them, at one tolerance.

Each body follows an arc, which is fitted and extended as long as it stays within the tolerance. Where no arc of the
scene can go on, there is a break: an event with a body and a time, which `change_point` dates. `segment_init` then
looks for the next arc. Bodies are simulated together, so that they meet; only bodies that have met are fitted together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.simulator import Trajectory
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.change_point import GROSS_JUMP, change_point
from physbench.shadowing.hypothesis import Arc, Hypothesis
from physbench.shadowing.placed_bodies import CONTEXT_TIME, PlacedBodies
from physbench.shadowing.segment_init import FIRST_FIT_TIME, FIT_MARGIN, SegmentStarts
from physbench.shadowing.tolerance import Tolerance
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

GROSS_BREAKS = 4  # breaks, as which a gross one counts
MAX_BREAKS = 8  # of a body; what comes after one more is unexplained: it would weigh 2^-8
MAX_MARGIN = 1.2  # s; a fit includes at most so much track after the first miss
MAX_FIT_EXCESS = 2.0  # limits; where a least-squares fit is further off, no minimax fit is tried
MAX_MINIMAX = 1.3  # limits; the same for the smallest possible largest distance of linearized motion
RANDOM_CANDIDATES = 24  # random candidates after the other fits have failed
MAX_WORK = 10**8  # bodies x candidates x physics steps; afterwards the search ends at every miss
MAX_FITS = 4  # of a body that end at one frame
MAX_BACKDATING = 1.2  # s before the first miss in which the break may lie
MIN_PRIOR_EXCESS = 0.1  # diameters/s by which a first velocity may at least lie outside the declared range
CONTACT_DISTANCE = 0.15  # diameters; bodies that are nearer to each other may have met
CONTACT_TIME = 0.2  # s before a miss in which a contact may have caused it


@dataclass(frozen=True)
class Break:
    """Where a body's motion cannot be lawful."""

    disc: int  #: index of the body in the forward model
    frame: int  #: first frame that the arc before misses
    time: float  #: s, first frame that the next lawful motion explains better than the one before
    gross: bool  #: it counts as 4
    position_jump: float  #: diameters between the lawful states before and after it; NaN if no lawful motion follows
    velocity_jump: float  #: m/s between their velocities; NaN likewise


@dataclass(eq=False)
class LawfulSegments:
    """Arcs and breaks at one tolerance. The arrays are on the arc that covers a frame, NaN or False elsewhere."""

    tolerance: float  # diameters
    arcs: list[Arc]
    breaks: list[Break] = field(default_factory=list)
    position: Array = field(default_factory=lambda: np.zeros((0, 0, 2)))  # (T, N, 2) m
    velocity: Array = field(default_factory=lambda: np.zeros((0, 0, 2)))  # (T, N, 2) m/s
    errors: Array = field(default_factory=lambda: np.zeros((0, 0)))  # (T, N) diameters from the track
    touched: Mask = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))  # (T, N) something, since its arc began
    truncated: bool = False  # whether MAX_WORK ended the search; what follows is unexplained

    def count_of(self, disc: int) -> int:
        """Breaks of a body, where a gross one counts as GROSS_BREAKS."""
        return sum(GROSS_BREAKS if b.gross else 1 for b in self.breaks if b.disc == disc)

    def breaks_until(self, disc: int, frame: int) -> list[Break]:
        """Breaks of a body up to a frame."""
        return [b for b in self.breaks if b.disc == disc and b.frame <= frame]


class SegmentSearch:
    """Finds the lawful segments of a track at one tolerance."""

    def __init__(
        self,
        problem: Hypothesis,
        tolerance: float,
        *,
        only_first: bool = False,
        arcs: list[Arc] | None = None,
        coarser: LawfulSegments | None = None,
    ) -> None:
        """only_first: stop at the first break. arcs: first guesses, one arc a body. coarser: at a larger tolerance."""
        self.problem, self.seen = problem, problem.seen
        self.limits = Tolerance(problem.seen, tolerance)
        self.work_limit = problem.work + MAX_WORK
        lawful = None if coarser is None else _covered(problem.seen, coarser.arcs)
        self.segment_starts = SegmentStarts(problem, self.limits, self.work_limit, lawful)
        self.total = self.limits.total
        self.only_first, self.coarser = only_first, coarser
        self.segments = LawfulSegments(tolerance, list(arcs) if arcs is not None else [])
        self.current: dict[int, int] = {}  # arc of each body that goes on
        self.fitted = np.zeros(0)  # numbers (p,) of the last fit by least squares
        self.excess = 0.0  # largest distance in limits of the last fit that did not go on
        self.rng = np.random.default_rng(0)

    def run(self) -> LawfulSegments:
        """Find the segments; none where too little is seen for any arc."""
        self.find_arcs()
        self._record_motion()
        self._check_initial_velocities()
        return self.segments

    def find_arcs(self) -> list[Arc]:
        """The arcs alone of the segments, without their motion and without a break for a first velocity."""
        if not self.segments.arcs:
            self.segments.arcs = self.segment_starts.first_arcs()
        self.current = {arc.disc: a for a, arc in enumerate(self.segments.arcs)}
        if self.segments.arcs:
            self._extend()
            self.segments.truncated = self.segments.truncated or self.segment_starts.truncated
            if not (self.only_first and self.segments.breaks):
                self._final_fit()
        return self.segments.arcs

    def _extend(self) -> None:
        margin = base = self.limits.frames(FIT_MARGIN)
        stalled: tuple[int, int] | None = None
        fits: Counter[tuple[int, int]] = Counter()
        while True:
            trajectory = self._simulate()
            errors = self._errors(trajectory)
            missed = self._missed(errors)
            if not missed:
                return
            if self.problem.work > self.work_limit:
                self._stop_searching(missed)
                return
            disc = _first_to_miss(missed, errors)
            frame = missed[disc]
            # A fit may round a contact to another step and so gain nothing.
            # Two bodies may undo each other's fits in turn: MAX_FITS ends that.
            again, stalled = stalled == (disc, frame), (disc, frame)
            fits[disc, frame] += 1
            again = again or fits[disc, frame] > MAX_FITS
            if not again and self._improve(disc, frame, trajectory, margin):
                margin = min(2 * margin, self.limits.frames(MAX_MARGIN))  # a slow drift is followed in larger steps
                continue
            margin, longer = base, margin
            if not again and longer > base and self._improve(disc, frame, trajectory, base):
                continue
            if again or self._crosses(disc, frame) or not self._improve(disc, frame, trajectory, margin, hard=True):
                self._break(disc, frame, trajectory)
                if self.only_first and self.segments.breaks:
                    return

    def _crosses(self, disc: int, frame: int) -> bool:
        """Whether the arc of a body that misses a frame has crossed the date of a break at a larger tolerance."""
        if self.coarser is None:
            return False
        begin, end = self.seen.times[self.segments.arcs[self.current[disc]].first], self.seen.times[frame]
        return any(b.disc == disc and begin < b.time <= end + 1e-9 for b in self.coarser.breaks)

    def _stop_searching(self, missed: dict[int, int]) -> None:
        """End every arc that misses, without a next one: the work is spent."""
        segments = self.segments
        segments.truncated = True
        for disc, frame in missed.items():
            index = self.current.pop(disc)
            segments.arcs[index] = replace(segments.arcs[index], last=frame)
            if disc not in self.seen.too_brief:
                segments.breaks.append(Break(disc, frame, float(self.seen.times[frame]), False, np.nan, np.nan))

    def _final_fit(self) -> None:
        """Fit arcs that last to the end once more to all of their points, unless that causes a miss."""
        left = set(self.current)
        while left:
            trajectory = self._simulate()
            group = self._group(min(left), self.total - 1, trajectory)
            left -= set(group)
            fit = ArcFit(self.problem, self.segments.arcs, [self.current[n] for n in group], trajectory, self.total)
            numbers = fit.descend(self.limits.points(fit, self.total))
            if self.limits.reach(fit, numbers[None])[0] >= self.total:
                before, self.segments.arcs = self.segments.arcs, fit.result(numbers)
                if self._missed(self._errors(self._simulate())):  # the contacts of another body have changed
                    self.segments.arcs = before

    def _record_motion(self) -> None:
        segments, seen = self.segments, self.seen
        shape = seen.position.shape[:2]
        segments.position, segments.velocity = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan)
        segments.errors, segments.touched = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        if not segments.arcs:
            return
        trajectory = self._simulate()
        segments.errors = self._errors(trajectory)
        position, velocity, _ = trajectory.at(seen.steps)
        for arc in segments.arcs:
            for step, i, j in trajectory.contacts:
                frame = int(np.searchsorted(seen.steps, step))
                if arc.disc in (i, j) and arc.first < frame < arc.last:
                    segments.touched[frame : arc.last, arc.disc] = True
        covered = self._covered()
        segments.position[covered], segments.velocity[covered] = position[0][covered], velocity[0][covered]

    def _check_initial_velocities(self) -> None:
        """Add a break at the hand-over for a velocity that neither the context shows nor the task declares."""
        seen, tolerance = self.seen, self.limits.tolerance
        if seen.velocity_prior is None:
            return
        first_arcs: dict[int, Arc] = {}
        for arc in self.segments.arcs:
            first_arcs.setdefault(arc.disc, arc)
        for disc, arc in first_arcs.items():
            if disc in seen.too_brief or seen.tells_velocity[disc] or seen.times[arc.first] > 1e-9:
                continue
            prior = seen.velocity_prior
            velocity, velocity_jump = min(
                ((each, prior.outside(disc, each)) for each in self._first_velocities(arc)), key=lambda found: found[1]
            )
            if velocity_jump > max(tolerance / CONTEXT_TIME, MIN_PRIOR_EXCESS) * float(seen.diameter[disc]):
                larger = max(float(np.linalg.norm(velocity)), float(seen.velocity_prior.slowest[disc]))
                self.segments.breaks.append(
                    Break(disc, arc.first, 0.0, velocity_jump > GROSS_JUMP * larger, 0.0, velocity_jump)
                )

    def _first_velocities(self, arc: Arc) -> list[Array]:
        """Velocities (2,) m/s at the begin of an arc, and after a contact before its third frame.

        Two frames do not tell a fall from a slide: the velocity into a ramp on which a body lies may be any.
        """
        found = [self.problem.state(arc.disc, arc.face, arc.numbers[None])[0, 2:4]]
        begin, end = self.seen.steps[arc.first : arc.first + 3][[0, -1]]
        trajectory = self._simulate()
        touched = (at for at, i, j in trajectory.contacts if arc.disc in (i, j) and begin <= at < end)
        first = min(touched, default=None)
        if first is not None:
            found.append(trajectory.at(np.array([float(first + 1)]))[1][0, 0, arc.disc])
        return found

    # State of the search

    def _simulate(self) -> Trajectory:
        return self.problem.simulate(self.segments.arcs, self.total - 1)

    def _covered(self) -> Mask:
        return _covered(self.seen, self.segments.arcs)

    def _errors(self, trajectory: Trajectory) -> Array:
        """Distances (T, N) in diameters from the arc that covers a frame; NaN without an arc or a point."""
        errors = self.problem.errors(trajectory.positions(self.seen.steps), slice(0, self.total))[0]
        return np.where(self._covered(), errors, np.nan)

    def _missed(self, errors: Array) -> dict[int, int]:
        """First frame that the current arc of a body misses, by body."""
        found = {}
        for disc, a in self.current.items():
            first = self.segments.arcs[a].first
            beyond = np.flatnonzero(self.limits.misses(errors[first:, disc], first, disc))
            if len(beyond):
                found[disc] = first + int(beyond[0])
        return found

    def _group(self, disc: int, frame: int, trajectory: Trajectory) -> list[int]:
        """Bodies whose current arcs have met `disc`, directly or not, up to a frame."""
        step = self.seen.steps[frame]
        group = {disc}
        grown = True
        while grown:
            grown = False
            for at, i, j in trajectory.contacts:
                if j < 0 or at > step or (i in group) == (j in group) or not {i, j} <= set(self.current):
                    continue
                since = max(self.seen.steps[self.segments.arcs[self.current[n]].first] for n in (i, j))
                if at >= since:
                    group |= {i, j}
                    grown = True
        if self.problem.forward.world is None and len(self.seen.diameter) > 1:
            group |= {
                n for n, a in self.current.items() if self.segments.arcs[a].first <= frame
            }  # they attract each other all the time
        return sorted(group)

    def _improve(self, disc: int, frame: int, trajectory: Trajectory, margin: int, hard: bool = False) -> bool:
        """Fit the arcs of bodies that have met so that they last beyond a frame; returns whether they do."""
        limits = self.limits
        chosen = [self.current[n] for n in self._group(disc, frame, trajectory)]
        end = min(frame + max(2 * margin, limits.frames(FIRST_FIT_TIME)) + 1, self.total)
        fit = ArcFit(self.problem, self.segments.arcs, chosen, trajectory, end)
        for numbers in self._minimax_fits(fit, frame) if hard else self._least_squares_fit(fit, frame + margin):
            if limits.reach(fit, numbers[None])[0] > frame:
                self.segments.arcs = fit.result(numbers)
                return True
            self.excess = float(limits.excess(fit, numbers[None], frame + 1)[0])
        return False

    def _least_squares_fit(self, fit: ArcFit, end: int) -> Iterator[Array]:
        """Least squares to the points before a frame."""
        self.fitted = fit.descend(self.limits.points(fit, min(end, self.total)))
        yield self.fitted

    def _minimax_fits(self, fit: ArcFit, frame: int) -> Iterator[Array]:
        """Fits that reduce the largest distance up to a frame, where the linearized motion leaves hope for that."""
        limits, points = self.limits, self.limits.points(fit, frame + 1)
        if self.excess > MAX_FIT_EXCESS or not fit.can_reach(
            points, self.fitted, 1 / limits.limit[fit.frames], MAX_MINIMAX
        ):
            return
        base = fit.descend(points, rounds=3, extra=limits.pressure(fit, fit.start))
        yield base
        yield fit.descend(points, base, rounds=3, extra=limits.pressure(fit, base))
        factors = self.rng.choice([1.0, 3.0, 10.0], (RANDOM_CANDIDATES, 1))
        shaken = (
            base + self.rng.normal(size=(RANDOM_CANDIDATES, len(base))) @ fit.covariance_root(points, base).T * factors
        )
        best = shaken[int(limits.reach(fit, shaken).argmax())]
        yield best
        yield fit.descend(points, best, rounds=3)

    def _break(self, disc: int, frame: int, trajectory: Trajectory) -> None:
        """End the arc of a body at a frame that it misses, and look for the next one."""
        index = self.current.pop(disc)
        segments = self.segments
        segments.arcs[index] = before = replace(segments.arcs[index], last=frame)
        caused_by_other = (
            disc in self.seen.too_brief  # it is not judged; it goes on for the bodies that it meets
            or self._touched_unexplained_body(disc, frame)
            or self._hit_by_unlawful_body(before, frame, trajectory)
        )
        if not caused_by_other and segments.count_of(disc) >= MAX_BREAKS:
            return
        found = None
        if (caused_by_other or not self.only_first) and before.first < frame:  # else the same search would fail again
            found = self.segment_starts.after(before, frame, segments.arcs, trajectory)
        if found is not None:
            self.current[disc] = len(segments.arcs)
            segments.arcs.append(found)
        if caused_by_other:
            return
        if self.only_first:
            segments.breaks.append(Break(disc, frame, float(self.seen.times[frame]), False, np.nan, np.nan))
            return
        predicted = int(np.searchsorted(self.seen.times, 1e-9))  # a break never lies in the context
        earliest = max(frame - self.limits.frames(MAX_BACKDATING), predicted)
        point = change_point(self.problem, segments.arcs, before, found, trajectory, earliest, self.limits.tolerance)
        segments.breaks.append(Break(disc, frame, point.time, point.gross, point.position_jump, point.velocity_jump))

    def _touched_unexplained_body(self, disc: int, frame: int) -> bool:
        """Whether a body may just have been hit by one without a lawful motion, which then causes the break."""
        seen, world = self.seen, self.problem.forward.world
        if world is None:
            return False
        recent = max(frame - self.limits.frames(CONTACT_TIME), 0)
        covered = self._covered()
        for other in range(len(seen.diameter)):
            reach = world.radius[disc] + world.radius[other]
            if other == disc or abs(world.depth[disc] - world.depth[other]) >= reach:
                continue
            away = np.linalg.norm(seen.position[: frame + 1, disc] - seen.position[: frame + 1, other], axis=-1)
            near = away <= reach + CONTACT_DISTANCE * seen.diameter[disc]
            met = np.flatnonzero(near[recent:])
            if len(met):
                apart = np.flatnonzero(~near[: recent + met[-1]])
                first = int(apart[-1]) + 1 if len(apart) else 0  # when they came near each other
                if not covered[first, other]:
                    return True
        return False

    def _hit_by_unlawful_body(self, arc: Arc, frame: int, trajectory: Trajectory) -> bool:
        """Whether an arc goes wrong long after a contact with a body that was already off its own lawful motion.

        An arc that goes wrong at once does not count: the contact did not happen.
        """
        steps, segments = self.seen.steps, self.segments
        begin, end = steps[arc.first], steps[frame] - CONTACT_TIME / 2 * PHYSICS_HZ
        for step, i, j in trajectory.contacts:
            if j < 0 or arc.disc not in (i, j) or not begin <= step < end:
                continue
            other = j if arc.disc == i else i
            for b in segments.breaks:
                later = [a.first for a in segments.arcs if a.disc == other and a.first >= b.frame]
                if b.disc == other and steps[max(b.frame - 1, 0)] < step <= steps[min(later, default=self.total - 1)]:
                    return True
        return False


def _covered(seen: PlacedBodies, arcs: Sequence[Arc]) -> Mask:
    """Which frames of which bodies some arc explains (T, N)."""
    covered = np.zeros(seen.known.shape, dtype=bool)
    for arc in arcs:
        covered[arc.first : arc.last, arc.disc] = True
    return covered


def _first_to_miss(missed: dict[int, int], errors: Array) -> int:
    """The body whose arc misses first, or misses by most in that frame. missed: frames by body. errors: (T, N)."""
    first = min(missed.values())
    bodies = [disc for disc, frame in missed.items() if frame == first]
    return max(bodies, key=lambda n: 0.0 if np.isnan(errors[first, n]) else errors[first, n])
