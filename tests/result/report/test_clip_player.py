"""The frames of a player: those of the clip, at its times, small, and the same again."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from physbench.result.report.pictures import SHEET, player


def decoded(uri: str) -> np.ndarray:
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def moving_square(count: int, size: int = 64) -> np.ndarray:
    frames = np.full((count, size, size, 3), 130, np.uint8)
    for t, frame in enumerate(frames):
        frame[20:30, t % 50 : t % 50 + 10] = (220, 40, 40)
    return frames


@pytest.mark.parametrize(("fps", "step"), [(10, 1), (15, 1), (30, 3), (60, 6)])
def test_truth_and_prediction_are_in_step_at_the_times_of_the_clip(fps: float, step: int) -> None:
    truth = moving_square(round(4 * fps))
    found = player("a", truth, truth[::-1], fps)
    assert found is not None and found.seconds == 4 and found.moments == len(truth) // step
    sheet = decoded(found.sheet).reshape(found.moments, found.height, found.width, 3)
    assert (found.width, found.height) == (2 * 64 + SHEET.side_gap, 64)
    for shown, time in zip(sheet, found.times, strict=True):
        i = round(time * fps) - 1  # the first predicted frame is one frame after the hand-over
        assert np.abs(shown[:, :64] - truth[i]).max() <= SHEET.greys_as_one
        assert np.abs(shown[:, 64 + SHEET.side_gap :] - truth[::-1][i]).max() <= SHEET.greys_as_one
    assert player("a", truth, truth[::-1], fps) == found


def test_a_prediction_that_ends_early_turns_grey() -> None:
    found = player("a", moving_square(20), moving_square(20)[:5], 10)
    assert found is not None
    sheet = decoded(found.sheet).reshape(20, found.height, found.width, 3)
    assert sheet[4, :, 64 + SHEET.side_gap :].std() > 0 and sheet[5:, :, 64 + SHEET.side_gap :].std() == 0


def test_noise_and_length_are_kept_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    found = player("a", moving_square(60, 128), noise, 30)
    assert found is not None and found.moments < 20
    lossy = player("a", moving_square(60, 128), noise, 30, quality=60)
    assert lossy is not None and lossy.moments == found.moments and len(lossy.sheet) < len(found.sheet) / 8
    finer = player("a", moving_square(60, 128), (noise // 16 + 120).astype(np.uint8), 30, quality=60)
    assert finer is not None and len(finer.sheet) < 4 / 3 * SHEET.most_lossy_bytes + 100
    long = player("a", moving_square(400, 128), moving_square(400, 128), 15)
    assert long is not None and len(long.sheet) < 4 / 3 * SHEET.most_bytes + 100
    assert long.moments * long.height <= 16_383, "the largest picture of this format"


def test_large_frames_are_made_smaller() -> None:
    found = player("a", moving_square(8, 256), moving_square(8, 256), 10)
    assert found is not None
    assert found.width == 2 * 128 + SHEET.side_gap


def test_marks_lie_on_the_time_line() -> None:
    truth = moving_square(20)
    found = player("a", truth, truth, 10, (1.05, 0.0, 1.0512, 5.0))
    assert found is not None
    assert found.breaks == (0.0, 1.05, 5.0), "once each"
    assert found.marks == ((0.0, 0.0), (0.5, 1.05), (1.0, 5.0)), "from the first moment, 0.1 s, to the last, 2 s"
