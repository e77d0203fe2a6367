"""Statistics of frames: evenly spaced samples, masks of colour, sharpness."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Image, Mask

SAMPLED_FRAMES = 16  # evenly spaced over a prediction
MIN_COLOUR = 40  # levels between the largest and the smallest channel; greys have none

Scalar = TypeVar("Scalar", bound=np.generic)


def frame_indices(count: int) -> NDArray[np.intp]:
    """Indices of at most SAMPLED_FRAMES of `count` frames, evenly spaced, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).round().astype(np.intp))


def colour_mask(frames: Image) -> Mask:
    """Mask (..., H, W) of coloured pixels of frames (..., H, W, 3)."""
    return np.asarray(over_channels(np.maximum, frames) - over_channels(np.minimum, frames) >= MIN_COLOUR)


def over_channels(combine: np.ufunc, pixels: NDArray[Scalar]) -> NDArray[Scalar]:
    """Channels of pixels (..., H, W, 3), reduced by `combine` to (..., H, W), in their type.

    All neighbours in memory are combined, of which every third is kept: an axis of 3 is slow to reduce, and bytes that
    lie apart are slow to read.
    """
    flat = pixels.reshape(-1)
    pairs = combine(flat[:-1], flat[1:])
    return np.asarray(combine(pairs[:-1], flat[2:])[::3]).reshape(pixels.shape[:-1])


def levels_apart(one: Image, other: Image) -> Image:
    """|one - other| of levels, without a wider type."""
    apart = np.maximum(one, other)
    apart -= np.minimum(one, other)
    return np.asarray(apart)


def squares_apart(one: Image, other: Image) -> NDArray[np.float32]:
    """(one - other)^2 of levels; as whole numbers below 2^16 they are made in less memory than as floats."""
    apart = levels_apart(one, other)
    return np.multiply(apart, apart, dtype=np.uint16).astype(np.float32)


def mean_squared_gradient(frames: Image, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean squared difference (n,) of neighbouring pixels, over rows, columns and channels.

    Of `chosen` (n,) of frames (T, H, W, 3).
    """
    gradients = []
    for frame in map(frames.__getitem__, chosen):  # one by one: the differences stay in the processor's cache
        across, down = squares_apart(frame[:, 1:], frame[:, :-1]), squares_apart(frame[1:], frame[:-1])
        gradients.append((np.mean(across) + np.mean(down)) / 2)
    return np.asarray(gradients, np.float64)
