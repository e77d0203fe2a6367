"""Changes of known size in what should stand still, and truth at wrong times.

No law is broken and every frame is one of the true world; it is shown at another time than its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError
from physbench.validity.violations import Inapplicable
from physbench.validity.violations.violation_apply import Violated
from physbench.validity.violations.violation_plan import ViolationEvent, ViolationPlan
from physbench.world.camera import PLANE_AXES
from physbench.world.drawing import apparent_radius
from physbench.world.geometry import rotate
from physbench.world.scene import Body
from physbench.world.styles.catalogue import draw

# Changes of known size in what should stand still: fixed bodies that move, vanish or change, and cameras that do.
#
# A change takes a clip and gives its future (T, H, W, 3) u8 in which one fixed body, or the camera, is not what it was
# from `SINCE` on; the motion of all other bodies is that of ground truth. A camera moves from the hand-over on.

Change = Callable[[Clip], Image]

SINCE = 1.0  # s after the hand-over
FADE_TIME = 0.5  # s
TINT = np.array([1.4, 0.8, 0.8])  # of the three colours of a grey body whose hue changes


def fixed_body(clip: Clip) -> int:
    """The fixed body that is changed: a star, or the last one that shows an edge. Raises Inapplicable without any."""
    front = clip.scene.camera.view == "front"
    shown = [
        i
        for i, body in enumerate(clip.scene.bodies)
        if body.role == "fixed" and body.drawn and (body.shape != "plane" or front)
    ]
    if not shown:
        raise Inapplicable("no fixed body shows an edge")
    return next((i for i in shown if clip.scene.bodies[i].hue is not None), shown[-1])


def _late(clip: Clip) -> NDArray[np.bool_]:
    return np.asarray(clip.times[clip.handover + 1 :] > SINCE + 1e-9)


def _with(clip: Clip, index: int, body: Body, shift: Array) -> Image:
    """The future with another body from SINCE on, shifted by (T, 3) m."""
    times, late = clip.times[clip.handover + 1 :], _late(clip)
    states = clip.states[clip.handover + 1 :].copy()
    states[:, index, :3] += shift
    drawn = replace(body, role="kinematic")  # by its states: fixed bodies are drawn once, where the scene has them
    bodies = tuple(drawn if i == index else other for i, other in enumerate(clip.scene.bodies))
    frames = clip.future().copy()
    frames[late] = draw(replace(clip.scene, bodies=bodies), times[late], states[late], clip.spec).frames
    return frames


def moved(clip: Clip, *, diameters: float, drift: bool = False) -> Image:
    """A fixed body jumps, or drifts evenly to the end, by some diameters: its own, if it has a hue, or a moving body's.

    A floor moves downwards, a box along its shorter side, a star to the right.
    """
    index = fixed_body(clip)
    body = clip.scene.bodies[index]
    measured = body if body.hue is not None else next(b for b in clip.scene.bodies if b.role == "moving")
    size = 2 * diameters * apparent_radius(measured, clip.scene.camera)
    times = clip.times[clip.handover + 1 :]
    share = np.clip((times - SINCE) / (times[-1] - SINCE), 0.0, 1.0) if drift else np.ones(len(times))
    return _with(clip, index, body, size * share[:, None] * _direction(body, PLANE_AXES[clip.scene.camera.view]))


def _direction(body: Body, axes: tuple[int, int]) -> Array:
    """Unit vector (3,) in which a fixed body is moved, in the plane of motion."""
    way = np.zeros(3)
    if body.shape == "plane":
        way[axes[1]] = -1.0
        return way
    way[min(axes, key=lambda axis: body.size[axis]) if body.shape == "box" else axes[0]] = 1.0
    way = rotate(np.asarray(body.orientation, dtype=np.float64), way)
    return np.asarray(way / np.linalg.norm(way))


def vanished(clip: Clip, *, fading: bool = False, index: int | None = None) -> Image:
    """A fixed body (`index`; else `fixed_body`) is gone at once, or fades over FADE_TIME."""
    index = fixed_body(clip) if index is None else index
    frames = clip.future()
    without = _with(clip, index, replace(clip.scene.bodies[index], drawn=False), np.zeros((len(frames), 3)))
    if not fading:
        return without
    left = np.clip(1 - (clip.times[clip.handover + 1 :] - SINCE) / FADE_TIME, 0.0, 1.0)[:, None, None, None]
    return np.rint(left * frames + (1 - left) * without).astype(np.uint8)


def floor_vanished(clip: Clip) -> Image:
    """The floor is gone, and what stands on it stays."""
    planes = [i for i, body in enumerate(clip.scene.bodies) if body.shape == "plane" and body.drawn]
    if not planes or clip.scene.camera.view != "front":
        raise Inapplicable("no floor shows an edge")
    return vanished(clip, index=planes[0])


def half_vanished(clip: Clip) -> Image:
    """The right half of the picture shows a fixed body no more, the left half does."""
    frames, gone = clip.future().copy(), vanished(clip)
    middle = frames.shape[2] // 2
    frames[:, :, middle:] = gone[:, :, middle:]
    return frames


def resized(clip: Clip, *, factor: float) -> Image:
    """A fixed body grows or shrinks about its middle."""
    index = fixed_body(clip)
    body = clip.scene.bodies[index]
    if body.shape == "plane":
        raise Inapplicable("a floor has no size")
    larger = replace(body, size=tuple(factor * part for part in body.size))
    return _with(clip, index, larger, np.zeros((clip.horizon, 3)))


def tinted(clip: Clip) -> Image:
    """A fixed body that is grey becomes red."""
    index = fixed_body(clip)
    if clip.scene.bodies[index].hue is not None:
        raise Inapplicable("it has a hue")
    frames = clip.future().copy()
    without = _with(clip, index, replace(clip.scene.bodies[index], drawn=False), np.zeros((len(frames), 3)))
    own = (np.abs(without.astype(np.int16) - frames).max(axis=-1) > 0) & (np.ptp(frames, axis=-1) == 0)
    red = np.clip(np.rint(frames * TINT), 0, 255).astype(np.uint8)
    return np.where(own[..., None], red, frames)


def camera(clip: Clip, *, pan: float = 0.0, zoom: float = 0.0, roll: float = 0.0) -> Image:
    """The whole picture pans to the left (px/s), grows (share/s) and turns (deg/s) from the hand-over on."""
    return filmed(clip.future(), clip.times[clip.handover + 1 :], pan=pan, zoom=zoom, roll=roll)


def filmed(frames: Image, times: Array, *, pan: float = 0.0, zoom: float = 0.0, roll: float = 0.0) -> Image:
    """Frames (T, H, W, 3) as a camera shows them that moves since time 0.

    Beyond their border it shows what the border mostly showed: no body that is cut there goes on.
    """
    middle = (np.array(frames.shape[1:3]) - 1) / 2
    beyond = np.median(frames, axis=0)
    inside = np.ones(frames.shape[1:3])
    filmed_frames = np.empty_like(frames)
    for t, time in enumerate(times):
        angle, grow = np.radians(roll * time), 1 + zoom * time
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / grow
        offset = middle - matrix @ (middle - np.array([0.0, pan * time]))
        shown = affine_transform(inside, matrix, offset, order=1) > 1 - 1e-6
        for channel in range(3):
            part, rest = (
                affine_transform(each[..., channel].astype(np.float64), matrix, offset, order=1, mode="nearest")
                for each in (frames[t], beyond)
            )
            filmed_frames[t, ..., channel] = np.rint(np.where(shown, part, rest))
    return filmed_frames


SCENERY_CHANGES: dict[str, Change] = {
    **{f"jump-{d:g}": partial(moved, diameters=d) for d in (0.1, 0.3, 1.0)},
    "drift-1": partial(moved, diameters=1.0, drift=True),
    "vanish": vanished,
    "vanish-floor": floor_vanished,
    "vanish-half": half_vanished,
    "fade": partial(vanished, fading=True),
    "grow": partial(resized, factor=1.25),
    "shrink": partial(resized, factor=0.8),
    "tint": tinted,
    **{f"pan-{p:g}": partial(camera, pan=p) for p in (2.0, 5.0, 10.0)},
    **{f"zoom-{z:g}": partial(camera, zoom=z / 100) for z in (1.0, 3.0, 10.0)},
    **{f"roll-{r:g}": partial(camera, roll=r) for r in (1.0, 3.0)},
}


CHUNK = 16  # frames before a stall or a skip


@dataclass(frozen=True)
class FrameShift:
    """One way in which frames are shown at a wrong time."""

    name: str
    meaning: str  # what a severity of s does
    severities: tuple[float, ...]
    main: float
    allowed: tuple[float, float]
    shown: Callable[[Array, float], Array]  # frames 1..T (T,) and severity -> the frames that are shown instead (T,)
    whole: bool = True  # severities are whole numbers

    def ids(self) -> tuple[str, ...]:
        """ "late:1" for each severity."""
        return tuple(f"{self.name}:{severity:g}" for severity in self.severities)


FRAME_SHIFTS = {
    each.name: each
    for each in (
        FrameShift("late", "everything is s frames late", (1, 2), 1, (1, 10), lambda k, s: k - s),
        FrameShift("early", "everything is s frames early", (1, 2), 1, (1, 10), lambda k, s: k + s),
        FrameShift(
            "hold", "every s-th frame repeats the one before", (2, 3, 5), 2, (2, 30), lambda k, s: k - (k % s == 0)
        ),
        FrameShift("drop", "every s-th frame is left out", (3, 8), 8, (3, 30), lambda k, s: k + (k - 1) // (s - 1)),
        FrameShift(
            "stall",
            "after 16 frames the last is shown s times more, and all later ones are late",
            (1, 3),
            1,
            (1, 10),
            lambda k, s: k - np.clip(k - CHUNK, 0, s),
        ),
        FrameShift(
            "skip",
            "after 16 frames s are left out, and all later ones are early",
            (1, 3),
            1,
            (1, 10),
            lambda k, s: k + s * (k > CHUNK),
        ),
        FrameShift(
            "rate",
            "everything runs at s times real time",
            (0.9, 0.95, 1.1),
            0.95,
            (0.25, 4.0),
            lambda k, s: k * s,
            whole=False,
        ),
        FrameShift(
            "blend",
            "each frame is a mean of itself, weight 1 - s, and the one before, weight s",
            (0.3, 0.5),
            0.5,
            (0.01, 0.99),
            lambda k, s: k,
            whole=False,
        ),
    )
}


def is_frame_shift(source: str) -> bool:
    """True if a source is one of these."""
    return source.partition(":")[0] in FRAME_SHIFTS


def find_frame_shift(source: str) -> tuple[FrameShift, float]:
    """Frame shift and severity of "late:1"; without a severity the main one. Raises UsageError where it means none."""
    name, _, text = source.partition(":")
    frame_shift = FRAME_SHIFTS[name]
    try:
        severity = float(text) if text else frame_shift.main
    except ValueError:
        severity = float("nan")
    low, high = frame_shift.allowed
    if not low <= severity <= high or (frame_shift.whole and severity != round(severity)):
        kind = "a whole number" if frame_shift.whole else "a number"
        raise UsageError(f"{source}: expected {kind} from {low:g} to {high:g} ({frame_shift.meaning}).")
    return frame_shift, severity


def timed_frames(clip: Clip, source: str) -> Image:
    """Frames (T, H, W, 3) of ground truth, timed wrongly as a source says."""
    shift, severity = find_frame_shift(source)
    k = np.arange(1, clip.horizon + 1, dtype=np.float64)
    shown = shift.shown(k, severity)
    if shift.name == "blend":
        own, before = clip.future().astype(np.float64), clip.frames[clip.handover : -1].astype(np.float64)
        return np.asarray(np.rint((1 - severity) * own + severity * before), dtype=np.uint8)
    there = (shown == np.round(shown)) & (shown <= clip.horizon)
    frames = np.empty((len(k), *clip.frames.shape[1:]), dtype=np.uint8)
    frames[there] = clip.frames[clip.handover + shown[there].astype(np.intp)]
    if not there.all():
        fps = float(clip.spec.fps)
        times, place = clip.times[clip.handover + 1 :], shown / fps
        plan = ViolationPlan((ViolationEvent(0.0, None),), clocks=((None, lambda at: np.interp(at, times, place)),))
        frames[~there] = Violated(clip.scene, (), (plan,), 0).frames(times[~there], clip.spec)
    return frames
