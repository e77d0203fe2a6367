"""Energy and momentum of the moving bodies of a prediction, translational and potential: spin is not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import Orbit
from physbench.scoring.free_segments import MIN_ORBIT_FRAMES, MIN_RADIUS, BodyMotion, ContactInterval, FreeSegment
from physbench.tracks.finite_differences import known_runs, parabola_fits, smooth_velocity
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world
from physbench.world.scene import Body

PARABOLA_SPAN = 0.6  # s of the track, at most, that give a velocity
CONTACT_EDGE = 0.2  # s at both ends of a lasting contact that are left out
# Largest energy of spin over the translational energy of the fastest motion: rolling, or a box that tips over.
SPIN_SHARE = {"sphere": 0.4, "cylinder": 0.5, "box": 1.0}

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Energies:
    """Energy of a group of bodies that touch each other, directly or through others."""

    bodies: tuple[BodyMotion, ...]  #: of the group
    total: Array  #: (T,) J, NaN in frames where the velocity of one of them is not known
    momentum: Array  #: (T, 2) kg m/s, NaN likewise
    spin: Array  #: (T,) J, the largest energy of spin at that time
    size: float  #: J, the largest kinetic energy in ground truth, at least the weight times a diameter


def energies(
    clip: Clip,
    tracks: Tracks,
    bodies: tuple[BodyMotion, ...],
    contacts: Mapping[int, tuple[ContactInterval, ...]],
    segments: Mapping[int, tuple[FreeSegment, ...]],
) -> tuple[Energies, ...]:
    """Energy and momentum over the window of each group of moving bodies that touch each other in the tracks.

    contacts, segments: of the bodies, by their columns.
    """
    per_body = {body.index: _energy_of(clip, tracks, body, segments[body.column]) for body in bodies}
    group = {body.index: body.index for body in bodies}
    for body in bodies:
        for contact in contacts[body.column]:
            if contact.other in group:
                old, new = group[contact.other], group[body.index]
                group = {index: new if of == old else of for index, of in group.items()}
    found = []
    for name in dict.fromkeys(group.values()):
        members = tuple(body for body in bodies if group[body.index] == name)
        found.append(_energies_of(clip, tracks, members, per_body))
    return tuple(found)


def _energy_of(clip: Clip, tracks: Tracks, body: BodyMotion, segments: tuple[FreeSegment, ...]) -> tuple[Array, Array]:
    """Velocity (T, 2) m/s and potential plus kinetic energy per mass (T,) m2/s2, NaN where they are not known.

    Each frame has those of the nearest window between two contacts or impulses, where lawful energy does not change.
    """
    scene, dt = clip.scene, float(tracks.times[1] - tracks.times[0])
    gravity = plane_from_world(scene.camera, np.asarray(scene.gravity, dtype=np.float64))
    velocity, specific = np.full(body.position.shape, np.nan), np.full(len(tracks.times), np.nan)
    for segment in segments:
        path = np.full(body.position.shape, np.nan)
        frames = segment.frames[~segment.ambiguous]
        if segment.touching:  # begins and ends with an impact at an unknown moment
            frames = frames[round(CONTACT_EDGE / dt) : len(frames) - round(CONTACT_EDGE / dt)]
        path[frames] = body.position[frames]
        runs = known_runs(path)
        if not isinstance(body.law, Orbit):  # a jump at the hand-over must not be smoothed away
            runs = [part for run in runs for part in np.split(run, np.searchsorted(run, [tracks.context]))]
        for run in runs:
            if isinstance(body.law, Orbit):
                if len(run) < MIN_ORBIT_FRAMES:
                    continue
                at, position, found = np.arange(float(len(run))), path[run], smooth_velocity(path[run], dt)
                away = np.linalg.norm(position - np.asarray(body.law.source), axis=-1)
                potential = -body.law.mu / np.maximum(away, MIN_RADIUS)
            else:
                at, position, found = parabola_fits(path[run], dt, PARABOLA_SPAN)
                potential = -position @ gravity
            if not len(at):
                continue
            nearest = np.clip(np.round(np.arange(len(run)) - at[0]), 0, len(at) - 1).astype(int)
            velocity[run], specific[run] = found[nearest], (np.sum(found**2, axis=-1) / 2 + potential)[nearest]
    return velocity, specific


def _energies_of(
    clip: Clip, tracks: Tracks, members: tuple[BodyMotion, ...], per_body: dict[int, tuple[Array, Array]]
) -> Energies:
    camera = clip.scene.camera
    true = clip.states[clip.window(tracks.context)]
    weight = np.linalg.norm(plane_from_world(camera, np.asarray(clip.scene.gravity, dtype=np.float64)))
    total, spin, truth, least = (np.zeros(len(tracks.times)) for _ in range(4))
    momentum = np.zeros((len(tracks.times), 2))
    for motion in members:
        body = clip.scene.bodies[motion.index]
        velocity, specific = per_body[motion.index]
        total += body.mass * specific
        momentum += body.mass * velocity
        if _can_roll(clip, motion, body):
            fastest = np.maximum.accumulate(np.nan_to_num(np.sum(velocity**2, axis=-1)))
            spin += SPIN_SHARE.get(body.shape, 1.0) * body.mass * fastest / 2
        truth += body.mass * np.sum(plane_from_world(camera, true[:, motion.index, 7:10]) ** 2, axis=-1) / 2
        least += body.mass * weight * motion.diameter
    return Energies(members, total, momentum, spin, max(float(truth.max()), float(least.max()), 1e-9))


def _can_roll(clip: Clip, motion: BodyMotion, body: Body) -> bool:
    """Whether friction with another body can turn spin into motion."""
    return body.collides and any(
        body.friction * other.friction > 0 and other.collides
        for index, other in enumerate(clip.scene.bodies)
        if index != motion.index
    )


def between_impulses(clip: Clip, times: Array) -> list[NDArray[np.intp]]:
    """Groups of at least two frames between the impulses of the scene, which bring energy and momentum."""
    cuts = sorted({action.time for action in clip.scene.impulses if times[0] < action.time < times[-1]})
    parts = np.searchsorted(cuts, times - 1e-9, side="left")
    return [frames for part in range(len(cuts) + 1) if len(frames := np.flatnonzero(parts == part)) > 1]
