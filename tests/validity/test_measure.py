"""What is submitted as H.264 is measured as H.264."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.clips.video import FFV1, h264, round_trip
from physbench.run.versions import library_version
from physbench.score.score_clip import find_scorers
from physbench.validity.measure import Settings, key, measure_one, measured_with

Clips = Callable[..., Clip]

TASK, CRF, CONTEXT = "falling/projectile-v1", 23, 16


@pytest.fixture(scope="module")
def clip(clip_of: Clips) -> Clip:
    return clip_of(TASK, size=128, fps=30.0)


def test_frames_come_back_changed_a_little_and_in_their_places(clip: Clip) -> None:
    frames = clip.future()
    read = round_trip(frames, clip.spec.fps, h264(CRF))
    assert read.dtype == np.uint8 and read.shape == frames.shape and not np.array_equal(read, frames)
    off = np.sqrt(((read.astype(float) - frames) ** 2).mean(axis=(1, 2, 3)))
    assert off.max() < 4  # levels of 255, rms of each frame
    worse = round_trip(frames, clip.spec.fps, h264(40))
    assert ((worse.astype(float) - frames) ** 2).mean() > 2 * (off**2).mean()
    assert np.array_equal(round_trip(frames, clip.spec.fps, h264(CRF)), read)
    assert np.array_equal(round_trip(frames[:1], clip.spec.fps, FFV1), frames[:1])


def test_truth_stays_lawful_and_what_is_wrong_is_seen(clip: Clip) -> None:
    scorers = find_scorers("consistency/strength", costly=True)

    def strength(source: str, crf: int | None) -> float:
        (read,) = measure_one(clip, CONTEXT, source, scorers, crf).reads
        assert read.value is not None
        return read.value

    plain = strength("teleport:0.25", None)
    assert strength("truth", CRF) <= 0.03 and strength("teleport:0.25", CRF) == pytest.approx(plain, rel=0.2)
    assert strength("truth", 45) != strength("truth", None)  # it was read out of the video


def test_the_codec_is_in_the_key_and_in_the_header() -> None:
    scorers = find_scorers("permanence/intact")
    plain = Settings((TASK,), ("truth",), None, 1, 1)
    coded = replace(plain, crf=CRF)
    assert len({key(each, scorers) for each in (plain, coded, replace(plain, crf=CRF + 1))}) == 3
    assert measured_with(coded, scorers)["av"] == library_version("av")
    assert "av" not in measured_with(plain, scorers)
