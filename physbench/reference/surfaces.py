"""The outline of whatever differs from the commonest grey of a background picture: generic image processing.

A surface point is a place between two neighbouring pixels where the picture leaves its commonest grey by more than a
threshold, found to a fraction of a pixel. What a surface does to an object is learned; that it is there is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, sobel

FAR = 1e4  # px, where the unused rows of a table of points lie
MOST = 256  # points kept of one picture
COLUMNS = 5


def outline(background: NDArray[np.float32], threshold: float, most: int = MOST) -> NDArray[np.float32]:
    """Grey picture (H, W) 0..1 -> surface points (most, 5): x, y px, outward normal x, y, contrast of what is behind.

    Pixel coordinates are continuous, centres at +0.5. Rows without a point lie FAR away. The contrast is the largest
    difference from the commonest grey within two pixels, so that the blurred rim of a dark thing is not taken for a
    lighter one.
    """
    commonest = np.median(background)
    contrast = np.abs(background - commonest)
    inside = contrast - threshold
    smooth = gaussian_filter(np.minimum(contrast, 2 * threshold), 1.0)
    slope = np.stack([sobel(smooth, axis=1), sobel(smooth, axis=0)], axis=-1)  # (H, W, 2), towards the surface
    strongest = maximum_filter(contrast, size=5)
    found = []
    for axis in (0, 1):
        near = np.take(inside, range(inside.shape[axis] - 1), axis)
        next_to = np.take(inside, range(1, inside.shape[axis]), axis)
        row, column = np.nonzero((near > 0) != (next_to > 0))
        share = near[row, column] / (near[row, column] - next_to[row, column])
        y, x = row + 0.5 + share * (axis == 0), column + 0.5 + share * (axis == 1)
        pixel = np.minimum(y.astype(int), inside.shape[0] - 1), np.minimum(x.astype(int), inside.shape[1] - 1)
        normal = -slope[pixel]
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        found.append(np.column_stack([x, y, normal, strongest[pixel]]))
    points = np.concatenate(found)
    if len(points) > most:
        points = points[np.linspace(0, len(points) - 1, most).astype(int)]
    table = np.full((most, COLUMNS), 0.0, dtype=np.float32)
    table[:, :2] = FAR
    table[:, 3] = 1.0
    table[: len(points)] = points
    return table
