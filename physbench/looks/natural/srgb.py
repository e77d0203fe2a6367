"""The values of a display (sRGB, IEC 61966-2-1) and linear ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def linear(value: NDArray[np.floating] | float | Sequence[float]) -> NDArray[np.float64]:
    """Display values 0..1 (sRGB) -> linear ones."""
    v = np.asarray(value, dtype=np.float64)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def displayed(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Linear RGB -> sRGB levels, rounded to nearest."""
    x = np.clip(linear, 0.0, 1.0)
    value = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-6), 1 / 2.4) - 0.055)
    return np.asarray(np.rint(value * 255), dtype=np.uint8)
