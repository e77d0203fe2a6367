"""What should be hidden, and what a prediction makes of it: whether it is gone for so long and comes back as itself.

Identity is by hue. As long as the motion of an object is lawful, it is asked to go on so: it is to be hidden, and to be
back, where the motion that was shown before the hiding, continued, has it. Where it breaks before it comes to a hiding,
or is not known, ground truth says what is hidden; the bounds are wider there, since a body at another speed goes in and
comes out at other moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.due import DUE_SHARE, HIDDEN_SHARE, MOST_MASS, TRACE, whole_area
from physbench.scoring.owed import Course, Lawful, true_course
from physbench.scoring.paths import runs
from physbench.tracks.tracks import Tracks

UNSEEN = 0.8  # share of the hidden frames, or of as many a little earlier or later, in which it must not be seen
PEEP = 0.1  # s; what must stay hidden and is seen for longer has come out
AFTER = 1.5  # s behind its return in which size and hue are read: all of it is out by then
LARGEST = 90.0  # percentile of the areas that counts as the largest
LEAST_SIZE = 0.75  # of the area that should be seen; less, or more than MOST_MASS, is another object
SIZED = 0.5  # of an object that should be seen for its size to be asked

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Bounds:
    """How far off a return may be."""

    time: float  # s; as far off is too far off
    place: float  # diameters


BY_OWN, BY_TRUTH = Bounds(0.2, 0.5), Bounds(0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Hiding:
    """A time in which an object should be hidden. Frames are those of the window."""

    column: int  # of the tracks
    first: int  # hidden frames: from here
    last: int  # to here, those in which a sliver is seen in between included
    back: int | None  # where a trace of it is seen again; None: it stays hidden, or leaves unseen
    course: Course  # that has it so
    bounds: Bounds  # of the return


@dataclass(frozen=True)
class Return:
    """What a prediction shows of a hiding. None: cannot be read."""

    hiding: Hiding
    unseen: float  # share of the hidden frames in which it is not seen
    hidden: bool  # it is unseen for as long, at about the same time
    time: float | None  # s later than it should be back; None: it never comes back, or is not to
    place: float | None  # diameters from its way, where half of it is first seen again
    size: float | None  # area over that which should be seen, both at their largest within AFTER
    hue: float | None  # degrees off, median of the frames that then show half of it
    came_out: bool  # although it was to stay hidden

    @property
    def right(self) -> bool:
        """Whether it was hidden and came back in time at its place, as large as it was; or stayed hidden."""
        if not self.hidden:
            return False
        if self.hiding.back is None:
            return not self.came_out
        bounds = self.hiding.bounds
        return (
            self.time is not None
            and abs(self.time) < bounds.time - 1e-9
            and (self.place is None or self.place <= bounds.place)
            and (self.size is None or LEAST_SIZE <= self.size <= MOST_MASS)
        )


def hidings(course: Course, column: int, context: int, bounds: Bounds) -> tuple[Hiding, ...]:
    """The hidings of an object behind the hand-over as a course has them, in the order of time."""
    hidden, shown = (course.share < HIDDEN_SHARE) & course.inside, (course.share >= DUE_SHARE) & course.inside
    hidden[:context] = shown[:context] = False
    frames, seen = np.flatnonzero(hidden), np.flatnonzero(shown)
    found = []
    for part in np.split(frames, 1 + np.flatnonzero(np.diff(np.searchsorted(seen, frames)) > 0)):
        if len(part):
            back = None
            if (seen > part[-1]).any():
                back = int(part[-1] + np.flatnonzero(course.share[part[-1] :] >= TRACE)[0])
            found.append(Hiding(column, int(part[0]), int(part[-1]), back, course, bounds))
    return tuple(found)


def asked(clip: Clip, context: int, column: int, own: Lawful | None) -> tuple[Hiding, ...]:
    """The hidings that a prediction is asked for, of an object that has a lawful segment of its own, or None.

    Those that begin in this segment. Ground truth's behind its break, and all of ground truth's where it breaks before
    it comes to one.
    """
    true = hidings(true_course(clip, context, column), column, context, BY_TRUTH)
    if own is None:
        return true
    mine = [each for each in hidings(own.onward(own.until), column, context, BY_OWN) if each.first < own.until]
    if own.until == len(own.course.share):
        return tuple(mine)
    return (*mine, *(each for each in true if not mine or each.first >= own.until))


def returns(clip: Clip, tracks: Tracks, own: Mapping[int, Lawful]) -> tuple[Return, ...]:
    """What became of each hiding that is asked for, by object and time. own: of the same tracks, by their columns."""
    there = tracks.area >= TRACE * whole_area(clip, tracks.context)  # also of one that is out a little later than due
    found = []
    for column in range(len(tracks.names)):
        for hiding in asked(clip, tracks.context, column, own.get(column)):
            if hiding.bounds is BY_OWN:
                found.append(_lawful_return(clip, tracks, hiding, there[:, column], own[column]))
            else:
                found.append(_return(clip, tracks, hiding, there[:, column]))
    return tuple(found)


def _lawful_return(clip: Clip, tracks: Tracks, hiding: Hiding, there: Mask, own: Lawful) -> Return:
    """What became of a hiding that begins in a lawful segment: as what is shown before it has it."""
    found = _return(clip, tracks, _on(own.onward(hiding.first), hiding, tracks.context), there)
    alone = None if found.right else own.onward_alone(hiding.first)
    if alone is None:
        return found
    again = _return(clip, tracks, _on(alone, hiding, tracks.context), there)
    return again if again.right else found


def _on(course: Course, hiding: Hiding, context: int) -> Hiding:
    """The hiding on a course that is about a given one; that one where there is none."""
    found = hidings(course, hiding.column, context, hiding.bounds)
    return next((each for each in found if each.last >= hiding.first), hiding)


def _return(clip: Clip, tracks: Tracks, hiding: Hiding, there: Mask) -> Return:
    hidden = hiding.course.share < HIDDEN_SHARE
    frames = hiding.first + np.flatnonzero(hidden[hiding.first : hiding.last + 1])
    unseen = float(np.mean(~there[frames]))
    if hiding.back is None:
        came_out = _comes_out(tracks.times, there, hidden, hiding)
        return Return(hiding, unseen, unseen >= UNSEEN, None, None, None, None, came_out)
    shift = _shift(tracks, there, frames, hiding.bounds.time)
    back = _seen_again(there, hiding.first + (shift or 0), hiding.last + (shift or 0))
    if back is None:
        return Return(hiding, unseen, shift is not None, None, None, None, None, False)
    delay = float(tracks.times[back] - tracks.times[hiding.back])
    soon = np.arange(back, len(there))[tracks.times[back:] <= tracks.times[back] + AFTER]
    size, hue = _look(clip, tracks, hiding, soon)
    place = _place(clip, tracks, hiding, soon)
    return Return(hiding, unseen, shift is not None, delay, place, size, hue, False)


def _shift(tracks: Tracks, there: Mask, frames: NDArray[np.intp], most: float) -> int | None:
    """By how many frames the hidden ones are moved, as few as can be, at `most` s, for it to be unseen there."""
    limit = int((most + 1e-9) / float(tracks.times[1] - tracks.times[0]))
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


def _comes_out(times: Array, there: Mask, hidden: Mask, hiding: Hiding) -> bool:
    """Whether it is seen for longer than PEEP once it is gone, or later than it might have gone."""
    later = np.arange(hiding.first, len(times))
    gone = later[~there[later] | (times[later] > times[hiding.first] + hiding.bounds.time)]
    if not len(gone):
        return False
    dt = float(times[1] - times[0])
    shown = runs((there & hidden)[gone[0] :])
    return max((len(run) for run in shown), default=0) * dt > PEEP


def _place(clip: Clip, tracks: Tracks, hiding: Hiding, soon: NDArray[np.intp]) -> float | None:
    """Distance in diameters from its way, at times near enough, where half of it is first seen again.

    Not before: of a body that is back on the wrong side of a narrow screen, an edge is seen near its way.
    """
    k, whole = hiding.column, whole_area(clip, tracks.context)
    known = soon[np.isfinite(tracks.position[soon, k, 0])]
    if not len(known):
        return None
    half = known[tracks.area[known, k] >= whole[known, k] / 2]
    at = int(half[0] if len(half) else known[0])
    near = np.abs(tracks.times - tracks.times[at]) <= hiding.bounds.time + 1e-9
    way = hiding.course.place[near]
    diameter = clip.diameters()[clip.window(tracks.context)][at, k] * clip.pixels_per_metre
    return float(_distance(tracks.position[at, k], way[:-1], way[1:]) / max(diameter, 1e-9))


def _distance(point: Array, start: Array, end: Array) -> float:
    """Least distance of a point (2,) from the lines between `start` and `end` (n, 2)."""
    line = end - start
    along = np.sum((point - start) * line, axis=-1) / np.maximum(np.sum(line**2, axis=-1), 1e-12)
    nearest = start + np.clip(along, 0, 1)[:, None] * line
    return float(np.linalg.norm(point - nearest, axis=-1).min())


def _look(clip: Clip, tracks: Tracks, hiding: Hiding, soon: NDArray[np.intp]) -> tuple[float | None, float | None]:
    """Largest area over that which should be seen, and degrees of hue off, within the frames behind its return."""
    k = hiding.column
    share = tracks.area[soon, k] / np.maximum(whole_area(clip, tracks.context)[soon, k], 1e-9)
    hue = tracks.hue[soon[share >= 0.5], k]
    most = float(np.percentile(hiding.course.share[soon], LARGEST))
    size = float(np.percentile(share, LARGEST)) / most if most >= SIZED else None
    return size, float(np.nanmedian(hue)) if np.isfinite(hue).any() else None
