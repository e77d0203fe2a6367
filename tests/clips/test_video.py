"""Frames as RGB, as PyAV gives them one at a time."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from physbench.clips.video import FFV1, H264, H264_RGB, H264_RGB_FAST, Codec, rgb_converter, video_writer

GREY = Codec(".mkv", "matroska", "ffv1", "gray")
ALPHA = Codec(".mkv", "matroska", "ffv1", "bgra")
CODECS = [FFV1, H264, H264_RGB, H264_RGB_FAST, GREY, ALPHA]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.pixels)
@pytest.mark.parametrize("size", [(64, 64), (50, 38)])
def test_one_converter_for_a_video_gives_what_each_frame_alone_gives(codec: Codec, size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    file = io.BytesIO()
    with video_writer(file, *size, 16.0, codec) as write:
        write(frames)
    file.seek(0)
    to_rgb = rgb_converter()
    with av.open(file) as container:
        decoded = list(container.decode(video=0))
    assert len(decoded) == len(frames)
    for frame in decoded:
        np.testing.assert_array_equal(to_rgb(frame), frame.to_ndarray(format="rgb24"))


def test_a_converter_follows_frames_of_another_size_and_format() -> None:
    pictures = [(np.full((16, 32, 3), 90, np.uint8), "rgb24"), (np.full((48, 20), 7, np.uint8), "gray")]
    to_rgb = rgb_converter()
    for picture, name in pictures * 2:
        frame = av.VideoFrame.from_ndarray(picture, format=name)
        expected = picture if name == "rgb24" else np.repeat(picture[..., None], 3, axis=-1)
        np.testing.assert_array_equal(to_rgb(frame), expected)


def test_a_converter_follows_a_change_of_range() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (24, 32), dtype=np.uint8)  # (3/2 H, W) of 4:2:0
    to_rgb = rgb_converter()
    for name in ("yuvj420p", "yuv420p") * 2:
        frame = av.VideoFrame.from_ndarray(picture, format=name)
        np.testing.assert_array_equal(to_rgb(frame), frame.to_ndarray(format="rgb24"))
