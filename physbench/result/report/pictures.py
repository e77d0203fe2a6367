"""Pictures of one clip: breaks, film strips, frames for the player.

All moments lie below each other in one lossless picture, which the page draws one at a time: a reader can stop, step
and go back, which an animation does not allow. What repeats from frame to frame costs next to nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.result.formats import joined, number
from physbench.shadowing.shadow import MAX_KEPT, Trace
from physbench.support.arrays import Array
from physbench.track.moving_camera import path_framing
from physbench.track.tracks import Tracks, Visibility
from physbench.world.camera import mapped
from physbench.world.scene import hue_name

if TYPE_CHECKING:
    from PIL import Image

# The breaks of one clip: a timeline of what the laws explain, and a close-up of each break.


CLOSE_UP_LEGEND = (
    "Below each close-up: the object, the time of the break (after a dash that at which the tolerance is exceeded, if "
    "it is later), the tolerance (±) in diameters, and how far apart the lawful motions before and after the break "
    "are, in diameters (⌀) and m/s. A gross one counts as four. An object begins off where no velocity that the task "
    "declares fits."
)


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
    """Breaks of one clip as the report shows them."""

    words: str
    seconds: float  # the horizon
    timelines: tuple[Timeline, ...]
    close_ups: tuple[CloseUp, ...]
    left_out: str  # breaks without a close-up and why; "" where all have one


def clip_breaks(
    clip: Clip, trace: Trace, tracks: Tracks, frames: Frames | None, quality: int | None = None
) -> BrokenClip:
    """Timeline and close-ups of a trace; frames (T, H, W, 3) are the predicted ones, None where they were not kept.

    quality: of the pictures, see `data_uri`.
    """
    horizon = float(trace.times[-1])
    bodies = [clip.tracked_bodies[column] for column in trace.columns]
    names = tuple(f"{body.name} ({hue_name(body.hue or 0)})" for body in bodies)
    timelines = tuple(
        Timeline(name, tuple(_lane(trace, r, n, horizon) for r in range(len(trace.rungs))))
        for n, name in enumerate(names)
    )
    apart = trace.distinct()
    known = np.asarray(np.isfinite(trace.lawful[:, :, 0]).any(axis=1))
    drawn = sorted((b for b in apart[:MAX_KEPT] if known[b]), key=lambda b: float(trace.time[b]))
    close_ups = tuple(_close_up(clip, trace, tracks, frames, b, names[trace.body[b]], quality) for b in drawn)
    return BrokenClip(_words(trace), horizon, timelines, close_ups, _left_out(len(apart), len(drawn)))


def _left_out(apart: int, drawn: int) -> str:
    """Number of different breaks without a close-up, and why."""
    beyond = max(apart - MAX_KEPT, 0)
    unknown = apart - beyond - drawn
    parts = [
        f"{beyond} at smaller tolerances or later ({MAX_KEPT} are drawn at most)" if beyond else "",
        f"{unknown} with no lawful trajectory around them" if unknown else "",
    ]
    omitted = joined([part for part in parts if part])
    return f"{drawn} of {apart} different breaks drawn. Left out: {omitted}." if omitted else ""


def _words(trace: Trace) -> str:
    ahead = trace.times > 1e-6
    expected = trace.due[ahead]
    dt = float(trace.times[1] - trace.times[0])
    lost, whole = (dt * float(mask.sum()) for mask in (expected & (trace.weight[0, ahead] == 0), expected))
    unlawful = f"no lawful motion is seen for {lost:.1f} of {whole:.1f} s of object-time"
    if not len(trace.rung):
        if lost:
            return f"No break, but {unlawful}."
        return f"No break: lawful within {trace.rungs[0]:.2g} diameters from the hand-over on."
    counts = [int((trace.rung == r).sum()) for r in range(len(trace.rungs))]
    parts = [f"{many} at {tolerance:.2g}" for many, tolerance in zip(counts, trace.rungs, strict=True) if many]
    words = f"Breaks, by tolerance in diameters: {joined(parts)}."
    return f"{words} At {trace.rungs[0]:.2g} {unlawful}." if lost else words


def _lane(trace: Trace, r: int, n: int, horizon: float) -> TimelineRow:
    ahead = trace.times > 1e-6
    times = trace.times[ahead].astype(np.float64)
    dt = float(times[1] - times[0]) if len(times) > 1 else horizon
    value = np.where(trace.due[ahead, n], trace.weight[r, ahead, n].astype(np.float64), -1.0)  # -1: not due
    edges = np.flatnonzero(np.diff(value, prepend=np.nan, append=np.nan) != 0)
    bars = tuple(
        TimelineBar(
            round(max(times[a] - dt, 0.0) / horizon, 4), round(float(times[b - 1]) / horizon, 4), float(value[a])
        )
        for a, b in pairwise(edges)
        if value[a] >= 0
    )
    ticks = trace.time[(trace.rung == r) & (trace.body == n)]
    shares = tuple(round(float(np.clip(time / horizon, 0, 1)), 4) for time in ticks)
    return TimelineRow(round(float(trace.rungs[r]), 4), bars, shares)


def _close_up(
    clip: Clip, trace: Trace, tracks: Tracks, frames: Frames | None, b: int, name: str, quality: int | None
) -> CloseUp:
    reach, frame, column = trace.lawful.shape[1] // 2, trace.moment(b), int(trace.columns[trace.body[b]])
    window = np.arange(frame - reach, frame + reach + 1)
    inside = (window >= 0) & (window < len(tracks.position))
    seen = np.full((len(window), 2), np.nan)
    seen[inside] = tracks.position[window[inside], column]
    seen = _in_frame(tracks.framing, frame, seen)
    lawful = _in_frame(tracks.framing, frame, trace.lawful[b].astype(np.float64))
    index = clip.window(tracks.context)
    radius = float(clip.diameters()[index][min(frame, len(tracks.times) - 1), column]) * clip.pixels_per_metre / 2
    size = (clip.spec.width, clip.spec.height)
    corner, side = _box(seen, lawful, reach, radius, size)
    here = seen[reach] - corner if np.isfinite(seen[reach]).all() else None
    return CloseUp(
        words=f"{name}, {_when(trace, b)}, ±{trace.rungs[trace.rung[b]]:.2g}: {_change(trace, b)}",
        picture=_part(_picture(clip, tracks.context, frames, frame), corner, side, quality),
        side=side,
        predicted=_points(seen, corner, side),
        lawful=_points(lawful, corner, side),
        here=None if here is None else (round(float(here[0]), 1), round(float(here[1]), 1)),
        radius=round(radius, 1),
    )


def _when(trace: Trace, b: int) -> str:
    """Time of a break, and that at which it is seen: the trajectories part before the tolerance is exceeded."""
    time, shows, dt = float(trace.time[b]), float(trace.times[trace.frame[b]]), float(trace.times[1] - trace.times[0])
    if abs(shows - time) <= 1.5 * dt:  # one frame, and what rounding adds
        return f"{time:.2f} s"
    return f"{time:.2f}–{shows:.2f} s"


def _change(trace: Trace, b: int) -> str:
    """By how much: "0.55⌀ 1.2 m/s", in at most five words. `CLOSE_UP_LEGEND` explains it."""
    if trace.begins(b):
        return f"begins {number(float(trace.kick[b]), 2)} m/s off"
    if not np.isfinite(trace.kick[b]):
        return "nothing lawful follows"
    gross = " gross" if trace.gross[b] else ""
    return f"{number(float(trace.jump[b]), 2)}⌀ {number(float(trace.kick[b]), 2)} m/s{gross}"


def _box(seen: Array, lawful: Array, reach: int, radius: float, size: tuple[int, int]) -> tuple[Array, float]:
    """Corner (2,) px and side of a square inside the picture around the parts of both trajectories near the break."""
    near = np.concatenate(
        [seen[reach - reach // 2 : reach + reach // 2 + 1], lawful[reach // 2 : reach + reach // 2 + 1]]
    )
    inside = np.all((near >= 0) & (near <= np.array(size)), axis=1)  # False where NaN
    near = near[inside] if inside.any() else np.array(size)[None] / 2
    low, high = near.min(axis=0) - 1.5 * radius, near.max(axis=0) + 1.5 * radius
    # a close-up's side is at least 0.18 of the picture's smaller one
    side = float(np.ceil(min(max((high - low).max(), 2 * 0.09 * min(size)), min(size))))
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
    close_up_px = 96  # of a close-up; a larger one is made smaller
    if part.width > close_up_px:
        part = part.resize((close_up_px, close_up_px), Image.Resampling.BOX)
    return data_uri(part, quality)


def _points(positions: Array, corner: Array, side: float) -> str:
    """SVG points of the known part of a trajectory (T, 2) px, those just outside of the close-up included."""
    moved = positions - corner
    near = np.all((moved >= -side / 2) & (moved <= 1.5 * side), axis=1)  # False where NaN
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in moved[near])


# Film strips: a clip's truth above its prediction at a few moments, with the tracks drawn on.
#
# Frames are one small picture per row, shown pixel by pixel; tracks are vectors above them, so that they stay fine
# lines at every size. A ring in the prediction marks where ground truth has the object, a cross one that should be seen
# and is not.

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class StripLayout:
    """Frames of a clip side by side."""

    moments: int = 8
    gap: int = 2  # px between frames
    most_px: int = 128  # longer sides are made smaller for the page


STRIP = StripLayout()


@dataclass(frozen=True)
class Mark:
    """One object in one frame of a strip, in the strip's coordinates."""

    hue: int  # of the palette
    trail: str  # SVG points of its trajectory since the hand-over
    x: float | None  # where it is seen
    y: float | None
    ring: tuple[float, float, float] | None = None  # x, y, radius in ground truth
    lost: tuple[float, float, float] | None = None  # x, y, radius where it should be seen and is not


@dataclass(frozen=True)
class Strip:
    """One row of frames and what is drawn above them, for the template."""

    label: str
    picture: str  # data URI
    width: int  # px
    height: int  # px
    marks: tuple[Mark, ...]


def moments(clip: Clip) -> NDArray[np.intp]:
    """Frames that are shown, evenly over the horizon; 0 is the first after the hand-over."""
    last = clip.horizon - 1
    return np.unique(np.round(np.linspace(last / STRIP.moments, last, STRIP.moments)).astype(int))


def strips(clip: Clip, prediction: Frames, tracks: Tracks, quality: int | None = None) -> tuple[Strip, Strip]:
    """Truth and prediction (T, H, W, 3) of a clip at its `moments`; a short prediction leaves cells empty.

    quality: of the pictures, see `data_uri`.
    """
    shown = moments(clip)
    true_px = clip.px_positions()[clip.handover :]  # (1 + horizon, K, 2), from the hand-over on
    seen_px = tracks.position[tracks.context - 1 :]
    framing = None if tracks.framing is None else tracks.framing[tracks.context - 1 :]
    path = path_framing(clip)[clip.handover :] if clip.scene.camera.path else None
    radius = clip.diameters()[clip.handover :] * clip.pixels_per_metre / 2
    state = tracks.state[tracks.context - 1 :]
    height, width = clip.frames.shape[1:3]
    scale = min(1.0, STRIP.most_px / max(height, width))
    cell = (round(width * scale), round(height * scale))
    truth_marks, seen_marks = [], []
    for column, moment in enumerate(shown):
        offset = np.array([column * (cell[0] + STRIP.gap), 0.0])
        frame = moment + 1  # frame 0 of both is the hand-over
        for k, body in enumerate(clip.tracked_bodies):
            hue = body.hue or 0
            true = _in_frame(path, frame, true_px[: frame + 1, k]) * scale + offset
            seen = _in_frame(framing, frame, seen_px[: frame + 1, k]) * scale + offset
            r = float(radius[frame, k]) * scale
            inside = bool(np.all((true[-1] >= offset) & (true[-1] <= offset + np.array(cell))))
            ring = (_round(true[-1, 0]), _round(true[-1, 1]), _round(r)) if inside else None
            lost = ring if frame < len(state) and state[frame, k] == Visibility.ABSENT else None
            truth_marks.append(Mark(hue, _film_points(true, offset, cell), *_last(true, inside)))
            here = frame < len(seen_px) and bool(np.isfinite(seen[-1]).all())
            ring = ring if body.role == "moving" else None
            if ring and framing is not None and frame < len(framing):  # where its own camera shows that place
                x, y = _in_frame(framing, frame, true_px[frame : frame + 1, k])[0] * scale + offset
                within = offset[0] <= x <= offset[0] + cell[0] and 0 <= y <= cell[1]
                ring = (_round(x), _round(y), _round(r)) if within else None
            seen_marks.append(Mark(hue, _film_points(seen, offset, cell), *_last(seen, here), ring=ring, lost=lost))
    true = picture_strip([clip.future()[i] for i in shown], cell, quality)
    picture = picture_strip([prediction[i] if i < len(prediction) else None for i in shown], cell, quality)
    size = (len(shown) * (cell[0] + STRIP.gap) - STRIP.gap, cell[1])
    return Strip("truth", true, *size, tuple(truth_marks)), Strip("model", picture, *size, tuple(seen_marks))


def _in_frame(framing: Array | None, frame: int, points: Array) -> Array:
    """Points (N, 2) px as a frame of a moving camera shows them; framing (T, 3, 3): see `Tracks`."""
    return points if framing is None else mapped(framing[min(frame, len(framing) - 1)], points)


def times_of(clip: Clip) -> list[float]:
    """Times of the frames shown, s from the hand-over."""
    return [float(clip.times[clip.handover + 1 + i]) for i in moments(clip)]


def picture_strip(frames: list[Frames | None], cell: tuple[int, int], quality: int | None = None) -> str:
    """Frames side by side as a data URI; None leaves its cell empty."""
    from PIL import Image

    strip = Image.new("RGBA", (len(frames) * (cell[0] + STRIP.gap) - STRIP.gap, cell[1]), (0, 0, 0, 0))
    for i, frame in enumerate(frames):
        if frame is None:
            continue
        picture = Image.fromarray(frame)
        if picture.size != cell:
            picture = picture.resize(cell, Image.Resampling.BOX)
        strip.paste(picture.convert("RGBA"), (i * (cell[0] + STRIP.gap), 0))
    return data_uri(strip, quality)


def data_uri(picture: Image.Image, quality: int | None = None) -> str:
    """A picture as a data URI: a PNG, or WebP of a quality from 0 to 100, which a noisy picture needs to be small."""
    target = io.BytesIO()
    if quality is None:
        picture.save(target, format="PNG")  # optimize takes four times as long for 3 % of the bytes
    else:
        picture.save(target, format="WEBP", quality=quality)
    kind = "png" if quality is None else "webp"
    return f"data:image/{kind};base64," + base64.b64encode(target.getvalue()).decode("ascii")


def _film_points(positions: Array, offset: Array, cell: tuple[int, int]) -> str:
    """SVG points of the known part of a trajectory (T, 2) inside its frame, at most about 80 of them."""
    inside = np.all((positions >= offset) & (positions <= offset + np.array(cell)), axis=1)  # False where NaN
    known = positions[inside]
    step = -(-len(known) // 80) or 1
    kept = np.concatenate([known[:-1:step], known[-1:]])
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)


def _last(positions: Array, known: bool) -> tuple[float | None, float | None]:
    return (_round(positions[-1, 0]), _round(positions[-1, 1])) if known else (None, None)


def _round(value: float) -> float:
    return round(float(value), 1)


@dataclass(frozen=True)
class SheetBounds:
    """Rate, size and quality of the pictures of a report."""

    rate: int = 10  # frames/s at least, of faster clips every second or third frame
    least_rate: int = 4  # frames/s, of what would be too large otherwise
    side_gap: int = 4  # px between prediction and ground truth
    most_bytes: int = 90_000  # of a picture; a larger one keeps every second frame
    most_lossy_bytes: int = 8_000  # where a quality is asked for: noise that is still larger is packed at a lower one
    least_quality: int = 2
    greys_as_one: int = 8  # grey levels that count as one: half the bytes, and no artefact that looks like the model's


SHEET = SheetBounds()


ENDED = 132


@dataclass(frozen=True)
class Player:
    """A player for the template."""

    clip: str
    sheet: str  # data URI of the picture with all moments
    width: int  # px of one moment
    height: int
    times: tuple[float, ...]  # s from the hand-over, of each moment
    breaks: tuple[float, ...]  # s, marks on the time line

    @property
    def moments(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> float:
        """Time of the last one, s."""
        return self.times[-1]

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Of each break: its place on the time line from the first moment (0) to the last (1), and its time in s."""
        first, last = self.times[0], self.times[-1]
        span = max(last - first, 1e-9)
        return tuple((round(min(max((time - first) / span, 0.0), 1.0), 4), time) for time in self.breaks)


def player(
    clip: str,
    truth: Frames,
    prediction: Frames,
    fps: float,
    breaks: Sequence[float] = (),
    quality: int | None = None,
) -> Player | None:
    """Truth and prediction (T, H, W, 3) side by side; where the prediction has ended its half is grey.

    quality: of the pictures, 0 to 100, at most; None: lossless. None where this Pillow writes no WebP.
    """
    from PIL import features

    if not features.check("webp"):
        return None
    step = max(1, int(fps // SHEET.rate))
    while True:
        shown = list(range((len(truth) - 1) % step, len(truth), step))  # ends with the last frame
        moments = [_moment(truth[i], prediction[i] if i < len(prediction) else None) for i in shown]
        small = len(moments) * len(moments[0]) <= 16_383  # px, of WebP
        packed = _webp(np.concatenate(moments), quality) if small else b""
        if small and (len(packed) <= SHEET.most_bytes or fps / step < 2 * SHEET.least_rate):
            break
        step *= 2
    while quality is not None and len(packed) > SHEET.most_lossy_bytes and quality > SHEET.least_quality:
        quality = max(quality // 2, SHEET.least_quality)
        packed = _webp(np.concatenate(moments), quality)
    height, width = moments[0].shape[:2]
    uri = "data:image/webp;base64," + base64.b64encode(packed).decode("ascii")
    times = tuple(round((i + 1) / fps, 4) for i in shown)
    return Player(clip, uri, width, height, times, tuple(sorted({round(time, 2) for time in breaks})))


def _moment(truth: Frames, prediction: Frames | None) -> Frames:
    """Both frames beside each other, (h, w, 3)."""
    from PIL import Image

    height, width = truth.shape[:2]
    scale = min(1.0, STRIP.most_px / max(height, width))
    w, h = round(width * scale), round(height * scale)
    whole = np.full((h, 2 * w + SHEET.side_gap, 3), ENDED, dtype=np.uint8)
    whole[:, w : w + SHEET.side_gap] = 20  # nearly black
    for frame, x in ((truth, 0), (prediction, w + SHEET.side_gap)):
        if frame is not None:
            small = np.asarray(Image.fromarray(frame).resize((w, h), Image.Resampling.BOX))
            whole[:, x : x + w] = small // SHEET.greys_as_one * SHEET.greys_as_one + SHEET.greys_as_one // 2
    return whole


def _webp(picture: Frames, quality: int | None) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    how = {"lossless": True, "method": 0} if quality is None else {"quality": quality}  # a tenth of the time of 4
    Image.fromarray(picture).save(target, "WEBP", **how)
    return target.getvalue()
