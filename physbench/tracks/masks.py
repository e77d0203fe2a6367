"""Masks of frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def dilated(mask: Mask, reach: int) -> Mask:
    """A mask (T, H, W) dilated by `reach` px in rows and columns."""
    for axis in (1, 2):
        wide = mask.copy()
        for step in range(1, reach + 1):
            ahead, back = [slice(None)] * 3, [slice(None)] * 3
            ahead[axis], back[axis] = slice(step, None), slice(None, -step)
            wide[tuple(ahead)] |= mask[tuple(back)]
            wide[tuple(back)] |= mask[tuple(ahead)]
        mask = wide
    return mask
