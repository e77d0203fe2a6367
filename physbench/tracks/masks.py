"""Masks of frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def dilated(mask: Mask, reach: int) -> Mask:
    """A mask (T, H, W) dilated by `reach` px in rows and columns."""
    frames, height, width = mask.shape
    # Flat, with empty rows and columns between: shifts of one piece of memory are several times faster than of many.
    wide = np.zeros((frames, height + reach, width + reach), dtype=bool)
    wide[:, :height, :width] = mask
    flat = wide.ravel()
    for by in (1, width + reach):
        grown = flat.copy()
        for step in range(by, reach * by + 1, by):
            grown[step:] |= flat[:-step]
            grown[:-step] |= flat[step:]
        flat = grown
        if by == 1:  # what ran over into the columns between
            flat.reshape(wide.shape)[:, :, width:] = False
    return flat.reshape(wide.shape)[:, :height, :width]
