"""By how much a predicted picture as a whole is off, from what stands still: floors, walls, ramps, screens, stars.

A camera that trembles by parts of a pixel moves every body alike, and is no motion of theirs. Scenery is where ground
truth never changes and no moving body's hue is. Across an edge of contrast c the sum of a picture's values changes by c
times its shift, however sharp or blurred the edge is: the sums are taken with weights that are wide and flat across
edges (instrumental variables). Brightness and contrast of a frame are found with the shift. Where nothing shows a shift
along an axis, or it explains little of what differs, it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

Float = NDArray[np.floating]
Image = NDArray[np.uint8]

STILL = 6  # levels by which scenery may differ between frames of ground truth
SLOPE = 1.5  # levels per px, of a smoothed picture; less is no edge
WIDE = 5  # px across an edge that are summed
COVER_CHROMA = 15.0  # levels of max - min by which a pixel differs from the scenery where a body covers it
OUTLIER = 30.0  # levels from the scenery, and what its edge makes of 2 px; such a pixel shows something else
MOST_SHIFT = 1.5  # px; a larger one is no inaccuracy of drawing
LEAST_EDGES = 400.0  # levels^2 of slopes summed over an axis; the shift along one with fewer is not known
LEAST_GAIN = 0.25  # of what differs from the scenery that a shift must explain
ROUNDING2 = 0.1  # levels^2 of it that rounding makes
LEAST_REST2 = 0.3  # levels^2; less differs by no shift that matters
LEAST_TONE = 0.3  # of a frame against ground truth; below, a picture shows something else
LEAST_PIXELS = 40  # of scenery near edges that are not covered
SHIFT_STEP = 0.001  # px
PASSES = 2  # the second leaves out what the first could not explain
MOST_PIXELS = 800
SCENERY_TILE = 16  # px; scenery is taken in such squares, so that edges stay whole


@dataclass(frozen=True, eq=False)
class Scenery:
    """The Q pixels near edges of what stands still."""

    at: NDArray[np.intp]  # (Q,) of a flat picture
    value: Float  # (3, Q) float32 levels
    slopes: Float  # (3, Q, 2) levels per px along x and y
    wide: Float  # (3, Q, 2) the same, smoothed


def scenery(truth: Image, moving: NDArray[np.bool_]) -> Scenery | None:
    """Scenery of true frames (T, H, W, 3), or None without any; moving (H, W): where a body is that may move."""
    still = truth.max(0).astype(np.int16) - truth.min(0) <= STILL
    still_here = still[..., 0] & still[..., 1] & still[..., 2] & ~moving
    picture = truth[-1].astype(np.float32)
    slopes = np.stack([np.gradient(picture, axis=1), np.gradient(picture, axis=0)], axis=-1)  # (H, W, 3, 2)
    wide = uniform_filter(slopes, (WIDE, WIDE, 1, 1), mode="nearest")
    known = ~maximum_filter(~still_here, WIDE)  # all that an edge's sum reads stands still
    known[: WIDE // 2], known[-(WIDE // 2) :] = False, False
    known[:, : WIDE // 2], known[:, -(WIDE // 2) :] = False, False
    strong = np.abs(wide) >= SLOPE
    edge = np.logical_or.reduce([strong[..., c, i] for c in range(3) for i in range(2)])  # faster than over short axes
    near = maximum_filter(edge, 3) & known
    at = np.flatnonzero(near)
    if len(at) < LEAST_PIXELS:
        return None
    at = _best_tiles(at, np.abs(wide).max(2).reshape(-1, 2)[at], picture.shape[1])
    parts = (picture.reshape(-1, 3), slopes.reshape(-1, 3, 2), wide.reshape(-1, 3, 2))
    return Scenery(at, *(np.swapaxes(part[at], 0, 1).astype(np.float32) for part in parts))


def _best_tiles(at: NDArray[np.intp], edges: Float, width: int) -> NDArray[np.intp]:
    """Of pixels at flat places those in squares that show most of either axis, MOST_PIXELS or a few more."""
    if len(at) <= MOST_PIXELS:
        return at
    row, column = np.divmod(at, width)
    tile = row // SCENERY_TILE * (width // SCENERY_TILE + 1) + column // SCENERY_TILE
    found, number = np.unique(tile, return_inverse=True)
    of_tile = np.stack([np.bincount(number, edges[:, axis]) for axis in (0, 1)])
    order = np.argsort(np.argsort(-of_tile, axis=1, kind="stable"), axis=1).min(0)  # the better rank of both axes
    ranked = np.argsort(order, kind="stable")
    enough = np.searchsorted(np.cumsum(np.bincount(number)[ranked]), MOST_PIXELS) + 1
    return at[np.isin(tile, found[ranked[:enough]])]


def shifts(pixels: Image, still: Scenery) -> NDArray[np.float64]:
    """Shifts (N, 2) px, x and y, of pictures against the scenery, from its pixels (N, Q, 3) in them.

    0 where they cannot be told.
    """
    values = np.ascontiguousarray(pixels.transpose(0, 2, 1), dtype=np.float32)  # (N, 3, Q)
    own = _spread(still.value)
    free = (np.abs(_spread(values.swapaxes(0, 1)) - own) < COVER_CHROMA + 0.5 * own).astype(np.float32)
    limit = OUTLIER + 2.0 * np.abs(still.wide).max((0, 2))
    for _ in range(PASSES):
        tone, rest = _fit(values, still, free, 4)
        before = _square(rest, free)
        tone, rest = _fit(values, still, free, 6)
        gain = 1 - (_square(rest, free) - ROUNDING2) / np.maximum(before - ROUNDING2, 1e-9)
        far = np.abs(rest).swapaxes(0, 1)
        kept, free = free.sum(1), free * (np.maximum(np.maximum(far[0], far[1]), far[2]) < limit)
    found = tone[:, 4:] / np.where(np.abs(tone[:, :1]) > LEAST_TONE, tone[:, :1], np.inf)
    told = (np.abs(found).max(1) <= MOST_SHIFT) & (kept >= LEAST_PIXELS) & (gain > LEAST_GAIN) & (before > LEAST_REST2)
    return np.asarray(np.where(told[:, None], np.round(found / SHIFT_STEP) * SHIFT_STEP, 0.0))


def _spread(values: Float) -> Float:
    """Largest less smallest of three colours (3, ...)."""
    most = np.maximum(np.maximum(values[0], values[1]), values[2])
    return np.asarray(most - np.minimum(np.minimum(values[0], values[1]), values[2]))


def _square(rest: Float, free: Float) -> NDArray[np.float64]:
    """Mean square (N,) of what is left (N, 3, Q) in free pixels (N, Q)."""
    total = np.einsum("ncq,ncq,nq->n", rest, rest, free)
    return np.asarray(total / np.maximum(3 * free.sum(1), 1.0), dtype=np.float64)


def _fit(values: Float, still: Scenery, free: Float, count: int) -> tuple[NDArray[np.float64], Float]:
    """Contrast, three levels and, with a `count` of 6, shift times contrast: (N, count); and what is left (N, 3, Q).

    A picture that is off by d falls short of the scenery by its slopes times d. Wide slopes are the instruments of
    slopes; the others are their own.
    """
    pixels = len(still.at)
    colour = np.repeat(np.eye(3, dtype=np.float32)[:, None], pixels, axis=1)
    model = np.concatenate([still.value[..., None], colour, -still.slopes], axis=-1)[..., :count]
    instruments = np.concatenate([still.value[..., None], colour, -still.wide], axis=-1)[..., :count]
    products = np.einsum("cqi,cqj->qij", instruments, model).reshape(pixels, -1)
    # Not by BLAS, whose sums may depend on its number of threads: scores are the same bytes with any number of workers.
    matrix = np.einsum("nq,qk->nk", free, products).astype(np.float64).reshape(-1, count, count)
    matrix += np.diag([1e-3] * 4 + [LEAST_EDGES] * 2)[:count, :count]
    seen = np.einsum("ncq,cqk->nk", values * free[:, None], instruments)
    found = np.linalg.solve(matrix, seen.astype(np.float64)[..., None])[..., 0]
    rest = np.einsum("nk,cqk->ncq", found.astype(np.float32), model) - values
    return found, rest
