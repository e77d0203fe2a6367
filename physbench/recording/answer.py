"""Readings of a model's answer to a recording.

The answer is a video of what follows the last frame of the context, from the same camera: at the rate of the recording
or of its clip, of any size of the same shape. It is warped, turned into the same hues and tracked as the recording was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Clip
from physbench.models.videos.decode import decode_frames, probe_video
from physbench.models.videos.resample import same_shape
from physbench.recording.recorded import FOOTAGE, LEAST_FUTURE, Recorded, implied, open_video, track_in
from physbench.shadowing.levels import strength
from physbench.shadowing.search import SegmentSearch
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError
from physbench.track.tracks import Tracks, Visibility, runs
from physbench.track.visibility import VISIBLE_SHARE


@dataclass(frozen=True)
class ErrorAt:
    """Distance from the recording at a horizon, over all balls; None where none is seen in both."""

    seconds: float
    metres: float | None
    diameters: float | None


@dataclass(frozen=True)
class AnswerReadings:
    """Readings of one answer."""

    answer: str
    seconds: float  # of the recording's future that it covers
    of_seconds: float
    sentence: str
    lawful_for: float  # s until the first break of lawful motion, at the recording's tolerance
    strength: float  # diameters: the least tolerance at which it is lawful; at most 2
    tolerance: float  # diameters, of the recording
    errors: tuple[ErrorAt, ...]
    kept: float  # share of the frames that should show a ball, in which it is
    lost_at: float | None  # s; a ball is gone from then on for longer than `FOOTAGE.most_lost`
    doubles: int  # most further blobs of a ball's hue in a frame
    gravity: float | None  # m/s2 that it shows, None without a fall of .3 s
    gravity_recorded: float | None
    restitution: float | None  # that it shows, None without a bounce that is seen on both sides
    restitution_recorded: float | None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def read_answer(recorded: Recorded, path: Path, at: int | None = None) -> AnswerReadings:
    """Read an answer.

    Args:
        at: Its frame, from 0, that shows time 0; -1 where its first frame follows it. None: its number of frames
            tells whether it repeats the context.

    Raises UsageError: the file is no video, or of another shape or rate.
    """
    frames = _frames(recorded, path, at)
    clip = _until(recorded.clip, len(frames))
    window = np.concatenate([clip.frames[: recorded.context], recorded.hues.matte(frames)])
    tracks = track_in(recorded.plane, clip, recorded.context, window)
    problem = recorded.problem_of(clip, tracks)
    segments = SegmentSearch(problem, recorded.tolerance, only_first=True).run()
    end = float(clip.times[-1])
    broken = max(min((one.time for one in segments.breaks), default=end), 0.0) if segments.arcs else 0.0
    # Mask (T, K) of predicted frames in which the recording shows a ball.
    expected = np.asarray(clip.visible_share()[recorded.context :] >= VISIBLE_SHARE)
    gone = expected & (tracks.state[recorded.context :] == Visibility.ABSENT)
    # When (s) a ball is first gone for longer than `FOOTAGE.most_lost` s.
    times = clip.times[recorded.context :]
    long = [run[0] for column in gone.T for run in runs(column) if len(run) / clip.spec.fps > FOOTAGE.most_lost]
    lost_at = float(times[min(long)]) if long else None
    lawful = broken if lost_at is None else min(broken, lost_at)
    off = strength(problem)
    gravity, restitution = _shown(recorded, clip, tracks)
    true_gravity, true_restitution = _shown(recorded, clip, _shortened(recorded.tracks, len(clip.times)))
    kept = 1 - float(gone.sum() / max(int(expected.sum()), 1))
    return AnswerReadings(
        answer=path.name,
        seconds=end,
        of_seconds=float(recorded.clip.times[-1]),
        sentence=_sentence(lawful, end, lost_at, off, recorded.tolerance),
        lawful_for=lawful,
        strength=off,
        tolerance=recorded.tolerance,
        errors=_errors(clip, recorded, tracks),
        kept=kept,
        lost_at=lost_at,
        doubles=int(tracks.duplicates[recorded.context :].max(initial=0)),
        gravity=gravity,
        gravity_recorded=true_gravity,
        restitution=restitution,
        restitution_recorded=true_restitution,
    )


def _frames(recorded: Recorded, path: Path, at: int | None) -> Image:
    """The answer's frames after time 0, one for each of the clip's or fewer, warped."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file.")
    source, entry = open_video(path)
    info = probe_video(source, entry)
    if not same_shape(recorded.size, (info.height, info.width), info.view.pixel_aspect):
        raise UsageError(
            f"{path.name} is {info.width}x{info.height} px, the recording {recorded.size[1]}x{recorded.size[0]}: of "
            "another shape. Give the picture whole, neither cropped nor stretched."
        )
    rates = {recorded.stride: recorded.rate, 1: recorded.rate / recorded.stride}
    stride = next(
        (n for n, rate in rates.items() if info.rate and abs(info.rate / rate - 1) <= 2 * FOOTAGE.same_rate), None
    )
    if stride is None:
        expected = " or ".join(f"{rate:g}" for rate in sorted(set(rates.values())))
        stated = f"{info.rate:g}" if info.rate else "no"
        raise UsageError(f"{path.name} has {stated} frames/s, expected {expected}, those of the recording.")
    horizon, context = recorded.clip.horizon, recorded.context
    if at is None:
        count = -(-info.frames // stride)
        if count > horizon and count not in (horizon + 1, context + horizon):
            raise UsageError(
                f"{path.name} has {count} frames, {horizon} follow time 0 and {context} lie before: say which of its "
                "frames shows time 0 with --time-zero, or -1 where its first one follows it."
            )
        at = stride * (context - 1) if count == context + horizon else 0 if count == horizon + 1 else -1
    first = at + stride if at >= 0 else 0
    wanted = range(first, first + stride * horizon, stride)
    kept = [frame for number, frame in decode_frames(source, entry, info) if number in wanted]
    if len(kept) < LEAST_FUTURE * recorded.clip.spec.fps:
        raise UsageError(f"{path.name}: {len(kept)} frames follow time 0, expected {LEAST_FUTURE} s at least.")
    return recorded.plane.seen_at(recorded.size, (info.height, info.width)).warp(kept)


def _until(clip: Clip, count: int) -> Clip:
    """The clip with the first `count` frames of its future."""
    end = clip.handover + 1 + count
    names = ("times", "frames", "states", "visible_area", "full_area")
    scene = replace(clip.scene, horizon=float(clip.times[end - 1]))
    return replace(clip, scene=scene, **{name: getattr(clip, name)[:end] for name in names})


def _shortened(tracks: Tracks, count: int) -> Tracks:
    names = [name for name, value in vars(tracks).items() if isinstance(value, np.ndarray) and name != "scenery"]
    return replace(tracks, **{name: getattr(tracks, name)[:count] for name in names})


def _shown(recorded: Recorded, clip: Clip, tracks: Tracks) -> tuple[float | None, float | None]:
    """Gravity in m/s2, in seconds as filmed, and restitution."""
    gravity, restitution = implied(clip, tracks)
    ratio = recorded.rate / recorded.stride / clip.spec.fps
    return None if gravity is None else gravity * ratio**2, restitution


def _errors(clip: Clip, recorded: Recorded, tracks: Tracks) -> tuple[ErrorAt, ...]:
    size = 2 * np.array([clip.scene.bodies[i].radius for i in clip.tracked])
    true = recorded.tracks.position[: len(clip.times)]
    metres: Array = np.linalg.norm(tracks.position - true, axis=-1) / clip.pixels_per_metre  # (T, K)
    metres[: recorded.context] = np.nan
    end = float(clip.times[-1])
    errors = []
    error_time = 0.1  # s around a horizon, over which an error is the mean
    # s after time 0 at which errors are told, and the end
    for seconds in (*(one for one in (0.25, 0.5, 1.0, 2.0, 4.0) if one < end - error_time), end):
        near = np.abs(clip.times - seconds) <= error_time / 2 + 1e-9
        part = metres[near]
        if np.isfinite(part).any():
            errors.append(ErrorAt(seconds, float(np.nanmean(part)), float(np.nanmean(part / size))))
        else:
            errors.append(ErrorAt(seconds, None, None))
    return tuple(errors)


def _sentence(lawful: float, end: float, lost_at: float | None, off: float, tolerance: float) -> str:
    if lost_at is not None and lost_at <= lawful:
        return f"Lawful for {lawful:.1f} of {end:.1f} s: then a ball is gone."
    if off <= tolerance and lawful >= end - 1e-9:
        return f"Lawful for all of {end:.1f} s: within {off:.2f} diameters of a motion that the scene allows."
    size = f"{off:.2f}" if off < 2 else "2 or more"
    return f"Lawful for {lawful:.1f} of {end:.1f} s: {size} diameters off every motion that the scene allows."
