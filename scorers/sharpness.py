"""Whether a prediction blurs."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.image_stats import frame_indices, mean_squared_gradient
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import slope
from physbench.tracks.tracks import Tracks

NO_EDGES = 1e-6  # levels squared


@scorer(
    id="drift/sharpness",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="1 exactly: ground truth is compared with itself",
    source="ratio of the mean squared differences of neighbouring pixels",
    needs=("frames",),
)
def sharpness(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Sharpness of a prediction over that of ground truth in the same frames, in the last quarter; right is 1.

    sqrt(D / D_true) with D the mean squared difference of neighbouring pixels over rows, columns and channels: below 1
    it is blurred or something is missing, above 1 it is noisy. 0 upwards, neither direction is better by itself; mean
    over the last quarter of 16 frames spread evenly over the prediction. Outside every mean.

    Further readings: slope (1/s), of a straight line through the 16 frames.
    """
    frames = frame_indices(min(len(rollout.frames), clip.horizon))
    if not len(frames):
        return {"": Reading(None, "not applicable", "no frame was predicted")}
    true = mean_squared_gradient(clip.future(), frames)
    if (true < NO_EDGES).any():
        return {"": Reading(None, "not applicable", "a frame of ground truth shows nothing")}
    ratio = np.sqrt(mean_squared_gradient(rollout.frames, frames) / true)
    times = (frames + 1) / clip.spec.fps
    readings = {"": Reading(float(ratio[times >= 0.75 * times[-1]].mean()))}
    if len(ratio) > 1:
        readings["slope"] = Reading(slope(times, ratio), unit="1/s")
    return readings
