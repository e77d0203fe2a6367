"""The table of labels, against the plain formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physbench.track.colour import (
    HUES,
    TABLE_HALF_STEPS,
    TABLE_SIDE,
    TABLE_STEP_A,
    TABLE_STEP_B,
    UNKNOWN_HUE,
    colours_of,
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
