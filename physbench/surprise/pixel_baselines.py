"""Surprise without any knowledge of physics: what pixels, and places of colours, tell of a film.

A kind and size of violation that one of these notices asks for no understanding, so that it leaves the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from physbench.baselines.constant_velocity import decompose_context, draw_frames
from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Image
from physbench.surprise.films import WindowGrid, squared_error, targets
from physbench.track.blobs import coarse, shrink
from physbench.track.colour import Colours, colours_of
from physbench.validity.violations.lawful_effects import WHITE_LEVEL
from physbench.world.camera import pixels_per_metre
from physbench.world.drawing import apparent_radius

# How far a prediction puts the coloured bodies of a film from where they are: surprise in tracks.
#
# Bodies are told apart by hue, with the labels of the tracker; a body is where the chroma of its hue is. That is read
# in the predicted frames and in the true ones, so that a film with an impossible event needs no other knowledge than
# any film.


MOST_PLACE_ERROR = 1.0  # diameters; so much for a body that is further off, or seen in one of two frames alone


def place_error(clip: Clip, predicted: Image, true: Image) -> float:
    """Mean distance of the bodies in predicted frames (T, H, W, 3) from those in the true ones, in their diameters.

    A body that only one of two frames shows counts MOST_PLACE_ERROR, one that neither shows nothing. 0 without bodies.
    """
    bodies = clip.tracked_bodies
    if not bodies:
        return 0.0
    scale = pixels_per_metre(clip.scene.camera, clip.spec)
    diameters = np.array([2 * apparent_radius(body, clip.scene.camera) * scale for body in bodies])
    colours = colours_of(tuple(body.hue for body in bodies if body.hue is not None), torch.device("cpu"))
    # what shows less than a tenth of a body's area is not seen
    places = coloured_places(np.concatenate([predicted, true]), colours, 0.1 * np.pi / 4 * diameters**2)
    ours, theirs = places[: len(predicted)], places[len(predicted) :]
    far = np.linalg.norm(ours - theirs, axis=-1) / diameters
    seen = np.isfinite(ours[..., 0]).astype(int) + np.isfinite(theirs[..., 0])
    return float(np.mean(np.where(seen == 2, np.fmin(far, MOST_PLACE_ERROR), MOST_PLACE_ERROR * (seen == 1))))


def coloured_places(frames: Image, colours: Colours, least: Array) -> Array:
    """Places (N, K, 2) px of K hues in frames (N, H, W, 3); NaN where a hue covers less than `least` (K,) px."""
    small, factor = shrink(torch.from_numpy(np.ascontiguousarray(frames)))
    maps = coarse(small, colours)
    factor *= maps.factor
    pooled = maps.pooled.to(torch.float64)
    chroma = pooled.amax(-1) - pooled.amin(-1)
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in chroma.shape[1:])
    places = np.full((len(frames), colours.count, 2), np.nan)
    for k in range(colours.count):
        here = maps.labels == 1 << k
        weight = chroma * here
        total = weight.sum((1, 2)).clamp(min=1e-9)
        middle = torch.stack([(weight.sum(1) @ columns) / total, (weight.sum(2) @ rows) / total], dim=-1) * factor
        seen = (here.sum((1, 2)) * factor**2).numpy() >= least[k]
        places[seen, k] = middle.numpy()[seen]
    return places


PixelSurprise = Callable[[Image, WindowGrid, int], float]  # film (T, H, W, 3), windows, number of one -> its surprise

SPRITE_FRAMES = 8  # from which the objects of `constant-velocity` and their speeds are taken


def frozen_frame(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of the last frame shown, repeated."""
    return squared_error(frames[int(grid.starts[number])][None], targets(frames, grid, number))


def frame_difference(frames: Image, grid: WindowGrid, number: int) -> float:
    """Difference of each frame from the one before it."""
    start = int(grid.starts[number])
    return squared_error(frames[start : start + grid.ahead], targets(frames, grid, number))


def optical_flow(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of the last frame, moved on along the optical flow between the last two."""
    from skimage.registration import optical_flow_ilk

    start = int(grid.starts[number])
    if start == 0:
        return frozen_frame(frames, grid, number)
    last = frames[start].astype(np.float32) / WHITE_LEVEL
    before = frames[start - 1].astype(np.float32) / WHITE_LEVEL
    backwards = optical_flow_ilk(  # type: ignore[no-untyped-call]
        last.mean(-1),
        before.mean(-1),
        radius=5,  # px
        num_warp=4,  # iterations on each level of the pyramid
    )
    flow = np.asarray(backwards)  # (2, H, W) px, backwards
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
