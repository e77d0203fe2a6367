"""Decodes untrusted videos into frames with time stamps: headers, pictures as a player shows them, bounds."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.video import FIXED_CLOCKS, demuxer, rgb_converter
from physbench.models.videos.files import SourceFile, VideoEntry, VideoSource
from physbench.models.videos.resample import clock_tick
from physbench.support.arrays import Image
from physbench.support.errors import PhysbenchError

# The picture that a player shows of a decoded frame: cropped, turned, over black where it is transparent.
#
# `unfollowed` names what a file says of its picture that this reader does not follow.

Crop = tuple[int, int, int, int]  # px left out at top, bottom, left and right
Turn = tuple[int, int, int, int]  # (a, b, c, d): what lies at (x, y) is shown at (a x + c y, b x + d y)
NOT_TURNED: Turn = (1, 0, 0, 1)


@dataclass(frozen=True)
class View:
    """View of a video's frames in a player."""

    crop: Crop = (0, 0, 0, 0)
    turn: Turn = NOT_TURNED
    pixel_aspect: float = 1.0  # width by height of a stored pixel

    def __call__(self, frame: Image) -> Image:
        """Frame (H, W, 3) as it is stored -> as it is shown, with the pixels that it has."""
        top, bottom, left, right = self.crop
        a, b, c, d = self.turn
        shown = frame[top : frame.shape[0] - bottom, left : frame.shape[1] - right]
        if b or c:
            shown = shown.transpose(1, 0, 2)
        shown = shown[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1]
        return np.ascontiguousarray(shown)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) px of what is shown of frames of a size."""
        top, bottom, left, right = self.crop
        inner = height - top - bottom, width - left - right
        return (inner[1], inner[0]) if self.turn[1] else inner

    @property
    def shown_aspect(self) -> float:
        """Width by height of a pixel of what is shown."""
        return 1 / self.pixel_aspect if self.turn[1] else self.pixel_aspect


AS_STORED = View()


def nearest_turn(matrix: Sequence[float]) -> tuple[Turn, float]:
    """The turn by quarters, or mirroring, nearest to a display matrix (a, b, c, d), and how far that is, in [0, 1]."""
    given = np.asarray(matrix, dtype=np.float64)
    length = float(np.linalg.norm(given))
    if not length:
        return NOT_TURNED, 0.0
    given = given / length * np.sqrt(2)
    keep = abs(given[0]) + abs(given[3]) >= abs(given[1]) + abs(given[2])
    places = (0, 3) if keep else (1, 2)
    turn = [0, 0, 0, 0]
    for place in places:
        turn[place] = 1 if given[place] >= 0 else -1
    nearest = (turn[0], turn[1], turn[2], turn[3])
    return nearest, float(np.abs(given - turn).max())


EXIF_TURNS: tuple[Turn, ...] = (  # of the orientations 1 to 8
    NOT_TURNED,
    (-1, 0, 0, 1),
    (-1, 0, 0, -1),
    (1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (0, -1, -1, 0),
    (0, -1, 1, 0),
)


def side_data(frame: Any) -> dict[str, bytes]:
    """Side data of a frame by the name of its kind; empty where it has some that PyAV does not know."""
    try:
        return {item.type.name: bytes(item) for item in frame.side_data}
    except ValueError:
        return {}


def turn_of(frame: Any, beside: dict[str, bytes]) -> tuple[Turn, str]:
    """Turn of a frame for display, and what of that is not followed, or ""."""
    if "DISPLAYMATRIX" in beside:
        numbers = np.frombuffer(beside["DISPLAYMATRIX"], dtype=np.int32) / 65536
        a, b, c, d = (float(numbers[place]) for place in (0, 1, 3, 4))
    else:
        angle = np.deg2rad(-frame.rotation)  # counter-clockwise
        a, b, c, d = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    turn, away = nearest_turn((a, b, c, d))
    return turn, "a turn by other than quarters" if away > 0.02 else ""


def unfollowed(video: Any, frame: Any, beside: dict[str, bytes]) -> list[str]:
    """Features of a file's picture that this reader does not follow."""
    wide_primaries = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
    bright_transfers = {16: "PQ", 18: "HLG"}  # numbers of ITU-T H.273
    unfollowed_side_data = {"STEREO3D": "two pictures for two eyes", "SPHERICAL": "a picture for a sphere"}
    properties = [words for kind, words in unfollowed_side_data.items() if kind in beside]
    transfer, primaries = int(video.codec_context.color_trc), int(video.codec_context.color_primaries)
    if transfer in bright_transfers:
        properties.append(f"high dynamic range ({bright_transfers[transfer]})")
    elif primaries in wide_primaries:
        properties.append(f"a wide range of colours ({wide_primaries[primaries]})")
    if frame.interlaced_frame:
        properties.append("interlacing")
    if video.metadata.get("alpha_mode") == "1" and not has_alpha(frame):
        properties.append("transparency")
    return properties


def has_alpha(frame: Any) -> bool:
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


class PictureConverter:
    """Turns the decoded frames of one video into what is shown of them, (H, W, 3)."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._to_rgb = rgb_converter()
        self._to_rgba = rgb_converter("rgba")

    def __call__(self, frame: Any) -> Image:
        rgb = self._to_rgb(frame)
        if has_alpha(frame):
            alpha: NDArray[np.uint8] = self._to_rgba(frame)[..., 3:]
            if alpha.min() < 255:  # as video players do; image viewers and browsers have other backgrounds
                rgb = ((rgb.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
        return rgb if self._view == AS_STORED else self._view(rgb)


# What the headers of containers say of a picture and the decoding library does not pass on.
#
# FFmpeg follows orientation, sample aspect and edits that cut. It leaves crops of the container to its caller, and
# plays edits of another speed as if they had none. What PNG files say of their orientation comes without its mirroring.

NO_CROP: Crop = (0, 0, 0, 0)


@dataclass(frozen=True)
class Headers:
    """Headers of a file."""

    crop: Crop = NO_CROP
    orientation: int = 1  # as EXIF numbers it, 1 to 8
    unfollowed: tuple[str, ...] = ()


def read_headers(stream: IO[bytes], demuxer: str) -> Headers:
    """Read the headers of a container. The stream is rewound; what is damaged says nothing here."""
    readers = {"mov": _iso_headers, "matroska": _matroska_headers, "png_pipe": _png_headers}
    if demuxer not in readers:
        return Headers()
    try:
        stream.seek(0)
        return readers[demuxer](stream)
    except (OSError, struct.error, ValueError, IndexError, ZeroDivisionError, OverflowError):  # OSError: no such place
        return Headers()
    finally:
        stream.seek(0)


def _iso_headers(stream: IO[bytes]) -> Headers:
    """The boxes `clap`, a crop, and `elst`, the edits, of the first video track of an MP4 or QuickTime file."""
    end = stream.seek(0, os.SEEK_END)
    place = 0
    for _ in range(BOUNDS.max_parts):
        stream.seek(place)
        head = stream.read(16)
        if len(head) < 8:
            return Headers()
        size, kind = struct.unpack(">I4s", head[:8])
        start = 8
        if size == 1:
            size, start = struct.unpack(">Q", head[8:16])[0], 16
        if kind == b"moov":
            stream.seek(place + start)
            movie = stream.read(min((size or end) - start, BOUNDS.max_index_bytes))
            break
        place += size or end
    else:
        return Headers()
    for kind, track in _boxes(movie):
        if kind == b"trak" and b"vide" in _box(track, b"mdia", b"hdlr")[8:12]:
            sample = _box(track, b"mdia", b"minf", b"stbl", b"stsd")[8:]
            speeds = _edit_speeds(_box(track, b"edts", b"elst"))
            odd = tuple(f"an edit at {speed:g} times the speed" for speed in speeds if speed != 1)
            return Headers(_clean_aperture(sample), unfollowed=odd[:1])
    return Headers()


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each box."""
    place = 0
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        start = 8
        if size == 1:
            size, start = struct.unpack_from(">Q", content, place + 8)[0], 16
        size = size or len(content) - place
        if size < start:
            return
        yield kind, content[place + start : place + size]
        place += size


def _box(content: bytes, *path: bytes) -> bytes:
    """Content of the first box at a path, or b""."""
    for wanted in path:
        content = next((inner for kind, inner in _boxes(content) if kind == wanted), b"")
    return content


def _edit_speeds(edits: bytes) -> list[float]:
    if len(edits) < 8:
        return []
    count = min(struct.unpack_from(">I", edits, 4)[0], BOUNDS.max_parts)
    layout = ">QqhH" if edits[0] == 1 else ">IihH"
    entries = [struct.unpack_from(layout, edits, 8 + number * struct.calcsize(layout)) for number in range(count)]
    return [whole + part / 65536 for _, start, whole, part in entries if start >= 0]


def _clean_aperture(sample: bytes) -> Crop:
    """Crop of a sample description: the size and, from the centre, the place of what is shown, as fractions."""
    aperture = _box(sample[86:], b"clap")
    if len(aperture) < 32:
        return NO_CROP
    stored = struct.unpack_from(">HH", sample, 32)  # width, height
    numbers = struct.unpack(">IIIIiIiI", aperture[:32])
    width, height, x, y = (numbers[at] / numbers[at + 1] for at in (0, 2, 4, 6))
    left, top = round((stored[0] - width) / 2 + x), round((stored[1] - height) / 2 + y)
    crop = top, stored[1] - round(height) - top, left, stored[0] - round(width) - left
    return crop if min(crop) >= 0 else NO_CROP


_SEGMENT, _TRACKS, _TRACK, _TRACK_TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0


def _matroska_headers(stream: IO[bytes]) -> Headers:
    """The elements PixelCrop... of the first video track of a Matroska or WebM file."""
    for _ in range(BOUNDS.max_parts):
        kind, size = _element(stream)
        if kind == _SEGMENT:
            continue  # its elements follow
        if kind == _TRACKS:
            tracks = stream.read(min(size, BOUNDS.max_index_bytes))
            break
        stream.seek(size, os.SEEK_CUR)
    else:
        return Headers()
    for kind, track in _elements(tracks):
        inside = dict(_elements(track)) if kind == _TRACK else {}
        if _number(inside.get(_TRACK_TYPE)) == 1:
            video = dict(_elements(inside.get(_VIDEO, b"")))
            # PixelCropTop, Bottom, Left, Right
            top, bottom, left, right = (_number(video.get(crop)) for crop in (0x54BB, 0x54AA, 0x54CC, 0x54DD))
            return Headers((top, bottom, left, right))
    return Headers()


def _element(stream: IO[bytes]) -> tuple[int, int]:
    """(id, size in bytes) of the element that begins here."""
    first = stream.read(1)[0]
    more = 8 - first.bit_length()
    kind = int.from_bytes(bytes([first]) + stream.read(more), "big")
    first = stream.read(1)[0]
    more = 8 - first.bit_length()
    size = int.from_bytes(bytes([first & (0xFF >> (more + 1))]) + stream.read(more), "big")
    return kind, size


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(id, content) of each element."""
    stream = io.BytesIO(content)
    while stream.tell() < len(content):
        kind, size = _element(stream)
        yield kind, stream.read(size)


def _number(content: bytes | None) -> int:
    return int.from_bytes(content or b"", "big")


def _png_headers(stream: IO[bytes]) -> Headers:
    """The chunks `eXIf`, with an orientation, and `pHYs`, the shape of a pixel, of a PNG file."""
    stream.seek(8)
    orientation, odd = 1, []
    for _ in range(BOUNDS.max_parts):
        size, kind = struct.unpack(">I4s", stream.read(8))
        if kind in (b"IDAT", b"IEND"):
            break
        content = stream.read(min(size, BOUNDS.max_index_bytes))
        if kind == b"pHYs":
            across, down = struct.unpack(">II", content[:8])
            odd = [f"pixels of {down}:{across}"] if across != down else []
        elif kind == b"eXIf":
            orientation = _exif_orientation(content)
        stream.seek(4, os.SEEK_CUR)  # its checksum
    return Headers(orientation=orientation, unfollowed=tuple(odd))


def _exif_orientation(exif: bytes) -> int:
    order = ">" if exif[:2] == b"MM" else "<"
    start = struct.unpack_from(order + "I", exif, 4)[0]
    for number in range(struct.unpack_from(order + "H", exif, start)[0]):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * number)
        if tag == 0x0112 and 1 <= value <= 8:
            return int(value)
    return 1


@dataclass(frozen=True)
class VideoBounds:
    """Bounds of a video that is read."""

    min_side_px: int = 16
    max_side_px: int = 4096
    max_frames: int = 20_000
    max_pixels: int = 2**24  # pixels of a frame that the decoder may allocate
    max_index_bytes: int = 2**24
    max_parts: int = 10_000  # boxes or elements that are looked at


BOUNDS = VideoBounds()


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
        if len(shown) > BOUNDS.max_frames:
            raise UnusableError(f"{name} has more than {BOUNDS.max_frames} frames.")
        first = first or next(iter(packet.decode()), None)
    if not shown or first is None:
        raise UnusableError(f"{name} holds no frames: it is truncated, or not a video.")
    beside = side_data(first)
    turn, oblique = turn_of(first, beside)
    aspect = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or 1
    view = View(headers.crop, turn, float(aspect))
    ignored = [*headers.unfollowed, oblique, *unfollowed(video, first, beside)]
    if sum(not _is_still(stream) for stream in container.streams.video) > 1:
        ignored.append("further video tracks")
    height, width = _checked_size(*view.size(first.height, first.width), name)

    unit = float(video.time_base)
    is_avi = demuxer(name) == "avi"  # it has no presentation times: those that FFmpeg gives are guesses
    orders = [dts for dts, _ in decoded], shown
    times = next((each for each in (orders if is_avi else orders[::-1]) if None not in each), [])
    timed = len(times) == 1 or (bool(times) and max(times) > min(times))
    origin = float(min(times) * video.time_base) if timed else 0.0
    stamps = np.sort([float(time * video.time_base) for time in times]) - origin if timed else np.zeros(len(shown))
    last = decoded[max(range(len(times)), key=lambda number: times[number])][1] if timed else 0  # its duration
    average = float(video.average_rate) if video.average_rate else None
    rate, interval = _frame_rate(stamps, unit, average) if timed else (None, 0.0)
    # Frames come in the order in which they are shown. In AVI, and in files that claim to store them so where the codec
    # uses another order, only the number of frames counts.
    reordered = bool(video.codec_context.has_b_frames)
    stored = is_avi or (reordered and all(a < b for a, b in pairwise(times)))
    if reordered and is_avi:  # gaps are those of the encoder's delay
        stamps = np.arange(len(stamps), dtype=np.float64) * np.float64(interval)
    repeats = timed and len(stamps) > 1 and bool((np.diff(stamps) <= 0).any())
    return VideoInfo(
        height,
        width,
        stamps,
        rate,
        end=float(stamps[-1]) + last * unit,
        tick=clock_tick(interval, unit, is_fixed=demuxer(name) in FIXED_CLOCKS),
        origin=origin,
        ordered=timed and not repeats and not stored,
        repeats=repeats,
        view=view,
        unfollowed=tuple(dict.fromkeys(words for words in ignored if words)),
    )


def _is_still(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def decode_frames(source: VideoSource, entry: VideoEntry, info: VideoInfo) -> Iterator[tuple[int, Image]]:
    """Decode an entry frame by frame.

    A file that is truncated between two frames ends early without an error.

    Args:
        source: Where the entry lies.
        entry: A video file or a folder of images.
        info: What `probe_video` found.

    Yields:
        (number in the order of the time stamps, frame (H, W, 3) as it is shown). Numbers ascend, and leave out frames
        that cannot be decoded.

    Raises UnusableError: the file is damaged or exceeds the bounds.
    """
    if entry.problem:
        raise UnusableError(entry.problem)
    frames = _decode_images(source, entry, info) if entry.is_image_sequence else _decode_video(source, entry, info)
    last = -1
    for count, (time, frame) in enumerate(frames):
        if count >= BOUNDS.max_frames:
            raise UnusableError(f"{entry.name} has more than {BOUNDS.max_frames} frames.")
        index = int(np.searchsorted(info.stamps, time - 1e-6)) if info.ordered and time is not None else last + 1
        last = max(index, last + 1)
        yield last, frame


def _decode_images(source: VideoSource, entry: VideoEntry, info: VideoInfo) -> Iterator[tuple[float | None, Image]]:
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


def _decode_video(source: VideoSource, entry: VideoEntry, info: VideoInfo) -> Iterator[tuple[float | None, Image]]:
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
    """Open with the demuxer of the file's name alone: see `video.DEMUXERS`."""
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
    video.codec_context.options = {"max_pixels": str(BOUNDS.max_pixels), "flags": "+unaligned"}
    video.thread_type = "AUTO"
    return video


def _checked_size(height: int, width: int, name: str) -> tuple[int, int]:
    if (
        min(height, width) < BOUNDS.min_side_px
        or max(height, width) > BOUNDS.max_side_px
        or height * width > BOUNDS.max_pixels
    ):
        raise UnusableError(
            f"{name}: expected {BOUNDS.min_side_px} to {BOUNDS.max_side_px} px a side, got {width}x{height}."
        )
    return height, width


def _png_size(stream: IO[bytes], name: str) -> tuple[int, int]:
    """(height, width) px from the first chunk. The stream is rewound."""
    head = stream.read(24)
    stream.seek(0)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
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
