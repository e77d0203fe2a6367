"""Full resolution around one object in many frames: what belongs to it, its mass, centre, hue and what it touches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physbench.tracks.colour import Colours, labels

REACH = 3  # px around the core that belong to the object: its blurred edge
MARGIN = (1.15, 4.0)  # patch half side: times the radius, plus px
DARK = 96  # levels; a pixel without hue and below is a screen (SCREEN_GREY is 76, the floor 115)
LEVELS = 16  # steps per level of chroma: masses are whole numbers, their sums exact

# Columns of `Patches.stats`.
STATS = (
    "mass",  # levels of chroma
    "x",  # px
    "y",
    "xx",  # px^2 about the centre
    "yy",
    "xy",
    "core",  # px
    "core_a",
    "core_b",
    "region",  # px
    "other",  # px of other hues within reach
    "screen",  # px of screens within reach
    "border",  # core px at the border of the image
    "noise",  # levels of chroma around the object
)


@dataclass(frozen=True, eq=False)
class Patches:
    """Maps around one object in M frames: (M, P, P), row y, column x."""

    along: Tensor  # float32 levels of chroma along the object's hue, in steps of 1 / LEVELS
    core: Tensor  # bool
    region: Tensor  # bool
    other: Tensor  # bool, hues that are not the object's
    screen: Tensor  # bool
    origin: Tensor  # (M, 2) float64 px, x and y of the first pixel's left upper corner
    stats: Tensor  # (M, S) float64, see STATS

    def select(self, index: Tensor) -> Patches:
        """Some of the frames."""
        parts = (self.along, self.core, self.region, self.other, self.screen, self.origin, self.stats)
        return Patches(*(part[index] for part in parts))


def dilate(mask: Tensor, reach: int) -> Tensor:
    """Grow a mask (M, P, P) by `reach` px to all eight sides."""
    for axis in (1, 2):
        grown = mask.clone()
        done = 0
        while done < reach:
            step = min(done + 1, reach - done)  # 1, 2, 4, ... as far as what has grown allows
            size = mask.shape[axis] - step
            if size <= 0:
                break
            before = grown.clone()
            grown.narrow(axis, step, size).logical_or_(before.narrow(axis, 0, size))
            grown.narrow(axis, 0, size).logical_or_(before.narrow(axis, step, size))
            done += step
        mask = grown
    return mask


def half_side(radius: float) -> int:
    """Half side in px of the patch around an object."""
    return math.ceil(MARGIN[0] * radius + MARGIN[1])


def patch_area(radius: float) -> float:
    """Area in px of the disc around an object that is looked at."""
    return math.pi * (MARGIN[0] * radius + MARGIN[1]) ** 2


def measure(
    frames: Tensor,
    cast: Tensor,
    screens: Tensor,
    index: Tensor,
    centre: Tensor,
    k: int,
    radius: float,
    shape: str,
    colours: Colours,
) -> Patches:
    """Measure object k in the frames `index` (M,), near `centre` (M, 2) px.

    frames (N, H, W, 3) u8; cast (N, 2) of the background; screens (H, W) bool, known from ground truth's background.
    """
    height, width = frames.shape[1:3]
    half = half_side(radius)
    tall, wide = min(2 * half + 1, height), min(2 * half + 1, width)
    # The patch stays inside the image, so that nothing has to be padded; what belongs to the object is cut by distance.
    left = (centre[:, 0].floor().to(torch.int64) - half).clamp(0, width - wide)
    top = (centre[:, 1].floor().to(torch.int64) - half).clamp(0, height - tall)
    colour = frames.unfold(1, tall, 1).unfold(2, wide, 1)[index, top, left]  # (M, 3, P, P)
    red, green, blue = colour.to(torch.float32).unbind(1)
    shift = cast[index]
    map_a = 2 * red - green - blue - shift[:, 0, None, None]
    map_b = green - blue - shift[:, 1, None, None]
    label = labels(map_a, map_b, colours.table)

    x = torch.arange(wide, device=frames.device, dtype=torch.float32) + 0.5
    y = torch.arange(tall, device=frames.device, dtype=torch.float32) + 0.5
    across = x + (left[:, None] - centre[:, :1]).to(torch.float32)
    down = y + (top[:, None] - centre[:, 1:]).to(torch.float32)
    limit = MARGIN[0] * radius + MARGIN[1]
    near = (across * across)[:, None, :] + (down * down)[:, :, None] <= limit * limit

    core = (label == k + 1) & near
    other = (label > 0) & (label != k + 1)
    dark = colour.amax(1) < DARK
    screen = (dark | screens.unfold(0, tall, 1).unfold(1, wide, 1)[top, left]) & (label == 0)
    reach = dilate(core, REACH)

    neighbour = _neighbour(label, other, k, colours.count)
    weight = colours.duals[k, neighbour]  # (M, 2)
    along = map_a * weight[:, 0, None, None] + map_b * weight[:, 1, None, None]
    along = (along * LEVELS).round() / LEVELS
    third = other & (label != (neighbour + 1).to(torch.uint8)[:, None, None])
    region = reach & near & ~third
    stats = _stats(along, core, region, map_a, map_b, x, y, shape)
    edges = _edges(core, top == 0, left == 0, top == height - tall, left == width - wide)
    outside = (label == 0) & ~reach & ~screen
    square = (along * along * outside).sum((1, 2), dtype=torch.float64)
    noise = (square / outside.sum((1, 2)).clamp(min=1)).sqrt()
    touch = [(reach & other).sum((1, 2)), (reach & screen).sum((1, 2)), edges]
    origin = torch.stack([left, top], dim=1).to(torch.float64)
    stats = torch.cat([stats, torch.stack([t.to(torch.float64) for t in touch] + [noise], dim=1)], dim=1)
    stats[:, 1:3] += origin
    return Patches(along, core, region, other, screen, origin, stats)


def _neighbour(label: Tensor, other: Tensor, k: int, count: int) -> Tensor:
    """Most frequent other hue of the scene in each patch (M,); `count` where there is none."""
    none = torch.full((len(label),), count, dtype=torch.int64, device=label.device)
    if count < 2 or not bool(other.any()):
        return none
    counts = torch.stack([(label == j + 1).sum((1, 2)) for j in range(count)], dim=1)
    counts[:, k] = 0
    most, j = counts.max(dim=1)
    return torch.where(most >= 3, j, none)


def _stats(
    along: Tensor, core: Tensor, region: Tensor, map_a: Tensor, map_b: Tensor, x: Tensor, y: Tensor, shape: str
) -> Tensor:
    weight = along * region
    mass = weight.sum((1, 2), dtype=torch.float64)
    if shape != "sphere":  # faces of a box differ in shade: coverage instead of chroma
        most = torch.nn.functional.max_pool2d(weight[:, None], 5, stride=1, padding=2)[:, 0]
        weight = ((weight / most.clamp(min=1.0)).clamp(0.0, 1.0) * 1024).round()
    # Weights are whole multiples of 1 / 16 below 2^13, sums over a row below 2^24 steps: exact in float32.
    columns, rows = weight.sum(1).to(torch.float64), weight.sum(2).to(torch.float64)
    far_x, far_y = x.to(torch.float64), y.to(torch.float64)
    total = columns.sum(1)
    safe = torch.where(total > 0, total, 1.0)
    centre_x, centre_y = (columns * far_x).sum(1) / safe, (rows * far_y).sum(1) / safe
    dx, dy = far_x - centre_x[:, None], far_y - centre_y[:, None]
    moment_x, moment_y = (columns * dx * dx).sum(1) / safe, (rows * dy * dy).sum(1) / safe
    moment = ((weight * x).sum(2).to(torch.float64) * dy).sum(1) / safe
    sizes = [core.sum((1, 2)), (map_a * core).sum((1, 2), dtype=torch.float64)]
    sizes += [(map_b * core).sum((1, 2), dtype=torch.float64), region.sum((1, 2))]
    columns_out = [mass, centre_x, centre_y, moment_x, moment_y, moment] + [s.to(torch.float64) for s in sizes]
    return torch.stack(columns_out, dim=1)


def _edges(core: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Core pixels (M,) in the outermost rows and columns of the image, for patches that reach them."""
    return (
        core[:, 0].sum(1) * top
        + core[:, -1].sum(1) * bottom
        + core[:, :, 0].sum(1) * left
        + core[:, :, -1].sum(1) * right
    )
