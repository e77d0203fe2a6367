"""Estimates the background of a context, and a grey screen that may move in front of it.

Generic image processing on pixels without colour; nothing is learned here. B clips of C context frames, H x W px.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label
from torch import Tensor
from torch.nn import functional

from physbench.reference.segmentation import MIN_CHROMA, chroma

FILL_TOLERANCE = 0.02  # grey; the ends of a gap that is filled differ by less
MIN_GREY_CHANGE = 0.04  # grey; pixels that change by more have moved
HOLDER_FRAMES = 2  # context frames at the start, which may show a holder
MIN_CHANGED_PX = 12  # of a moving screen
BORDER_PX = 1.5  # an edge nearer to the border of the image may be cut by it


@dataclass(frozen=True)
class MovingScreen:
    """A grey screen in front of all objects that moves at constant velocity; its cover is 0 where there is none."""

    cover: Tensor  # (B, H, W) 0..1, in the last context frame
    grey: Tensor  # (B,)
    velocity: Tensor  # (B, 2) px / frame

    def select(self, index: Tensor) -> MovingScreen:
        """Some of the clips."""
        return MovingScreen(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def estimate_background(frames: Tensor) -> tuple[Tensor, MovingScreen]:
    """Context frames (B, C, 3, H, W) -> the static background (B, 3, H, W) and the moving screen.

    The background is the median over the frames in which a pixel and its neighbours show neither object nor screen.
    Pixels without such a frame are filled from their surroundings.
    """
    coloured = (chroma(frames, 2) > MIN_CHROMA).to(frames.dtype)  # (B, C, H, W)
    grey = frames.mean(2)
    covered = functional.max_pool2d(coloured, 3, stride=1, padding=1) > 0
    screens, hidden = [], []
    for one, busy in zip(grey.cpu().numpy(), covered.cpu().numpy(), strict=True):
        screen, mask = find_moving_screen(one, busy)
        screens.append(screen)
        hidden.append(mask)

    def tensor(parts: list[Any]) -> Tensor:
        return torch.as_tensor(np.stack(parts), dtype=frames.dtype, device=frames.device)

    found = MovingScreen(*(tensor([screen[k] for screen in screens]) for k in range(3)))
    moving = tensor(hidden)
    covered = covered | (functional.max_pool2d(moving, 3, stride=1, padding=1) > 0)
    late = min(HOLDER_FRAMES, frames.shape[1] - 1)  # a holder is not part of the background
    covered, frames = covered[:, late:], frames[:, late:]
    image = torch.where(covered[:, :, None], torch.nan, frames).nanmedian(1).values
    return fill_holes(image, covered.all(1)), found


def fill_holes(image: Tensor, empty: Tensor) -> Tensor:
    """Fill the `empty` (B, H, W) pixels of images (B, 3, H, W) along their row or their column.

    The direction is the one in which both ends of the gap agree, or the shorter gap where both do: edges are continued
    straight. Where neither agrees, the commonest colour of the image is taken.
    """
    if not bool(empty.any()):
        return image
    commonest = image.flatten(2).nanmedian(2).values[:, :, None, None].nan_to_num(0.5)
    image = torch.where(empty[:, None], 0.0, image)
    total, weights = 1e-9 * commonest.expand_as(image), torch.full_like(image[:, :1], 1e-9)
    for axis in (2, 3):
        ends, distances = [], []
        for flip in (False, True):
            length = image.shape[axis]
            index = torch.arange(length, device=image.device).view(-1, *[1] * (3 - axis))
            known = ~(empty.flip(axis - 1) if flip else empty)
            last = torch.where(known, index, -1).cummax(axis - 1).values[:, None]  # (B, 1, H, W)
            source = image.flip(axis) if flip else image
            value = source.gather(axis, last.clamp_min(0).expand_as(source))
            away = torch.where(last >= 0, index - last, 10 * length).to(image.dtype)
            ends.append(value.flip(axis) if flip else value)
            distances.append(away.flip(axis) if flip else away)
        gap = distances[0] + distances[1]
        alike = ((ends[0] - ends[1]).abs().mean(1, keepdim=True) < FILL_TOLERANCE) & (gap < 10 * image.shape[axis])
        near = [1 / distance.clamp_min(1) for distance in distances]
        mean = (near[0] * ends[0] + near[1] * ends[1]) / (near[0] + near[1])
        trust = torch.where(alike, 1.0 / gap.clamp_min(1).square().square(), 0.0)
        total, weights = total + trust * mean, weights + trust
    return torch.where(empty[:, None], total / weights, image)


def find_moving_screen(
    grey: NDArray[np.float32], busy: NDArray[np.bool_]
) -> tuple[tuple[NDArray[np.float32], float, NDArray[np.float32]], NDArray[np.bool_]]:
    """Find a moving screen: connected pixels of the grey that pixels have changed to since the first frames.

    Args:
        grey: Frames (C, H, W), 0..1.
        busy: Where they show objects (C, H, W).

    Returns:
        (cover (H, W), grey, velocity (2,) in px / frame) of the screen, and its mask (C, H, W).
    """
    count, height, width = grey.shape
    nothing = (np.zeros((height, width), np.float32), 0.0, np.zeros(2, np.float32)), np.zeros_like(busy)
    if count < HOLDER_FRAMES + 3:
        return nothing
    last, first = grey[-1], grey[HOLDER_FRAMES]
    free = ~(busy[-1] | busy[HOLDER_FRAMES])
    changed = free & (np.abs(last - first) > MIN_GREY_CHANGE)
    common = float(np.median(last))
    if changed.sum() < MIN_CHANGED_PX:
        return nothing
    odd = np.abs(last - common) * changed
    if not odd.any():  # what has changed is now as grey as the rest: something went away
        return nothing
    tone = float(np.median(last[changed & (odd > 0.7 * odd.max())]))
    if abs(tone - common) < MIN_GREY_CHANGE:
        return nothing
    alike = (np.abs(grey - tone) < abs(tone - common) / 2) & ~busy  # (C, H, W); its rim are half covered pixels
    masks = np.zeros_like(alike)
    for k in range(count):
        parts, number = label(alike[k])
        touched = np.unique(parts[alike[k] & changed]) if number else np.empty(0, int)
        masks[k] = np.isin(parts, touched[touched > 0])
    if not masks[HOLDER_FRAMES:].any(axis=(1, 2)).all():
        return nothing
    velocity = np.array([_edge_velocity(masks, grey, common, tone, axis) for axis in (2, 1)], np.float32)
    if np.abs(velocity).max() < 0.1:
        return nothing
    rim = np.pad(masks[-1], 1)
    near = rim[1:-1, 1:-1] | rim[:-2, 1:-1] | rim[2:, 1:-1] | rim[1:-1, :-2] | rim[1:-1, 2:]
    cover = (np.clip((last - common) / (tone - common), 0, 1) * near).astype(np.float32)
    return (cover, tone, velocity), masks


def _edge_velocity(masks: NDArray[np.bool_], grey: NDArray[np.float32], common: float, tone: float, axis: int) -> float:
    """Velocity in px / frame along an axis (1: down, 2: right), from both edges unless the border may cut them."""
    share = np.clip((grey - common) / (tone - common), 0, 1)
    grown = masks | np.roll(masks, 1, axis) | np.roll(masks, -1, axis)
    core = np.where(grown, share, 0.0).max(axis=3 - axis)  # (C, length)
    frames = np.arange(len(core))
    slopes = []
    for profile in (core, core[:, ::-1]):
        begin = np.argmax(profile > 0.5, axis=1)
        before = np.take_along_axis(profile, np.maximum(begin - 1, 0)[:, None], 1)[:, 0]
        at = np.take_along_axis(profile, begin[:, None], 1)[:, 0]
        position = begin - (at - 0.5) / np.maximum(at - before, 1e-6)
        seen = position > BORDER_PX
        if seen[HOLDER_FRAMES:].all():
            sign = 1.0 if profile is core else -1.0
            slopes.append(sign * float(np.polyfit(frames[seen], position[seen], 1)[0]))
    return float(np.mean(slopes)) if slopes else 0.0
