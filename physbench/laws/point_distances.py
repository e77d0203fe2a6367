"""Distances of simulated candidates from a track, the limits that they exceed, sums of squares of fits: compiled."""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array, Mask, Whole
from physbench.world.compiled import kernel


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
    distances = np.empty((len(position), 2 * len(index)))
    for k in range(len(position)):
        for m in range(len(index)):
            for axis in range(2):
                away = (position[k, index[m], axis] - point[m, axis]) / diameter[m] * weight[m]
                if not math.isfinite(away):
                    away = -absent if away < 0 else absent
                distances[k, 2 * m + axis] = away
    return distances


@kernel("(float64[:,::1], float64[:,:,::1], float64[::1])")
def weighted_points(weight: Array, track: Array, diameter: Array) -> tuple[Whole, Array, Array, Array]:
    """The M points with a weight above 0 of weights (F, N), as `weighted_distances` takes them.

    Args:
        weight: (F, N).
        track: (F, N, 2) m.
        diameter: (N,) m.

    Returns which of F x N they are (M,), their positions (M, 2), diameters (M,) and weights (M,).
    """
    frames, count, used = weight.shape[0], weight.shape[1], 0
    for f in range(frames):
        for n in range(count):
            used += weight[f, n] > 0
    index, point, size, weights = np.empty(used, np.int64), np.empty((used, 2)), np.empty(used), np.empty(used)
    m = 0
    for f in range(frames):
        for n in range(count):
            if weight[f, n] > 0:
                index[m], size[m], weights[m] = f * count + n, diameter[n], weight[f, n]
                point[m, 0], point[m, 1] = track[f, n, 0], track[f, n, 1]
                m += 1
    return index, point, size, weights


@kernel("(float64[:,:,:,::1], float64[:,:,::1], float64[::1])")
def distances(position: Array, track: Array, diameter: Array) -> Array:
    """Distances (K, F, N) in diameters (N,) of positions (K, F, N, 2) m from a track (F, N, 2) m; NaN where one is."""
    frames, count = track.shape[0], track.shape[1]
    distance = np.empty((len(position), frames, count))
    for k in range(len(position)):
        for f in range(frames):
            for n in range(count):
                x, y = position[k, f, n, 0] - track[f, n, 0], position[k, f, n, 1] - track[f, n, 1]
                distance[k, f, n] = math.sqrt(x * x + y * y) / diameter[n]
    return distance


@kernel("(float64[:,:,::1], boolean[:,::1], float64[:,::1], int64[:,::1])")
def first_beyond(distance: Array, known: Mask, limit: Array, arcs: Whole) -> Whole:
    """First frame (K,) in which some arc exceeds its limit, or is absent at a point; F where none does.

    Args:
        distance: (K, F, N) in diameters.
        known: (F, N) where the track has a point.
        limit: (F, N) diameters.
        arcs: (C, 2) body and first frame of each arc.
    """
    first = np.full(len(distance), distance.shape[1])
    for k in range(len(distance)):
        for c in range(len(arcs)):
            n = arcs[c, 0]
            for f in range(arcs[c, 1], first[k]):
                if known[f, n] and not distance[k, f, n] <= limit[f, n]:
                    first[k] = f
                    break
    return first


@kernel("(float64[:,:,::1], boolean[:,::1], float64[:,::1], int64[:,::1], int64)")
def largest_share(distance: Array, known: Mask, limit: Array, arcs: Whole, end: int) -> Array:
    """Largest share (K,) of its limit that some arc reaches before frame `end`, infinite where it is absent at a point.

    Arguments as for `first_beyond`.
    """
    largest = np.zeros(len(distance))
    for k in range(len(distance)):
        for c in range(len(arcs)):
            n = arcs[c, 0]
            for f in range(arcs[c, 1], end):
                if known[f, n]:
                    share = distance[k, f, n] / limit[f, n]
                    largest[k] = max(largest[k], math.inf if math.isnan(share) else share)
    return largest


@kernel("(float64[:,::1], float64[:,:,::1], float64[::1])")
def cumulative_squares(away: Array, slope: Array, sd: Array) -> Array:
    """Normal equations (F + 1, p + 1, p + 1), right side in the last column, of linear fits to the first 0 to F frames.

    Args:
        away: (F, 2) m from the points.
        slope: (F, 2, p) of the numbers.
        sd: (F,) m. A frame in which anything is not finite does not count.
    """
    frames, count = len(away), slope.shape[2]
    sums, part = np.zeros((frames + 1, count + 1, count + 1)), np.empty((2, count + 1))
    for f in range(frames):
        sure, weight = True, 1 / sd[f]
        for axis in range(2):
            for i in range(count):
                sure = sure and math.isfinite(slope[f, axis, i])
                part[axis, i] = slope[f, axis, i] * weight
            sure = sure and math.isfinite(away[f, axis])
            part[axis, count] = away[f, axis] * weight
        for i in range(count + 1):
            for j in range(count + 1):
                square = part[0, i] * part[0, j] + part[1, i] * part[1, j] if sure else 0.0
                sums[f + 1, i, j] = sums[f, i, j] + square
    return sums
