"""Tracks whose frames show what is so at another time than theirs, put where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.shadowing.placed_bodies import PlacedBodies
from physbench.tracks.tracks import Tracks
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

HALF = 0.499  # frames by which a frame may lie beside the time for which it stands


def retimed(tracks: Tracks, shown: Array) -> tuple[Tracks, Mask, Array]:
    """Tracks with predicted frames at the times that they show.

    Args:
        tracks: Of a prediction with T frames after its context.
        shown: (T,) what each predicted frame shows, in frames after the hand-over, ascending; NaN where it shows
            nothing new.

    Returns:
        The tracks; which frames (C + T,) are missing, since no frame shows that time; and by how many frames each
        (C + T,) lies after its time.
    """
    count, context = len(shown), tracks.context
    source, missing, late = np.arange(context + count), np.zeros(context + count, bool), np.zeros(context + count)
    for j in range(count):
        away = np.abs(shown - (j + 1))
        away = np.where(np.isfinite(away), away, np.inf)
        best = int(away.argmin())
        if away[best] <= 0.5:
            source[context + j] = context + best
            late[context + j] = np.clip(shown[best] - (j + 1), -HALF, HALF)
        else:
            source[context + j], missing[context + j] = source[context + j - 1], True
    taken = {
        name: value[source]
        for name, value in vars(tracks).items()
        if name not in ("names", "times", "context", "scenery") and value is not None
    }
    found = replace(tracks, **taken)
    found.position[missing], found.position_sd[missing] = np.nan, np.nan  # states stay: nobody is asked for them
    return found, missing, late


def at_their_times(seen: PlacedBodies, missing: Mask, late: Array) -> PlacedBodies:
    """Bodies placed by `retimed` tracks: missing frames are asked of nobody, the others stand where they belong."""
    after = late * float(np.median(np.diff(seen.times)))  # s
    gone = missing[:, None]
    return replace(
        seen,
        times=seen.times + after,
        steps=seen.steps + np.round(after * PHYSICS_HZ),  # the first place may be one of before the context
        expected_visible=seen.expected_visible & ~gone,
        present=seen.present & ~gone,
    )
