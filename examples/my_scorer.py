"""A scorer of my own: physbench eval MODEL --suite smoke --scorers examples/my_scorer.py"""

import numpy as np

from physbench import Reading, scorer
from physbench.track.visibility import has_position, moving, truth_visible


@scorer(
    id="own/speed-error",
    unit="m/s",
    better="lower",
    noise_floor="below 0.1 m/s for ground truth at 64 px",
    source="formula",
)
def speed_error(clip, rollout, tracks):
    """How far the speed of an object is from that of ground truth.

    Median over moving objects and predicted frames of | |v| - |v_truth| |, v by differences of positions; 0 is best.
    """
    seen = truth_visible(clip, tracks.context) & has_position(tracks) & moving(clip)  # (C + T, K)
    both = seen[1:] & seen[:-1]
    if not both.any():
        return Reading(None, "not applicable", "no moving object is seen in two frames in a row")
    scale = clip.spec.fps / clip.pixels_per_metre
    speeds = np.linalg.norm(np.diff(tracks.position, axis=0), axis=-1) * scale  # (C + T - 1, K) m/s
    truth = np.linalg.norm(np.diff(clip.px_positions()[clip.window(tracks.context)], axis=0), axis=-1) * scale
    return Reading(float(np.median(np.abs(speeds - truth)[both])))
