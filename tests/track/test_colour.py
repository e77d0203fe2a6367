"""Labels, statistics and pooled planes of frames, against their plain formulas, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.track.colour import (
    HUES,
    MIN_COLOUR,
    TABLE_HALF_STEPS,
    TABLE_SIDE,
    TABLE_STEP_A,
    TABLE_STEP_B,
    UNKNOWN_HUE,
    colour_mask,
    colours_of,
    levels_apart,
    mean_planes,
    mean_squared_gradient,
    over_channels,
    squares_apart,
)
from physbench.world.scene import PALETTE

COSINE = math.cos(math.radians(HUES.tolerance_deg))


def plain_table(unit: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    steps = np.arange(TABLE_SIDE) - TABLE_HALF_STEPS
    a, b = np.meshgrid(steps * TABLE_STEP_A, steps * TABLE_STEP_B, indexing="ij")
    plane = np.stack([a / 2, math.sqrt(3) / 2 * b], axis=-1)
    size = np.linalg.norm(plane, axis=-1)
    along = plane @ unit.T
    best, near = along.argmax(-1), along.max(-1) >= size * COSINE
    halo = ((along <= -size[..., None] * COSINE) & (size[..., None] < HUES.halo * chroma)).any(-1)
    label = np.where(halo & ~near, 0, np.where(size >= HUES.least, UNKNOWN_HUE, 0))
    return np.where(near & (label > 0), np.where(size >= HUES.core * chroma[best], 1 << best, 0), label).reshape(-1)


@pytest.mark.parametrize("count", range(1, len(PALETTE) + 1))
def test_the_table_of_labels_is_that_of_the_plain_formula(count: int) -> None:
    for seed in range(3):
        hues = tuple(np.random.default_rng(seed).permutation(len(PALETTE))[:count].tolist())
        found = colours_of(hues, torch.device("cpu"))
        assert np.array_equal(found.table.numpy(), plain_table(found.hue, found.chroma)), hues


def test_without_objects_every_hue_is_unknown() -> None:
    assert set(colours_of((), torch.device("cpu")).table.tolist()) == {0, UNKNOWN_HUE}


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


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7, 16, 17, 40])
@pytest.mark.parametrize("rest", [(0, 0), (1, 0), (0, 1), (5, 3)])
def test_planes_are_the_means_in_float32_bit_for_bit(factor, rest):
    rng = np.random.default_rng(factor)
    height, width = 3 * factor + rest[0] % factor, 5 * factor + rest[1] % factor
    frames = rng.integers(0, 256, (4, height, width, 3), dtype=np.uint8)
    frames[0], frames[1, ::2] = 255, 0

    whole = frames[:, : 3 * factor, : 5 * factor].astype(np.float32)
    expected = whole.reshape(4, 3, factor, 5, factor, 3).mean((2, 4))
    found = mean_planes(frames, factor)

    assert found.dtype == np.float32 and found.shape == (3, 4, 3, 5)
    assert np.ascontiguousarray(np.moveaxis(found, 0, -1)).tobytes() == expected.tobytes()


def test_planes_of_frames_that_lie_apart_in_memory():
    frames = np.random.default_rng(0).integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)

    assert np.array_equal(mean_planes(frames[::2, :, ::-1], 3), mean_planes(frames[::2, :, ::-1].copy(), 3))
