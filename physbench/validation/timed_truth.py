"""Ground truth whose frames are shown at wrong times, by a stated amount: what `drift/timing` is tested with.

No law is broken and every frame is one of the true world; it is shown at another time than its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.errors import UsageError
from physbench.validation.violations.violation_apply import Violated
from physbench.validation.violations.violation_plan import ViolationEvent, ViolationPlan

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

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
    """Whether a source is one of these."""
    return source.partition(":")[0] in FRAME_SHIFTS


def find_frame_shift(source: str) -> tuple[FrameShift, float]:
    """What "late:1" means; without a severity the main one. Raises UsageError for one without a meaning."""
    name, _, text = source.partition(":")
    found = FRAME_SHIFTS[name]
    try:
        severity = float(text) if text else found.main
    except ValueError:
        severity = float("nan")
    low, high = found.allowed
    if not low <= severity <= high or (found.whole and severity != round(severity)):
        kind = "a whole number" if found.whole else "a number"
        raise UsageError(f"{source}: expected {kind} from {low:g} to {high:g} ({found.meaning}).")
    return found, severity


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
