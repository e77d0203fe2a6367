"""Long-horizon drift: how long a prediction follows the recorded future, and stays lawful."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.motion import error_curve, error_out_of_place
from physbench.score.predictability import ENSEMBLE, Predictability
from physbench.score.protocol import Reading, not_modelled, nothing_expected, scorer
from physbench.shadowing.levels import HANDOVER_WINDOW, discriminative_weight
from physbench.shadowing.observed_motion import distance_of_extrapolations
from physbench.shadowing.search import SEGMENT, Break
from physbench.shadowing.shadow import Shadowing
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks
from physbench.track.visibility import moving, truth_visible

# Stability: whether a prediction stays lawful for long, whatever it did before.
#
# The horizon is cut into four quarters. A quarter's share is its explained share of shadowing with breaks counted
# from the quarter's own start (from 8 frames before its end, where it has fewer), except for gross ones, after which
# the scene is another one; stability is the mean of the shares of quarters 2 to 4. Frames weigh as they do in
# shadowing. A model may diverge from the recorded future and still be perfect here. A quarter in which all bodies are
# lawfully hidden or outside the view does not count; where that holds to the end, nothing unlawful has happened
# there.


@dataclass(frozen=True)
class QuarterLimits:
    """Quarters of the horizon in which breaks are counted."""

    count: int = 4
    first: int = 1  # that counts, from 0 on: a break at the hand-over is no drift
    min_expected: float = 0.2  # s of object-time that ground truth shows; a quarter with less is left out


QUARTER = QuarterLimits()


# At 4 frames/s a quarter of 4 s has as many positions as one segment needs, so that no break fits into it: a bouncing
# ball under gravity x 0.9 would read .70 there, and .23 at 30 frames/s. So breaks count over two segments at least.
MIN_BREAK_FRAMES = 2 * SEGMENT.points


@dataclass(frozen=True)
class Stability:
    """Explained shares 0..1. None: ground truth shows too little; NaN: all of it is lawfully hidden or outside."""

    levels: tuple[tuple[float | None, ...], ...]  # (R, 4) explained share of each quarter at each tolerance level
    horizon: float  # s
    weights: tuple[float, ...] | None = None  # (R,) of the tolerance levels; None: all the same

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Share of each quarter (4,), mean of the tolerance levels at which it has one; None where none has."""
        each = (_known(quarter) for quarter in zip(*self.levels, strict=True))
        return tuple(float(np.mean(known)) if known else None for known in each)

    @property
    def quality(self) -> float | None:
        """Weighted mean over the tolerance levels of the mean share of quarters 2 to 4.

        None where ground truth shows nothing. A level at which everything is lawfully hidden or outside in all of them
        counts 1.
        """
        if all(share is None for level in self.levels for share in level[QUARTER.first :]):
            return None
        each = [np.mean(_known(level[QUARTER.first :]) or [1.0]) for level in self.levels]
        return 1 - float(np.average(1 - np.array(each), weights=self.weights))

    @property
    def slope(self) -> float | None:
        """Change of the share per s over quarters 2 to 4, by least squares; None with fewer than two of them."""
        known = [(q, share) for q, share in enumerate(self.shares) if q >= QUARTER.first and share is not None]
        if len(known) < 2:
            return None
        at = np.array([(q + 0.5) * self.horizon / QUARTER.count for q, _ in known])
        return float(np.polyfit(at, [share for _, share in known], 1)[0])


def stability_of(shadowing: Shadowing) -> Stability:
    """Stability of a prediction, over the tolerance levels."""
    seen = shadowing.problem.seen
    each = (
        quarter_shares(
            seen.times, seen.expected_visible, level.counted, level.weight, level.breaks, level.discriminative_weight
        )
        for level in shadowing.levels
    )
    return Stability(tuple(each), float(seen.times[-1]), tuple(level.share for level in shadowing.levels))


def _known(shares: Sequence[float | None]) -> list[float]:
    return [share for share in shares if share is not None and not math.isnan(share)]


def quarter_shares(
    times: Array,
    truth: Mask,
    expected: Mask,
    weight: Array,
    breaks: Sequence[Break],
    discriminative_weight: Array | None = None,
) -> tuple[float | None, ...]:
    """Explained share of each quarter of the horizon.

    Args:
        times: (T,) s ascending, evenly spaced, the hand-over at 0, the horizon at the end.
        truth: (T, N) where ground truth shows a body.
        expected: (T, N) where a body should be visible, which the shares are of.
        weight: (T, N) of a frame, 2^-(cost of the breaks of its body before it), 0 where it is unexplained.
        breaks: of all bodies. A break in the first frame of a quarter lies before it: the motion after it starts there.
            Where a quarter has fewer than MIN_BREAK_FRAMES, breaks in the missing number of frames before it count too,
            except for one at the hand-over.
        discriminative_weight: (T, N) what a frame weighs in its quarter; None: all the same.

    Returns:
        A share 0..1 per quarter. None where ground truth shows bodies for less than `min_expected`. NaN where it shows
        them and none is expected: only unbroken motion may be hidden, so all of it is lawfully hidden or outside.
    """
    dt, horizon = float(times[1] - times[0]), float(times[-1])
    quarters: list[float | None] = []
    for quarter in range(QUARTER.count):
        low, high = quarter * horizon / QUARTER.count, (quarter + 1) * horizon / QUARTER.count
        frames = np.flatnonzero((times > low + 1e-9) & (times <= high + 1e-9))
        shown = truth[frames]
        if shown.sum() * dt < QUARTER.min_expected - 1e-9:
            quarters.append(None)
            continue
        counted = expected[frames]
        if not counted.any():
            quarters.append(math.nan)
            continue
        start = max(int(frames[-1]) + 1 - max(len(frames), MIN_BREAK_FRAMES), 0)
        before = [
            each
            for each in breaks
            if each.frame <= (frames[0] if each.time <= max(HANDOVER_WINDOW, dt) + 1e-9 else start)
        ]
        fresh = weight[frames] * 2.0 ** discounted_breaks(before, weight.shape[1])
        weights = None if discriminative_weight is None else discriminative_weight[frames][counted]
        quarters.append(1 - float(np.average(1 - np.minimum(fresh, 1.0)[counted], weights=weights)))
    return tuple(quarters)


def discounted_breaks(before: Sequence[Break], bodies: int) -> Array:
    """Number of the breaks of each body (N,) before a quarter that do not count in it: those that are not gross.

    Otherwise a jump to a position where lawful motion is easy, such as slow rolling on the floor, would be stable.
    """
    count = np.zeros(bodies)
    for each in before:
        count[each.body] += not each.gross
    return count


MAX_ERROR = 1.0  # diameters


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
    if limit < ENSEMBLE.min_seconds - 1e-9:
        reason = f"T_p is {limit:.2g} s, below {ENSEMBLE.min_seconds:g} s"
        return {"": Reading(None, "not applicable", reason), "predictability": known}
    times = tracks.times[tracks.context :]
    error = error_curve(clip, tracks)
    error = np.where(np.isnan(error), error_out_of_place(clip, tracks), error)
    allowed = np.full_like(error, MAX_ERROR)
    width = predictability.spread[: len(error)]  # up to T_p; later errors do not count
    # An error within 1.5 spreads of what the context allows is no failure
    allowed[: len(width)] = np.maximum(MAX_ERROR, 1.5 * width)
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
    weight = discriminative_weight((extrapolations > MAX_ERROR)[ahead], good, expected)
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
    if limit >= ENSEMBLE.min_seconds - 1e-9:
        return None
    return Reading(None, "not applicable", f"T_p is {limit:.2g} s, below {ENSEMBLE.min_seconds:g} s")


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
    stable = stability_of(shadowing)
    if stable.quality is None:
        return {
            "": Reading(None, "not applicable", "ground truth shows no moving object for 0.2 s in any later quarter")
        }
    slope = stable.slope
    if slope is None:
        return {"": Reading(stable.quality), "slope": Reading(None, "not applicable", "only one quarter counts", "1/s")}
    return {"": Reading(stable.quality), "slope": Reading(slope, unit="1/s")}
