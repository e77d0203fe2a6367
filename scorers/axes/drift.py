"""Long-horizon drift: how long a prediction follows the recorded future, and stays lawful."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score import stability as stability_by_quarter
from physbench.score.motion import error_curve, error_out_of_place
from physbench.score.predictability import MIN_PREDICTABILITY, Predictability
from physbench.score.protocol import Reading, not_modelled, nothing_expected, scorer
from physbench.shadowing import Shadowing
from physbench.shadowing.levels import importance
from physbench.shadowing.observed_motion import distance_of_extrapolations
from physbench.track.tracks import Tracks
from physbench.track.visibility import moving, truth_visible

MAX_ERROR = 1.0  # diameters
MAX_SPREADS = 1.5  # an error within so many spreads of what the context allows is no failure


def nothing_visible(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable where ground truth shows no moving object."""
    if len(_objects(clip, tracks)):
        return None
    return Reading(None, "not applicable", "no moving object should be visible")


@scorer(
    id="drift/accuracy",
    version=6,
    axis="drift",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth reads 1.000 in each of 128 clips (64 px, 15 frames/s)",
    source="time to an error of one diameter over the predictability time of an ensemble of simulations",
    headline=True,
    roles={"predictability": "predictability"},
    needs=("predictability",),
    precheck=nothing_visible,
)
def accuracy(clip: Clip, rollout: Rollout, tracks: Tracks, *, predictability: Predictability) -> dict[str, Reading]:
    """Share of the predictable time for which a prediction stays within one diameter of ground truth.

    A = share of the frames up to T_p, of all moving objects, that lie before an object's first failure. 0 to 1, higher
    is better; quality = A. Frames weigh a tenth where the object has not failed and rest, constant velocity,
    acceleration or turn rate would not have failed, either; where that is so in a whole clip, all weigh the same.

    An object fails in the first frame in which ground truth shows it and it is absent, or off by more than one of its
    apparent diameters, or by more than 1.5 times the spread of what the context allows, if that is larger. One that is
    shown while ground truth hides it, or has it outside the view, may be off by as much: a ball that has to stay behind
    a screen and comes out fails. Frames in which it is seen but gives no position, for 0.5 s at most of those with it
    shown whole, and one or two in a row without it are skipped. T_p, the
    predictability time, is when 32 simulations from states that the context allows spread by more than one diameter
    (80th percentile), at most the horizon. Clips with T_p below 0.3 s are left out.

    Further readings: time-to-failure and predictability (s).
    """
    limit, known = predictability.seconds, Reading(predictability.seconds, unit="s")
    if limit < MIN_PREDICTABILITY - 1e-9:
        reason = f"T_p is {limit:.2g} s, below {MIN_PREDICTABILITY:g} s"
        return {"": Reading(None, "not applicable", reason), "predictability": known}
    times = tracks.times[tracks.context :]
    error = error_curve(clip, tracks)
    error = np.where(np.isnan(error), error_out_of_place(clip, tracks), error)
    allowed = np.full_like(error, MAX_ERROR)
    width = predictability.spread[: len(error)]  # up to T_p; later errors do not count
    allowed[: len(width)] = np.maximum(MAX_ERROR, MAX_SPREADS * width)
    objects = _objects(clip, tracks)
    failures = np.array([_first(error[:, k] > allowed[:, k], times, limit) for k in objects])
    share = _share(clip, tracks, objects, failures, limit)
    return {
        "": Reading(share),
        "time-to-failure": Reading(float(failures.mean()), unit="s"),
        "predictability": known,
    }


def _share(clip: Clip, tracks: Tracks, objects: NDArray[np.intp], failures: NDArray[np.float64], limit: float) -> float:
    """Share of the predictable time before failures (n,) s; it weighs little where simple motions succeed."""
    times = tracks.times[tracks.context :]
    frames = np.arange(clip.handover + 1, clip.handover + 1 + len(times))
    extrapolations = distance_of_extrapolations(clip, tuple(clip.tracked[k] for k in objects), frames)  # (T, n)
    ahead = times <= limit + 1e-9
    if not ahead.any():
        return float(failures.mean()) / limit
    good = times[ahead, None] <= failures + 1e-9  # a frame stands for the time up to it
    expected = np.ones(good.shape, dtype=bool)  # truth is known while it is hidden, too
    weight = importance((extrapolations > MAX_ERROR)[ahead], good, expected)
    return 1 - float(weight[~good].sum() / weight.sum())


def _objects(clip: Clip, tracks: Tracks) -> NDArray[np.intp]:
    """Columns (n,) of the moving objects that ground truth shows in a predicted frame."""
    return np.flatnonzero(moving(clip) & truth_visible(clip, tracks.context).any(axis=0))


def _first(failed: np.ndarray[tuple[int], np.dtype[np.bool_]], times: np.ndarray, limit: float) -> float:
    late = np.flatnonzero(failed)
    return min(float(times[late[0]]), limit) if len(late) else limit


# Stability: whether a prediction stays lawful for long, whatever it did before.


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
        return {"": nothing_expected(shadowing)}
    stable = stability_by_quarter.stability(shadowing)
    if stable.quality is None:
        return {
            "": Reading(None, "not applicable", "ground truth shows no moving object for 0.2 s in any later quarter")
        }
    slope = stable.slope
    if slope is None:
        return {"": Reading(stable.quality), "slope": Reading(None, "not applicable", "only one quarter counts", "1/s")}
    return {"": Reading(stable.quality), "slope": Reading(slope, unit="1/s")}
