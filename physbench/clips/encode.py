"""Frames into video files: FFV1, exact and the same bytes each time, and H.264, which plays everywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Codec:
    """How frames are written."""

    suffix: str
    container: str
    encoder: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)


FFV1 = Codec(".mkv", "matroska", "ffv1", "bgr0")
# 4:2:0 at even sizes is what every player and model reads; crf 10 is 45 dB and more on these pictures.
H264 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "10", "preset": "medium"})


def encode(path: Path, frames: NDArray[np.uint8], fps: float, codec: Codec = FFV1) -> None:
    """Write frames (T, H, W, 3), T >= 1. The file appears whole or not at all."""
    import av

    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"Expected frames (T, H, W, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}.")

    part = path.with_name(f".{os.getpid()}.{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # One thread and bitexact: the bytes depend on the frames alone.
        with av.open(str(part), "w", format=codec.container, container_options={"fflags": "+bitexact"}) as container:
            # Any: by its signature an encoder of this name could be one of sound.
            stream: Any = container.add_stream(codec.encoder, rate=Fraction(fps).limit_denominator(1000))
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], codec.pixels
            if codec.options:
                stream.options = dict(codec.options)
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
