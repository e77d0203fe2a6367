"""Albedo of surfaces as factors around 1, by noise that needs no tables: the same on every machine up to rounding."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.stage import Material

Float = NDArray[np.floating]

BOARD_WIDTH = 0.16  # m, width of a board
BOARD_LENGTH = 2.2  # m
BRICK = (0.24, 0.075)  # m, with its mortar
MORTAR = 0.011  # m
PANEL = 1.2  # m, of panels
JOINT = 3.0  # m, between slabs of concrete
MEAN_PLACES, MEAN_REACH = 1 << 14, 12.0  # m; over which a texture is averaged


def texture(material: Material, u: Float, v: Float) -> Float:
    """Factors (..., 3) on the mean albedo at places u to the right and v up or away (...) m of a surface."""
    make = {
        "boards": _boards,
        "concrete": _concrete,
        "terrazzo": _terrazzo,
        "bricks": _bricks,
        "plaster": _plaster,
        "panels": _panels,
        "plain": _plain,
    }[material.texture]
    return make(material.seed, u, v) * np.where(v < 0, material.front, 1.0)[..., None]


@lru_cache(maxsize=64)
def mean_texture(material: Material) -> tuple[float, float, float]:
    """Mean of the factors over a surface behind the plane of motion, which are near 1: joints are dark."""
    k = np.arange(MEAN_PLACES) + 0.5
    u, v = MEAN_REACH * (k * 0.7548776662466927 % 1.0), MEAN_REACH * (k * 0.5698402909980532 % 1.0)  # spread evenly
    red, green, blue = texture(replace(material, front=1.0), u, v).mean(axis=0).tolist()
    return red, green, blue


def hashed(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> Float:
    """Numbers in [0, 1) that look random, for whole numbers i and j of one shape."""
    table, at, _ = _table(seed, i, j)
    return _hash(seed, i, j) if table is None else np.asarray(table[at])


def _table(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> tuple[Float | None, NDArray[np.int64] | None, int]:
    """The numbers of all cells from the lowest i and j to one beyond the highest, where many places share a cell.

    Returns:
        The numbers as one row, or None where each cell would be used about once; the index in it of each place, and
        by how much that rises with i (by 1 with j).
    """
    if not i.size:
        return None, None, 0
    first, low = int(i.min()), int(j.min())
    many, high = int(i.max()) - first + 2, int(j.max()) - low + 2
    if many * high > i.size:
        return None, None, 0
    cells = _hash(seed, first + np.arange(many)[:, None], low + np.arange(high)[None, :])
    return cells.ravel(), (i - first) * high + (j - low), high


def _hash(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> Float:
    with np.errstate(over="ignore"):
        h = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + j.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        h = h + np.uint64(seed) * np.uint64(0x165667B19E3779F9)
        h = (h ^ (h >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h = h ^ (h >> np.uint64(31))
    return np.asarray((h >> np.uint64(11)).astype(np.float64) / float(1 << 53))


def value_noise(seed: int, u: Float, v: Float) -> Float:
    """Smooth noise in [-1, 1] with cells of 1 m."""
    i, j = np.floor(u), np.floor(v)
    x, y = u - i, v - j
    x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
    a, b = i.astype(np.int64), j.astype(np.int64)
    table, at, step = _table(seed, a, b)
    if table is None or at is None:
        corners = (_hash(seed, a + k, b + m) for m in (0, 1) for k in (0, 1))
    else:
        corners = (table[at + k * step + m] for m in (0, 1) for k in (0, 1))
    low = next(corners) * (1 - x) + next(corners) * x
    high = next(corners) * (1 - x) + next(corners) * x
    return np.asarray(2 * (low * (1 - y) + high * y) - 1)


def octaves(seed: int, u: Float, v: Float, cell: float, count: int, keep: float = 0.5) -> Float:
    """Sum of noises with cells of `cell` m, half, a quarter, ..., each `keep` times as strong."""
    total, weight, whole = np.zeros_like(u), 1.0, 0.0
    for k in range(count):
        scale = 2.0**k / cell
        total += weight * value_noise(seed + 17 * k, u * scale, v * scale)
        whole += weight
        weight *= keep
    return total / whole


def _grey(value: Float) -> Float:
    return np.repeat(value[..., None], 3, axis=-1)


def _plain(seed: int, u: Float, v: Float) -> Float:
    return _grey(1 + 0.05 * octaves(seed, u, v, 0.5, 4) + 0.03 * octaves(seed + 4, u * 40, v * 3, 1.0, 2))


def _joint(distance: Float, width: float) -> Float:
    """1 in a joint of `width` m, falling to 0 over as much again; distance: m from its middle."""
    return np.clip(1.5 - np.abs(distance) / width, 0.0, 1.0)


def _boards(seed: int, u: Float, v: Float) -> Float:
    row = np.floor(v / BOARD_WIDTH)
    shift = hashed(seed, row.astype(np.int64), np.zeros_like(row, dtype=np.int64)) * BOARD_LENGTH
    along = (u + shift) / BOARD_LENGTH
    number = np.floor(along)
    tone = hashed(seed + 1, row.astype(np.int64), number.astype(np.int64)) - 0.5
    warmth = hashed(seed + 2, row.astype(np.int64), number.astype(np.int64)) - 0.5
    offset = 37.0 * hashed(seed + 3, row.astype(np.int64), number.astype(np.int64))
    across = v - row * BOARD_WIDTH
    wave = 0.012 * value_noise(seed + 5, u * 1.3 + offset, row)
    grain = octaves(seed + 7, u * 1.2 + offset, (across + wave) * 26 + offset, 1.0, 3, 0.6)
    fine = octaves(seed + 9, u * 9 + offset, across * 160, 1.0, 2)
    rings = np.sin(2 * np.pi * (across * 34 + 1.5 * octaves(seed + 11, u * 0.9 + offset, across * 7, 1.0, 2) + offset))
    value = 1 + 0.13 * tone + 0.065 * grain + 0.025 * fine + 0.03 * rings
    edge = np.maximum(
        _joint(np.minimum(across, BOARD_WIDTH - across), 0.0025),
        _joint(np.minimum(along - number, 1 - along + number) * BOARD_LENGTH, 0.0025),
    )
    value = value * (1 - 0.5 * edge)
    cast = np.stack([1 + 0.03 * warmth, np.ones_like(warmth), 1 - 0.05 * warmth], axis=-1)
    return np.asarray(value[..., None] * cast)


def _concrete(seed: int, u: Float, v: Float) -> Float:
    cloud = octaves(seed, u, v, 1.7, 5, 0.62)
    speck = octaves(seed + 3, u, v, 0.03, 2)
    pit = np.clip(octaves(seed + 5, u, v, 0.05, 2) - 0.62, 0, 1)
    joints = np.maximum(_grid_joint(u + 0.9, JOINT, 0.005), _grid_joint(v + 0.7, JOINT, 0.005))
    return _grey((1 + 0.13 * cloud + 0.03 * speck - 0.5 * pit) * (1 - 0.45 * joints))


def _grid_joint(x: Float, period: float, width: float) -> Float:
    return _joint(x - np.round(x / period) * period, width)


def _terrazzo(seed: int, u: Float, v: Float) -> Float:
    cell = 0.022
    i, j = np.floor(u / cell).astype(np.int64), np.floor(v / cell).astype(np.int64)
    chip = hashed(seed, i, j)
    shade = np.where(chip > 0.8, 0.13 * (hashed(seed + 1, i, j) - 0.6), 0.0)
    joints = np.maximum(_grid_joint(u + 0.3, 1.0, 0.003), _grid_joint(v + 0.3, 1.0, 0.003))
    return _grey((1 + shade + 0.05 * octaves(seed + 2, u, v, 1.2, 4)) * (1 - 0.3 * joints))


def _bricks(seed: int, u: Float, v: Float) -> Float:
    wide, high = BRICK
    row = np.floor(v / high)
    column = np.floor(u / wide + 0.5 * (row % 2))
    x = (u / wide + 0.5 * (row % 2) - column) * wide
    y = v - row * high
    i, j = row.astype(np.int64), column.astype(np.int64)
    tone = hashed(seed, i, j) - 0.5
    rough = octaves(seed + 1, u, v, 0.05, 3, 0.6)
    wobble = 0.0025 * value_noise(seed + 4, u * 30, v * 30)
    depth = np.minimum(np.minimum(x, wide - x), np.minimum(y, high - y)) + wobble
    mortar = np.clip((MORTAR - depth) / 0.006, 0.0, 1.0)
    # Painted bricks: joints lie deeper, the upper edge of a brick catches light, what lies below it is in its shade.
    lit = np.clip(1 - np.abs(high - y - MORTAR) / 0.007, 0, 1) - np.clip(1 - np.abs(y - MORTAR) / 0.009, 0, 1)
    paint = octaves(seed + 8, u, v, 1.4, 4)
    return _grey(1 + 0.09 * tone + 0.05 * rough + 0.05 * paint - 0.17 * mortar + 0.07 * lit * (1 - mortar))


def _plaster(seed: int, u: Float, v: Float) -> Float:
    cloud = octaves(seed, u, v, 1.3, 5, 0.55)
    trowel = octaves(seed + 3, u * 0.5 + 0.3 * v, v, 0.12, 3)
    speck = octaves(seed + 5, u, v, 0.015, 2)
    return _grey(1 + 0.055 * cloud + 0.035 * trowel + 0.03 * speck)


def _panels(seed: int, u: Float, v: Float) -> Float:
    i, j = np.floor(u / PANEL).astype(np.int64), np.floor(v / PANEL).astype(np.int64)
    tone = hashed(seed, i, j) - 0.5
    joints = np.maximum(
        _joint(np.minimum(u - i * PANEL, (i + 1) * PANEL - u), 0.004),
        _joint(np.minimum(v - j * PANEL, (j + 1) * PANEL - v), 0.004),
    )
    du = np.minimum(u - i * PANEL, (i + 1) * PANEL - u) - 0.25
    dv = np.minimum(v - j * PANEL, (j + 1) * PANEL - v) - 0.25
    hole = np.clip(1.4 - np.hypot(du, dv) / 0.018, 0, 1)
    cloud = octaves(seed + 2, u, v, 0.9, 5, 0.6)
    return _grey((1 + 0.05 * tone + 0.10 * cloud) * (1 - 0.4 * joints) * (1 - 0.35 * hole))
