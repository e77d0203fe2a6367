"""Pooled frames, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physbench.track.blobs import pool


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7, 8, 11])
@pytest.mark.parametrize("size", [(64, 64), (61, 66), (11, 90), (1, 1)])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_squares_are_added_up_and_the_last_row_and_column_repeated(factor, size, count):
    rng = np.random.default_rng(factor)
    frames = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    frames[:1] = 255
    down, right = (-side % factor for side in size)

    padded = np.pad(frames.astype(np.int64), ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
    high, wide = padded.shape[1] // factor, padded.shape[2] // factor
    expected = padded.reshape(count, high, factor, wide, factor, 3).sum((2, 4))
    found = pool(torch.from_numpy(frames), factor)

    assert found.is_contiguous() and np.array_equal(found.numpy(), expected)
    assert found.dtype == (torch.uint8 if factor == 1 else torch.int16 if factor <= 7 else torch.int32)
