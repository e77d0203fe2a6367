"""The picture that a player shows of a file is the one that is scored: turned, cropped, stretched, over black.

The cases are those of public bug reports, which are named with them (owner/repository#number).
"""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from physbench.clips.video import FFV1, Codec, encode
from physbench.models.videos.decode import EXIF_TURNS, NOT_TURNED, Headers, View, nearest_turn, read_headers
from physbench.models.videos.resample import make_resampler, same_shape

LOSSLESS = Codec(".mp4", "mp4", "libx264rgb", "rgb24", {"crf": "0", "preset": "veryfast"})
FIXED = 65536  # one, in fixed-point numbers of MP4


def write_h264(path, frames, codec=LOSSLESS, fps=15, **context) -> None:
    """A video whose codec context says more."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec.encoder, rate=fps, options=dict(codec.options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = codec.pixels
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))


def set_matrix(path, matrix) -> None:
    """Write the display matrix (a, b, c, d) into the track header of an MP4 file."""
    content = path.read_bytes()
    identity = struct.pack(">9i", FIXED, 0, 0, 0, FIXED, 0, 0, 0, 1 << 30)
    place = content.index(identity, content.index(b"tkhd"))
    a, b, c, d = (round(value * FIXED) for value in matrix)
    new = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:place] + new + content[place + 36 :])


def add_clean_aperture(path, width, height, x=0, y=0) -> None:
    """Put a `clap` box into the sample description of an MP4 file whose index is at its end."""
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, x, 1, y, 1)
    content = bytearray(path.read_bytes())
    place = 0
    for kind, inside in (
        (b"moov", 8),
        (b"trak", 8),
        (b"mdia", 8),
        (b"minf", 8),
        (b"stbl", 8),
        (b"stsd", 16),
        (b"avc1", 0),
    ):
        place = content.index(kind, place) - 4
        size = struct.unpack_from(">I", content, place)[0]
        struct.pack_into(">I", content, place, size + len(box))
        place += inside if kind != b"avc1" else size
    path.write_bytes(content[:place] + box + content[place:])


def notes(answered, **model_args) -> str:
    return "\n".join(answered.open(**model_args).notes)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_those_of_another_library(orientation) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = orientation
    view = View(turn=EXIF_TURNS[orientation - 1])
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(view(picture), expected) and view.size(4, 6) == expected.shape[:2]


@pytest.mark.parametrize("orientation", [2, 6])
def test_pictures_with_an_orientation(answered, orientation) -> None:
    """A PNG file may say how it is turned, or mirrored."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (answered.folder / clip_id).mkdir()
    for number, frame in enumerate(truth):
        stored = frame[:, ::-1] if orientation == 2 else np.rot90(frame)
        path = answered.folder / clip_id / f"{number}.png"
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, compress_level=1)
    assert np.array_equal(answered.play(clip_id), truth)


@pytest.mark.parametrize(
    ("matrix", "stored"),
    [
        ((0, 1, -1, 0), lambda frames: np.rot90(frames, axes=(1, 2))),
        ((-1, 0, 0, -1), lambda frames: frames[:, ::-1, ::-1]),
        ((-1, 0, 0, 1), lambda frames: frames[:, :, ::-1]),
    ],
    ids=["quarter", "half", "mirrored"],
)
def test_videos_with_a_display_matrix(answered, matrix, stored) -> None:
    """pytorch/vision#3201, dmlc/decord#24, datachain-ai/datachain#1823, opencv/opencv#26876."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    path = answered.folder / f"{clip_id}.mp4"
    encode(path, np.ascontiguousarray(stored(truth)), 15, LOSSLESS)
    set_matrix(path, matrix)
    assert np.array_equal(answered.play(clip_id), truth) and "not followed" not in notes(answered)


def test_a_slanted_display_matrix_is_named(answered) -> None:
    clip_id = answered.ids[0]
    path = answered.folder / f"{clip_id}.mp4"
    encode(path, answered.truth(clip_id), 15, LOSSLESS)
    set_matrix(path, (0.8, 0.6, -0.6, 0.8))
    assert "a turn by other than quarters is not followed" in notes(answered)
    assert nearest_turn((0.8, 0.6, -0.6, 0.8))[0] == NOT_TURNED


def test_pixels_that_are_not_square(answered) -> None:
    """A player stretches them (Zulko/moviepy#48, Zulko/moviepy#1330)."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    narrow = truth.reshape(60, 64, 32, 2, 3).mean(3).round().astype(np.uint8)
    write_h264(answered.folder / f"{clip_id}.mp4", narrow, sample_aspect_ratio=2)
    played = answered.play(clip_id)
    assert played.shape == truth.shape and np.abs(played.astype(int) - truth).mean() < 1.5
    write_h264(answered.folder / f"{clip_id}.mp4", truth, sample_aspect_ratio=2)
    with pytest.raises(Exception, match="64x64 with pixels 2 times as wide as high, which is not the shape"):
        answered.open()
    assert np.array_equal(answered.play(clip_id, fit="stretch"), truth), "the user decides"


@pytest.mark.parametrize("fit", ["contain", "cover"])
def test_a_fit_is_undone_as_it_is_shown(fit) -> None:
    """Pixels of 2:1: what is undone is the fit into the shape that is shown, 128x64."""
    wide = make_resampler((64, 64), (64, 128), (64, 64), fit)
    narrow = make_resampler((64, 64), (64, 64), (64, 64), fit, 2.0)
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None], (64, 128, 3))
    half = ramp.reshape(64, 64, 2, 3).mean(2).round().astype(np.uint8)
    assert np.abs(wide(ramp).astype(int) - narrow(half)).max() <= 1
    assert same_shape((64, 128), (64, 64), 2.0) and not same_shape((64, 128), (64, 64))


def test_a_crop_of_the_container(answered) -> None:
    """The clean aperture of an MP4 file (mpv-player/mpv#16278)."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    path = answered.folder / f"{clip_id}.mp4"
    encode(path, np.pad(truth, ((0, 0), (8, 24), (4, 12), (0, 0))), 15, LOSSLESS)
    add_clean_aperture(path, 64, 64, -4, -8)
    assert np.array_equal(answered.play(clip_id), truth)


def element(kind, content) -> bytes:
    """An element of Matroska with a size in eight bytes."""
    return bytes.fromhex(kind) + bytes([1]) + len(content).to_bytes(7, "big") + content


def test_a_crop_of_matroska() -> None:
    """mpv-player/mpv#8037."""
    crops = b"".join(element(kind, bytes([px])) for kind, px in (("54bb", 1), ("54aa", 2), ("54cc", 3), ("54dd", 4)))
    tracks = element("ae", element("83", b"\x02")) + element("ae", element("83", b"\x01") + element("e0", crops))
    file = element("1a45dfa3", b"") + element("18538067", element("ec", b"0" * 9) + element("1654ae6b", tracks))
    assert read_headers(io.BytesIO(file), "matroska").crop == (1, 2, 3, 4)


def test_a_crop_at_the_left_is_exact(answered) -> None:
    """A crop of the codec that is no multiple of 32 px (mpv-player/mpv#16758)."""
    clip_id = answered.ids[0]
    frames = np.pad(answered.truth(clip_id), ((0, 0), (8, 0), (8, 8), (0, 0)))
    raw, path = answered.folder.parent / "raw.h264", answered.folder / f"{clip_id}.mp4"
    encode(raw, frames, 15, Codec(".h264", "h264", "libx264", "yuv444p", {"crf": "1", "preset": "veryfast", "bf": "0"}))
    crop = "h264_metadata=crop_left=8:crop_right=8:crop_top=8"
    with av.open(str(raw), format="h264") as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        metadata = av.bitstream.BitStreamFilterContext(crop, video)
        stream = target.add_stream_from_template(video)
        for number, packet in enumerate(source.demux(video)):
            for cropped in metadata.filter(packet if packet.size else None):
                cropped.pts = cropped.dts = number * 80_000
                cropped.stream = stream
                target.mux(cropped)
    played = answered.play(clip_id, fps="15")
    assert np.abs(played.astype(int) - answered.truth(clip_id)).mean() < 1


@pytest.mark.parametrize(("pixels", "opaque"), [("rgba", False), ("rgba", True)])
def test_transparent_pictures_are_shown_over_black(answered, pixels, opaque) -> None:
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)[:8].copy()
    (answered.folder / clip_id).mkdir()
    for number, frame in enumerate(truth):
        alpha = np.full((64, 64, 1), 255, np.uint8)
        stored = frame.copy()
        if not opaque:
            alpha[:8], stored[:8], truth[number, :8] = 0, 77, 0
        Image.fromarray(np.concatenate([stored, alpha], -1)).save(answered.folder / clip_id / f"{number}.png")
    assert np.array_equal(answered.play(clip_id)[:8], truth)


def test_transparent_video_is_shown_over_black(answered) -> None:
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id).copy()
    half = np.concatenate([truth, np.full((60, 64, 64, 1), 51, np.uint8)], -1)
    with av.open(str(answered.folder / f"{clip_id}.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=15)
        stream.height = stream.width = 64
        stream.pix_fmt = "bgra"
        for frame in half:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgba")))
        container.mux(stream.encode(None))
    assert np.abs(answered.play(clip_id).astype(int) - truth / 5).max() <= 1


@pytest.mark.parametrize("pixels", ["yuvj444p", "yuv444p"])
def test_the_range_of_colours_is_that_of_the_tags(answered, pixels) -> None:
    """PyAV-Org/PyAV#1431, PyAV-Org/PyAV#2149."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    codec = Codec(".avi", "avi", "mjpeg", pixels, {"qscale": "1"}) if pixels == "yuvj444p" else LOSSLESS
    if pixels == "yuv444p":
        codec = Codec(".mp4", "mp4", "libx264", pixels, {"crf": "1", "preset": "veryfast"})
    encode(answered.folder / f"{clip_id}{codec.suffix}", truth, 15, codec)
    assert np.abs(answered.play(clip_id).astype(int) - truth).mean() < 2.5


def test_what_is_not_followed_is_named(answered) -> None:
    """High dynamic range, wide colours, and the transparency of VP9 (mpv-player/mpv#10304)."""
    first, second = answered.ids
    write_h264(answered.folder / f"{first}.mkv", answered.truth(first), FFV1, color_trc=16, color_primaries=9)
    said = notes(answered)
    assert f"{first}.mkv: high dynamic range (PQ) is not followed." in said
    with av.open(str(answered.folder / f"{second}.webm"), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=15, options={"cpu-used": "8", "deadline": "realtime"})
        stream.height = stream.width = 64
        stream.pix_fmt = "yuva420p"
        for frame in answered.truth(second)[:4]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert f"{second}.webm: transparency is not followed." in notes(answered)


def test_an_edit_of_another_speed_is_named(answered) -> None:
    clip_id = answered.ids[0]
    path = answered.folder / f"{clip_id}.mp4"
    encode(path, answered.truth(clip_id), 15, LOSSLESS)
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 4
    struct.pack_into(">hH", content, place + 8 + 8, 0, 32768)
    path.write_bytes(content)
    assert f"{clip_id}.mp4: an edit at 0.5 times the speed is not followed." in notes(answered)


def test_damaged_headers_say_nothing(tmp_path) -> None:
    far = element("ec", b"")[:1] + b"\x01" + b"\xff" * 7  # beyond any place that a file may have
    for demuxer in ("mov", "matroska", "png_pipe", "gif"):
        for content in (b"", b"\x00" * 64, bytes(range(256)), b"\xff" * 64, b"\x00\x00\x00\x08moov", far * 200):
            path = tmp_path / "damaged"
            path.write_bytes(content)
            with path.open("rb") as stream:
                assert read_headers(stream, demuxer) == Headers()
