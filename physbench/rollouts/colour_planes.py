"""Frames with their channels last, as clips have them, and as planes, as models have them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Bytes that are moved at once. They stay in the processor's cache, and are so many that threads seldom hand over: at
# each copy in numpy this thread may have to wait for another one.
MOVED_TOGETHER = 1 << 20

Frames = NDArray[np.uint8]


def fill_planes(planes: Frames, frames: Frames) -> None:
    """Write frames (T, H, W, 3) into planes (T, 3, H, W)."""
    for block in _blocks(frames):
        for channel in range(frames.shape[-1]):
            planes[block, channel] = frames[block, ..., channel]


def fill_frames(frames: Frames, planes: Frames) -> None:
    """Write the first planes (T, 3, H, W) into frames (t, H, W, 3), t <= T."""
    for block in _blocks(frames):
        for channel in range(frames.shape[-1]):
            frames[block, ..., channel] = planes[block, channel]


def _blocks(frames: Frames) -> Iterator[slice]:
    step = max(1, MOVED_TOGETHER // max(1, frames[:1].nbytes))
    return (slice(start, min(start + step, len(frames))) for start in range(0, len(frames), step))
