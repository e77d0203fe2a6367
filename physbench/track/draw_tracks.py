"""Tracks drawn on frames, for reports and previews; numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Image
from physbench.track.tracks import Tracks, Visibility
from physbench.world.scene import PALETTE

Canvas = NDArray[np.float32]
Colour = tuple[float, float, float]

SHORT_SIDE = 256  # px that small frames are brought to
TRAIL = 0.8  # s of the path that is drawn
BLACK, WHITE = (0.05, 0.05, 0.05), (1.0, 1.0, 1.0)
CORNER = 4.0  # px from the border to the first mark of the legend
MARK_PX = 9.0  # px, side of a mark


def draw_tracks(frames: Image, clip: Clip, tracks: Tracks, scale: int | None = None, first: int = 0) -> Image:
    """Draw tracks on frames (N, H, W, 3) -> (N, H * scale, W * scale, 3).

    frames[i] is frame `first + i` of the tracks. Each object has a cross at its position, a ring of its own size and
    its path of the last 0.8 s. Marks in the left upper corner, one per object: filled seen, half clipped by the border,
    hollow hidden, crossed out absent; a small one for each duplicate. White marks on the right: unknown blobs.
    scale: whole factor; None: the one that makes the shorter side at least 256 px.
    """
    short = min(frames.shape[1:3])
    scale = max(1, -(-SHORT_SIDE // short)) if scale is None else scale
    radius = np.nan_to_num(np.nanmedian(clip.diameters(), axis=0)) / 2 * clip.pixels_per_metre * scale
    colours = [PALETTE[body.hue] for body in clip.tracked_bodies if body.hue is not None]
    trail = max(1, round(TRAIL * clip.spec.fps))
    drawn = np.empty((len(frames), frames.shape[1] * scale, frames.shape[2] * scale, 3), dtype=np.uint8)
    for i, frame in enumerate(frames):
        t = first + i
        canvas = (frame.repeat(scale, axis=0).repeat(scale, axis=1) / 255).astype(np.float32)
        if t < len(tracks.times):
            for k, colour in enumerate(colours):
                path = tracks.position[max(0, t - trail) : t + 1, k] * scale
                _draw_object(canvas, path, float(radius[k]), colour)
            _draw_legend(canvas, tracks, t, colours)
        drawn[i] = np.round(canvas * 255)
    return drawn


def _draw_object(canvas: Canvas, path: NDArray[np.float64], radius: float, colour: Colour) -> None:
    for position in path[:-1]:
        if np.isfinite(position).all():
            _disc(canvas, position, 1.6, colour, BLACK)
    position = path[-1]
    if np.isfinite(position).all():
        _ring(canvas, position, radius + 1.5, colour)
        _cross(canvas, position, 6.0)


def _draw_legend(canvas: Canvas, tracks: Tracks, t: int, colours: list[Colour]) -> None:
    for k, colour in enumerate(colours):
        x = CORNER + k * (MARK_PX + 4) + MARK_PX / 2
        middle = np.array([x, CORNER + MARK_PX / 2])
        state = tracks.state[t, k]
        _square(canvas, middle, MARK_PX / 2 + 1, BLACK)
        if state == Visibility.OCCLUDED:
            _square(canvas, middle, MARK_PX / 2, colour)
            _square(canvas, middle, MARK_PX / 2 - 2, BLACK)
        else:
            _square(canvas, middle, MARK_PX / 2, colour)
        if state == Visibility.CLIPPED:
            canvas[int(CORNER + MARK_PX / 2) : int(CORNER + MARK_PX), int(x - MARK_PX / 2) : int(x + MARK_PX / 2)] = (
                BLACK
            )
        if state == Visibility.ABSENT:
            _saltire(canvas, middle, MARK_PX / 2 + 1)
        for number in range(min(int(tracks.duplicates[t, k]), 5)):
            _square(canvas, np.array([x, CORNER + 1.5 * MARK_PX + 3 + 5 * number]), 1.5, colour)
    for number in range(min(int(tracks.hallucinations[t]), 8)):
        _square(canvas, np.array([canvas.shape[1] - CORNER - (number + 0.5) * 8, CORNER + 3]), 3, WHITE)


def _box(canvas: Canvas, middle: NDArray[np.float64], reach: float) -> tuple[slice, slice]:
    """Rows and columns within `reach` px of a point, inside the canvas."""
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.ceil(middle + reach).astype(int) + 1
    return slice(int(low[1]), max(int(high[1]), 0)), slice(int(low[0]), max(int(high[0]), 0))


def _offsets(canvas: Canvas, rows: slice, columns: slice, middle: NDArray[np.float64]) -> tuple[Canvas, Canvas]:
    """Distances in px of the pixels of a box from a point: across (1, w) and down (h, 1)."""
    height, width = canvas[rows, columns].shape[:2]
    x = np.arange(columns.start, columns.start + width) + 0.5 - middle[0]
    y = np.arange(rows.start, rows.start + height) + 0.5 - middle[1]
    return x[None, :].astype(np.float32), y[:, None].astype(np.float32)


def _paint(canvas: Canvas, rows: slice, columns: slice, cover: NDArray[np.floating], colour: Colour) -> None:
    part = canvas[rows, columns]
    part += (np.asarray(colour, dtype=np.float32) - part) * np.clip(cover, 0, 1)[..., None]


def _disc(canvas: Canvas, middle: NDArray[np.float64], radius: float, colour: Colour, edge: Colour) -> None:
    box = _box(canvas, middle, radius + 2)
    distance = np.hypot(*_offsets(canvas, *box, middle))
    _paint(canvas, *box, radius + 1.5 - distance, edge)
    _paint(canvas, *box, radius + 0.5 - distance, colour)


def _ring(canvas: Canvas, middle: NDArray[np.float64], radius: float, colour: Colour) -> None:
    box = _box(canvas, middle, radius + 3)
    away = np.abs(np.hypot(*_offsets(canvas, *box, middle)) - radius)
    _paint(canvas, *box, 2.0 - away, BLACK)
    _paint(canvas, *box, 1.1 - away, colour)


def _cross(canvas: Canvas, middle: NDArray[np.float64], arm: float) -> None:
    box = _box(canvas, middle, arm + 2)
    x, y = (np.abs(part) for part in _offsets(canvas, *box, middle))
    for thick, colour in ((1.6, BLACK), (0.6, WHITE)):
        beam = np.maximum(
            np.minimum(thick + 0.5 - y, arm + thick - x), np.minimum(thick + 0.5 - x, arm + thick - y)
        ).astype(np.float32)
        _paint(canvas, *box, beam, colour)


def _square(canvas: Canvas, middle: NDArray[np.float64], half: float, colour: Colour) -> None:
    box = _box(canvas, middle, half + 1)
    x, y = (np.abs(part) for part in _offsets(canvas, *box, middle))
    _paint(canvas, *box, np.minimum(half + 0.5 - x, half + 0.5 - y), colour)


def _saltire(canvas: Canvas, middle: NDArray[np.float64], half: float) -> None:
    box = _box(canvas, middle, half + 1)
    x, y = (np.abs(part) for part in _offsets(canvas, *box, middle))
    inside = (np.maximum(x, y) <= half + 0.5).astype(np.float32)
    for thick, colour in ((2.0, BLACK), (1.0, WHITE)):
        _paint(canvas, *box, (thick - np.abs(x - y)) * inside, colour)
