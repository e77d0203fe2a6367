"""Full resolution around one object: its mass, centre, hue and neighbours, and the cumulants of its outline.

Masks are uint8 maps of 0 and 1: bitwise operations on them are several times faster than comparisons to bool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor

from physbench.support.arrays import Array, Mask
from physbench.track.colour import Colours, labels
from physbench.world.scene import BACKGROUND_GREY, FLOOR_GREY, SCREEN_GREY

# Shapes that no blur changes: what the cumulants of a blob say of its outline, and how far that is from its own.
#
# A blurred picture is the sharp one convolved with a kernel, and cumulants add up in a convolution. A kernel that is
# alike in all directions has none of the harmonics below, so that blur, sharpening and the filters of codecs leave them
# as they are, however strong. With z = x + iy from the centroid, brackets for means weighted by chroma, and R the
# radius of the disc of the body's area:
#
#     two-fold    <z^2> / R^2                                  0 of a disc, 0.133 of an ellipse of 1.3 : 1
#     three-fold  <z^3> / R^3                                  0 of a disc, 0.376 of an equilateral triangle
#     four-fold   (<z^4> - 3 <z^2>^2) / R^4                    0 of a disc, 0.164 of a square
#
# Their sizes do not change when the body turns.


HARMONICS = ("two_x", "two_y", "three", "four")  # columns; the first with its direction, of the others the size
# What counts as another shape: an ellipse of 1.3 : 1 instead of a disc, half a triangle, a square.
HARMONIC_UNITS = np.array([0.133, 0.188, 0.164])
SHUTTERS = np.linspace(0.0, 1.0, 5)  # shares of the time between frames for which a frame may be exposed
GHOSTS = np.linspace(0.1, 0.4, 4)  # shares of a frame that may show the one before


@dataclass(frozen=True)
class ShapeLimits:
    """Bodies whose shape is judged, and what counts as another one."""

    least: float = 0.5  # of HARMONIC_UNITS
    # px of radius times these units, that a codec may make: more than `least` of balls below 9 px
    least_px: float = 4.6
    # px over the radius: so many standard deviations of noise are added; that of codecs goes together
    noise_reach: float = 30.0
    most_noise_sd: float = 0.1  # of these units, that noise makes; what is less certain is not judged
    least_radius: float = 3.5  # px; smaller bodies have no shape
    whole_alone: tuple[float, float] = (0.75, 1.3)  # of its area; what is smaller or larger is told by its size
    whole_beside: tuple[float, float] = (0.96, 1.06)  # the same where something is beside it, which may hide a part


SHAPE = ShapeLimits()


def harmonics(weight: Tensor, radius: float) -> Tensor:
    """Harmonics (M, 4) float64, see HARMONICS, of blobs with whole weights (M, P, Q), of bodies of `radius` px.

    All sums are of whole numbers below 2^53: they come out alike in any order.
    """
    tall, wide = weight.shape[1:]
    across, down = (torch.arange(n, device=weight.device, dtype=torch.float64) - n // 2 for n in (wide, tall))
    powers = [torch.stack([axis**p for p in range(5)], dim=1) for axis in (across, down)]
    raw = powers[1].T @ (weight.to(torch.float64) @ powers[0])  # (M, 5, 5): powers of y, powers of x
    total = raw[:, 0, 0]
    mean = raw / torch.where(total > 0, total, 1.0)[:, None, None]
    x, y = mean[:, 0, 1], mean[:, 1, 0]
    # <z^n> about the origin, then about the centroid: a polynomial in z alone shifts by the binomial theorem.
    about = [_complex_moment(mean, n) for n in range(5)]
    back = _powers(torch.complex(-x, -y))
    two, three, four = (
        torch.stack([math.comb(n, j) * about[j] * back[n - j] for j in range(n + 1)]).sum(0) for n in (2, 3, 4)
    )
    four = four - 3 * two * two
    return torch.stack([two.real / radius**2, two.imag / radius**2, three.abs() / radius**3, four.abs() / radius**4], 1)


def _complex_moment(mean: Tensor, n: int) -> Tensor:
    """Mean (M,) of (x + iy)^n, from means (M, 5, 5) of y^q x^p."""
    return torch.stack([math.comb(n, q) * 1j**q * mean[:, q, n - q] for q in range(n + 1)]).sum(0)


def _powers(z: Tensor) -> list[Tensor]:
    """Powers 0 to 4 of complex numbers (M,)."""
    square = z * z
    return [torch.ones_like(z), z, square, square * z, square * square]


def deviation(seen: Array, own: Array, moved: Array, radius: float) -> Array:
    """Distance (N,) of outlines from a body's own: 1 is another shape, see HARMONIC_UNITS.

    seen (N, 4): harmonics; own (3,): sizes of its own. moved (N, 2) px: its motion from one frame to the next, NaN
    where it is not known. What a shutter that is open for a part of that time makes of it is no other shape: a streak
    of length L adds L^2 / 12 to the two-fold harmonic, in its direction. Nor is a body with a pale copy of where it was
    a frame before.
    """
    step = np.nan_to_num(moved[:, 0] + 1j * moved[:, 1]) / radius
    far = np.abs(step)
    pair = GHOSTS * (1 - GHOSTS)  # cumulants of two points, with the weights of a body and of its ghost
    spread = np.concatenate([SHUTTERS**2 / 12, pair])[:, None]
    skew = np.concatenate([np.zeros(len(SHUTTERS)), pair * (1 - 2 * GHOSTS)])[:, None]
    peak = np.concatenate([np.zeros(len(SHUTTERS)), pair * np.abs(1 - 6 * pair)])[:, None]
    two = np.abs(np.abs(seen[:, 0] + 1j * seen[:, 1] - spread * step**2) - own[0])
    three, four = np.abs(seen[:, 2] - own[1] - skew * far**3), np.abs(seen[:, 3] - own[2] - peak * far**4)
    off = np.stack([two, three, four], axis=-1)  # (S + G, N, 3)
    return np.asarray(np.linalg.norm(off / HARMONIC_UNITS, axis=-1).min(axis=0))


def noise_sd(noise: Array, mass: Array, region: Array, radius: float) -> Array:
    """Standard deviation (N,) of the deviation that white noise of some levels makes in regions of some px."""
    reach = np.sqrt(region / np.pi) / radius
    of_harmonic = [np.sqrt(2 * np.pi / (2 * n + 2)) * reach ** (n + 1) * radius for n in (2, 3, 4)]
    spread = np.linalg.norm(np.stack(of_harmonic, axis=-1) / HARMONIC_UNITS, axis=-1)
    return np.asarray(noise / np.maximum(mass, 1e-9) * spread)


def shape_change(
    seen: Array, sd: Array, place: Array, whole: Mask, learnt: Mask, sphere: bool, radius: float, window: int
) -> Array:
    """Distance (N,) of a body's shape from its own: above 1 it is another one; NaN where that is not judged.

    seen (N, 4): harmonics, with the sd (N,) that noise makes of their deviation; place (N, 2) px. whole (N,): frames
    that show all of it. learnt (N,): those of them that show its own shape; without any, a ball is a disc and nothing
    else is judged. A median over `window` judged frames keeps what lasts.
    """
    change = np.full(len(seen), np.nan)
    sizes = np.stack([np.hypot(seen[:, 0], seen[:, 1]), seen[:, 2], seen[:, 3]], axis=1)
    judged = np.flatnonzero(whole & (sd < SHAPE.most_noise_sd))
    if radius < SHAPE.least_radius or not len(judged) or not (learnt.any() or sphere):
        return change
    own = np.median(sizes[learnt], axis=0) if learnt.any() else np.zeros(3)
    moved = np.gradient(place, axis=0) if len(place) > 1 else np.full(place.shape, np.nan)
    least = max(SHAPE.least, SHAPE.least_px / radius)
    off = deviation(seen, own, moved, radius) / (least + SHAPE.noise_reach / radius * sd)
    # As a column: rows longer than the data overrun memory in scipy 1.15's filter of one axis (scipy issue 22250).
    change[judged] = median_filter(off[judged, None], (window, 1), mode="nearest")[:, 0]
    return change


HALF_SIDE = (1.1, 3.7)  # of a patch: times the radius, plus px
# A pixel without hue and darker than this share of the background is a screen (.6 of it; the floor .9).
SCREEN_BRIGHTNESS = (SCREEN_GREY / BACKGROUND_GREY + FLOOR_GREY / BACKGROUND_GREY) / 2
FLOOR_LEVELS = 6  # levels of the floor's own within which a pixel is floor: half of what bodies stand out by


@dataclass(frozen=True)
class InsideLimits:
    """Inside of a blob, whose chroma is the plateau."""

    edge_share: float = 0.3  # of the radius, around it
    least_radius: float = 8.0  # px of radius
    least_core: int = 4  # px


INSIDE = InsideLimits()


LEAST_FACE = 0.2  # chroma of the faintest face of a body that is no ball, over that of its inside; half is ground
COVER_STEPS = 1024  # steps of a pixel's coverage, so that sums are exact
STEPS_PER_LEVEL = 16  # steps per level of chroma: masses are whole numbers, their sums exact
BATCH_PIXELS = 200_000  # of patches that are measured together on a CPU: near its cache, and few calls


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
    "plateau",  # levels of chroma of its inside
    "footprint",  # px within the outline at half of the plateau
    "touch",  # px of other hues and screens within reach
    "border",  # core px at the border of the image
    "noise",  # levels of chroma around the object
    *HARMONICS,
)


@dataclass(frozen=True, eq=False)
class Patches:
    """Maps around one object in M frames: (M, P, P), row y, column x."""

    along: Tensor  # float32, chroma along the object's hue in 1 / STEPS_PER_LEVEL levels, whole numbers
    core: Tensor  # u8
    region: Tensor  # u8, what belongs to the object
    other: Tensor  # u8, hues that are not the object's
    screen: Tensor  # u8
    origin: Tensor  # (M, 2) float64 px, x and y of the first pixel's left upper corner
    stats: Tensor  # (M, S) float64, see STATS

    def select(self, index: Tensor) -> Patches:
        """Some of the frames."""
        return Patches(*(part[index] for part in self._parts()))

    def _parts(self) -> tuple[Tensor, ...]:
        return self.along, self.core, self.region, self.other, self.screen, self.origin, self.stats


def concatenated(many: Sequence[Patches]) -> Patches:
    """Patches of one size, one after the other."""
    if len(many) == 1:
        return many[0]
    return Patches(*(torch.cat(part) for part in zip(*(one._parts() for one in many), strict=True)))


def windows(maps: Tensor, tall: int, wide: int, index: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Cut windows out of maps (N, H, W) or (N, H, W, 3): (M, tall, wide) or (M, 3, tall, wide).

    numpy copies rows where torch copies elements: it does it where both see the same memory.
    """
    if maps.device.type == "cpu":
        view = np.lib.stride_tricks.sliding_window_view(maps.numpy(), (tall, wide), (1, 2))
        return torch.from_numpy(view[index.numpy(), top.numpy(), left.numpy()])
    return maps.unfold(1, tall, 1).unfold(2, wide, 1)[index, top, left]


def dilate(mask: Tensor, reach: int) -> Tensor:
    """Grow a mask (M, P, P) by `reach` px to all eight sides."""
    length = 2 * reach + 1
    for axis in (1, 2):
        size = mask.shape[axis]
        shape = list(mask.shape)
        shape[axis] += 2 * reach
        grown = mask.new_zeros(shape)
        grown.narrow(axis, reach, size).copy_(mask)
        done = 1  # pixels that have been joined: 1, 2, 4, ... length
        while done < length:
            step = min(done, length - done)
            rest = grown.shape[axis] - step
            grown = grown.narrow(axis, 0, rest) | grown.narrow(axis, step, rest)
            done += step
        mask = grown
    return mask


def patch_radius(radius: float) -> float:
    """Radius in px of the disc around an object that is looked at."""
    return HALF_SIDE[0] * radius + HALF_SIDE[1]


def patch_area(radius: float) -> float:
    """Area of that disc in px."""
    return math.pi * patch_radius(radius) ** 2


@dataclass(frozen=True, eq=False)
class Video:
    """Frames with what is known of them."""

    frames: Tensor  # (N, H, W, 3) u8
    cast: Tensor  # (N, 2) int16: a and b of the background
    grey: Tensor  # (N,) u8, its brightness
    screens: Tensor  # (H, W) u8, where ground truth's background has a screen
    colours: Colours
    floor: float | None = None  # its brightness over that of the background, where bodies are seen before it


def measure(
    video: Video,
    index: NDArray[np.int64],
    centre: NDArray[np.float64],
    competitor: NDArray[np.float64],
    k: int,
    radius: float,
    shape: str,
    reach: float = 0.0,
) -> Patches:
    """Measure object k in the frames `index` (M,), near `centre` (M, 2) px; M > 0.

    competitor (M, 2) px: another blob of its hue, NaN where there is none; what lies nearer to that does not count.
    radius px: of the disc of its area. reach px: how far the object extends, where that is further than such a disc.
    """
    device = video.frames.device
    # Of what is cut off at both ends the half-pixels of an edge move the centroid; without, they cancel.
    limit = patch_radius(radius)
    if reach > limit:
        limit = reach + HALF_SIDE[1]
    step = len(index) if device.type != "cpu" else max(1, BATCH_PIXELS // (2 * math.ceil(limit) + 1) ** 2)
    middle = np.floor(centre).astype(np.int64)
    parts = []
    for i in range(0, len(index), step):
        where = slice(i, i + step)
        away = competitor[where] - centre[where] if np.isfinite(competitor[where]).any() else None
        parts.append(
            _measure(
                video,
                torch.from_numpy(index[where]).to(device),
                torch.from_numpy(middle[where]).to(device),
                None
                if away is None
                else torch.from_numpy(np.nan_to_num(away, nan=1e6)).to(device, torch.float32),  # px: there is none
                k,
                radius,
                shape,
                limit,
            )
        )
    return concatenated(parts)


def _measure(
    video: Video, index: Tensor, middle: Tensor, competitor: Tensor | None, k: int, radius: float, shape: str,
    limit: float,
) -> Patches:  # fmt: skip
    """`measure` for some frames; limit px: radius of the disc that is looked at."""
    height, width = video.frames.shape[1:3]
    half = math.ceil(limit)
    tall, wide = min(2 * half + 1, height), min(2 * half + 1, width)
    # Patches stay inside the image, so that nothing has to be padded; what belongs to the object is cut by distance.
    left = (middle[:, 0] - half).clamp(0, width - wide)
    top = (middle[:, 1] - half).clamp(0, height - tall)
    nought = torch.zeros_like(index)
    disc = _disc(limit, half).to(index.device)[None]
    near = windows(disc, tall, wide, nought, top - middle[:, 1] + 3 * half, left - middle[:, 0] + 3 * half)
    if competitor is not None:
        near = near & _nearer(tall, wide, middle[:, 0] - left, middle[:, 1] - top, competitor)
    red, green, blue = windows(video.frames, tall, wide, index, top, left).unbind(1)
    bright = torch.maximum(torch.maximum(red, green), blue)
    red, green, blue = red.to(torch.int16), green.to(torch.int16), blue.to(torch.int16)
    cast = video.cast[index]
    map_a = (red - green).add_(red - blue).sub_(cast[:, 0, None, None])
    map_b = (green - blue).sub_(cast[:, 1, None, None])
    label = labels(map_a, map_b, video.colours.table)
    bit = 1 << k
    grey = label.clamp(max=1).bitwise_xor_(1)
    core = (label & bit).clamp_(max=1).bitwise_and_(near)
    others = label & (255 - bit)
    other = others.clamp(max=1)
    darkest = (video.grey[index].to(torch.float32) * SCREEN_BRIGHTNESS).to(torch.uint8)[:, None, None]
    floor = None if video.floor is None else is_floor(bright, video.floor * video.grey[index, None, None])
    dark = bright.lt_(darkest)
    if floor is not None:
        dark.bitwise_and_(floor.logical_not_())
    dark.bitwise_or_(windows(video.screens[None], tall, wide, nought, top, left))
    screen = dark.bitwise_and_(grey)
    reach = dilate(core, 3)  # px around the core that belong to the object: its blurred edge

    neighbour = _neighbour(label, other, k, video.colours.count)
    weight = video.colours.duals[k, neighbour] * STEPS_PER_LEVEL  # (M, 2)
    float_a, float_b = map_a.to(torch.float32), map_b.to(torch.float32)
    along = (float_a * weight[:, :1, None]).add_(float_b * weight[:, 1:, None]).round_()
    third = (others & (255 - (1 << neighbour)).to(torch.uint8)[:, None, None]).clamp_(max=1)
    region = third.bitwise_xor_(1).bitwise_and_(reach).bitwise_and_(near)

    outside = ((grey & ~screen)[:, ::4] & ~reach[:, ::4]).bitwise_and_(1).to(torch.float32)
    square = (along[:, ::4] * outside).square_().sum((1, 2))
    noise = (square / outside.sum((1, 2)).clamp(min=1)).sqrt() / STEPS_PER_LEVEL
    touch = (other | screen).bitwise_and_(reach).to(torch.float32).sum((1, 2))
    border = _border(core, top == 0, left == 0, top == height - tall, left == width - wide)
    stats = _stats(along, core, region.to(torch.float32), float_a, float_b, shape, radius)
    origin = torch.stack([left, top], dim=1).to(torch.float64)
    stats[:, 1:3] += origin
    beside = torch.stack([touch, border, noise], dim=1).to(torch.float64)
    stats = torch.cat([stats, beside, harmonics(along * region, radius)], dim=1)
    return Patches(along, core, region, other, screen, origin, stats)


def is_floor(bright: Tensor, level: Tensor | float) -> Tensor:
    """Mask of pixels (...) u8 that are as bright as a floor of `level`."""
    return (bright.to(torch.float32) - level).abs() <= FLOOR_LEVELS


@lru_cache(maxsize=256)
def _disc(limit: float, half: int) -> Tensor:
    """Disc that may belong to an object around the middle of a map (6 half + 1)^2 u8: patches at a border are cut."""
    x = torch.arange(6 * half + 1) - 3 * half
    return (x * x + (x * x)[:, None] <= limit * limit).to(torch.uint8)


def _nearer(tall: int, wide: int, x: Tensor, y: Tensor, competitor: Tensor) -> Tensor:
    """Pixels (M, P, P) u8 nearer to the places (x, y) (M,) px within the patch than to `competitor` (M, 2) px."""
    across = torch.arange(wide, device=x.device, dtype=torch.float32) - x[:, None]
    down = torch.arange(tall, device=x.device, dtype=torch.float32) - y[:, None]
    along = across[:, None, :] * competitor[:, :1, None] + down[:, :, None] * competitor[:, 1:, None]
    return (along < (competitor * competitor).sum(1)[:, None, None] / 2).to(torch.uint8)


def _neighbour(label: Tensor, other: Tensor, k: int, count: int) -> Tensor:
    """Most frequent other hue of the scene in each patch (M,); `count` where there is none."""
    none = torch.full((len(label),), count, dtype=torch.int64, device=label.device)
    if count < 2 or not bool(other.any()):
        return none
    counts = torch.stack([(label >> j).bitwise_and_(1).to(torch.float32).sum((1, 2)) for j in range(count)], dim=1)
    counts[:, k] = 0
    most, j = counts.max(dim=1)
    return torch.where(most >= 3, j, none)


def _stats(
    along: Tensor, core: Tensor, region: Tensor, map_a: Tensor, map_b: Tensor, shape: str, radius: float
) -> Tensor:
    """Columns "mass" to "footprint" of STATS (M, 12), places in px within the patch."""
    weight = along * region
    plateau = _plateau(along, core, radius)
    footprint = _footprint(weight, plateau)
    core = core.to(torch.float32)
    # Weights are whole numbers below 2^13 and a row is shorter than 2^10: sums over it are exact in float32.
    columns, rows = weight.sum(1).to(torch.float64), weight.sum(2).to(torch.float64)
    mass = columns.sum(1) / STEPS_PER_LEVEL
    if shape != "sphere":  # faces of a box differ in shade: coverage instead of chroma
        most = torch.nn.functional.max_pool2d(weight[:, None], 5, stride=1, padding=2)[:, 0]
        # What has nothing as strong as a face within 2 px is ground: a white balance tints whatever is bright.
        least = (LEAST_FACE * plateau).clamp(min=STEPS_PER_LEVEL).to(torch.float32)[:, None, None]
        body = (2 * most / least - 1).clamp_(0.0, 1.0)
        weight = (weight / most.clamp(min=STEPS_PER_LEVEL)).clamp_(0.0, 1.0).mul_(body).mul_(COVER_STEPS).round_()
        columns, rows = weight.sum(1).to(torch.float64), weight.sum(2).to(torch.float64)
    x = torch.arange(weight.shape[2], device=weight.device, dtype=torch.float64) + 0.5
    y = torch.arange(weight.shape[1], device=weight.device, dtype=torch.float64) + 0.5
    total = columns.sum(1)
    safe = torch.where(total > 0, total, 1.0)
    centre_x, centre_y = (columns * x).sum(1) / safe, (rows * y).sum(1) / safe
    dx, dy = x - centre_x[:, None], y - centre_y[:, None]
    moment_x, moment_y = (columns * dx * dx).sum(1) / safe, (rows * dy * dy).sum(1) / safe
    moment = ((weight * x.to(torch.float32)).sum(2).to(torch.float64) * dy).sum(1) / safe
    sums = [core.sum((1, 2)), (map_a * core).sum((1, 2)), (map_b * core).sum((1, 2)), region.sum((1, 2))]
    measured = [mass, centre_x, centre_y, moment_x, moment_y, moment, *(part.to(torch.float64) for part in sums)]
    return torch.stack([*measured, plateau / STEPS_PER_LEVEL, footprint], dim=1)


def _plateau(along: Tensor, core: Tensor, radius: float) -> Tensor:
    """Chroma (M,) float64 of the inside of blobs of some radius, in the steps of `along`.

    The inside lies away from the edge, which may be blurred, or sharpened so that it is stronger than the rest. A blob
    of less than `least_radius` px has no such part: there it is the mean of what lies above the mean of what lies above
    the mean of the core, about the upper quartile.
    """
    if radius >= INSIDE.least_radius:
        inner = dilate(core ^ 1, round(INSIDE.edge_share * radius)) ^ 1
        few = inner.to(torch.float32).sum((1, 2)) < INSIDE.least_core
        return _mean(along, torch.where(few[:, None, None], core, inner).to(torch.float32))
    whole = core.to(torch.float32)
    inside = whole
    for _ in range(2):
        inside = whole * (along >= _mean(along, inside).to(torch.float32)[:, None, None])
    return _mean(along, inside)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (M,) float64 of whole numbers (M, P, P) where a mask of as many 0 and 1, float32, is 1; 0 for none."""
    total = (values * mask).sum(2).to(torch.float64).sum(1)
    return total / mask.sum((1, 2)).to(torch.float64).clamp(min=1)


def _footprint(weight: Tensor, plateau: Tensor) -> Tensor:
    """Area (M,) px, float64, within the outline at half of the plateau, whatever the colour's strength."""
    level = plateau.clamp(min=STEPS_PER_LEVEL).to(torch.float32)[:, None, None]
    # 1.2: share of an object that a pixel at half of the plateau gains per plateau. 1 would count the noise around it;
    # 2 counts whole pixels, whose number jumps by 3 % at a radius of 5 px.
    cover = (weight / level).sub_(0.5).mul_(1.2).add_(0.5).clamp_(0.0, 1.0).mul_(COVER_STEPS).round_()
    return cover.sum(2).to(torch.float64).sum(1) / COVER_STEPS


def _border(core: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Core pixels (M,) in the outermost rows and columns of the image, for patches that reach them."""
    rows = core[:, 0].sum(1) * top + core[:, -1].sum(1) * bottom
    columns = core[:, :, 0].sum(1) * left + core[:, :, -1].sum(1) * right
    return (rows + columns).to(torch.float32)
