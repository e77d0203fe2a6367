"""Videos whose containers cannot hold the rate, or have no presentation times: ground truth must read as ground truth.

The cases are those of public bug reports, which are named with them (owner/repository#number).
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from physbench.clips.video import Codec, encode
from physbench.models.videos.resample import (
    Timing,
    begins_with_context,
    clock_tick,
    frames_at_times,
    make_resampler,
    meant_rate,
    retimed,
    scored_rate,
)

BFRAMES = {"crf": "1", "bf": "2", "b_strategy": "0", "preset": "veryfast", "sc_threshold": "0", "g": "300"}


def write_gif(answered, clip_id, frames, delays) -> None:
    """As Pillow and imageio write it: delays in ms, truncated to hundredths of a second, equal frames merged."""
    pictures = [Image.fromarray(frame).quantize(256) for frame in frames]
    path = answered.folder / f"{clip_id}.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays, loop=0)


def remux(answered, clip_id, frames, suffix, stamps) -> None:
    """H.264 with B-frames, with what `stamps` makes of (number, presentation time, decoding time) of each packet."""
    raw = answered.folder.parent / "raw.mp4"
    encode(raw, frames, 15, Codec(".mp4", "mp4", "libx264", "yuv444p", BFRAMES))
    with av.open(str(raw)) as source, av.open(str(answered.folder / f"{clip_id}{suffix}"), "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        for number, packet in enumerate(source.demux(video)):
            if packet.size:
                packet.pts, packet.dts = stamps(number, packet.pts, packet.dts)
                packet.stream = stream
                target.mux(packet)


def write_ffv1(answered, clip_id, frames, times_ms, suffix=".mkv") -> None:
    """FFV1 with time stamps in ms."""
    with av.open(str(answered.folder / f"{clip_id}{suffix}"), "w") as container:
        stream = container.add_stream("ffv1", rate=15)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        frames = [av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24") for frame in frames]
        packets = [packet for frame in [*frames, None] for packet in stream.encode(frame)]
        for packet, time in zip(packets, times_ms, strict=True):
            packet.pts = packet.dts = time
            packet.time_base = Fraction(1, 1000)
            container.mux(packet)


def is_truth(answered, clip_id, **model_args) -> bool:
    """Whether each frame that is scored is that of ground truth (a GIF may round its colours)."""
    played, truth = answered.play(clip_id, **model_args), answered.truth(clip_id)
    return played.shape == truth.shape and bool((np.abs(played.astype(int) - truth).mean((1, 2, 3)) < 0.5).all())


def notes(answered, **model_args) -> str:
    return "\n".join(answered.open(**model_args).notes)


@pytest.mark.parametrize("context", [False, True])
def test_gif_rounds_the_interval(answered, context) -> None:
    """15 frames/s are written as delays of 60 ms (imageio/imageio#243)."""
    clip_id = answered.ids[0]
    answered.say(includes_context=context)
    write_gif(answered, clip_id, answered.truth(clip_id, context), 1000 / 15)
    assert is_truth(answered, clip_id)
    assert "the file says 16.67 frames/s, to which 15 may have been rounded; read as 15 (as many frames" in notes(
        answered
    )
    assert answered.open(fps="16.67").rate((clip_id, 0)) == 16.67, "the user decides"


def test_gif_of_another_rate_than_the_export(answered) -> None:
    """16 frames/s: the number of frames tells it from 15, which would be rounded to the same delay."""
    clip_id = answered.ids[0]
    answered.say(includes_context=False)
    frames = answered.truth(clip_id)[(np.arange(64) * 15 / 16).astype(int)]
    frames[:, 0, 0] = np.arange(64)[:, None] * 3  # none is merged with its neighbour
    write_gif(answered, clip_id, frames, 62.5)
    assert answered.open().card.fps == 16 and not answered.open().short_videos()


def test_gif_whose_equal_frames_were_merged(answered) -> None:
    """A frame that stays for two or more has a longer delay, also at the end: all are counted."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id).copy()
    truth[20:23], truth[55:] = truth[20], truth[55]
    write_gif(answered, clip_id, truth, 1000 / 15)
    played = answered.play(clip_id)
    assert answered.open().infos[clip_id, 0].frames < 60 and len(played) == 60
    assert (np.abs(played.astype(int) - truth).mean((1, 2, 3)) < 0.5).all()


def test_gif_without_delays(answered) -> None:
    """Seconds were taken for milliseconds, and all delays are 0 (Zulko/moviepy#2151, Zulko/moviepy#2170).

    A player shows 10 frames/s.
    """
    clip_id = answered.ids[0]
    write_gif(answered, clip_id, answered.truth(clip_id), 1 / 15)
    said = notes(answered)
    assert "as many frames as were asked for at 15 frames/s, but the file says 10." in said and "fps=15" in said
    assert is_truth(answered, clip_id, fps="15")


def test_gif_whose_last_frame_lasts_long(answered) -> None:
    """A pause before it starts again is no reason to read a whole video otherwise; of half a video it is the end."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    write_gif(answered, clip_id, truth, [1000 / 15] * 59 + [2000])
    assert is_truth(answered, clip_id) and "stays for long" not in notes(answered)
    write_gif(answered, clip_id, truth[:30], [1000 / 15] * 29 + [2040])
    played = answered.play(clip_id)
    assert len(played) == 60 and np.abs(played[30:].astype(int) - played[29]).max() == 0
    assert "stays for long" in notes(answered) and not answered.open().short_videos()


@pytest.mark.parametrize(("step", "says"), [(66, "15.15"), (67, "14.93")])
def test_whole_milliseconds(answered, step, says) -> None:
    """Intervals in whole ms add up to half a frame and more in 4 s (nixxquality/WebMConverter#117)."""
    clip_id = answered.ids[0]
    write_ffv1(answered, clip_id, answered.truth(clip_id), [number * step for number in range(60)])
    assert is_truth(answered, clip_id)
    assert f"the file says {says} frames/s, to which 15 may have been rounded" in notes(answered)


def test_times_rounded_one_by_one_are_those_of_the_rate(answered) -> None:
    clip_id = answered.ids[0]
    write_ffv1(answered, clip_id, answered.truth(clip_id), [round(number * 1000 / 15) for number in range(60)])
    assert is_truth(answered, clip_id) and "rounded" not in notes(answered)


@pytest.mark.parametrize("args", [{}, {"fps": "15"}])
def test_avi_has_no_presentation_times(answered, args) -> None:
    """H.264 with B-frames in AVI (superuser404notfound/AetherEngine#516, meta-pytorch/torchcodec#683)."""
    clip_id = answered.ids[0]
    codec = Codec(".avi", "avi", "libx264", "yuv444p", BFRAMES)
    encode(answered.folder / f"{clip_id}.avi", answered.truth(clip_id), 15, codec)
    assert is_truth(answered, clip_id, **args)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_presentation_times_in_the_order_of_storage(answered, suffix) -> None:
    """As a muxer writes them that knows no B-frames (dmlc/decord#52)."""
    clip_id = answered.ids[0]
    remux(answered, clip_id, answered.truth(clip_id), suffix, lambda number, pts, dts: (number * 1024, number * 1024))
    assert is_truth(answered, clip_id)


@pytest.mark.parametrize("times", ["repeat", "stand still", "are negative"])
def test_time_stamps_that_tell_little(answered, times) -> None:
    clip_id = answered.ids[0]
    made = {
        "repeat": lambda n: n // 2 * 133,
        "stand still": lambda n: 0,
        "are negative": lambda n: round(n / 0.015) - 300,
    }
    write_ffv1(answered, clip_id, answered.truth(clip_id), [made[times](number) for number in range(60)])
    assert is_truth(answered, clip_id)
    assert ("time stamps are missing or repeat" in notes(answered)) == (times != "are negative")
    assert answered.open(fps="30").short_videos(), "the user decides"


def test_what_an_edit_list_hides_is_not_shown(answered) -> None:
    """A lossless cut keeps packets before its first frame (vllm-project/vllm#48608)."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    frames = np.concatenate([truth[:7][::-1], truth])
    shift = 7 * 1024  # of 1/15360 s
    remux(answered, clip_id, frames, ".mp4", lambda number, pts, dts: (pts - shift, dts - shift))
    model = answered.open()
    assert model.infos[clip_id, 0].frames == 60 and is_truth(answered, clip_id)


@pytest.mark.parametrize("rate", [30, 10, 8])
def test_another_rate_with_as_many_frames_as_asked(answered, rate) -> None:
    """The default of a writer is not the rate of the model (huggingface/diffusers#6990): the remedy is said."""
    clip_id = answered.ids[0]
    lossless = Codec(".mp4", "mp4", "libx264rgb", "rgb24", {"crf": "0", "preset": "veryfast"})
    encode(answered.folder / f"{clip_id}.mp4", answered.truth(clip_id), rate, lossless)
    said = f"as many frames as were asked for at 15 frames/s, but the file says {rate}. If that is wrong, say"
    assert f"{said} --model-arg fps=15." in notes(answered)
    assert is_truth(answered, clip_id, fps="15") and "as many" not in notes(answered, fps="15")


def test_a_rate_that_was_rounded_to_a_whole_number() -> None:
    """12.5 frames/s become 12 or 13 (opencv/opencv#9023); without as many frames as asked the file is believed."""
    for written in (12.0, 13.0):
        assert meant_rate(written, 0.0, 12.5, lambda rate: int(rate == 12.5), is_coarse=False) == 12.5
        assert meant_rate(written, 0.0, 12.5, lambda rate: 0, is_coarse=False) is None
    assert meant_rate(25.0, 0.0, 24.0, lambda rate: int(rate == 24), is_coarse=False) is None, "MP4 holds both"


@pytest.mark.parametrize(
    ("interval", "unit", "is_fixed", "tick"),
    [
        (0.06, 0.01, True, 0.01),  # GIF
        (0.0667, 0.001, True, 0.001),  # Matroska
        (1 / 15, 1 / 15360, False, 1 / 15360),  # MP4
        (1 / 15, 1 / 15, False, 0.0),  # AVI: the unit is made for the rate
        (0.066, 0.066, False, 0.001),  # AVI of whole milliseconds
        (0.06, 1 / 50000, False, 0.01),  # MP4 made of a GIF
        (0.04, 0.04, False, 0.0),
        (0.0, 0.01, True, 0.0),
    ],
)
def test_how_much_a_clock_rounds(interval, unit, is_fixed, tick) -> None:
    assert clock_tick(interval, unit, is_fixed=is_fixed) == pytest.approx(tick)


@pytest.mark.parametrize(
    ("rate", "asked", "full", "meant"),
    [
        (100 / 6, 15, {15}, 15),
        (100 / 6, 15, {16}, 16),
        (100 / 6, 24, {16}, 16),
        (100 / 6, 15, set(), 15),  # the export's is likelier than an odd one
        (100 / 6, 24, set(), None),
        (25, 24, {24}, 24),
        (25, 24, {25}, 25),
        (25, 24, set(), None),
        (100 / 3, 30, {30}, 30),
        (50, 40, {40}, 40),  # imageio/imageio#243
        (100, 60, {60}, 60),
        (10, 10, {10}, 10),
    ],
)
def test_the_number_of_frames_tells_the_rate_of_a_gif(rate, asked, full, meant) -> None:
    assert meant_rate(rate, 0.01, asked, lambda other: int(other in full), is_coarse=True) == meant


def test_retimed_frames_keep_their_gaps() -> None:
    """A frame that was left out stays left out; jitter is no gap."""
    slow = retimed(Timing(10.0, np.array([0, 0.1, 0.3, 0.4]), 0.5), 20)
    assert slow.stamps == pytest.approx([0, 0.05, 0.15, 0.2]) and slow.end == pytest.approx(0.25)
    jitter = retimed(Timing(10.0, np.array([0, 0.14, 0.2, 0.3]), 0.4), 20)
    assert jitter.stamps == pytest.approx([0, 0.05, 0.1, 0.15])


@pytest.mark.parametrize(
    ("rates", "asked", "scored"),
    [
        ([24.0], 24, 24),
        ([23.976], 24, 24),
        ([16.0, 16.0, 24.0], 24, 16),
        ([48.0], 24, 24),
        ([120.0], 24, 24),
        ([29.97], 24, 30),
        ([7.0], 24, 24),
        ([3.0], 15, 15),
        ([], 15, 15),
        ([10.0, 24.0], 24, 24),
    ],
)
def test_the_rate_that_is_scored(rates: list[float], asked: float, scored: float) -> None:
    assert scored_rate(rates, asked) == scored


@settings(deadline=None)
@given(st.integers(5, 60), st.integers(5, 60), st.floats(0, 1))
def test_the_frame_at_a_time_is_the_nearest_one(rate: int, scored: int, lead: float) -> None:
    """Of evenly spaced frames; those behind the end are missing, at most one too few."""
    stream = [(n / rate, 1 / rate, n) for n in range(rate * 2)]
    targets = [lead + k / scored for k in range(1, scored * 3)]
    got = list(frames_at_times(stream, targets, rate))  # type: ignore[arg-type]  # any object is a frame
    for target, frame in zip(targets, got, strict=False):
        assert abs(frame / rate - target) <= 0.5 / rate + 0.003
    last = (rate * 2 - 1) / rate
    there = sum(target <= last + 0.5 / rate for target in targets)
    assert abs(len(got) - there) <= 1


def disc(x: float) -> np.ndarray:
    frame = np.full((32, 32, 3), 128, np.uint8)
    rows, columns = np.mgrid[:32, :32]
    frame[(rows - 16) ** 2 + (columns - x) ** 2 < 16] = (230, 30, 30)
    return frame


def test_several_frames_in_front_are_seen_by_their_first() -> None:
    shown = np.stack([disc(x) for x in (6, 8, 10)])
    assert begins_with_context(disc(6), shown, 0.0, 0.1)
    assert not begins_with_context(disc(12), shown, 0.0, 0.1)


def test_where_nothing_moves_the_length_decides() -> None:
    still = disc(10)
    shown = np.stack([still] * 3)
    assert begins_with_context(still, shown, 0.2, 0.2)
    assert not begins_with_context(still, shown, 0.0, 0.2)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["stretch", "contain", "cover"]),
    st.tuples(st.integers(32, 200), st.integers(32, 200)),
    st.tuples(st.integers(32, 200), st.integers(32, 200)),
)
def test_every_scored_pixel_is_an_average(fit, asked: tuple[int, int], got: tuple[int, int]) -> None:
    """Weights add up to 1, so that a picture of one colour stays so, and a bar is never mixed in."""
    undo = make_resampler(asked, got, asked, fit)
    picture = np.full((*got, 3), 77, np.uint8)
    if fit == "contain":
        scale = min(got[0] / asked[0], got[1] / asked[1])
        for axis in (0, 1):
            bar = int(np.ceil((got[axis] - asked[axis] * scale) / 2 - 1e-9))
            if bar:
                picture[(slice(None),) * axis + (slice(0, bar),)] = 0
                picture[(slice(None),) * axis + (slice(got[axis] - bar, None),)] = 0
    assert (undo(picture) == 77).all()
