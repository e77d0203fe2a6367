"""Decodes untrusted videos into frames with time stamps, one by one, with bounds on size and length."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.videos_containers import demuxer
from physbench.adapters.videos_listing import VideoEntry
from physbench.adapters.videos_source import SourceFile, VideoSource
from physbench.clips.rgb_frames import Frame, rgb_converter
from physbench.errors import PhysbenchError

MAX_SIDE_PX = 4096
MIN_SIDE_PX = 16
MAX_FRAMES = 20_000
MAX_PIXELS = 2**24  # pixels of a frame that the decoder may allocate
PNG_START = b"\x89PNG\r\n\x1a\n"


class UnusableError(PhysbenchError):
    """A video that cannot be scored. The message names it and says why."""


@dataclass(frozen=True)
class VideoInfo:
    """Size and timing of a video, read without decoding it."""

    height: int  # px
    width: int
    stamps: NDArray[np.float64]  # (T,) s, ascending from 0
    rate: float | None  # frames a second, from the median interval; None for a single frame or a folder

    @property
    def frames(self) -> int:
        return len(self.stamps)


def probe_video(source: VideoSource, entry: VideoEntry) -> VideoInfo:
    """Read size and time stamps of an entry. Raises UnusableError."""
    if entry.problem:
        raise UnusableError(entry.problem)
    if entry.is_image_sequence:
        with _open_stream(source, entry.files[0]) as stream:
            height, width = _png_size(stream, entry.files[0].name)
        return VideoInfo(height, width, np.zeros(len(entry.files)), None)
    with (
        _open_stream(source, entry.files[0]) as stream,
        _library_errors_explained(entry.name),
        _open_container(stream, entry.name) as container,
    ):
        video = _video_stream(container, entry.name)
        stamps = []
        for packet in container.demux(video):
            if packet.pts is not None and packet.size and not packet.is_discard:
                stamps.append(float(packet.pts * packet.time_base))
            if len(stamps) > MAX_FRAMES:
                raise UnusableError(f"{entry.name} has more than {MAX_FRAMES} frames.")
        size = video.codec_context.height, video.codec_context.width
        average = video.average_rate
    if not stamps:
        raise UnusableError(f"{entry.name} holds no frames: it is truncated, or not a video.")
    times = np.sort(np.asarray(stamps)) - min(stamps)
    return VideoInfo(*_checked_size(*size, entry.name), times, _frame_rate(times, float(average) if average else None))


def decode_frames(
    source: VideoSource, entry: VideoEntry, fps: float | None = None
) -> Iterator[tuple[float, float, Frame]]:
    """Decode an entry frame by frame.

    A file that is truncated between two frames ends early without an error.

    Args:
        source: Where the entry lies.
        entry: A video file or a folder of images.
        fps: Replaces the time stamps of the file; required for folders.

    Yields:
        (time in s from the first frame, duration in s, frame (H, W, 3)).

    Raises:
        UnusableError: The file is damaged or exceeds the bounds.
    """
    if entry.problem:
        raise UnusableError(entry.problem)
    stream = _decode_images(source, entry) if entry.is_image_sequence else _decode_video(source, entry)
    if entry.is_image_sequence and fps is None:
        raise UnusableError(f"{entry.name} has no time stamps: say `fps`.")
    for number, (time, duration, frame) in enumerate(stream):
        if number >= MAX_FRAMES:
            raise UnusableError(f"{entry.name} has more than {MAX_FRAMES} frames.")
        yield (number / fps, 1 / fps, frame) if fps else (time, duration, frame)


def _decode_images(source: VideoSource, entry: VideoEntry) -> Iterator[tuple[float, float, Frame]]:
    import av

    size, to_rgb = None, rgb_converter()
    for file in entry.files:
        with _open_stream(source, file) as stream, _library_errors_explained(file.name):
            shape = _png_size(stream, file.name)
            if size not in (None, shape):
                raise UnusableError(f"{file.name} is {shape[1]}x{shape[0]}, the images before it {size}.")
            size = shape
            with av.open(stream, "r", format="png_pipe") as container:
                frame = next(container.decode(video=0), None)
            if frame is None or frame.is_corrupt:
                raise UnusableError(f"{file.name} is damaged.")
            image = to_rgb(frame)
        yield 0.0, 0.0, image


def _decode_video(source: VideoSource, entry: VideoEntry) -> Iterator[tuple[float, float, Frame]]:
    with (
        _open_stream(source, entry.files[0]) as stream,
        _library_errors_explained(entry.name),
        _open_container(stream, entry.name) as container,
    ):
        video = _video_stream(container, entry.name)
        size = _checked_size(video.codec_context.height, video.codec_context.width, entry.name)
        to_rgb = rgb_converter()
        first: float | None = None
        last_time = -1.0
        for number, frame in enumerate(container.decode(video)):
            if frame.is_corrupt:
                raise UnusableError(f"{entry.name}: frame {number + 1} is damaged.")
            if (frame.height, frame.width) != size:
                raise UnusableError(f"{entry.name} changes its size to {frame.width}x{frame.height} within the video.")
            if frame.pts is None or frame.time_base is None:
                raise UnusableError(f"{entry.name}: frame {number + 1} has no time stamp: say `fps`.")
            time = float(frame.pts * frame.time_base)
            first = time if first is None else first
            if time - first <= last_time:
                raise UnusableError(f"{entry.name}: the time stamps run backwards at frame {number + 1}.")
            last_time = time - first
            yield last_time, float((frame.duration or 0) * frame.time_base), to_rgb(frame)


def _open_container(stream: IO[bytes], name: str) -> Any:
    """Open with the demuxer of the file's name alone: see `videos_containers`."""
    import av

    return av.open(stream, format=demuxer(name), options={"max_streams": "16"})


def _video_stream(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise UnusableError(f"{name} has no video in it.")
    video = container.streams.video[0]
    if video.codec_context is None:
        raise UnusableError(f"{name}: there is no decoder for its video. Write it as H.264, VP9, AV1 or FFV1.")
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    video.thread_type = "AUTO"
    return video


def _checked_size(height: int, width: int, name: str) -> tuple[int, int]:
    if min(height, width) < MIN_SIDE_PX or max(height, width) > MAX_SIDE_PX or height * width > MAX_PIXELS:
        raise UnusableError(f"{name}: expected {MIN_SIDE_PX} to {MAX_SIDE_PX} px a side, got {width}x{height}.")
    return height, width


def _png_size(stream: IO[bytes], name: str) -> tuple[int, int]:
    """(height, width) px from the first chunk. The stream is rewound."""
    head = stream.read(24)
    stream.seek(0)
    if head[:8] != PNG_START or head[12:16] != b"IHDR":
        raise UnusableError(f"{name} is not a PNG file.")
    return _checked_size(int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big"), name)


def _frame_rate(times: NDArray[np.float64], average: float | None) -> float | None:
    """Frames a second: from the mean interval, or, where frames were left out, from the median one."""
    if len(times) < 2:
        return average
    intervals = np.diff(times)
    mean, median = float(times[-1]) / len(intervals), float(np.median(intervals))
    rounded = 0.011  # s: time stamps of GIF are hundredths of a second
    return 1 / mean if mean > 0 and abs(mean - median) <= min(rounded, 0.3 * mean) else 1 / max(median, 1e-3)


@contextlib.contextmanager
def _open_stream(source: VideoSource, file: SourceFile) -> Iterator[IO[bytes]]:
    try:
        stream = source.open(file)
    except OSError as error:
        raise UnusableError(f"{file.name} cannot be read: {error.strerror or error}.") from None
    with stream:
        yield stream


@contextlib.contextmanager
def _library_errors_explained(name: str) -> Iterator[None]:
    """Turn errors of the decoding library into UnusableError."""
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise UnusableError(f"{name} is damaged or not a video ({words}).") from None
