"""Lossless video files: H.264 of RGB in Matroska, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.encode import H264_RGB_FAST, encode
from physbench.clips.rgb_frames import rgb_converter
from physbench.errors import PhysbenchError


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
            frames = [*map(rgb_converter(), container.decode(video=0))]
    except (av.error.FFmpegError, IndexError) as error:
        if isinstance(error, FileNotFoundError):
            raise VideoError(f"{path} does not exist.") from None
        raise VideoError(f"{path} is not a readable video ({error}). Remove it and make it again.") from None
    if not frames or (count is not None and len(frames) != count):
        wanted = "frames" if count is None else f"{count} frames"
        raise VideoError(f"{path}: expected {wanted}, got {len(frames)}. It is truncated: remove it, make it again.")
    return np.stack(frames)
