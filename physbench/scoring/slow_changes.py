"""How much an object has grown, shrunk or changed its hue in a prediction, against what the picture has.

An object that shrinks by 5 % a second, or swings about its size, stays within the bounds of a frame for seconds.
Medians over a third of a second are compared with what the context shows and with what the first half second shows, as
the picture draws it: what lies between is free. How far they are beyond the noise of the object's own frames is a loss
that grows until the object counts as another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.expected_visibility import LawfulContinuation
from physbench.tracks.colour import HUE_TOLERANCE_DEG
from physbench.tracks.finite_differences import last_known
from physbench.tracks.tracks import Tracks, Visibility
from physbench.tracks.visibility import FULL_VIEW, MAX_AREA_RATIO, whole_area

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ChangeBounds:
    """From where a change costs, and where all is lost."""

    free: float  # what styles do to true objects
    all: float


SIZE = ChangeBounds(0.03, float(np.log(MAX_AREA_RATIO)) / 2)  # of a length, as a logarithm
SIZE_ERROR_PX = 0.5  # of a diameter, that codecs make for long
HUE = ChangeBounds(4.0, HUE_TOLERANCE_DEG)  # degrees
SDS = 4.0  # of the noise of a median, within which a change is free
START_TIME = 0.5  # s of what is first seen whole, that tells an object's own size and hue in the picture's style
LATEST_START = 1.0  # s by which that begins; of what is first seen later the others tell what the style does
MEDIAN_TIME = 0.3  # s


def kept(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Float:
    """Share (C + T, K) of itself that an object has kept in size and hue: 1 to 0; 1 where nothing is measured.

    continuations: of the same tracks, by their columns.
    """
    grade = np.ones(tracks.area.shape)
    if tracks.chroma is None:  # tracks of states have no pictures
        return grade
    whole = whole_area(clip, tracks.context)
    share = clip.visible_share()[clip.window(tracks.context)]
    for column, each in continuations.items():
        share[: each.until, column] = np.minimum(share, each.trajectory.share[:, None])[: each.until, column]
    seen = (tracks.state == Visibility.VISIBLE) & (share > FULL_VIEW) & (tracks.area > 0)
    seen[: tracks.context] = False
    size = np.where(seen, np.log(np.where(seen, tracks.area, 1.0) / np.maximum(whole, 1.0)) / 2, np.nan)
    hue = np.where(seen, tracks.hue, np.nan)
    for values, bounds in ((size, SIZE), (hue, HUE)):
        change, noise = _changes(values, tracks.times)
        if bounds is HUE:
            change = change - _shared(change)
        free = np.maximum(bounds.free, SDS * noise)
        if bounds is SIZE:
            free = np.maximum(free, SIZE_ERROR_PX / np.sqrt(4 / np.pi * np.maximum(np.median(whole, axis=0), 1.0)))
        lost = (np.abs(np.nan_to_num(last_known(change))) - free) / np.maximum(bounds.all - free, 1e-9)
        grade *= 1 - np.clip(lost, 0.0, 1.0)
    return grade


def _changes(values: Float, times: Float) -> tuple[Float, Float]:
    """Distances of medians over MEDIAN_TIME of values (T, K) from what lies between 0, as in the context, and what each
    object begins with; and the sd (K,) of their noise.

    NaN where a value is not known. Noise is told by second differences, to which what changes evenly adds nothing.
    """
    from scipy.ndimage import median_filter

    rate = 1 / float(times[1] - times[0])
    frames = 1 + 2 * max(1, round(MEDIAN_TIME * rate / 2))
    change, noise, own = np.full(values.shape, np.nan), np.zeros(values.shape[1]), np.full(values.shape[1], np.nan)
    known = np.isfinite(values)
    for k, at in enumerate(np.flatnonzero(column) for column in known.T):
        if len(at) and times[at[0]] <= LATEST_START:
            own[k] = np.median(values[at[times[at] <= times[at[0]] + START_TIME], k])
    usual = float(np.nanmedian(own)) if np.isfinite(own).any() else 0.0
    for k, at in enumerate(np.flatnonzero(column) for column in known.T):
        if len(at) < frames:
            continue
        begins = own[k] if np.isfinite(own[k]) else usual
        smooth = median_filter(values[at, k], frames, mode="nearest")
        change[at, k] = smooth - np.clip(smooth, min(begins, 0.0), max(begins, 0.0))
        noise[k] = np.median(np.abs(np.diff(values[at, k], 2))) / 0.6745 / np.sqrt(6) * np.sqrt(np.pi / 2 / frames)
    return change, noise


def _shared(change: Float) -> Float:
    """What a picture as a whole has done (T, 1): as the object does that changed least of those that are seen.

    NaN where only one is seen of several; a lone object does what the picture does.
    """
    far = np.where(np.isfinite(change), np.abs(change), np.inf)
    least = np.take_along_axis(change, far.argmin(axis=1)[:, None], axis=1)
    compared = np.isfinite(far).sum(axis=1) >= min(2, change.shape[1])
    return np.where(compared[:, None], least, np.nan)
