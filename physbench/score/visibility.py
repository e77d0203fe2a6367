"""Times in which each object should be visible or hidden, and what a prediction shows of them.

Identity is by hue. An object should be hidden, and return, when and where the motion shown before the interval does so,
continued lawfully. That is the motion of the lawful segment in which the interval begins, with or without breaks before
it. Ground truth decides where a motion with breaks leads to no such interval, and where no segment is known. The bounds
are the same, so that a break gains nothing. They are wider only where ground truth shows too little of an object before
the interval: a lawful body of another velocity returns at another moment then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.fit import Arc, Hypothesis
from physbench.shadowing.levels import TOLERANCES, at_levels
from physbench.shadowing.observed_motion import SHARE_MARGIN
from physbench.shadowing.search import SEGMENT, LawfulSegments, SegmentSearch, is_long_enough
from physbench.shadowing.shadow import Shadowing
from physbench.support.arrays import Array, Mask
from physbench.track import visibility
from physbench.track.tracks import Tracks, Visibility, runs
from physbench.world.camera import px_from_plane
from physbench.world.scene import PHYSICS_HZ

# When each object should be visible, from ground truth or the prediction's own lawful extrapolation.
#
# An object is expected to be visible where ground truth shows it, and where its own lawful segment, continued, shows
# it. It is not expected where that continuation is hidden or outside the view, in a segment with no break before it: a
# lawful future that is not the recorded one may take a body behind a screen or out of the image. A continuation counts
# as outside only if the track went there. An object that is detected all the same is expected.
#
# Behind one image ground truth may show an object too briefly for its motion to be judged. A prediction that shows it
# for longer is judged here all the same, so that a ball that lawfully rolls the other way is expected where it rolls.
# Ground truth decides only where the prediction shows too little for any lawful motion, too.


# The tolerance level that decides what is lawful: the middle one. At 0.2 diameters a short context constrains the
# velocity so little that balls which come to rest in front of a screen have no break. At 0.03 every violation reads as
# at 0.08, since the continuation is fitted to all that was shown, but the noise of many models is a break.
LAWFUL_LEVEL = 1


@dataclass(frozen=True, eq=False)
class ImageTrajectory:
    """Trajectory of one object in the image, as it should be seen in the T frames of the window."""

    position: Array  #: (T, 2) px of its centre; NaN where it is not known
    share: Array  #: (T,) of it that is visible; 0 where it is not known
    inside: Mask  #: (T,) where its centre is in the image
    away: Mask  #: (T,) where it would be, and less than HIDDEN_SHARE of it is seen as the camera looks elsewhere


@dataclass(frozen=True)
class LawfulSegment:
    """A lawful part of the motion of one object between its breaks, in frames of the window."""

    first: int  #: where it begins
    until: int  #: where its break is dated, as the motion after it explains more from there on; T without a break
    first_miss: int  #: first frame that it does not explain, not before `until`; T where there is none
    unbroken: bool  #: no break comes before it


@dataclass(frozen=True, eq=False)
class LawfulContinuation:
    """The lawful segments of one object in a prediction, and how it goes on from each."""

    clip: Clip  #: ground truth
    shadowing: Shadowing  #: of the tracks
    body: int  #: of the law
    trajectory: ImageTrajectory  #: on all lawful segments, where they are

    @property
    def broken(self) -> bool:
        """True if its motion has a break."""
        return any(each.body == self.body for each in self._chain.breaks)

    @property
    def until(self) -> int:
        """The frame (0..T) at which the segment before the first break ends; 0 where that segment is not known."""
        return next((each.until for each in self.segments if each.unbroken), 0)

    @cached_property
    def segments(self) -> tuple[LawfulSegment, ...]:
        """The segments of which enough is seen to continue them, in the order of time."""
        times = self.shadowing.problem.seen.times
        breaks = sorted((each for each in self._chain.breaks if each.body == self.body), key=lambda b: b.frame)
        dated = [min(each.frame, int(np.searchsorted(times, each.time - 1e-9))) for each in breaks]
        missed = [each.frame for each in breaks]
        segments_of_chain = []
        for k, (begin, until, miss) in enumerate(
            zip([0, *missed], [*dated, len(times)], [*missed, len(times)], strict=True)
        ):
            firsts = [arc.first for arc in self._chain.arcs if arc.body == self.body and begin <= arc.first < miss]
            if firsts:
                segments_of_chain.append(LawfulSegment(min(firsts), until, miss, k == 0))
        return tuple(each for each in segments_of_chain if self._known(each))

    def _known(self, segment: LawfulSegment) -> bool:
        """True if enough is seen of a segment; of the first, also that it begins and is seen in the prediction."""
        seen = self.shadowing.problem.seen
        from_start = segment.first <= np.searchsorted(seen.times, 1e-9)
        shown = from_start and seen.present[segment.first : segment.until, self.body].any()
        return bool(self.enough_known(segment.first, segment.until) and (shown or not segment.unbroken))

    def enough_known(self, first: int, until: int) -> bool:
        """True if enough positions are known between two frames to continue the motion."""
        seen = self.shadowing.problem.seen
        return is_long_enough(seen.times[first:until][seen.known[first:until, self.body]])

    def continued(self, frame: int) -> ImageTrajectory:
        """Trajectory of the object in the image if its lawful motion before a frame of a segment continues.

        Later frames are left out: the best fit would bend towards where the object wrongly is. The earlier motion of
        other objects is included: it may have met them.
        """
        problem = self.shadowing.problem
        arcs = [replace(arc, last=min(arc.last, frame)) for arc in self._chain.arcs if arc.first < frame]
        if frame < len(problem.seen.times):
            before = Hypothesis(problem.law, problem.seen.until(frame), own_motion=False)  # its own, not ground truth's
            search = SegmentSearch(before, self._chain.tolerance, only_first=True, arcs=arcs).run()
            arcs = arcs if search.breaks else search.arcs
        return self._with_arcs(arcs, frame)

    def continued_from_handover(self, frame: int) -> ImageTrajectory | None:
        """As `continued`, without the context; None where too little is shown from the hand-over to that frame.

        A body that is slower than in the context may stay within the tolerance of one motion, and yet return late.
        """
        problem = self.shadowing.problem
        seen, since = problem.seen.until(frame), int(np.searchsorted(problem.seen.times, -1e-9))
        place = seen.position.copy()
        place[:since] = np.nan
        seen = replace(seen, position=place, start=np.maximum(seen.start, since))
        if seen.known[:, self.body].sum() < SEGMENT.points:
            return None
        alone = Hypothesis(problem.law, seen, own_motion=False)
        search = SegmentSearch(alone, self._chain.tolerance, only_first=True).run()
        if search.breaks or all(arc.body != self.body for arc in search.arcs):
            return None
        return self._with_arcs(search.arcs, frame)

    def _with_arcs(self, arcs: Sequence[Arc], frame: int) -> ImageTrajectory:
        """Trajectory of the object in the image if all bodies stay to the end on their arcs at a frame."""
        problem = self.shadowing.problem
        steps = np.round(problem.seen.times * PHYSICS_HZ)  # of the frames: the first place may be an earlier one
        ahead = [replace(arc, last=len(steps)) if arc.last >= frame else arc for arc in arcs]
        simulated = problem.simulate(ahead, len(steps) - 1)
        return _image_trajectories(self.clip, self.shadowing, simulated.positions(steps)[0])[self.body]

    @property
    def _chain(self) -> LawfulSegments:
        return self.shadowing.levels[LAWFUL_LEVEL].segments


def true_trajectory(clip: Clip, context: int, column: int) -> ImageTrajectory:
    """Trajectory of an object in the image, in ground truth."""
    window = clip.window(context)
    inside = visibility.inside_view(clip, context)[:, column]
    position, share = clip.px_positions()[window, column], clip.visible_share()[window, column]
    at_rest = ((position >= 0) & (position <= (clip.spec.width, clip.spec.height))).all(axis=-1)
    return ImageTrajectory(position, share, inside, at_rest & ~inside & (share < visibility.HIDDEN_SHARE))


def lawful_continuations(clip: Clip, shadowing: Shadowing | None) -> dict[int, LawfulContinuation]:
    """Objects with a lawful segment that can be continued, by column of the tracks.

    shadowing: None where no law moves the scene. No object has such a segment where nothing is explained, as
    where too little is shown. One that shadowing does not judge is judged here, by the same search.
    """
    if shadowing is None or shadowing.problem.seen.sight is None:
        return {}
    too_brief = shadowing.problem.seen.too_brief
    judged = [body for body in range(len(shadowing.problem.law.index)) if body not in too_brief]
    continuations = _continuations(clip, shadowing, judged)
    if too_brief:
        continuations |= _continuations(clip, _all_judged(shadowing), too_brief)
    return dict(sorted(continuations.items()))


def _continuations(clip: Clip, shadowing: Shadowing, bodies: Sequence[int]) -> dict[int, LawfulContinuation]:
    """Those of some bodies that have a segment to continue, by column of the tracks."""
    level = shadowing.levels[LAWFUL_LEVEL]
    if not bodies or not level.weight.any():
        return {}
    trajectories = _image_trajectories(clip, shadowing, level.segments.position)
    index = shadowing.problem.law.index
    continuations = {
        clip.tracked.index(index[body]): LawfulContinuation(clip, shadowing, body, trajectories[body])
        for body in bodies
    }
    return {column: each for column, each in continuations.items() if each.segments}


def _all_judged(shadowing: Shadowing) -> Shadowing:
    """The same tracks, shadowed with breaks of the bodies, too, that ground truth shows too briefly.

    A velocity that the task does not declare is a break, so that a frozen picture decides nothing. No body is expected:
    ground truth gives no time for which it has to be shown.
    """
    problem = Hypothesis(shadowing.problem.law, replace(shadowing.problem.seen, too_brief=()))
    return replace(shadowing, problem=problem, levels=at_levels(problem, TOLERANCES[: LAWFUL_LEVEL + 1]))


def _image_trajectories(clip: Clip, shadowing: Shadowing, position: Array) -> list[ImageTrajectory]:
    """Trajectories in the image of bodies at positions (T, N, 2) m in their planes."""
    sight = shadowing.problem.seen.sight
    assert sight is not None
    px = px_from_plane(clip.scene.camera, clip.spec, sight.apparent_position(position))
    share, inside, away = sight.visible_share(position[None])[0], sight.inside(position), sight.away(position)
    bodies = range(position.shape[1])
    return [ImageTrajectory(px[:, body], share[:, body], inside[:, body], away[:, body]) for body in bodies]


def present(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Mask:
    """Mask (C + T, K) of objects of which something was seen. continuations: of the same tracks, by their columns.

    The tracker reports an object as absent if it shows much less of itself than ground truth does; on its own lawful
    trajectory that part may be hidden. Where that trajectory, or ground truth, shows half of an object, a detection
    without a position for more than MAX_GAP s does not count: a bar of its hue is not the object.
    """
    there, area = (
        visibility.detected(clip, tracks),
        tracks.area >= visibility.MIN_DETECTED_SHARE * visibility.whole_area(clip, tracks.context),
    )
    for column, each in continuations.items():
        there[: each.until, column] |= area[: each.until, column]
    window = clip.window(tracks.context)
    share, place = clip.visible_share()[window], clip.px_positions()[window]
    for column, each in continuations.items():
        share[: each.until, column] = each.trajectory.share[: each.until]
        place[: each.until, column] = each.trajectory.position[: each.until]
    gap = there & ~visibility.has_position(tracks) & (share >= visibility.POSITION_SHARE)
    cut = visibility.cut_by_camera(clip, tracks, place) & (tracks.state == Visibility.CLIPPED)
    there &= ~gap | visibility.short_gaps(gap, ~cut, 1 / clip.spec.fps)
    return there


def expected_visible(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation], there: Mask) -> Mask:
    """Mask (C + T, K) of objects that should be visible, from ground truth or their own lawful continuation.

    continuations: of the same tracks, by their columns; ground truth alone decides for other objects. there: `present`.
    """
    expected = visibility.truth_framed(clip, tracks)
    for column, each in continuations.items():
        trajectory = each.trajectory
        hidden = trajectory.inside & (trajectory.share < visibility.VISIBLE_SHARE + SHARE_MARGIN)
        outside = ~trajectory.inside & np.isfinite(trajectory.position[:, 0])
        away = hidden | _left_view(tracks.times, outside, there[:, column])
        away[each.until :] = False
        framed = visibility.in_frame(clip, tracks, trajectory.position)
        shown = trajectory.inside & (trajectory.share >= visibility.VISIBLE_SHARE) & framed
        expected[:, column] = (expected[:, column] | shown) & ~(away & ~there[:, column])
    expected[: tracks.context] = False
    return expected


def _left_view(times: Array, outside: Mask, there: Mask) -> Mask:
    """Frames (T,) of stays outside the view before which the object was seen to leave."""
    # An object that left is seen in the last 0.2 s, a frame at least, before its continuation leaves the view
    left, reached = np.zeros_like(outside), max(0.2, float(times[1] - times[0]))
    for run in runs(outside):
        before = (times < times[run[0]] - 1e-9) & (times >= times[run[0]] - reached - 1e-9)
        left[run] = bool(there[before].any())
    return left


@dataclass(frozen=True)
class ReturnLimits:
    """Objects that come back from behind something."""

    min_unseen: float = 0.8  # share of the hidden frames, or of as many a little earlier or later, without the object
    max_glimpse: float = 0.1  # s; an object that should stay hidden and is seen for longer came out
    appearance_time: float = 1.5  # s after the return in which size and hue are read: all of it is out by then
    largest_percentile: float = 90.0  # of the areas; counts as the largest
    min_area: float = 0.75  # of the area that should be seen; less, or more than MAX_AREA_RATIO, is another object
    size_share: float = 0.5  # visible share that an object should have for its size to be read
    # s before an interval that does not end; its object is last seen near its trajectory from then on
    entry_time: float = 0.5


RETURN = ReturnLimits()


@dataclass(frozen=True)
class Bounds:
    """Bounds on the errors of a return."""

    time: float  #: s; an error of this size is too large
    position: float  #: diameters

    def max_delay(self, dt: float) -> float:
        """Largest error in s of the time of a return in frames dt s apart: half a frame less than `time`, or one frame.

        The time of an event is known to a frame.
        """
        return max(self.time - dt / 2, dt) + 1e-9


# Where enough is shown before the interval to continue the motion, and where it is not.
KNOWN_BOUNDS = Bounds(0.2, 0.5)


@dataclass(frozen=True, eq=False)
class HiddenInterval:
    """A time in which an object should be hidden. Frames are those of the window."""

    column: int  #: of the tracks
    first: int  #: first hidden frame
    last: int  #: last hidden frame; a sliver may be seen in between
    returns_at: int | None  #: first frame in which a trace of it is seen again; None if it stays hidden, or leaves
    trajectory: ImageTrajectory  #: by which it is hidden
    away: bool = False  #: the camera looks elsewhere
    bounds: Bounds = KNOWN_BOUNDS  #: of the return

    def overlaps(self, other: HiddenInterval) -> bool:
        """True if the two have frames in common."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Return:
    """Reading of a hidden interval in a prediction. None: cannot be read."""

    interval: HiddenInterval  #: in which the object should be hidden
    unseen: float  #: share of the hidden frames in which it is not seen
    hidden: bool  #: the object is unseen for as long, at about the same time
    time: float | None = None  #: s later than expected; None if it never returns, or should not
    in_time: bool = False  #: within the bounds
    position: float | None = None  #: diameters from its trajectory, where half of it is first seen again
    position_unknown: bool = False  #: its trajectory shows too little of it then for a position
    size: float | None = None  #: area over that which should be seen, both at their largest within `appearance_time`
    hue: float | None = None  #: degrees off, median of the frames that then show half of it
    came_out: bool = False  #: although it should stay hidden
    went_in: bool = False  #: it should stay hidden, and was last seen entering

    @property
    def right(self) -> bool:
        """True if it was hidden and returned in time at its position and size; or entered and stayed hidden."""
        if not self.hidden:
            return False
        if self.interval.returns_at is None:
            return self.went_in and not self.came_out
        return (
            self.in_time
            and (self.position_unknown if self.position is None else self.position <= self.interval.bounds.position)
            and (self.size is None or RETURN.min_area <= self.size <= visibility.MAX_AREA_RATIO)
        )


def hidden_intervals(
    trajectory: ImageTrajectory, column: int, context: int, away: bool = False
) -> tuple[HiddenInterval, ...]:
    """The hidden intervals of an object after the hand-over on a trajectory, in the order of time.

    away: those in which the camera looks elsewhere, and to whose end it looks back; not those behind something.
    """
    hidden, shown = (
        trajectory.away.copy() if away else (trajectory.share < visibility.HIDDEN_SHARE) & trajectory.inside,
        (trajectory.share >= visibility.VISIBLE_SHARE) & trajectory.inside,
    )
    trace = trajectory.share >= visibility.MIN_DETECTED_SHARE
    if away:
        trace |= (trajectory.share > 0) & ~trajectory.inside & ~trajectory.away  # cut by the border
    hidden[:context] = shown[:context] = False
    frames, seen = np.flatnonzero(hidden), np.flatnonzero(shown)
    intervals = []
    for part in np.split(frames, 1 + np.flatnonzero(np.diff(np.searchsorted(seen, frames)) > 0)):
        if len(part):
            returns_at = None
            if (seen > part[-1]).any():
                returns_at = int(part[-1] + np.flatnonzero(trace[part[-1] :])[0])
            if returns_at is not None or not away:
                intervals.append(HiddenInterval(column, int(part[0]), int(part[-1]), returns_at, trajectory, away))
    return tuple(intervals)


def expected_hidden_intervals(
    clip: Clip, context: int, column: int, continuation: LawfulContinuation | None, away: bool = False
) -> tuple[tuple[HiddenInterval, LawfulSegment | None], ...]:
    """The intervals in which a prediction should hide an object, each with the lawful segment in which it begins.

    away: those in which its camera looks elsewhere, as `hidden_intervals` has them: the prediction's own camera, and
    that of ground truth in the intervals of ground truth.

    Where no segment is known (`continuation` is None) they are those of ground truth, without a segment. After a break,
    or where the lawful motion leads to no interval, those of ground truth are added that overlap none of its own. For a
    motion without a break its own intervals alone count: a single frame does not show that a ball rolls towards the
    screen.
    """
    true = _true_intervals(clip, context, column, away)
    if continuation is None:
        return tuple((each, None) for each in true)
    mine = [
        (each, segment)
        for segment in continuation.segments
        for each in _begun_in(segment, continuation, column, context, away)
    ]
    if not continuation.broken:
        return tuple(mine)
    left = [
        (each, None)
        for each in true
        if (not mine or each.first >= continuation.until) and not any(each.overlaps(other) for other, _ in mine)
    ]
    return (*mine, *left)


def _true_intervals(clip: Clip, context: int, column: int, away: bool) -> list[HiddenInterval]:
    """Those of ground truth, with wider bounds where too little is shown before them."""
    trajectory, times, intervals = true_trajectory(clip, context, column), clip.times[clip.window(context)], []
    for each in hidden_intervals(trajectory, column, context, away):
        shown = times[: each.first][((trajectory.share >= visibility.POSITION_SHARE) & trajectory.inside)[: each.first]]
        intervals.append(each if is_long_enough(shown) else replace(each, bounds=Bounds(0.5, 1.0)))
    return intervals


def _begun_in(
    segment: LawfulSegment, continuation: LawfulContinuation, column: int, context: int, away: bool
) -> list[HiddenInterval]:
    """The hidden intervals that begin in a lawful segment."""
    if not (continuation.trajectory.share[segment.first : segment.first_miss] < visibility.VISIBLE_SHARE).any():
        return []
    intervals = hidden_intervals(continuation.continued(segment.until), column, context, away)
    return [each for each in intervals if segment.first <= each.first < segment.first_miss]


def returns(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> tuple[Return, ...]:
    """Reading of each interval in which an object should be hidden, by object and time: first those behind something.

    continuations: of the same tracks, by their columns.
    """
    return tuple(_returns(clip, tracks, continuations))


def _returns(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Iterator[Return]:
    there = tracks.area >= visibility.MIN_DETECTED_SHARE * visibility.whole_area(
        clip, tracks.context
    )  # also of an object that is out a little late
    kinds = (False, True) if clip.scene.camera.path else (False,)
    for away, column in product(kinds, range(len(tracks.names))):
        own = continuations.get(column)
        for interval, segment in expected_hidden_intervals(clip, tracks.context, column, own, away):
            if segment is None:
                yield _return(clip, tracks, interval, there[:, column])
            else:
                yield _lawful_return(clip, tracks, interval, there[:, column], continuations[column], segment)


def _lawful_return(
    clip: Clip,
    tracks: Tracks,
    interval: HiddenInterval,
    there: Mask,
    continuation: LawfulContinuation,
    segment: LawfulSegment,
) -> Return:
    """Reading of an interval that begins in a lawful segment, by the motion shown before the interval.

    It is also right by that motion without the context, or, after a break, where less is known of the motion, by ground
    truth. Where too little is shown before the interval, the whole segment decides.
    """
    context, before = tracks.context, min(interval.first, segment.until)
    if not continuation.enough_known(segment.first, before):
        return _return(clip, tracks, interval, there)
    comeback = _return(clip, tracks, _on(continuation.continued(before), interval, context), there)
    if comeback.right:
        return comeback
    trajectory = (
        continuation.continued_from_handover(before)
        if segment.unbroken
        else true_trajectory(clip, context, interval.column)
    )
    if trajectory is None:
        return comeback
    again = _return(clip, tracks, _on(trajectory, interval, context), there)
    return again if again.right else comeback


def _on(trajectory: ImageTrajectory, interval: HiddenInterval, context: int) -> HiddenInterval:
    """The interval on a trajectory that corresponds to a given one; that one where there is none."""
    intervals = hidden_intervals(trajectory, interval.column, context, interval.away)
    return next((each for each in intervals if each.last >= interval.first), interval)


def _return(clip: Clip, tracks: Tracks, interval: HiddenInterval, there: Mask) -> Return:
    hidden = interval.trajectory.share < visibility.HIDDEN_SHARE
    frames = interval.first + np.flatnonzero(hidden[interval.first : interval.last + 1])
    unseen = float(np.mean(~there[frames]))
    most = interval.bounds.max_delay(_step(tracks.times))
    if interval.returns_at is None:
        came_out, went_in = _comes_out(tracks.times, there, hidden, interval), _goes_in(clip, tracks, interval)
        return Return(interval, unseen, unseen >= RETURN.min_unseen, came_out=came_out, went_in=went_in)
    shift = _shift(tracks, there, frames, most)
    reappears = _seen_again(there, interval.first + (shift or 0), interval.last + (shift or 0))
    if reappears is None:
        return Return(interval, unseen, shift is not None)
    delay = float(tracks.times[reappears] - tracks.times[interval.returns_at])
    soon = np.arange(reappears, len(there))[
        tracks.times[reappears:] <= tracks.times[reappears] + RETURN.appearance_time
    ]
    size, hue = _appearance(clip, tracks, interval, soon)
    position = _position_error(clip, tracks, interval, soon)
    # True if its trajectory shows half of it for less than MAX_GAP s in those frames: no position is expected.
    shown = runs(interval.trajectory.share[soon] >= visibility.POSITION_SHARE)
    unknown = max((len(run) for run in shown), default=0) * _step(tracks.times) < visibility.MAX_GAP - 1e-9
    return Return(interval, unseen, shift is not None, delay, abs(delay) <= most, position, unknown, size, hue)


def _step(times: Array) -> float:
    """Time between frames in s."""
    return float(times[1] - times[0])


def _shift(tracks: Tracks, there: Mask, frames: NDArray[np.intp], most: float) -> int | None:
    """The smallest shift of the hidden frames, of at `most` s, after which the object is unseen in them."""
    limit = int(most / _step(tracks.times) + 1e-6)
    for shift in sorted(range(-limit, limit + 1), key=abs):
        moved = frames + shift
        if moved[0] >= tracks.context and moved[-1] < len(there) and np.mean(~there[moved]) >= RETURN.min_unseen:
            return shift
    return None


def _seen_again(there: Mask, first: int, last: int) -> int | None:
    """The first frame in which it is seen after the last one of an interval in which it is not."""
    gone = first + np.flatnonzero(~there[first : last + 1])
    if not len(gone):
        return None
    later = np.flatnonzero(there[gone[-1] :])
    return int(gone[-1] + later[0]) if len(later) else None


def _comes_out(times: Array, there: Mask, hidden: Mask, interval: HiddenInterval) -> bool:
    """True if it is seen for longer than `RETURN.max_glimpse` after it vanished, or after it should have vanished."""
    dt, later = _step(times), np.arange(interval.first, len(times))
    gone = later[~there[later] | (times[later] > times[interval.first] + interval.bounds.max_delay(dt))]
    if not len(gone):
        return False
    shown = runs((there & hidden)[gone[0] :])
    return max((len(run) for run in shown), default=0) * dt > RETURN.max_glimpse


def _goes_in(clip: Clip, tracks: Tracks, interval: HiddenInterval) -> bool:
    """True if its last position is near its trajectory into the interval.

    An object that leaves elsewhere is not hidden.
    """
    times, k = tracks.times, interval.column
    by = times <= times[interval.first] + interval.bounds.max_delay(_step(times))
    known = np.flatnonzero(by & np.isfinite(tracks.position[:, k, 0]))
    since = int(np.searchsorted(times, times[interval.first] - max(RETURN.entry_time, _step(times)) - 1e-9))
    if not len(known):
        return False
    path = interval.trajectory.position[since : interval.last + 1]
    return _off(clip, tracks, k, int(known[-1]), path) <= interval.bounds.position


def _position_error(clip: Clip, tracks: Tracks, interval: HiddenInterval, soon: NDArray[np.intp]) -> float | None:
    """Distance in diameters from its trajectory, at nearby times, where half of it is first seen again.

    Not before: the edge of a body that returns on the wrong side of a narrow screen is near its trajectory.
    """
    k, whole = interval.column, visibility.whole_area(clip, tracks.context)
    known = soon[np.isfinite(tracks.position[soon, k, 0])]
    if not len(known):
        return None
    half = known[tracks.area[known, k] >= whole[known, k] / 2]
    at = int(half[0] if len(half) else known[0])
    near = np.abs(tracks.times - tracks.times[at]) <= max(interval.bounds.time, _step(tracks.times)) + 1e-9
    return _off(clip, tracks, k, at, interval.trajectory.position[near])


def _off(clip: Clip, tracks: Tracks, column: int, at: int, path: Array) -> float:
    """Distance in diameters of an object in frame `at` from a path (n, 2) px."""
    diameter = clip.diameters()[clip.window(tracks.context)][at, column] * clip.pixels_per_metre
    return _distance(tracks.position[at, column], path) / max(float(diameter), 1e-9)


def _distance(point: Array, path: Array) -> float:
    """Smallest distance of a point (2,) from a path (n, 2) of straight lines; infinite where no point is known.

    >>> _distance(np.array([1.0, 1.0]), np.array([[0.0, 0.0], [4.0, 0.0]])), _distance(np.zeros(2), np.array([[3, 4]]))
    (1.0, 5.0)
    """
    path = path[np.isfinite(path).all(axis=-1)]
    if not len(path):
        return float("inf")
    start, line = path[: max(len(path) - 1, 1)], np.diff(path, axis=0) if len(path) > 1 else np.zeros((1, 2))
    along = np.sum((point - start) * line, axis=-1) / np.maximum(np.sum(line**2, axis=-1), 1e-12)
    nearest = start + np.clip(along, 0, 1)[:, None] * line
    return float(np.linalg.norm(point - nearest, axis=-1).min())


def _appearance(
    clip: Clip, tracks: Tracks, interval: HiddenInterval, soon: NDArray[np.intp]
) -> tuple[float | None, float | None]:
    """Largest area over that which should be seen, and degrees of hue off, within the frames after its return."""
    k = interval.column
    share = tracks.area[soon, k] / np.maximum(visibility.whole_area(clip, tracks.context)[soon, k], 1e-9)
    hue = np.abs(tracks.hue[soon[share >= 0.5], k])
    most = float(np.percentile(interval.trajectory.share[soon], RETURN.largest_percentile))
    size = float(np.percentile(share, RETURN.largest_percentile)) / most if most >= RETURN.size_share else None
    return size, float(np.nanmedian(hue)) if np.isfinite(hue).any() else None
