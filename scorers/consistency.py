"""Physical consistency: could this have happened under the laws of the scene?"""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.explanation import Explanation, explain
from physbench.scoring.protocol import Reading, scorer
from physbench.tracks.tracks import Tracks


@scorer(
    id="consistency/explained",
    version=1,
    axis="consistency",
    unit="1",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth reads 1.000 in each of 128 clips (64 px, 15 frames/s)",
    source="explained object-time over due object-time; free fall, inertia and Kepler's laws in closed form",
    provisional=True,
    headline=True,
)
def explained(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Share of the due object-time that the scene's law of motion explains.

    E = sum over moving objects of explained time / sum of due time. 0 to 1, higher is better; quality = E.

    An object is due in the predicted frames in which ground truth shows at least a quarter of it with its centre in
    the image. Its own track is cut where its gap to a surface or a body falls below 0.1 diameter, nowhere else; a
    permanent support does not cut. Each stretch between two cuts, the first with its context frames since the last
    contact or release, is fitted once, from its beginning on, by the law of motion under the scene's constants
    (ballistic, straight, Kepler), and counts up to the first frame missed by more than 0.15 diameter. A push that the
    scene gives adds its known change of velocity (J / m; 5/7 of it for a ball that rolls); where that is not known,
    as on a slope, it cuts. The rest of the stretch is unexplained, and every later stretch weighs half as much per
    miss. An overlap of bodies by more than 0.15 diameter is a miss until the next contact. Rest (less than 0.05
    diameter in 0.2 s), lasting contacts and stretches under 0.2 s count only where ground truth is in the same state
    within one diameter. Due time without a track is unexplained.

    Further readings: first-miss (s after the hand-over up to which all is explained, one or two frames without the
    object aside; mean over objects, at most the horizon), due and explained (object-seconds), misses (number).
    """
    if clip.scene.outcomes:
        return {"": Reading(None, "not applicable", "the scene declares outcomes: see consistency/outcome")}
    parts = [part for part in explain(clip, tracks) if part.due.any()]
    if not parts:
        return {"": Reading(None, "not applicable", "no moving object with a closed-form law is due")}
    dt = float(tracks.times[1] - tracks.times[0])
    due = dt * sum(int(part.due.sum()) for part in parts)
    time = dt * sum(float(part.weight[part.due].sum()) for part in parts)
    return {
        "": Reading(time / due),
        "first-miss": Reading(float(np.mean([_lawful_until(part, tracks) for part in parts])), unit="s"),
        "due": Reading(due, unit="s"),
        "explained": Reading(time, unit="s"),
        "misses": Reading(float(sum(part.misses for part in parts)), unit="1"),
    }


def _lawful_until(part: Explanation, tracks: Tracks) -> float:
    """Time in s of the last frame before the first unexplained one, at least 0; the horizon if there is none."""
    late = np.flatnonzero(part.due & (part.weight < 1) & ~part.blink)
    return float(max(tracks.times[late[0] - 1], 0.0)) if len(late) else float(tracks.times[-1])
