"""How far simulated candidates are from given points: the residuals of a fit, compiled."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physbench.world.compiled import kernel

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@kernel("(float64[:,:,::1], int64[::1], float64[:,::1], float64[::1], float64[::1], float64)")
def weighted_distances(
    position: Array, index: Whole, point: Array, diameter: Array, weight: Array, absent: float
) -> Array:
    """Distances (K, 2 M) along both axes from M points, in diameters times weights.

    Args:
        position: (K, P, 2) m of candidates, NaN where there is none.
        index: (M,) which of the P belong to the points.
        point: (M, 2) m.
        diameter: (M,) m.
        weight: (M,).
        absent: What a distance is that is not finite, with its sign.
    """
    found = np.empty((len(position), 2 * len(index)))
    for k in range(len(position)):
        for m in range(len(index)):
            for axis in range(2):
                away = (position[k, index[m], axis] - point[m, axis]) / diameter[m] * weight[m]
                if not math.isfinite(away):
                    away = -absent if away < 0 else absent
                found[k, 2 * m + axis] = away
    return found
