"""Conservation: energy and momentum over time, and across a collision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score import motion
from physbench.score.protocol import Reading, scorer
from physbench.support.arrays import Array
from physbench.track.tracks import Tracks, slope
from physbench.world.camera import plane_from_world

# Drift of energy and momentum. Hue, size and background have scorers of their own.


def is_not_read(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable where something is pushed in the window, and in fields other than those of orbits."""
    if any(action.time > tracks.times[0] for action in clip.scene.impulses):
        return Reading(None, "not applicable", "a push brings energy into this scene")
    return _in_other_fields(clip)


def _in_other_fields(clip: Clip) -> Reading | None:
    """Not applicable where the potential is not that of one star or of two bodies."""
    if not clip.scene.own_fields and len(clip.scene.central) <= 2:
        return None
    return Reading(None, "not applicable", "the energy of fields other than those of orbits is not read")


@scorer(
    id="drift/energy",
    better="neither",
    noise_floor="ground truth without contacts reads within 0.02, on a flyby within 0.06 (64 px, 15 frames/s)",
    source="E(t) - E(0), translational and potential; Helmholtz 1847, Ueber die Erhaltung der Kraft",
    needs=("energies",),
    precheck=is_not_read,
)
def energy(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, energies: tuple[motion.Energies, ...]
) -> dict[str, Reading]:
    """Change of energy since the context, over the largest kinetic energy in ground truth, in the last quarter.

    Mean of (E(t) - E_0) / E_max over the last quarter of the predicted frames that show all moving bodies, E_0 the
    mean over the context, E_max at least the weight times a diameter. Contacts and friction take energy: right is
    what ground truth reads. Outside every mean. Not applicable where something is pushed, and in fields other than
    those of orbits.

    Further readings: slope (1/s), of a straight line through all predicted frames.
    """
    total = np.sum([group.total for group in energies], axis=0) / max(sum(group.size for group in energies), 1e-9)
    return _drift(tracks, np.atleast_1d(total)[:, None], signed=True)


def is_not_conserved(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable where the total momentum changes in ground truth."""
    momenta = _true_momenta(clip)
    size, total = _size(momenta), momenta.sum(axis=1)
    # of the sum of the sizes of the momenta; a smaller change in ground truth counts as none
    if size < 1e-9 or np.linalg.norm(total - total[0], axis=-1).max() > 0.01 * size:
        return Reading(None, "not applicable", "momentum is not conserved in this scene")
    return None


@scorer(
    id="drift/momentum",
    better="lower",
    noise_floor="ground truth reads 0.001 to 0.026 (64 px, 15 frames/s; 20 clips)",
    source="|P(t) - P(0)|; Newton 1687, Principia, corollary III to the laws of motion",
    needs=("energies",),
    precheck=is_not_conserved,
)
def momentum(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, energies: tuple[motion.Energies, ...]
) -> dict[str, Reading]:
    """Change of the total momentum since the context, over the sum of the momenta's sizes, in the last quarter.

    Mean of |P(t) - P_0| / sum |p_i| over the last quarter of the predicted frames that show all moving bodies, P_0 the
    mean over the context. 0 upwards, lower is better. Outside every mean. Not applicable where it changes in ground
    truth: by gravity, walls, the floor, a push.

    Further readings: slope (1/s), of a straight line through all predicted frames.
    """
    size = _size(_true_momenta(clip))
    return _drift(tracks, np.sum([group.momentum for group in energies], axis=0) / size, signed=False)


def _true_momenta(clip: Clip) -> Array:
    """Momenta (T, N, 2) kg m/s of the moving bodies in ground truth, from the hand-over on."""
    ahead = slice(clip.handover, None)
    moving = [index for index in clip.tracked if clip.scene.bodies[index].role == "moving"]
    masses = np.array([clip.scene.bodies[index].mass for index in moving])
    return np.asarray(plane_from_world(clip.scene.camera, clip.states[ahead, moving, 7:10]) * masses[:, None])


def _size(momenta: Array) -> float:
    """Sum of the sizes in kg m/s of momenta (T, N, 2) at the hand-over."""
    return float(np.linalg.norm(momenta[0], axis=-1).sum())


def _drift(tracks: Tracks, value: Array, signed: bool) -> dict[str, Reading]:
    """Change of a value (T, n) since the context, where it is known."""
    known = np.zeros(len(tracks.times), dtype=bool)
    if len(value) == len(known):  # else nothing moves
        known[:] = np.isfinite(value).all(axis=-1)
    before = np.flatnonzero(known[: tracks.context])
    frames = tracks.context + np.flatnonzero(known[tracks.context :])
    min_predicted_frames = 8  # predicted frames
    if not len(before) or len(frames) < min_predicted_frames:
        return {
            "": Reading(
                None,
                "not applicable",
                f"all moving bodies are seen in fewer than {min_predicted_frames} predicted frames",
            )
        }
    change = value[frames] - value[before].mean(axis=0)
    change = change[:, 0] if signed else np.linalg.norm(change, axis=-1)
    last = frames >= frames[0] + 0.75 * (frames[-1] - frames[0])
    return {
        "": Reading(float(change[last].mean())),
        "slope": Reading(slope(tracks.times[frames], change), unit="1/s"),
    }


# Energy out of nothing.


def of_orbits(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable in scenes with fields."""
    if not clip.scene.fields:
        return None
    return _in_other_fields(clip) or Reading(None, "not applicable", "on orbits laws/orbit-energy reads the energy")


@scorer(
    id="laws/energy",
    better="lower",
    noise_floor="ground truth reads 0 to 0.011, at most 0.020 (64 px, 15 frames/s; 95 % of 64 clips of 13 tasks)",
    source="E(t2) <= E(t1) where nothing is pushed; Helmholtz 1847, Ueber die Erhaltung der Kraft",
    phrase="energy gained {} of that of all motion",
    seen=("", "things speed up by themselves"),
    breaks_at=0.1,
    needs=("energies",),
    precheck=of_orbits,
)
def energy_from_nothing(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, energies: tuple[motion.Energies, ...]
) -> Reading:
    """Largest rise of energy in the prediction that nothing explains, over the largest kinetic energy in ground truth.

    That energy is taken as the weight times a diameter at least, so that noise is small against it. E(t) = sum of m
    (v^2 / 2 + potential) of bodies that touch each other, from the last context frames on. Rise = largest E(t2) -
    E(t1) with t1 < t2 and no push in between, less what spin can have given back by t2: spin is not seen, so where
    friction acts a ball may hold 0.4 (a cylinder 0.5, a box 1) times its largest kinetic energy so far, as far as
    energy went missing before or was in rolling at the start. 0 upwards, lower is better; the largest of all
    groups. Energy that goes missing is not read. Velocities are slopes in the middle of
    parabolas through up to 0.6 s of the track between contacts. Outside every mean.
    """
    if not energies:
        return Reading(None, "not applicable", "nothing moves in this scene")
    rises = [rise for group in energies if (rise := _rise(clip, tracks, group)) is not None]
    if not rises:
        return Reading(None, "not applicable", "no velocity is seen in two frames")
    return Reading(max(rises))


def _rise(clip: Clip, tracks: Tracks, group: motion.Energies) -> float | None:
    """Over the group's size; None where energy is known in less than two predicted frames."""
    worst, seen = 0.0, False
    for frames in motion.between_impulses(clip, tracks.times):
        known = frames[np.isfinite(group.total[frames])]
        late = known >= tracks.context
        if len(known) < 2 or not late.any():
            continue
        seen = True
        total, spin = group.total[known], group.spin[known]
        budget = np.maximum.accumulate(total) + spin[0]
        allowed = np.minimum.accumulate(np.minimum(total + spin, budget))
        worst = max(worst, float(np.max((total - allowed)[late])))
    return worst / group.size if seen else None


@scorer(
    id="laws/momentum",
    better="neither",
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
def momentum_of_a_collision(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    motions: tuple[motion.BodyMotion, ...],
    contacts: Mapping[int, tuple[motion.ContactInterval, ...]],
    free_segments: Mapping[int, tuple[motion.FreeSegment, ...]],
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
        states = motion.states_before_and_after(tracks.times, body, moment, free_segments[body.column])
        if states is None:
            return Reading(None, "not applicable", "a body is not seen long enough before and after it meets another")
        before.append(mass * states[0][2:])
        after.append(mass * states[1][2:])
    total, later = before[0] + before[1], after[0] + after[1]
    size = float(np.linalg.norm(before[0]) + np.linalg.norm(before[1]))
    if size < 1e-9:
        return Reading(None, "not applicable", "nothing moves before the bodies meet")
    change = Reading(float(np.linalg.norm(later - total)) / size)
    # of the sum of the sizes of the two momenta; below it the ratio is undefined
    if np.linalg.norm(total) < 0.2 * size:
        return {"": Reading(None, "not applicable", "the momenta nearly cancel"), "change": change}
    return {"": Reading(float(later @ total / (total @ total))), "change": change}
