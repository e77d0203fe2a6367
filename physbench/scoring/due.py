"""What a predicted frame owes: the objects that ground truth shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks, Visibility

DUE_SHARE = 0.25  # of an object that ground truth shows: from here on it is due
HIDDEN_SHARE = 0.05  # below it an object is hidden

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def inside_view(clip: Clip, context: int) -> Mask:
    """Where the true centre of an object lies in the image (C + T, K)."""
    centre = clip.px_positions()[clip.window(context)]
    size = (clip.spec.width, clip.spec.height)
    return np.asarray(np.all((centre >= 0) & (centre <= size), axis=-1))


def due(clip: Clip, context: int) -> Mask:
    """Where an object is due (C + T, K): in a predicted frame in which ground truth shows it."""
    mask = (clip.visible_share()[clip.window(context)] >= DUE_SHARE) & inside_view(clip, context)
    mask[:context] = False
    return np.asarray(mask)


def moving(clip: Clip) -> Mask:
    """Which tracked objects move by themselves (K,): the others are due in permanence only."""
    return np.array([body.role == "moving" for body in clip.tracked_bodies], dtype=bool)


def seen(tracks: Tracks) -> Mask:
    """Where something of an object was seen (C + T, K), whether or not it gave a position."""
    return np.asarray((tracks.state == Visibility.VISIBLE) | (tracks.state == Visibility.CLIPPED))


def located(tracks: Tracks) -> Mask:
    """Where an object has a position (C + T, K)."""
    return np.asarray(np.isfinite(tracks.position).all(axis=-1))
