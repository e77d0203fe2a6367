"""What a predicted frame owes: the objects that ground truth shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.finite_differences import runs
from physbench.tracks.tracks import Tracks, Visibility

VISIBLE_SHARE = 0.25  # of an object that ground truth shows: from here on it is due
HIDDEN_SHARE = 0.05  # below it an object is hidden
MAX_AREA_RATIO = 1.25  # of the whole object; more is not this object, or not only it
MIN_DETECTED_SHARE = 0.1  # of the whole object; less of it is not seen
MAX_GAP = 0.5  # s; what is due and seen without a position for longer is as good as absent

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def inside_view(clip: Clip, context: int) -> Mask:
    """Where the true centre of an object lies in the image (C + T, K)."""
    centre = clip.px_positions()[clip.window(context)]
    size = (clip.spec.width, clip.spec.height)
    return np.asarray(np.all((centre >= 0) & (centre <= size), axis=-1))


def truth_visible(clip: Clip, context: int) -> Mask:
    """Where an object is due (C + T, K): in a predicted frame in which ground truth shows it."""
    mask = (clip.visible_share()[clip.window(context)] >= VISIBLE_SHARE) & inside_view(clip, context)
    mask[:context] = False
    return np.asarray(mask)


def whole_area(clip: Clip, context: int) -> Array:
    """Area of each object without occlusion and border (C + T, K) px."""
    return clip.full_area[clip.window(context)][:, list(clip.tracked)].astype(np.float64)


def moving(clip: Clip) -> Mask:
    """Which tracked objects move by themselves (K,): the others are due in permanence only."""
    return np.array([body.role == "moving" for body in clip.tracked_bodies], dtype=bool)


def detected(clip: Clip, tracks: Tracks) -> Mask:
    """Where something of an object was seen (C + T, K), whether or not it gave a position."""
    return np.asarray(_there(tracks) & (tracks.area >= MIN_DETECTED_SHARE * whole_area(clip, tracks.context)))


def _there(tracks: Tracks) -> Mask:
    """Where the tracker takes an object for present (C + T, K): also in single frames that do not show it."""
    return np.asarray((tracks.state == Visibility.VISIBLE) | (tracks.state == Visibility.CLIPPED))


def has_position(tracks: Tracks) -> Mask:
    """Where an object has a position (C + T, K)."""
    return np.asarray(np.isfinite(tracks.position).all(axis=-1))


def tracked_with_gaps(clip: Clip, tracks: Tracks) -> Mask:
    """Where a due object is there for whoever asks about its motion (C + T, K).

    It has a position, or is present during one of the short times in which its silhouette does not give one (partly
    hidden, or cut by the border, or lost for a frame or two). For longer without a position or far larger than it is,
    as in a picture all of its hue, it is not there.
    """
    owed, placed = truth_visible(clip, tracks.context), has_position(tracks)
    vague = owed & _there(tracks) & ~placed & (tracks.area <= MAX_AREA_RATIO * whole_area(clip, tracks.context))
    dt = 1 / clip.spec.fps
    for column in vague.T:
        for run in runs(column):
            column[run] = len(run) * dt <= MAX_GAP + 1e-9
    return np.asarray(owed & (placed | vague))
