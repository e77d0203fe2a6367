"""Finds surfaces: the outlines of everything that differs from the commonest grey of a background.

Generic image processing. A surface point lies between two neighbouring pixels where the difference from the commonest
grey crosses a threshold, located to a fraction of a pixel. The effect of a surface on objects is learned elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, sobel

FAR = 1e4  # px, coordinates of unused rows in a table of points
MAX_POINTS = 320  # of one background
SURFACE_COLUMNS = 6
MAX_DEPTH = 10  # px; depths behind an outline are measured up to this
CONTRAST_DEPTH = 2.0  # px inwards in which the contrast is measured
NEIGHBOUR_DISTANCE = 2.5  # px; the points around one that give the direction of its edge
LINE_TOLERANCE = 0.12  # px; largest rms distance of these points from a line
MAX_EDGE_GAP = 6  # px; an edge that ends nearer to an occluder continues behind it
MAX_EXTENSION = 48  # px by which an edge is continued

Array = NDArray[np.float32]


def outline(
    background: Array, threshold: float, hidden: NDArray[np.bool_] | None = None, most: int = MAX_POINTS
) -> Array:
    """Find the surface points of a background.

    Args:
        background: Grey (H, W) 0..1.
        threshold: Smallest difference from the commonest grey.
        hidden: Where occluders are (H, W). Edges that lead behind them are continued there, straight.
        most: Number of rows.

    Returns:
        (most, 6): x, y in px (pixel centres at +0.5), outward normal x, y, contrast and depth in px. Unused rows have
        x = y = FAR. The contrast, positive for lighter surfaces, is the largest difference from the commonest grey
        within CONTRAST_DEPTH inwards, so that blurred rims do not count. The depth is at most MAX_DEPTH.
    """
    commonest = np.median(background)
    contrast = np.abs(background - commonest)
    inside = contrast - threshold
    smooth = gaussian_filter(np.minimum(contrast, 2 * threshold), 1.0)
    slope = np.stack([sobel(smooth, axis=1), sobel(smooth, axis=0)], axis=-1)  # (H, W, 2), towards the surface
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
        found.append(
            np.column_stack([x, y, normal, *contrast_and_depth(background - commonest, x, y, normal, threshold)])
        )
    points = np.concatenate(found)
    if hidden is not None and hidden.any():
        points = np.concatenate([points, extended_edges(points, hidden)])
    if len(points) > most:
        points = points[np.linspace(0, len(points) - 1, most).astype(int)]
    table = np.full((most, SURFACE_COLUMNS), 0.0, dtype=np.float32)
    table[:, :2] = FAR
    table[:, 3] = 1.0
    table[: len(points)] = points
    return table


def contrast_and_depth(
    difference: Array, x: NDArray[np.float64], y: NDArray[np.float64], normal: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contrast and depth in px, (P,) each, inwards of points x, y (P,) with outward normals (P, 2)."""
    inwards = np.arange(0.5, MAX_DEPTH + 1, 0.5)  # px
    at_x, at_y = (along[:, None] - inwards * normal[:, axis, None] for axis, along in enumerate((x, y)))
    seen = map_coordinates(difference, [at_y - 0.5, at_x - 0.5], order=1, mode="nearest")  # (P, steps)
    near = seen[:, inwards <= CONTRAST_DEPTH]
    contrast = near[np.arange(len(near)), np.abs(near).argmax(1)]
    height, width = difference.shape
    inside = (at_x > 0) & (at_x < width) & (at_y > 0) & (at_y < height)
    same = inside & (seen * np.sign(contrast)[:, None] > threshold)
    return contrast, np.logical_and.accumulate(same[:, 1:], axis=1).sum(1) / 2


def extended_edges(points: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points (P, 6) -> further points on the same edges, behind occluders (H, W).

    The direction of an edge is the line through neighbouring points, if they lie on one; at a corner they do not.
    """
    height, width = hidden.shape

    def within(position: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y = np.floor(position[..., 0]).astype(int), np.floor(position[..., 1]).astype(int)
        image = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        found: NDArray[np.bool_] = image & hidden[y.clip(0, height - 1), x.clip(0, width - 1)]
        return found

    apart = points[None, :, :2] - points[:, None, :2]  # (P, P, 2)
    near = np.hypot(apart[..., 0], apart[..., 1]) < NEIGHBOUR_DISTANCE
    count = np.maximum(near.sum(1), 1)[:, None]
    mean = (near[..., None] * apart).sum(1) / count
    centred = near[..., None] * (apart - mean[:, None])
    spread, axes = np.linalg.eigh(np.einsum("pqi,pqj->pij", centred, centred) / count[..., None])
    straight = (np.sqrt(np.maximum(spread[:, 0], 0)) < LINE_TOLERANCE) & (spread[:, 1] > 1.0)
    clean, along, middle = points[straight], axes[straight, :, 1], (points[:, :2] + mean)[straight]
    outward = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    outward *= np.sign((outward * clean[:, 2:4]).sum(-1, keepdims=True))
    steps = np.arange(1.0, MAX_EXTENSION + 1)
    more = []
    for side in (1.0, -1.0):
        line = middle[:, None] + side * steps[:, None] * along[:, None]  # (P, steps, 2)
        occluded: Any = within(line)
        left = np.cumsum((np.cumsum(occluded, axis=1) > 0) & ~occluded, axis=1) > 0
        use = occluded & ~left & occluded[:, :MAX_EDGE_GAP].any(axis=1)[:, None]
        rest = np.concatenate([outward, clean[:, 4:]], axis=-1)[:, None]
        more.append(np.concatenate([line, np.broadcast_to(rest, (*line.shape[:2], rest.shape[-1]))], axis=-1)[use])
    found = np.concatenate(more)
    # Several points of one edge have the same continuation: one point for each pixel and direction is enough.
    keys = np.column_stack([np.floor(found[:, :2]), np.round(found[:, 2:4] * 4)])
    return found[np.unique(keys, axis=0, return_index=True)[1]]
