"""How far a prediction is from ground truth, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import has_position, tracked_with_gaps, truth_visible


def error_curve(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """Distance to ground truth in the image over the object's apparent diameter there (T, K), per predicted frame.

    NaN where the object is not due, and where it is seen but its position is not known for a short time; inf where it
    is due and absent.
    """
    window = clip.window(tracks.context)
    owed = truth_visible(clip, tracks.context)
    diameter = np.maximum(clip.diameters()[window] * clip.pixels_per_metre, 1e-9)
    error = np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1) / diameter
    error[~has_position(tracks) | ~owed] = np.nan
    error[owed & ~tracked_with_gaps(clip, tracks)] = np.inf
    return np.asarray(error[tracks.context :])
