"""Resamples videos in space: undoes how frames were fitted into another shape, and averages to the scored size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from physbench.clips.conditioning import Fit

MAX_SHORT_SIDE_PX = 256  # bodies then are at least 20 px wide; more pixels only cost time and memory
ASPECT_TOLERANCE = 0.005  # relative difference of width / height that rounding to whole px explains


def scored_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) px at which frames of the exported size are scored: a whole fraction of the shorter side."""
    short = min(height, width)
    side = round(short / -(-short // MAX_SHORT_SIDE_PX))
    return (side, round(width * side / short)) if height <= width else (round(height * side / short), side)


def same_shape(asked: tuple[int, int], got: tuple[int, int], pixel_aspect: float = 1.0) -> bool:
    """Whether two sizes (height, width) have the same aspect ratio, up to rounding to whole pixels.

    `pixel_aspect` is the width by the height of the pixels of `got`.
    """
    ratio = (got[1] * pixel_aspect / got[0]) / (asked[1] / asked[0])
    pixel = 1.0 / min(*asked, *got)
    return abs(ratio - 1) <= max(ASPECT_TOLERANCE, pixel)


@dataclass(frozen=True, eq=False)
class Resampler:
    """Resamples frames of one size to the scored size by averaging over the area of each pixel."""

    rows: sparse.csr_array | None  # weights (h, H); None: the frames stay as they are
    columns: sparse.csr_array | None  # weights (w, W)
    covered: bool  # whether the video shows all of the square window
    shown: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None  # (h,), (w,) what the video shows; None: all

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frame (H, W, 3) -> (h, w, 3)."""
        if self.rows is None or self.columns is None:
            return frame
        height, width, _ = frame.shape
        h, w = self.rows.shape[0], self.columns.shape[0]
        narrow = (self.rows @ frame.reshape(height, width * 3).astype(np.float32)).reshape(h, width, 3)
        turned = np.ascontiguousarray(narrow.transpose(1, 0, 2)).reshape(width, h * 3)
        small = (self.columns @ turned).reshape(w, h, 3).transpose(1, 0, 2)
        result: NDArray[np.uint8] = np.clip(np.rint(small), 0, 255).astype(np.uint8)
        return result

    def inside(self, height: int, width: int) -> NDArray[np.bool_]:
        """(h, w) which pixels of the result show the picture, for frames of a size; the others repeat its edge."""
        if self.shown is None:
            return np.ones((height, width), dtype=np.bool_)
        return self.shown[0][:, None] & self.shown[1]


def make_resampler(
    asked: tuple[int, int], got: tuple[int, int], scored: tuple[int, int], fit: Fit | None, pixel_aspect: float = 1.0
) -> Resampler:
    """Make the resampler for videos of one size.

    Args:
        asked: (height, width) px of the export.
        got: (height, width) px of the video.
        scored: (height, width) px of the frames that are scored.
        fit: How the picture was fitted into the video, if the shapes differ.
        pixel_aspect: Width by height of the video's pixels.
    """
    if asked == got == scored and (pixel_aspect == 1 or fit in (None, "stretch")):
        return Resampler(None, None, True)
    scales = got[0] / asked[0], got[1] / asked[1]  # px of the video by px of the export
    if fit in ("contain", "cover"):
        scale = (min if fit == "contain" else max)(scales[0], scales[1] * pixel_aspect)
        scales = scale, scale / pixel_aspect
    shrink = min(asked) / min(scored)  # exported px in one scored px
    matrices, shown, covered = [], [], True
    for axis in (0, 1):
        # Scored pixel j covers [edge[j], edge[j + 1]] in the video; the centre stays the centre.
        edges = (np.arange(scored[axis] + 1) - scored[axis] / 2) * shrink * scales[axis] + got[axis] / 2
        margin = max((got[axis] - asked[axis] * scales[axis]) / 2, 0.0)  # px, width of a bar at either end
        matrices.append(_averaging_weights(edges, got[axis], margin))
        centres = (edges[1:] + edges[:-1]) / 2
        shown.append((centres >= margin) & (centres <= got[axis] - margin))
        covered &= min(asked) * scales[axis] <= got[axis] * (1 + ASPECT_TOLERANCE)
    return Resampler(matrices[0], matrices[1], covered, (shown[0], shown[1]))


def _averaging_weights(edges: NDArray[np.floating], length: int, margin: float) -> sparse.csr_array:
    """Weights (n, length) that average over [edges[j], edges[j + 1]]. Outside of the picture its edge is repeated.

    Pixels that a bar of `margin` px at either end touches count as outside. An interval shorter than a pixel is widened
    to one pixel, which is linear interpolation.
    """
    first = int(np.ceil(margin - 1e-6))
    last = max(length - 1 - first, first)
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.maximum(np.diff(edges), 1.0)
    rows, columns, weights = [], [], []
    for row, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        low, high = centre - width / 2, centre + width / 2
        pixels = np.arange(int(np.floor(low)), int(np.ceil(high)))
        share = np.minimum(pixels + 1, high) - np.maximum(pixels, low)
        rows.append(np.full(len(pixels), row))
        columns.append(np.clip(pixels, first, last))
        weights.append(share / share.sum())
    entries = (np.concatenate(weights).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_array(entries, shape=(len(centres), length)).tocsr()  # weights of the same element are added
