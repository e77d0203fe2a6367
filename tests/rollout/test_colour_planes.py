"""Frames to planes and back, whatever the blocks in which they are moved."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.rollout import store
from physbench.rollout.store import fill_frames, fill_planes


@pytest.mark.parametrize("block", [1, 500, 1 << 20])
def test_planes_are_the_transposed_frames(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOVED_TOGETHER", block)
    frames = np.random.default_rng(0).integers(0, 256, (7, 8, 10, 3), dtype=np.uint8)
    planes = np.zeros((7, 3, 8, 10), dtype=np.uint8)
    fill_planes(planes, frames)
    assert np.array_equal(planes, frames.transpose(0, 3, 1, 2))
    back = np.zeros((5, 8, 10, 3), dtype=np.uint8)
    fill_frames(back, planes)
    assert np.array_equal(back, frames[:5])


def test_no_frames() -> None:
    fill_frames(np.empty((0, 8, 8, 3), np.uint8), np.empty((4, 3, 8, 8), np.uint8))
