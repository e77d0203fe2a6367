"""The breaks of one clip: a timeline of what the laws explain, and a close-up of each break."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.report.film_strips import Frames, data_uri
from physbench.results.number_format import joined, number
from physbench.shadowing.trace import MAX_KEPT, Trace
from physbench.tracks.tracks import Tracks
from physbench.world.scene import hue_name

Array = NDArray[np.float64]

CLOSE_UP_LEGEND = (
    "Below each close-up: the object, the time of the break (after a dash that at which the tolerance is exceeded, if "
    "it is later), the tolerance (±) in diameters, and how far apart the lawful motions before and after the break "
    "are, in diameters (⌀) and m/s. A gross one counts as four. An object begins off where no velocity that the task "
    "declares fits."
)
LEAST_HALF = 0.09  # of the picture's smaller side: half of a close-up's side, at least
CLOSE_UP_PX = 96  # of a close-up; a larger one is made smaller


@dataclass(frozen=True)
class TimelineBar:
    """A span of time with one weight; start and end are shares of the horizon."""

    start: float
    end: float
    weight: float  # 0: unexplained


@dataclass(frozen=True)
class TimelineRow:
    """One body at one tolerance."""

    tolerance: float  # diameters
    bars: tuple[TimelineBar, ...]  # where the body is due
    breaks: tuple[float, ...]  # shares of the horizon


@dataclass(frozen=True)
class Timeline:
    """One body over the horizon."""

    name: str
    lanes: tuple[TimelineRow, ...]


@dataclass(frozen=True)
class CloseUp:
    """A close-up of one break, in px of its own picture."""

    words: str
    picture: str  # data URI; "" where the rollout was not kept
    side: float  # px
    predicted: str  # SVG points
    lawful: str  # likewise
    here: tuple[float, float] | None  # where the body is seen at the moment of the break
    radius: float  # px of the body


@dataclass(frozen=True)
class BrokenClip:
    """What the report shows of one clip's breaks."""

    words: str
    seconds: float  # the horizon
    timelines: tuple[Timeline, ...]
    close_ups: tuple[CloseUp, ...]
    left_out: str  # breaks without a close-up and why; "" where all have one


def clip_breaks(
    clip: Clip, found: Trace, tracks: Tracks, frames: Frames | None, quality: int | None = None
) -> BrokenClip:
    """Timeline and close-ups of a trace; frames (T, H, W, 3) are the predicted ones, None where they were not kept.

    quality: of the pictures, see `data_uri`.
    """
    horizon = float(found.times[-1])
    bodies = [clip.tracked_bodies[column] for column in found.columns]
    names = tuple(f"{body.name} ({hue_name(body.hue or 0)})" for body in bodies)
    timelines = tuple(
        Timeline(name, tuple(_lane(found, r, n, horizon) for r in range(len(found.rungs))))
        for n, name in enumerate(names)
    )
    apart = found.distinct()
    known = np.asarray(np.isfinite(found.lawful[:, :, 0]).any(axis=1))
    drawn = sorted((b for b in apart[:MAX_KEPT] if known[b]), key=lambda b: float(found.time[b]))
    close_ups = tuple(_close_up(clip, found, tracks, frames, b, names[found.body[b]], quality) for b in drawn)
    return BrokenClip(_words(found), horizon, timelines, close_ups, _left_out(len(apart), len(drawn)))


def _left_out(apart: int, drawn: int) -> str:
    """How many of the different breaks have no close-up, and why."""
    beyond = max(apart - MAX_KEPT, 0)
    unknown = apart - beyond - drawn
    parts = [
        f"{beyond} at smaller tolerances or later ({MAX_KEPT} are drawn at most)" if beyond else "",
        f"{unknown} with no lawful trajectory around them" if unknown else "",
    ]
    said = joined([part for part in parts if part])
    return f"{drawn} of {apart} different breaks drawn. Left out: {said}." if said else ""


def _words(found: Trace) -> str:
    ahead = found.times > 1e-6
    due = found.due[ahead]
    dt = float(found.times[1] - found.times[0])
    lost, whole = (dt * float(mask.sum()) for mask in (due & (found.weight[0, ahead] == 0), due))
    unlawful = f"no lawful motion is seen for {lost:.1f} of {whole:.1f} s of object-time"
    if not len(found.rung):
        if lost:
            return f"No break, but {unlawful}."
        return f"No break: lawful within {found.rungs[0]:.2g} diameters from the hand-over on."
    counts = [int((found.rung == r).sum()) for r in range(len(found.rungs))]
    parts = [f"{many} at {tolerance:.2g}" for many, tolerance in zip(counts, found.rungs, strict=True) if many]
    words = f"Breaks, by tolerance in diameters: {joined(parts)}."
    return f"{words} At {found.rungs[0]:.2g} {unlawful}." if lost else words


def _lane(found: Trace, r: int, n: int, horizon: float) -> TimelineRow:
    ahead = found.times > 1e-6
    times = found.times[ahead].astype(np.float64)
    dt = float(times[1] - times[0]) if len(times) > 1 else horizon
    value = np.where(found.due[ahead, n], found.weight[r, ahead, n].astype(np.float64), -1.0)  # -1: not due
    edges = np.flatnonzero(np.diff(value, prepend=np.nan, append=np.nan) != 0)
    bars = tuple(
        TimelineBar(
            round(max(times[a] - dt, 0.0) / horizon, 4), round(float(times[b - 1]) / horizon, 4), float(value[a])
        )
        for a, b in pairwise(edges)
        if value[a] >= 0
    )
    ticks = found.time[(found.rung == r) & (found.body == n)]
    shares = tuple(round(float(np.clip(time / horizon, 0, 1)), 4) for time in ticks)
    return TimelineRow(round(float(found.rungs[r]), 4), bars, shares)


def _close_up(
    clip: Clip, found: Trace, tracks: Tracks, frames: Frames | None, b: int, name: str, quality: int | None
) -> CloseUp:
    reach, frame, column = found.lawful.shape[1] // 2, found.moment(b), int(found.columns[found.body[b]])
    window = np.arange(frame - reach, frame + reach + 1)
    inside = (window >= 0) & (window < len(tracks.position))
    seen = np.full((len(window), 2), np.nan)
    seen[inside] = tracks.position[window[inside], column]
    lawful = found.lawful[b].astype(np.float64)
    index = clip.window(tracks.context)
    radius = float(clip.diameters()[index][min(frame, len(tracks.times) - 1), column]) * clip.pixels_per_metre / 2
    size = (clip.spec.width, clip.spec.height)
    corner, side = _box(seen, lawful, reach, radius, size)
    here = seen[reach] - corner if np.isfinite(seen[reach]).all() else None
    return CloseUp(
        words=f"{name}, {_when(found, b)}, ±{found.rungs[found.rung[b]]:.2g}: {_change(found, b)}",
        picture=_part(_picture(clip, tracks.context, frames, frame), corner, side, quality),
        side=side,
        predicted=_points(seen, corner, side),
        lawful=_points(lawful, corner, side),
        here=None if here is None else (round(float(here[0]), 1), round(float(here[1]), 1)),
        radius=round(radius, 1),
    )


def _when(found: Trace, b: int) -> str:
    """When a break is, and when it is seen: the trajectories part before the tolerance is exceeded."""
    time, shows, dt = float(found.time[b]), float(found.times[found.frame[b]]), float(found.times[1] - found.times[0])
    if abs(shows - time) <= 1.5 * dt:  # one frame, and what rounding adds
        return f"{time:.2f} s"
    return f"{time:.2f}–{shows:.2f} s"


def _change(found: Trace, b: int) -> str:
    """By how much: "0.55⌀ 1.2 m/s", in at most five words. `CLOSE_UP_LEGEND` explains it."""
    if found.begins(b):
        return f"begins {number(float(found.kick[b]), 2)} m/s off"
    if not np.isfinite(found.kick[b]):
        return "nothing lawful follows"
    gross = " gross" if found.gross[b] else ""
    return f"{number(float(found.jump[b]), 2)}⌀ {number(float(found.kick[b]), 2)} m/s{gross}"


def _box(seen: Array, lawful: Array, reach: int, radius: float, size: tuple[int, int]) -> tuple[Array, float]:
    """Corner (2,) px and side of a square inside the picture around the parts of both trajectories near the break."""
    near = np.concatenate(
        [seen[reach - reach // 2 : reach + reach // 2 + 1], lawful[reach // 2 : reach + reach // 2 + 1]]
    )
    inside = np.all((near >= 0) & (near <= np.array(size)), axis=1)  # False where NaN
    near = near[inside] if inside.any() else np.array(size)[None] / 2
    low, high = near.min(axis=0) - 1.5 * radius, near.max(axis=0) + 1.5 * radius
    side = float(np.ceil(min(max((high - low).max(), 2 * LEAST_HALF * min(size)), min(size))))
    corner = np.clip(np.round((low + high - side) / 2), 0, np.array(size) - side)
    return np.asarray(corner, dtype=np.float64), side


def _picture(clip: Clip, context: int, frames: Frames | None, frame: int) -> Frames | None:
    """A frame (H, W, 3) of the model's window: of the context, or predicted; None where it was not kept."""
    if frame < context:  # at the hand-over: the last frame that the model was shown
        known, at = clip.frames[clip.window(context)], frame
    elif frames is not None and frame - context < len(frames):
        known, at = frames, frame - context
    else:
        return None
    picture: Frames = known[at]
    return picture


def _part(picture: Frames | None, corner: Array, side: float, quality: int | None) -> str:
    """A part of a frame as a data URI; "" for none."""
    if picture is None:
        return ""
    from PIL import Image

    x, y = (int(value) for value in corner)
    part = Image.fromarray(picture[y : y + int(side), x : x + int(side)])
    if part.width > CLOSE_UP_PX:
        part = part.resize((CLOSE_UP_PX, CLOSE_UP_PX), Image.Resampling.BOX)
    return data_uri(part, quality)


def _points(positions: Array, corner: Array, side: float) -> str:
    """SVG points of the known part of a trajectory (T, 2) px, those just outside of the close-up included."""
    moved = positions - corner
    near = np.all((moved >= -side / 2) & (moved <= 1.5 * side), axis=1)  # False where NaN
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in moved[near])
