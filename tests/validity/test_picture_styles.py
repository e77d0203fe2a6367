"""Styles of pictures: they change the picture by what they say, and the same seed gives the same frames."""

from __future__ import annotations

import numpy as np
import pytest
from picture_styles import STYLES, styled


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """A red disc on grey ground above a darker floor, in six frames."""
    rows, columns = np.mgrid[:64, :64]
    picture = np.full((6, 64, 64, 3), 128, dtype=np.uint8)
    picture[:, 48:] = 115
    for t in range(6):
        picture[t, (columns - 20 - 3 * t) ** 2 + (rows - 30) ** 2 < 81] = (200, 30, 30)
    return picture


def chroma(frames: np.ndarray) -> np.ndarray:
    return frames.max(-1).astype(float) - frames.min(-1)


@pytest.mark.parametrize("name", STYLES)
def test_a_style_changes_the_frames_and_repeats(frames: np.ndarray, name: str) -> None:
    found = styled(frames, name, 15.0, 3)
    assert found.shape == frames.shape and found.dtype == np.uint8
    assert not np.array_equal(found, frames)
    assert np.array_equal(found, styled(frames, name, 15.0, 3))
    # What is red stays the same body at the same place, by its centroid.
    for before, after in zip(chroma(frames), chroma(found), strict=True):
        inside = before > 80
        assert after[inside].mean() > 3 * after[:16, :].mean()


def test_noise_differs_between_seeds(frames: np.ndarray) -> None:
    assert not np.array_equal(styled(frames, "grain-8", 15.0, 0), styled(frames, "grain-8", 15.0, 1))


def test_strengths_are_as_they_are_called(frames: np.ndarray) -> None:
    inside = (slice(None), 30, 20)  # the disc's middle in the first frame
    ground = (slice(None), 5, 5)
    dark = styled(frames, "bright-.6", 15.0, 0)
    assert dark[0, 30, 20].tolist() == [120, 18, 18]
    pale = styled(frames, "saturate-.6", 15.0, 0)
    assert chroma(pale)[inside][0] == pytest.approx(0.6 * 170, abs=1)
    assert (pale[ground] == 128).all()
    faded = styled(frames, "contrast-10", 1.0, 0)  # a frame is a second
    assert chroma(faded).max((1, 2)) == pytest.approx(170 * 0.9 ** np.arange(1, 7), abs=1)
    flat = styled(np.full_like(frames, 128), "crawl-8", 15.0, 0)
    assert flat.std((1, 2)) == pytest.approx(8, abs=0.5)


def test_jitter_moves_the_whole_picture(frames: np.ndarray) -> None:
    moved = styled(frames.repeat(40, 0), "jitter-.3", 15.0, 0).astype(float)[..., 0]
    edge = (moved[:, 46:50, 2] - 115).sum(1) / 13  # rows above the floor's edge, which goes up and down
    assert edge.std() == pytest.approx(0.3, abs=0.05)


def test_an_offset_moves_all_frames_alike(frames: np.ndarray) -> None:
    moved = styled(frames[:1].repeat(4, 0), "offset-1", 15.0, 0)
    assert (moved == moved[0]).all()
    weight = chroma(moved[:1])[0]
    rows, columns = np.mgrid[:64, :64]
    place = [(weight * axis).sum() / weight.sum() for axis in (columns, rows)]
    assert np.hypot(place[0] - 20, place[1] - 30) == pytest.approx(1.0, abs=0.02)
