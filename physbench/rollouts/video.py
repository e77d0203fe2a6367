"""Lossless video files: H.264 of RGB in Matroska, the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.encode import H264_RGB_FAST, encode
from physbench.clips.rgb_frames import rgb_converter
from physbench.errors import PhysbenchError

FIRST_FRAMES = 64  # that there is room for where nobody says how many there are


class VideoError(PhysbenchError, ValueError):
    """A file that does not hold the expected frames."""


def write_video(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Write frames (T, H, W, 3), T >= 1. The file is complete or does not exist."""
    encode(path, frames, fps, H264_RGB_FAST)


def read_video(path: Path, count: int | None = None) -> NDArray[np.uint8]:
    """Read frames (T, H, W, 3) exactly as they were written.

    A truncated file decodes to fewer frames without an error, unless `count`, the number written, is given.
    """
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "NONE"
            frames, got = _together(container.decode(video=0), count)
    except (av.error.FFmpegError, IndexError) as error:
        if isinstance(error, FileNotFoundError):
            raise VideoError(f"{path} does not exist.") from None
        raise VideoError(f"{path} is not a readable video ({error}). Remove it and make it again.") from None
    if not got or (count is not None and got != count):
        wanted = "frames" if count is None else f"{count} frames"
        raise VideoError(f"{path}: expected {wanted}, got {got}. It is truncated: remove it, make it again.")
    return frames[:got]


def _together(decoded: Iterable[Any], count: int | None) -> tuple[NDArray[np.uint8], int]:
    """Frames of PyAV in one array, and how many there are: those beyond `count` are counted and not kept.

    Each is copied there while it is in the processor's cache, and its memory is used for the next one.
    """
    convert, got = rgb_converter(), 0
    frames = np.empty((0, 0, 0, 3), dtype=np.uint8)
    for got, frame in enumerate(map(convert, decoded), start=1):
        if got == 1:
            frames = np.empty((count or FIRST_FRAMES, *frame.shape), dtype=np.uint8)
        elif got > len(frames) and count is None:
            frames = np.concatenate([frames, np.empty_like(frames)])
        if got <= len(frames):
            frames[got - 1] = frame
    return frames, got
