"""From frames to slots: segmentation, shapes, surfaces, background. Pixels only, no labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, map_coordinates, sobel
from torch import Tensor, nn
from torch.nn import functional

# Segments frames into slots, one for each colour. Learned by reconstruction alone.
#
# The colours of slots are the k-means centres of saturated pixels. A small network predicts, for each coloured pixel,
# the shares of the slots and of a grey background, so that the mixture reproduces the pixel.

MIN_CHROMA = 0.05  # largest - smallest channel; a pixel above it may belong to an object
SATURATED_CHROMA = 0.45  # of pixels that define the colours of slots


def chroma(pixels: Tensor, dim: int = -1) -> Tensor:
    """Largest minus smallest channel."""
    return pixels.amax(dim) - pixels.amin(dim)


def opponent_colours(pixels: Tensor) -> Tensor:
    """Opponent colours (..., 2) of pixels (..., 3): their direction is the hue, their length the chroma."""
    red, green, blue = pixels.unbind(-1)
    return torch.stack([red - (green + blue) / 2, 0.866 * (green - blue)], -1)


class Segmenter(nn.Module):
    """Predicts the shares of K slots in each pixel."""

    colours: Tensor

    def __init__(self, slots: int = 5, hidden: int = 24) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, hidden), nn.SiLU(), nn.Linear(hidden, slots + 2))
        self.register_buffer("colours", torch.zeros(slots, 3))

    def shares(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (P, 3) -> shares (P, K + 1), the last of the background, and its grey (P, 1)."""
        plane = opponent_colours(pixels)
        length = plane.square().sum(-1, keepdim=True).add(1e-8).sqrt()
        own = torch.cat([plane / length, length * 2, pixels.mean(-1, keepdim=True) * 4 - 2], -1)
        out = self.net(own * 2)
        return out[:, :-1].softmax(-1), torch.sigmoid(out[:, -1:])

    def loss(self, pixels: Tensor) -> Tensor:
        """Error of reproducing pixels (P, 3) as mixtures, plus a small entropy term against mixing of hues."""
        share, grey = self.shares(pixels)
        again = share[:, :-1] @ self.colours + share[:, -1:] * grey
        hue = share[:, :-1] / (share[:, :-1].sum(-1, keepdim=True) + 1e-3)
        entropy = -(hue * (hue + 1e-6).log()).sum(-1).mean()
        return (again - pixels).abs().mean() * 10 + 0.1 * entropy

    @torch.no_grad()
    def maps(self, frames: Tensor, allowed: Tensor | None = None, pure: float = -1.0) -> Tensor:
        """Frames (T, 3, H, W) -> how much of each pixel belongs to each slot (T, H, W, K).

        allowed: (T, K), the slots that exist; pure: pixels whose cosine to the hue of their slot is lower are left out.
        """
        count, _, height, width = frames.shape
        pixels = frames.permute(0, 2, 3, 1).reshape(-1, 3)
        chosen = (chroma(pixels) > MIN_CHROMA).nonzero()[:, 0]
        share = self.shares(pixels[chosen])[0]
        # The slot of the nearest hue takes all of a pixel's colour: small shares of distant pixels would shift the
        # centre most.
        hue, own = opponent_colours(pixels[chosen]), opponent_colours(self.colours)
        closeness = functional.normalize(hue, dim=-1) @ functional.normalize(own, dim=-1).T
        if allowed is not None:
            closeness = closeness - 4 * (1 - allowed.to(closeness.dtype)[chosen // (height * width)])
        nearest = closeness.argmax(-1)
        near = closeness.gather(1, nearest[:, None]) > max(pure, -2.0)
        share = functional.one_hot(nearest, len(own)) * (1 - share[:, -1:]) * near
        dense = torch.zeros(len(pixels), share.shape[1], dtype=share.dtype, device=share.device)
        dense[chosen] = share
        return dense.view(count, height, width, -1)


def mass_and_centres(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (T, H, W, K) -> mass (T, K) px and centre (T, K, 2) px (NaN where there is no mass)."""
    rows, columns = maps.sum(2), maps.sum(1)  # (T, H, K), (T, W, K)
    mass = rows.sum(1)
    y = torch.arange(maps.shape[1], device=maps.device, dtype=maps.dtype) + 0.5
    x = torch.arange(maps.shape[2], device=maps.device, dtype=maps.dtype) + 0.5
    centre = torch.stack([torch.einsum("twk,w->tk", columns, x), torch.einsum("thk,h->tk", rows, y)], -1)
    return mass, centre / torch.where(mass > 0.5, mass, torch.nan)[..., None]


def k_means(points: Tensor, count: int, rounds: int = 20) -> Tensor:
    """k-means of points (P, D), started from the farthest ones: centres (count, D). Deterministic."""
    centres = points[:1]
    for _ in range(count - 1):
        centres = torch.cat([centres, points[torch.cdist(points, centres).amin(1).argmax()][None]])
    for _ in range(rounds):
        nearest = functional.one_hot(torch.cdist(points, centres).argmin(1), count).to(points.dtype)
        centres = (nearest.T @ points) / nearest.sum(0).clamp_min(1)[:, None]
    return centres


def coloured_pixels(frames: Tensor, least: float) -> Tensor:
    """Pixels (P, 3) of frames (T, 3, H, W) with a chroma above `least`."""
    pixels = frames.permute(0, 2, 3, 1).reshape(-1, 3)
    return pixels[chroma(pixels) > least]


# Shape, shading and image of an object, from a frame that shows it whole.


@dataclass(frozen=True)
class Reach:
    """Reach of an object from its centre."""

    directions: int = 72  # A of them, clockwise on the screen from +x (y points down)
    round_tolerance: float = 1.2  # px; the reach of a disc varies by less over the directions
    inside_share: float = 0.25  # of a pixel; from this on it belongs to the object


REACH = Reach()


def directional_reach(masks: Tensor, centre: Tensor) -> Tensor:
    """Masks (..., H, W) 0..1 of objects with centres (..., 2) px -> reach (..., A) in px."""
    height, width = masks.shape[-2:]
    angle = torch.arange(REACH.directions, device=masks.device) * (2 * math.pi / REACH.directions)
    x = torch.arange(width, device=masks.device) + 0.5
    y = torch.arange(height, device=masks.device) + 0.5
    inside = masks > REACH.inside_share
    reach = []
    for cosine, sine in zip(angle.cos(), angle.sin(), strict=True):
        along = (cosine * x)[None, :] + (sine * y)[:, None]  # (H, W)
        edge = torch.where(inside, along + masks - 0.5, -torch.inf).flatten(-2).amax(-1)
        reach.append(edge - cosine * centre[..., 0] - sine * centre[..., 1])
    return torch.stack(reach, -1)


def reach_and_roundness(masks: Tensor, centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Reach (B, N, A) and roundness (B, N) of masks (B, N, H, W).

    centre: (B, N, 2); radius: (B, N), of a disc of the same area. Round objects (1) reach one radius in every
    direction; others (0) have corners.
    """
    reach = directional_reach(masks, centre)
    known = torch.isfinite(reach).all(-1)
    spread = reach.amax(-1) - reach.amin(-1)
    is_round = ~known | (spread < REACH.round_tolerance)
    return torch.where(is_round[..., None], radius[..., None], reach), is_round.to(masks.dtype)


def rim_shading(light: Tensor, masks: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Darkening of an object from centre to rim (B, N): a ball has one, the end face of a cylinder has none.

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
    """Interpolate reach (B, N, A) in the direction of unit vectors (2, B, N, M) -> (B, N, M) px."""
    index = torch.atan2(direction[1], direction[0]) * (REACH.directions / (2 * math.pi))
    low = index.floor()
    share = index - low
    first = low.long() % REACH.directions
    return torch.lerp(reach.gather(2, first), reach.gather(2, (first + 1) % REACH.directions), share)


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


# Finds surfaces: the outlines of everything that differs from the commonest grey of a background.
#
# Generic image processing. A surface point lies between two neighbouring pixels where the difference from the commonest
# grey crosses a threshold, located to a fraction of a pixel. The effect of a surface on objects is learned elsewhere.

FAR = 1e4  # px, coordinates of unused rows in a table of points


@dataclass(frozen=True)
class OutlineSettings:
    """Points of outlines, and how far edges are continued behind what hides them."""

    max_points: int = 320  # of one background
    max_depth: int = 10  # px; depths behind an outline are measured up to this
    contrast_depth: float = 2.0  # px inwards in which the contrast is measured
    neighbour_distance: float = 2.5  # px; the points around one that give the direction of its edge
    line_tolerance: float = 0.12  # px; largest rms distance of these points from a line
    max_edge_gap: int = 6  # px; an edge that ends nearer to an occluder continues behind it
    max_extension: int = 48  # px by which an edge is continued


OUTLINE = OutlineSettings()


SURFACE_COLUMNS = 6

Array = NDArray[np.float32]


def outline(
    background: Array, threshold: float, hidden: NDArray[np.bool_] | None = None, most: int = OUTLINE.max_points
) -> Array:
    """Find the surface points of a background.

    Args:
        background: Grey (H, W) 0..1.
        threshold: Smallest difference from the commonest grey.
        hidden: Where occluders are (H, W). Edges that lead behind them are continued there, straight.
        most: Number of rows.

    Returns:
        (most, 6): x, y in px (pixel centres at +0.5), outward normal x, y, contrast and depth in px. Unused rows have
        x = y = FAR. The contrast, positive for lighter surfaces, is the largest difference from the commonest grey
        within `contrast_depth` inwards, so that blurred rims do not count. The depth is at most `max_depth` (OUTLINE).
    """
    commonest = np.median(background)
    contrast = np.abs(background - commonest)
    inside = contrast - threshold
    smooth = gaussian_filter(np.minimum(contrast, 2 * threshold), 1.0)
    slope = np.stack([sobel(smooth, axis=1), sobel(smooth, axis=0)], axis=-1)  # (H, W, 2), towards the surface
    outlines = []
    for axis in (0, 1):
        near = np.take(inside, range(inside.shape[axis] - 1), axis)
        next_to = np.take(inside, range(1, inside.shape[axis]), axis)
        row, column = np.nonzero((near > 0) != (next_to > 0))
        share = near[row, column] / (near[row, column] - next_to[row, column])
        y, x = row + 0.5 + share * (axis == 0), column + 0.5 + share * (axis == 1)
        pixel = np.minimum(y.astype(int), inside.shape[0] - 1), np.minimum(x.astype(int), inside.shape[1] - 1)
        normal = -slope[pixel]
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        outlines.append(
            np.column_stack([x, y, normal, *contrast_and_depth(background - commonest, x, y, normal, threshold)])
        )
    points = np.concatenate(outlines)
    if hidden is not None and hidden.any():
        points = np.concatenate([points, extended_edges(points, hidden)])
    if len(points) > most:
        points = points[np.linspace(0, len(points) - 1, most).astype(int)]
    table = np.full((most, SURFACE_COLUMNS), 0.0, dtype=np.float32)
    table[:, :2] = FAR
    table[:, 3] = 1.0
    table[: len(points)] = points
    return table


def contrast_and_depth(
    difference: Array, x: NDArray[np.float64], y: NDArray[np.float64], normal: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contrast and depth in px, (P,) each, inwards of points x, y (P,) with outward normals (P, 2)."""
    inwards = np.arange(0.5, OUTLINE.max_depth + 1, 0.5)  # px
    at_x, at_y = (along[:, None] - inwards * normal[:, axis, None] for axis, along in enumerate((x, y)))
    seen = map_coordinates(difference, [at_y - 0.5, at_x - 0.5], order=1, mode="nearest")  # (P, steps)
    near = seen[:, inwards <= OUTLINE.contrast_depth]
    contrast = near[np.arange(len(near)), np.abs(near).argmax(1)]
    height, width = difference.shape
    inside = (at_x > 0) & (at_x < width) & (at_y > 0) & (at_y < height)
    same = inside & (seen * np.sign(contrast)[:, None] > threshold)
    return contrast, np.logical_and.accumulate(same[:, 1:], axis=1).sum(1) / 2


def extended_edges(points: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points (P, 6) -> further points on the same edges, behind occluders (H, W).

    The direction of an edge is the line through neighbouring points, if they lie on one; at a corner they do not.
    """
    height, width = hidden.shape

    def within(position: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y = np.floor(position[..., 0]).astype(int), np.floor(position[..., 1]).astype(int)
        image = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside: NDArray[np.bool_] = image & hidden[y.clip(0, height - 1), x.clip(0, width - 1)]
        return inside

    apart = points[None, :, :2] - points[:, None, :2]  # (P, P, 2)
    near = np.hypot(apart[..., 0], apart[..., 1]) < OUTLINE.neighbour_distance
    count = np.maximum(near.sum(1), 1)[:, None]
    mean = (near[..., None] * apart).sum(1) / count
    centred = near[..., None] * (apart - mean[:, None])
    spread, axes = np.linalg.eigh(np.einsum("pqi,pqj->pij", centred, centred) / count[..., None])
    straight = (np.sqrt(np.maximum(spread[:, 0], 0)) < OUTLINE.line_tolerance) & (spread[:, 1] > 1.0)
    clean, along, middle = points[straight], axes[straight, :, 1], (points[:, :2] + mean)[straight]
    outward = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    outward *= np.sign((outward * clean[:, 2:4]).sum(-1, keepdims=True))
    steps = np.arange(1.0, OUTLINE.max_extension + 1)
    more = []
    for side in (1.0, -1.0):
        line = middle[:, None] + side * steps[:, None] * along[:, None]  # (P, steps, 2)
        occluded: Any = within(line)
        left = np.cumsum((np.cumsum(occluded, axis=1) > 0) & ~occluded, axis=1) > 0
        use = occluded & ~left & occluded[:, : OUTLINE.max_edge_gap].any(axis=1)[:, None]
        rest = np.concatenate([outward, clean[:, 4:]], axis=-1)[:, None]
        more.append(np.concatenate([line, np.broadcast_to(rest, (*line.shape[:2], rest.shape[-1]))], axis=-1)[use])
    edges = np.concatenate(more)
    # Several points of one edge have the same continuation: one point for each pixel and direction is enough.
    keys = np.column_stack([np.floor(edges[:, :2]), np.round(edges[:, 2:4] * 4)])
    return edges[np.unique(keys, axis=0, return_index=True)[1]]


# Estimates the background of a context, and a grey screen that may move in front of it.
#
# Generic image processing on pixels without colour; nothing is learned here. B clips of C context frames, H x W px.


@dataclass(frozen=True)
class BackgroundChange:
    """Differences between context frames and their background."""

    fill_tolerance: float = 0.02  # grey; the ends of a gap that is filled differ by less
    min_grey: float = 0.04  # grey; pixels that change by more have moved
    holder_frames: int = 2  # context frames at the start, which may show a holder
    min_pixels: int = 12  # of a moving screen
    border_px: float = 1.5  # an edge nearer to the border of the image may be cut by it


CHANGE = BackgroundChange()


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

    moving_screen = MovingScreen(*(tensor([screen[k] for screen in screens]) for k in range(3)))
    moving = tensor(hidden)
    covered = covered | (functional.max_pool2d(moving, 3, stride=1, padding=1) > 0)
    late = min(CHANGE.holder_frames, frames.shape[1] - 1)  # a holder is not part of the background
    covered, frames = covered[:, late:], frames[:, late:]
    image = torch.where(covered[:, :, None], torch.nan, frames).nanmedian(1).values
    return fill_holes(image, covered.all(1)), moving_screen


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
        alike = ((ends[0] - ends[1]).abs().mean(1, keepdim=True) < CHANGE.fill_tolerance) & (
            gap < 10 * image.shape[axis]
        )
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
    if count < CHANGE.holder_frames + 3:
        return nothing
    last, first = grey[-1], grey[CHANGE.holder_frames]
    free = ~(busy[-1] | busy[CHANGE.holder_frames])
    changed = free & (np.abs(last - first) > CHANGE.min_grey)
    common = float(np.median(last))
    if changed.sum() < CHANGE.min_pixels:
        return nothing
    odd = np.abs(last - common) * changed
    if not odd.any():  # what has changed is now as grey as the rest: something went away
        return nothing
    tone = float(np.median(last[changed & (odd > 0.7 * odd.max())]))
    if abs(tone - common) < CHANGE.min_grey:
        return nothing
    alike = (np.abs(grey - tone) < abs(tone - common) / 2) & ~busy  # (C, H, W); its rim are half covered pixels
    masks = np.zeros_like(alike)
    for k in range(count):
        parts, number = label(alike[k])
        touched = np.unique(parts[alike[k] & changed]) if number else np.empty(0, int)
        masks[k] = np.isin(parts, touched[touched > 0])
    if not masks[CHANGE.holder_frames :].any(axis=(1, 2)).all():
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
        seen = position > CHANGE.border_px
        if seen[CHANGE.holder_frames :].all():
            sign = 1.0 if profile is core else -1.0
            slopes.append(sign * float(np.polyfit(frames[seen], position[seen], 1)[0]))
    return float(np.mean(slopes)) if slopes else 0.0


@dataclass(frozen=True)
class SlotLimits:
    """Objects of slots in context frames."""

    min_full_pixels: int = 6  # in a context frame; with fewer, a slot is empty
    full_share: float = 0.7  # of a pixel; from this on it counts as full
    pure_hue_cosine: float = 0.95  # to the hue of a slot; where two objects touch, mixed pixels have a third hue
    hidden_margin: int = 2  # frames around one in which an object is partly hidden
    unseen_share: float = 0.02  # of an object; below this it counts as unseen
    surface_contrast: float = 0.03  # grey


SLOT = SlotLimits()


OccluderMap = Callable[[Tensor], Tensor]  # (B, 3, H, W) -> (B, H, W), see Painter.opacity


@dataclass(frozen=True)
class Slots:
    """B clips of T frames with at most N objects; K colours."""

    centre: Tensor  # (B, T, N, 2) px, 0 where not seen
    weight: Tensor  # (B, T, N) 0..1, how far the centre can be trusted
    unseen: Tensor  # (B, T, N) 0 or 1; nothing of it is visible
    radius: Tensor  # (B, N) px, of a disc of the same area
    reach: Tensor  # (B, N, A) px, see shapes.directional_reach
    round: Tensor  # (B, N) 0 or 1
    shade: Tensor  # (B, N) see shapes.rim_shading
    present: Tensor  # (B, N) 0 or 1
    slot: Tensor  # (B, N) index of the colour
    push: Tensor  # (B, T, N, 3) N s, given before the frame
    background: Tensor  # (B, 3, H, W)
    surface_points: Tensor  # (B, P, 6) see surfaces.outline
    hiding_distance: Tensor  # (B, H, W) px to the nearest pixel where an object would not be visible
    frames: Tensor  # (B,) number of the T frames that exist

    def select(self, index: Tensor) -> Slots:
        """Some of the clips."""
        return Slots(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def first_objects(self, count: int) -> Slots:
        """The first `count` objects of each clip. The others must not be present."""
        axes = {"centre": 2, "weight": 2, "unseen": 2, "push": 2} | dict.fromkeys(
            ("radius", "reach", "round", "shade", "present", "slot"), 1
        )
        whole = {field.name: getattr(self, field.name) for field in fields(self)}
        return Slots(**whole | {name: whole[name].narrow(axis, 0, count) for name, axis in axes.items()})

    def surely_seen(self) -> Slots:
        """The same, with weight 0 in frames within SLOT.hidden_margin of one in which an object is partly hidden.

        The centre of its visible part lags behind there, as if the occluder slowed it down.
        """
        least = -functional.max_pool1d(
            -self.weight.transpose(1, 2), 2 * SLOT.hidden_margin + 1, stride=1, padding=SLOT.hidden_margin
        )
        return replace(self, weight=least.transpose(1, 2))

    def mirrored(self) -> Slots:
        """The same with left and right exchanged, which no law distinguishes."""
        width = self.background.shape[-1]
        other = self.surface_points * self.surface_points.new_tensor([-1, 1, -1, 1, 1, 1])
        other[..., 0] = torch.where(
            self.surface_points[..., 0] > FAR / 2, self.surface_points[..., 0], width - self.surface_points[..., 0]
        )
        turned = (REACH.directions // 2 - torch.arange(REACH.directions, device=self.reach.device)) % REACH.directions
        changed = {
            "centre": torch.stack([width - self.centre[..., 0], self.centre[..., 1]], -1),
            "reach": self.reach[..., turned],
            "push": self.push * self.push.new_tensor([-1, 1, 1]),
            "background": self.background.flip(-1),
            "surface_points": other,
            "hiding_distance": self.hiding_distance.flip(-1),
        }
        return Slots(**{field.name: changed.get(field.name, getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class Appearance:
    """Inputs of drawing besides the slots."""

    masks: Tensor  # (B, N, H, W) share of each pixel that is the object's
    frame: Tensor  # (B, N) of the masks
    screen: MovingScreen


def read_slots(
    segmenter: Segmenter,
    frames: Tensor,
    context: int,
    actions: Tensor | None = None,
    occluders: OccluderMap | None = None,
) -> tuple[Slots, Appearance]:
    """Read the slots of clips.

    Size and shape of an object are those of the context frames that show it whole. Its weight falls in frames in which
    less of it is visible.

    Args:
        segmenter: The learned segmentation.
        frames: (B, T, 3, H, W) 0..1.
        context: Number of frames that the model is given; later ones are for training.
        actions: (B, at least T, 6), or None.
        occluders: Gives the opacity of the background; surfaces are continued behind it. None: nothing is hidden.
    """
    batch, count = frames.shape[:2]
    full = segmenter.maps(frames[:, :context].flatten(0, 1), pure=SLOT.pure_hue_cosine) > SLOT.full_share
    present = full.sum((1, 2)).view(batch, -1, full.shape[-1]).amax(1) >= SLOT.min_full_pixels  # (B, K)
    maps = segmenter.maps(frames.flatten(0, 1), present.repeat_interleave(count, 0))
    mass, centre = mass_and_centres(maps)
    mass, centre = mass.view(batch, count, -1), centre.view(batch, count, -1, 2)
    background, screen = estimate_background(frames[:, :context])
    largest = mass[:, :context].amax(1)  # (B, K)
    most = max(1, int(present.sum(1).max()))
    slot = largest.argsort(dim=1, descending=True, stable=True)[:, :most]
    largest, present = largest.gather(1, slot), present.gather(1, slot).to(mass.dtype)
    mass = mass.gather(2, slot[:, None].expand(-1, count, -1))
    centre = centre.gather(2, slot[:, None, :, None].expand(-1, count, -1, 2))
    known = ~centre.isnan().any(-1)
    whole = ((mass > 0.93 * largest[:, None]) & known).to(mass.dtype)[:, :context]
    area = (mass[:, :context] * whole).sum(1) / whole.sum(1).clamp_min(1)
    share = mass / area.clamp_min(1)[:, None]
    weight = ((share - 0.94) / 0.025).clamp(0, 1) * (share < 1.1) * known * present[:, None]
    centre = centre.nan_to_num(0.0)
    radius = (area / math.pi).sqrt()
    # The appearance is that of the last frame that shows all of an object.
    order = weight[:, :context] + torch.arange(context, device=frames.device)[:, None] / (10 * context)
    best_frame = torch.where(weight[:, :context] > 0.9, order, share[:, :context] / 10).argmax(1)  # (B, N)
    row = torch.arange(batch, device=frames.device)[:, None]
    masks = maps.view(batch, count, *maps.shape[1:])[row, best_frame, :, :, slot]  # (B, N, H, W)
    middle = centre[row, best_frame, torch.arange(most, device=frames.device)]
    reach, is_round = reach_and_roundness(masks, middle, radius)
    push = torch.zeros(batch, count, most, 3, device=frames.device)
    if actions is not None:
        push = pushes_by_object(actions[:, :count].to(push.dtype), segmenter.colours, slot)
    hidden = None if occluders is None else occluders(background)
    slots = Slots(
        centre=centre,
        weight=weight,
        unseen=(share < SLOT.unseen_share) * present[:, None],
        radius=radius,
        reach=reach,
        round=is_round,
        shade=rim_shading(frames.amax(2)[row, best_frame], masks, middle, radius),
        present=present,
        slot=slot,
        push=push,
        background=background,
        surface_points=surface_points(background, hidden),
        hiding_distance=distance_to_hiding(background, hidden, screen),
        frames=torch.full((batch,), count, device=frames.device),
    )
    return slots, Appearance(masks, best_frame, screen)


def surface_points(background: Tensor, hidden: Tensor | None) -> Tensor:
    """Surface points (B, P, 6) of backgrounds (B, 3, H, W), parts of which are `hidden` (B, H, W) by occluders."""
    grey = background.mean(1).cpu().numpy()
    masks = [None] * len(grey) if hidden is None else list(hidden.detach().cpu().numpy() > 0.5)
    points = [
        torch.from_numpy(outline(one, SLOT.surface_contrast, mask)) for one, mask in zip(grey, masks, strict=True)
    ]
    return torch.stack(points).to(background.device)


def distance_to_hiding(background: Tensor, hidden: Tensor | None, screen: MovingScreen) -> Tensor:
    """Distance (B, H, W) in px from occluders and from the border; 0 everywhere in clips with a moving screen."""
    batch, _, height, width = background.shape
    distance = np.zeros((batch, height, width), np.float32)
    for k, cover in enumerate(screen.cover.amax((1, 2)).tolist()):
        if cover == 0:
            seen = np.ones((height + 2, width + 2), bool)
            seen[[0, -1]] = seen[:, [0, -1]] = False
            if hidden is not None:
                seen[1:-1, 1:-1] = hidden[k].detach().cpu().numpy() < 0.5
            distance[k] = distance_transform_edt(seen)[1:-1, 1:-1]
    return torch.from_numpy(distance).to(background.device)


def pushes_by_object(actions: Tensor, colours: Tensor, slot: Tensor) -> Tensor:
    """Actions (B, T, 6), hue as RGB and impulse -> the impulse for the slot of that hue (B, T, N, 3)."""
    hue = functional.normalize(opponent_colours(actions[..., :3]), dim=-1)
    slot_hue = functional.normalize(opponent_colours(colours), dim=-1)[slot]  # (B, N, 2)
    closeness = torch.einsum("btc,bnc->btn", hue, slot_hue)
    return (closeness > 0.9).to(actions.dtype)[..., None] * actions[:, :, None, 3:]


def concatenate(parts: list[Slots]) -> Slots:
    """Concatenate slots along the batch, padded to the most frames and objects."""
    frames = max(part.centre.shape[1] for part in parts)
    count = max(part.centre.shape[2] for part in parts)

    def pad(name: str, value: Tensor, part: Slots) -> Tensor:
        t, n = frames - part.centre.shape[1], count - part.centre.shape[2]
        if name in ("centre", "push"):
            return functional.pad(value, (0, 0, 0, n, 0, t))
        if name in ("weight", "unseen"):
            return functional.pad(value, (0, n, 0, t))
        if name == "reach":
            return functional.pad(value, (0, 0, 0, n))
        return functional.pad(value, (0, n)) if name in ("radius", "round", "present", "slot", "shade") else value

    return Slots(**{f.name: torch.cat([pad(f.name, getattr(p, f.name), p) for p in parts]) for f in fields(Slots)})
