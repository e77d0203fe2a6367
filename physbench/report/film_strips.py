"""Film strips: a clip's truth above its prediction at a few moments, with the tracks drawn on.

Frames are one small picture per row, shown pixel by pixel; tracks are vectors above them, so that they stay fine lines
at every size. A ring in the prediction marks where ground truth has the object, a cross one that should be seen and is
not.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks, Visibility

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

MOMENTS = 8
FRAME_GAP = 2  # px between frames
FRAME_PX = 128  # longer sides are made smaller for the page


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
    """Indices after the hand-over (0: the first predicted frame) of the frames shown, evenly over the horizon."""
    last = clip.horizon - 1
    return np.unique(np.round(np.linspace(last / MOMENTS, last, MOMENTS)).astype(int))


def strips(clip: Clip, prediction: Frames, tracks: Tracks, quality: int | None = None) -> tuple[Strip, Strip]:
    """Truth and prediction (T, H, W, 3) of a clip at its `moments`; a short prediction leaves cells empty.

    quality: of the pictures, see `data_uri`.
    """
    shown = moments(clip)
    true_px = clip.px_positions()[clip.handover :]  # (1 + horizon, K, 2), from the hand-over on
    seen_px = tracks.position[tracks.context - 1 :]
    radius = clip.diameters()[clip.handover :] * clip.pixels_per_metre / 2
    state = tracks.state[tracks.context - 1 :]
    height, width = clip.frames.shape[1:3]
    scale = min(1.0, FRAME_PX / max(height, width))
    cell = (round(width * scale), round(height * scale))
    truth_marks, seen_marks = [], []
    for column, moment in enumerate(shown):
        offset = np.array([column * (cell[0] + FRAME_GAP), 0.0])
        frame = moment + 1  # frame 0 of both is the hand-over
        for k, body in enumerate(clip.tracked_bodies):
            hue = body.hue or 0
            true = true_px[: frame + 1, k] * scale + offset
            seen = seen_px[: frame + 1, k] * scale + offset
            r = float(radius[frame, k]) * scale
            inside = bool(np.all((true[-1] >= offset) & (true[-1] <= offset + np.array(cell))))
            ring = (_round(true[-1, 0]), _round(true[-1, 1]), _round(r)) if inside else None
            lost = ring if frame < len(state) and state[frame, k] == Visibility.ABSENT else None
            truth_marks.append(Mark(hue, _points(true, offset, cell), *_last(true, inside)))
            here = frame < len(seen_px) and bool(np.isfinite(seen[-1]).all())
            ring = ring if body.role == "moving" else None
            seen_marks.append(Mark(hue, _points(seen, offset, cell), *_last(seen, here), ring=ring, lost=lost))
    true = picture_strip([clip.future()[i] for i in shown], cell, quality)
    made = picture_strip([prediction[i] if i < len(prediction) else None for i in shown], cell, quality)
    size = (len(shown) * (cell[0] + FRAME_GAP) - FRAME_GAP, cell[1])
    return Strip("truth", true, *size, tuple(truth_marks)), Strip("model", made, *size, tuple(seen_marks))


def times_of(clip: Clip) -> list[float]:
    """Times of the frames shown, s from the hand-over."""
    return [float(clip.times[clip.handover + 1 + i]) for i in moments(clip)]


def picture_strip(frames: list[Frames | None], cell: tuple[int, int], quality: int | None = None) -> str:
    """Frames side by side as a data URI; None leaves its cell empty."""
    from PIL import Image

    strip = Image.new("RGBA", (len(frames) * (cell[0] + FRAME_GAP) - FRAME_GAP, cell[1]), (0, 0, 0, 0))
    for i, frame in enumerate(frames):
        if frame is None:
            continue
        picture = Image.fromarray(frame)
        if picture.size != cell:
            picture = picture.resize(cell, Image.Resampling.BOX)
        strip.paste(picture.convert("RGBA"), (i * (cell[0] + FRAME_GAP), 0))
    return data_uri(strip, quality)


def data_uri(picture: Image.Image, quality: int | None = None) -> str:
    """A picture as a data URI: a PNG, or WebP of a quality from 0 to 100, which a noisy picture needs to be small."""
    target = io.BytesIO()
    if quality is None:
        picture.save(target, format="PNG", optimize=True)
    else:
        picture.save(target, format="WEBP", quality=quality)
    kind = "png" if quality is None else "webp"
    return f"data:image/{kind};base64," + base64.b64encode(target.getvalue()).decode("ascii")


def _points(positions: Array, offset: Array, cell: tuple[int, int]) -> str:
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
