"""Stability: whether a prediction stays lawful for long, whatever it did before."""

from __future__ import annotations

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring import stability_by_quarter
from physbench.scoring.not_judged import not_modelled, nothing_due
from physbench.scoring.predictability import MIN_PREDICTABILITY, Predictability
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.shadowing import Shadowing
from physbench.tracks.tracks import Tracks


def too_unpredictable(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, predictability: Predictability
) -> Reading | None:
    """Not applicable where the clip can be predicted for too short a time."""
    limit = predictability.seconds
    if limit >= MIN_PREDICTABILITY - 1e-9:
        return None
    return Reading(None, "not applicable", f"T_p is {limit:.2g} s, below {MIN_PREDICTABILITY:g} s")


@scorer(
    id="drift/stability",
    version=6,
    axis="drift",
    unit="1",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth has no break, and reads 1.000",
    source="explained share of consistency/shadowing by quarters of the horizon",
    headline=True,
    needs=("predictability", "shadowing"),
    precheck=too_unpredictable,
)
def stability(clip: Clip, rollout: Rollout, tracks: Tracks, *, shadowing: Shadowing | None) -> dict[str, Reading]:
    """Explained share of the later three quarters of the horizon, each with breaks counted from its own start.

    B = mean over quarters 2 to 4 of the explained share of `consistency/shadowing`, mean over its four tolerances, time
    and tolerances weighed as there, in which only breaks within the quarter count (in its last 8 frames, where it has
    fewer), and gross ones before it. 0 to 1, higher is better. A model may leave the recorded future and still be
    perfect here. Quarters in which ground truth shows moving objects for less than 0.2 s are left out, and those in
    which the prediction's own lawful motion, without a break so far, hides all of them or takes them out of the view;
    where that is so in all others, B = 1. Not applicable where a scene cannot be shadowed, and where `drift/accuracy`
    is not, for want of predictable time. The quality of the axis is the mean of both.

    Further reading: slope of the share over these quarters (1/s; below 0 the prediction gets less lawful).
    """
    if shadowing is None:
        return {"": not_modelled(clip)}
    if not shadowing.problem.seen.expected_visible.any():
        return {"": nothing_due(shadowing)}
    stable = stability_by_quarter.stability(shadowing)
    if stable.quality is None:
        return {
            "": Reading(None, "not applicable", "ground truth shows no moving object for 0.2 s in any later quarter")
        }
    slope = stable.slope
    if slope is None:
        return {"": Reading(stable.quality), "slope": Reading(None, "not applicable", "only one quarter counts", "1/s")}
    return {"": Reading(stable.quality), "slope": Reading(slope, unit="1/s")}
