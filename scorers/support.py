"""Whether what rests has something under it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import BodyMotion
from physbench.scoring.not_judged import no_gravity
from physbench.scoring.penetration import gaps
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import resting
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import truth_visible

HOVER_MOTION = 0.02  # diameters in 0.2 s; a ball at the top of its flight covers more than twice as much
MAX_SUPPORT_GAP = 0.1  # diameters from what carries it
LOWERING = 0.1  # diameters, by which a body is lowered to see what is below it
MIN_APPROACH_SHARE = 0.3  # of the shift by which it then comes nearer to what carries it

Mask = NDArray[np.bool_]


@scorer(
    id="laws/support",
    version=1,
    axis=None,
    unit="1",
    better="lower",
    quality=None,
    noise_floor="ground truth reads 0, at most 0.05 (64 px, 15 frames/s; 95 % of 40 clips of 8 tasks)",
    source="what rests is carried; Baillargeon et al. 1992, doi:10.1016/0163-6383(92)80031-C",
    phrase="rest on nothing for {} of the time",
    seen=("", "things hover in the air"),
    breaks_at=0.1,
    needs=("motions",),
    precheck=no_gravity,
)
def support(clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]) -> Reading:
    """Share of the expected object-time in which a moving body hovers: it rests with nothing below it.

    0 to 1, lower is better. A body rests where it moves by less than 0.02 diameters in 0.2 s. Something is below it
    if the two are less than 0.1 diameter apart, and nearer by at least 0.3 of the way when the body is lowered by
    0.1 diameter; what it leans on sideways carries nothing. A body that turns in ground truth counts as the
    smallest disc around it. Time in which it is not seen does not hover. Not applicable where the scene has no
    gravity in the plane of motion. Outside every mean.
    """
    expected = truth_visible(clip, tracks.context)[:, [body.column for body in motions]]
    if not expected.any():
        return Reading(None, "not applicable", "no moving object should be visible")
    hovers = np.stack([_hovers(clip, tracks, motions, body) for body in motions], axis=-1)
    return Reading(float((hovers & expected).sum() / expected.sum()))


def _hovers(clip: Clip, tracks: Tracks, bodies: tuple[BodyMotion, ...], body: BodyMotion) -> Mask:
    """Frames (T,) in which a body rests with nothing below it."""
    still = resting(tracks.times, body.position, body.diameter, HOVER_MOTION)
    if not still.any() or not clip.scene.bodies[body.index].collides:
        return still
    shift = LOWERING * body.diameter
    now = gaps(clip, tracks, bodies, body, turned="outer")
    lowered = gaps(clip, tracks, bodies, body, shift=shift, turned="outer")
    with np.errstate(invalid="ignore"):
        carried = (now < MAX_SUPPORT_GAP * body.diameter) & (now - lowered > MIN_APPROACH_SHARE * shift)
    return np.asarray(still & ~carried.any(axis=0))
