"""How fast bodies part after they met."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import BRIEF, BodyMotion, ContactInterval, FreeSegment
from physbench.scoring.impact_velocities import states_before_and_after
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES, plane_from_world
from physbench.world.geometry import gap

MIN_APPROACH = 0.5  # m/s towards each other; slower contacts say nothing
GRADIENT_STEP = 1e-4  # m, for the slope of the distance

Array = NDArray[np.float64]


@scorer(
    id="laws/restitution",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="ground truth reads within 0.01 of the scene's restitution where nothing rolls, 0.38 to 0.41 for "
    "balls of 0.95 that roll on a table (64 px, 15 frames/s; 30 clips)",
    source="Newton's law of restitution; Newton 1687, Principia, scholium to the laws of motion",
    phrase="things parting at {} of the speed at which they meet",
    seen=("bounces are too weak", "bounces are too lively"),
    breaks_at=0.05,
    needs=("motions", "contacts", "free_segments"),
)
def restitution(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    motions: tuple[BodyMotion, ...],
    contacts: Mapping[int, tuple[ContactInterval, ...]],
    free_segments: Mapping[int, tuple[FreeSegment, ...]],
) -> dict[str, Reading]:
    """Speed at which two bodies part over that at which they met, along the normal; right is what ground truth reads.

    e = -(v_a' - v_b') . n / (v_a - v_b) . n, the velocities from at most 0.5 s of the tracks before and after each
    contact with a body, a wall or the floor in the prediction that is shorter than 0.2 s and met with at least
    0.5 m/s; least squares over the contacts. Negative where one goes through the other; above 1 energy is gained.
    Where a table makes a ball roll again after it was hit, the speed is that of rolling, and e smaller than that of
    the impact. Neither direction is better by itself. Outside every mean.

    Further readings: contacts, the number of those that were read.
    """
    by_index = {body.index: body for body in motions}
    found = []
    for body in motions:
        for contact in contacts[body.column]:
            twice = contact.other in by_index and contact.other < body.index
            if contact.deepest > 0 and contact.end - contact.start < BRIEF and not twice:
                met = _speeds(clip, tracks, body, by_index.get(contact.other), contact, free_segments)
                found += [] if met is None else [met]
    number = Reading(float(len(found)))
    if not found:
        reason = "no contact is seen for long enough on both sides of it"
        return {"": Reading(None, "not applicable", reason), "contacts": number}
    speeds = np.array(found)
    return {"": Reading(float(-speeds[:, 0] @ speeds[:, 1] / (speeds[:, 0] @ speeds[:, 0]))), "contacts": number}


def _speeds(
    clip: Clip,
    tracks: Tracks,
    body: BodyMotion,
    partner: BodyMotion | None,
    contact: ContactInterval,
    segments: Mapping[int, tuple[FreeSegment, ...]],
) -> tuple[float, float] | None:
    """Speeds m/s along the normal before and after a contact, negative towards each other.

    partner: the other body, where it moves by itself."""
    own = states_before_and_after(tracks.times, body, contact.deepest, segments[body.column])
    other = (
        _fixed(clip, contact.other, contact.deepest)
        if partner is None
        else states_before_and_after(tracks.times, partner, contact.deepest, segments[partner.column])
    )
    if own is None or other is None:
        return None
    normal = _normal(clip, body.index, own[0][:2], contact.other, other[0][:2])
    met, parted = ((a[2:] - b[2:]) @ normal for a, b in zip(own, other, strict=True))
    return (float(met), float(parted)) if met < -MIN_APPROACH else None


def _fixed(clip: Clip, index: int, moment: float) -> tuple[Array, Array]:
    """State (4,) of a body that does not move by itself, on both sides of a contact."""
    state = clip.states[int(np.argmin(np.abs(clip.times - moment))), index]
    flat = np.concatenate([plane_from_world(clip.scene.camera, state[part]) for part in (slice(3), slice(7, 10))])
    return flat, flat


def _normal(clip: Clip, index: int, position: Array, other: int, other_position: Array) -> Array:
    """Unit vector (2,) from the other body towards this one: where their distance grows fastest."""
    axes = list(PLANE_AXES[clip.scene.camera.view])
    a, b = clip.scene.bodies[index], clip.scene.bodies[other]
    pa, pb = clip.states[clip.handover, index, :3].copy(), clip.states[clip.handover, other, :3].copy()
    pa[axes], pb[axes] = position, other_position
    near = np.stack([pa + sign * GRADIENT_STEP * np.eye(3)[axis] for axis in axes for sign in (1.0, -1.0)])
    change = gap(a, near, b, pb).reshape(2, 2)
    slope = change[:, 0] - change[:, 1]
    return np.asarray(slope / max(float(np.linalg.norm(slope)), 1e-12))
