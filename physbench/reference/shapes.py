"""Shape, shading and image of an object, from a frame that shows it whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

REACH_DIRECTIONS = 72  # of the reach of an object, clockwise on the screen from +x (y points down)
ROUND_TOLERANCE = 1.2  # px; the reach of a disc varies by less over the directions
INSIDE_SHARE = 0.25  # of a pixel; from this on it belongs to the object


def directional_reach(masks: Tensor, centre: Tensor) -> Tensor:
    """Masks (..., H, W) 0..1 of objects with centres (..., 2) px -> reach (..., REACH_DIRECTIONS) in px."""
    height, width = masks.shape[-2:]
    angle = torch.arange(REACH_DIRECTIONS, device=masks.device) * (2 * math.pi / REACH_DIRECTIONS)
    x = torch.arange(width, device=masks.device) + 0.5
    y = torch.arange(height, device=masks.device) + 0.5
    inside = masks > INSIDE_SHARE
    found = []
    for cosine, sine in zip(angle.cos(), angle.sin(), strict=True):
        along = (cosine * x)[None, :] + (sine * y)[:, None]  # (H, W)
        edge = torch.where(inside, along + masks - 0.5, -torch.inf).flatten(-2).amax(-1)
        found.append(edge - cosine * centre[..., 0] - sine * centre[..., 1])
    return torch.stack(found, -1)


def reach_and_roundness(masks: Tensor, centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Reach (B, N, REACH_DIRECTIONS) and roundness (B, N) of masks (B, N, H, W).

    centre: (B, N, 2); radius: (B, N), of a disc of the same area. Round objects (1) reach one radius in every
    direction; others (0) have corners.
    """
    reach = directional_reach(masks, centre)
    known = torch.isfinite(reach).all(-1)
    spread = reach.amax(-1) - reach.amin(-1)
    is_round = ~known | (spread < ROUND_TOLERANCE)
    return torch.where(is_round[..., None], radius[..., None], reach), is_round.to(masks.dtype)


def rim_shading(light: Tensor, masks: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """How much darker an object is at its rim than at its centre (B, N): a ball is, the end face of a cylinder is not.

    light: brightness (B, N, H, W). The slope of the relative brightness over the squared distance, 1 at one radius.
    """
    height, width = masks.shape[-2:]
    x = torch.arange(width, device=masks.device) + 0.5 - centre[..., :1]  # (B, N, W)
    y = torch.arange(height, device=masks.device) + 0.5 - centre[..., 1:]
    far = (x.square()[..., None, :] + y.square()[..., None]) / radius.clamp_min(1).square()[..., None, None]
    weight = ((masks > 0.6) & (far < 0.7)).to(masks.dtype)
    total = weight.sum((-2, -1)).clamp_min(1e-6)
    mean_far, mean = (weight * far).sum((-2, -1)) / total, (weight * light).sum((-2, -1)) / total
    weighted_far = weight * (far - mean_far[..., None, None])
    slope = (weighted_far * (light - mean[..., None, None])).sum((-2, -1)) / (weighted_far * far).sum(
        (-2, -1)
    ).clamp_min(1e-3)
    return -slope / mean.clamp_min(1e-3)


def reach_towards(reach: Tensor, direction: Tensor) -> Tensor:
    """Interpolate reach (B, N, REACH_DIRECTIONS) in the direction of unit vectors (2, B, N, M) -> (B, N, M) px."""
    index = torch.atan2(direction[1], direction[0]) * (REACH_DIRECTIONS / (2 * math.pi))
    low = index.floor()
    share = index - low
    first = low.long() % REACH_DIRECTIONS
    return torch.lerp(reach.gather(2, first), reach.gather(2, (first + 1) % REACH_DIRECTIONS), share)


def cut_images(frame: Tensor, mask: Tensor, colour: Tensor) -> Tensor:
    """Pixels (K, 3, H, W), masks (K, H, W), plain colours (K, 3) -> images (K, 4, H, W): colour times cover, cover.

    At the rim the colour is that of the inside, as the pixels there are mixed with the background.
    """
    inside = (mask > 0.95).to(frame.dtype)[:, None]
    spread = functional.avg_pool2d(frame * inside, 3, stride=1, padding=1)
    weight = functional.avg_pool2d(inside, 3, stride=1, padding=1)
    near = torch.where(weight > 0, spread / weight.clamp_min(1e-6), colour[:, :, None, None])
    colours = torch.where(inside > 0, frame, near)
    return torch.cat([colours * mask[:, None], mask[:, None]], 1)


def shift_images(images: Tensor, shift: Tensor) -> Tensor:
    """Shift images (K, 4, H, W) by (K, T, 2) px -> (K, T, 4, H, W), bilinear."""
    count, frames = shift.shape[:2]
    height, width = images.shape[-2:]
    scale = shift.new_tensor([2 / width, 2 / height])
    theta = torch.zeros(count * frames, 2, 3, dtype=shift.dtype, device=shift.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0
    theta[:, :, 2] = (-shift * scale).flatten(0, 1)
    size = [count * frames, images.shape[1], height, width]
    grid = functional.affine_grid(theta, size, align_corners=False)
    source = images[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
    out = functional.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return out.view(count, frames, *images.shape[1:])
