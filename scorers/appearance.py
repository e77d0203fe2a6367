"""Whether objects keep their colour and size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import slope
from physbench.tracks.tracks import Tracks, Visibility
from physbench.tracks.visibility import FULL_VIEW, detected, truth_visible, whole_area

WORST_HUE = 180.0  # degrees, of an object that should be visible and is absent

Mask = NDArray[np.bool_]


@scorer(
    id="appearance/hue",
    version=1,
    axis=None,
    unit="deg",
    better="lower",
    quality=None,
    noise_floor="ground truth reads at most 0.03 degrees (64 px, 15 frames/s; 95 % of 128 clips)",
    source="mean |hue - own hue| in the opponent plane of gamma RGB",
    needs=("tracks", "looks"),
)
def hue(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | dict[str, Reading]:
    """Mean distance of an object's hue from its own, in degrees, over the object-frames that ground truth shows.

    0 to 180, lower is better; a frame in which the object is absent counts 180. Outside every mean.

    Further readings: last (deg), over the last quarter of the horizon; slope (deg/s), of a straight line through the
    mean of each frame.
    """
    there = detected(clip, tracks)
    off = np.where(there, np.abs(np.nan_to_num(tracks.hue)), WORST_HUE)
    return _over_time(tracks, off, truth_visible(clip, tracks.context), "deg/s", "no object should be visible")


@scorer(
    id="appearance/area",
    version=1,
    axis=None,
    unit="1",
    better="lower",
    quality=None,
    noise_floor="ground truth reads 0.003 to 0.016 (64 px, 15 frames/s; middle 90 % of 128 clips)",
    source="mean |area / true area - 1|",
    needs=("tracks", "looks"),
)
def area(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | dict[str, Reading]:
    """Mean relative error of an object's size, over the frames in which ground truth shows at least 95 % of it.

    |A / A_true - 1| with A the area worth of its own colour; 0 upwards, lower is better; 1 where the object is absent.
    Frames in which the border cuts the predicted object are left out. Outside every mean.

    Further readings: last, over the last quarter of the horizon; slope (1/s), of a straight line through the mean of
    each frame.
    """
    window = clip.window(tracks.context)
    whole = np.maximum(whole_area(clip, tracks.context), 1e-9)
    there = detected(clip, tracks)
    off = np.where(there, np.abs(tracks.area / whole - 1), 1.0)
    expected = (
        truth_visible(clip, tracks.context)
        & (clip.visible_share()[window] >= FULL_VIEW)
        & (tracks.state != Visibility.CLIPPED)
    )
    return _over_time(tracks, off, expected, "1/s", "no object should be visible in full view")


def _over_time(
    tracks: Tracks, off: NDArray[np.float64], expected: Mask, rate: str, otherwise: str
) -> Reading | dict[str, Reading]:
    if not expected.any():
        return Reading(None, "not applicable", otherwise)
    readings = {"": Reading(float(off[expected].mean()))}
    late = expected & (tracks.times > 0.75 * tracks.times[-1])[:, None]
    if late.any():
        readings["last"] = Reading(float(off[late].mean()))
    frames = np.flatnonzero(expected.any(axis=1))
    if len(frames) > 1:
        means = np.where(expected, off, 0.0).sum(axis=1)[frames] / expected.sum(axis=1)[frames]
        readings["slope"] = Reading(slope(tracks.times[frames], means), unit=rate)
    return readings
