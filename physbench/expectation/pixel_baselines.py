"""Surprise without any knowledge of physics: what pixels alone tell of a film.

A kind and size of violation that one of these notices asks for no understanding, so that it leaves the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.constant_velocity import decompose_context, draw_frames
from physbench.expectation.film_windows import WindowGrid, squared_error, targets
from physbench.validation.violations.lawful_effects import WHITE_LEVEL

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
PixelSurprise = Callable[[Image, WindowGrid, int], float]  # film (T, H, W, 3), windows, number of one -> its surprise

SPRITE_FRAMES = 8  # from which the objects of `constant-velocity` and their speeds are taken
FLOW_RADIUS = 5  # px
FLOW_WARPS = 4  # iterations on each level of the pyramid


def frozen_frame(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of the last frame shown, repeated."""
    return squared_error(frames[int(grid.starts[number])][None], targets(frames, grid, number))


def frame_difference(frames: Image, grid: WindowGrid, number: int) -> float:
    """How much each frame differs from the one before it."""
    start = int(grid.starts[number])
    return squared_error(frames[start : start + grid.ahead], targets(frames, grid, number))


def optical_flow(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of the last frame, moved on along the optical flow between the last two."""
    from scipy.ndimage import map_coordinates
    from skimage.registration import optical_flow_ilk

    start = int(grid.starts[number])
    if start == 0:
        return frozen_frame(frames, grid, number)
    last = frames[start].astype(np.float32) / WHITE_LEVEL
    before = frames[start - 1].astype(np.float32) / WHITE_LEVEL
    found = optical_flow_ilk(  # type: ignore[no-untyped-call]
        last.mean(-1), before.mean(-1), radius=FLOW_RADIUS, num_warp=FLOW_WARPS
    )
    flow = np.asarray(found)  # (2, H, W) px, backwards
    places = np.stack(np.meshgrid(*map(np.arange, last.shape[:2]), indexing="ij"))
    predicted = [
        np.stack(
            [map_coordinates(last[..., c], places + step * flow, order=1, mode="nearest") for c in range(3)], axis=-1
        )
        for step in range(1, grid.ahead + 1)
    ]
    return squared_error(WHITE_LEVEL * np.stack(predicted), targets(frames, grid, number))


def straight_lines(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of coloured objects that go on in straight lines, as `baseline:constant-velocity` draws them."""
    start = int(grid.starts[number])
    shown = frames[max(start + 1 - SPRITE_FRAMES, 0) : start + 1].astype(np.float32) / WHITE_LEVEL
    predicted = draw_frames(*decompose_context(shown), np.arange(1, grid.ahead + 1))
    return squared_error(WHITE_LEVEL * predicted.astype(np.float64), targets(frames, grid, number))


PIXEL_BASELINES: Mapping[str, PixelSurprise] = {
    "frozen frame": frozen_frame,
    "frame difference": frame_difference,
    "optical flow": optical_flow,
    "constant velocity": straight_lines,
}


def pixel_series(
    frames: Image, grid: WindowGrid, first: int = 0, shared: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Surprise (N,) of every pixel baseline in the windows of a film.

    Args:
        frames: The film (T, H, W, 3).
        grid: Its N windows.
        first: Index of the first frame that differs from the film of `shared`.
        shared: The same of a film that is identical before `first`: those windows are not computed again.
    """
    result = {}
    same = grid.unaffected(first)
    for name, surprise in PIXEL_BASELINES.items():
        values = np.empty(len(grid.starts))
        for number in range(len(values)):
            known = shared is not None and same[number]
            values[number] = shared[name][number] if shared and known else surprise(frames, grid, number)
        result[name] = values
    return result
