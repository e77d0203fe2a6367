"""A recording as a clip: tracked, with the constants of the lawful motion nearest to it, its tolerance, and pictures.

The clip's ground truth is that lawful motion; its frames are the recording's own, warped and matte. Its times are those
of the nearest rate that divides the physics rate: 29.97 frames/s are 30, and gravity is that of such seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from physbench.clips.clip import Clip, Row
from physbench.clips.video import DEMUXERS, container_suffix
from physbench.laws.planar_law import PlanarLaw
from physbench.laws.scene_law import FREE
from physbench.models.videos.decode import decode_frames, probe_video
from physbench.models.videos.files import VideoEntry, VideoSource
from physbench.recording.document import Recording, read
from physbench.recording.picture import Hues, Plane, learn_hues, measured_outline, plane_of
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.score.score_clip import read_observation, reading_of, scorer_of
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import TOLERANCES, strength
from physbench.shadowing.observed_motion import CONTEXT_TIME, PlacedBodies, from_tracks, sight_model
from physbench.shadowing.search import LawfulSegments, SegmentSearch
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.camera import plane_from_px, px_from_plane
from physbench.world.scene import MOST_FPS, Body, Camera, RenderSpec, Scene, whole_rates

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FootageLimits:
    """Footage that can be read, by what it shows of itself."""

    most_strength: float = 0.1  # diameters; a recording that is further from every lawful motion cannot judge others
    tolerance_share: float = 1.5  # times its own residual, of the tolerance of a recording; at least TOLERANCES[0]
    residual_percentile: float = 95.0  # of its distances from the nearest lawful motion
    same_rate: float = 0.005  # relative difference of a rate that divides the physics rate
    most_uneven: float = 0.3  # frames by which one may be late; else files of variable rate would bend every fall
    least_radius_px: float = 4.0  # of a ball in the window, whose shorter side has at most 256 px
    most_size_error: float = 0.2  # of a ball's radius, between what is said and what is measured
    most_gravity_error: float = 0.1  # of gravity, that falls through the air show
    most_lost: float = 0.2  # s for which a ball may not be found, within the picture
    floor_range: float = 0.6  # radii by which the floor may lie above or below where it is said to be


FOOTAGE = FootageLimits()


LEAST_CONTEXT, LEAST_FUTURE = 0.2, 0.3  # s
LEAST_CONTEXT_FRAMES, MOST_FRAMES = 5, 900


@dataclass(frozen=True)
class ConstantsSearch:
    """The search for the constants of the lawful motion nearest to a recording."""

    restitutions: int = 17  # that are tried first
    tolerance: float = 0.5  # diameters, within which constants are looked for
    rounds: int = 160  # sets of constants
    touches: float = 0.3  # diameters from a floor or another ball, within which a ball may have met it
    steady: float = 0.3  # diameters along the floor; a ball that moves less shows neither friction nor spin


SEARCH = ConstantsSearch()


CAMERA = ("distance", "field_of_view")  # m from the plane, degrees


@dataclass(eq=False)
class ThrownLaw(PlanarLaw):
    """Balls in a plane that may begin with any spin, not that of rolling alone: they were thrown."""

    spin: tuple[float, ...] = ()  # (N,) m/s of the surface; at vx a ball would roll

    def set_states(self, state: Array, body: int, chart: int, numbers: Array) -> None:
        """As `PlanarLaw.set_states`, in free motion with the ball's own spin."""
        super().set_states(state, body, chart, numbers)
        if chart == FREE and self._floor >= 0:
            state[:, 4] = self.spin[body]


@dataclass(frozen=True)
class Constants:
    """Constants of a recorded scene, in m and s of the clip."""

    restitution: float  # of balls and floor
    between: float  # restitution of two balls
    friction: float
    floor: float  # m
    spin: tuple[float, ...]  # (N,) m/s, see `ThrownLaw`


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recording that can judge answers."""

    recording: Recording
    size: tuple[int, int]  # px, height and width of the picture
    plane: Plane
    hues: Hues
    clip: Clip
    rate: float  # frames/s, as filmed; `clip.spec.fps` is the nearest one that divides the physics rate
    stride: int  # frames of the file for one of the clip
    constants: Constants
    shown: tuple[str, ...]  # names of the constants that its motion shows; the others are not known
    tracks: Tracks  # of itself
    segments: LawfulSegments  # the lawful motion nearest to it
    strength: float  # diameters: the least tolerance at which it is lawful, beyond what its places are uncertain by
    gravity: float | None  # m/s2, that its falls show

    @property
    def distances(self) -> Array:
        """Distances (n,) in diameters of its balls from the nearest lawful motion, where they are seen."""
        return np.asarray(self.segments.errors[np.isfinite(self.segments.errors)])

    @property
    def residual(self) -> float:
        """Diameters within which 95 % of it lie to the nearest lawful motion."""
        return float(np.percentile(self.distances, FOOTAGE.residual_percentile))

    @property
    def tolerance(self) -> float:
        """Diameters within which an answer is lawful."""
        return max(TOLERANCES[0], self.strength, FOOTAGE.tolerance_share * self.residual)

    @property
    def context(self) -> int:
        """Frames that a model is shown."""
        return self.clip.handover + 1

    def document(self) -> dict[str, Any]:
        """Learned sizes and fitted constants, as JSON has them: m, s, px of the window."""
        names = {"restitution": "restitution", "between": "restitution_of_balls", "friction": "friction"}
        rms = float(np.sqrt(np.mean(self.distances**2)))  # diameters
        radius = [self.clip.scene.bodies[i].radius for i in self.clip.tracked]
        diameter = 2 * float(np.mean(radius))
        return {
            "context_frames": self.context,
            "future_frames": self.clip.horizon,
            "future_seconds": self.clip.horizon * self.stride / self.rate,
            "fps": self.rate / self.stride,
            "balls": [
                {"name": ball.name, "radius": size, "radius_px": size * self.plane.scale}
                for ball, size in zip(self.recording.balls, radius, strict=True)
            ],
            "camera": None if self.plane.camera is None else dict(zip(CAMERA, self.plane.camera, strict=True)),
            "lens": self.plane.distortion.coefficient if self.recording.edges else None,
            "gravity": self.gravity,
            "gravity_given": self.recording.gravity,
            "constants": {names[name]: getattr(self.constants, name) for name in self.shown},
            "rms": rms,
            "rms_m": rms * diameter,
            "rms_px": rms * diameter * self.plane.scale,
            "residual": self.residual,
            "strength": self.strength,
            "tolerance": self.tolerance,
        }

    def problem_of(self, clip: Clip, tracks: Tracks) -> Hypothesis:
        """The fit problem of an answer's tracks in this scene. clip: its own, or the first part of it."""
        law = law_of_scene(clip.scene, self.constants.spin)
        return Hypothesis(law, from_tracks(clip, tracks, law))


def law_of_scene(scene: Scene, spin: tuple[float, ...]) -> ThrownLaw:
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    return ThrownLaw(scene, index, np.zeros(len(index)), (), -CONTEXT_TIME, spin=spin)


def load(folder: Path) -> Recorded:
    """The recording of a folder. Raises PhysbenchError, in a line, where it cannot judge."""
    recording, video = read(folder)
    source, entry = open_video(video)
    info = probe_video(source, entry)
    rate = recording.fps or info.rate
    if rate is None:
        raise UsageError(f"{video.name} does not say its rate. Set fps in the recording.")
    if info.view.pixel_aspect != 1:
        raise UsageError(f"{video.name} has pixels that are not square. Encode it with square ones.")
    last = info.frames - 1 if recording.last is None else recording.last
    if last >= info.frames or recording.time_zero >= last:
        raise UsageError(
            f"time_zero is {recording.time_zero} and last {last}: {video.name} has frames 0 to {info.frames - 1}."
        )
    stride, fps = clip_rate(rate)
    start = recording.time_zero - (recording.time_zero - recording.first) // stride * stride
    wanted = range(start, last + 1, stride)
    times = (np.array(wanted) - recording.time_zero) / stride / fps
    context = int((times <= 0).sum())
    if context < LEAST_CONTEXT_FRAMES or -times[0] < LEAST_CONTEXT or times[-1] < LEAST_FUTURE:
        raise UsageError(
            f"time_zero: {-times[0]:.2f} s before it and {times[-1]:.2f} s after it count; expected {LEAST_CONTEXT} s, "
            f"{LEAST_CONTEXT_FRAMES} frames and {LEAST_FUTURE} s at least."
        )
    if len(times) > MOST_FRAMES:
        raise UsageError(f"{len(times)} frames count, expected {MOST_FRAMES} at most: set first and last.")
    if recording.fps is None:
        check_even(info.stamps[start : last + 1], rate)
    size = info.height, info.width
    plane = plane_of(recording, *size)
    numbers = {recording.first, *wanted}  # in `first` the boxes are
    whole = plane.warp(frame for number, frame in decode_frames(source, entry, info) if number in numbers)
    marked, frames = whole[0], whole[len(numbers) - len(times) :]
    if len(frames) < len(times):
        raise UsageError(f"{video.name} breaks off: {len(frames)} of {len(times)} frames can be read.")
    names = [ball.name for ball in recording.balls]
    boxes = [_box_in_window(plane, ball.box) for ball in recording.balls]
    hues = learn_hues(marked, boxes, names)
    outlines = [measured_outline(hues, marked, box, k) for k, box in enumerate(boxes)]
    for ball, (size_px, _) in zip(recording.balls, outlines, strict=True):
        px = math.sqrt(size_px / math.pi)
        if px < FOOTAGE.least_radius_px:
            raise UsageError(
                f"{ball.name}: its radius is {px:.1f} px of a picture of {plane.width}x{plane.height}, expected "
                f"{FOOTAGE.least_radius_px:g} at least. Crop, or film from nearer."
            )
    if not recording.points:
        assert recording.balls[0].radius is not None
        plane = plane.enlarged(recording.balls[0].radius / plane.radius(*outlines[0]))
    radius = [plane.radius(*outline) for outline in outlines]
    for ball, measured in zip(recording.balls, radius, strict=True):
        if ball.radius is not None and abs(measured / ball.radius - 1) > FOOTAGE.most_size_error:
            raise UsageError(
                f"{ball.name}: by the points its radius is {measured:.3f} m, said is {ball.radius:g}. Check points, "
                "box and radius."
            )
    spec = RenderSpec(plane.height, plane.width, fps)
    floor = None
    if recording.floor_px is not None:
        floor = float(plane.metres(plane.window_px(np.array(recording.floor_px)))[1])
    blank = _blank_clip(
        recording, plane, hues, radius, spec, times, hues.matte(frames), floor, (fps * stride / rate) ** 2
    )
    tracks = track_in(plane, blank, context, blank.frames)
    _check_tracked(recording, blank, tracks)
    seen = _as_seen(plane, blank, tracks)
    if plane.focal is not None:  # an outline is as large as its place has it, which is known by now
        tracks = track_in(plane, seen, context, seen.frames)
        _check_tracked(recording, seen, tracks)
        seen = _as_seen(plane, seen, tracks)
    gravity = _gravity(plane, seen, rate / stride / fps)
    if gravity is not None and abs(gravity / recording.gravity - 1) > FOOTAGE.most_gravity_error:
        scale = "points" if recording.points else "radius"
        raise UsageError(
            f"By {scale} and rate the balls fall with {gravity:.2f} m/s2, said is {recording.gravity:g}. "
            f"{_floor_doubt(seen, floor)}Check {scale} and fps: of slow motion, give the {rate:g} frames/s at which it "
            "was filmed."
        )
    return _fitted(recording, size, plane, hues, seen, rate, stride, tracks, gravity)


def open_video(path: Path) -> tuple[VideoSource, VideoEntry]:
    """A video file, to be probed and decoded. Raises UsageError for a name that is no video's."""
    if not container_suffix(path.name):
        raise UsageError(f"{path}: expected a video ({', '.join(DEMUXERS)}).")
    source = VideoSource.of_file(path)
    return source, VideoEntry(path.name, source.files)


def clip_rate(rate: float) -> tuple[int, float]:
    """Stride through frames at a rate, and the rate of the clip: the highest that divides the physics rate."""
    for stride in range(max(1, math.ceil(rate / MOST_FPS / (1 + FOOTAGE.same_rate))), 101):
        for known in whole_rates():
            if abs(rate / stride / known - 1) <= FOOTAGE.same_rate:
                return stride, float(known)
    raise UsageError(
        f"{rate:g} frames/s: neither it nor a whole part of it is one of {', '.join(map(str, whole_rates()))} "
        "frames/s. Encode the video at one of these, without new frames in between."
    )


def check_even(stamps: Array, rate: float) -> None:
    """Refuse frames whose time stamps (T,) s are not spaced by a rate in frames/s."""
    late = (stamps - stamps[0]) * rate - np.arange(len(stamps))
    if np.ptp(late) > FOOTAGE.most_uneven:
        raise UsageError(
            f"The video's frames are up to {np.ptp(late):.1f} frames away from {rate:g} frames/s: its rate varies. "
            "Film or encode it at a constant one."
        )


def _box_in_window(plane: Plane, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    corners = plane.window_px(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _blank_clip(
    recording: Recording,
    plane: Plane,
    hues: Hues,
    radius: Sequence[float],
    spec: RenderSpec,
    times: Array,
    frames: Image,
    floor: float | None,
    slowed: float,
) -> Clip:
    """The clip as it is tracked: all balls are whole everywhere. slowed: gravity in the clip's seconds over its own."""
    width, height = plane.width / plane.scale, plane.height / plane.scale
    middle = (plane.left + width / 2, 0.0, plane.top - height / 2)
    # They begin at rest in their description, which shows no spin; what they do stands in the states.
    bodies = [
        Body(ball.name, "sphere", (size,), "moving", (middle[0], 0.0, plane.top), hue=hue)
        for ball, size, hue in zip(recording.balls, radius, hues.palette, strict=True)
    ]
    if floor is not None:
        bodies.append(Body("floor", "plane", (), "fixed", (0.0, 0.0, floor), drawn=False))
    area = np.zeros((len(times), len(bodies)), dtype=np.float32)
    area[:, : len(radius)] = math.pi * (np.asarray(radius) * plane.scale) ** 2
    states = np.zeros((len(times), len(bodies), 13))
    states[..., 6] = 1.0
    states[..., :3] = [body.position for body in bodies]
    camera = Camera("front", middle, min(width, height))
    gravity = (0.0, 0.0, -recording.gravity * slowed)
    scene = Scene(tuple(bodies), camera, gravity, horizon=float(times[-1]))
    return Clip(Row("recorded/plane-v1", "test", 0), scene, spec, times, frames, states, area, area, ())


def _check_tracked(recording: Recording, clip: Clip, tracks: Tracks) -> None:
    """Refuse a recording in which a ball is lost, but for one that leaves the picture."""
    for k, ball in enumerate(recording.balls):
        known = np.flatnonzero(np.isfinite(tracks.position[:, k, 0]))
        if not len(known) or known[0] > 0:
            raise UsageError(f"{ball.name}: it is not found in the frame {recording.first}. Check its box.")
        gap = int(np.diff(known).argmax()) if len(known) > 1 else 0
        lost = float(np.diff(known).max(initial=1) - 1) / clip.spec.fps
        left = _leaves(clip, tracks, k)
        end = (len(tracks.times) - 1 - int(known[-1])) / clip.spec.fps
        if lost > FOOTAGE.most_lost or (end > FOOTAGE.most_lost and not left):
            after = known[gap] if lost > FOOTAGE.most_lost else known[-1]
            raise UsageError(
                f"{ball.name}: it is lost at {tracks.times[after]:.2f} s, within the picture. Something hides it, or "
                "its colour changes: set last, crop, or film it in even light."
            )


def _leaves(clip: Clip, tracks: Tracks, ball: int) -> bool:
    """True of a ball that is last seen at the border of the window."""
    last = tracks.position[np.isfinite(tracks.position[:, ball, 0]), ball][-1]
    reach = 2.5 * clip.scene.bodies[ball].radius * clip.pixels_per_metre
    size = np.array([clip.spec.width, clip.spec.height])
    return bool((np.minimum(last, size - last) < reach).any())


def track_in(plane: Plane, clip: Clip, context: int, frames: Image) -> Tracks:
    """The tracks of a clip's balls in matte frames (N, H, W, 3) of the window, by their outlines there."""
    sights = [plane.sight(body.radius, len(frames)) for body in clip.tracked_bodies]
    return track(clip, context, frames, sights)


def _as_seen(plane: Plane, clip: Clip, tracks: Tracks) -> Clip:
    """The clip with the balls where they were tracked, as large there, and absent from where they leave the picture."""
    states, full, area = clip.states.copy(), clip.full_area.copy(), clip.full_area.copy()
    at = plane_from_px(clip.scene.camera, clip.spec, tracks.position)
    for k in range(len(clip.tracked)):
        known = np.flatnonzero(np.isfinite(at[:, k, 0]))
        for axis, column in ((0, 0), (2, 1)):
            states[:, k, axis] = np.interp(clip.times, clip.times[known], at[known, k, column])
            states[:, k, 7 + axis] = np.gradient(states[:, k, axis], clip.times)
        if (sight := plane.sight(clip.scene.bodies[k].radius, len(clip.times))) is not None:
            full[:, k] = area[:, k] = sight.area(px_from_plane(clip.scene.camera, clip.spec, states[:, k, [0, 2]]))
        if _leaves(clip, tracks, k):
            area[known[-1] + 1 :, k] = 0.0
    return replace(clip, states=states, full_area=full, visible_area=area)


def implied(clip: Clip, tracks: Tracks) -> tuple[float | None, float | None]:
    """Gravity in m/s2 and restitution that the predicted frames of tracks show; None where they do not."""
    chosen = scorer_of("shown-gravity"), scorer_of("shown-restitution")
    rows = read_observation(Observation(clip, Rollout(clip.id, 0, clip.frames[:0]), tracks, store=False), chosen)
    values = {row.reading: row.value for row in rows}
    return values.get(reading_of("shown-gravity")), values.get(reading_of("shown-restitution"))


def _gravity(plane: Plane, clip: Clip, ratio: float) -> float | None:
    """Gravity in m/s2 that all of a clip shows; None without a fall of .3 s. ratio: rate as filmed over the clip's."""
    value, _ = implied(clip, track_in(plane, clip, 2, clip.frames[clip.window(2)]))
    return None if value is None else value * ratio**2


def _floor_doubt(clip: Clip, floor: float | None) -> str:
    """A sentence on a ball that falls and rises again away from the floor at a height of `floor` m; "" without one."""
    for index in clip.tracked:
        name, radius = clip.scene.bodies[index].name, clip.scene.bodies[index].radius
        height = clip.states[:, index, 2] - radius  # (T,) m, of its lowest point
        fallen, rises = (np.maximum.accumulate(each) - each for each in (height, height[::-1]))
        turns = np.minimum(fallen, rises[::-1]) > radius
        if not turns.any():
            continue
        if floor is None:
            return f"{name} bounces: give floor_px, a pixel at which it touches the floor. "
        away = float(height[turns].min()) - floor
        if abs(away) > radius / 2:
            side = "above" if away > 0 else "below"
            return f"{name} bounces {abs(away):.2f} m {side} floor_px: give a pixel at which it touches the floor. "
    return ""


# Constants of the lawful motion nearest to a recording.


def _fitted(
    recording: Recording,
    size: tuple[int, int],
    plane: Plane,
    hues: Hues,
    clip: Clip,
    rate: float,
    stride: int,
    tracks: Tracks,
    gravity: float | None,
) -> Recorded:
    """The recording with its constants. Raises UsageError where no lawful motion is near it."""
    floor = next((body.position[2] for body in clip.scene.bodies if body.role == "fixed"), None)
    radius = np.array([body.radius for body in clip.scene.bodies if body.role == "moving"])
    at = clip.states[:, : len(radius), :3]
    fastest = float(np.abs(clip.states[:, : len(radius), 7]).max())
    meets_floor = floor is not None and bool((at[..., 2].min(axis=0) < floor + (1 + 2 * SEARCH.touches) * radius).any())
    moves = bool((np.ptp(at[..., 0], axis=0) > SEARCH.steady * 2 * radius).any())
    apart = np.linalg.norm(at[:, 0] - at[:, -1], axis=-1).min()
    meet = len(radius) > 1 and bool(apart < (1 + SEARCH.touches) * radius.sum())
    own = Constants(
        sum(recording.restitution) / 2,
        sum(recording.restitution) / 2,
        sum(recording.friction) / 2 if moves else 0.0,
        0.0 if floor is None else floor,
        (0.0,) * len(radius),
    )
    reach = FOOTAGE.floor_range * float(radius.min())
    free = {
        **({"restitution": recording.restitution} if meets_floor else {}),
        **({"between": recording.restitution} if meet else {}),
        **({"friction": recording.friction} if meets_floor and moves else {}),
        **({"floor": (own.floor - reach, own.floor + reach)} if meets_floor else {}),
        **({f"spin{k}": (-1.5 * fastest, 1.5 * fastest) for k in range(len(radius))} if meets_floor and moves else {}),
    }
    seen = from_tracks(clip, tracks, law_of_scene(clip.scene, own.spin))

    def searched(constants: Constants) -> LawfulSegments:
        law = law_of_scene(_scene(clip.scene, constants), constants.spin)
        return SegmentSearch(Hypothesis(law, seen), SEARCH.tolerance, only_first=True).run()

    constants = _nearest(own, free, lambda one: _distance(searched(one), seen))
    scene = _scene(clip.scene, constants)
    problem = Hypothesis(law_of_scene(scene, constants.spin), seen)
    off = strength(problem)
    segments = searched(constants)
    if off > FOOTAGE.most_strength or segments.breaks or not segments.arcs:
        least = f"{off:.2f}" if off < 2 else "2 or more"
        raise UsageError(
            f"The recording is {least} diameters from every lawful motion, expected {FOOTAGE.most_strength:g} at most. "
            "Something else acts (a hand, a wall, air), the balls leave one plane, or points, floor_px or a range are "
            "wrong."
        )
    shown = tuple(name for name in ("restitution", "between", "friction") if name in free)
    lawful = _as_fitted(replace(clip, scene=scene), segments)
    return Recorded(
        recording, size, plane, hues, lawful, rate, stride, constants, shown, tracks, segments, off, gravity
    )


def _scene(scene: Scene, constants: Constants) -> Scene:
    """A scene with other constants: those of a contact are the products of both bodies."""
    ball = math.sqrt(constants.between)
    bodies = [
        replace(body, restitution=ball, friction=constants.friction)
        if body.role == "moving"
        else replace(body, position=(0.0, 0.0, constants.floor), restitution=constants.restitution / ball, friction=1.0)
        for body in scene.bodies
    ]
    return replace(scene, bodies=tuple(bodies))


def _nearest(
    own: Constants, free: Mapping[str, tuple[float, float]], distance: Callable[[Constants], float]
) -> Constants:
    """The constants in their ranges with the least distance: the restitution by trials, all by Nelder and Mead 1965."""
    names = list(free)
    low, high = (np.array([free[name][side] for name in names]) for side in (0, 1))

    def of(numbers: Array) -> Constants:
        values = dict(zip(names, (low + np.clip(numbers, 0, 1) * (high - low)).tolist(), strict=True))
        spins = tuple(values.pop(f"spin{k}", 0.0) for k in range(len(own.spin)))
        return replace(own, **values, spin=spins)

    def off(numbers: Array) -> float:
        return distance(of(numbers)) + float(np.abs(numbers - np.clip(numbers, 0, 1)).sum())

    if not names:
        return own
    best = np.full(len(names), 0.5)
    for name in ("restitution", "between"):
        if name in names:
            trials = np.repeat(best[None], SEARCH.restitutions, axis=0)
            trials[:, names.index(name)] = np.linspace(0, 1, SEARCH.restitutions)
            best = min(trials, key=off)
    simplex = np.concatenate([best[None], best + 0.1 * np.where(best > 0.5, -1, 1) * np.eye(len(names))])
    options: Any = {"maxfev": SEARCH.rounds, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-5}
    return of(np.asarray(minimize(off, best, method="Nelder-Mead", options=options).x))


def _distance(segments: LawfulSegments, seen: PlacedBodies) -> float:
    """Rms distance in diameters of a lawful motion from the track, and a diameter for the share it does not reach."""
    last = min((one.frame for one in segments.breaks), default=len(seen.times))
    errors = segments.errors[:last] if segments.arcs else np.zeros((0, 1))
    errors = errors[np.isfinite(errors)]
    return (float(np.sqrt(np.mean(errors**2))) if len(errors) else 1.0) + 1 - last / len(seen.times)


def _as_fitted(clip: Clip, segments: LawfulSegments) -> Clip:
    """The clip with the balls on their lawful motion, and what the picture shows of them there."""
    states, count = clip.states.copy(), len(clip.tracked)
    known = np.isfinite(segments.position[..., 0])
    for axis, column in ((0, 0), (2, 1)):
        states[:, :count, axis] = np.where(known, segments.position[..., column], states[:, :count, axis])
        states[:, :count, 7 + axis] = np.where(known, segments.velocity[..., column], states[:, :count, 7 + axis])
    index = tuple(range(count))
    radius = np.array([clip.scene.bodies[i].radius for i in index])
    sight = sight_model(clip, index, np.zeros(count), radius, np.arange(len(clip.times)))
    area = clip.full_area.copy()
    area[:, :count] *= sight.visible_share(states[None, :, :count][..., [0, 2]])[0]
    return replace(clip, states=states, visible_area=area)


SHEET, COLUMNS = 20, 4  # frames of a sheet, and those side by side


def _figure(width: float, height: float) -> Figure:
    """An empty figure, in inches of 100 px, without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_first(path: Path, frame: Image, step: int) -> None:
    """Write a frame (H, W, 3) with a grid of `step` px to read places from."""
    height, width = frame.shape[:2]
    figure = _figure(15, 15 * height / width)
    axes = figure.subplots()
    axes.imshow(frame, extent=(0, width, height, 0))
    axes.set_xticks(np.arange(0, width + 1, 2 * step), labels=[f"{x}" for x in range(0, width + 1, 2 * step)])
    axes.set_yticks(np.arange(0, height + 1, 2 * step), labels=[f"{y}" for y in range(0, height + 1, 2 * step)])
    axes.set_xticks(np.arange(0, width, step), minor=True)
    axes.set_yticks(np.arange(0, height, step), minor=True)
    axes.grid(which="both", color="white", linewidth=0.4)
    axes.grid(which="major", color="yellow", linewidth=0.6)
    axes.tick_params(labeltop=True, labelright=True)
    figure.savefig(path)


def draw_sheet(path: Path, frames: Sequence[tuple[int, Image]]) -> None:
    """Write some frames (number, (H, W, 3)) side by side, with their numbers."""
    rows = -(-len(frames) // COLUMNS)
    height, width = frames[0][1].shape[:2]
    figure = _figure(16, rows * (4 * height / width + 0.3))
    for axes in (grid := figure.subplots(rows, COLUMNS, squeeze=False)).flat:
        axes.axis("off")
    for axes, (number, frame) in zip(grid.flat, frames, strict=False):
        axes.imshow(frame)
        axes.set_title(f"frame {number}", fontsize=9)
    figure.savefig(path)


def draw_check(path: Path, recorded: Recorded, frame: Image) -> None:
    """Write the track and the lawful motion nearest to it over a frame (H, W, 3), and their distance over time."""
    figure = _figure(12, 12 * frame.shape[0] / frame.shape[1] + 3)
    picture, below = figure.subplots(2, 1, height_ratios=(3, 1))
    clip, plane = recorded.clip, recorded.plane
    seen = plane.picture_px(plane_from_px(clip.scene.camera, clip.spec, recorded.tracks.position))
    fitted = plane.picture_px(recorded.segments.position)
    picture.imshow(frame, extent=(0, frame.shape[1], frame.shape[0], 0))
    for k, ball in enumerate(recorded.recording.balls):
        picture.plot(*fitted[:, k].T, color="white", linewidth=1, label=f"{ball.name}: lawful motion")
        picture.plot(*seen[:, k].T, "+", color="red", markersize=5, label=f"{ball.name}: tracked")
        below.plot(clip.times, recorded.segments.errors[:, k], ".-", label=ball.name)
    picture.set_xlim(0, frame.shape[1])
    picture.set_ylim(frame.shape[0], 0)
    picture.legend(loc="upper right")
    below.axhline(recorded.tolerance, color="grey", linestyle="--", label="tolerance")
    below.axvline(0, color="grey", linewidth=0.5)
    below.set(xlabel="time, s", ylabel="distance, diameters", ylim=(0, None))
    below.legend(loc="upper right")
    figure.savefig(path)
