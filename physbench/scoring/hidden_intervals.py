"""What should be hidden, and what a prediction makes of it: whether it is gone for so long and comes back as itself.

Identity is by hue. An object is asked to go on lawfully: it is to be hidden, and to be back, where the motion that was
shown before the hiding, continued, has it. That is the motion of the lawful segment in which the hiding begins, with
breaks before it or without. Where an object that breaks comes to no such hiding, or no segment is known, ground truth
says what is hidden. The bounds are the same, so that no break pays. Only where ground truth itself shows too little of
an object before the hiding are they wider: a lawful body at another speed is back at another moment then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.expected_visibility import (
    PLACED,
    ImageTrajectory,
    LawfulContinuation,
    LawfulSegment,
    true_trajectory,
)
from physbench.shadowing.segment_init import lasts
from physbench.tracks.finite_differences import runs
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import (
    HIDDEN_SHARE,
    MAX_AREA_RATIO,
    MAX_GAP,
    MIN_DETECTED_SHARE,
    VISIBLE_SHARE,
    whole_area,
)

UNSEEN = 0.8  # share of the hidden frames, or of as many a little earlier or later, in which it must not be seen
PEEP = 0.1  # s; what must stay hidden and is seen for longer has come out
AFTER = 1.5  # s behind its return in which size and hue are read: all of it is out by then
LARGEST = 90.0  # percentile of the areas that counts as the largest
LEAST_SIZE = 0.75  # of the area that should be seen; less, or more than MOST_MASS, is another object
SIZED = 0.5  # of an object that should be seen for its size to be asked
GOING_IN = 0.5  # s before a hiding, near whose way an object that is to stay hidden is last seen

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Bounds:
    """How far off a return may be."""

    time: float  # s; as far off is too far off
    place: float  # diameters

    def most(self, dt: float) -> float:
        """Most s that a return may be off in frames dt s apart: half a frame less than `time`, or one frame.

        A frame is what the time of an event is known to.
        """
        return max(self.time - dt / 2, dt) + 1e-9


KNOWN, UNKNOWN = Bounds(0.2, 0.5), Bounds(0.5, 1.0)  # where enough is shown before the hiding to go on from, or not


@dataclass(frozen=True, eq=False)
class HiddenInterval:
    """A time in which an object should be hidden. Frames are those of the window."""

    column: int  # of the tracks
    first: int  # hidden frames: from here
    last: int  # to here, those in which a sliver is seen in between included
    back: int | None  # where a trace of it is seen again; None: it stays hidden, or leaves unseen
    course: ImageTrajectory  # that has it so
    bounds: Bounds = KNOWN  # of the return

    def meets(self, other: HiddenInterval) -> bool:
        """Whether the two have a time in common."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Return:
    """What a prediction shows of a hiding. None: cannot be read."""

    hiding: HiddenInterval
    unseen: float  # share of the hidden frames in which it is not seen
    hidden: bool  # it is unseen for as long, at about the same time
    time: float | None = None  # s later than it should be back; None: it never comes back, or is not to
    in_time: bool = False  # less off than the bounds have it
    place: float | None = None  # diameters from its way, where half of it is first seen again
    unplaced: bool = False  # its way shows too little of it then for a place to be asked
    size: float | None = None  # area over that which should be seen, both at their largest within AFTER
    hue: float | None = None  # degrees off, median of the frames that then show half of it
    came_out: bool = False  # although it was to stay hidden
    went_in: bool = False  # it is to stay hidden, and was last seen on its way in

    @property
    def right(self) -> bool:
        """Whether it was hidden and came back in time at its place, as large as it was; or went in and stayed so."""
        if not self.hidden:
            return False
        if self.hiding.back is None:
            return self.went_in and not self.came_out
        return (
            self.in_time
            and (self.unplaced if self.place is None else self.place <= self.hiding.bounds.place)
            and (self.size is None or LEAST_SIZE <= self.size <= MAX_AREA_RATIO)
        )


def hidden_intervals(course: ImageTrajectory, column: int, context: int) -> tuple[HiddenInterval, ...]:
    """The hidings of an object behind the hand-over as a course has them, in the order of time."""
    hidden, shown = (course.share < HIDDEN_SHARE) & course.inside, (course.share >= VISIBLE_SHARE) & course.inside
    hidden[:context] = shown[:context] = False
    frames, seen = np.flatnonzero(hidden), np.flatnonzero(shown)
    found = []
    for part in np.split(frames, 1 + np.flatnonzero(np.diff(np.searchsorted(seen, frames)) > 0)):
        if len(part):
            back = None
            if (seen > part[-1]).any():
                back = int(part[-1] + np.flatnonzero(course.share[part[-1] :] >= MIN_DETECTED_SHARE)[0])
            found.append(HiddenInterval(column, int(part[0]), int(part[-1]), back, course))
    return tuple(found)


def expected_hidden_intervals(
    clip: Clip, context: int, column: int, own: LawfulContinuation | None
) -> tuple[tuple[HiddenInterval, LawfulSegment | None], ...]:
    """The hidings that a prediction is asked for, of an object that has lawful segments of its own, or None.

    Those that begin in a segment, with that segment. With None those of ground truth: where no segment is known; behind
    a break, or where it has none of its own, those at whose time it has none. Of a motion without a break nothing else
    is asked: a single frame does not say that a ball rolls towards the screen.
    """
    true = _true_hidings(clip, context, column)
    if own is None:
        return tuple((each, None) for each in true)
    mine = [(each, segment) for segment in own.segments for each in _begun_in(segment, own, column, context)]
    if not own.broken:
        return tuple(mine)
    left = [
        (each, None)
        for each in true
        if (not mine or each.first >= own.until) and not any(each.meets(other) for other, _ in mine)
    ]
    return (*mine, *left)


def _true_hidings(clip: Clip, context: int, column: int) -> list[HiddenInterval]:
    """Those of ground truth, with the bounds for what too little is shown of."""
    course, times, found = true_trajectory(clip, context, column), clip.times[clip.window(context)], []
    for each in hidden_intervals(course, column, context):
        shown = times[: each.first][((course.share >= PLACED) & course.inside)[: each.first]]
        found.append(each if lasts(shown) else replace(each, bounds=UNKNOWN))
    return found


def _begun_in(segment: LawfulSegment, own: LawfulContinuation, column: int, context: int) -> list[HiddenInterval]:
    """The hidings that begin in a lawful segment."""
    if not (own.course.share[segment.first : segment.miss] < VISIBLE_SHARE).any():
        return []
    found = hidden_intervals(own.onward(segment.until), column, context)
    return [each for each in found if segment.first <= each.first < segment.miss]


def returns(clip: Clip, tracks: Tracks, own: Mapping[int, LawfulContinuation]) -> tuple[Return, ...]:
    """What became of each hiding that is asked for, by object and time. own: of the same tracks, by their columns."""
    return tuple(_returns(clip, tracks, own))


def _returns(clip: Clip, tracks: Tracks, own: Mapping[int, LawfulContinuation]) -> Iterator[Return]:
    there = tracks.area >= MIN_DETECTED_SHARE * whole_area(
        clip, tracks.context
    )  # also of one that is out a little later than due
    for column in range(len(tracks.names)):
        for hiding, segment in expected_hidden_intervals(clip, tracks.context, column, own.get(column)):
            if segment is None:
                yield _return(clip, tracks, hiding, there[:, column])
            else:
                yield _lawful_return(clip, tracks, hiding, there[:, column], own[column], segment)


def _lawful_return(
    clip: Clip, tracks: Tracks, hiding: HiddenInterval, there: Mask, own: LawfulContinuation, segment: LawfulSegment
) -> Return:
    """What became of a hiding that begins in a lawful segment: as what is shown of it before has it.

    Or as that has it from the hand-over on alone; or behind a break, where less is known of the motion, as ground truth
    has it. Where too little is shown before, the whole segment says.
    """
    context, before = tracks.context, min(hiding.first, segment.until)
    if not own.tells(segment.first, before):
        return _return(clip, tracks, hiding, there)
    found = _return(clip, tracks, _on(own.onward(before), hiding, context), there)
    if found.right:
        return found
    course = own.onward_alone(before) if segment.unbroken else true_trajectory(clip, context, hiding.column)
    if course is None:
        return found
    again = _return(clip, tracks, _on(course, hiding, context), there)
    return again if again.right else found


def _on(course: ImageTrajectory, hiding: HiddenInterval, context: int) -> HiddenInterval:
    """The hiding on a course that is about a given one; that one where there is none."""
    found = hidden_intervals(course, hiding.column, context)
    return next((each for each in found if each.last >= hiding.first), hiding)


def _return(clip: Clip, tracks: Tracks, hiding: HiddenInterval, there: Mask) -> Return:
    hidden = hiding.course.share < HIDDEN_SHARE
    frames = hiding.first + np.flatnonzero(hidden[hiding.first : hiding.last + 1])
    unseen = float(np.mean(~there[frames]))
    most = hiding.bounds.most(_step(tracks.times))
    if hiding.back is None:
        came_out, went_in = _comes_out(tracks.times, there, hidden, hiding), _goes_in(clip, tracks, hiding)
        return Return(hiding, unseen, unseen >= UNSEEN, came_out=came_out, went_in=went_in)
    shift = _shift(tracks, there, frames, most)
    back = _seen_again(there, hiding.first + (shift or 0), hiding.last + (shift or 0))
    if back is None:
        return Return(hiding, unseen, shift is not None)
    delay = float(tracks.times[back] - tracks.times[hiding.back])
    soon = np.arange(back, len(there))[tracks.times[back:] <= tracks.times[back] + AFTER]
    size, hue = _look(clip, tracks, hiding, soon)
    place, unplaced = _place(clip, tracks, hiding, soon), _unplaced(tracks.times, hiding, soon)
    return Return(hiding, unseen, shift is not None, delay, abs(delay) <= most, place, unplaced, size, hue)


def _step(times: Array) -> float:
    """Time between frames in s."""
    return float(times[1] - times[0])


def _shift(tracks: Tracks, there: Mask, frames: NDArray[np.intp], most: float) -> int | None:
    """By how many frames the hidden ones are moved, as few as can be, at `most` s, for it to be unseen there."""
    limit = int(most / _step(tracks.times) + 1e-6)
    for shift in sorted(range(-limit, limit + 1), key=abs):
        moved = frames + shift
        if moved[0] >= tracks.context and moved[-1] < len(there) and np.mean(~there[moved]) >= UNSEEN:
            return shift
    return None


def _seen_again(there: Mask, first: int, last: int) -> int | None:
    """The first frame in which it is seen after the last one of a hiding in which it is not."""
    gone = first + np.flatnonzero(~there[first : last + 1])
    if not len(gone):
        return None
    later = np.flatnonzero(there[gone[-1] :])
    return int(gone[-1] + later[0]) if len(later) else None


def _comes_out(times: Array, there: Mask, hidden: Mask, hiding: HiddenInterval) -> bool:
    """Whether it is seen for longer than PEEP once it is gone, or later than it might have gone."""
    dt, later = _step(times), np.arange(hiding.first, len(times))
    gone = later[~there[later] | (times[later] > times[hiding.first] + hiding.bounds.most(dt))]
    if not len(gone):
        return False
    shown = runs((there & hidden)[gone[0] :])
    return max((len(run) for run in shown), default=0) * dt > PEEP


def _goes_in(clip: Clip, tracks: Tracks, hiding: HiddenInterval) -> bool:
    """Whether it is last placed near its way from a little before the hiding on: who leaves elsewhere is not hidden."""
    times, k = tracks.times, hiding.column
    by = times <= times[hiding.first] + hiding.bounds.most(_step(times))
    known = np.flatnonzero(by & np.isfinite(tracks.position[:, k, 0]))
    since = int(np.searchsorted(times, times[hiding.first] - max(GOING_IN, _step(times)) - 1e-9))
    if not len(known):
        return False
    way = hiding.course.place[since : hiding.last + 1]
    return _off(clip, tracks, k, int(known[-1]), way) <= hiding.bounds.place


def _place(clip: Clip, tracks: Tracks, hiding: HiddenInterval, soon: NDArray[np.intp]) -> float | None:
    """Distance in diameters from its way, at times near enough, where half of it is first seen again.

    Not before: of a body that is back on the wrong side of a narrow screen, an edge is seen near its way.
    """
    k, whole = hiding.column, whole_area(clip, tracks.context)
    known = soon[np.isfinite(tracks.position[soon, k, 0])]
    if not len(known):
        return None
    half = known[tracks.area[known, k] >= whole[known, k] / 2]
    at = int(half[0] if len(half) else known[0])
    near = np.abs(tracks.times - tracks.times[at]) <= max(hiding.bounds.time, _step(tracks.times)) + 1e-9
    return _off(clip, tracks, k, at, hiding.course.place[near])


def _unplaced(times: Array, hiding: HiddenInterval, soon: NDArray[np.intp]) -> bool:
    """Whether its way shows half of it for less than VAGUE s in those frames: it need not have a place."""
    shown = runs(hiding.course.share[soon] >= PLACED)
    return max((len(run) for run in shown), default=0) * _step(times) < MAX_GAP - 1e-9


def _off(clip: Clip, tracks: Tracks, column: int, at: int, way: Array) -> float:
    """Distance in diameters of an object in frame `at` from a way (n, 2) px."""
    diameter = clip.diameters()[clip.window(tracks.context)][at, column] * clip.pixels_per_metre
    return _distance(tracks.position[at, column], way) / max(float(diameter), 1e-9)


def _distance(point: Array, way: Array) -> float:
    """Least distance of a point (2,) from a way (n, 2) along straight lines; infinite from none.

    >>> _distance(np.array([1.0, 1.0]), np.array([[0.0, 0.0], [4.0, 0.0]])), _distance(np.zeros(2), np.array([[3, 4]]))
    (1.0, 5.0)
    """
    way = way[np.isfinite(way).all(axis=-1)]
    if not len(way):
        return float("inf")
    start, line = way[: max(len(way) - 1, 1)], np.diff(way, axis=0) if len(way) > 1 else np.zeros((1, 2))
    along = np.sum((point - start) * line, axis=-1) / np.maximum(np.sum(line**2, axis=-1), 1e-12)
    nearest = start + np.clip(along, 0, 1)[:, None] * line
    return float(np.linalg.norm(point - nearest, axis=-1).min())


def _look(
    clip: Clip, tracks: Tracks, hiding: HiddenInterval, soon: NDArray[np.intp]
) -> tuple[float | None, float | None]:
    """Largest area over that which should be seen, and degrees of hue off, within the frames behind its return."""
    k = hiding.column
    share = tracks.area[soon, k] / np.maximum(whole_area(clip, tracks.context)[soon, k], 1e-9)
    hue = tracks.hue[soon[share >= 0.5], k]
    most = float(np.percentile(hiding.course.share[soon], LARGEST))
    size = float(np.percentile(share, LARGEST)) / most if most >= SIZED else None
    return size, float(np.nanmedian(hue)) if np.isfinite(hue).any() else None
