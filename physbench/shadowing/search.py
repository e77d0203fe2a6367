"""Search for lawful segments of a track at one tolerance, with the breaks between them.

Each body follows an arc, which is fitted and extended as long as it stays within the tolerance. Where no arc of the
scene can go on, there is a break: an event with a body and a time, which `change_point` dates. `SegmentStarts` then
looks for the next arc. Bodies are simulated together, so that they meet; only bodies that have met are fitted together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import differential_evolution

from physbench.clips.clip import Clip
from physbench.laws.scene_law import FREE, Intervention, SceneLaw, Trajectory
from physbench.shadowing.change_point import GROSS_JUMP, change_point
from physbench.shadowing.context import open_velocities
from physbench.shadowing.fit import Arc, ArcFit, Hypothesis, Tolerance, initial_guesses
from physbench.shadowing.observed_motion import CONTEXT_TIME, PlacedBodies, from_tracks
from physbench.support.arrays import Array, Mask
from physbench.track.visibility import VISIBLE_SHARE
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ

# Where and how a body's next lawful arc begins: at the start of a track, and after a break.


@dataclass(frozen=True)
class SegmentLimits:
    """Least length of a segment that counts."""

    time: float = 0.3  # s
    points: int = 4  # these have 8 numbers, 4 more than a start has


SEGMENT = SegmentLimits()


@dataclass(frozen=True)
class StartSearch:
    """Search for the arc with which a segment begins."""

    fit_margin: float = 0.07  # s of track after the first miss that a fit includes
    fit_time: float = 0.3  # s of track to which a new arc is fitted
    min_promise: float = 0.1  # s; a guess that holds for less is not fitted
    max_excess: float = 4.0  # limits; a best guess that is further off within SEGMENT.time is not fitted
    # thirtieths of a second after a break at which a new arc is sought
    delays: tuple[int, ...] = (0, 1, 2, 4, 7, 11, 16)
    later_delay: float = 0.25  # s between further attempts
    max_vain: int = 16  # of a body; what comes after them is unexplained
    velocity_lookback: int = 2  # frames before a start whose velocity is tried, too


START = StartSearch()


Value = tuple[int, float]  # first frame that an arc misses, minus the rms distance before it: larger is better


def is_long_enough(times: Array) -> bool:
    """True if positions at times (n,) s, ascending, are enough for a segment that counts."""
    return bool(len(times) >= SEGMENT.points and times[-1] - times[0] >= SEGMENT.time - 1e-9)


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
        arcs = self._first_guesses()
        for a, arc in enumerate(arcs):
            others = [*arcs[:a], *arcs[a + 1 :]]
            trajectory = self._trajectory_to(arc.first, others)
            best = self._best(
                arc.first, arcs[:a], arcs[a + 1 :], initial_guesses(self.problem, arc.body, arc.first), trajectory, True
            )
            arcs[a] = best[1]
        return arcs

    def _first_guesses(self) -> list[Arc]:
        """The last guess of each body in the first frame that has any."""
        arcs: list[Arc] = []
        for body, first in enumerate(self.seen.start.tolist()):
            for frame in (first + np.flatnonzero(self.seen.known[first:, body])).tolist():
                guesses = initial_guesses(self.problem, body, frame)
                if guesses:
                    arcs.append(guesses[-1])
                    break
        return arcs

    def own_arcs(self) -> list[Arc]:
        """The scene's own motion as first arcs; none where the law offers none, or where a body is never seen."""
        law = self.problem.law
        if not self.problem.own_motion or law.own_motion(round(self.seen.steps[0])) is None:
            return []
        own_arcs = []
        for arc in self._first_guesses():
            states = law.own_motion(round(self.seen.steps[arc.first]))
            if states is not None:
                own_arcs.append(replace(arc, chart=FREE, numbers=states[arc.body, :4].copy()))
        return own_arcs if len(own_arcs) == len(self.seen.diameter) else []

    def after(self, old: Arc, frame: int, arcs: Sequence[Arc], trajectory: Trajectory) -> Arc | None:
        """The next arc of a body that is long enough, from a frame on; None where there is none.

        old: the arc before, one of `arcs`. trajectory: a simulation in which the body continues its old arc.
        """
        body, total = old.body, self.limits.total
        known = np.flatnonzero(self.may_begin[:, body])
        delays = [round(delay * self.limits.fps / 30) for delay in START.delays]
        tried, at = -1, frame
        while at < total and self._vain[body] < START.max_vain:
            if self.problem.work > self.work_limit:
                self.truncated = True
                return None
            later = known[known >= at]
            if not len(later):
                return None
            if later[0] > tried:
                tried = int(later[0])
                lasting = self._lasting_arc(old, tried, arcs, trajectory)
                if lasting is not None:
                    return lasting
                self._vain[body] += 1
            delays = delays[1:] if len(delays) > 1 else [delays[0] + self.limits.frames(START.later_delay)]
            at = max(frame + delays[0], at + 1)
        return None

    def _lasting_arc(self, old: Arc, frame: int, arcs: Sequence[Arc], trajectory: Trajectory) -> Arc | None:
        guesses = [*initial_guesses(self.problem, old.body, frame), *self._continued(old, frame, trajectory)]
        if not guesses:
            return None
        (reach, _), arc = self._best(frame, arcs, (), guesses, trajectory)
        lasted = float(self.seen.times[min(reach, self.limits.total) - 1] - self.seen.times[frame])
        points = int(self.seen.known[frame:reach, old.body].sum())
        return arc if lasted >= SEGMENT.time - 1e-9 and points >= SEGMENT.points else None

    def _continued(self, old: Arc, frame: int, trajectory: Trajectory) -> list[Arc]:
        """Guesses for a body that soon touches something: with its velocity before, and with that of two points."""
        seen, n = self.seen, old.body
        recent = max(frame - START.velocity_lookback, old.first)  # in between the old arc may have met something
        old_velocities = trajectory.at(seen.steps[[recent, frame]])[1][0, :, n]
        position, velocities = seen.position[frame, n], list(old_velocities)
        if frame + 1 < len(seen.times) and seen.known[frame + 1, n]:
            dt = float(seen.times[frame + 1] - seen.times[frame])
            positions = np.repeat(position[None], len(seen.diameter), axis=0)
            acceleration = self.problem.law.acceleration(positions)[n]
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
        limits, body = self.limits, guesses[0].body
        end = min(frame + max(2 * limits.frames(START.fit_time), SEGMENT.points + 2), limits.total)
        index, promising = len(before), frame + limits.frames(START.min_promise)
        around = [*before, guesses[0], *later]
        values, excess = self._guess_durations(guesses, around, index, trajectory, end)
        ranked = sorted(range(len(guesses)), key=lambda g: values[g], reverse=True)
        best: tuple[Value, Arc] = values[ranked[0]], guesses[ranked[0]]
        if best[0][0] >= end or (not first and (best[0][0] < promising or excess > START.max_excess)):
            return best
        others = [g for g in ranked if guesses[g].chart != guesses[ranked[0]].chart and values[g][0] >= promising]
        for g in [ranked[0], *(ranked[1:2] if first else others[:1])]:
            around[index] = guesses[g]
            fit = ArcFit(self.problem, around, [index], trajectory, end)
            numbers = fit.start
            span = min(
                max(values[g][0] + limits.frames(START.fit_margin), frame + limits.frames(START.fit_time / 2)), end
            )
            for until in (span, frame + limits.frames(START.fit_time) + 1):
                numbers = fit.descend(limits.points(fit, min(until, end)), numbers, rounds=3)
                value = self._durations(fit.errors(numbers[None])[:, :, body], frame, body)[0]
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
        """Duration for which each guess holds at position `index` among other arcs; all begin at one frame.

        Also the smallest, over the guesses, of the largest distance in limits within SEGMENT.time.
        """
        values: list[Value] = [(0, -np.inf)] * len(guesses)
        body, first = guesses[0].body, guesses[0].first
        excess, until = np.inf, min(first + self.limits.frames(SEGMENT.time) + 1, end)
        for chart in {guess.chart for guess in guesses}:
            some = [g for g, guess in enumerate(guesses) if guess.chart == chart]
            arcs = [*around[:index], guesses[some[0]], *around[index + 1 :]]
            fit = ArcFit(self.problem, arcs, [index], trajectory, end)
            numbers = np.stack([guesses[g].numbers for g in some])
            for g, value in zip(some, self._durations(fit.errors(numbers)[:, :, body], first, body), strict=True):
                values[g] = value
            excess = min(excess, float(self.limits.excess(fit, numbers, until).min()))
        return values, excess

    def _durations(self, errors: Array, first: int, body: int) -> list[Value]:
        """Durations for which arcs of a body that begin at a frame hold, from their distances (K, F) in diameters."""
        beyond = self.limits.misses(errors, first, body)
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


# How long bodies are shown, and must at least be shown, where the context does not tell their velocities.
#
# A body that leaves the image at once has little to explain. Most futures that an image allows stay longer, so that a
# prediction must show bodies for some minimum time. A body that even ground truth shows only for a moment is not
# judged.


def required_visibility(clip: Clip, problem: Hypothesis) -> float:
    """Frames x bodies that a prediction must at least show: half of the 10th percentile of what other draws show.

    Other draws start at the true positions with their own velocities. The result is 0 where there are none. Bodies
    that are not judged do not count.
    """
    seen, law = problem.seen, problem.law
    if seen.sight is None:
        return 0.0
    axes = list(PLANE_AXES[clip.scene.camera.view])
    now = clip.states[clip.handover]
    predicted = np.flatnonzero(seen.times > 1e-9)
    first = int(predicted[0]) - 1
    begin = int(seen.steps[first])
    changes: list[Intervention] = [push for push in law.pushes if push.step > begin]
    for n, i in enumerate(law.index):
        drawn = open_velocities(clip, i)
        if not len(drawn):
            return 0.0
        numbers = np.concatenate([np.broadcast_to(now[i, :3][axes], drawn.shape), drawn], axis=-1)
        changes.append(Intervention(begin, n, "state", problem.state(n, FREE, numbers)))
    frames = slice(first + 1, len(seen.times))
    trajectory = problem.simulator.run(changes, int(seen.steps[-1]))
    shown = seen.sight.visible_share(trajectory.positions(seen.steps[frames]), frames) >= VISIBLE_SHARE
    return 0.5 * float(np.percentile((shown & seen.judged).sum(axis=(1, 2)), 10.0))


def briefly_visible(clip: Clip, context: int, law: SceneLaw) -> tuple[int, ...]:
    """Bodies that ground truth shows for less time than a segment needs, the context included.

    Only bodies whose velocity the context does not show. Tracks of ground truth decide, not those of the prediction.
    """
    from physbench.track.tracker import true_tracks

    truth = from_tracks(clip, true_tracks(clip, context), law)
    known = truth.known & (truth.expected_visible | truth.given)
    unknown = truth.expected_visible.any(axis=0) & ~truth.tells_velocity
    return tuple(int(n) for n in np.flatnonzero(unknown) if not is_long_enough(truth.times[known[:, n]]))


GROSS_BREAKS = 4  # breaks, as which a gross one counts


@dataclass(frozen=True)
class BreakSearch:
    """Search for the break of an arc, and effort that it may take."""

    max_margin: float = 1.2  # s; a fit includes at most so much track after the first miss
    max_fit_excess: float = 2.0  # limits; where a least-squares fit is further off, no minimax fit is tried
    max_minimax: float = 1.3  # limits; the same for the smallest possible largest distance of linearized motion
    random_candidates: int = 24  # random candidates after the other fits have failed
    # bodies x candidates x physics steps x cost of the law; afterwards the search ends at every miss
    max_work: int = 10**8
    max_fits: int = 4  # of a body that end at one frame
    max_breaks: int = 8  # of a body; what comes after one more is unexplained: it would weigh 2^-8
    max_backdating: float = 1.2  # s before the first miss in which the break may lie
    contact_distance: float = 0.15  # diameters; bodies that are nearer to each other may have met
    contact_time: float = 0.2  # s before a miss in which a contact may have caused it


SEARCH = BreakSearch()


@dataclass(frozen=True)
class Evolution:
    """Differential evolution of starts in a scene of chance."""

    fit_time: float = 0.6  # s of track that tell the first of them
    starts: int = 100
    generations: int = 60  # at most
    patience: int = 20  # generations without a gain after which it ends
    mutation: tuple[float, float] = (0.02, 1.0)  # of a difference of two, drawn for each generation
    room: float = 5.0  # times the largest distance of the first starts that others may have


EVOLUTION = Evolution()


@dataclass(frozen=True)
class Break:
    """Moment at which a body's motion cannot be lawful."""

    body: int  #: index of the body in the law
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
    truncated: bool = False  # whether `SEARCH.max_work` ended the search; what follows is unexplained

    def count_of(self, body: int) -> int:
        """Breaks of a body, where a gross one counts as GROSS_BREAKS."""
        return sum(GROSS_BREAKS if b.gross else 1 for b in self.breaks if b.body == body)

    def breaks_until(self, body: int, frame: int) -> list[Break]:
        """Breaks of a body up to a frame."""
        return [b for b in self.breaks if b.body == body and b.frame <= frame]


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
        self.work_limit = problem.work + SEARCH.max_work
        lawful = None if coarser is None else _covered(problem.seen, coarser.arcs)
        self.segment_starts = SegmentStarts(problem, self.limits, self.work_limit, lawful)
        self.total = self.limits.total
        self.only_first, self.coarser = only_first, coarser
        self.segments = LawfulSegments(tolerance, list(arcs) if arcs is not None else [])
        self.current: dict[int, int] = {}  # arc of each body that goes on
        self.fitted = np.zeros(0)  # numbers (p,) of the last fit by least squares
        self.excess = 0.0  # largest distance in limits of the last fit that did not go on

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(0)

    def run(self) -> LawfulSegments:
        """Find the segments; none where too little is seen for any arc."""
        self.find_arcs()
        self._record_motion()
        self._check_initial_velocities()
        return self.segments

    def find_arcs(self) -> list[Arc]:
        """The arcs alone of the segments, without their motion and without a break for a first velocity."""
        self._begin()
        if self.segments.arcs:
            self._extend()
            self.segments.truncated = self.segments.truncated or self.segment_starts.truncated
            if not (self.only_first and self.segments.breaks):
                self._final_fit()
        return self.segments.arcs

    def _begin(self) -> None:
        """Take the given arcs or those of first fits, or the scene's own motion where that lasts longer."""
        given, own = self.segments.arcs, self.segment_starts.own_arcs()
        if not own:
            self._take(given or self.segment_starts.first_arcs())
            return
        whole = self.total * len(own)
        if given and self._take_and_follow(given) == whole:
            return
        lasts = self._take_and_follow(own)
        if lasts < whole and self._take_and_follow(given or self.segment_starts.first_arcs()) < lasts:
            self._take(own)

    def _take(self, arcs: list[Arc]) -> None:
        """Go on with these arcs, one a body."""
        self.segments.arcs = arcs
        self.current = {arc.body: a for a, arc in enumerate(arcs)}

    def _take_and_follow(self, arcs: list[Arc]) -> int:
        """Go on with these arcs; returns for how many frames they last, the sum over bodies."""
        self._take(arcs)
        missed = self._missed(self._errors(self._simulate()))
        return sum(missed.get(arc.body, self.total) for arc in arcs)

    def _extend(self) -> None:
        margin = base = self.limits.frames(START.fit_margin)
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
            body = _first_to_miss(missed, errors)
            frame = missed[body]
            # A fit may round a contact to another step and so gain nothing.
            # Two bodies may undo each other's fits in turn: max_fits ends that.
            again, stalled = stalled == (body, frame), (body, frame)
            fits[body, frame] += 1
            again = again or fits[body, frame] > SEARCH.max_fits
            if not again and self._improve(body, frame, trajectory, margin):
                margin = min(
                    2 * margin, self.limits.frames(SEARCH.max_margin)
                )  # a slow drift is followed in larger steps
                continue
            margin, longer = base, margin
            if not again and longer > base and self._improve(body, frame, trajectory, base):
                continue
            if again or self._crosses(body, frame) or not self._improve(body, frame, trajectory, margin, hard=True):
                if self._evolve(body, frame, trajectory):
                    continue
                self._break(body, frame, trajectory)
                if self.only_first and self.segments.breaks:
                    return

    def _crosses(self, body: int, frame: int) -> bool:
        """True if the arc of a body that misses a frame has crossed the date of a break at a larger tolerance."""
        if self.coarser is None:
            return False
        begin, end = self.seen.times[self.segments.arcs[self.current[body]].first], self.seen.times[frame]
        return any(b.body == body and begin < b.time <= end + 1e-9 for b in self.coarser.breaks)

    def _stop_searching(self, missed: dict[int, int]) -> None:
        """End every arc that misses, without a next one: the work is spent."""
        segments = self.segments
        segments.truncated = True
        for body, frame in missed.items():
            index = self.current.pop(body)
            segments.arcs[index] = replace(segments.arcs[index], last=frame)
            if body not in self.seen.too_brief:
                segments.breaks.append(Break(body, frame, float(self.seen.times[frame]), False, np.nan, np.nan))

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
                if arc.body in (i, j) and arc.first < frame < arc.last:
                    segments.touched[frame : arc.last, arc.body] = True
        covered = self._covered()
        segments.position[covered], segments.velocity[covered] = position[0][covered], velocity[0][covered]

    def _check_initial_velocities(self) -> None:
        """Add a break at the hand-over for a velocity that neither the context shows nor the task declares."""
        seen, tolerance = self.seen, self.limits.tolerance
        if seen.velocity_prior is None:
            return
        first_arcs: dict[int, Arc] = {}
        for arc in self.segments.arcs:
            first_arcs.setdefault(arc.body, arc)
        for body, arc in first_arcs.items():
            if body in seen.too_brief or seen.tells_velocity[body] or seen.times[arc.first] > 1e-9:
                continue
            prior = seen.velocity_prior
            velocity, velocity_jump = min(
                ((each, prior.outside(body, each)) for each in self._first_velocities(arc)),
                key=lambda scored: scored[1],
            )
            # 0.1 diameters/s by which a first velocity may at least lie outside the declared range
            if velocity_jump > max(tolerance / CONTEXT_TIME, 0.1) * float(seen.diameter[body]):
                larger = max(float(np.linalg.norm(velocity)), float(seen.velocity_prior.slowest[body]))
                self.segments.breaks.append(
                    Break(body, arc.first, 0.0, velocity_jump > GROSS_JUMP * larger, 0.0, velocity_jump)
                )

    def _first_velocities(self, arc: Arc) -> list[Array]:
        """Velocities (2,) m/s at the begin of an arc, and after a contact before its third frame.

        Two frames do not tell a fall from a slide: the velocity into a ramp on which a body lies may be any.
        """
        velocities = [self.problem.state(arc.body, arc.chart, arc.numbers[None])[0, 2:4]]
        begin, end = self.seen.steps[arc.first : arc.first + 3][[0, -1]]
        trajectory = self._simulate()
        touched = (at for at, i, j in trajectory.contacts if arc.body in (i, j) and begin <= at < end)
        first = min(touched, default=None)
        if first is not None:
            velocities.append(trajectory.at(np.array([float(first + 1)]))[1][0, 0, arc.body])
        return velocities

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
        missed = {}
        for body, a in self.current.items():
            first = self.segments.arcs[a].first
            beyond = np.flatnonzero(self.limits.misses(errors[first:, body], first, body))
            if len(beyond):
                missed[body] = first + int(beyond[0])
        return missed

    def _group(self, body: int, frame: int, trajectory: Trajectory) -> list[int]:
        """Bodies whose current arcs have met `body`, directly or not, up to a frame."""
        step = self.seen.steps[frame]
        group = {body}
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
        if group >= self.current.keys():
            return sorted(group)
        linked = np.any(self.problem.law.linked[:, sorted(group)], axis=1).tolist()  # they act all the time
        return sorted(
            group | {n for n, a in self.current.items() if linked[n] and self.segments.arcs[a].first <= frame}
        )

    def _improve(self, body: int, frame: int, trajectory: Trajectory, margin: int, hard: bool = False) -> bool:
        """Fit the arcs of bodies that have met so that they last beyond a frame; returns whether they do."""
        limits = self.limits
        chosen = [self.current[n] for n in self._group(body, frame, trajectory)]
        end = min(frame + max(2 * margin, limits.frames(START.fit_time)) + 1, self.total)
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
        if self.excess > SEARCH.max_fit_excess or not fit.can_reach(
            points, self.fitted, 1 / limits.limit[fit.frames], SEARCH.max_minimax
        ):
            return
        base = fit.descend(points, rounds=3, extra=limits.pressure(fit, fit.start))
        yield base
        yield fit.descend(points, base, rounds=3, extra=limits.pressure(fit, base))
        factors = self.rng.choice([1.0, 3.0, 10.0], (SEARCH.random_candidates, 1))
        shaken = (
            base
            + self.rng.normal(size=(SEARCH.random_candidates, len(base)))
            @ fit.covariance_root(points, base).T
            * factors
        )
        best = shaken[int(limits.reach(fit, shaken).argmax())]
        yield best
        yield fit.descend(points, best, rounds=3)

    def _evolve(self, body: int, frame: int, trajectory: Trajectory) -> bool:
        """Look once more for arcs that last beyond a frame, in a scene of chance; returns whether some do.

        Where hits part neighbouring paths, a fit that has taken one way cannot take another one later. Differential
        evolution (Storn and Price 1997, J. Global Optim. 11, 341) breeds starts, from about that of the first points
        on, by how long they last.
        """
        if not self.problem.law.scene.bins or self.segments.breaks:
            return False
        chosen = [self.current[n] for n in self._group(body, frame, trajectory)]
        fit = ArcFit(self.problem, self.segments.arcs, chosen, trajectory, self.total)
        first = fit.since + self.limits.frames(EVOLUTION.fit_time) + 1
        some = range(first, self.total, first - fit.since)  # frames: what comes last, many hits, takes longest
        fits = [*(ArcFit(self.problem, self.segments.arcs, chosen, trajectory, end) for end in some), fit]
        points = self.limits.points(fit, first)
        base = fit.descend(points)
        spread = self.rng.normal(size=(EVOLUTION.starts, len(base))) @ fit.covariance_root(points, base).T
        starts = base + spread * self.rng.choice([1.0, 3.0, 10.0], (EVOLUTION.starts, 1))
        reached: list[float] = []  # in each generation

        def ended(intermediate_result: Any) -> bool:
            reached.append(-intermediate_result.fun)
            gained = len(reached) <= EVOLUTION.patience or reached[-1] > reached[-1 - EVOLUTION.patience]
            return reached[-1] >= self.total or not gained

        beside = EVOLUTION.room * np.abs(starts - base).max(axis=0)
        evolve: Any = differential_evolution  # its stubs know of no function of many starts, nor that `ended` ends it
        best = evolve(
            lambda numbers: -self._lasting(fits, np.ascontiguousarray(numbers.T)),
            np.stack([base - beside, base + beside], axis=1),
            strategy="rand1bin",
            maxiter=EVOLUTION.generations,
            mutation=EVOLUTION.mutation,
            recombination=1.0,
            tol=0.0,
            rng=self.rng,
            callback=ended,
            polish=False,
            init=starts,
            vectorized=True,
            updating="deferred",
        )
        if -best.fun <= frame:
            return False
        self.segments.arcs = fit.result(np.asarray(best.x))
        return True

    def _lasting(self, fits: Sequence[ArcFit], numbers: Array) -> Array:
        """`Tolerance.reach` (K,) of numbers (K, p) in the last of fits to more and more frames: most need a few."""
        reached, going = np.empty(len(numbers)), np.arange(len(numbers))
        for fit in fits:
            reached[going] = self.limits.reach(fit, numbers[going])
            going = going[reached[going] == fit.frames.stop]
            if not len(going):
                break
        return reached

    def _break(self, body: int, frame: int, trajectory: Trajectory) -> None:
        """End the arc of a body at a frame that it misses, and look for the next one."""
        index = self.current.pop(body)
        segments = self.segments
        segments.arcs[index] = before = replace(segments.arcs[index], last=frame)
        caused_by_other = (
            body in self.seen.too_brief  # it is not judged; it goes on for the bodies that it meets
            or self._touched_unexplained_body(body, frame)
            or self._hit_by_unlawful_body(before, frame, trajectory)
        )
        if not caused_by_other and segments.count_of(body) >= SEARCH.max_breaks:
            return
        start = None
        if (caused_by_other or not self.only_first) and before.first < frame:  # else the same search would fail again
            start = self.segment_starts.after(before, frame, segments.arcs, trajectory)
        if start is not None:
            self.current[body] = len(segments.arcs)
            segments.arcs.append(start)
        if caused_by_other:
            return
        if self.only_first:
            segments.breaks.append(Break(body, frame, float(self.seen.times[frame]), False, np.nan, np.nan))
            return
        predicted = int(np.searchsorted(self.seen.times, 1e-9))  # a break never lies in the context
        earliest = max(frame - self.limits.frames(SEARCH.max_backdating), predicted)
        point = change_point(self.problem, segments.arcs, before, start, trajectory, earliest, self.limits.tolerance)
        segments.breaks.append(Break(body, frame, point.time, point.gross, point.position_jump, point.velocity_jump))

    def _touched_unexplained_body(self, body: int, frame: int) -> bool:
        """True if a body may just have been hit by one without a lawful motion, which then causes the break."""
        seen = self.seen
        recent = max(frame - self.limits.frames(SEARCH.contact_time), 0)
        covered = self._covered()
        for other in range(len(seen.diameter)):
            reach = self.problem.law.reach[body, other]
            if reach == 0:
                continue
            away = np.linalg.norm(seen.position[: frame + 1, body] - seen.position[: frame + 1, other], axis=-1)
            near = away <= reach + SEARCH.contact_distance * seen.diameter[body]
            met = np.flatnonzero(near[recent:])
            if len(met):
                apart = np.flatnonzero(~near[: recent + met[-1]])
                first = int(apart[-1]) + 1 if len(apart) else 0  # when they came near each other
                if not covered[first, other]:
                    return True
        return False

    def _hit_by_unlawful_body(self, arc: Arc, frame: int, trajectory: Trajectory) -> bool:
        """True if an arc goes wrong long after a contact with a body that was already off its own lawful motion.

        An arc that goes wrong at once does not count: the contact did not happen.
        """
        steps, segments = self.seen.steps, self.segments
        begin, end = steps[arc.first], steps[frame] - SEARCH.contact_time / 2 * PHYSICS_HZ
        for step, i, j in trajectory.contacts:
            if j < 0 or arc.body not in (i, j) or not begin <= step < end:
                continue
            other = j if arc.body == i else i
            for b in segments.breaks:
                later = [a.first for a in segments.arcs if a.body == other and a.first >= b.frame]
                if b.body == other and steps[max(b.frame - 1, 0)] < step <= steps[min(later, default=self.total - 1)]:
                    return True
        return False


def _covered(seen: PlacedBodies, arcs: Sequence[Arc]) -> Mask:
    """Mask (T, N) of frames of bodies that some arc explains."""
    covered = np.zeros(seen.known.shape, dtype=bool)
    for arc in arcs:
        covered[arc.first : arc.last, arc.body] = True
    return covered


def _first_to_miss(missed: dict[int, int], errors: Array) -> int:
    """The body whose arc misses first, or misses by most in that frame. missed: frames by body. errors: (T, N)."""
    first = min(missed.values())
    bodies = [body for body, frame in missed.items() if frame == first]
    return max(bodies, key=lambda n: 0.0 if np.isnan(errors[first, n]) else errors[first, n])
