"""Ground truth under a moving camera and at wrong times: every frame is one of the true world; no law is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError
from physbench.validity.violations.violation_apply import Violated
from physbench.validity.violations.violation_plan import ViolationEvent, ViolationPlan


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
