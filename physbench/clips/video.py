"""Containers of videos, and frames as video files and back, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Image
from physbench.support.files import atomic_path

# THE place to add a container: a line in DEMUXERS with the extension in lower case, and the name of FFmpeg's demuxer
# for it (`python -c "import av; print(sorted(av.formats_available))"` lists the names). Listing, decoding and error
# messages follow. Then add a case to `tests/models/test_videos.py`, and the extension to section 2 of
# `docs/your-videos.md`.
#
# A file is opened with the demuxer of its name and no other: a playlist called .mp4 must not make the library open
# further files or addresses.
DEMUXERS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".webm": "matroska",
    ".mkv": "matroska",
    ".mov": "mov",
    ".gif": "gif",
    ".avi": "avi",
}
FIXED_CLOCKS = ("gif", "matroska")  # demuxers whose unit of time does not depend on the rate of the video
IMAGE_SUFFIX = ".png"  # of the frames in a folder, which `videos/decode.py` opens with the demuxer png_pipe
ACCEPTED = f"{', '.join(DEMUXERS)} or a folder of PNG"  # for messages


def container_suffix(name: str) -> str:
    """The extension of a video file as it is written in its name, or "" for other files."""
    return next((name[-len(suffix) :] for suffix in DEMUXERS if name.lower().endswith(suffix)), "")


def demuxer(name: str) -> str:
    """The demuxer for a video file of this name."""
    return DEMUXERS[container_suffix(name).lower()]


# Decoded video frames as RGB arrays.


def rgb_converter(layout: str = "rgb24") -> Callable[[Any], Image]:
    """A function that turns PyAV frames of one video into RGB (H, W, 3), by the colour space and range of their tags.

    Transparent pixels keep their colour; the layout "rgba" gives their opacity, too. `frame.to_ndarray(format="rgb24")`
    gives the same, but sets up the conversion anew for each frame, which takes .3 ms, more than decoding a small frame.
    """
    from av.video.reformatter import VideoReformatter

    reformatter, name = VideoReformatter(), ""

    def convert(frame: Any) -> Image:
        nonlocal reformatter, name
        if frame.format.name != name:  # PyAV 16 would keep the range of colours of the format before
            reformatter, name = VideoReformatter(), frame.format.name
        return np.asarray(reformatter.reformat(frame, format=layout).to_ndarray(), dtype=np.uint8)

    return convert


@dataclass(frozen=True)
class Codec:
    """Encoding of frames."""

    suffix: str
    container: str
    encoder: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)


FFV1 = Codec(".mkv", "matroska", "ffv1", "bgr0")


def h264(crf: int) -> Codec:
    """H.264, 4:2:0 at even sizes, which every player and model reads; `crf` 0 (best) to 51."""
    return Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": str(crf), "preset": "medium"})


H264 = h264(10)  # 45 dB and more on these pictures
# H.264 of the RGB values themselves: exact, in a file that ffmpeg and PyAV read, and browsers do not. A key frame every
# 12 frames, for readers that begin somewhere in a clip.
H264_RGB = Codec(".mp4", "mp4", "libx264rgb", "rgb24", {"qp": "0", "preset": "medium", "g": "12"})
# The same for files that are written and read once, from their start: two to five times cheaper than FFV1, both ways.
H264_RGB_FAST = Codec(".mkv", "matroska", "libx264rgb", "rgb24", {"qp": "0", "preset": "ultrafast"})


def png(frame: NDArray[np.uint8]) -> bytes:
    """A frame (H, W, 3) as the content of a PNG file."""
    import av

    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt = frame.shape[0], frame.shape[1], "rgb24"
    encoder.time_base = Fraction(1)
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def encode(path: Path, frames: NDArray[np.uint8], fps: float, codec: Codec = FFV1) -> None:
    """Write frames (T, H, W, 3), T >= 1. The file appears whole or not at all."""
    with atomic_path(path) as draft:
        _write(str(draft), frames, fps, codec)


def round_trip(frames: NDArray[np.uint8], fps: float, codec: Codec) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) after encoding and decoding. Nothing is written to disk."""
    import av

    file = io.BytesIO()
    _write(file, frames, fps, codec)
    file.seek(0)
    with av.open(file, "r", format=codec.container) as container:
        container.streams.video[0].thread_type = "NONE"
        read: NDArray[np.uint8] = np.stack([*map(rgb_converter(), container.decode(video=0))])
    if read.shape != frames.shape:
        raise ValueError(f"Expected frames {frames.shape} out of {codec.encoder}, got {read.shape}.")
    return read


def _write(target: str | IO[bytes], frames: NDArray[np.uint8], fps: float, codec: Codec) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"Expected frames (T, H, W, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}.")
    with video_writer(target, frames.shape[1], frames.shape[2], fps, codec) as write:
        write(frames)


@contextmanager
def video_writer(
    target: str | IO[bytes], height: int, width: int, fps: float, codec: Codec
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Yield a function that adds frames (T, H, W, 3) to one video; the bytes depend on the frames alone."""
    import av

    # One thread and bitexact, for the same bytes on every machine.
    with av.open(target, "w", format=codec.container, container_options={"fflags": "+bitexact"}) as container:
        # Any: the signature allows audio streams, too.
        stream: Any = container.add_stream(codec.encoder, rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = height, width, codec.pixels
        if codec.options:
            stream.options = dict(codec.options)
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact

        def write(frames: NDArray[np.uint8]) -> None:
            for frame in frames:
                for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")):
                    container.mux(packet)

        yield write
        for packet in stream.encode(None):
            container.mux(packet)
