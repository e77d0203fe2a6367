"""Animations: the frames of the clip, at its pace, small, and the same again."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from physbench.report.animations import BAR, GREYS_AS_ONE, PAUSE, SIDE_GAP, play


def decoded(uri: str) -> Image.Image:
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def moving_square(count: int, size: int = 64) -> np.ndarray:
    frames = np.full((count, size, size, 3), 130, np.uint8)
    for t, frame in enumerate(frames):
        frame[20:30, t % 50 : t % 50 + 10] = (220, 40, 40)
    return frames


@pytest.mark.parametrize(("fps", "step"), [(10, 1), (15, 1), (30, 3), (60, 6)])
def test_it_shows_the_clip_at_its_pace(fps: float, step: int) -> None:
    truth = moving_square(round(4 * fps))
    found = play(truth, truth[::-1], fps)
    assert found is not None and found.seconds == 4
    picture = decoded(found.moving)
    assert (picture.width, picture.height) == (found.width, found.height) == (2 * 64 + SIDE_GAP, 64 + BAR)
    assert picture.n_frames == len(truth) // step
    total = 0
    for k in range(picture.n_frames):
        picture.seek(k)
        picture.load()
        total += picture.info["duration"]
        i = (k + 1) * step - 1
        shown = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(shown[:64, :64] - truth[i]).max() <= GREYS_AS_ONE
        assert np.abs(shown[:64, 64 + SIDE_GAP :] - truth[::-1][i]).max() <= GREYS_AS_ONE
    assert total == pytest.approx(4000 + PAUSE, abs=60)
    assert not getattr(decoded(found.still), "is_animated", False)
    assert play(truth, truth[::-1], fps) == found


def test_a_prediction_that_ends_early_turns_grey() -> None:
    found = play(moving_square(20), moving_square(20)[:5], 10)
    assert found is not None
    picture = decoded(found.moving)
    picture.seek(19)
    half = np.asarray(picture.convert("RGB"))[:64, 64 + SIDE_GAP :]
    assert half.std() == 0


def test_noise_is_kept_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    found = play(moving_square(60, 128), noise, 30)
    assert found is not None
    picture = decoded(found.moving)
    assert picture.n_frames < 20


def test_large_frames_are_made_smaller() -> None:
    found = play(moving_square(8, 256), moving_square(8, 256), 10)
    assert found is not None
    assert found.width == 2 * 128 + SIDE_GAP
