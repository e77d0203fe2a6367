"""How far a prediction is from ground truth, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import has_position, tracked_with_gaps, truth_visible


def error_curve(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """Distance to ground truth in the image over the object's apparent diameter there, per predicted frame.

    Args:
        clip: ground truth.
        tracks: of a prediction for the clip.

    Returns:
        (T, K) diameters. NaN where ground truth does not show the object, and in short gaps without a position; inf
        where it is shown and absent.
    """
    window = clip.window(tracks.context)
    expected = truth_visible(clip, tracks.context)
    diameter = np.maximum(clip.diameters()[window] * clip.pixels_per_metre, 1e-9)
    error = np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1) / diameter
    error[~has_position(tracks) | ~expected] = np.nan
    error[expected & ~tracked_with_gaps(clip, tracks)] = np.inf
    return np.asarray(error[tracks.context :])
