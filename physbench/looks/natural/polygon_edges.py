"""What Lambert's sum over the edges of a polygon needs of each edge, compiled: it is most of the work on shadows.

NumPy takes the arc tangents: those of the C library, which compiled code would call, differ in the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.world.compiled import kernel

Array = NDArray[np.floating]


@kernel("(float32[:,::1], float32[:,::1], float32[:,::1], float32, float32[:,:,::1])")
def edge_terms(corners: Array, points: Array, normals: Array, least: np.floating, terms: Array) -> None:
    """Write the terms (3, K, P) of K edges: sine and cosine of the angle at a point, and the part of its axis.

    That part is along the normal (3, P) of the point (3, P), times the sine. All of one type, which may be that of
    double numbers, too.

    Args:
        corners: (K, 3) m; edge k runs from corner k to the next.
        points: (3, P) m.
        normals: (3, P).
        least: m, distance that a corner has at least.
        terms: Is written to.
    """
    for k in range(len(corners)):
        begin, end = corners[k], corners[(k + 1) % len(corners)]
        for i in range(points.shape[1]):
            ax, ay, az = begin[0] - points[0, i], begin[1] - points[1, i], begin[2] - points[2, i]
            distance = np.sqrt(ax * ax + ay * ay + az * az)
            distance = distance if distance > least else least
            ax, ay, az = ax / distance, ay / distance, az / distance
            bx, by, bz = end[0] - points[0, i], end[1] - points[1, i], end[2] - points[2, i]
            distance = np.sqrt(bx * bx + by * by + bz * bz)
            distance = distance if distance > least else least
            bx, by, bz = bx / distance, by / distance, bz / distance
            x, y, z = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
            terms[0, k, i] = np.sqrt(x * x + y * y + z * z)
            terms[1, k, i] = ax * bx + ay * by + az * bz
            terms[2, k, i] = x * normals[0, i] + y * normals[1, i] + z * normals[2, i]
