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
    red, green, blue = (frames[..., channel] for channel in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return np.asarray(high - low >= MIN_COLOUR)


def mean_squared_gradient(frames: Frames) -> NDArray[np.float64]:
    """Mean squared difference (T,) of neighbouring pixels of frames (T, H, W, 3), over rows, columns and channels."""
    small = frames.astype(np.float32)
    across, down = np.diff(small, axis=2), np.diff(small, axis=1)
    return np.asarray([(np.mean(a**2) + np.mean(b**2)) / 2 for a, b in zip(across, down, strict=True)], np.float64)
