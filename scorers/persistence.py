"""Whether first frames are nearer to ground truth than a frozen frame: an early sign in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.image_stats import Frames, squares_apart
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks

SPAN = 0.5  # s from the hand-over, in which most of what comes can be known
STANDSTILL = 1e-3  # levels, root mean square: ground truth stands still


@scorer(
    id="appearance/persistence-skill",
    version=1,
    axis=None,
    unit="1",
    better="higher",
    quality=None,
    noise_floor="ground truth reads 1 and the frozen frame 0, both exactly",
    source="skill against persistence, Murphy 1988, Monthly Weather Review 116:2417; here with root mean squares",
    roles={"": "early-sign"},
    needs=("frames",),
)
def persistence_skill(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading:
    """Whether pixels of the first 0.5 s are nearer to ground truth than those of the frozen last frame.

    (E_freeze - E) / (E_freeze + E) with E the root mean square difference from ground truth over all pixels and frames,
    those that were not predicted taken as frozen: -1 to 1, higher is better; 1 is ground truth, 0 as far away as the
    frozen frame, below 0 farther. It moves continuously from the first steps of a training on, when every axis still
    reads as that of a frozen frame. It says nothing of physics: a blur of all that may happen is near, too. Outside
    every mean.
    """
    count = min(clip.horizon, max(1, round(SPAN * clip.spec.fps)))
    truth, frozen, predicted = clip.future()[:count], clip.context(1)[0], rollout.frames
    still = _error([frozen] * count, truth)
    own = _error([predicted[i] if i < len(predicted) else frozen for i in range(count)], truth)
    if still < STANDSTILL:
        return Reading(None, "not applicable", "ground truth stands still")
    return Reading((still - own) / (still + own))


def _error(shown: Sequence[Frames], truth: Frames) -> float:
    """Root mean square of levels by which frames (T, H, W, 3) differ from ground truth."""
    squares = np.empty(truth.shape, dtype=np.float32)
    for frame, true, out in zip(shown, truth, squares, strict=True):  # one by one, in the processor's cache
        out[:] = squares_apart(frame, true)
    return float(np.sqrt(np.mean(squares)))
