"""Statistics of frames, against their plain formulas, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.track.colour import (
    MIN_COLOUR,
    colour_mask,
    levels_apart,
    mean_squared_gradient,
    over_channels,
    squares_apart,
)

SHAPES = st.tuples(st.integers(1, 4), st.integers(2, 70), st.integers(2, 70), st.just(3))


def frames_of(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Noise, with all levels, where any two pixels may differ by all of them; then flat greys."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, shape, dtype=np.uint8)
    frames[rng.random(shape[:3]) < 0.2] = 255
    frames[rng.random(shape[:3]) < 0.2] = 0
    return frames


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 2**32 - 1))
def test_sharpness_and_squares_are_those_of_float32(shape, seed):
    frames, other = frames_of(shape, seed), frames_of(shape, seed + 1)
    levels = frames.astype(np.float32)

    expected = [(np.mean(np.diff(each, axis=1) ** 2) + np.mean(np.diff(each, axis=0) ** 2)) / 2 for each in levels]
    squares = squares_apart(frames, other)

    assert mean_squared_gradient(frames, np.arange(len(frames))).tobytes() == np.asarray(expected, np.float64).tobytes()
    assert squares.dtype == np.float32
    assert squares.tobytes() == ((levels - other.astype(np.float32)) ** 2).tobytes()
    assert squares_apart(frames[:1], other).tobytes() == ((levels[:1] - other.astype(np.float32)) ** 2).tobytes()
    assert np.mean(squares).tobytes() == np.mean((levels - other.astype(np.float32)) ** 2).tobytes()


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 2**32 - 1))
def test_channels_are_combined_as_along_their_axis(shape, seed):
    frames, other = frames_of(shape, seed), frames_of(shape, seed + 1)
    red, green, blue = np.moveaxis(frames.astype(int), -1, 0)

    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    apart = levels_apart(frames, other)

    assert np.array_equal(colour_mask(frames), spread >= MIN_COLOUR)
    assert np.array_equal(colour_mask(frames[0]), (spread >= MIN_COLOUR)[0])
    assert np.array_equal(apart, np.abs(frames.astype(int) - other.astype(int)))
    assert np.array_equal(over_channels(np.maximum, apart), apart.max(axis=-1))
    assert np.array_equal(over_channels(np.logical_or, apart > 9), (apart > 9).any(axis=-1))
    assert np.array_equal(over_channels(np.add, apart.astype(np.uint16)), apart.sum(axis=-1))


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (1, 1, 1, 3), (2, 0, 3, 3)])
def test_channels_of_few_pixels_and_of_none(shape):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)

    assert np.array_equal(over_channels(np.maximum, pixels), pixels[..., 2])


def test_frames_that_lie_apart_in_memory():
    frames = frames_of((6, 20, 30, 3), 0)
    apart = frames[::2, ::-1, ::3]

    assert np.array_equal(colour_mask(apart), colour_mask(apart.copy()))
    assert (
        mean_squared_gradient(apart, np.array([0, 2])).tobytes()
        == mean_squared_gradient(apart.copy(), np.array([0, 2])).tobytes()
    )
