"""The effect of a push: two rollouts from one context, with the push and without, against ground truth of both."""

from __future__ import annotations

import numpy as np

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
MIN_COMPARED_FRAMES = 3  # with a difference that is read


def of_pair(clip: Clip, tracks: Tracks, origin: Clip, before: Tracks) -> dict[str, Reading]:
    """The readings of a clip with a change and of the clip that it is a change of, with the tracks of each."""
    context = tracks.context
    window = clip.window(context)
    until = min(predictability_time(clip, context), predictability_time(origin, context))
    diameter = (clip.diameters() + origin.diameters())[window][..., None] / 2  # (C + T, K, 1) m
    true = (clip.plane_positions() - origin.plane_positions())[window] / diameter  # (C + T, K, 2)
    found = _positions(clip, tracks) / diameter - _positions(origin, before) / diameter
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
    found = np.where(np.isfinite(found), found, 0.0)  # a lost object counts as no change
    acted = {push.body for push in {*clip.scene.impulses} ^ {*origin.scene.impulses}}
    pushed = np.array([body.name in acted for body in clip.tracked_bodies])
    return {
        "": _size(found[begun], true[begun]),
        "sign": _sign(found[begun], true[begun]),
        "error": Reading(float(np.sqrt(np.sum((found - true)[read] ** 2) / np.sum(true[read] ** 2)))),
        "pushed": _size(found[begun & pushed], true[begun & pushed]),
        "others": _size(found[begun & ~pushed], true[begun & ~pushed]),
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
    why = (
        "the clip that this is a change of was not run"
        if clip.row.change
        else "only in the suite counterfactuals, in the row of the clip with a change"
    )
    return {"": Reading(None, "not applicable", why)}


def _positions(clip: Clip, tracks: Tracks) -> Array:
    """Positions (C + T, K, 2) m, NaN where an object has none."""
    return plane_from_px(clip.scene.camera, clip.spec, tracks.position)


def _in_gap(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects seen for a short time without a position."""
    return np.asarray(tracked_with_gaps(clip, tracks) & ~has_position(tracks))


def _size(found: Array, true: Array) -> Reading:
    """sum d . D / sum D . D of differences (n, 2)."""
    if not len(true):
        return Reading(None, "not applicable", "the change does not reach such an object in the frames that are read")
    return Reading(float(np.sum(found * true) / np.sum(true**2)))


def _sign(found: Array, true: Array) -> Reading:
    """Share of the differences (n, 2) that are clear in which the predicted one goes the same way."""
    length = np.linalg.norm(true, axis=-1)
    clear = length > MIN_CLEAR_CHANGE
    if not clear.any():
        return Reading(None, "not applicable", f"nothing changes by more than {MIN_CLEAR_CHANGE:g} diameters")
    along = np.sum(found * true, axis=-1)[clear] / length[clear]
    return Reading(float(np.mean(along > MIN_CHANGE)))
