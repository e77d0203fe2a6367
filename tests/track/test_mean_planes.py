"""Pooled planes of colour, against the plain formula."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.track.colour import mean_planes


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
