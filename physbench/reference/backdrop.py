"""What lies behind the objects of a context, and the one grey thing that may move across it.

Generic image processing on pixels without colour; nothing here is learned. B clips of C context frames, H x W px.
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

FILL_TOLERANCE = 0.02  # grey; two ends of a gap that differ by less belong together
MIN_CHANGE = 0.04  # grey; what changes by more has moved
SETTLING_FRAMES = 2  # context frames that may show what held an object
MIN_CHANGED_PX = 12  # px that must change before anything is taken for a plate
BORDER_PX = 1.5  # px; an edge nearer to the border of the image may be one that the image cuts


@dataclass(frozen=True)
class MovingScreen:
    """A grey thing in front of everything else that moves at constant velocity; a cover of 0 where there is none."""

    cover: Tensor  # (B, H, W) 0..1, in the last context frame
    grey: Tensor  # (B,)
    velocity: Tensor  # (B, 2) px / frame

    def take(self, index: Tensor) -> MovingScreen:
        """Some of the clips."""
        return MovingScreen(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def estimate_background(frames: Tensor) -> tuple[Tensor, MovingScreen]:
    """Context frames (B, C, 3, H, W) -> the still background (B, 3, H, W) and what moves across it.

    The background is the median over the frames in which a pixel and its neighbours show no colour and no plate; what
    is never free is filled from where it is.
    """
    coloured = (chroma(frames, 2) > MIN_CHROMA).to(frames.dtype)  # (B, C, H, W)
    grey = frames.mean(2)
    covered = functional.max_pool2d(coloured, 3, stride=1, padding=1) > 0
    plates, hidden = [], []
    for one, busy in zip(grey.cpu().numpy(), covered.cpu().numpy(), strict=True):
        plate, mask = find_moving_screen(one, busy)
        plates.append(plate)
        hidden.append(mask)

    def tensor(parts: list[Any]) -> Tensor:
        return torch.as_tensor(np.stack(parts), dtype=frames.dtype, device=frames.device)

    found = MovingScreen(*(tensor([plate[k] for plate in plates]) for k in range(3)))
    moving = tensor(hidden)
    covered = covered | (functional.max_pool2d(moving, 3, stride=1, padding=1) > 0)
    late = min(SETTLING_FRAMES, frames.shape[1] - 1)  # what held an object is not a part of the background
    covered, frames = covered[:, late:], frames[:, late:]
    picture = torch.where(covered[:, :, None], torch.nan, frames).nanmedian(1).values
    return fill_holes(picture, covered.all(1)), found


def fill_holes(picture: Tensor, empty: Tensor) -> Tensor:
    """Fill the `empty` (B, H, W) pixels of pictures (B, 3, H, W) along their row or their column.

    Along the one whose two ends agree, the shorter gap where both do: an edge is carried on straight. Where neither
    agrees, with the commonest colour of the picture.
    """
    if not bool(empty.any()):
        return picture
    commonest = picture.flatten(2).nanmedian(2).values[:, :, None, None].nan_to_num(0.5)
    picture = torch.where(empty[:, None], 0.0, picture)
    total, weights = 1e-9 * commonest.expand_as(picture), torch.full_like(picture[:, :1], 1e-9)
    for axis in (2, 3):
        ends, distances = [], []
        for flip in (False, True):
            length = picture.shape[axis]
            index = torch.arange(length, device=picture.device).view(-1, *[1] * (3 - axis))
            known = ~(empty.flip(axis - 1) if flip else empty)
            last = torch.where(known, index, -1).cummax(axis - 1).values[:, None]  # (B, 1, H, W)
            source = picture.flip(axis) if flip else picture
            value = source.gather(axis, last.clamp_min(0).expand_as(source))
            away = torch.where(last >= 0, index - last, 10 * length).to(picture.dtype)
            ends.append(value.flip(axis) if flip else value)
            distances.append(away.flip(axis) if flip else away)
        gap = distances[0] + distances[1]
        alike = ((ends[0] - ends[1]).abs().mean(1, keepdim=True) < FILL_TOLERANCE) & (gap < 10 * picture.shape[axis])
        near = [1 / distance.clamp_min(1) for distance in distances]
        mean = (near[0] * ends[0] + near[1] * ends[1]) / (near[0] + near[1])
        trust = torch.where(alike, 1.0 / gap.clamp_min(1).square().square(), 0.0)
        total, weights = total + trust * mean, weights + trust
    return torch.where(empty[:, None], total / weights, picture)


def find_moving_screen(
    grey: NDArray[np.float32], busy: NDArray[np.bool_]
) -> tuple[tuple[NDArray[np.float32], float, NDArray[np.float32]], NDArray[np.bool_]]:
    """Grey frames (C, H, W), where they show objects (C, H, W) -> (cover, grey, velocity) and its place (C, H, W).

    A plate is what has the grey of pixels that changed since the first frames, and is joined to them.
    """
    count, height, width = grey.shape
    nothing = (np.zeros((height, width), np.float32), 0.0, np.zeros(2, np.float32)), np.zeros_like(busy)
    if count < SETTLING_FRAMES + 3:
        return nothing
    last, first = grey[-1], grey[SETTLING_FRAMES]
    free = ~(busy[-1] | busy[SETTLING_FRAMES])
    changed = free & (np.abs(last - first) > MIN_CHANGE)
    common = float(np.median(last))
    if changed.sum() < MIN_CHANGED_PX:
        return nothing
    odd = np.abs(last - common) * changed
    tone = float(np.median(last[changed & (odd > 0.7 * odd.max())]))
    if abs(tone - common) < MIN_CHANGE:
        return nothing
    alike = (np.abs(grey - tone) < abs(tone - common) / 2) & ~busy  # (C, H, W), half covered pixels are its rim
    masks = np.zeros_like(alike)
    for k in range(count):
        parts, number = label(alike[k])
        touched = np.unique(parts[alike[k] & changed]) if number else np.empty(0, int)
        masks[k] = np.isin(parts, touched[touched > 0])
    if not masks[SETTLING_FRAMES:].any(axis=(1, 2)).all():
        return nothing
    velocity = np.array([_edge_velocity(masks, grey, common, tone, axis) for axis in (2, 1)], np.float32)
    if np.abs(velocity).max() < 0.1:
        return nothing
    rim = np.pad(masks[-1], 1)
    near = rim[1:-1, 1:-1] | rim[:-2, 1:-1] | rim[2:, 1:-1] | rim[1:-1, :-2] | rim[1:-1, 2:]
    cover = (np.clip((last - common) / (tone - common), 0, 1) * near).astype(np.float32)
    return (cover, tone, velocity), masks


def _edge_velocity(masks: NDArray[np.bool_], grey: NDArray[np.float32], common: float, tone: float, axis: int) -> float:
    """Velocity px / frame along an axis (1: down, 2: right) from both edges but for what the border may cut."""
    share = np.clip((grey - common) / (tone - common), 0, 1)
    grown = masks | np.roll(masks, 1, axis) | np.roll(masks, -1, axis)
    core = np.where(grown, share, 0.0).max(axis=3 - axis)  # (C, length)
    frames = np.arange(len(core))
    slopes = []
    for profile in (core, core[:, ::-1]):
        begin = np.argmax(profile > 0.5, axis=1)
        before = np.take_along_axis(profile, np.maximum(begin - 1, 0)[:, None], 1)[:, 0]
        at = np.take_along_axis(profile, begin[:, None], 1)[:, 0]
        place = begin - (at - 0.5) / np.maximum(at - before, 1e-6)
        seen = place > BORDER_PX
        if seen[SETTLING_FRAMES:].all():
            sign = 1.0 if profile is core else -1.0
            slopes.append(sign * float(np.polyfit(frames[seen], place[seen], 1)[0]))
    return float(np.mean(slopes)) if slopes else 0.0
