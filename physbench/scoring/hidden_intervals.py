"""When each object should be hidden, and how a prediction shows it: whether it vanishes and returns as itself.

Identity is by hue. An object should be hidden, and return, when and where the motion shown before the interval does so,
continued lawfully. That is the motion of the lawful segment in which the interval begins, with or without breaks before
it. Ground truth decides where a motion with breaks leads to no such interval, and where no segment is known. The bounds
are the same, so that a break gains nothing. They are wider only where ground truth shows too little of an object before
the interval: a lawful body of another velocity returns at another moment then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.expected_visibility import (
    ImageTrajectory,
    LawfulContinuation,
    LawfulSegment,
    true_trajectory,
)
from physbench.shadowing.segment_init import is_long_enough
from physbench.tracks.finite_differences import runs
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import (
    HIDDEN_SHARE,
    MAX_AREA_RATIO,
    MAX_GAP,
    MIN_DETECTED_SHARE,
    POSITION_SHARE,
    VISIBLE_SHARE,
    whole_area,
)

MIN_UNSEEN = 0.8  # share of the hidden frames, or of as many a little earlier or later, without the object
MAX_GLIMPSE = 0.1  # s; an object that should stay hidden and is seen for longer came out
LOOK_TIME = 1.5  # s after the return in which size and hue are read: all of it is out by then
LARGEST_PERCENTILE = 90.0  # of the areas; counts as the largest
MIN_AREA_RATIO = 0.75  # of the area that should be seen; less, or more than MAX_AREA_RATIO, is another object
SIZE_SHARE = 0.5  # visible share that an object should have for its size to be read
ENTRY_TIME = 0.5  # s before an interval that does not end; its object is last seen near its trajectory from then on

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Bounds:
    """How far off a return may be."""

    time: float  #: s; an error of this size is too large
    position: float  #: diameters

    def max_delay(self, dt: float) -> float:
        """Largest error in s of the time of a return in frames dt s apart: half a frame less than `time`, or one frame.

        The time of an event is known to a frame.
        """
        return max(self.time - dt / 2, dt) + 1e-9


# Where enough is shown before the interval to continue the motion, and where it is not.
KNOWN_BOUNDS, UNKNOWN_BOUNDS = Bounds(0.2, 0.5), Bounds(0.5, 1.0)


@dataclass(frozen=True, eq=False)
class HiddenInterval:
    """A time in which an object should be hidden. Frames are those of the window."""

    column: int  #: of the tracks
    first: int  #: first hidden frame
    last: int  #: last hidden frame; a sliver may be seen in between
    returns_at: int | None  #: first frame in which a trace of it is seen again; None if it stays hidden, or leaves
    trajectory: ImageTrajectory  #: by which it is hidden
    bounds: Bounds = KNOWN_BOUNDS  #: of the return

    def overlaps(self, other: HiddenInterval) -> bool:
        """Whether the two have frames in common."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Return:
    """What a prediction shows of a hidden interval. None: cannot be read."""

    interval: HiddenInterval  #: in which the object should be hidden
    unseen: float  #: share of the hidden frames in which it is not seen
    hidden: bool  #: the object is unseen for as long, at about the same time
    time: float | None = None  #: s later than expected; None if it never returns, or should not
    in_time: bool = False  #: within the bounds
    position: float | None = None  #: diameters from its trajectory, where half of it is first seen again
    position_unknown: bool = False  #: its trajectory shows too little of it then for a position
    size: float | None = None  #: area over that which should be seen, both at their largest within LOOK_TIME
    hue: float | None = None  #: degrees off, median of the frames that then show half of it
    came_out: bool = False  #: although it should stay hidden
    went_in: bool = False  #: it should stay hidden, and was last seen entering

    @property
    def right(self) -> bool:
        """Whether it was hidden and returned in time at its position and size; or entered and stayed hidden."""
        if not self.hidden:
            return False
        if self.interval.returns_at is None:
            return self.went_in and not self.came_out
        return (
            self.in_time
            and (self.position_unknown if self.position is None else self.position <= self.interval.bounds.position)
            and (self.size is None or MIN_AREA_RATIO <= self.size <= MAX_AREA_RATIO)
        )


def hidden_intervals(trajectory: ImageTrajectory, column: int, context: int) -> tuple[HiddenInterval, ...]:
    """The hidden intervals of an object after the hand-over on a trajectory, in the order of time."""
    hidden, shown = (
        (trajectory.share < HIDDEN_SHARE) & trajectory.inside,
        (trajectory.share >= VISIBLE_SHARE) & trajectory.inside,
    )
    hidden[:context] = shown[:context] = False
    frames, seen = np.flatnonzero(hidden), np.flatnonzero(shown)
    found = []
    for part in np.split(frames, 1 + np.flatnonzero(np.diff(np.searchsorted(seen, frames)) > 0)):
        if len(part):
            returns_at = None
            if (seen > part[-1]).any():
                returns_at = int(part[-1] + np.flatnonzero(trajectory.share[part[-1] :] >= MIN_DETECTED_SHARE)[0])
            found.append(HiddenInterval(column, int(part[0]), int(part[-1]), returns_at, trajectory))
    return tuple(found)


def expected_hidden_intervals(
    clip: Clip, context: int, column: int, continuation: LawfulContinuation | None
) -> tuple[tuple[HiddenInterval, LawfulSegment | None], ...]:
    """The intervals in which a prediction should hide an object, each with the lawful segment in which it begins.

    Where no segment is known (`continuation` is None) they are those of ground truth, without a segment. After a break,
    or where the lawful motion leads to no interval, those of ground truth are added that overlap none of its own. For a
    motion without a break its own intervals alone count: a single frame does not show that a ball rolls towards the
    screen.
    """
    true = _true_intervals(clip, context, column)
    if continuation is None:
        return tuple((each, None) for each in true)
    mine = [
        (each, segment)
        for segment in continuation.segments
        for each in _begun_in(segment, continuation, column, context)
    ]
    if not continuation.broken:
        return tuple(mine)
    left = [
        (each, None)
        for each in true
        if (not mine or each.first >= continuation.until) and not any(each.overlaps(other) for other, _ in mine)
    ]
    return (*mine, *left)


def _true_intervals(clip: Clip, context: int, column: int) -> list[HiddenInterval]:
    """Those of ground truth, with wider bounds where too little is shown before them."""
    trajectory, times, found = true_trajectory(clip, context, column), clip.times[clip.window(context)], []
    for each in hidden_intervals(trajectory, column, context):
        shown = times[: each.first][((trajectory.share >= POSITION_SHARE) & trajectory.inside)[: each.first]]
        found.append(each if is_long_enough(shown) else replace(each, bounds=UNKNOWN_BOUNDS))
    return found


def _begun_in(
    segment: LawfulSegment, continuation: LawfulContinuation, column: int, context: int
) -> list[HiddenInterval]:
    """The hidden intervals that begin in a lawful segment."""
    if not (continuation.trajectory.share[segment.first : segment.first_miss] < VISIBLE_SHARE).any():
        return []
    found = hidden_intervals(continuation.continued(segment.until), column, context)
    return [each for each in found if segment.first <= each.first < segment.first_miss]


def returns(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> tuple[Return, ...]:
    """What a prediction shows of each interval in which an object should be hidden, by object and time.

    continuations: of the same tracks, by their columns.
    """
    return tuple(_returns(clip, tracks, continuations))


def _returns(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Iterator[Return]:
    there = tracks.area >= MIN_DETECTED_SHARE * whole_area(
        clip, tracks.context
    )  # also of an object that is out a little late
    for column in range(len(tracks.names)):
        for interval, segment in expected_hidden_intervals(clip, tracks.context, column, continuations.get(column)):
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
    """What a prediction shows of an interval that begins in a lawful segment, by the motion shown before the interval.

    It is also right by that motion without the context, or, after a break, where less is known of the motion, by ground
    truth. Where too little is shown before the interval, the whole segment decides.
    """
    context, before = tracks.context, min(interval.first, segment.until)
    if not continuation.enough_known(segment.first, before):
        return _return(clip, tracks, interval, there)
    found = _return(clip, tracks, _on(continuation.continued(before), interval, context), there)
    if found.right:
        return found
    trajectory = (
        continuation.continued_from_handover(before)
        if segment.unbroken
        else true_trajectory(clip, context, interval.column)
    )
    if trajectory is None:
        return found
    again = _return(clip, tracks, _on(trajectory, interval, context), there)
    return again if again.right else found


def _on(trajectory: ImageTrajectory, interval: HiddenInterval, context: int) -> HiddenInterval:
    """The interval on a trajectory that corresponds to a given one; that one where there is none."""
    found = hidden_intervals(trajectory, interval.column, context)
    return next((each for each in found if each.last >= interval.first), interval)


def _return(clip: Clip, tracks: Tracks, interval: HiddenInterval, there: Mask) -> Return:
    hidden = interval.trajectory.share < HIDDEN_SHARE
    frames = interval.first + np.flatnonzero(hidden[interval.first : interval.last + 1])
    unseen = float(np.mean(~there[frames]))
    most = interval.bounds.max_delay(_step(tracks.times))
    if interval.returns_at is None:
        came_out, went_in = _comes_out(tracks.times, there, hidden, interval), _goes_in(clip, tracks, interval)
        return Return(interval, unseen, unseen >= MIN_UNSEEN, came_out=came_out, went_in=went_in)
    shift = _shift(tracks, there, frames, most)
    reappears = _seen_again(there, interval.first + (shift or 0), interval.last + (shift or 0))
    if reappears is None:
        return Return(interval, unseen, shift is not None)
    delay = float(tracks.times[reappears] - tracks.times[interval.returns_at])
    soon = np.arange(reappears, len(there))[tracks.times[reappears:] <= tracks.times[reappears] + LOOK_TIME]
    size, hue = _look(clip, tracks, interval, soon)
    position = _position_error(clip, tracks, interval, soon)
    unknown = _position_unknown(tracks.times, interval, soon)
    return Return(interval, unseen, shift is not None, delay, abs(delay) <= most, position, unknown, size, hue)


def _step(times: Array) -> float:
    """Time between frames in s."""
    return float(times[1] - times[0])


def _shift(tracks: Tracks, there: Mask, frames: NDArray[np.intp], most: float) -> int | None:
    """The smallest shift of the hidden frames, of at `most` s, after which the object is unseen in them."""
    limit = int(most / _step(tracks.times) + 1e-6)
    for shift in sorted(range(-limit, limit + 1), key=abs):
        moved = frames + shift
        if moved[0] >= tracks.context and moved[-1] < len(there) and np.mean(~there[moved]) >= MIN_UNSEEN:
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
    """Whether it is seen for longer than MAX_GLIMPSE after it vanished, or after it should have vanished."""
    dt, later = _step(times), np.arange(interval.first, len(times))
    gone = later[~there[later] | (times[later] > times[interval.first] + interval.bounds.max_delay(dt))]
    if not len(gone):
        return False
    shown = runs((there & hidden)[gone[0] :])
    return max((len(run) for run in shown), default=0) * dt > MAX_GLIMPSE


def _goes_in(clip: Clip, tracks: Tracks, interval: HiddenInterval) -> bool:
    """Whether its last position is near its trajectory into the interval.

    An object that leaves elsewhere is not hidden.
    """
    times, k = tracks.times, interval.column
    by = times <= times[interval.first] + interval.bounds.max_delay(_step(times))
    known = np.flatnonzero(by & np.isfinite(tracks.position[:, k, 0]))
    since = int(np.searchsorted(times, times[interval.first] - max(ENTRY_TIME, _step(times)) - 1e-9))
    if not len(known):
        return False
    path = interval.trajectory.position[since : interval.last + 1]
    return _off(clip, tracks, k, int(known[-1]), path) <= interval.bounds.position


def _position_error(clip: Clip, tracks: Tracks, interval: HiddenInterval, soon: NDArray[np.intp]) -> float | None:
    """Distance in diameters from its trajectory, at nearby times, where half of it is first seen again.

    Not before: the edge of a body that returns on the wrong side of a narrow screen is near its trajectory.
    """
    k, whole = interval.column, whole_area(clip, tracks.context)
    known = soon[np.isfinite(tracks.position[soon, k, 0])]
    if not len(known):
        return None
    half = known[tracks.area[known, k] >= whole[known, k] / 2]
    at = int(half[0] if len(half) else known[0])
    near = np.abs(tracks.times - tracks.times[at]) <= max(interval.bounds.time, _step(tracks.times)) + 1e-9
    return _off(clip, tracks, k, at, interval.trajectory.position[near])


def _position_unknown(times: Array, interval: HiddenInterval, soon: NDArray[np.intp]) -> bool:
    """Whether its trajectory shows half of it for less than MAX_GAP s in those frames: no position is expected."""
    shown = runs(interval.trajectory.share[soon] >= POSITION_SHARE)
    return max((len(run) for run in shown), default=0) * _step(times) < MAX_GAP - 1e-9


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


def _look(
    clip: Clip, tracks: Tracks, interval: HiddenInterval, soon: NDArray[np.intp]
) -> tuple[float | None, float | None]:
    """Largest area over that which should be seen, and degrees of hue off, within the frames after its return."""
    k = interval.column
    share = tracks.area[soon, k] / np.maximum(whole_area(clip, tracks.context)[soon, k], 1e-9)
    hue = np.abs(tracks.hue[soon[share >= 0.5], k])
    most = float(np.percentile(interval.trajectory.share[soon], LARGEST_PERCENTILE))
    size = float(np.percentile(share, LARGEST_PERCENTILE)) / most if most >= SIZE_SHARE else None
    return size, float(np.nanmedian(hue)) if np.isfinite(hue).any() else None
