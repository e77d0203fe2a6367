"""Observed motion: positions of bodies over time, what a camera sees of them, and naive extrapolations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from physbench.clips.clip import Clip
from physbench.laws.scene_law import SceneLaw
from physbench.support.arrays import Array, Mask
from physbench.track.scenery import STAR_SDS, shown_directions
from physbench.track.tracks import Tracks, Visibility, resting
from physbench.track.visibility import (
    HIDDEN_SHARE,
    VISIBLE_SHARE,
    detected,
    due_framing,
    has_position,
    short_gaps,
    shown_whole,
    tracked_with_gaps,
    truth_framed,
)
from physbench.world.camera import (
    PLANE_AXES,
    depth_axis,
    depth_scale,
    foot,
    in_picture,
    least_scale,
    normal,
    pixels_per_metre,
    plane_distance,
    plane_from_world,
    planes_from_px,
    px_from_plane,
)
from physbench.world.drawing import apparent_radius
from physbench.world.geometry import rotate
from physbench.world.renderer import SUPERSAMPLING
from physbench.world.scene import PHYSICS_HZ, Body, Camera, RenderSpec, Rod, String

if TYPE_CHECKING:
    from physbench.shadowing.context import VelocityPrior

# What a camera would see of bodies at other positions than the true ones: behind a screen, outside the image.


SHARE_MARGIN = 0.1  # of a disc, by which its visible share may be wrong, since an arc is off by a tolerance


@dataclass(frozen=True, eq=False)
class SightModel:
    """The image's window and the screens in front of N bodies in T frames, as they appear in the plane of motion."""

    centre: Array  # (2,) m, where the eye stands before the plane
    camera: Camera
    spec: RenderSpec
    scale: Array  # (N,) apparent size of what lies in a body's plane over its true size
    radius: Array  # (N,) m
    middle: Array  # (T, S, 2) m of the screens; NaN where one is absent
    side: Array  # (S, 2) unit, along the first side of a screen
    reach: Array  # (T, S, 2) m, half of its sides
    nearer: Mask  # (S, N) whether a screen stands nearer to the camera than a body
    framing: Array | None = None  # (T, 3, 3) of a moving camera, see `Tracks`

    def apparent_position(self, position: Array) -> Array:
        """Positions (..., N, 2) m in the planes of the bodies as they appear in the plane of motion (..., N, 2) m."""
        return np.asarray(self.centre + (position - self.centre) * self.scale[:, None])

    def inside(self, position: Array, frames: slice = slice(None)) -> Mask:
        """Mask (..., N) of bodies at positions (..., N, 2) m whose centres are in the image; False where NaN."""
        return self._in_image(self.apparent_position(position)[..., None, :], frames)[..., 0]

    def away(self, position: Array) -> Mask:
        """Mask (T, N) of bodies at positions (T, N, 2) m that a camera shows at rest, but not where it looks now."""
        points = self.apparent_position(position)[..., None, :] + (self.radius * self.scale)[:, None, None] * _POINTS
        unseen = self._in_image(points).mean(axis=-1) < HIDDEN_SHARE
        return np.asarray(unseen & replace(self, framing=None).inside(position))

    def _in_image(self, points: Array, frames: slice = slice(None)) -> Mask:
        """Mask (..., F, N, P) of places (..., F, N, P, 2) m in the plane of motion, in the image; False where NaN."""
        size = np.array([self.spec.width, self.spec.height])
        with np.errstate(invalid="ignore"):
            if self.camera.tilt or self.framing is not None:
                px = px_from_plane(self.camera, self.spec, points)
                inside = np.asarray((np.abs(px - size / 2) <= size / 2).all(axis=-1))
                if self.framing is not None:
                    inside &= in_picture(self.framing[frames, None, None], self.spec, px)
                return inside
            half = size / 2 / pixels_per_metre(self.camera, self.spec)
            return np.asarray((np.abs(points - self.centre) <= half).all(axis=-1))

    def visible_share(self, position: Array, frames: slice = slice(None)) -> Array:
        """Visible share (K, F, N) of discs at positions (K, F, N, 2) m in frames; 0 outside the image and where NaN."""
        centre = self.apparent_position(position)
        radius = self.radius * self.scale
        points = centre[..., None, :] + radius[:, None, None] * _POINTS  # (K, F, N, P, 2)
        with np.errstate(invalid="ignore"):
            seen = self._in_image(points, frames)
            for s in range(self.nearer.shape[0]):
                middle, reach = (part[frames, s][:, None, None] for part in (self.middle, self.reach))
                (x, y), away = self.side[s], points - middle
                behind = (np.abs(away @ np.array([[x, -y], [y, x]])) <= reach).all(axis=-1)
                seen &= ~(behind & self.nearer[s][:, None])
            for n in range(len(radius)):
                for other in np.flatnonzero(self.scale > self.scale[n] + 1e-9):
                    away = np.linalg.norm(points[:, :, n] - centre[:, :, other, None], axis=-1)
                    seen[:, :, n] &= ~(away < radius[other])
        return np.asarray(np.where(self.inside(position, frames), seen.mean(axis=-1), 0.0))

    def out_of_sight(self, position: Array) -> Mask:
        """Mask (T, N) of bodies at positions (T, N, 2) m that need not be visible."""
        hidden = self.visible_share(position[None])[0] < VISIBLE_SHARE + SHARE_MARGIN
        return np.asarray(hidden & np.isfinite(position[..., 0]))


def _points() -> Array:
    """Points (P, 2) spread evenly over a disc of radius 1."""
    rings = []
    # radii and numbers of the points that stand for a disc
    for radius, count in ((0.0, 1), (0.4, 6), (0.7, 10), (0.92, 14)):
        angle = 2 * np.pi * (np.arange(count) + radius) / count
        rings.append(radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    return np.concatenate(rings)


_POINTS = _points()


def sight_model(
    clip: Clip,
    index: tuple[int, ...],
    depth: Array,
    radius: Array,
    frames: NDArray[np.intp],
    framing: Array | None = None,
) -> SightModel:
    """View of a clip's camera on bodies index (N,) at depth (N,) m along the view axis, in frames (T,) of the clip.

    framing (T, 3, 3): what a moving camera shows, see `Tracks`.

    Screens are the drawn boxes that do not move by themselves. A screen that leans towards the camera counts as its
    bounding rectangle.
    """
    camera, across = clip.scene.camera, depth_axis(clip.scene.camera)
    towards, distance = float(normal(camera)[across]), plane_distance(camera)
    centre = foot(camera)
    ahead = distance + towards * (depth - camera.center[across])  # (N,) m from the eye
    axes = list(PLANE_AXES[camera.view])
    middles, sides, halves, nearer = [], [], [], []
    for i, body in enumerate(clip.scene.bodies):
        if body.role == "moving" or not body.drawn or body.shape != "box":
            continue
        turned = rotate(body.orientation, np.eye(3))  # (3, 3): where its axes point
        reach = np.abs(turned).T @ np.asarray(body.size)  # (3,) m
        position = clip.states[frames, i, :3]
        face = distance + towards * (position[:, across] - camera.center[across]) - reach[across]  # (T,)
        apparent_scale = (distance / face)[:, None]
        middle = centre + (plane_from_world(camera, position) - centre) * apparent_scale
        gone = clip.times[frames] >= (np.inf if body.until is None else body.until - 1e-9)
        middle[gone] = np.nan
        upright = abs(turned[across, across]) > 1 - 1e-9
        size = np.asarray(body.size)[axes] if upright else plane_from_world(camera, reach)
        middles.append(middle)
        sides.append(turned[axes[0], axes] if upright else np.array([1.0, 0.0]))
        halves.append(size * apparent_scale)
        nearer.append(face.min() < ahead - 1e-6)
    count = len(frames)
    return SightModel(
        centre,
        camera,
        clip.spec,
        distance / ahead,
        radius,
        np.stack(middles, axis=1) if middles else np.zeros((count, 0, 2)),
        np.array(sides).reshape(-1, 2),
        np.stack(halves, axis=1) if halves else np.zeros((count, 0, 2)),
        np.array(nearer).reshape(-1, len(index)),
        framing,
    )


# Naive extrapolations: simple continuations that need no laws, and when they part from what truly happens.
#
# Until a contact, a turning point or a force has told them apart, the laws predict what constant velocity, acceleration
# or turn rate predict, too: a prediction that is lawful so far has shown little.

NaiveExtrapolation = Callable[[Array, Array, float, Array], Array]

CHANGE = 0.1  # s before the hand-over over which a velocity is seen to change


def rest(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m of what stays where it is."""
    return np.zeros((len(times), *velocity.shape))


def constant_velocity(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m in a straight line.

    Args:
        velocity: (N, 2) m/s at time 0.
        before: (N, 2) m/s earlier.
        span: s, how much earlier.
        times: (T,) s.
    """
    return np.asarray(velocity * times[:, None, None])


def constant_acceleration(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m with the acceleration that the two velocities show; arguments as above."""
    fall = (velocity - before) / span / 2 * (times**2)[:, None, None]
    return np.asarray(constant_velocity(velocity, before, span, times) + fall)


def constant_turn(velocity: Array, before: Array, span: float, times: Array) -> Array:
    """Displacements (T, N, 2) m at constant speed on the circle that the two velocities show; arguments as above."""
    cross = before[:, 0] * velocity[:, 1] - before[:, 1] * velocity[:, 0]
    rate = np.arctan2(cross, np.sum(before * velocity, axis=-1)) / span  # (N,)
    turns = np.abs(rate) > 1e-6  # rad/s; what turns more slowly goes straight on
    safe = np.where(turns, rate, 1.0)
    angle = safe * times[:, None]
    along, across = np.sin(angle) / safe, (1 - np.cos(angle)) / safe  # (T, N)
    u, v = velocity.T
    circle = np.stack([along * u - across * v, across * u + along * v], axis=-1)
    return np.where(turns[:, None], circle, constant_velocity(velocity, before, span, times))


EXTRAPOLATIONS: tuple[NaiveExtrapolation, ...] = (rest, constant_velocity, constant_acceleration, constant_turn)


def motion_at_handover(clip: Clip) -> tuple[Array, Array, float]:
    """Velocities (N, 2) m/s of all bodies in the plane of motion at the hand-over, those about CHANGE s before, and
    how long before in s."""
    axes = [7 + axis for axis in PLANE_AXES[clip.scene.camera.view]]
    at = max(clip.handover - max(1, round(CHANGE * clip.spec.fps)), 0)
    span = float(clip.times[clip.handover] - clip.times[at])
    # Where nothing comes before the hand-over no change is seen.
    return clip.states[clip.handover][:, axes], clip.states[at][:, axes], span if span > 0 else 1.0


def distance_of_extrapolations(clip: Clip, index: tuple[int, ...], frames: NDArray[np.intp]) -> Array:
    """Largest error so far of the best naive extrapolation, in diameters (T, N); 0 up to the hand-over.

    Of each extrapolation the largest distance from ground truth up to a frame counts: one that has been wrong stays so.

    Args:
        clip: The clip.
        index: The N bodies among those of the scene.
        frames: (T,) of the clip.
    """
    axes, bodies = list(PLANE_AXES[clip.scene.camera.view]), list(index)
    velocity, before, span = motion_at_handover(clip)
    ahead = slice(clip.handover, None)
    times, moved = clip.times[ahead], clip.states[ahead][:, :, axes] - clip.states[clip.handover][:, axes]
    diameter = np.array([2 * apparent_radius(clip.scene.bodies[i], clip.scene.camera) for i in bodies])
    off = [
        np.linalg.norm(extrapolation(velocity[bodies], before[bodies], span, times) - moved[:, bodies], axis=-1)
        / diameter
        for extrapolation in EXTRAPOLATIONS
    ]
    least = np.maximum.accumulate(off, axis=1).min(axis=0)
    return np.asarray(least[np.maximum(frames - clip.handover, 0)])


CONTEXT_TIME = 0.5  # s before the hand-over that are used


@dataclass(frozen=True)
class PositionLimits:
    """Uncertainty of positions, and limits that follow it."""

    max_sd: float = 0.03  # diameters; a position with a larger sd shows presence only
    min_sd: float = 0.002  # diameters, the least sd of a position: five of it are the smallest tolerance in use
    limit_sds: float = 5.0  # of a point: a limit is no narrower, up to `most_limit`
    most_limit: float = 0.075  # diameters; what is more uncertain buys no more tolerance


POSITION = PositionLimits()


@dataclass(frozen=True)
class RestLimits:
    """Bodies that rest."""

    speed: float = 0.1  # diameters/s; what is slower rests
    time: float = 0.3  # s over which a track is slower
    slack: float = 1.2  # times `speed`: noise may change the speed of a lawful motion, or of the track, by so much
    sds: float = 3.0  # of the difference of two places: a motion that is not larger is not seen (`_unseen_speed`)


REST = RestLimits()


DOWN = np.array([1.0, -1.0])  # px go down, the plane goes up
FORCE_TIME, FORCE_POINTS = 0.1, 3  # s and points of context that show which forces act


@dataclass(frozen=True, eq=False)
class PlacedBodies:
    """Positions of N bodies in T frames, what is known of them, and what they are judged by."""

    times: Array  # (T,) s
    steps: Array  # (T,) physics steps
    position: Array  # (T, N, 2) m in the plane of motion, NaN where not known well enough
    sd: Array  # (T, N) diameters, at least `POSITION.min_sd`
    diameter: Array  # (N,) m
    expected_visible: Mask  # (T, N) where the body should be visible
    present: Mask  # (T, N) where it is present
    start: NDArray[np.intp]  # (N,) first frame in which the body moves freely
    rests: Mask  # (T, N) where the body rests in ground truth
    sight: SightModel | None = None  # what the camera would see of other positions; None: everything
    velocity_prior: VelocityPrior | None = None  # declared velocities at the hand-over; None: any
    min_visible: float = 0.0  # frames x bodies that must be shown, or all is undetermined
    #: (T, N) diameters by which the best naive extrapolation was off; None: not known
    extrapolation_distance: Array | None = None
    too_brief: tuple[int, ...] = ()  # bodies that even ground truth shows too briefly: not judged
    #: (T, N) where ground truth shows the body whole, so that its position can be asked; None: everywhere
    shown_whole: Mask | None = None
    #: (T,) diameters by which a fixed body has been off so far, infinite once one is lost; None: all stay
    scenery_off: Array | None = None
    noise: Array | None = None  # (T, N, 2) m that was taken off positions (`independent_noise`); None: nothing
    noise_sd: Array | None = None  # (T, N) diameters, sd of noise that stays in them; limits are as wide; None: none
    #: (D, 2) unit vectors in the plane of motion along which no scenery shows a shift of the picture; None: none
    unshown: Array | None = None
    shake: Array | None = None  # (T, 2) m of its shift that scenery shows and that was taken off; None: nothing
    first_velocity: Array | None = None  # (N, 2) m/s in the first frame, NaN where not known; None: of no body

    @cached_property
    def known(self) -> Mask:
        """Mask (T, N) of known positions."""
        return np.isfinite(self.position[..., 0])

    @property
    def moments(self) -> Array:
        """Times (T,) s at which positions hold: those of the frames, but for a first one (`with_history`)."""
        return self.steps / PHYSICS_HZ

    @cached_property
    def track(self) -> Array:
        """`position` as compiled functions take it: contiguous."""
        return np.ascontiguousarray(self.position)

    @cached_property
    def certainty(self) -> Array:
        """1 / sd (T, N)."""
        return 1 / self.sd

    @property
    def usual_sd(self) -> Array:
        """Median sd of the known positions of each body (N,) in predicted frames, diameters; 0 without any."""
        known = self.known & (self.times > 1e-9)[:, None]
        return np.array([np.median(sd[at]) if at.any() else 0.0 for sd, at in zip(self.sd.T, known.T, strict=True)])

    @cached_property
    def judged(self) -> Mask:
        """Mask (N,) of judged bodies: all but those in `too_brief`."""
        return ~np.isin(np.arange(len(self.diameter)), self.too_brief)

    @cached_property
    def given(self) -> Mask:
        """Mask (T, N) of positions that a context frame gives, of bodies that move freely."""
        free = np.arange(len(self.times))[:, None] >= self.start
        return np.asarray(self.known & free & (self.times <= 1e-9)[:, None])

    @property
    def tells_velocity(self) -> Mask:
        """Mask (N,) of bodies whose velocity the context shows."""
        return np.asarray(self.given.sum(axis=0) >= 2)

    @property
    def tells_forces(self) -> bool:
        """True if the context shows some body for long enough to determine the forces on it."""
        spans = [self.times[column] for column in self.given.T]
        return any(len(span) >= FORCE_POINTS and span[-1] - span[0] >= FORCE_TIME - 1e-9 for span in spans)

    @cached_property
    def tolerance_share(self) -> Array:
        """Share of a tolerance that applies to each point (T, N).

        1 in predicted frames. Less in a context that is shorter than CONTEXT_TIME, so that it leaves a velocity no more
        freedom than a context of CONTEXT_TIME does.
        """
        share = np.ones(self.sd.shape)
        for column, given in zip(share.T, self.given.T, strict=True):
            if given.any():
                span = self.moments[given][-1] - self.moments[given][0]
                column[self.times <= 1e-9] = min(1.0, span / CONTEXT_TIME)
        return share

    def limit(self, tolerance: float) -> Array:
        """Largest distance in diameters of a lawful motion from each point (T, N)."""
        return np.maximum(tolerance * self.tolerance_share, self.least_limit)

    @cached_property
    def least_limit(self) -> Array:
        """Lower bound of limits (T, N) at any tolerance, from the uncertainty of each point, diameters."""
        least = np.minimum(POSITION.limit_sds * self.sd, POSITION.most_limit)
        return least if self.noise_sd is None else np.maximum(least, POSITION.limit_sds * self.noise_sd)

    def until(self, frame: int) -> PlacedBodies:
        """The frames before one."""
        part = slice(0, frame)
        names = ["times", "steps", "position", "sd", "expected_visible", "present", "rests"]
        optional = ("extrapolation_distance", "scenery_off", "shown_whole", "noise", "noise_sd", "shake")
        names += [name for name in optional if getattr(self, name) is not None]
        return replace(self, **{name: getattr(self, name)[part] for name in names})


def from_tracks(clip: Clip, tracks: Tracks, law: SceneLaw) -> PlacedBodies:
    """Place the moving bodies of a clip by its tracks, the last context frames included."""
    columns, diameter = _columns(clip, law), _diameters(clip, law)
    px = _unshifted(clip, tracks)[:, columns]
    position, sd = planes_from_px(clip.scene.camera, clip.spec, px, law.depth), _position_sd(clip, tracks, law, px)
    position = np.where((sd <= POSITION.max_sd)[..., None], position, np.nan)
    window = clip.window(tracks.context)
    expected_visible = truth_framed(clip, tracks)[:, columns]
    # A body that the tracker only carries over a frame without seeing it is not present.
    present = (tracked_with_gaps(clip, tracks) & (has_position(tracks) | detected(clip, tracks)))[:, columns]
    frames = np.arange(window.start, window.stop)
    whole = shown_whole(clip, tracks)[:, columns]
    dt = float(tracks.times[1] - tracks.times[0]) if len(tracks.times) > 1 else 0.0
    known = np.isfinite(position[..., 0])
    return PlacedBodies(
        tracks.times,
        np.round(tracks.times * PHYSICS_HZ),
        position,
        _at_least(sd),
        diameter,
        expected_visible,
        (present & known) | short_gaps(present & ~known, whole, dt),
        _start(clip, law, tracks.times),
        _resting(clip, law, frames, tracks.context),
        sight_model(clip, law.index, law.depth, diameter / 2, frames, due_framing(clip, tracks)),
        extrapolation_distance=distance_of_extrapolations(clip, law.index, frames),
        shown_whole=whole,
        scenery_off=_scenery_off(clip, tracks, diameter),
        unshown=_unshown_directions(clip),
        shake=None if tracks.camera is None else tracks.camera[:, :2] * DOWN / clip.pixels_per_metre,
    )


def _columns(clip: Clip, law: SceneLaw) -> list[int]:
    """Columns of the tracks of the bodies of a law."""
    if not set(law.index) <= set(clip.tracked):
        raise ValueError("A body moves that no track follows.")
    return [clip.tracked.index(i) for i in law.index]


def _position_sd(clip: Clip, tracks: Tracks, law: SceneLaw, px: Array) -> Array:
    """Sd (T, N) of places (T, N, 2) px of tracked bodies, in diameters; infinite where they are not known."""
    # Beyond the plane through the camera's centre things look smaller.
    scale = least_scale(clip.scene.camera, clip.spec, px) / depth_scale(clip.scene.camera, law.depth)
    sd = np.nan_to_num(tracks.position_sd[:, _columns(clip, law)], nan=np.inf)
    return np.asarray(sd / (_diameters(clip, law) * scale))


def _at_least(sd: Array) -> Array:
    """Sds in diameters, those that are not known for the least one."""
    return np.maximum(np.where(np.isfinite(sd), sd, POSITION.min_sd), POSITION.min_sd)


def _unshown_directions(clip: Clip) -> Array | None:
    share, directions = np.linalg.eigh(shown_directions(clip))
    total = float(share.sum())
    # A shift along a direction is told by 0.05 of what scenery shows of one in all directions.
    unshown = directions.T[share <= 0.05 * total] if total > 0 else np.eye(2)
    return np.asarray(unshown * DOWN) if len(unshown) else None


def with_history(clip: Clip, seen: PlacedBodies, law: SceneLaw) -> PlacedBodies:
    """The bodies with their first places CONTEXT_TIME before the hand-over, where a shorter context tells the motion.

    Two frames of a video tell where a body comes from. What may differ from that is asked over the same time for every
    number of context frames; else the fewer there are, the less freedom a start would have. The first place is that of
    the clip's history, which the context continues. What the first frame shows of forces (`tells_forces`) stays.
    """
    released = [clip.scene.bodies[i].release for i in law.index]
    since = max([-CONTEXT_TIME, *(time for time in released if time is not None)])
    frame = int(np.searchsorted(clip.times, since - 1e-9))
    shown = seen.known[0] & (seen.start == 0)
    if seen.times[0] > -1e-9 or clip.times[frame] >= seen.times[0] - 1e-9 or not shown.any():
        return seen
    state = clip.states[frame, list(law.index)]
    axes = list(PLANE_AXES[clip.scene.camera.view])
    position, steps = seen.position.copy(), seen.steps.copy()
    position[0, shown] = plane_from_world(clip.scene.camera, state[shown, :3])
    steps[0] = round(float(clip.times[frame]) * PHYSICS_HZ)
    velocity = np.where(shown[:, None], state[:, 7:10][:, axes], np.nan)
    return replace(seen, position=position, steps=steps, first_velocity=velocity)


def _scenery_off(clip: Clip, tracks: Tracks, diameter: Array) -> Array | None:
    """Largest displacement of fixed bodies up to each frame (T,), in diameters of the moving ones; None without any.

    What touched them, was drawn to them or hid behind them is not the scene's from then on. A fixed body with a hue is
    lost where it is absent; that it moves shows in the others, which are placed as it sees them.
    """
    if tracks.scenery_off is None or tracks.scenery_lost is None:
        return None
    fixed = _fixed(clip)
    gone = tracks.scenery_lost.any(axis=1) | (tracks.state[:, fixed] == Visibility.ABSENT).any(axis=1)
    off = tracks.scenery_off.max(axis=1, initial=0.0) / (np.median(diameter) * clip.pixels_per_metre)
    largest = np.maximum.accumulate(np.where(gone, np.inf, off))
    return largest if largest.any() else None


def offset(clip: Clip, tracks: Tracks) -> Array:
    """Median shift (2,) of the predicted frames, in diameters of the fixed bodies that are tracked; NaN without one.

    A star is such a body: the lawful motion of others is about the position where it is seen.
    """
    fixed = _fixed(clip)
    window, predicted = clip.window(tracks.context), slice(tracks.context, None)
    away = (tracks.position - clip.px_positions()[window])[predicted, fixed] / clip.pixels_per_metre
    away = away / np.maximum(clip.diameters()[window][predicted, fixed], 1e-9)[..., None]
    away = away[np.isfinite(away).all(axis=-1)]
    return np.asarray(np.median(away, axis=0)) if len(away) else np.full(2, np.nan)


def _unshifted(clip: Clip, tracks: Tracks) -> Array:
    """Positions (T, K, 2) px without a small constant shift of the predicted frames.

    The context is given and stays as it is. A larger shift is not an inaccuracy of drawing and stays, too. So does what
    the place of the fixed bodies is uncertain by.
    """
    shift = offset(clip, tracks)
    far, position = float(np.linalg.norm(shift)), tracks.position.copy()
    if 0 < far <= 0.2:  # diameters; a larger constant shift is not removed; False where NaN
        fixed = _fixed(clip)
        diameter = float(np.median(clip.diameters()[clip.handover, fixed])) * clip.pixels_per_metre
        unsure = STAR_SDS * float(np.nanmedian(tracks.position_sd[tracks.context :, fixed])) / diameter
        position[tracks.context :] -= shift * max(0.0, 1 - unsure / far) * diameter
    return position


def _fixed(clip: Clip) -> list[int]:
    """Columns of the tracks of bodies that stay where they are."""
    return [k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed"]


def _diameters(clip: Clip, law: SceneLaw) -> Array:
    """Apparent diameters (N,) m."""
    return np.array([2 * apparent_radius(clip.scene.bodies[i], clip.scene.camera) for i in law.index])


def _start(clip: Clip, law: SceneLaw, times: Array) -> NDArray[np.intp]:
    """First of the frames at times (T,) s in which each body (N,) moves freely and is used."""
    released = [clip.scene.bodies[i].release for i in law.index]
    since = np.array([-CONTEXT_TIME if time is None else max(time, -CONTEXT_TIME) for time in released])
    return np.asarray(np.searchsorted(times, since - 1e-9))


def _resting(clip: Clip, law: SceneLaw, frames: NDArray[np.intp], context: int | None) -> Mask:
    """Mask (T, N) of bodies that stand still in frames (T,) of ground truth, or too slowly to be told from rest.

    context: how many of the frames a model of pictures is given; None: of states.
    """
    diameter, states = _diameters(clip, law), clip.states[frames][:, list(law.index)]
    velocity = np.linalg.norm(states[..., 7:10], axis=-1)
    slow = velocity < (REST.speed + _unseen_speed(clip, law, velocity, context)) * diameter
    path = states[..., :3] / diameter[:, None]
    return np.asarray(slow | resting(clip.times[frames], path, REST.slack * REST.speed, REST.time))


def _unseen_speed(clip: Clip, law: SceneLaw, velocity: Array, context: int | None) -> Array:
    """Speeds (T, N) diameters/s that errors of places may hide over `REST.time`; 0 where these are small.

    They are not where a camera moves, whose frames are warped; of an upright box, whose edges fall on the renderer's
    grid; nor for bodies on rods and strings, which turn back ever so slowly and lean on each other. The errors are
    those of ground truth's own tracks, whatever a prediction looks like: one that is blurred may not stand still for
    longer. velocity (T, N): m/s of ground truth, of which only slow ones are asked.
    """
    scene, dt, diameter = clip.scene, float(np.median(np.diff(clip.times))), _diameters(clip, law)
    hidden, drawn = np.zeros(velocity.shape), context is not None
    unsure = (drawn and bool(scene.camera.path)) or any(isinstance(each, Rod | String) for each in scene.fields)
    upright = [drawn and _is_upright_box(scene.bodies[i]) for i in law.index]
    edge_sd = 1 / SUPERSAMPLING / np.sqrt(12) / clip.pixels_per_metre / diameter  # of what falls on a grid
    most = REST.sds * np.sqrt(2) / REST.time * POSITION.max_sd
    slow = np.any((velocity >= REST.speed * diameter) & (velocity < (REST.speed + most) * diameter), axis=0)
    asked = [n for n in range(len(diameter)) if slow[n] and (unsure or upright[n])]
    if asked:
        sd = np.full(hidden.shape, POSITION.min_sd) if context is None else _truth_sd(clip, law, context)
        for n in asked:
            off = np.hypot(sd[:, n], edge_sd[n] if upright[n] else 0.0)
            around = maximum_filter1d(np.minimum(off, POSITION.max_sd), 1 + 2 * round(REST.time / 2 / dt))
            hidden[:, n] = REST.sds * np.sqrt(2) * around / REST.time
    return hidden


def _is_upright_box(body: Body) -> bool:
    axes = np.abs(rotate(body.orientation, np.eye(3)))
    return body.shape == "box" and bool((axes.max(axis=1) > 1 - 1e-9).all())


def _truth_sd(clip: Clip, law: SceneLaw, context: int) -> Array:
    """Sd (T, N) of places in diameters, as ground truth itself is tracked."""
    from physbench.track.tracker import true_tracks

    truth = true_tracks(clip, context)
    return _at_least(_position_sd(clip, truth, law, _unshifted(clip, truth)[:, _columns(clip, law)]))


def from_states(clip: Clip, times: Array, states: Array, law: SceneLaw) -> PlacedBodies:
    """Place the moving bodies of a clip by predicted states (T, N, 13) at times (T,) s.

    A body that leaves its plane of motion by more than 0.015 diameters has no position there.
    """
    camera, index = clip.scene.camera, list(law.index)
    diameter = _diameters(clip, law)
    position = plane_from_world(camera, states[:, index, :3])
    off = np.abs(states[:, index, depth_axis(camera)] - law.depth) / diameter
    position = np.where((off <= 0.015)[..., None], position, np.nan)
    true = np.searchsorted(clip.times, times - 1e-9).clip(0, len(clip.times) - 1)
    present = np.isfinite(position[..., 0])
    expected_visible = np.repeat((times > 1e-9)[:, None], len(index), axis=1)
    sd = np.full(present.shape, POSITION.min_sd)
    return PlacedBodies(
        times,
        np.round(times * PHYSICS_HZ),
        position,
        sd,
        diameter,
        expected_visible,
        present,
        _start(clip, law, times),
        _resting(clip, law, true, None),
        extrapolation_distance=distance_of_extrapolations(clip, law.index, true),
    )
