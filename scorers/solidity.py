"""Whether bodies go into each other."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import BodyMotion
from physbench.scoring.penetration import gaps
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import truth_visible

MIN_DEPTH = 0.1  # diameters


@scorer(
    id="laws/solidity",
    version=1,
    axis=None,
    unit="diameters",
    better="lower",
    quality=None,
    noise_floor="ground truth reads 0 to 0.034, at most 0.039 (64 px, 15 frames/s; 95 % of 70 clips of 14 tasks)",
    source="two bodies are never in one place; Spelke et al. 1992, doi:10.1037/0033-295X.99.4.605",
    phrase="overlaps of {}",
    seen=("", "things sink into each other"),
    breaks_at=0.25,
    needs=("motions",),
)
def solidity(clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]) -> dict[str, Reading]:
    """Deepest overlap of a moving body with a body, a wall or the floor in the predicted frames, in its own diameters.

    max of -gap / diameter, at least 0; lower is better. In the frames that show both; a body that turns in
    ground truth counts as the largest disc inside it. Outside every mean.

    Further readings: time, the share of the expected object-time that is spent in an overlap of more than 0.1 diameter.
    """
    expected = truth_visible(clip, tracks.context)
    deepest, deep, whole, seen = 0.0, 0, 0, False
    for body in motions:
        distance = gaps(clip, tracks, motions, body)[:, tracks.context :] / body.diameter
        known = np.isfinite(distance)
        if known.any():
            seen = True
            deepest = max(deepest, -float(distance[known].min()))
        deep += int(((known & (distance < -MIN_DEPTH)).any(axis=0) & expected[tracks.context :, body.column]).sum())
        whole += int(expected[:, body.column].sum())
    if not seen or not whole:
        return {"": Reading(None, "not applicable", "nothing that moves is seen where it could touch anything")}
    return {"": Reading(deepest), "time": Reading(deep / whole, unit="1")}
