"""Contacts: restitution, friction, bodies that go into each other, support of what rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws.closed_form import Constant, Slope
from physbench.rollout.store import Rollout
from physbench.score.motion import SPAN, BodyMotion, ContactInterval, FreeSegment, gaps, states_before_and_after
from physbench.score.protocol import Reading, no_gravity, scorer
from physbench.scorers.diagnostics.gravity import fitted_acceleration
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks, resting
from physbench.track.visibility import truth_visible
from physbench.world.camera import PLANE_AXES, plane_from_world
from physbench.world.geometry import gap

# How fast bodies part after they met.


@scorer(
    id="laws/restitution",
    better="neither",
    noise_floor="ground truth reads within 0.01 of the scene's restitution where nothing rolls, 0.38 to 0.41 for "
    "balls of 0.95 that roll on a table (64 px, 15 frames/s; 30 clips)",
    source="Newton's law of restitution; Newton 1687, Principia, scholium to the laws of motion",
    phrase="things parting at {} of the speed at which they meet",
    seen=("bounces are too weak", "bounces are too lively"),
    breaks_at=0.05,
    roles={"": "shown-restitution"},
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
    bounces = []
    for body in motions:
        for contact in contacts[body.column]:
            twice = contact.other in by_index and contact.other < body.index
            if contact.deepest > 0 and contact.end - contact.start < SPAN.brief and not twice:
                met = _speeds(clip, tracks, body, by_index.get(contact.other), contact, free_segments)
                bounces += [] if met is None else [met]
    number = Reading(float(len(bounces)))
    if not bounces:
        reason = "no contact is seen for long enough on both sides of it"
        return {"": Reading(None, "not applicable", reason), "contacts": number}
    speeds = np.array(bounces)
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
    return (float(met), float(parted)) if met < -0.5 else None  # m/s towards each other; slower contacts say nothing


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
    # m, for the slope of the distance
    near = np.stack([pa + sign * 1e-4 * np.eye(3)[axis] for axis in axes for sign in (1.0, -1.0)])
    change = gap(a, near, b, pb).reshape(2, 2)
    slope = change[:, 0] - change[:, 1]
    return np.asarray(slope / max(float(np.linalg.norm(slope)), 1e-12))


# The friction that a prediction shows.


@scorer(
    id="laws/friction",
    better="neither",
    noise_floor="ground truth reads within 0.001 of 0 on the level, within 0.01 of the ramp's on a slope (64 px, "
    "15 frames/s; 15 clips)",
    source="a = g (sin a - mu cos a); Coulomb 1785, Theorie des machines simples",
    phrase="friction {}",
    seen=("things slide on for too long", "sliding things stop too soon"),
    breaks_at=0.05,
    needs=("motions", "free_segments"),
    precheck=no_gravity,
)
def friction(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    motions: tuple[BodyMotion, ...],
    free_segments: Mapping[int, tuple[FreeSegment, ...]],
) -> dict[str, Reading]:
    """Coefficient of friction that the motion of bodies on a support implies; right is what ground truth reads.

    mu = (force of gravity along the path - acceleration along the path) / weight on the support, both per mass and in
    the direction of motion, from parabolas through the track along the support: between contacts, the path up and the
    path down apart, each at least 0.3 s and five frames; weighted by how well each determines its acceleration. A
    sliding body shows the friction between it and the support, a rolling one the smaller friction that rolling needs, k
    / (1 + k) tan a with k = 2/5 for a ball and 1/2 for a cylinder (negative while it moves up), and 0 on the level.
    Without limits; neither direction is better by itself. Outside every mean.

    Further readings: acceleration (m/s2) down the slope, where there is one.
    """
    pull = plane_from_world(clip.scene.camera, np.asarray(clip.scene.gravity, dtype=np.float64))
    carried = [(body, frame) for body in motions if (frame := _frame(body)) is not None]
    if not carried:
        return {"": Reading(None, "not applicable", "nothing stays on a support that is seen from the side")}
    sums = np.zeros(3)  # of weight, weight x friction, weight x acceleration down the slope
    for body, (down, normal) in carried:
        for segment in free_segments[body.column]:
            known = np.isfinite(body.position[segment.frames, 0]) & ~segment.ambiguous
            frames = segment.frames[known & (segment.frames >= tracks.context)]
            if segment.touching:
                continue
            # diameters; less is rest
            for part in _one_way_parts(tracks.times[frames], body.position[frames] @ down, 0.1 * body.diameter):
                acceleration, velocity, weight = part
                implied = np.sign(velocity) * (pull @ down - acceleration) / -(pull @ normal)
                sums += weight * np.array([1.0, implied, acceleration])
    if sums[0] == 0:
        return {"": Reading(None, "not applicable", "no path of 0.3 s along the support is seen")}
    readings = {"": Reading(float(sums[1] / sums[0]))}
    if any(abs(pull @ down) > 1e-9 for _, (down, _) in carried):  # m/s2 along the support
        readings["acceleration"] = Reading(float(sums[2] / sums[0]), unit="m/s2")
    return readings


def _frame(body: BodyMotion) -> tuple[Array, Array] | None:
    """Unit vectors (2,) down the permanent support and away from it; None without one."""
    law = body.law
    if isinstance(law, Slope):
        return -np.asarray(law.along), np.asarray(law.normal)
    if isinstance(law, Constant) and law.normal is not None:
        return np.array([-law.normal[1], law.normal[0]]), np.asarray(law.normal)
    return None


def _one_way_parts(times: Array, along: Array, least: float) -> list[tuple[float, float, float]]:
    """Acceleration m/s2, mean velocity m/s and weight of each part of a path (n,) m that goes in one direction."""
    min_fit_frames = 5
    if len(along) < min_fit_frames:
        return []
    turn = int(np.argmax(np.abs(along - along[0]))) if _turns(along) else len(along) - 1
    slopes = []
    for part in (slice(0, turn + 1), slice(turn, len(along))):
        t, s = times[part], along[part]
        if len(t) < min_fit_frames or t[-1] - t[0] < SPAN.fit - 1e-9 or abs(s[-1] - s[0]) < least:
            continue
        acceleration, weight = fitted_acceleration(t, s)
        slopes.append((float(acceleration), float(s[-1] - s[0]) / float(t[-1] - t[0]), weight))
    return slopes


def _turns(along: Array) -> bool:
    """True if a path goes out and returns by more than a hundredth of its length."""
    far = int(np.argmax(np.abs(along - along[0])))
    return bool(abs(along[-1] - along[far]) > 0.01 * abs(along[far] - along[0]))


# Whether bodies go into each other.


@scorer(
    id="laws/solidity",
    unit="diameters",
    better="lower",
    noise_floor="ground truth reads 0 to 0.034, at most 0.039 (64 px, 15 frames/s; 95 % of 70 clips of 14 tasks)",
    source="two bodies are never in one place; Spelke et al. 1992, doi:10.1037/0033-295X.99.4.605",
    phrase="overlaps of {}",
    seen=("", "things sink into each other"),
    breaks_at=0.25,
    needs=("motions",),
)
def solidity(clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]) -> dict[str, Reading]:
    """Deepest overlap of a moving body with a body, a wall or the floor in the predicted frames, in its own diameters.

    max of -gap / diameter, at least 0; lower is better. In the frames that show both; a body that turns in
    ground truth counts as the largest disc inside it. Outside every mean.

    Further readings: time, the share of the expected object-time that is spent in an overlap of more than 0.1 diameter.
    """
    expected = truth_visible(clip, tracks.context)
    deepest, deep, whole, seen = 0.0, 0, 0, False
    for body in motions:
        distance = gaps(clip, tracks, motions, body)[:, tracks.context :] / body.diameter
        known = np.isfinite(distance)
        if known.any():
            seen = True
            deepest = max(deepest, -float(distance[known].min()))
        # diameters
        deep += int(((known & (distance < -0.1)).any(axis=0) & expected[tracks.context :, body.column]).sum())
        whole += int(expected[:, body.column].sum())
    if not seen or not whole:
        return {"": Reading(None, "not applicable", "nothing that moves is seen where it could touch anything")}
    return {"": Reading(deepest), "time": Reading(deep / whole, unit="1")}


@dataclass(frozen=True)
class HoverLimits:
    """Bodies that rest on nothing."""

    speed: float = 0.1  # diameters/s
    time: float = 0.2  # s in which what is slower rests; a ball at the top of its flight covers twice as much
    max_gap: float = 0.1  # diameters from what carries it
    lowering: float = 0.1  # diameters, by which a body is lowered to see what is below it
    min_approach: float = 0.3  # of the shift by which it then comes nearer to what carries it


HOVER = HoverLimits()


@scorer(
    id="laws/support",
    better="lower",
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
    still = resting(tracks.times, body.position / body.diameter, HOVER.speed, HOVER.time)
    if not still.any() or not clip.scene.bodies[body.index].collides:
        return still
    shift = HOVER.lowering * body.diameter
    now = gaps(clip, tracks, bodies, body, turned="outer")
    lowered = gaps(clip, tracks, bodies, body, shift=shift, turned="outer")
    with np.errstate(invalid="ignore"):
        carried = (now < HOVER.max_gap * body.diameter) & (now - lowered > HOVER.min_approach * shift)
    return np.asarray(still & ~carried.any(axis=0))
