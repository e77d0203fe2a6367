"""Which part of a track the scene's law of motion explains.

Every stretch between contacts is fitted once, from its beginning on, by one motion of the law, with the known pushes
that it is given on the way. It is explained for as long as that motion passes every frame within MISS diameters; behind
the first miss nothing of it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.due import VAGUE, accounted, due, seen
from physbench.scoring.motion import Law, longest_lawful
from physbench.scoring.pushes import Push, known_pushes, with_pushes
from physbench.scoring.stretches import CONTACT_GAP, SHORT, Motion, Stretch, Visit, motions, stretches, visits
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world
from physbench.world.geometry import gap

MISS = 0.15  # diameters: further from the fit is a miss
REST = 0.05  # diameters in REST_TIME: less is rest
REST_TIME = 0.2  # s
SAME_PLACE = 1.0  # diameters from ground truth, where a state counts only if it is that of ground truth
REST_MARGIN = 1.2  # ground truth rests, or
TOUCH_MARGIN = 2.0  # touches, within this many times the bounds for tracks, so that noise does not part the two

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the law of motion explains of one object, frame by frame over the window."""

    motion: Motion
    due: Mask  # (T,)
    weight: Array  # (T,) 0 where unexplained, else 2^-misses before
    blink: Mask  # (T,) not seen, for so short that it is no break
    misses: int


def explain(clip: Clip, tracks: Tracks) -> tuple[Explanation, ...]:
    """Explain the tracks of the moving bodies whose motion has a closed form."""
    bodies = motions(clip, tracks)
    contacts = visits(clip, tracks, bodies)
    masks = due(clip, tracks.context), accounted(clip, tracks), seen(clip, tracks)
    return tuple(
        _explain(clip, tracks, body, body.law, contacts[body.column], *(mask[:, body.column] for mask in masks))
        for body in bodies
        if body.law is not None
    )


def _explain(
    clip: Clip,
    tracks: Tracks,
    motion: Motion,
    law: Law,
    contacts: tuple[Visit, ...],
    owed: Mask,
    there: Mask,
    shown: Mask,
) -> Explanation:
    times, position, diameter = tracks.times, motion.position, motion.diameter
    truth = plane_from_world(clip.scene.camera, clip.states[clip.window(tracks.context), motion.index, :3])
    known = np.isfinite(position[:, 0])
    nearest = _nearest(known)
    bridged = known | (np.abs(times[nearest] - times) <= VAGUE) if known.any() else known
    near = (np.linalg.norm(position - truth, axis=-1) <= SAME_PLACE * diameter)[nearest] & bridged
    still = resting(times, position, diameter) & ~(near & resting(times, truth, diameter, REST_MARGIN * REST))
    touching = near & _truly_touching(clip, motion, tracks.context)
    sunk = _sunk(contacts, times)

    weight, misses = np.zeros(len(times)), 0
    pushes = known_pushes(clip, motion)
    for stretch in stretches(clip, motion, times, contacts, tuple(push.time for push in pushes)):
        frames = stretch.frames
        decided = not stretch.touching and stretch.duration >= SHORT - 1e-9
        count = fit_stretch(law, times, position, stretch, MISS * diameter, pushes) if decided else None
        missed = count is not None and count < len(frames)
        if count is None:
            good = touching[frames] if stretch.touching else near[frames]
        else:
            good = np.arange(len(frames)) < count
        good &= ~still[frames] & ~sunk[frames]
        weight[frames] = good * 0.5**misses
        begins = [visit.overlap for visit in contacts if visit.overlap is not None]
        misses += bool(missed or np.isin(frames, begins).any())
    weight = np.where(known, weight, np.minimum(weight, weight[nearest])) * (there & shown & bridged)
    return Explanation(motion, owed, weight, there & ~shown, misses)


def _nearest(known: Mask) -> NDArray[np.intp]:
    """For each frame the nearest known one (T,); the frame itself where none is."""
    at, where = np.arange(len(known)), np.flatnonzero(known)
    if not len(where):
        return at
    right = np.clip(np.searchsorted(where, at), 0, len(where) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.abs(where[left] - at) <= np.abs(where[right] - at)
    return np.asarray(np.where(nearer, where[left], where[right]))


def _sunk(contacts: tuple[Visit, ...], times: Array) -> Mask:
    """Frames from an overlap to the next contact (T,)."""
    mask = np.zeros(len(times), dtype=bool)
    for visit in contacts:
        if visit.overlap is not None:
            later = [other.start for other in contacts if other.start > visit.end]
            mask[visit.overlap :] |= times[visit.overlap :] < min(later, default=np.inf)
    return mask


def _truly_touching(clip: Clip, motion: Motion, context: int) -> Mask:
    """Frames in which ground truth is in contact, permanent supports apart (T,)."""
    states = clip.states[clip.window(context)]
    body = clip.scene.bodies[motion.index]
    mask = np.zeros(len(states), dtype=bool)
    for index, other in enumerate(clip.scene.bodies):
        if index != motion.index and index not in motion.supports and body.collides and other.collides:
            near = gap(body, states[:, motion.index, :3], other, states[:, index, :3])
            mask |= near < TOUCH_MARGIN * CONTACT_GAP * motion.diameter
    return mask


def resting(times: Array, position: Array, diameter: float, bound: float = REST) -> Mask:
    """Where a path (T, 2) m, NaN allowed, moves less than `bound` diameters in REST_TIME."""
    dt = float(times[1] - times[0]) if len(times) > 1 else REST_TIME
    half = max(1, round(REST_TIME / 2 / dt))
    at = np.arange(len(times))
    before, behind = np.maximum(at - half, 0), np.minimum(at + half, len(times) - 1)
    moved = [
        np.linalg.norm(position[j] - position[i], axis=-1) for i, j in ((before, behind), (before, at), (at, behind))
    ]
    span = np.maximum((behind - before) * dt, 1e-9)
    return np.asarray(np.max(moved, axis=0) * REST_TIME / span < bound * diameter)  # False where NaN


def fit_stretch(
    law: Law, times: Array, position: Array, stretch: Stretch, tolerance: float, pushes: tuple[Push, ...] = ()
) -> int | None:
    """Fit a stretch once, from its beginning on for as long as one motion of the law stays within `tolerance` m.

    Returns the number of frames up to the first miss (all if there is none), or None where too little is known.
    """
    usable = np.flatnonzero(np.isfinite(position[stretch.frames, 0]) & ~stretch.blurred)
    frames = stretch.frames[usable]
    if len(frames) < law.unknowns // 2 + 1:
        return None
    begin, end = float(times[frames[0]]), float(times[frames[-1]])
    count = longest_lawful(with_pushes(law, pushes, begin, end), times[frames] - begin, position[frames], tolerance)[1]
    if count == len(frames):
        return len(stretch.frames)
    return int(usable[count]) if count else 0
