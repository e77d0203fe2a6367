"""From frames to blobs: small label maps, their components, and which blob is which object.

Runs on the host in numpy; positions of ground truth are never used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import measure
from torch import Tensor

from physbench.support.arrays import Array, Whole
from physbench.track.colour import UNKNOWN_HUE, Colours, labels

# From frames to small label maps: integer pooling, the colour cast of the background, a filter for noisy frames.
#
# All sums are of whole numbers, so that no order of summation, batch or thread count changes a result.


@dataclass(frozen=True)
class CastSample:
    """Sample of a frame's pixels that tells its colour cast."""

    limit: tuple[int, int] = (100, 50)  # whole numbers a, b; a stronger cast is left in
    window: tuple[int, int] = (32, 18)  # around the median: what counts as background
    stride: int = 5
    sample_stride: int = 17  # odd, as `stride`, so that samples fall on pixels of every parity
    samples: int = 300  # pixels of a frame, about


CAST = CastSample()


def pooling(height: int, width: int, side: int) -> int:
    """Whole factor that brings the shorter side near `side`."""
    return max(1, round(min(height, width) / side))


def coarse_factor(frames: Tensor) -> int:
    """By what factor frames (N, H, W, 3) become small maps."""
    return pooling(frames.shape[1], frames.shape[2], 64)  # px of the shorter side of small maps


def pool(frames: Tensor, factor: int) -> Tensor:
    """Sum squares of `factor` pixels: (N, H, W, 3) u8 -> (N, ceil(H / factor), ceil(W / factor), 3) int32 or int16."""
    if factor == 1:
        return frames
    kind = torch.int16 if factor <= 7 else torch.int32  # 7 * 7 * 2 * 255 < 2^15, with a cast of 100
    height, width = frames.shape[1:3]
    down, right = -height % factor, -width % factor
    if down or right:  # repeat the last row and column
        frames = torch.cat([frames, frames[:, -1:].expand(-1, down, -1, -1)], 1) if down else frames
        frames = torch.cat([frames, frames[:, :, -1:].expand(-1, -1, right, -1)], 2) if right else frames
    rows = frames[:, 0::factor].to(kind)
    for i in range(1, factor):
        rows.add_(frames[:, i::factor])
    # Of the sums of all neighbours in memory every `factor`-th is kept: along an innermost axis of 3 adding is slow.
    flat, (count, height, width) = rows.flatten(), rows.shape[:3]
    size = max(len(flat) - 3 * (factor - 1), 0)
    total = flat[:size] + flat[3 : 3 + size]
    for i in range(2, factor):
        total.add_(flat[3 * i : 3 * i + size])
    shape, strides = (count, height, width // factor, 3), (3 * height * width, 3 * width, 3 * factor, 1)
    kept, pooled = total.as_strided(shape, strides), total.new_empty(shape)
    for channel in range(3):
        pooled[..., channel] = kept[..., channel]
    return pooled


def shrink(frames: Tensor) -> tuple[Tensor, int]:
    """Frames at the size that tracking works at, u8, and the factor by which they were pooled."""
    height, width = frames.shape[1:3]
    factor = min(height, width) // 256  # px; frames of 512 and more are tracked at about this size
    if factor <= 1:
        return frames, 1
    total = pool(frames, factor).to(torch.int32)
    area = factor * factor
    return torch.div(total + area // 2, area, rounding_mode="floor").to(torch.uint8), factor


def smooth(frames: Tensor) -> Tensor:
    """Binomial filter (1, 4, 6, 4, 1) / 16 along rows and columns, standard deviation 1 px; (N, H, W, 3) u8 -> u8."""
    total = frames.to(torch.int16)
    for axis in (1, 2):
        size = total.shape[axis]
        first, last = total.narrow(axis, 0, 1), total.narrow(axis, size - 1, 1)
        padded = torch.cat([first, first, total, last, last], axis)
        part = [padded.narrow(axis, i, size) for i in range(5)]
        total = part[0] + part[4] + 4 * (part[1] + part[3]) + 6 * part[2]
        total = (total + 8) >> 4
    return total.to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Coarse:
    """Small maps of a batch of frames."""

    frames: Tensor  # (N, H, W, 3) u8, filtered where noisy
    pooled: Tensor  # (N, h, w, 3) sums over factor^2 px of these
    labels: Tensor  # (N, h, w) u8, see colour.UNKNOWN_HUE
    cast: Tensor  # (N, 2) int16: a and b of the background
    noise: Tensor  # (N,) float32, levels of chroma noise per axis before filtering
    grey: Tensor  # (N,) u8, median green: the background's brightness
    factor: int  # px per pixel of the small maps
    filtered: bool  # some frame was


def coarse(frames: Tensor, colours: Colours) -> Coarse:
    """Label pooled maps of (N, H, W, 3) u8. One transfer from the device: whether any frame is noisy."""
    factor = coarse_factor(frames)
    pooled = pool(frames, factor)
    map_a, map_b = _opponent_maps(pooled)
    cast = _cast(map_a, map_b, factor)
    noise, grey = _noise(frames, cast)
    noisy = noise > 12.0  # levels of chroma noise; above, a frame is filtered first
    filtered = bool(noisy.any())
    if filtered:
        index = noisy.nonzero()[:, 0]
        frames = frames.clone()
        frames[index] = smooth(frames[index])
        small = pool(frames[index], factor)
        pooled = pooled.clone() if factor == 1 else pooled
        pooled[index] = small
        map_a[index], map_b[index] = _opponent_maps(small)
        cast[index] = _cast(map_a[index], map_b[index], factor)
    area = factor * factor
    shift = (cast.to(map_a.dtype) * area)[:, :, None, None]
    label = labels(map_a - shift[:, 0], map_b - shift[:, 1], colours.table, area)
    return Coarse(frames, pooled, label, cast, noise, grey, factor, filtered)


def _opponent_maps(pooled: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers a and b (N, h, w) of summed pixels, in the type of the sums; int16 holds those of 7 x 7 pixels."""
    red, green, blue = (pooled.to(torch.int16) if pooled.dtype == torch.uint8 else pooled).unbind(-1)
    return (red - green).add_(red - blue), green - blue


def _cast(map_a: Tensor, map_b: Tensor, factor: int) -> Tensor:
    """Mean a and b (N, 2) of the pixels near the median colour, rounded: objects cover less than half of a frame."""
    area = factor * factor
    flat_a = map_a.flatten(1)[:, :: CAST.stride].to(torch.float32)
    flat_b = map_b.flatten(1)[:, :: CAST.stride].to(torch.float32)
    middle_a = flat_a[:, :: CAST.stride].median(dim=1, keepdim=True).values
    middle_b = flat_b[:, :: CAST.stride].median(dim=1, keepdim=True).values
    near = (flat_a - middle_a).abs_().lt_(CAST.window[0] * area)
    near *= (flat_b - middle_b).abs_().lt_(CAST.window[1] * area)
    count = near.sum(1).clamp(min=1).to(torch.float64) * area
    cast_a = (flat_a * near).sum(1, dtype=torch.float64) / count
    cast_b = (flat_b * near).sum(1, dtype=torch.float64) / count
    cast = torch.stack(
        [cast_a.clamp(-CAST.limit[0], CAST.limit[0]), cast_b.clamp(-CAST.limit[1], CAST.limit[1])], dim=1
    )
    return cast.round().to(torch.int16)


def _noise(frames: Tensor, cast: Tensor) -> tuple[Tensor, Tensor]:
    """Levels of chroma noise per axis (N,) and green (N,) u8, medians of sampled pixels, which objects hardly move."""
    pixels = frames.flatten(1, 2)
    sample = pixels[:, :: max(CAST.sample_stride, pixels.shape[1] // CAST.samples // 2 * 2 + 1)]
    red, green, blue = sample.to(torch.float32).unbind(-1)
    a, b = 2 * red - green - blue - cast[:, :1], green - blue - cast[:, 1:]
    square = a * a * 0.25 + b * b * 0.75
    return (square.median(dim=1).values / 1.386).sqrt(), green.median(dim=1).values.to(torch.uint8)


@dataclass(frozen=True)
class BlobLimits:
    """Blobs that count."""

    min_area: float = 3.0  # pixels of the label map; fewer are noise
    duplicate: float = 0.3  # of an object's area; a further blob of its hue is a duplicate from here on
    hallucination: float = 0.3  # of the smallest object's area
    competitor: float = 0.05  # of an object's area; smaller blobs beside it are noise
    same_reach: float = 1.4  # radii: two parts of a ball behind a post lie nearer than this, two balls do not
    min_duration: float = 0.2  # s; an unknown or missing blob that lasts less is a flicker: 3 frames at 15 frames/s


BLOB = BlobLimits()


OBJECT_OF = np.array([UNKNOWN_HUE if bits >= UNKNOWN_HUE else int(bits).bit_length() for bits in range(256)])


@dataclass(frozen=True, eq=False)
class Components:
    """Connected areas of one label, by frame."""

    frame: Whole  # (M,)
    label: Whole  # (M,) k + 1 for object k, UNKNOWN_HUE for an unknown hue
    area: Array  # (M,) px
    centre: Array  # (M, 2) px
    where: Whole  # (Q,) labelled pixels of the maps, flat over (N, h, w)
    number: Whole  # (Q,) their component


@dataclass(frozen=True, eq=False)
class Choice:
    """The blob that is the object, per frame and object."""

    area: Array  # (N, K) px, 0 where there is none
    centre: Array  # (N, K, 2) px, NaN where there is none
    competitor: Array  # (N, K, 2) px, centre of the nearest other blob of its hue, NaN where there is none
    duplicates: NDArray[np.uint8]  # (N, K)
    hallucinations: NDArray[np.uint8]  # (N,)
    known: NDArray[np.bool_]  # (M,) components that are objects, or that are counted as duplicates or unknown hues


def components(labels: NDArray[np.uint8], factor: int) -> Components:
    """Components (8-connected, one label each) of label maps (N, h, w); areas and centres in px of the frames.

    The maps are laid below one another with an empty row between, so that one call labels all frames and hues.
    """
    count, height, width = labels.shape
    tall = np.zeros((count, height + 1, width), dtype=np.uint8)
    tall[:, :height] = labels
    tall = tall.reshape(-1, width)
    where = np.flatnonzero(tall)
    if not len(where):
        none = np.zeros(0, np.int64)
        return Components(none, none, np.zeros(0), np.zeros((0, 2)), none, none)
    connected: NDArray[np.int64] = measure.label(tall, background=0, connectivity=2)  # type: ignore[no-untyped-call]
    number = connected.ravel()[where].astype(np.int64) - 1
    row, column = np.divmod(where, width)
    pixels = np.bincount(number)
    first = np.zeros(len(pixels), dtype=np.int64)
    first[number[::-1]] = where[::-1]  # one pixel of each
    frame = first // (width * (height + 1))
    x = np.bincount(number, column) / pixels + 0.5
    y = np.bincount(number, row) / pixels + 0.5 - frame * (height + 1)
    area = pixels.astype(np.float64) * factor**2
    places = where - where // (width * (height + 1)) * width  # without the empty rows
    return Components(frame, OBJECT_OF[tall.ravel()[first]], area, np.stack([x, y], axis=-1) * factor, places, number)


def lasting_frames(fps: float) -> int:
    """Frames in a row that make up `BLOB.min_duration`, at least two."""
    return max(2, math.ceil(BLOB.min_duration * fps - 1e-6))


def choose(
    regions: Components, frames: int, full_area: Array, outline_radius: Array, factor: int, fps: float
) -> Choice:
    """Follow each object: the one nearest to where it was last of the larger blobs of its hue, else the largest.

    full_area (K,) px: the objects' own areas. outline_radius (K,) px: of the circles of their outlines.
    """
    objects = len(full_area)
    area = np.zeros((frames, objects))
    centre = np.full((frames, objects, 2), np.nan)
    competitor = np.full((frames, objects, 2), np.nan)
    duplicates = np.zeros((frames, objects), dtype=np.uint8)
    spurious = _spurious(regions, full_area)
    count = _hallucinations(regions, frames, spurious, lasting_frames(fps))
    choice = Choice(area, centre, competitor, duplicates, count, spurious)
    for k in range(objects):
        mine = np.flatnonzero((regions.label == k + 1) & (regions.area >= BLOB.min_area * factor**2))
        if len(mine):
            in_order = mine[np.argsort(regions.frame[mine], kind="stable")]
            _follow(regions, in_order, full_area[k], BLOB.same_reach * outline_radius[k], k, choice)
    return choice


def _follow(regions: Components, mine: Whole, full: float, reach: float, k: int, choice: Choice) -> None:
    area, centre = choice.area[:, k], choice.centre[:, k]
    frame = regions.frame[mine]
    start = np.flatnonzero(np.diff(frame, prepend=-1))
    stop = np.append(start[1:], len(mine))
    single = stop - start == 1
    alone = mine[start[single]]
    choice.known[alone] = True
    area[frame[start[single]]] = regions.area[alone]
    centre[frame[start[single]]] = regions.centre[alone]
    for i in np.flatnonzero(~single):  # in order of time
        t = frame[start[i]]
        here = mine[start[i] : stop[i]]
        sizes, places = regions.area[here], regions.centre[here]
        main = int(sizes.argmax())
        before = np.flatnonzero(area[:t])
        if len(before):
            large = np.flatnonzero(sizes >= min(BLOB.duplicate * full, 0.5 * sizes[main]))
            main = int(large[np.linalg.norm(places[large] - centre[before[-1]], axis=-1).argmin()])
        away = np.linalg.norm(places - places[main], axis=-1)
        parts = away <= reach
        area[t] = sizes[parts].sum()
        centre[t] = (places[parts] * sizes[parts, None]).sum(0) / area[t]
        twins = ~parts & (sizes >= BLOB.duplicate * full)
        choice.known[here[parts | twins]] = True
        choice.duplicates[t, k] = min(255, int(twins.sum()))
        competitors = np.flatnonzero(~parts & (sizes >= BLOB.competitor * full))
        if len(competitors):
            choice.competitor[t, k] = places[competitors[away[competitors].argmin()]]


def _spurious(regions: Components, full_area: Array) -> NDArray[np.bool_]:
    """Components (M,) of unknown hue that are large enough to count."""
    if not len(full_area):
        return np.zeros(len(regions.label), dtype=bool)
    return np.asarray((regions.label == UNKNOWN_HUE) & (regions.area >= BLOB.hallucination * full_area.min()))


def _hallucinations(regions: Components, frames: int, spurious: NDArray[np.bool_], least: int) -> NDArray[np.uint8]:
    """Blobs of unknown hue (N,), counted where some are seen in at least `least` frames in a row."""
    count = np.bincount(regions.frame[spurious], minlength=frames)
    return np.where(long_runs(count > 0, least), np.minimum(count, 255), 0).astype(np.uint8)


def known_places(regions: Components, choice: Choice, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Mask of known pixels on the small maps (N, h, w)."""
    places = np.zeros(shape, dtype=bool)
    places.ravel()[regions.where[choice.known[regions.number]]] = True
    return places


def long_runs(flags: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Keep only True values (N,) in runs of at least `least` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    kept = np.zeros(len(flags), dtype=bool)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        kept[start:stop] = stop - start >= least
    return kept
