"""Decodes untrusted videos into frames with time stamps, one by one, with bounds on size and length."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.videos_containers import FIXED_CLOCKS, demuxer
from physbench.adapters.videos_headers import Headers, read_headers
from physbench.adapters.videos_listing import VideoEntry
from physbench.adapters.videos_picture import (
    AS_STORED,
    EXIF_TURNS,
    PictureConverter,
    View,
    side_data,
    turn_of,
    unfollowed,
)
from physbench.adapters.videos_source import SourceFile, VideoSource
from physbench.adapters.videos_time import clock_tick
from physbench.clips.rgb_frames import Frame
from physbench.errors import PhysbenchError

MAX_SIDE_PX = 4096
MIN_SIDE_PX = 16
MAX_FRAMES = 20_000
MAX_PIXELS = 2**24  # pixels of a frame that the decoder may allocate
PNG_START = b"\x89PNG\r\n\x1a\n"


class UnusableError(PhysbenchError):
    """A video that cannot be scored. The message names it and says why."""


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """Size and timing of a video. Of its frames the first one is decoded."""

    height: int  # px of what is shown
    width: int
    stamps: NDArray[np.float64]  # (T,) s, ascending from 0; zeros for a folder
    rate: float | None  # frames a second by the time stamps; None where they tell none, and for a folder
    end: float = 0.0  # s from the first frame to the end of the last one
    tick: float = 0.0  # s to which the time stamps may be rounded
    origin: float = 0.0  # s, the least time stamp of the file
    ordered: bool = False  # whether time stamps of decoded frames can be trusted, beyond their order
    repeats: bool = False  # whether several frames have one time stamp
    view: View = AS_STORED
    unfollowed: tuple[str, ...] = ()  # what the file says of its picture that is not followed

    @property
    def frames(self) -> int:
        return len(self.stamps)


def probe_video(source: VideoSource, entry: VideoEntry) -> VideoInfo:
    """Read size and time stamps of an entry. Raises UnusableError."""
    if entry.problem:
        raise UnusableError(entry.problem)
    if entry.is_image_sequence:
        with _open_stream(source, entry.files[0]) as stream:
            size = _png_size(stream, entry.files[0].name)
            headers = read_headers(stream, "png_pipe")
        view = View(turn=EXIF_TURNS[headers.orientation - 1])
        return VideoInfo(*view.size(*size), np.zeros(len(entry.files)), None, view=view, unfollowed=headers.unfollowed)
    with _open_stream(source, entry.files[0]) as stream:
        headers = read_headers(stream, demuxer(entry.name))
        with _library_errors_explained(entry.name), _open_container(stream, entry.name) as container:
            return _probe_container(container, entry.name, headers)


def _probe_container(container: Any, name: str, headers: Headers) -> VideoInfo:
    video = _video_stream(container, name)
    video.thread_type = "NONE"  # the first frame comes at once
    _checked_size(video.codec_context.height, video.codec_context.width, name)
    shown, decoded, first = [], [], None  # time stamps (presentation or None, decoding or None, duration)
    for packet in container.demux(video):
        if packet.size and not packet.is_discard:
            shown.append(packet.pts)
            decoded.append((packet.dts, packet.duration or 0))
        if len(shown) > MAX_FRAMES:
            raise UnusableError(f"{name} has more than {MAX_FRAMES} frames.")
        first = first or next(iter(packet.decode()), None)
    if not shown or first is None:
        raise UnusableError(f"{name} holds no frames: it is truncated, or not a video.")
    beside = side_data(first)
    turn, oblique = turn_of(first, beside)
    aspect = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or 1
    view = View(headers.crop, turn, float(aspect))
    said = [*headers.unfollowed, oblique, *unfollowed(video, first, beside)]
    if sum(not _is_still(stream) for stream in container.streams.video) > 1:
        said.append("further video tracks")
    height, width = _checked_size(*view.size(first.height, first.width), name)

    unit = float(video.time_base)
    is_avi = demuxer(name) == "avi"  # it has no presentation times: those that FFmpeg gives are guesses
    orders = [dts for dts, _ in decoded], shown
    times = next((each for each in (orders if is_avi else orders[::-1]) if None not in each), [])
    told = len(times) == 1 or (bool(times) and max(times) > min(times))
    origin = float(min(times) * video.time_base) if told else 0.0
    stamps = np.sort([float(time * video.time_base) for time in times]) - origin if told else np.zeros(len(shown))
    last = decoded[max(range(len(times)), key=lambda number: times[number])][1] if told else 0  # its duration
    average = float(video.average_rate) if video.average_rate else None
    rate, interval = _frame_rate(stamps, unit, average) if told else (None, 0.0)
    # Frames come in the order in which they are shown. In AVI, and in files that claim to store them so where the codec
    # uses another order, only the number of frames counts.
    reordered = bool(video.codec_context.has_b_frames)
    stored = is_avi or (reordered and all(a < b for a, b in pairwise(times)))
    if reordered and is_avi:  # gaps are those of the encoder's delay
        stamps = np.arange(len(stamps), dtype=np.float64) * np.float64(interval)
    repeats = told and len(stamps) > 1 and bool((np.diff(stamps) <= 0).any())
    return VideoInfo(
        height,
        width,
        stamps,
        rate,
        end=float(stamps[-1]) + last * unit,
        tick=clock_tick(interval, unit, is_fixed=demuxer(name) in FIXED_CLOCKS),
        origin=origin,
        ordered=told and not repeats and not stored,
        repeats=repeats,
        view=view,
        unfollowed=tuple(dict.fromkeys(words for words in said if words)),
    )


def _is_still(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def decode_frames(source: VideoSource, entry: VideoEntry, info: VideoInfo) -> Iterator[tuple[int, Frame]]:
    """Decode an entry frame by frame.

    A file that is truncated between two frames ends early without an error.

    Args:
        source: Where the entry lies.
        entry: A video file or a folder of images.
        info: What `probe_video` found.

    Yields:
        (number in the order of the time stamps, frame (H, W, 3) as it is shown). Numbers ascend, and leave out frames
        that cannot be decoded.

    Raises:
        UnusableError: The file is damaged or exceeds the bounds.
    """
    if entry.problem:
        raise UnusableError(entry.problem)
    frames = _decode_images(source, entry, info) if entry.is_image_sequence else _decode_video(source, entry, info)
    last = -1
    for count, (time, frame) in enumerate(frames):
        if count >= MAX_FRAMES:
            raise UnusableError(f"{entry.name} has more than {MAX_FRAMES} frames.")
        found = int(np.searchsorted(info.stamps, time - 1e-6)) if info.ordered and time is not None else last + 1
        last = max(found, last + 1)
        yield last, frame


def _decode_images(source: VideoSource, entry: VideoEntry, info: VideoInfo) -> Iterator[tuple[float | None, Frame]]:
    import av

    size, convert = None, PictureConverter(info.view)
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
            image = convert(frame)
        yield None, image


def _decode_video(source: VideoSource, entry: VideoEntry, info: VideoInfo) -> Iterator[tuple[float | None, Frame]]:
    with (
        _open_stream(source, entry.files[0]) as stream,
        _library_errors_explained(entry.name),
        _open_container(stream, entry.name) as container,
    ):
        video = _video_stream(container, entry.name)
        convert = PictureConverter(info.view)
        for number, frame in enumerate(container.decode(video)):
            if frame.is_corrupt:
                raise UnusableError(f"{entry.name}: frame {number + 1} is damaged.")
            if info.view.size(frame.height, frame.width) != (info.height, info.width):
                raise UnusableError(f"{entry.name} changes its size to {frame.width}x{frame.height} within the video.")
            time = None if frame.pts is None else float(frame.pts * frame.time_base) - info.origin
            yield time, convert(frame)


def _open_container(stream: IO[bytes], name: str) -> Any:
    """Open with the demuxer of the file's name alone: see `videos_containers`."""
    import av

    # FFmpeg would read the shortest delays of GIF as a tenth of a second.
    options = {"min_delay": "0", "default_delay": "0"} if demuxer(name) == "gif" else {}
    return av.open(stream, format=demuxer(name), options={"max_streams": "16", **options})


def _video_stream(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise UnusableError(f"{name} has no video in it.")
    video = next((each for each in container.streams.video if not _is_still(each)), container.streams.video[0])
    if video.codec_context is None:
        raise UnusableError(f"{name}: there is no decoder for its video. Write it as H.264, VP9, AV1 or FFV1.")
    # Without "unaligned", a crop at the left is rounded to whole words of the processor.
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS), "flags": "+unaligned"}
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


def _frame_rate(times: NDArray[np.float64], unit: float, average: float | None) -> tuple[float | None, float]:
    """Frames a second, from the mean interval, or, where frames were left out, the median one, which comes second in s.

    Args:
        times: Time stamps in s.
        unit: That of the time stamps, in s.
        average: Frames a second by the container, for a single frame.
    """
    if len(times) < 2:
        return average, 0.0
    intervals = np.diff(times)
    intervals = intervals[intervals > 0]
    mean, median = float(times[-1]) / (len(times) - 1), float(np.median(intervals))
    near = np.abs(intervals - median) <= 1.01 * unit  # all are, where rounded time stamps go back and forth
    if not near.all() and 2 * near.sum() > len(near):
        mean = float(intervals[near].mean())
    rounded = 0.011  # s: time stamps of GIF are hundredths of a second
    return 1 / (mean if abs(mean - median) <= min(rounded, 0.3 * mean) else max(median, 1e-3)), median


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
