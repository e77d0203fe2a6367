"""What the context shows at rest in a hue and nobody tracks: pebbles, leaves and toys on a photographed ground.

It is background, as greys are: a prediction may keep it where it is, and need not. What moves, or appears elsewhere, is
no background any more. Labels are bits, see physbench.tracks.colour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from physbench.tracks.colour import UNKNOWN_HUE
from physbench.tracks.masks import dilated

Labels = NDArray[np.uint8]
Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

ALWAYS = 0.9  # share of the context frames in which what is at rest has its label
STILL_SHARE = 0.5  # of a blob's area that never moves; less is a body on its way
BODY_SHARE = 0.3  # of what should be seen of an object; a further blob of its hue that is as large may be it
MOST_PIECES = 1.1  # of what should be seen of an object, that its pieces have together
REACH = 1  # px of the small maps by which a picture may blur or shake it


def background(labels: Labels, visible: Float, factor: int) -> Labels:
    """Bits (h, w) of the labels that are background there, of label maps (C, h, w) of the context frames.

    visible (C, K): px of the frames that should be seen of each object. Of its hue the blob that moves is the object,
    else the one whose area is nearest to what should be seen, with what touches it; all others are background.
    """
    found = np.zeros(labels.shape[1:], dtype=np.uint8)
    if not len(labels):
        return found
    for k in range(visible.shape[1] + 1):
        bit = np.uint8(1 << k) if k < visible.shape[1] else np.uint8(UNKNOWN_HUE)
        shown = (labels & bit) > 0
        still = shown.mean(axis=0) >= ALWAYS
        if not still.any():
            continue
        own = np.zeros_like(still) if bit == UNKNOWN_HUE else _own(shown, still, visible[:, k] / factor**2)
        found[dilated((still & ~own)[None], REACH)[0] & ~own] |= bit
    return found


def _own(shown: Mask, still: Mask, visible: Float) -> Mask:
    """Where (h, w) a hue at rest is the object's, of places (C, h, w) with that hue; visible (C,) px of the maps."""
    if not visible.any():
        return np.zeros_like(still)
    numbers = _numbered(still)
    if numbers.max() == 1 and all(_numbered(frame).max() <= 1 for frame in shown):
        return still
    blobs = [_numbered(frame) for frame in shown]
    wanted = float(np.median(visible[visible > 0]))
    at_rest = []
    for number in range(1, numbers.max() + 1):
        part = numbers == number
        # Least, as a body of the same hue may pass over it.
        area = float(min(np.isin(frame, np.unique(frame[part & (frame > 0)])).sum() for frame in blobs))
        if part.sum() < STILL_SHARE * area:
            return np.asarray(part)  # it moves slowly: this is the object
        at_rest.append((abs(area - wanted), number, area))
    elsewhere = (shown & ~dilated(still[None], REACH)[0]).sum(axis=(1, 2))
    if (elsewhere >= BODY_SHARE * np.maximum(visible, 1.0)).mean() >= 0.5:
        return np.zeros_like(still)  # it moves
    _, main, total = min(at_rest)
    own, middle = [main], np.argwhere(numbers == main).mean(axis=0)
    away = {number: np.linalg.norm(np.argwhere(numbers == number).mean(axis=0) - middle) for _, number, _ in at_rest}
    for _, number, area in sorted(at_rest, key=lambda each: away[each[1]])[1:]:
        if total + area > MOST_PIECES * wanted:
            break
        own.append(number)  # a further piece of it, where something stands before it and parts it
        total += area
    return np.isin(numbers, own)


def _numbered(mask: Mask) -> NDArray[np.int64]:
    """Numbers from 1 on of connected places of a mask (h, w), 0 elsewhere."""
    found: NDArray[np.int64] = measure.label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    return found
