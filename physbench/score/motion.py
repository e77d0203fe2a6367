"""Motion between contacts: free segments, velocities at impacts, energy, momentum, penetration, error of position."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.laws.closed_form import Law, Orbit, law_of, supports
from physbench.support.arrays import Array
from physbench.track.tracks import Tracks, known_runs, parabola_fits, smooth_velocity
from physbench.track.visibility import has_position, tracked_with_gaps, truth_framed, truth_visible
from physbench.world.camera import PLANE_AXES, plane_from_px, plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.geometry import gap, rotate
from physbench.world.scene import Body

# Contacts of tracked bodies, and the free segments of a track between them.
#
# Between frames a track is extrapolated by the law of motion, from the frames before and from the frames after. The gap
# to another body is the larger of the two gaps: it follows both sides of a bounce down to the moment between two frames
# at which it happened.


@dataclass(frozen=True)
class FitSpans:
    """Spans of a track that give a velocity or an acceleration, s."""

    fit: float = 0.3  # of a segment that gives an acceleration, at least
    brief: float = 0.2  # a contact that lasts longer is a segment of its own
    baseline: float = 0.05  # between the two frames that give a velocity, at least
    extrapolation: float = 0.3  # from the last frame that shows the body, at most
    least_side: float = 0.15  # on each side of a contact
    most_side: float = 0.5  # the same
    parabola: float = 0.6  # of a parabola that gives a velocity, at most
    contact_edge: float = 0.2  # at both ends of a lasting contact that are left out


SPAN = FitSpans()


MOMENTS_PER_FRAME = 8


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
    """A time that a body spends within 0.1 diameters of another."""

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
    motions = []
    for column, index in enumerate(clip.tracked):
        body = clip.scene.bodies[index]
        if body.role != "moving":
            continue
        start = 0 if body.release is None else int(np.searchsorted(tracks.times, body.release - 1e-9))
        motions.append(
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
    return tuple(motions)


def fine_times(times: Array) -> Array:
    """MOMENTS_PER_FRAME moments per frame: (T,) s -> ((T - 1) MOMENTS_PER_FRAME + 1,) s."""
    steps = np.arange((len(times) - 1) * MOMENTS_PER_FRAME + 1) / MOMENTS_PER_FRAME
    return np.interp(steps, np.arange(len(times)), times)


def extrapolate(times: Array, position: Array, law: Law | None, moments: Array) -> Array:
    """Extrapolate a track by its law of motion from the frames before each moment.

    times (T,) s increasing, position (T, 2) m with NaN, moments (M,) s -> (M, 2) m. NaN more than `extrapolation`
    after the last frame.
    """
    known = np.flatnonzero(np.isfinite(position[:, 0]))
    extrapolated = np.full((len(moments), 2), np.nan)
    if not len(known):
        return extrapolated
    t, p = times[known], position[known]
    base = np.searchsorted(t, t - SPAN.baseline + 1e-9, side="right") - 1  # the last frame at least so long before
    span = t - t[np.maximum(base, 0)]
    usable = (base >= 0) & (span <= SPAN.extrapolation + 1e-9)
    a = np.zeros_like(p) if law is None else law.acceleration(p)
    span = np.where(usable, span, 1.0)[:, None]
    velocity = np.where(usable[:, None], (p - p[np.maximum(base, 0)]) / span + a * span / 2, np.nan)

    last = np.searchsorted(t, moments + 1e-9, side="right") - 1
    ahead = (moments - t[np.maximum(last, 0)])[:, None]
    last_ = np.maximum(last, 0)
    exact = np.abs(ahead[:, 0]) < 1e-9
    moved = np.where(exact[:, None], p[last_], p[last_] + velocity[last_] * ahead + a[last_] * ahead**2 / 2)
    valid = (last >= 0) & (ahead[:, 0] <= SPAN.extrapolation)
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
    contacts = []
    for index, path in paths.items():
        if index == motion.index or index in motion.supports:
            continue
        other = clip.scene.bodies[index]
        near = np.fmax(gap(body, own[0], other, path[0]), gap(body, own[1], other, path[1])) / motion.diameter
        near[: motion.start * MOMENTS_PER_FRAME] = np.nan
        close = np.concatenate([[False], near < 0.1, [False]])  # diameters: closer is a contact
        edges = np.flatnonzero(np.diff(close.astype(np.int8)))
        for first, end in edges.reshape(-1, 2):
            lowest = first + int(np.argmin(near[first:end]))
            contacts.append(
                ContactInterval(
                    float(moments[first]),
                    float(moments[end - 1]),
                    float(moments[lowest]),
                    index,
                )
            )
    return tuple(sorted(contacts, key=lambda contact: (contact.deepest, contact.other)))


def free_segments(
    clip: Clip, motion: BodyMotion, times: Array, contacts: tuple[ContactInterval, ...]
) -> tuple[FreeSegment, ...]:
    """Cut the frames of a track, from its release on, at its contacts and at the impulses that the scene gives it."""
    name = clip.scene.bodies[motion.index].name
    dt = float(times[1] - times[0]) if len(times) > 1 else 1.0
    brief = [contact.deepest for contact in contacts if contact.end - contact.start < SPAN.brief]
    brief += [action.time for action in clip.scene.impulses if action.body == name]
    lasting = [(contact.start, contact.end) for contact in contacts if contact.end - contact.start >= SPAN.brief]
    cuts = np.array(sorted(brief + [edge for pair in lasting for edge in pair]))
    part = np.searchsorted(cuts, times, side="left")
    touching = np.zeros(len(times), dtype=bool)
    for first, last in lasting:
        touching |= (times >= first - 1e-9) & (times <= last + 1e-9)
    ambiguous = np.zeros(len(times), dtype=bool)
    for cut in brief:
        ambiguous |= np.abs(times - cut) < dt / MOMENTS_PER_FRAME + 1e-9
    segments = []
    edges = np.flatnonzero(np.diff(part * 2 + touching, prepend=-1)).tolist()
    for begin, end in zip(edges, [*edges[1:], len(times)], strict=True):
        frames = np.arange(max(begin, motion.start), end)
        if not len(frames):
            continue
        at = int(part[frames[0]])
        since = float(cuts[at - 1]) if at > 0 else float(times[motion.start])
        until = float(cuts[at]) if at < len(cuts) else float(times[-1])
        segments.append(FreeSegment(frames, until - since, bool(touching[frames[0]]), ambiguous[frames]))
    return tuple(segments)


# Velocities just before and just after a contact, from the track on both sides of it.


def states_before_and_after(
    times: Array, body: BodyMotion, moment: float, segments: tuple[FreeSegment, ...]
) -> tuple[Array, Array] | None:
    """Position and velocity of a body just before and just after a contact.

    Fits of the law of motion, or of constant acceleration where there is none, to at most `most_side` between this
    contact and the next.

    Args:
        times: (T,) s of the frames.
        moment: s, of the contact.

    Returns two states (4,) in m and m/s; None where a side shows less than `least_side`, or only frames further away.
    """
    fits = []
    free = [segment for segment in segments if not segment.touching]
    for side in (-1.0, 1.0):
        best: NDArray[np.intp] | None = None
        least = SPAN.most_side / 2
        for segment in free:  # the nearest on this side: beyond another contact or impulse the motion is another one
            frames = segment.frames[np.isfinite(body.position[segment.frames, 0]) & ~segment.ambiguous]
            offset = (times[frames] - moment) * side
            frames = frames[(offset > -1e-9) & (offset <= SPAN.most_side)]
            if len(frames) and float(np.min(offset[offset > -1e-9])) < least:
                best, least = frames, float(np.min(offset[offset > -1e-9]))
        if best is None or len(best) < 3 or np.ptp(times[best]) < SPAN.least_side:
            return None
        fits.append(_fit(body.law, times[best] - moment, body.position[best]))
    return fits[0], fits[1]


def _fit(law: Law | None, dt: Array, position: Array) -> Array:
    """State (4,) at dt = 0."""
    if law is not None:
        return law.fit(dt, position)
    design = np.stack([np.ones_like(dt), dt, dt**2][: 3 if len(dt) > 3 else 2], axis=-1)
    return np.asarray(np.linalg.lstsq(design, position, rcond=None)[0][:2].reshape(4))


# Energy and momentum of the moving bodies of a prediction, translational and potential: spin is not seen.


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
    energies_of_runs = []
    for name in dict.fromkeys(group.values()):
        members = tuple(body for body in bodies if group[body.index] == name)
        energies_of_runs.append(_energies_of(clip, tracks, members, per_body))
    return tuple(energies_of_runs)


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
            frames = frames[round(SPAN.contact_edge / dt) : len(frames) - round(SPAN.contact_edge / dt)]
        path[frames] = body.position[frames]
        runs = known_runs(path)
        if not isinstance(body.law, Orbit):  # a jump at the hand-over must not be smoothed away
            runs = [part for run in runs for part in np.split(run, np.searchsorted(run, [tracks.context]))]
        for run in runs:
            if isinstance(body.law, Orbit):
                if len(run) < MIN_ORBIT_FRAMES:
                    continue
                at, position, velocities = np.arange(float(len(run))), path[run], smooth_velocity(path[run], dt)
                away = np.linalg.norm(position - np.asarray(body.law.source), axis=-1)
                potential = -body.law.mu / np.maximum(away, MIN_RADIUS)
            else:
                at, position, velocities = parabola_fits(path[run], dt, SPAN.parabola)
                potential = -position @ gravity
            if not len(at):
                continue
            nearest = np.clip(np.round(np.arange(len(run)) - at[0]), 0, len(at) - 1).astype(int)
            velocity[run], specific[run] = (
                velocities[nearest],
                (np.sum(velocities**2, axis=-1) / 2 + potential)[nearest],
            )
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
            # At most the share that rolling has, or a box that tips over.
            spin += {"sphere": 0.4, "cylinder": 0.5, "box": 1.0}.get(body.shape, 1.0) * body.mass * fastest / 2
        truth += body.mass * np.sum(plane_from_world(camera, true[:, motion.index, 7:10]) ** 2, axis=-1) / 2
        least += body.mass * weight * motion.diameter
    return Energies(members, total, momentum, spin, max(float(truth.max()), float(least.max()), 1e-9))


def _can_roll(clip: Clip, motion: BodyMotion, body: Body) -> bool:
    """True if friction with another body can turn spin into motion."""
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


# Distances of tracked bodies from everything solid in a scene.


def gaps(
    clip: Clip,
    tracks: Tracks,
    bodies: tuple[BodyMotion, ...],
    motion: BodyMotion,
    *,
    shift: float = 0.0,
    turned: Literal["inner", "outer"] = "inner",
) -> Array:
    """Distance in m of a tracked body from each other solid one over the window (J, T); negative: overlap.

    NaN where one of them is not known or gone. shift: m by which the body is moved along the scene's gravity. The
    orientation of a body is not seen: one that turns in ground truth, and is no ball, counts as the largest disc inside
    it ("inner": the distance is at least this large) or the smallest one around it ("outer": at most).
    """
    scene = clip.scene
    body = scene.bodies[motion.index]
    if not body.collides:
        return np.full((0, len(tracks.times)), np.nan)
    by_index = {other.index: other for other in bodies}
    pull = np.asarray(scene.gravity, dtype=np.float64)
    own = _path(clip, tracks, motion.index, motion) + shift * pull / max(float(np.linalg.norm(pull)), 1e-12)
    shape = _shape(clip, tracks, motion.index, turned)
    gaps_of_bodies = []
    for index, other in enumerate(scene.bodies):
        if index == motion.index or not other.collides:
            continue
        path = _path(clip, tracks, index, by_index.get(index))
        gaps_of_bodies.append(gap(shape, own, _shape(clip, tracks, index, turned), path))
    return np.stack(gaps_of_bodies) if gaps_of_bodies else np.full((0, len(tracks.times)), np.nan)


def _path(clip: Clip, tracks: Tracks, index: int, motion: BodyMotion | None) -> Array:
    """Centre of a body over the window (T, 3) m: tracked if it moves by itself, else true."""
    body = clip.scene.bodies[index]
    path = clip.states[clip.window(tracks.context), index, :3].copy()
    if motion is not None:
        path[:, list(PLANE_AXES[clip.scene.camera.view])] = motion.position
        path[: motion.start] = np.nan
    if body.until is not None:
        path[tracks.times >= body.until] = np.nan
    return path


def _shape(clip: Clip, tracks: Tracks, index: int, turned: Literal["inner", "outer"]) -> Body:
    """The body in its first orientation, or a ball in its place where an axis of it turns by more than 3 degrees."""
    body = clip.scene.bodies[index]
    if body.shape in ("sphere", "plane"):
        return body
    turns = clip.states[clip.window(tracks.context), index, 3:7]
    turns = turns[:1] if (turns == turns[0]).all() else turns  # most bodies never turn
    axes = [np.array([0.0, 0.0, 1.0])] if body.shape == "cylinder" else list(np.eye(3))
    most = max(
        float(np.linalg.norm(np.cross(rotate(turns, axis), rotate(body.orientation, axis)), axis=-1).max())
        for axis in axes
    )
    if most < 0.05:  # sine of the angle; up to it the orientation counts as known
        return body
    extents = (body.size[0], body.size[1] / 2)
    if body.shape == "box":
        first, second = PLANE_AXES[clip.scene.camera.view]
        extents = (body.size[first], body.size[second])
    return replace(body, shape="sphere", size=(min(extents) if turned == "inner" else math.hypot(*extents),))


def error_curve(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """Distance to ground truth in the image over the object's apparent diameter there, per predicted frame.

    tracks: of a prediction for the clip.

    Returns:
        (T, K) diameters. NaN where ground truth does not show the object, and in short gaps without a position; inf
        where it is shown and absent.
    """
    expected = truth_framed(clip, tracks)
    error = _distance(clip, tracks)
    error[~has_position(tracks) | ~expected] = np.nan
    error[expected & ~tracked_with_gaps(clip, tracks)] = np.inf
    return np.asarray(error[tracks.context :])


def error_out_of_place(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """The same where a prediction shows an object in the view while ground truth shows none there, (T, K) diameters.

    Ground truth knows where a hidden object is: one that comes out from behind a screen is off. NaN elsewhere.
    """
    size = np.array([clip.spec.width, clip.spec.height])
    with np.errstate(invalid="ignore"):
        inside = ((tracks.position >= 0) & (tracks.position <= size)).all(axis=-1)
    shown = inside & has_position(tracks) & ~truth_visible(clip, tracks.context)
    error = np.where(shown, _distance(clip, tracks), np.nan)
    return np.asarray(error[tracks.context :])


def _distance(clip: Clip, tracks: Tracks) -> NDArray[np.float64]:
    """Distance to ground truth (C + T, K) in diameters; NaN without a position."""
    window = clip.window(tracks.context)
    diameter = np.maximum(clip.diameters()[window] * clip.pixels_per_metre, 1e-9)
    return np.asarray(np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1) / diameter)
