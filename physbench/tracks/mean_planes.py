"""Colours of frames as planes, pooled: an innermost axis of 3 is slow to reduce."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_planes(frames: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """Mean levels (3, N, H // factor, W // factor) of squares of `factor` px of frames (N, H, W, 3).

    Rows and columns beyond the last whole square are left out. Levels are added up as whole numbers: that is exact, as
    sums of so few of them in float32 are, and many times faster.
    """
    height, width = (side // factor for side in frames.shape[1:3])
    kind = np.uint16 if factor <= 16 else np.uint32  # 16 * 16 * 255 < 2^16
    total = np.zeros((3, len(frames), height, width), dtype=kind)
    for n, frame in enumerate(frames):  # one by one, so that sums of rows stay in the processor's cache
        rows = frame[: height * factor].reshape(height, factor, 3 * frame.shape[1]).sum(axis=1, dtype=kind)
        pixels = rows.reshape(height, frame.shape[1], 3)[:, : width * factor]
        for channel in range(3):
            for column in range(factor):
                total[channel, n] += pixels[:, column::factor, channel]
    return total.astype(np.float32) / np.float32(factor * factor)
