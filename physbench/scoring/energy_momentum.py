"""Energy and momentum of what moves in a prediction: translation and potential, since spin is not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import Orbit
from physbench.scoring.free_segments import BodyMotion, Contact, FreeSegment
from physbench.tracks.finite_differences import known_runs, parabola_fits, smooth_velocity
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world
from physbench.world.scene import Body

SPAN = 0.6  # s of the track, at most, that give a velocity
FEWEST = 8  # frames in a row on an orbit
EDGE = 0.2  # s at both ends of a lasting contact that are left out
LEAST_RADIUS = 0.05  # m from the source of a field
# Largest spin energy over the translational energy of the fastest motion: rolling, or a box that tips over.
SPIN = {"sphere": 0.4, "cylinder": 0.5, "box": 1.0}

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Energies:
    """Energy of bodies that meet each other, directly or through others, and of nothing else."""

    bodies: tuple[BodyMotion, ...]
    total: Array  # (T,) J, NaN in frames where one of them is not known
    momentum: Array  # (T, 2) kg m/s, NaN likewise
    spin: Array  # (T,) J, the most that spin can hold at that time
    size: float  # J, the largest kinetic energy in ground truth, at least the weight times a diameter


def energies(
    clip: Clip,
    tracks: Tracks,
    bodies: tuple[BodyMotion, ...],
    contacts: Mapping[int, tuple[Contact, ...]],
    segments: Mapping[int, tuple[FreeSegment, ...]],
) -> tuple[Energies, ...]:
    """Energy over the window of each group of moving bodies that touch each other in the tracks.

    contacts, segments: of the bodies, by their columns.
    """
    alone = {body.index: _alone(clip, tracks, body, segments[body.column]) for body in bodies}
    group = {body.index: body.index for body in bodies}
    for body in bodies:
        for visit in contacts[body.column]:
            if visit.other in group:
                old, new = group[visit.other], group[body.index]
                group = {index: new if of == old else of for index, of in group.items()}
    found = []
    for name in dict.fromkeys(group.values()):
        members = tuple(body for body in bodies if group[body.index] == name)
        found.append(_together(clip, tracks, members, alone))
    return tuple(found)


def _alone(clip: Clip, tracks: Tracks, body: BodyMotion, segments: tuple[FreeSegment, ...]) -> tuple[Array, Array]:
    """Velocity (T, 2) m/s and potential plus kinetic energy per mass (T,) m2/s2, NaN where they are not known.

    Each frame has those of the nearest middle between two contacts or pushes: lawful energy does not change there.
    """
    scene, dt = clip.scene, float(tracks.times[1] - tracks.times[0])
    gravity = plane_from_world(scene.camera, np.asarray(scene.gravity, dtype=np.float64))
    velocity, whole = np.full(body.position.shape, np.nan), np.full(len(tracks.times), np.nan)
    for stretch in segments:
        path = np.full(body.position.shape, np.nan)
        frames = stretch.frames[~stretch.blurred]
        if stretch.touching:  # begins and ends with an impact, whose moment is not known
            frames = frames[round(EDGE / dt) : len(frames) - round(EDGE / dt)]
        path[frames] = body.position[frames]
        runs = known_runs(path)
        if not isinstance(body.law, Orbit):  # what happens at the hand-over is not to be smoothed away
            runs = [part for run in runs for part in np.split(run, np.searchsorted(run, [tracks.context]))]
        for run in runs:
            if isinstance(body.law, Orbit):
                if len(run) < FEWEST:
                    continue
                at, place, speed = np.arange(float(len(run))), path[run], smooth_velocity(path[run], dt)
                away = np.linalg.norm(place - np.asarray(body.law.source), axis=-1)
                potential = -body.law.mu / np.maximum(away, LEAST_RADIUS)
            else:
                at, place, speed = parabola_fits(path[run], dt, SPAN)
                potential = -place @ gravity
            if not len(at):
                continue
            nearest = np.clip(np.round(np.arange(len(run)) - at[0]), 0, len(at) - 1).astype(int)
            velocity[run], whole[run] = speed[nearest], (np.sum(speed**2, axis=-1) / 2 + potential)[nearest]
    return velocity, whole


def _together(
    clip: Clip, tracks: Tracks, members: tuple[BodyMotion, ...], alone: dict[int, tuple[Array, Array]]
) -> Energies:
    camera = clip.scene.camera
    true = clip.states[clip.window(tracks.context)]
    weight = np.linalg.norm(plane_from_world(camera, np.asarray(clip.scene.gravity, dtype=np.float64)))
    total, spin, truth, least = (np.zeros(len(tracks.times)) for _ in range(4))
    momentum = np.zeros((len(tracks.times), 2))
    for motion in members:
        body = clip.scene.bodies[motion.index]
        velocity, whole = alone[motion.index]
        total += body.mass * whole
        momentum += body.mass * velocity
        if _grips(clip, motion, body):
            fastest = np.maximum.accumulate(np.nan_to_num(np.sum(velocity**2, axis=-1)))
            spin += SPIN.get(body.shape, 1.0) * body.mass * fastest / 2
        truth += body.mass * np.sum(plane_from_world(camera, true[:, motion.index, 7:10]) ** 2, axis=-1) / 2
        least += body.mass * weight * motion.diameter
    return Energies(members, total, momentum, spin, max(float(truth.max()), float(least.max()), 1e-9))


def _grips(clip: Clip, motion: BodyMotion, body: Body) -> bool:
    """Whether friction of anything can turn a body's spin into motion."""
    return body.collides and any(
        body.friction * other.friction > 0 and other.collides
        for index, other in enumerate(clip.scene.bodies)
        if index != motion.index
    )


def between_impulses(clip: Clip, times: Array) -> list[NDArray[np.intp]]:
    """Frames between the impulses that the scene gives (they bring energy and momentum), each with at least two."""
    cuts = sorted({action.time for action in clip.scene.impulses if times[0] < action.time < times[-1]})
    parts = np.searchsorted(cuts, times - 1e-9, side="left")
    return [frames for part in range(len(cuts) + 1) if len(frames := np.flatnonzero(parts == part)) > 1]
