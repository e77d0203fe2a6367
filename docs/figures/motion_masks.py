"""Overlap of motion masks, as Physics-IQ measures it (Motamed et al. 2025, arXiv 2501.09038).

A pixel moves where a blurred grey frame is more than 10 levels away from the running mean of the frames up to it
(which takes in 0.3 of each new one); what is smaller than 5 x 5 px is opened away and gaps of that size are closed.
Three overlaps (intersection over union) of the masks of two videos: of all that ever moves (spatial), frame by frame
(spatiotemporal), and of how often each pixel moves (weighted spatial).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation, binary_erosion, correlate1d

Frames = NDArray[np.uint8]  # (T, H, W, 3)
Masks = NDArray[np.bool_]  # (T, H, W)

GREY = np.array([0.299, 0.587, 0.114])  # of red, green and blue
THRESHOLD = 10.0  # levels of 255
NEW = 0.3  # share of a new frame in the running mean
SIDE = 5  # px of the blur and of the smallest thing that moves
SIGMA = 0.3 * ((SIDE - 1) * 0.5 - 1) + 0.8  # px, that a kernel of this side stands for


def motion_masks(frames: Frames) -> Masks:
    """Where a video moves; nothing does in its first frame."""
    offsets = np.arange(SIDE) - SIDE // 2
    kernel = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    grey = np.round(frames.astype(np.float64) @ GREY)
    for axis in (1, 2):
        grey = correlate1d(grey, kernel / kernel.sum(), axis=axis, mode="mirror")
    grey = np.round(grey)
    masks = np.zeros(grey.shape, dtype=bool)
    mean, square = grey[0].copy(), np.ones((SIDE, SIDE), dtype=bool)
    for t in range(1, len(grey)):
        mean = (1 - NEW) * mean + NEW * grey[t]
        moving = np.abs(grey[t] - np.round(mean)) > THRESHOLD
        opened = binary_dilation(binary_erosion(moving, square, border_value=1), square)
        padded = np.pad(opened, SIDE)
        masks[t] = binary_closing(padded, square)[SIDE:-SIDE, SIDE:-SIDE]
    return masks


def overlaps(one: Masks, other: Masks) -> dict[str, float]:
    """The three overlaps, 0 to 1; 1 where nothing moves in either."""
    often = one.mean(axis=0), other.mean(axis=0)
    frame_by_frame = [_iou(a, b) for a, b in zip(one, other, strict=True)]
    return {
        "spatial": _iou(one.any(axis=0), other.any(axis=0)),
        "spatiotemporal": float(np.mean(frame_by_frame)),
        "weighted": _ratio(np.minimum(*often).sum(), np.maximum(*often).sum()),
    }


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return _ratio((a & b).sum(), (a | b).sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 1.0
