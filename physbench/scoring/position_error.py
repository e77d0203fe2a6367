"""How far a prediction is from ground truth, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import has_position, tracked_with_gaps, truth_framed, truth_visible


def error_curve(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """Distance to ground truth in the image over the object's apparent diameter there, per predicted frame.

    Args:
        clip: ground truth.
        tracks: of a prediction for the clip.

    Returns:
        (T, K) diameters. NaN where ground truth does not show the object, and in short gaps without a position; inf
        where it is shown and absent.
    """
    expected = truth_framed(clip, tracks)
    error = _distance(clip, tracks)
    error[~has_position(tracks) | ~expected] = np.nan
    error[expected & ~tracked_with_gaps(clip, tracks)] = np.inf
    return np.asarray(error[tracks.context :])


def error_out_of_place(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """The same where a prediction shows an object in the view while ground truth shows none there, (T, K) diameters.

    Ground truth knows where a hidden object is: one that comes out from behind a screen is off. NaN elsewhere.
    """
    size = np.array([clip.spec.width, clip.spec.height])
    with np.errstate(invalid="ignore"):
        inside = ((tracks.position >= 0) & (tracks.position <= size)).all(axis=-1)
    shown = inside & has_position(tracks) & ~truth_visible(clip, tracks.context)
    error = np.where(shown, _distance(clip, tracks), np.nan)
    return np.asarray(error[tracks.context :])


def _distance(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """Distance to ground truth (C + T, K) in diameters; NaN without a position."""
    window = clip.window(tracks.context)
    diameter = np.maximum(clip.diameters()[window] * clip.pixels_per_metre, 1e-9)
    return np.asarray(np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1) / diameter)
