"""Contacts of tracked bodies, and the free segments of a track between them.

Between frames a track is extrapolated by the law of motion, from the frames before and from the frames after. The gap
to another body is the larger of the two gaps: it follows both sides of a bounce down to the moment between two frames
at which it happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import Law, law_of, supports
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES, plane_from_px
from physbench.world.geometry import gap
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]

CONTACT_GAP = 0.1  # diameters: closer is a contact
MIN_FIT_SPAN = 0.3  # s of a segment that gives an acceleration
BRIEF = 0.2  # s; a contact that lasts longer is a segment of its own
MOMENTS_PER_FRAME = 8
MIN_BASELINE = 0.05  # s between the two frames that give a velocity
MAX_EXTRAPOLATION = 0.3  # s from the last frame that shows the body


# Of the orbits of tracked bodies.
MIN_ORBIT_FRAMES = 8  # in a row, for velocities
MIN_RADIUS = 0.05  # m from the source of a field; nearer positions count as this far


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """A tracked moving body in the plane of motion."""

    column: int  #: of the tracks
    index: int  #: in the scene
    diameter: float  #: m
    law: Law | None  #: of motion in closed form while only its supports touch it; None where there is none
    supports: tuple[int, ...]  #: bodies that it always touches, indices in the scene
    start: int  #: first frame of the window in which it moves freely
    position: Array  #: (T, 2) m, NaN where not known


@dataclass(frozen=True)
class ContactInterval:
    """A time that a body spends within CONTACT_GAP of another."""

    start: float  #: s
    end: float  #: s
    deepest: float  #: s, moment of the smallest gap
    other: int  #: index in the scene


@dataclass(frozen=True, eq=False)
class FreeSegment:
    """Frames between two contacts or impulses, or within a contact that lasts."""

    frames: NDArray[np.intp]  #: (n,) consecutive indices into the window
    duration: float  #: s between the contacts or impulses
    touching: bool  #: a contact that lasts
    ambiguous: NDArray[np.bool_]  #: (n,) so near to a contact that its side is not known


def body_motions(clip: Clip, tracks: Tracks) -> tuple[BodyMotion, ...]:
    """The tracked bodies that move, with their laws."""
    where = plane_from_px(clip.scene.camera, clip.spec, tracks.position)
    found = []
    for column, index in enumerate(clip.tracked):
        body = clip.scene.bodies[index]
        if body.role != "moving":
            continue
        start = 0 if body.release is None else int(np.searchsorted(tracks.times, body.release - 1e-9))
        found.append(
            BodyMotion(
                column,
                index,
                2 * apparent_radius(body, clip.scene.camera),
                law_of(clip, index),
                supports(clip, index),
                start,
                np.asarray(where[:, column], np.float64),
            )
        )
    return tuple(found)


def fine_times(times: Array) -> Array:
    """MOMENTS_PER_FRAME moments per frame: (T,) s -> ((T - 1) MOMENTS_PER_FRAME + 1,) s."""
    steps = np.arange((len(times) - 1) * MOMENTS_PER_FRAME + 1) / MOMENTS_PER_FRAME
    return np.interp(steps, np.arange(len(times)), times)


def extrapolate(times: Array, position: Array, law: Law | None, moments: Array) -> Array:
    """Extrapolate a track by its law of motion from the frames before each moment.

    times (T,) s increasing, position (T, 2) m with NaN, moments (M,) s -> (M, 2) m. NaN more than MAX_EXTRAPOLATION
    after the last frame.
    """
    known = np.flatnonzero(np.isfinite(position[:, 0]))
    extrapolated = np.full((len(moments), 2), np.nan)
    if not len(known):
        return extrapolated
    t, p = times[known], position[known]
    base = np.searchsorted(t, t - MIN_BASELINE + 1e-9, side="right") - 1  # the last frame at least MIN_BASELINE before
    span = t - t[np.maximum(base, 0)]
    usable = (base >= 0) & (span <= MAX_EXTRAPOLATION + 1e-9)
    a = np.zeros_like(p) if law is None else law.acceleration(p)
    span = np.where(usable, span, 1.0)[:, None]
    velocity = np.where(usable[:, None], (p - p[np.maximum(base, 0)]) / span + a * span / 2, np.nan)

    last = np.searchsorted(t, moments + 1e-9, side="right") - 1
    ahead = (moments - t[np.maximum(last, 0)])[:, None]
    last_ = np.maximum(last, 0)
    exact = np.abs(ahead[:, 0]) < 1e-9
    moved = np.where(exact[:, None], p[last_], p[last_] + velocity[last_] * ahead + a[last_] * ahead**2 / 2)
    valid = (last >= 0) & (ahead[:, 0] <= MAX_EXTRAPOLATION)
    extrapolated[valid] = moved[valid]
    return extrapolated


def extrapolate_both_ways(times: Array, motion: BodyMotion, moments: Array) -> tuple[Array, Array]:
    """The track extrapolated forwards and backwards, (M, 2) m each."""
    ahead = extrapolate(times, motion.position, motion.law, moments)
    back = extrapolate(-times[::-1], motion.position[::-1], motion.law, -moments[::-1])[::-1]
    return ahead, back


def contacts_of(clip: Clip, tracks: Tracks, bodies: tuple[BodyMotion, ...]) -> dict[int, tuple[ContactInterval, ...]]:
    """Contacts of every moving body, by its column, in the order of time. Permanent supports do not count."""
    moments = fine_times(tracks.times)
    truth = clip.states[clip.window(tracks.context), :, :3]
    axes = list(PLANE_AXES[clip.scene.camera.view])
    paths: dict[int, tuple[Array, Array]] = {}
    for index, body in enumerate(clip.scene.bodies):
        if body.collides:
            steps = np.arange(len(moments)) / MOMENTS_PER_FRAME
            line = np.stack([np.interp(steps, np.arange(len(truth)), x) for x in truth[:, index].T], axis=-1)
            if body.until is not None:
                line[moments >= body.until] = np.nan
            paths[index] = (line, line)
    for motion in bodies:
        if motion.index in paths:
            both = []
            for flat in extrapolate_both_ways(tracks.times, motion, moments):
                solid = paths[motion.index][0].copy()
                solid[:, axes] = flat
                both.append(solid)
            paths[motion.index] = (both[0], both[1])
    return {motion.column: _contacts_of_body(clip, motion, paths, moments) for motion in bodies}


def _contacts_of_body(
    clip: Clip, motion: BodyMotion, paths: dict[int, tuple[Array, Array]], moments: Array
) -> tuple[ContactInterval, ...]:
    if motion.index not in paths:
        return ()
    body, own = clip.scene.bodies[motion.index], paths[motion.index]
    found = []
    for index, path in paths.items():
        if index == motion.index or index in motion.supports:
            continue
        other = clip.scene.bodies[index]
        near = np.fmax(gap(body, own[0], other, path[0]), gap(body, own[1], other, path[1])) / motion.diameter
        near[: motion.start * MOMENTS_PER_FRAME] = np.nan
        close = np.concatenate([[False], near < CONTACT_GAP, [False]])
        edges = np.flatnonzero(np.diff(close.astype(np.int8)))
        for first, end in edges.reshape(-1, 2):
            lowest = first + int(np.argmin(near[first:end]))
            found.append(
                ContactInterval(
                    float(moments[first]),
                    float(moments[end - 1]),
                    float(moments[lowest]),
                    index,
                )
            )
    return tuple(sorted(found, key=lambda contact: (contact.deepest, contact.other)))


def free_segments(
    clip: Clip, motion: BodyMotion, times: Array, contacts: tuple[ContactInterval, ...]
) -> tuple[FreeSegment, ...]:
    """Cut the frames of a track, from its release on, at its contacts and at the impulses that the scene gives it."""
    name = clip.scene.bodies[motion.index].name
    dt = float(times[1] - times[0]) if len(times) > 1 else 1.0
    brief = [contact.deepest for contact in contacts if contact.end - contact.start < BRIEF]
    brief += [action.time for action in clip.scene.impulses if action.body == name]
    lasting = [(contact.start, contact.end) for contact in contacts if contact.end - contact.start >= BRIEF]
    cuts = np.array(sorted(brief + [edge for pair in lasting for edge in pair]))
    part = np.searchsorted(cuts, times, side="left")
    touching = np.zeros(len(times), dtype=bool)
    for first, last in lasting:
        touching |= (times >= first - 1e-9) & (times <= last + 1e-9)
    ambiguous = np.zeros(len(times), dtype=bool)
    for cut in brief:
        ambiguous |= np.abs(times - cut) < dt / MOMENTS_PER_FRAME + 1e-9
    found = []
    edges = np.flatnonzero(np.diff(part * 2 + touching, prepend=-1)).tolist()
    for begin, end in zip(edges, [*edges[1:], len(times)], strict=True):
        frames = np.arange(max(begin, motion.start), end)
        if not len(frames):
            continue
        at = int(part[frames[0]])
        since = float(cuts[at - 1]) if at > 0 else float(times[motion.start])
        until = float(cuts[at]) if at < len(cuts) else float(times[-1])
        found.append(FreeSegment(frames, until - since, bool(touching[frames[0]]), ambiguous[frames]))
    return tuple(found)
