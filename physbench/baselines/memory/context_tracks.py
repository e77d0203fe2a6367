"""What is seen in the pixels of a context: coloured objects with their tracks, and the greys behind them.

The tracker reads a clip for what the objects look like. Here that is a stand-in made of the pixels: one body for each
hue that is found, of the area that is found, as a ball where the outline is round and as a box elsewhere. It has no
positions, no laws and no future.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.constant_velocity import Sprite, decompose_context, hue_angle
from physbench.baselines.memory.recorded_motion import GREY_SIDE
from physbench.clips.clip import Clip, Row
from physbench.tracks.tracker import track
from physbench.world.camera import pixels_per_metre
from physbench.world.scene import PALETTE, Body, Camera, RenderSpec, Scene

Array = NDArray[np.float64]
Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]

ANY_CAMERA = Camera("front", (0.0, 0.0, 0.0))  # every window is equally wide
PALETTE_HUES: Array = hue_angle(np.array(PALETTE, dtype=np.float32)).astype(np.float64)
OUTLINE_DIRECTIONS = 16  # in which an outline is measured
ROUND_FROM = 0.8  # see `is_round`
# In tinted pictures wood, brick and sky have a chroma of up to 0.14, objects of 0.5; shadows are lighter than screens.
TINTED = {"least_chroma": 0.25, "dark": 0.2}
OUTLINE_SHARE = 0.5  # of the chroma of an object's core; pixels with more count as its area


@dataclass(frozen=True, eq=False)
class SeenObjects:
    """K objects in the C frames of a context; metres in the plane of motion, from the middle of the picture."""

    hues: tuple[int, ...]  # (K,) index into the palette
    position: Array  # (C, K, 2) m, to the right and down; NaN where it is not known
    radius: Array  # (K,) m, of the disc with the area of the outline


def cut_objects(frames: Picture) -> tuple[Picture, Mask, list[Sprite]]:
    """Take the last frame of a context (C, H, W, 3) in [0, 1] apart.

    Returns:
        Background (H, W, 3), mask of what is in front of objects (H, W), and one sprite for each hue of the palette,
        from large to small. Edges where two hues mix are none: nothing of them is left one pixel further in.
    """
    from scipy.ndimage import binary_erosion

    background, front, sprites = decompose_context(frames, latest=True, **(TINTED if is_tinted(frames) else {}))
    kept: dict[int, Sprite] = {}
    for sprite in sprites:
        if binary_erosion(sprite.opacity > OUTLINE_SHARE).any():
            color = sprite.color * (sprite.opacity > 0)[..., None]  # without neighbours in its box
            kept.setdefault(nearest_hue(sprite), replace(sprite, color=color))
    return background, front, list(kept.values())


def is_tinted(frames: Picture) -> bool:
    """Whether most of a context (C, H, W, 3) has a colour, as in the natural look: in the plain one all but objects is
    grey."""
    return bool(np.median(frames.max(-1) - frames.min(-1)) > 0)


def nearest_hue(sprite: Sprite) -> int:
    """Index into the palette of the hue that is nearest to a sprite's."""
    return int(np.abs((PALETTE_HUES - sprite.hue + 180) % 360 - 180).argmin())


def see_objects(frames: NDArray[np.uint8], sprites: Sequence[Sprite], fps: float) -> SeenObjects:
    """Track the objects that were cut out of a context.

    Args:
        frames: The context (C, H, W, 3).
        sprites: Its objects, each of another hue of the palette.
        fps: Frames a second.

    Returns:
        The objects in the order of the sprites.
    """
    spec = RenderSpec(frames.shape[1], frames.shape[2], fps)
    hues = tuple(nearest_hue(sprite) for sprite in sprites)
    outlines = [_outline(sprite) for sprite in sprites]
    area = np.array([float(outline.sum()) for outline in outlines])
    scale = pixels_per_metre(ANY_CAMERA, spec)
    radius = np.sqrt(area / np.pi) / scale
    bodies = tuple(
        Body(f"object {k}", "sphere", (float(r),), "moving", (0.0,) * 3, hue=hue)
        if is_round(outline)
        else Body(f"object {k}", "box", (float(r),) * 3, "moving", (0.0,) * 3, hue=hue)
        for k, (outline, hue, r) in enumerate(zip(outlines, hues, radius, strict=True))
    )
    shown = [sprite.shown for sprite in sprites]
    tracks = track(_stand_in(frames, spec, bodies, area, shown), len(frames), frames)
    middle = np.array([spec.width, spec.height]) / 2
    return SeenObjects(hues, (tracks.position - middle) / scale, radius)


def _outline(sprite: Sprite) -> Mask:
    """Mask (h, w) of an object: the pixels with more than OUTLINE_SHARE of the chroma of its core."""
    chroma = sprite.color.max(-1) - sprite.color.min(-1)
    mask: Mask = chroma > OUTLINE_SHARE * np.quantile(chroma[sprite.opacity > 0], 0.75)
    return mask


def is_round(outline: Mask) -> bool:
    """Whether a mask (h, w) fills most of the disc that is as wide as it is in its widest direction; a square does not.

    Its area over that of the disc is 1 for a disc, 0.64 for a square and less for other boxes.
    """
    row, column = np.nonzero(outline)
    angles = np.linspace(0, np.pi, OUTLINE_DIRECTIONS, endpoint=False)
    along = np.stack([row, column], axis=-1) @ np.stack([np.sin(angles), np.cos(angles)])  # (P, OUTLINE_DIRECTIONS)
    widest = float(np.ptp(along, axis=0).max()) + 1
    return len(row) > ROUND_FROM * np.pi / 4 * widest**2


def _stand_in(
    frames: NDArray[np.uint8], spec: RenderSpec, bodies: tuple[Body, ...], area: Array, shown: Sequence[Picture]
) -> Clip:
    """A clip that ends at the hand-over and holds nothing but what is passed."""
    count, objects = len(frames), len(bodies)
    full = np.broadcast_to(area, (count, objects)).astype(np.float32)
    share = np.stack(shown, axis=1) if objects else np.zeros((count, 0))
    return Clip(
        row=Row("memory/context-v1", "test", 0),
        scene=Scene(bodies, ANY_CAMERA),
        spec=spec,
        times=(np.arange(count) - count + 1) / spec.fps,
        frames=frames,
        states=np.zeros((count, objects, 13)),
        visible_area=(full * share).astype(np.float32),
        full_area=full,
        contacts=(),
    )


def greys_seen(background: Picture) -> Array:
    """Greys (GREY_SIDE, GREY_SIDE) of 255 of a picture (H, W, 3) in [0, 1] without objects: of its square window."""
    import torch

    side = min(background.shape[:2])
    top, left = ((length - side) // 2 for length in background.shape[:2])
    window = torch.from_numpy(np.ascontiguousarray(background[top : top + side, left : left + side].mean(-1)))
    mean: Array = torch.nn.functional.adaptive_avg_pool2d(window[None, None], GREY_SIDE)[0, 0].numpy() * 255
    return mean.astype(np.float64)
