"""Coloured objects move on in straight lines over the median background. It sees pixels only.

1. A pixel is coloured if its largest and smallest channel differ by CHROMA. Coloured pixels of a clip's context are
   divided by hue; each hue with enough pixels is one object.
2. The background is the median of each pixel over the context frames in which neither it nor a neighbour is coloured;
   where there is none, the nearest pixel that has one.
3. The sprite of an object is cut from the last frame that shows (nearly) all of it, with a soft edge: opacity is its
   chroma over that of its core. Drawn at its position over the background, it reproduces the frame.
4. Its velocity is the slope of its centroid over the last frames that show it whole.
5. Grey regions are taken to stand in front of the objects if they differ from the commonest grey, do not span the
   image as a ground does, and no object was seen in front of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.models.protocol import ModelCard, answer_parts
from physbench.support.arrays import Mask

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float32]


@dataclass(frozen=True)
class SpriteLimits:
    """Coloured objects in a context."""

    min_chroma: float = 0.06  # of 1; greys have none, noise and blur little
    min_hue_distance: float = 30.0  # degrees between two objects at least
    min_mass: float = 6.0  # px of chroma-weighted area
    dark: float = 0.4  # of 1; screens are darker than that, grounds as a rule not


SPRITE = SpriteLimits()


@dataclass(frozen=True, eq=False)
class Sprite:
    """An image of an object with a margin of one empty pixel, its position in the last frame, and its velocity."""

    color: Array  # (h, w, 3), times opacity
    opacity: Array  # (h, w)
    corner: Array  # (2,) px, row and column of its first pixel
    velocity: Array  # (2,) px a frame
    hue: float  # degrees, as `hue_angle` has it
    shown: Array  # (C,) chroma in each frame of the context over that of the fullest one


class ConstantVelocity:
    """The baseline as a FrameModel. It computes on the CPU."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def rollout(self, context: Tensor, *, horizon: int, **given: object) -> Iterator[Tensor]:
        import torch

        clips = context.permute(0, 1, 3, 4, 2).float().cpu().numpy()  # (B, C, H, W, 3)
        scenes = [decompose_context(clip) for clip in clips]
        for part in answer_parts(self.card, len(clips), horizon):
            steps = np.arange(part.start, part.stop) + 1
            chunk = np.stack([draw_frames(*scene, steps) for scene in scenes])
            yield torch.from_numpy(chunk).permute(0, 1, 4, 2, 3).to(context.device, context.dtype)


def decompose_context(
    frames: Array, *, latest: bool = False, least_chroma: float = SPRITE.min_chroma, dark: float = SPRITE.dark
) -> tuple[Array, Mask, list[Sprite]]:
    """Context (C, H, W, 3) -> background (H, W, 3), mask of what is in front (H, W), sprites from large to small.

    latest: the background is what the latest frame shows that has no object there, instead of the median: without what
    vanished in the context, and with screens where they are now. In front are then dark screens alone, also where an
    object has reached one, so that some of its pixels are not known. least_chroma: of
    the pixels of objects; dark: grey, of 1, below which something is a screen.
    """
    from scipy.ndimage import binary_dilation, binary_erosion

    chroma = frames.max(-1) - frames.min(-1)  # (C, H, W)
    colored = chroma > least_chroma
    dilated = np.stack([binary_dilation(mask, iterations=1) for mask in colored])
    background = (_latest_background if latest else _background)(frames, dilated)
    covered = np.stack([binary_erosion(mask, iterations=2) for mask in colored]).any(0)
    # An object that has reached a screen leaves at most 0.15 of it unknown
    front = _foreground_mask(background, np.asarray(covered), *((0.15, dark) if latest else (0.0, np.inf)))
    hue = hue_angle(frames)
    sprites = []
    for center in _object_hues(hue[colored], chroma[colored]):
        of_object = colored & (np.abs((hue - center + 180) % 360 - 180) < SPRITE.min_hue_distance / 2)
        sprite = _cut_sprite(frames, background, np.where(of_object, chroma, 0.0), center)
        if sprite is not None:
            sprites.append(sprite)
    sprites.sort(key=lambda sprite: -float(sprite.opacity.sum()))
    return background, front, sprites


def hue_angle(frames: Array) -> Array:
    """Angle in the opponent plane, degrees."""
    red, green, blue = np.moveaxis(frames, -1, 0)
    angle: Array = np.degrees(np.arctan2(0.866 * (green - blue), red - (green + blue) / 2)) % 360
    return angle


def _object_hues(hue: Array, chroma: Array) -> list[float]:
    """Hues of the objects in degrees: peaks of the histogram of hues weighted by chroma, from large to small."""
    weights, edges = np.histogram(hue, bins=72, range=(0, 360), weights=chroma)
    smooth = weights + np.roll(weights, 1) + np.roll(weights, -1)
    centers = (edges[:-1] + edges[1:]) / 2
    hues: list[float] = []
    for index in np.argsort(-smooth, kind="stable"):
        if smooth[index] < SPRITE.min_mass:
            break
        if all(abs((centers[index] - other + 180) % 360 - 180) >= SPRITE.min_hue_distance for other in hues):
            hues.append(float(centers[index]))
    return hues


def _background(frames: Array, dilated: Mask) -> Array:
    """Median of the uncoloured values of each pixel; pixels without any take the nearest known one."""
    from scipy.ndimage import distance_transform_edt

    known: Mask = np.asarray(~dilated.all(0))
    if not known.any():
        result: Array = np.median(frames, axis=0).astype(np.float32)
        return result
    gaps = np.where(dilated[..., None], np.nan, frames)
    background: Array = np.zeros(frames.shape[1:], dtype=np.float32)
    background[known] = _known_median(gaps[:, known])
    if not known.all():
        row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
        background = background[row, column]
    return background


def _known_median(values: Array) -> Array:
    """Median over the first axis (C, ...) of what is no NaN, of which there is at least one: `np.nanmedian`, faster."""
    ranked = np.sort(values, axis=0)  # NaN comes last
    many = len(values) - np.isnan(values).sum(axis=0)
    middle = [np.take_along_axis(ranked, at[None], axis=0)[0] for at in ((many - 1) // 2, many // 2)]
    return np.asarray(np.mean(middle, axis=0))


def _latest_background(frames: Array, dilated: Mask) -> Array:
    """The uncoloured value of each pixel in the latest frame that has one; others take the nearest one of no screen."""
    from scipy.ndimage import distance_transform_edt

    background: Array = frames[-1].copy()
    known = ~dilated[-1]
    for frame, coloured in zip(frames[-2::-1], dilated[-2::-1], strict=True):
        fresh = ~known & ~coloured
        background[fresh] = frame[fresh]
        known |= fresh
    ground = known & (background.mean(-1) >= SPRITE.dark)
    source = ground if ground.any() else known
    if source.any():
        row, column = distance_transform_edt(~source, return_distances=False, return_indices=True)
        background[~known] = background[row, column][~known]
    return background


def _foreground_mask(background: Array, covered: Mask, most_covered: float, lightest: float) -> Mask:
    """Mask (H, W) of regions of one grey that do not span the image and that no object covered, with their edges.

    most_covered: share of a region that objects may have covered while it still counts as in front of them.
    lightest: grey, of 1, below which a region can be in front.
    """
    from scipy.ndimage import binary_dilation, binary_erosion, label

    grey = background.mean(-1)
    level = np.round(grey / 0.03).astype(int)  # of 1; greys are compared in these steps
    commonest = np.bincount(level.ravel()).argmax()
    front: Mask = np.zeros(grey.shape, dtype=bool)
    for value in np.unique(level[(np.abs(level - commonest) > 1) & (grey < lightest)]):
        regions, count = label(level == value)
        for number in range(1, count + 1):
            region = regions == number
            ground = region.any(0).all() or region.any(1).all()
            thick = binary_erosion(region).sum() >= SPRITE.min_mass  # not the shaded edge of a ground
            if thick and not ground and (region & covered).sum() <= most_covered * region.sum():
                front |= region
    front |= binary_dilation(front) & (np.abs(level - commonest) > 1)  # its edge is half background
    return front


def _cut_sprite(frames: Array, background: Array, chroma: Array, hue: float) -> Sprite | None:
    """Cut out the object with this chroma (C, H, W) and hue in degrees, and measure its velocity."""
    mass = chroma.sum((1, 2))  # (C,)
    if mass.max() < SPRITE.min_mass * SPRITE.min_chroma:
        return None
    complete = np.flatnonzero(mass >= 0.97 * mass.max())  # of the largest mass in the context
    rows, columns = np.arange(chroma.shape[1]) + 0.5, np.arange(chroma.shape[2]) + 0.5
    centroid = np.stack([chroma.sum(2) @ rows, chroma.sum(1) @ columns], -1) / np.maximum(mass, 1e-6)[:, None]  # (C, 2)
    used = complete[-3:]
    velocity = np.zeros(2)
    if len(used) > 1:
        velocity = np.polyfit(used.astype(float), centroid[used], 1)[0]

    last = int(complete[-1])
    weight = chroma[last]
    core = np.quantile(weight[weight > 0], 0.75)
    opacity = np.clip(weight / (0.7 * core), 0, 1)
    row, column = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
    box = np.s_[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
    color = frames[last][box] - (1 - opacity[box][..., None]) * background[box]
    corner = np.array([row[0] - 1, column[0] - 1]) + velocity * (len(frames) - 1 - last)
    return Sprite(
        np.pad(color, ((1, 1), (1, 1), (0, 0))).astype(np.float32),
        np.pad(opacity[box], 1).astype(np.float32),
        corner.astype(np.float32),
        velocity.astype(np.float32),
        hue,
        (mass / mass.max()).astype(np.float32),
    )


def draw_frames(background: Array, front: Mask, sprites: Sequence[Sprite], steps: NDArray[np.int_]) -> Array:
    """Frames (t, H, W, 3), `steps` frames after the last one of the context."""
    ways = [sprite.corner + sprite.velocity * steps[:, None] for sprite in sprites]
    return draw_ways(np.repeat(background[None], len(steps), axis=0), front, sprites, ways)


def draw_ways(frames: Array, front: Mask, sprites: Sequence[Sprite], ways: Sequence[Array]) -> Array:
    """Draw sprites on pictures without objects.

    Args:
        frames: The pictures (t, H, W, 3) in [0, 1]; they are drawn on.
        front: What hides the sprites (H, W), or (t, H, W) where it moves.
        sprites: From back to front.
        ways: Of each sprite the first row and column of its box (t, 2) px in these frames.

    Returns:
        The frames with the sprites (t, H, W, 3).
    """
    height, width = frames.shape[1:3]
    before = frames.copy()
    for sprite, position in zip(sprites, ways, strict=True):
        pixel = np.floor(position).astype(int)
        fraction = (position - pixel).astype(np.float32)
        opacity = shift_by_fraction(sprite.opacity[..., None], fraction)
        color = shift_by_fraction(sprite.color, fraction)
        tall, wide = opacity.shape[1:3]
        for frame, (row, column), alpha, pixels in zip(frames, pixel, opacity, color, strict=True):
            top, left = max(row, 0), max(column, 0)
            bottom, right = min(row + tall, height), min(column + wide, width)
            if top >= bottom or left >= right:
                continue
            cut = np.s_[top - row : bottom - row, left - column : right - column]
            target = frame[top:bottom, left:right]
            target *= 1 - alpha[cut]
            target += pixels[cut]
    hides = np.broadcast_to(front, frames.shape[:3])
    frames[hides] = before[hides]
    clipped: Array = np.clip(frames, 0, 1)
    return clipped


def shift_by_fraction(image: Array, fraction: Array) -> Array:
    """Shift an image (h, w, c) with an empty margin by (t, 2) fractions of a pixel -> (t, h, w, c), bilinear."""
    down, right = fraction[:, 0, None, None, None], fraction[:, 1, None, None, None]
    below, beside = np.roll(image, 1, 0), np.roll(image, 1, 1)
    both = np.roll(below, 1, 1)
    result: Array = (1 - down) * ((1 - right) * image + right * beside) + down * ((1 - right) * below + right * both)
    return result
