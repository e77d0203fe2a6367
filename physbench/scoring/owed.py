"""What a prediction owes by its own lawful motion: permanence asks for what truth shows or what the prediction implies.

An object is due where ground truth shows it, or where its own lawful segment, continued, does. It is excused where that
continuation is hidden or outside the view, in a segment with no break before it: a lawful future that is not the
recorded one may take a body behind a screen or out of the picture. It is outside only if its track went there. What is
seen all the same is due.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.due import DUE_SHARE, due, seen
from physbench.scoring.shadowing.shadow import Shadowing
from physbench.tracks.tracks import Tracks

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

REACHED = 0.2  # s before its continuation leaves the view in which an object is seen, if it left


def lawfully_due(clip: Clip, tracks: Tracks, shadowing: Shadowing | None, rung: int = 1) -> Mask:
    """Where an object is due (C + T, K): as truth or its own lawful continuation has it.

    shadowing: of the same tracks; None: truth alone decides. rung: which tolerance says what is lawful, the middle one
    by default: at 0.2 diameters a ball that slows down by 0.4 at the hand-over has no break, since a short context
    leaves its speed that free, and would be excused wherever its new way is hidden.
    """
    owed = due(clip, tracks.context)
    sight = None if shadowing is None else shadowing.problem.seen.sight
    if shadowing is None or sight is None:
        return owed
    there = seen(clip, tracks)
    found = shadowing.rungs[rung]
    place = found.chain.place  # (C + T, N, 2) m, on the lawful arc of each body, also where nothing is seen of it
    share = sight.share(place[None])[0]
    looks = sight.centre + (place - sight.centre) * sight.scale[:, None]
    with np.errstate(invalid="ignore"):
        inside = np.asarray((np.abs(looks - sight.centre) <= sight.half).all(axis=-1))
    known = np.isfinite(place[..., 0])
    for disc, index in enumerate(shadowing.problem.forward.index):
        column = clip.tracked.index(index)
        shown = known[:, disc] & inside[:, disc] & (share[:, disc] >= DUE_SHARE)
        hidden = known[:, disc] & inside[:, disc] & ~shown
        left = _left(tracks.times, known[:, disc] & ~inside[:, disc], there[:, column])
        first = min((each.frame for each in found.breaks if each.disc == disc), default=len(tracks.times))
        unbroken = np.arange(len(tracks.times)) < first
        owed[:, column] = (owed[:, column] | shown) & ~((hidden | left) & unbroken & ~there[:, column])
    owed[: tracks.context] = False
    return owed


def _left(times: Array, outside: Mask, there: Mask) -> Mask:
    """Frames (T,) of stays outside the view before which the object was seen on its way out."""
    left = np.zeros_like(outside)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], outside, [False]]).astype(np.int8))).reshape(-1, 2)
    for first, end in edges:
        before = (times < times[first] - 1e-9) & (times >= times[first] - REACHED - 1e-9)
        left[first:end] = bool(there[before].any())
    return left
