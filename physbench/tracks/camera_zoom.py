"""How much a camera zooms, from the sizes of all bodies together.

A floor, a lone wall or a star shows no zoom by itself: what moves its edge may be a shift. Bodies do: a camera that
moves in makes all of them larger by one factor, and takes what stands still away from the middle of the picture. Where
bodies disagree, or scenery stays where it is, it is the bodies that grow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.visibility import FULL_VIEW

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

WHOLE_SIZE = (0.5, 2.0)  # of an object's area; sizes of others tell no zoom
SMOOTH_TIME = 0.5  # s over which a zoom is even
LEAST_FRAMES = 4  # with the size of a body, that tell its own
LATEST = 1.0  # s after the hand-over by which a body must be seen, to tell its own size
OUTLIER = 0.01  # of a size; sizes that are further off count in proportion less
LEAST_ZOOM = 0.02  # largest zoom of a clip, where bodies are seen, below which there is none
MOST_APART = 0.4  # of a zoom by which bodies may differ from each other, on average
APART_ANYWAY = 0.008  # the same, however small the zoom is
TELLING = 0.3  # px; what a zoom moves by less does not tell it
EXPLAINED = 0.5  # of the way that scenery is off, that a zoom must leave at most


def growth(clip: Clip, area: Float, cut: Mask) -> Float:
    """How much larger (N, K) bodies are seen than they are, in length; NaN where they are not seen whole.

    area (N, K) px of the predicted frames; cut (N, K): by the border of the picture.
    """
    window = slice(clip.handover + 1, clip.handover + 1 + len(area))
    whole = np.maximum(clip.full_area[window][:, list(clip.tracked)].astype(np.float64), 1.0)
    ratio = area / whole
    known = (clip.visible_share()[window] > FULL_VIEW) & (ratio > WHOLE_SIZE[0]) & (ratio < WHOLE_SIZE[1]) & ~cut
    return np.where(known, np.sqrt(np.where(known, ratio, 1.0)), np.nan)


def common_growth(grown: Float, fps: float) -> tuple[Float, int]:
    """Zoom (N,) that all bodies (N, K) share, smooth in time, and how many of them show it.

    0 where they disagree, or too little shows one. How large a style draws a body is its own from the start, and no
    zoom.
    """
    none = np.zeros(len(grown)), 0
    told = [
        own - _smooth(own, fps)[0]
        for own in np.log(grown).T
        if np.isfinite(own).sum() >= LEAST_FRAMES and np.argmax(np.isfinite(own)) < LATEST * fps
    ]
    if not told:
        return none
    bodies = np.array(told)
    known, shared = np.isfinite(bodies), np.full(len(grown), np.nan)
    some = known.any(axis=0)
    shared[some] = np.nanmedian(bodies[:, some], axis=0)
    smooth = _smooth(shared, fps)
    smooth = smooth - smooth[0]
    if np.abs(smooth[some]).max() < LEAST_ZOOM:
        return none
    for own, at in zip(bodies, known, strict=True):
        apart = np.abs(_smooth(own, fps) - smooth)[at].mean()
        if apart > max(APART_ANYWAY, MOST_APART * np.abs(smooth[at]).mean()):
            return none
    return np.expm1(smooth), int((known[:, np.abs(smooth) >= LEAST_ZOOM].sum(axis=1) >= LEAST_FRAMES).sum())


def _smooth(values: Float, fps: float) -> Float:
    """Values (N,) along a curve that bends little (Whittaker 1923), straight where nothing is known."""
    known = np.isfinite(values)
    shown, weight = np.where(known, values, 0.0), known.astype(np.float64)
    bend = np.diff(np.eye(len(values)), 2, axis=0)
    stiff = (SMOOTH_TIME * fps) ** 4 * bend.T @ bend + 1e-9 * np.eye(len(values))
    found = shown
    for _ in range(3):
        found = np.linalg.solve(np.diag(weight) + stiff, weight * shown)
        weight = known * OUTLIER / np.maximum(np.abs(shown - found), OUTLIER)
    return found


def is_shown(off: Float, expected: Float, otherwise: bool) -> bool:
    """Whether what stands still tells a zoom: it is off (M,) px as the zoom expects (M,), and not where it was.

    NaN in `off`: not seen. otherwise: the answer where nothing that stands still could tell.
    """
    telling = np.isfinite(off) & (np.abs(expected) > TELLING)
    if not telling.any():
        return otherwise
    return bool(np.abs(off - expected)[telling].sum() < EXPLAINED * np.abs(off)[telling].sum())
