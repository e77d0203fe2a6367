"""The effect of a push: two rollouts from one context, with the push and without, against ground truth of both.

How much of it there is, and whether the push itself is followed: its size, its direction, its delay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.predictability import predictability_time
from physbench.score.protocol import Reading, scorer
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks
from physbench.track.visibility import has_position, moving, tracked_with_gaps, truth_visible
from physbench.world.camera import plane_from_px

MIN_CHANGE = 0.1  # diameters; frames in which ground truth differs by less are left out
MIN_CLEAR_CHANGE = 0.5  # diameters; from here on the direction of the difference is read
MAX_CHANGE = 1.0  # diameters; after it the difference depends less on the push than on how the two clips went on
Numbers = NDArray[np.complex128]  # places in the plane of the picture
MIN_COMPARED_FRAMES = 3  # with a difference that is read


def of_pair(clip: Clip, tracks: Tracks, origin: Clip, before: Tracks) -> dict[str, Reading]:
    """The readings of a clip with a change and of the clip that it is a change of, with the tracks of each."""
    context = tracks.context
    window = clip.window(context)
    until = min(predictability_time(clip, context), predictability_time(origin, context))
    diameter = (clip.diameters() + origin.diameters())[window][..., None] / 2  # (C + T, K, 1) m
    true = (clip.plane_positions() - origin.plane_positions())[window] / diameter  # (C + T, K, 2)
    change = _positions(clip, tracks) / diameter - _positions(origin, before) / diameter
    read = (
        truth_visible(clip, context)
        & truth_visible(origin, context)
        & moving(clip)
        & (np.linalg.norm(true, axis=-1) > MIN_CHANGE)
    )
    read &= (clip.times[window] <= until + 1e-9)[:, None]
    read &= ~(_in_gap(clip, tracks) | _in_gap(origin, before))
    begun = read & (np.cumsum(np.linalg.norm(true, axis=-1) > MAX_CHANGE, axis=0) == 0)
    if begun.any(axis=1).sum() < MIN_COMPARED_FRAMES:
        frames = f"{MIN_COMPARED_FRAMES} frames that can be predicted in both clips"
        why = f"nothing changes by more than {MIN_CHANGE:g} diameters in {frames}"
        return {"": Reading(None, "not applicable", why)}
    change = np.where(np.isfinite(change), change, 0.0)  # a lost object counts as no change
    acted = {push.body for push in {*clip.scene.impulses} ^ {*origin.scene.impulses}}
    pushed = np.array([body.name in acted for body in clip.tracked_bodies])
    return {
        "": _size(change[begun], true[begun]),
        "sign": _sign(change[begun], true[begun]),
        "error": Reading(float(np.sqrt(np.sum((change - true)[read] ** 2) / np.sum(true[read] ** 2)))),
        "pushed": _size(change[begun & pushed], true[begun & pushed]),
        "others": _size(change[begun & ~pushed], true[begun & ~pushed]),
    }


@scorer(
    id="consistency/counterfactual",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    # benchmarks/counterfactual.py prints these and what wrong pushes read
    noise_floor="ground truth reads 0.997 to 1.004 in each of 48 pairs, sign 1, error at most 0.004; a frozen frame 0, "
    "0 and 1 (64 px, 15 frames/s, 8 context frames)",
    source="least squares through 0; after Pearl 2009, Causality, chapter 7: two worlds that share all but one act",
    pair=of_pair,
    breaks_at=0.02,  # of what a push does: truth, seen through the tracker, is within 0.004 of 1 in each pair
    roles={"": "push-effect", "others": "push-effect-on-others"},
)
def counterfactual(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Share of a push's effect that is predicted, from two rollouts of one context: with the push and without.

    With d the difference of the predicted positions of an object in the two, in apparent diameters, and D that of
    ground truth: sum d . D / sum D . D, over the object-frames in which ground truth of both clips shows a moving
    object, up to the shorter of their predictability times, where |D| is above 0.1, and for each object up to where |D|
    first exceeds 1: further on any two rollouts differ in much the same way. 1 is right, 0 says that the push does
    nothing, below 0 that it does the contrary. An object that should be visible in both and is missing in either is
    read as d = 0; one that is seen without a position for a short time is left out. At least 3 frames. The readings of
    both clips are in the row of the one without the push, for each sample; the same sample of both clips has the same
    random numbers. Not read for a model that takes no actions, which cannot know of a push. Outside every mean.

    Further readings: sign, the share of the object-frames with |D| above 0.5 in which d goes along D by more than
    0.1; pushed and others, the first reading for the object that is pushed, and for those that only feel it when they
    are hit; error, rms |d - D| over rms |D| also where |D| is above 1: 1 where nothing changes.
    """
    return {"": _no_pair(clip)}


def _no_pair(clip: Clip) -> Reading:
    why = (
        "the clip that this is a change of was not run"
        if clip.row.change
        else "only in the suite counterfactuals, in the row of the clip with a change"
    )
    return Reading(None, "not applicable", why)


DELAYS = sorted(np.arange(-20, 101) / 10, key=abs)  # frames; of two that fit as well the shorter one counts
FOLLOWED_FOR = 0.8  # s after a push; later the paths of two orbits differ by more than the push
MAX_FOLLOWED = 3.0  # diameters; for the same reason
MIN_FOLLOWED_FRAMES = 4  # after the push: size, direction and delay are three numbers


def of_push(clip: Clip, tracks: Tracks, origin: Clip, before: Tracks) -> dict[str, Reading]:
    """The readings of a clip with a change and of the clip that it is a change of, with the tracks of each."""
    pushes = sorted({*clip.scene.impulses} ^ {*origin.scene.impulses}, key=lambda push: push.time)
    if not pushes:
        return {"": Reading(None, "not applicable", "the two clips have the same pushes")}
    body = pushes[0].body
    k = [each.name for each in clip.tracked_bodies].index(body)
    window = clip.window(tracks.context)
    times, diameter = clip.times[window], (clip.diameters() + origin.diameters())[window, k] / 2
    true = (clip.plane_positions() - origin.plane_positions())[window, k] / diameter[:, None]
    change = (_positions(clip, tracks) - _positions(origin, before))[:, k] / diameter[:, None]
    hits = [each.time for of in (clip, origin) for each in of.contacts if body in (each.a, each.b)]
    hit = min([time for time in hits if time > pushes[0].time], default=np.inf)
    until = min(hit, pushes[0].time + FOLLOWED_FOR)
    seen = (truth_visible(clip, tracks.context) & truth_visible(origin, tracks.context))[:, k]
    read = seen & np.isfinite(change).all(axis=-1) & (times > 0) & (times < until)
    read &= np.cumsum(np.linalg.norm(true, axis=-1) > MAX_FOLLOWED) == 0
    if (read & (times > pushes[0].time)).sum() < MIN_FOLLOWED_FRAMES:
        why = f"it is followed in fewer than {MIN_FOLLOWED_FRAMES} frames between the push and the first hit"
        return {"": Reading(None, "not applicable", why)}
    step = float(times[1] - times[0])
    rows = (times > pushes[0].time) & (times < hit)
    knots = np.concatenate([[pushes[0].time], times[rows]])
    effect = np.concatenate([[0j], _complex(true[rows])])
    # A prediction that is early is compared with where it would go on to without the hit.
    knots, effect = np.append(knots, knots[-1] + 3 * step), np.append(effect, 4 * effect[-1] - 3 * effect[-2])
    moves = np.linalg.norm(change[read], axis=-1).max() >= MIN_CHANGE
    size, delay = _fit(times[read], _complex(change[read]), knots, effect, step, DELAYS if moves else [0.0])
    if not moves:
        nothing = Reading(None, "not applicable", f"nothing moves by {MIN_CHANGE:g} diameters")
        return {"": Reading(abs(size)), "direction": nothing, "delay": nothing}
    return {
        "": Reading(abs(size)),
        "direction": Reading(float(np.degrees(abs(np.angle(size)))), unit="deg"),
        "delay": Reading(delay, unit="frames"),
    }


def _complex(places: Array) -> Numbers:
    """Places (n, 2) as complex numbers (n,)."""
    return np.asarray(places[:, 0] + 1j * places[:, 1], dtype=np.complex128)


def _fit(
    times: Array, change: Numbers, knots: Array, effect: Numbers, step: float, delays: Sequence[float]
) -> tuple[complex, float]:
    """Factor z and delay in frames of the least squares |found(t) - z effect(t - delay)|, of complex numbers.

    times: (n,) s of `found`. knots: s of `effect`, the first one that of the push. step: s of a frame.
    """
    best = (np.inf, 0j, 0.0)
    for delay in delays:
        shifted = np.interp(times - delay * step, knots, effect, left=0.0)
        power = float(np.vdot(shifted, shifted).real)
        factor = complex(np.vdot(shifted, change) / power) if power > 0 else 0j
        miss = float((np.abs(change - factor * shifted) ** 2).sum())
        if miss < best[0] - 1e-12:
            best = miss, factor, float(delay)
    return best[1], best[2]


@scorer(
    id="consistency/push-followed",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    # as measured beside benchmarks/counterfactual.py: truth, half, contrary and late pushes
    noise_floor="ground truth reads 0.99 to 1.02, 0.0 to 0.4 degrees, 0 to 0.1 frames in 13 pairs (64 px, 15 frames/s, "
    "8 context frames). Off straight lines the effect turns as it grows: on orbits half a push reads 0.49 to 0.63, "
    "one 3 frames late 0.4 to 3.1",
    source="least squares; Newton 1687, Principia, law II: the change of motion is along the force and in its measure",
    pair=of_push,
)
def push_followed(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Size, direction and delay of what a push does to the body that is pushed, from two rollouts of one context.

    With d(t) the difference of its predicted places with the push and without, D(t) that of ground truth, both in
    apparent diameters and as complex numbers: the factor z and the delay that make sum |d(t) - z D(t - delay)|^2
    least, over the frames after the hand-over in which ground truth shows it and the prediction has a place for it, up
    to its next contact in ground truth of either clip, to 0.8 s after the push and to where |D| exceeds 3. The reading
    is |z|: 1 is right, 0 says that nothing is followed, 2 that it goes twice as far. At least 4 frames after the push.

    Further readings: direction, the angle of z in degrees, 0 to 180; delay in frames, -2 to 10 in tenths, where below 0
    is too early. Neither where nothing moves by 0.1 diameters. What follows once it hits something is in
    `consistency/counterfactual`. Outside every mean.
    """
    return {"": _no_pair(clip)}


def _positions(clip: Clip, tracks: Tracks) -> Array:
    """Positions (C + T, K, 2) m, NaN where an object has none."""
    return plane_from_px(clip.scene.camera, clip.spec, tracks.position)


def _in_gap(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects seen for a short time without a position."""
    return np.asarray(tracked_with_gaps(clip, tracks) & ~has_position(tracks))


def _size(change: Array, true: Array) -> Reading:
    """sum d . D / sum D . D of differences (n, 2)."""
    if not len(true):
        return Reading(None, "not applicable", "the change does not reach such an object in the frames that are read")
    return Reading(float(np.sum(change * true) / np.sum(true**2)))


def _sign(change: Array, true: Array) -> Reading:
    """Share of the differences (n, 2) that are clear in which the predicted one goes the same way."""
    length = np.linalg.norm(true, axis=-1)
    clear = length > MIN_CLEAR_CHANGE
    if not clear.any():
        return Reading(None, "not applicable", f"nothing changes by more than {MIN_CLEAR_CHANGE:g} diameters")
    along = np.sum(change * true, axis=-1)[clear] / length[clear]
    return Reading(float(np.mean(along > MIN_CHANGE)))
