"""Momentum across a collision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import BodyMotion, ContactInterval, FreeSegment
from physbench.scoring.impact_velocities import states_before_and_after
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks

MIN_TOTAL = 0.2  # of the sum of the sizes of the two momenta; below it the ratio is undefined


@scorer(
    id="laws/momentum",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="ground truth reads 0.99 to 1.01, change below 0.010 (64 px, 15 frames/s; middle 90 % of 32 clips)",
    source="P' = P; Newton 1687, Principia, corollary III to the laws of motion",
    phrase={"": "momentum after the contact {} of that before", "change": "momentum changed by {}"},
    seen={
        "": ("things are too slow after they collide", "things are too fast after they collide"),
        "change": ("", "collisions send things on wrong ways"),
    },
    breaks_at=0.1,
    needs=("motions", "contacts", "free_segments"),
)
def momentum(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    motions: tuple[BodyMotion, ...],
    contacts: Mapping[int, tuple[ContactInterval, ...]],
    free_segments: Mapping[int, tuple[FreeSegment, ...]],
) -> Reading | dict[str, Reading]:
    """Total momentum of two bodies after their first predicted collision over that before it; right is 1.

    R = P' . P / P . P with P = m_a v_a + m_b v_b in the plane of motion, the velocities from fits of the law of motion
    to at most 0.5 s of each body's track before and after the contact. Without limits; neither direction is better by
    itself. Not applicable where no two moving bodies meet in the track, or where P is below a fifth of |p_a| + |p_b|.
    Outside every mean.

    Further readings: change = |P' - P| / (|p_a| + |p_b|), 0 where momentum is conserved.
    """
    by_index = {body.index: body for body in motions}
    collisions = [
        (contact.deepest, body, by_index[contact.other])
        for body in motions
        for contact in contacts[body.column]
        if contact.other in by_index and body.index < contact.other and contact.deepest > 0
    ]
    if not collisions:
        return Reading(None, "not applicable", "no two moving bodies meet")
    moment, a, b = min(collisions, key=lambda collision: collision[0])
    before, after = [], []
    for body in (a, b):
        mass = clip.scene.bodies[body.index].mass
        states = states_before_and_after(tracks.times, body, moment, free_segments[body.column])
        if states is None:
            return Reading(None, "not applicable", "a body is not seen long enough before and after it meets another")
        before.append(mass * states[0][2:])
        after.append(mass * states[1][2:])
    total, later = before[0] + before[1], after[0] + after[1]
    size = float(np.linalg.norm(before[0]) + np.linalg.norm(before[1]))
    if size < 1e-9:
        return Reading(None, "not applicable", "nothing moves before the bodies meet")
    change = Reading(float(np.linalg.norm(later - total)) / size)
    if np.linalg.norm(total) < MIN_TOTAL * size:
        return {"": Reading(None, "not applicable", "the momenta nearly cancel"), "change": change}
    return {"": Reading(float(later @ total / (total @ total))), "change": change}
