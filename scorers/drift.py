"""Long-horizon drift: how long a prediction follows the recorded future, of the time for which it can be predicted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.position_error import error_curve, error_out_of_place
from physbench.scoring.predictability import MIN_PREDICTABILITY, Predictability
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.shadowing.decided_time import importance
from physbench.shadowing.rival_motions import distance_of_rivals
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import moving, truth_visible

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
    unit="1",
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
    rivals = distance_of_rivals(clip, tuple(clip.tracked[k] for k in objects), frames)  # (T, n)
    ahead = times <= limit + 1e-9
    if not ahead.any():
        return float(failures.mean()) / limit
    good = times[ahead, None] <= failures + 1e-9  # a frame stands for the time up to it
    due = np.ones(good.shape, dtype=bool)  # truth is known while it is hidden, too
    weight = importance((rivals > MAX_ERROR)[ahead], good, due)
    return 1 - float(weight[~good].sum() / weight.sum())


def _objects(clip: Clip, tracks: Tracks) -> NDArray[np.intp]:
    """Columns (n,) of the moving objects that ground truth shows in a predicted frame."""
    return np.flatnonzero(moving(clip) & truth_visible(clip, tracks.context).any(axis=0))


def _first(failed: np.ndarray[tuple[int], np.dtype[np.bool_]], times: np.ndarray, limit: float) -> float:
    late = np.flatnonzero(failed)
    return min(float(times[late[0]]), limit) if len(late) else limit
