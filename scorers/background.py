"""Whether what does not move stays as it was."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.image_stats import Frames, Mask, colour_mask, frame_indices, levels_apart, over_channels
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import slope
from physbench.tracks.masks import dilated
from physbench.tracks.tracks import Tracks

OBJECT_REACH = 2  # px around an object that belong to it
MAX_COLOUR = 2.0  # times the area of all objects; more colour than that is no object
MAX_STATIC_CHANGE = 2  # levels by which static pixels may change in ground truth


@scorer(
    id="drift/background",
    version=1,
    axis=None,
    unit="levels",
    better="lower",
    quality=None,
    noise_floor="0 exactly: ground truth is compared with itself, outside of what changes in it",
    source="mean |frame - frame at the hand-over| over static pixels, of 255",
    needs=("frames", "tracks"),
)
def background(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Mean change of the static background since the hand-over, in levels of 255, in the last quarter of a prediction.

    mean |I(t) - I(0)| over pixels and channels, 0 to 255, lower is better; over the last quarter of 16 frames spread
    evenly over the prediction. Left out are coloured pixels in either frame, with 2 px around them, and what changes
    in ground truth though it has no colour; where a prediction has more than twice as much colour as there are
    objects, its colours are not left out. Outside every mean.

    Further readings: slope (levels/s), of a straight line through the 16 frames.
    """
    frames = frame_indices(min(len(rollout.frames), clip.horizon))
    if not len(frames):
        return {"": Reading(None, "not applicable", "no frame was predicted")}
    before, shown, truth = clip.frames[clip.handover], rollout.frames, clip.future()
    objects, own = float(clip.full_area[clip.handover, list(clip.tracked)].sum()), colour_mask(before)
    total, counted = np.array([_change(before, own, shown[i], truth[i], objects) for i in frames]).T
    if not counted.all():
        return {"": Reading(None, "not applicable", "no static background is left in a frame")}
    level = total / counted
    times = (frames + 1) / clip.spec.fps
    readings = {"": Reading(float(level[times >= 0.75 * times[-1]].mean()))}
    if len(level) > 1:
        readings["slope"] = Reading(slope(times, level), unit="levels/s")
    return readings


def _change(before: Frames, own: Mask, shown: Frames, truth: Frames, objects: float) -> tuple[float, int]:
    """Levels by which static pixels changed, mean over channels, summed; and how many pixels are static.

    Of one frame (H, W, 3), so that what is made of it stays in the processor's cache.

    Args:
        own: (H, W) where the frame before has colour.
        objects: px that all objects cover.
    """
    changed = over_channels(np.logical_or, levels_apart(truth, before) > MAX_STATIC_CHANGE)
    coloured = colour_mask(shown)
    if np.count_nonzero(coloured) > MAX_COLOUR * objects:
        coloured[:] = False
    static = ~(changed | dilated((own | coloured)[None], OBJECT_REACH)[0])
    off = over_channels(np.add, levels_apart(shown, before).astype(np.uint16))
    off *= static
    return float((off / 3).sum()), int(np.count_nonzero(static))
