"""What the headers of containers say of a picture and the decoding library does not pass on.

FFmpeg follows orientation, sample aspect and edits that cut. It leaves crops of the container to its caller, and plays
edits of another speed as if they had none. What PNG files say of their orientation comes without its mirroring.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from physbench.adapters.videos_picture import Crop

MAX_INDEX_BYTES = 2**24
MAX_PARTS = 10_000  # boxes or elements that are looked at
NO_CROP: Crop = (0, 0, 0, 0)


@dataclass(frozen=True)
class Headers:
    """What was found."""

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
    for _ in range(MAX_PARTS):
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
            movie = stream.read(min((size or end) - start, MAX_INDEX_BYTES))
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
    count = min(struct.unpack_from(">I", edits, 4)[0], MAX_PARTS)
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
_CROPS = (0x54BB, 0x54AA, 0x54CC, 0x54DD)  # PixelCropTop, Bottom, Left, Right


def _matroska_headers(stream: IO[bytes]) -> Headers:
    """The elements PixelCrop... of the first video track of a Matroska or WebM file."""
    for _ in range(MAX_PARTS):
        kind, size = _element(stream)
        if kind == _SEGMENT:
            continue  # its elements follow
        if kind == _TRACKS:
            tracks = stream.read(min(size, MAX_INDEX_BYTES))
            break
        stream.seek(size, os.SEEK_CUR)
    else:
        return Headers()
    for kind, track in _elements(tracks):
        inside = dict(_elements(track)) if kind == _TRACK else {}
        if _number(inside.get(_TRACK_TYPE)) == 1:
            video = dict(_elements(inside.get(_VIDEO, b"")))
            top, bottom, left, right = (_number(video.get(crop)) for crop in _CROPS)
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
    import io

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
    for _ in range(MAX_PARTS):
        size, kind = struct.unpack(">I4s", stream.read(8))
        if kind in (b"IDAT", b"IEND"):
            break
        content = stream.read(min(size, MAX_INDEX_BYTES))
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
