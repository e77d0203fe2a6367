"""Colours of frames: hues in the opponent plane, masks, means, sharpness. Shading and grey keep the angle of a hue.

A pixel's opponent colour is o = (R - (G + B) / 2, sqrt(3) / 2 (G - B)) in 8-bit levels. Maps hold the two whole numbers
a = 2 R - G - B and b = G - B, so that sums over pixels are exact on every device: o = (a / 2, sqrt(3) / 2 b).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Image, Mask
from physbench.world.renderer import AMBIENT, DIFFUSE
from physbench.world.scene import PALETTE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Colours of frames as planes, pooled: an innermost axis of 3 is slow to reduce.


def mean_planes(frames: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """Mean levels (3, N, H // factor, W // factor) of squares of `factor` px of frames (N, H, W, 3).

    Rows and columns beyond the last whole square are left out. Levels are added up as whole numbers: that is exact, as
    sums of so few of them in float32 are, and many times faster.
    """
    height, width = (side // factor for side in frames.shape[1:3])
    kind = np.uint16 if factor <= 16 else np.uint32  # 16 * 16 * 255 < 2^16
    total = np.zeros((3, len(frames), height, width), dtype=kind)
    for n, frame in enumerate(frames):  # one by one, so that sums of rows stay in the processor's cache
        rows = frame[: height * factor].reshape(height, factor, 3 * frame.shape[1]).sum(axis=1, dtype=kind)
        pixels = rows.reshape(height, frame.shape[1], 3)[:, : width * factor]
        for channel in range(3):
            for column in range(factor):
                total[channel, n] += pixels[:, column::factor, channel]
    return total.astype(np.float32) / np.float32(factor * factor)


HUED = 30  # levels between the colours of a pixel of a body

# Masks of frames.


def dilated(mask: Mask, reach: int) -> Mask:
    """A mask (T, H, W) dilated by `reach` px in rows and columns."""
    frames, height, width = mask.shape
    # Flat, with empty rows and columns between: shifts of one piece of memory are several times faster than of many.
    wide = np.zeros((frames, height + reach, width + reach), dtype=bool)
    wide[:, :height, :width] = mask
    flat = wide.ravel()
    for by in (1, width + reach):
        grown = flat.copy()
        for step in range(by, reach * by + 1, by):
            grown[step:] |= flat[:-step]
            grown[:-step] |= flat[step:]
        flat = grown
        if by == 1:  # what ran over into the columns between
            flat.reshape(wide.shape)[:, :, width:] = False
    return flat.reshape(wide.shape)[:, :height, :width]


@dataclass(frozen=True)
class HueLimits:
    """Limits on the colour of a pixel within which it tells its object."""

    least: float = 40.0  # levels of chroma; below, a pixel has no hue
    core: float = 0.25  # of an object's chroma; below, a pixel is no core of it
    tolerance_deg: float = 0.375 * 360 / len(PALETTE)  # further from every hue of the scene: unknown
    # Sharpening leaves a rim of the opposite hue around an object, at a straight edge of up to half its chroma per
    # 100 %. The hues of the palette lie further than the tolerance from each other's opposites.
    halo: float = 0.6  # of an object's chroma; what is weaker and of the opposite hue is such a rim


HUES = HueLimits()
SHADE = AMBIENT + DIFFUSE * 2 / 3  # mean light over a ball that is lit from the camera
AMBIENT_SHARE, DIFFUSE_SHARE = AMBIENT / SHADE, DIFFUSE / SHADE

TABLE_HALF_STEPS = 160  # half side of the table, in steps; holds 510 levels of a and a cast of 100
TABLE_STEP_A, TABLE_STEP_B = 4, 2  # whole numbers per step of the table
TABLE_SIDE = 2 * TABLE_HALF_STEPS


def opponent(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB (..., 3) -> opponent colour (..., 2) in the same unit."""
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    return np.stack([red - (green + blue) / 2, math.sqrt(3) / 2 * (green - blue)], axis=-1)


UNKNOWN_HUE = 128  # label of a hue that the scene does not hold; object k has the label 1 << k, a pixel without hue 0


@dataclass(frozen=True, eq=False)
class Colours:
    """Colours of K objects as the tracker knows them."""

    hue: NDArray[np.float64]  # (K, 2) unit vectors in the opponent plane
    chroma: NDArray[np.float64]  # (K,) levels, of a shaded ball of the palette's colour
    table: Tensor  # (TABLE_SIDE * TABLE_SIDE,) u8 label of (a / TABLE_STEP_A, b / TABLE_STEP_B)
    duals: Tensor  # (K, K + 1, 2) weights of (a, b) that give the part along hue k without hue j; j = K: projection

    @property
    def count(self) -> int:
        return len(self.hue)


@lru_cache(maxsize=64)
def colours_of(hues: tuple[int, ...], device: torch.device) -> Colours:
    """Build the tables for objects of these palette hues, all different."""
    import torch

    vectors = opponent(np.asarray([PALETTE[hue] for hue in hues], dtype=np.float64).reshape(-1, 3)) * 255
    chroma = np.linalg.norm(vectors, axis=-1) * SHADE
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return Colours(
        hue=unit,
        chroma=chroma,
        table=torch.from_numpy(_label_table(unit, chroma)).to(device),
        duals=torch.from_numpy(_dual_vectors(unit).astype(np.float32)).to(device),
    )


@cache
def _plane() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Opponent colours (TABLE_SIDE, TABLE_SIDE, 2) of the entries of a table, in levels, and their sizes."""
    steps = np.arange(TABLE_SIDE) - TABLE_HALF_STEPS
    a, b = np.meshgrid(steps * TABLE_STEP_A, steps * TABLE_STEP_B, indexing="ij")
    plane = np.stack([a / 2, math.sqrt(3) / 2 * b], axis=-1)
    return plane, np.linalg.norm(plane, axis=-1)


def _label_table(unit: NDArray[np.float64], chroma: NDArray[np.float64]) -> NDArray[np.uint8]:
    plane, size = _plane()
    label = np.where(size >= HUES.least, UNKNOWN_HUE, 0)
    if len(unit):
        along = np.ascontiguousarray(np.moveaxis(plane @ unit.T, -1, 0))  # (K, ...): an innermost axis of K is slow
        most, least = along.max(axis=0), size * math.cos(math.radians(HUES.tolerance_deg))
        best, halo = np.zeros(size.shape, dtype=np.int64), np.zeros(size.shape, dtype=bool)
        for k in reversed(range(len(unit))):  # the first of equals is the best
            best[along[k] == most] = k
            halo |= (along[k] <= -least) & (size < HUES.halo * chroma[k])
        near = most >= least
        label = np.where(halo & ~near, 0, label)
        label = np.where(near & (label > 0), np.where(size >= HUES.core * chroma[best], 1 << best, 0), label)
    return np.asarray(label, dtype=np.uint8).reshape(-1)


def _dual_vectors(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of (a, b): along[k] = a * w[..., 0] + b * w[..., 1] in levels of chroma."""
    count = len(unit)
    duals = np.repeat(unit[:, None, :], count + 1, axis=1)  # projection onto the own hue
    for k in range(count):
        for j in range(count):
            across = np.array([-unit[j, 1], unit[j, 0]])
            parallel = float(across @ unit[k])
            if j != k and abs(parallel) > math.sin(math.radians(30)):
                duals[k, j] = across / parallel
    return np.asarray(duals * np.array([0.5, math.sqrt(3) / 2]))


def labels(a: Tensor, b: Tensor, table: Tensor, area: int = 1) -> Tensor:
    """Label maps (...) u8 of opponent maps (...), whole numbers summed over `area` pixels, int16 or float32."""
    import torch

    if a.dtype == torch.int16 and area & (area - 1) == 0:  # shifts instead of divisions, with the same result
        by = area.bit_length() - 1
        row = (a + TABLE_HALF_STEPS * TABLE_STEP_A * area + TABLE_STEP_A * area // 2) >> (
            by + TABLE_STEP_A.bit_length() - 1
        )
        column = (b + TABLE_HALF_STEPS * TABLE_STEP_B * area + TABLE_STEP_B * area // 2) >> (
            by + TABLE_STEP_B.bit_length() - 1
        )
    else:
        row = (a.to(torch.float32) / (TABLE_STEP_A * area) + (TABLE_HALF_STEPS + 0.5)).to(torch.int16)
        column = (b.to(torch.float32) / (TABLE_STEP_B * area) + (TABLE_HALF_STEPS + 0.5)).to(torch.int16)
    index = row.to(torch.int32).mul_(TABLE_SIDE).add_(column.to(torch.int32))
    return table.index_select(0, index.view(-1)).view(a.shape)


def hue_shift_deg(a: NDArray[np.float64], b: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees -180..180 from the unit vector of the object's own hue to opponent colours (...)."""
    x, y = a / 2, math.sqrt(3) / 2 * b
    along, across = x * unit[0] + y * unit[1], y * unit[0] - x * unit[1]
    return np.asarray(np.degrees(np.arctan2(across, along)))


SAMPLED_FRAMES = 16  # evenly spaced over a prediction
MIN_COLOUR = 40  # levels between the largest and the smallest channel; greys have none

Scalar = TypeVar("Scalar", bound=np.generic)


def frame_indices(count: int) -> NDArray[np.intp]:
    """Indices of at most SAMPLED_FRAMES of `count` frames, evenly spaced, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).round().astype(np.intp))


def colour_mask(frames: Image) -> Mask:
    """Mask (..., H, W) of coloured pixels of frames (..., H, W, 3)."""
    return np.asarray(over_channels(np.maximum, frames) - over_channels(np.minimum, frames) >= MIN_COLOUR)


def over_channels(combine: np.ufunc, pixels: NDArray[Scalar]) -> NDArray[Scalar]:
    """Channels of pixels (..., H, W, 3), reduced by `combine` to (..., H, W), in their type.

    All neighbours in memory are combined, of which every third is kept: an axis of 3 is slow to reduce, and bytes that
    lie apart are slow to read.
    """
    flat = pixels.reshape(-1)
    pairs = combine(flat[:-1], flat[1:])
    return np.asarray(combine(pairs[:-1], flat[2:])[::3]).reshape(pixels.shape[:-1])


def levels_apart(one: Image, other: Image) -> Image:
    """|one - other| of levels, without a wider type."""
    apart = np.maximum(one, other)
    apart -= np.minimum(one, other)
    return np.asarray(apart)


def squares_apart(one: Image, other: Image) -> NDArray[np.float32]:
    """(one - other)^2 of levels; as whole numbers below 2^16 they are made in less memory than as floats."""
    apart = levels_apart(one, other)
    return np.multiply(apart, apart, dtype=np.uint16).astype(np.float32)


def mean_squared_gradient(frames: Image, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean squared difference (n,) of neighbouring pixels, over rows, columns and channels.

    Of `chosen` (n,) of frames (T, H, W, 3).
    """
    gradients = []
    for frame in map(frames.__getitem__, chosen):  # one by one: the differences stay in the processor's cache
        across, down = squares_apart(frame[:, 1:], frame[:, :-1]), squares_apart(frame[1:], frame[:-1])
        gradients.append((np.mean(across) + np.mean(down)) / 2)
    return np.asarray(gradients, np.float64)
