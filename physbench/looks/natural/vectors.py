"""Products of many vectors of three numbers: NumPy's own reduce an axis of three slowly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


def dot(a: Float, b: Float) -> Float:
    """Products (...) of vectors (..., n); both broadcast."""
    total = a[..., 0] * b[..., 0]
    for i in range(1, a.shape[-1]):
        total = total + a[..., i] * b[..., i]
    return np.asarray(total)


def length(a: Float) -> Float:
    """Lengths (...) of vectors (..., n)."""
    return np.asarray(np.sqrt(dot(a, a)))


def cross(a: Float, b: Float) -> Float:
    """Vectors (..., 3) at right angles to two (..., 3); both broadcast."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), dtype=np.result_type(a, b))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out
