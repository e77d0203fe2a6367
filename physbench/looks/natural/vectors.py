"""Products of many vectors of three numbers: NumPy's own reduce an axis of three slowly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physbench.world.geometry import rotate

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


def planes(vectors: Float) -> Float:
    """Vectors (..., 3) as (3, P), each coordinate in a row of its own: NumPy is faster along rows."""
    return np.ascontiguousarray(np.moveaxis(vectors, -1, 0)).reshape(3, -1)


def box_axes(turn: ArrayLike) -> NDArray[np.float64]:
    """The axes (3, 3) of a box that is turned by a quaternion (4,), one a row; not to be written to."""
    return _box_axes(np.asarray(turn, dtype=np.float64).tobytes())


@lru_cache(maxsize=256)
def _box_axes(turn: bytes) -> NDArray[np.float64]:
    axes = rotate(np.frombuffer(turn), np.eye(3))
    axes.flags.writeable = False
    return axes
