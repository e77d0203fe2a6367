"""Frames with their time stamps out of files that somebody else made: bounded, streamed, and suspicious."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.videos_listing import VideoEntry, demuxer
from physbench.adapters.videos_source import Found, Source
from physbench.errors import PhysbenchError

MOST_PX = 4096  # a side
LEAST_PX = 16
MOST_FRAMES = 20_000
MOST_DECODED = 2**24  # pixels of a frame that the decoder may allocate
PNG_START = b"\x89PNG\r\n\x1a\n"

Frame = NDArray[np.uint8]


class UnusableError(PhysbenchError):
    """A video that cannot be scored. The message says which and why."""


@dataclass(frozen=True)
class Probed:
    """What a file says of itself, without decoding it."""

    height: int  # px
    width: int
    stamps: NDArray[np.float64]  # (T,) s, ascending from 0
    rate: float | None  # frames a second, from the median interval; None for a single frame or a folder

    @property
    def frames(self) -> int:
        return len(self.stamps)


def probe(source: Source, entry: VideoEntry) -> Probed:
    """Size and time stamps of an entry. Raises UnusableError."""
    if entry.problem:
        raise UnusableError(entry.problem)
    if entry.pictures:
        with _opened(source, entry.files[0]) as stream:
            height, width = _png_size(stream, entry.files[0].name)
        return Probed(height, width, np.zeros(len(entry.files)), None)
    with _opened(source, entry.files[0]) as stream, _explained(entry.name), _container(stream, entry.name) as container:
        video = _video(container, entry.name)
        stamps = []
        for packet in container.demux(video):
            if packet.pts is not None and packet.size and not packet.is_discard:
                stamps.append(float(packet.pts * packet.time_base))
            if len(stamps) > MOST_FRAMES:
                raise UnusableError(f"{entry.name} has more than {MOST_FRAMES} frames.")
        size = video.codec_context.height, video.codec_context.width
        average = video.average_rate
    if not stamps:
        raise UnusableError(f"{entry.name} holds no frames: it is cut off, or not a video.")
    times = np.sort(np.asarray(stamps)) - min(stamps)
    return Probed(*_checked_size(*size, entry.name), times, _rate(times, float(average) if average else None))


def frames(source: Source, entry: VideoEntry, fps: float | None = None) -> Iterator[tuple[float, float, Frame]]:
    """(time s from 0, duration s, frame (H, W, 3)) one by one. `fps` replaces the time stamps; folders need it.

    Raises UnusableError where the file is damaged; one that is cut off between two frames just ends.
    """
    if entry.problem:
        raise UnusableError(entry.problem)
    stream = _from_pictures(source, entry) if entry.pictures else _from_video(source, entry)
    if entry.pictures and fps is None:
        raise UnusableError(f"{entry.name} has no time stamps: say `fps`.")
    for number, (time, duration, frame) in enumerate(stream):
        if number >= MOST_FRAMES:
            raise UnusableError(f"{entry.name} has more than {MOST_FRAMES} frames.")
        yield (number / fps, 1 / fps, frame) if fps else (time, duration, frame)


def _from_pictures(source: Source, entry: VideoEntry) -> Iterator[tuple[float, float, Frame]]:
    import av

    size = None
    for file in entry.files:
        with _opened(source, file) as stream, _explained(file.name):
            shape = _png_size(stream, file.name)
            if size not in (None, shape):
                raise UnusableError(f"{file.name} is {shape[1]}x{shape[0]}, the pictures before it {size}.")
            size = shape
            with av.open(stream, "r", format="png_pipe") as container:
                frame = next(container.decode(video=0), None)
            if frame is None or frame.is_corrupt:
                raise UnusableError(f"{file.name} is damaged.")
            picture = _rgb(frame)
        yield 0.0, 0.0, picture


def _from_video(source: Source, entry: VideoEntry) -> Iterator[tuple[float, float, Frame]]:
    with _opened(source, entry.files[0]) as stream, _explained(entry.name), _container(stream, entry.name) as container:
        video = _video(container, entry.name)
        size = _checked_size(video.codec_context.height, video.codec_context.width, entry.name)
        first: float | None = None
        before = -1.0
        for number, frame in enumerate(container.decode(video)):
            if frame.is_corrupt:
                raise UnusableError(f"{entry.name}: frame {number + 1} is damaged.")
            if (frame.height, frame.width) != size:
                raise UnusableError(f"{entry.name} changes its size to {frame.width}x{frame.height} on the way.")
            if frame.pts is None or frame.time_base is None:
                raise UnusableError(f"{entry.name}: frame {number + 1} has no time stamp: say `fps`.")
            time = float(frame.pts * frame.time_base)
            first = time if first is None else first
            if time - first <= before:
                raise UnusableError(f"{entry.name}: the time stamps run backwards at frame {number + 1}.")
            before = time - first
            yield before, float((frame.duration or 0) * frame.time_base), _rgb(frame)


def _rgb(frame: Any) -> Frame:
    """RGB (H, W, 3); transparent pixels of a GIF keep their colour. Colour space and range are those of the tags."""
    picture: Frame = frame.to_ndarray(format="rgb24")
    return picture


def _container(stream: IO[bytes], name: str) -> Any:
    """One fixed demuxer: nothing in the file can make the library open another file or address."""
    import av

    return av.open(stream, format=demuxer(name), options={"max_streams": "16"})


def _video(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise UnusableError(f"{name} has no video in it.")
    video = container.streams.video[0]
    if video.codec_context is None:
        raise UnusableError(f"{name}: there is no decoder for its video. Write it as H.264, VP9, AV1 or FFV1.")
    video.codec_context.options = {"max_pixels": str(MOST_DECODED)}
    video.thread_type = "AUTO"
    return video


def _checked_size(height: int, width: int, name: str) -> tuple[int, int]:
    if min(height, width) < LEAST_PX or max(height, width) > MOST_PX or height * width > MOST_DECODED:
        raise UnusableError(f"{name}: expected {LEAST_PX} to {MOST_PX} px a side, got {width}x{height}.")
    return height, width


def _png_size(stream: IO[bytes], name: str) -> tuple[int, int]:
    """(height, width) px out of the first chunk; the stream is put back to its start."""
    head = stream.read(24)
    stream.seek(0)
    if head[:8] != PNG_START or head[12:16] != b"IHDR":
        raise UnusableError(f"{name} is not a PNG file.")
    return _checked_size(int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big"), name)


def _rate(times: NDArray[np.float64], average: float | None) -> float | None:
    """Frames a second. The mean over the whole, unless frames were left out: then the usual interval decides."""
    if len(times) < 2:
        return average
    intervals = np.diff(times)
    mean, usual = float(times[-1]) / len(intervals), float(np.median(intervals))
    rounded = 0.011  # s: time stamps of GIF are hundredths of a second
    return 1 / mean if abs(mean - usual) <= min(rounded, 0.3 * mean) else 1 / max(usual, 1e-3)


@contextlib.contextmanager
def _opened(source: Source, file: Found) -> Iterator[IO[bytes]]:
    try:
        stream = source.open(file)
    except OSError as error:
        raise UnusableError(f"{file.name} cannot be read: {error.strerror or error}.") from None
    with stream:
        yield stream


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Errors of the library in words."""
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise UnusableError(f"{name} is damaged or not a video ({words}).") from None
