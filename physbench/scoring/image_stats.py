"""Statistics of frames: evenly spaced samples, masks of colour, sharpness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLED_FRAMES = 16  # evenly spaced over a prediction
MIN_COLOUR = 40  # levels between the largest and the smallest channel; greys have none

Frames = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def frame_indices(count: int) -> NDArray[np.intp]:
    """Indices of at most SAMPLED_FRAMES of `count` frames, evenly spaced, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).round().astype(np.intp))


def colour_mask(frames: Frames) -> Mask:
    """Where frames (T, H, W, 3) have colour (T, H, W)."""
    red, green, blue = channels(frames)
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return np.asarray(high - low >= MIN_COLOUR)


def channels(frames: Frames) -> tuple[Frames, Frames, Frames]:
    """Red, green and blue (..., H, W) of frames (..., H, W, 3): an axis of 3 is slow to reduce."""
    return frames[..., 0], frames[..., 1], frames[..., 2]


def levels_apart(one: Frames, other: Frames) -> Frames:
    """|one - other| of levels, without a wider type."""
    return np.asarray(np.maximum(one, other) - np.minimum(one, other))


def mean_squared_gradient(frames: Frames) -> NDArray[np.float64]:
    """Mean squared difference (T,) of neighbouring pixels of frames (T, H, W, 3), over rows, columns and channels."""
    found = []
    for frame in frames:  # one by one, so that the differences stay in the processor's cache
        levels = frame.astype(np.float32)
        across, down = np.diff(levels, axis=1), np.diff(levels, axis=0)
        found.append((np.mean(across**2) + np.mean(down**2)) / 2)
    return np.asarray(found, np.float64)
