"""Shapes in closed form, blurred, turned and hidden under noise; and through frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from physbench.clips.clip import Clip
from physbench.track.patches import deviation, harmonics, shape_change
from physbench.track.tracker import track

SIDE, RADIUS, FINE = 61, 10.0, 8
AXES = np.sqrt(1.3)


def drawn(inside: Callable[[np.ndarray, np.ndarray], np.ndarray], turn: float = 0.3) -> np.ndarray:
    """A shape of the area of a disc of RADIUS px around a place between pixels, (SIDE, SIDE), 0 to 1."""
    grid = (np.arange(SIDE * FINE) + 0.5) / FINE - SIDE / 2 - 0.21
    x, y = np.meshgrid(grid, grid)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return inside(u / RADIUS, v / RADIUS).reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))


SHAPES = {
    "disc": (lambda u, v: u**2 + v**2 < 1, (0.0, 0.0, 0.0)),
    "ellipse": (lambda u, v: (u / AXES) ** 2 + (v * AXES) ** 2 < 1, (0.133, 0.0, 0.0177)),
    "square": (lambda u, v: np.maximum(abs(u), abs(v)) < np.sqrt(np.pi) / 2, (0.0, 0.0, 0.1645)),
}


def read(picture: np.ndarray) -> np.ndarray:
    found = harmonics(torch.from_numpy(np.rint(picture * 4000).astype(np.float32))[None], RADIUS).numpy()[0]
    return np.array([np.hypot(found[0], found[1]), found[2], found[3]])


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("blur", (0.0, 1.5, 3.0))
@pytest.mark.parametrize("turn", (0.0, 0.4, 1.1))
def test_harmonics_are_those_of_the_shape_however_blurred_and_turned(name: str, blur: float, turn: float) -> None:
    inside, expected = SHAPES[name]
    assert read(gaussian_filter(drawn(inside, turn), blur)) == pytest.approx(expected, abs=0.004)


def test_sharpening_changes_no_harmonic() -> None:
    picture = drawn(SHAPES["square"][0])
    sharp = 2 * picture - gaussian_filter(picture, 2.0)
    assert read(sharp) == pytest.approx(SHAPES["square"][1], abs=0.004)


def test_a_streak_along_the_motion_is_no_other_shape() -> None:
    """A shutter that is open all the time from frame to frame, at 12 px a frame; across the motion it would be one."""
    disc = drawn(SHAPES["disc"][0])
    streak = np.mean([np.roll(disc, step, axis=1) for step in range(-6, 7)], axis=0)
    found = harmonics(torch.from_numpy(np.rint(streak * 4000).astype(np.float32))[None], RADIUS).numpy()
    along, across = (deviation(found, np.zeros(3), np.array([each]), RADIUS)[0] for each in ((12.0, 0.0), (0.0, 12.0)))
    assert along < 0.3 < 0.8 < across


def test_a_ghost_of_the_frame_before_is_no_other_shape() -> None:
    """30 % of a frame, 10 px behind; across the motion it would be one."""
    disc = drawn(SHAPES["disc"][0])
    ghost = 0.7 * disc + 0.3 * np.roll(disc, -10, axis=1)
    found = harmonics(torch.from_numpy(np.rint(ghost * 4000).astype(np.float32))[None], RADIUS).numpy()
    along, across = (deviation(found, np.zeros(3), np.array([each]), RADIUS)[0] for each in ((10, 0), (0, 10)))
    assert along < 0.1 and across > 0.8


def test_noise_and_smallness_are_not_judged() -> None:
    seen, place = np.tile([0.133, 0.0, 0.0, 0.0], (20, 1)), np.zeros((20, 2))
    every, none = np.ones(20, dtype=bool), np.zeros(20, dtype=bool)

    def change(sd: float, radius: float, *, learnt: np.ndarray = none, sphere: bool = True) -> np.ndarray:
        return shape_change(seen, np.full(20, sd), place, every, learnt, sphere, radius, 5)

    assert change(0.0, 10.0) == pytest.approx(2.0)
    assert change(0.06, 5.0) == pytest.approx(1.0 / (4.6 / 5 + 6 * 0.06))  # a small ball: what codecs make of it
    assert np.isnan(change(0.2, 10.0)).all() and np.isnan(change(0.0, 3.0)).all()
    assert np.isnan(change(0.0, 10.0, sphere=False)).all()
    assert change(0.0, 10.0, learnt=every, sphere=False) == pytest.approx(0.0)


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_fewer_frames_than_the_median_spans_are_judged_too(frames: int) -> None:
    """An ellipse of 1.3 : 1 stays one, whatever the number of frames; half of the median's window has more of them."""
    seen, every = np.tile([0.133, 0.0, 0.0, 0.0], (frames, 1)), np.ones(frames, dtype=bool)
    for _ in range(100):  # memory that is overrun shows after some calls
        found = shape_change(seen, np.zeros(frames), np.zeros((frames, 2)), every, ~every, True, 10.0, 9)
    assert found == pytest.approx(2.0)


def test_a_body_that_is_stretched_in_frames_has_another_shape(
    clip_of: Callable[..., Clip], stages: dict[str, Callable[..., object]]
) -> None:
    """Balls are drawn as ellipses of 1.3 : 1 of their own area, from the hand-over on."""
    clip = clip_of(stages["four"](40), 128)
    frames = clip.frames.copy()
    for t in range(8, len(frames)):
        x, y = clip.px_positions()[t, 1]
        rows, columns = np.mgrid[: len(frames[t]), : len(frames[t])] + 0.5
        far = np.hypot(columns - x, rows - y) > 17
        u, v = (columns - x) / AXES + x, (rows - y) * AXES + y
        i, j = (np.clip(np.floor(each).astype(int), 0, len(frames[t]) - 1) for each in (v, u))
        frames[t] = np.where(far[..., None], frames[t], clip.frames[t][i, j])
    shape = track(clip, 8, frames).shape
    assert shape is not None
    assert (shape[8:, 1] > 1.5).all() and not (shape[8:, [0, 2, 3]] > 0.5).any() and not (shape[:4] > 0.5).any()
