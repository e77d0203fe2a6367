"""Lossless video: FFV1 in Matroska, the same bytes each time."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.errors import PhysbenchError


class VideoError(PhysbenchError, ValueError):
    """A file that does not hold the frames that it should."""


def write_video(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Write frames (T, H, W, 3), T >= 1. The file appears whole or not at all."""
    import av

    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"Expected frames (T, H, W, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}.")

    part = path.with_name(f".{os.getpid()}.{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # One thread and bitexact: the bytes depend on the frames alone.
        with av.open(str(part), "w", format="matroska", container_options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1000))
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "bgr0"
            stream.codec_context.thread_count = 1
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            for frame in frames:
                for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_video(path: Path, count: int | None = None) -> NDArray[np.uint8]:
    """Read frames (T, H, W, 3) exactly as they were written.

    A truncated file decodes to fewer frames without an error: give `count`, the number that was written, to be told.
    """
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "NONE"
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.error.FFmpegError, IndexError) as error:
        if isinstance(error, FileNotFoundError):
            raise VideoError(f"{path} does not exist.") from None
        raise VideoError(f"{path} is not a readable video ({error}). Remove it and make it again.") from None
    if not frames or (count is not None and len(frames) != count):
        wanted = "frames" if count is None else f"{count} frames"
        raise VideoError(f"{path}: expected {wanted}, got {len(frames)}. It is truncated: remove it, make it again.")
    return np.stack(frames)
