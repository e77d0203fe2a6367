"""What ground truth hides, and what a prediction makes of it: whether it is gone for so long and comes back as itself.

Identity is by hue. Times and places are compared with ground truth: the times within BACK_WITHIN, since a prediction at
another lawful speed goes in and comes out at other moments; the place with all of the true way behind the hiding, since
that does not depend on the speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.due import HIDDEN_SHARE, TRACE, due, inside_view, whole_area
from physbench.scoring.paths import runs
from physbench.tracks.tracks import Tracks

UNSEEN = 0.8  # share of the hidden frames, or of as many a little earlier or later, in which it must not be seen
BACK_WITHIN = 0.5  # s of the true times
BACK_NEAR = 1.0  # diameters from the true way
PEEP = 0.1  # s; what must stay hidden and is seen for longer has come out
AFTER = 1.5  # s behind its return in which size and hue are read: all of it is out by then
LARGEST = 90.0  # percentile of the areas that counts as the largest

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Hiding:
    """A time in which ground truth hides an object. Frames are those of the window."""

    column: int  # of the tracks
    first: int  # hidden frames: from here
    last: int  # to here, those in which a sliver is seen in between included
    back: int | None  # where a trace of it is seen again; None: it stays hidden, or leaves unseen


@dataclass(frozen=True)
class Return:
    """What a prediction shows of a hiding. None: cannot be read."""

    hiding: Hiding
    unseen: float  # share of the hidden frames in which it is not seen
    hidden: bool  # it is unseen for as long, at a time near enough
    time: float | None  # s behind the true return; None: it never comes back, or is not to
    place: float | None  # diameters from the true way, where it first has a position again
    size: float | None  # area over that of the whole object, at its largest within AFTER
    hue: float | None  # degrees off, median of the frames that then show half of it
    came_out: bool  # although it was to stay hidden

    @property
    def right(self) -> bool:
        """Whether it was hidden and came back in time at its place; or stayed hidden."""
        if not self.hidden:
            return False
        if self.hiding.back is None:
            return not self.came_out
        near = self.place is None or self.place <= BACK_NEAR
        return self.time is not None and abs(self.time) <= BACK_WITHIN + 1e-9 and near


def hidings(clip: Clip, context: int) -> tuple[Hiding, ...]:
    """The hidings of all tracked objects behind the hand-over, by object and time."""
    share = clip.visible_share()[clip.window(context)]
    hidden = (share < HIDDEN_SHARE) & inside_view(clip, context)
    hidden[:context] = False
    owed = due(clip, context)
    found = []
    for k in range(hidden.shape[1]):
        frames = np.flatnonzero(hidden[:, k])
        shown = np.flatnonzero(owed[:, k])
        for part in np.split(frames, 1 + np.flatnonzero(np.diff(np.searchsorted(shown, frames)) > 0)):
            if len(part):
                back = None
                if (shown > part[-1]).any():
                    back = int(part[-1] + np.flatnonzero(share[part[-1] :, k] >= TRACE)[0])
                found.append(Hiding(k, int(part[0]), int(part[-1]), back))
    return tuple(found)


def returns(clip: Clip, tracks: Tracks) -> tuple[Return, ...]:
    """What became of each hiding."""
    there = tracks.area >= TRACE * whole_area(clip, tracks.context)  # also of one that is out a little later than due
    return tuple(_return(clip, tracks, hiding, there[:, hiding.column]) for hiding in hidings(clip, tracks.context))


def _return(clip: Clip, tracks: Tracks, hiding: Hiding, there: Mask) -> Return:
    hidden = clip.visible_share()[clip.window(tracks.context), hiding.column] < HIDDEN_SHARE
    frames = hiding.first + np.flatnonzero(hidden[hiding.first : hiding.last + 1])
    unseen = float(np.mean(~there[frames]))
    if hiding.back is None:
        came_out = _comes_out(tracks.times, there, hidden, hiding)
        return Return(hiding, unseen, unseen >= UNSEEN, None, None, None, None, came_out)
    shift = _shift(tracks, there, frames)
    back = _seen_again(there, hiding.first + (shift or 0), hiding.last + (shift or 0))
    if back is None:
        return Return(hiding, unseen, shift is not None, None, None, None, None, False)
    delay = float(tracks.times[back] - tracks.times[hiding.back])
    soon = np.arange(back, len(there))[tracks.times[back:] <= tracks.times[back] + AFTER]
    size, hue = _look(clip, tracks, hiding.column, soon)
    place = _place(clip, tracks, hiding, soon)
    return Return(hiding, unseen, shift is not None, delay, place, size, hue, False)


def _shift(tracks: Tracks, there: Mask, frames: NDArray[np.intp]) -> int | None:
    """By how many frames the hidden ones are shifted, as few as can be, for it to be unseen there; None: never."""
    most = int((BACK_WITHIN + 1e-9) / float(tracks.times[1] - tracks.times[0]))
    for shift in sorted(range(-most, most + 1), key=abs):
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
    """Whether it is seen for longer than PEEP once it is gone, or later than BACK_WITHIN after it should be."""
    later = np.arange(hiding.first, len(times))
    gone = later[~there[later] | (times[later] > times[hiding.first] + BACK_WITHIN)]
    if not len(gone):
        return False
    dt = float(times[1] - times[0])
    shown = runs((there & hidden)[gone[0] :])
    return max((len(run) for run in shown), default=0) * dt > PEEP


def _place(clip: Clip, tracks: Tracks, hiding: Hiding, soon: NDArray[np.intp]) -> float | None:
    """Distance in diameters of its first position again from the true way behind the hiding."""
    window, k = clip.window(tracks.context), hiding.column
    known = soon[np.isfinite(tracks.position[soon, k, 0])]
    if not len(known):
        return None
    way = clip.px_positions()[window][hiding.last :, k]
    ends = np.stack([way[:-1], way[1:]]) if len(way) > 1 else np.stack([way, way])
    diameter = clip.diameters()[window][hiding.last, k] * clip.pixels_per_metre
    return float(_distance(tracks.position[known[0], k], ends[0], ends[1]) / max(diameter, 1e-9))


def _distance(point: Array, start: Array, end: Array) -> float:
    """Least distance of a point (2,) from the lines between `start` and `end` (n, 2)."""
    line = end - start
    along = np.sum((point - start) * line, axis=-1) / np.maximum(np.sum(line**2, axis=-1), 1e-12)
    nearest = start + np.clip(along, 0, 1)[:, None] * line
    return float(np.linalg.norm(point - nearest, axis=-1).min())


def _look(clip: Clip, tracks: Tracks, k: int, soon: NDArray[np.intp]) -> tuple[float, float | None]:
    """Largest area over that of the whole object, and degrees of hue off, within the frames behind its return."""
    full = clip.full_area[clip.window(tracks.context)][soon, clip.tracked[k]]
    size = tracks.area[soon, k] / np.maximum(full, 1e-9)
    hue = tracks.hue[soon[size >= 0.5], k]
    return float(np.percentile(size, LARGEST)), float(np.nanmedian(hue)) if np.isfinite(hue).any() else None
