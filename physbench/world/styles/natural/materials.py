"""Surfaces of the natural look: textures, a night sky, a door.

It stands beside the square that all pictures of a task show, so that only wide ones have it. It is grey, since what has
a hue is taken for a body, and nowhere dark, since what is dark is taken for a screen.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Real
from physbench.world.camera import eye, looking, picture_width, pixels_per_metre, px_from_world
from physbench.world.geometry import rotate
from physbench.world.scene import WINDOW, Camera, RenderSpec
from physbench.world.styles.natural.stage import Door, Material, Stage, linear

# Albedo of surfaces as factors around 1, by noise that needs no tables: the same on every machine up to rounding.


@dataclass(frozen=True)
class Patterns:
    """Sizes of what repeats on a surface."""

    board_width: float = 0.16  # m
    board_length: float = 2.2  # m
    brick: tuple[float, float] = (0.24, 0.075)  # m, with its mortar
    mortar: float = 0.011  # m
    panel: float = 1.2  # m, of panels
    joint: float = 3.0  # m, between slabs of concrete
    mark: float = 0.08  # m, half the side of a piece of tape
    mark_spacing: float = 1.8  # m; one lies in every square of this side
    mark_tone: float = 0.75  # albedo of tape over that of what it sticks to


PATTERN = Patterns()


MEAN_REACH = 12.0  # m, over which a texture is averaged


def texture(material: Material, u: Real, v: Real) -> Real:
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
    value = make(material.seed, u, v) * np.where(v < 0, material.front, 1.0)[..., None]
    return value * _marked(material.seed, u, v) if material.marks else value


def _marked(seed: int, u: Real, v: Real) -> Real:
    """Factors (..., 1) of squares of tape, no two alike placed, so that no shift takes them to each other."""
    i, j = (np.floor(place / PATTERN.mark_spacing).astype(np.int64) for place in (u, v))
    room = PATTERN.mark_spacing - 2 * PATTERN.mark
    x, y = (
        place - cell * PATTERN.mark_spacing - PATTERN.mark - room * hashed(seed + way, i, j)
        for place, cell, way in ((u, i, 61), (v, j, 62))
    )
    taped = np.maximum(np.abs(x), np.abs(y)) < PATTERN.mark
    return np.where(taped, PATTERN.mark_tone, 1.0)[..., None]


@dataclass(frozen=True)
class BallMarks:
    """Seams of a ball from pole to pole, with gores between them: they show how it rolls, and keep its hue."""

    gores: int = 6  # even
    seam: float = 0.025  # rad, half of the width
    soft: float = 0.03  # rad, over which a seam ends
    seam_tone: float = 0.82  # factors on the albedo
    gore_tone: float = 0.03  # every other one is lighter, and darker, by this share
    pole: float = 0.16  # rad, radius of a patch
    wear: float = 0.14  # share by which patches of a used ball are lighter and darker


MARK = BallMarks()


def ball_marks(seed: int, places: Real) -> Real:
    """Factors (P,) on the albedo of a ball at unit vectors (P, 3) from its middle, in its own axes."""
    nought = np.zeros(1, dtype=np.int64)
    slant = 0.5 + hashed(2000 + seed, nought, nought)[0]  # rad, of the poles to the axis z
    x, y = places[:, 0], np.cos(slant) * places[:, 1] - np.sin(slant) * places[:, 2]
    across = np.hypot(x, y)
    turns = np.arctan2(y, x) * MARK.gores / (2 * np.pi)
    gore = np.floor(turns)
    away = np.minimum(turns - gore, gore + 1 - turns) * 2 * np.pi / MARK.gores * across  # rad from a seam
    tone = 1 + MARK.gore_tone * np.where(gore % 2, 1.0, -1.0) * np.clip(away / MARK.soft, 0.0, 1.0)
    seam = np.clip(1 - (away - MARK.seam) / MARK.soft, 0.0, 1.0)
    patch = np.clip(1 - (across - MARK.pole) / MARK.soft, 0.0, 1.0)
    wear = octaves(3000 + seed, 5 * places[:, 0] + 2 * places[:, 2], 5 * places[:, 1] - 3 * places[:, 2], 1.0, 4, 0.7)
    return np.asarray(tone * (1 + MARK.wear * wear) * (1 - (1 - MARK.seam_tone) * np.maximum(seam, patch)))


@dataclass(frozen=True)
class FramedCloth:
    """A screen: dark throughout, as a tracker knows it by that, and yet a frame with cloth in it."""

    frame: float = 0.05  # m, width
    tone: float = 1.4  # factor on the albedo: up to a level of 0.33 with grain
    joint: float = 0.012  # m, of the shade beside the frame
    shade: float = 0.5
    folds: float = 0.17  # m from one fold to the next
    depth: float = 0.14  # by how much folds are lighter and darker


CLOTH = FramedCloth()


def framed_cloth(seed: int, half: Real, local: Real, facing: NDArray[np.int64]) -> Real:
    """Factors (P,) of a framed cloth of half extents (3,) m at its points (P, 3) m, on faces across axes (P,)."""
    inside = half - np.abs(local)
    inside = np.where(np.arange(3) == facing[:, None], np.inf, inside).min(axis=-1)  # m from the edge of the face
    across = np.where(facing == 0, local[:, 1], local[:, 0])
    wander = value_noise(seed + 7, across / 0.4, local[:, 2] / 2.5)
    cloth = 1 + CLOTH.depth * np.sin(2 * np.pi * (across / CLOTH.folds + 0.35 * wander))
    cloth *= np.where(inside < CLOTH.frame + CLOTH.joint, CLOTH.shade, 1.0)
    return np.asarray(np.where(inside < CLOTH.frame, CLOTH.tone, cloth))


@lru_cache(maxsize=1024)  # a curved board has a hundred materials
def mean_texture(material: Material) -> tuple[float, float, float]:
    """Mean of the factors over a surface behind the plane of motion, which are near 1: joints are dark."""
    k = np.arange(1 << 14) + 0.5  # places
    u, v = MEAN_REACH * (k * 0.7548776662466927 % 1.0), MEAN_REACH * (k * 0.5698402909980532 % 1.0)  # spread evenly
    red, green, blue = texture(replace(material, front=1.0), u, v).mean(axis=0).tolist()
    return red, green, blue


def hashed(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> Real:
    """Numbers in [0, 1) that look random, for whole numbers i and j of one shape."""
    table, at, _ = _table(seed, i, j)
    return _hash(seed, i, j) if table is None else np.asarray(table[at])


def _table(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> tuple[Real | None, NDArray[np.int64] | None, int]:
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


def _hash(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> Real:
    with np.errstate(over="ignore"):
        h = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + j.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        h = h + np.uint64(seed) * np.uint64(0x165667B19E3779F9)
        h = (h ^ (h >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h = h ^ (h >> np.uint64(31))
    return np.asarray((h >> np.uint64(11)).astype(np.float64) / float(1 << 53))


def value_noise(seed: int, u: Real, v: Real) -> Real:
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


def octaves(seed: int, u: Real, v: Real, cell: float, count: int, keep: float = 0.5) -> Real:
    """Sum of noises with cells of `cell` m, half, a quarter, ..., each `keep` times as strong."""
    total, weight, whole = np.zeros_like(u), 1.0, 0.0
    for k in range(count):
        scale = 2.0**k / cell
        total += weight * value_noise(seed + 17 * k, u * scale, v * scale)
        whole += weight
        weight *= keep
    return total / whole


def _grey(value: Real) -> Real:
    return np.repeat(value[..., None], 3, axis=-1)


def _plain(seed: int, u: Real, v: Real) -> Real:
    return _grey(1 + 0.05 * octaves(seed, u, v, 0.5, 4) + 0.03 * octaves(seed + 4, u * 40, v * 3, 1.0, 2))


def _joint(distance: Real, width: float) -> Real:
    """1 in a joint of `width` m, falling to 0 over as much again; distance: m from its middle."""
    return np.clip(1.5 - np.abs(distance) / width, 0.0, 1.0)


def _boards(seed: int, u: Real, v: Real) -> Real:
    row = np.floor(v / PATTERN.board_width)
    shift = hashed(seed, row.astype(np.int64), np.zeros_like(row, dtype=np.int64)) * PATTERN.board_length
    along = (u + shift) / PATTERN.board_length
    number = np.floor(along)
    tone = hashed(seed + 1, row.astype(np.int64), number.astype(np.int64)) - 0.5
    warmth = hashed(seed + 2, row.astype(np.int64), number.astype(np.int64)) - 0.5
    offset = 37.0 * hashed(seed + 3, row.astype(np.int64), number.astype(np.int64))
    across = v - row * PATTERN.board_width
    wave = 0.012 * value_noise(seed + 5, u * 1.3 + offset, row)
    grain = octaves(seed + 7, u * 1.2 + offset, (across + wave) * 26 + offset, 1.0, 3, 0.6)
    fine = octaves(seed + 9, u * 9 + offset, across * 160, 1.0, 2)
    rings = np.sin(2 * np.pi * (across * 34 + 1.5 * octaves(seed + 11, u * 0.9 + offset, across * 7, 1.0, 2) + offset))
    value = 1 + 0.13 * tone + 0.065 * grain + 0.025 * fine + 0.03 * rings
    edge = np.maximum(
        _joint(np.minimum(across, PATTERN.board_width - across), 0.0025),
        _joint(np.minimum(along - number, 1 - along + number) * PATTERN.board_length, 0.0025),
    )
    value = value * (1 - 0.5 * edge)
    cast = np.stack([1 + 0.03 * warmth, np.ones_like(warmth), 1 - 0.05 * warmth], axis=-1)
    return np.asarray(value[..., None] * cast)


def _concrete(seed: int, u: Real, v: Real) -> Real:
    cloud = octaves(seed, u, v, 1.7, 5, 0.62)
    speck = octaves(seed + 3, u, v, 0.03, 2)
    pit = np.clip(octaves(seed + 5, u, v, 0.05, 2) - 0.62, 0, 1)
    joints = np.maximum(_grid_joint(u + 0.9, PATTERN.joint, 0.005), _grid_joint(v + 0.7, PATTERN.joint, 0.005))
    return _grey((1 + 0.13 * cloud + 0.03 * speck - 0.5 * pit) * (1 - 0.45 * joints))


def _grid_joint(x: Real, period: float, width: float) -> Real:
    return _joint(x - np.round(x / period) * period, width)


def _terrazzo(seed: int, u: Real, v: Real) -> Real:
    cell = 0.022
    i, j = np.floor(u / cell).astype(np.int64), np.floor(v / cell).astype(np.int64)
    chip = hashed(seed, i, j)
    shade = np.where(chip > 0.8, 0.13 * (hashed(seed + 1, i, j) - 0.6), 0.0)
    joints = np.maximum(_grid_joint(u + 0.3, 1.0, 0.003), _grid_joint(v + 0.3, 1.0, 0.003))
    return _grey((1 + shade + 0.05 * octaves(seed + 2, u, v, 1.2, 4)) * (1 - 0.3 * joints))


def _bricks(seed: int, u: Real, v: Real) -> Real:
    wide, high = PATTERN.brick
    row = np.floor(v / high)
    column = np.floor(u / wide + 0.5 * (row % 2))
    x = (u / wide + 0.5 * (row % 2) - column) * wide
    y = v - row * high
    i, j = row.astype(np.int64), column.astype(np.int64)
    tone = hashed(seed, i, j) - 0.5
    rough = octaves(seed + 1, u, v, 0.05, 3, 0.6)
    wobble = 0.0025 * value_noise(seed + 4, u * 30, v * 30)
    depth = np.minimum(np.minimum(x, wide - x), np.minimum(y, high - y)) + wobble
    mortar = np.clip((PATTERN.mortar - depth) / 0.006, 0.0, 1.0)
    # Painted bricks: joints lie deeper, the upper edge of a brick catches light, what lies below it is in its shade.
    lit = np.clip(1 - np.abs(high - y - PATTERN.mortar) / 0.007, 0, 1) - np.clip(
        1 - np.abs(y - PATTERN.mortar) / 0.009, 0, 1
    )
    paint = octaves(seed + 8, u, v, 1.4, 4)
    return _grey(1 + 0.09 * tone + 0.05 * rough + 0.05 * paint - 0.17 * mortar + 0.07 * lit * (1 - mortar))


def _plaster(seed: int, u: Real, v: Real) -> Real:
    cloud = octaves(seed, u, v, 1.3, 5, 0.55)
    trowel = octaves(seed + 3, u * 0.5 + 0.3 * v, v, 0.12, 3)
    speck = octaves(seed + 5, u, v, 0.015, 2)
    return _grey(1 + 0.055 * cloud + 0.035 * trowel + 0.03 * speck)


def _panels(seed: int, u: Real, v: Real) -> Real:
    i, j = np.floor(u / PATTERN.panel).astype(np.int64), np.floor(v / PATTERN.panel).astype(np.int64)
    tone = hashed(seed, i, j) - 0.5
    joints = np.maximum(
        _joint(np.minimum(u - i * PATTERN.panel, (i + 1) * PATTERN.panel - u), 0.004),
        _joint(np.minimum(v - j * PATTERN.panel, (j + 1) * PATTERN.panel - v), 0.004),
    )
    du = np.minimum(u - i * PATTERN.panel, (i + 1) * PATTERN.panel - u) - 0.25
    dv = np.minimum(v - j * PATTERN.panel, (j + 1) * PATTERN.panel - v) - 0.25
    hole = np.clip(1.4 - np.hypot(du, dv) / 0.018, 0, 1)
    cloud = octaves(seed + 2, u, v, 0.9, 5, 0.6)
    return _grey((1 + 0.05 * tone + 0.10 * cloud) * (1 - 0.4 * joints) * (1 - 0.35 * hole))


# A night sky as a long exposure shows it: a glow of countless stars, and some thousand that stand out.


@dataclass(frozen=True)
class NightSky:
    """Sky behind orbits."""

    level: tuple[float, float, float] = (0.085, 0.095, 0.12)  # display RGB of the sky away from the galaxy
    glow: float = 1.1  # how much lighter (linear, relative) the galaxy's band is at its brightest
    star_light: float = 0.008
    stars: int = 2600  # in the square window


NIGHT = NightSky()
# Behind screens, and beyond a ground that ends: a tracker takes what is darker than a third of full light for a screen.
DUSK = NightSky(level=(0.312, 0.357, 0.436), glow=0.34)
# Before a camera that turns: stars tell where it looks, and a sky that has a hue tells nothing.
CLEAR_NIGHT = NightSky(level=(0.105, 0.11, 0.12), star_light=0.03)
CLEAR_DUSK = NightSky(level=(0.345, 0.36, 0.385), glow=0.34, star_light=0.03)


def starry_sky(seed: int, spec: RenderSpec, night: NightSky = NIGHT) -> NDArray[np.float32]:
    """Linear RGB (h, w, 3). It is far away: the same stars, however many m the square window shows of a scene."""
    rng = np.random.default_rng(seed)
    scale = WINDOW / min(spec.height, spec.width)
    x, y = np.meshgrid(
        (np.arange(spec.width) + 0.5 - spec.width / 2) * scale, (spec.height / 2 - np.arange(spec.height) - 0.5) * scale
    )
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle) - offset
    bent = across + 0.5 * octaves(seed, along, across, 2.4, 4)
    band = np.exp(-((bent / 0.9) ** 2))
    clouds = 0.5 + 0.5 * octaves(seed + 1, x, y, 1.6, 6, 0.6)
    lanes = np.clip(octaves(seed + 2, along * 0.7, bent * 1.6, 0.9, 5, 0.6), 0, 1)
    glow = band * (0.55 + 0.9 * clouds) * (1 - 0.9 * lanes * np.exp(-((bent / 0.45) ** 2)))
    sky = linear(night.level) * (1 + 0.05 * octaves(seed + 3, x, y, 3.0, 3)[..., None])
    warm = np.array([1.04, 1.0, 0.95])
    picture = sky * (1 + 2.2 * night.glow * glow[..., None] * warm)
    return _with_stars(picture, spec, rng, scale, night).astype(np.float32)


def _with_stars(
    picture: NDArray[np.float64], spec: RenderSpec, rng: np.random.Generator, scale: float, night: NightSky
) -> NDArray[np.float64]:
    """Stars of all brightnesses, few bright ones, as small spots: the size of the picture changes none."""
    reach = 4 * WINDOW  # the widest picture shows the stars of the square one, and more
    count = round(NIGHT.stars * (reach / WINDOW) ** 2)
    place = rng.uniform(-reach / 2, reach / 2, (count, 2))
    strength = 0.00022 * rng.pareto(1.15, count) + 0.0001
    colour = np.array([1.0, 1.0, 1.0]) + np.outer(rng.normal(0, 0.5, count).clip(-1, 1), [0.10, 0.0, -0.12])
    sigma = max(0.0045, 0.42 * scale)  # m
    column, row = place[:, 0] / scale + spec.width / 2, spec.height / 2 - place[:, 1] / scale
    for k in np.flatnonzero((column > -3) & (column < spec.width + 3) & (row > -3) & (row < spec.height + 3)):
        spread = sigma / scale * (1.0 + 0.8 * min(strength[k] / 0.02, 1.0))
        side = int(np.ceil(3.5 * spread))
        left, top = int(column[k]) - side, int(row[k]) - side
        rows = np.arange(max(top, 0), min(top + 2 * side + 1, spec.height))
        columns = np.arange(max(left, 0), min(left + 2 * side + 1, spec.width))
        if not len(rows) or not len(columns):
            continue
        square = (rows[:, None] + 0.5 - row[k]) ** 2 + (columns[None] + 0.5 - column[k]) ** 2
        light = min(strength[k], 0.02) * night.star_light * np.exp(-square / (2 * spread**2)) / (2 * np.pi * sigma**2)
        picture[np.ix_(rows, columns)] += light[..., None] * colour[k]
    return picture


@dataclass(frozen=True)
class DoorSizes:
    """Sizes of a door in m, levels (0..1, on a display, in full light)."""

    leaf: tuple[float, float] = (0.90, 2.03)  # m, width and height
    gap: float = 0.006  # m between leaf and frame
    frame: float = 0.085  # m, width of what is around the leaf
    shade: float = 0.03  # m, reach of the shadow of the frame on the wall
    beside: float = 0.12  # m of wall at least between the frame and the square, and the edge of the picture
    most_farther: float = 0.7  # m by which it may stand farther out
    leaf_level: float = 0.71
    frame_level: float = 0.79
    gap_level: float = 0.50
    steel_level: float = 0.62
    paint_tint: tuple[float, float, float] = (1.005, 1.0, 0.985)
    # heights between which panels lie
    panel_rows: tuple[tuple[float, float], ...] = ((0.22, 0.74), (0.94, 1.55), (1.66, 1.92))
    # ways from the left between which panels lie
    panel_columns: tuple[tuple[float, float], ...] = ((0.11, 0.40), (0.50, 0.79))
    bevel: float = 0.030  # m, of panels
    relief: float = 0.17  # share by which bevels are lighter or darker
    handle_height: float = 1.02  # m above the floor
    handle_plate: tuple[float, float] = (0.024, 0.11)  # m, half of what the handle is on
    lever: tuple[float, float] = (0.13, 0.013)  # m, length, half of its height


DOOR = DoorSizes()


def with_door(stage: Stage, camera: Camera, spec: RenderSpec) -> Stage:
    """The stage with a door where a picture shows enough wall beside the square of its shorter side, and its foot."""
    wall, floor, x = stage.wall, stage.floor, float(eye(camera)[0])
    if wall is None or floor is None:
        return stage
    foot = np.array([x, wall.level, floor.level])
    ends = np.array([foot, foot + np.array([0.0, 0.0, DOOR.leaf[1]])]) - eye(camera)
    away = ends @ looking(camera) / camera.distance  # lengths at its foot and head over those at the target
    square = picture_width(camera) / 2 * float(away.max())
    metres = float(away.min()) / pixels_per_metre(camera, spec)
    room = spec.width / 2 * metres - square - DOOR.leaf[0] - 2 * (DOOR.frame + DOOR.beside)
    if room < 0 or px_from_world(camera, spec, foot)[1] > spec.height:
        return stage
    rng = np.random.default_rng([stage.seed, 1])
    near = square + DOOR.beside + DOOR.frame + float(rng.uniform(0, min(room, DOOR.most_farther)))
    side, handle = (int(way) for way in rng.choice([-1, 1], 2))
    for left in (x + near, x - near - DOOR.leaf[0])[::side]:
        if not _stands_before(stage, camera, wall.level, left - DOOR.frame, left + DOOR.leaf[0] + DOOR.frame):
            return replace(stage, door=Door(left, floor.level, handle, int(rng.integers(1 << 30))))
    return stage


def _stands_before(stage: Stage, camera: Camera, wall: float, left: float, right: float) -> bool:
    """True if a box of the stage hides some of the wall between two places (m) on it."""
    x, y, _ = eye(camera)
    for block in stage.blocks:
        corners = rotate(block.turn, np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * block.half)
        corners += np.asarray(block.centre)
        seen = x + (corners[:, 0] - x) * (wall - y) / (corners[:, 1] - y)
        if seen.max() > left and seen.min() < right:
            return True
    return False


def painted(door: Door, wall: Real, u: Real, v: Real) -> Real:
    """Albedo (P, 3) of a wall with a door. wall: (P, 3) without it; u, v: (P,) m to the right and up."""
    x, y = u - door.left, v - door.foot
    wide, high = DOOR.leaf
    outside = np.maximum(np.maximum(-x, x - wide), y - high)  # m from the leaf
    shade = np.clip(1 - (outside - DOOR.frame) / DOOR.shade, 0.0, 1.0) ** 2
    colours = wall * (1 - 0.3 * shade)[:, None]
    here = (outside < DOOR.frame) & (y > 0)
    if here.any():
        x, y, outside = x[here], y[here], outside[here]
        level = np.where(outside > 0, _frame(outside), _leaf(x, y, door.handle))
        brush = 1 + 0.025 * octaves(door.seed, x * 9, y, 0.4, 4)
        colours[here] = linear(np.clip((level * brush)[:, None] * np.asarray(DOOR.paint_tint), 0.0, 0.95))
    return np.asarray(colours)


def _frame(outside: Real) -> Real:
    """Levels of the frame, `outside` m from the leaf: a round edge, a groove, a flat part."""
    groove = np.clip(1 - np.abs(outside - 0.6 * DOOR.frame) / 0.008, 0.0, 1.0)
    edge = np.clip(1 - outside / 0.02, 0.0, 1.0)
    return np.asarray(DOOR.frame_level * (1 - 0.12 * groove + 0.05 * edge))


def _leaf(x: Real, y: Real, handle: int) -> Real:
    """Levels of a panelled leaf, with the gap round it and its handle."""
    wide, high = DOOR.leaf
    level = np.full(x.shape, DOOR.leaf_level)
    for low, top in DOOR.panel_rows:
        for left, right in DOOR.panel_columns:
            # Bevels slope inwards: the lower ones face up to the light.
            sides = np.stack([x - left, right - x, y - low, top - y])
            inside, side = sides.min(axis=0), sides.argmin(axis=0)
            sloping = (inside > 0) & (inside < DOOR.bevel)
            lighter = np.array([-0.4, 0.2, 1.0, -1.0])[side] * DOOR.relief
            level = np.where(sloping, DOOR.leaf_level * (1 + lighter), level)
            level = np.where(inside >= DOOR.bevel, DOOR.leaf_level * 1.03, level)
    edge = np.minimum(np.minimum(x, wide - x), np.minimum(y, high - y))
    level = np.where(edge < DOOR.gap, DOOR.gap_level, level)
    away = handle * (x - (wide / 2 + handle * (wide / 2 - 0.065)))  # m from the middle of the plate, to its edge
    up = y - DOOR.handle_height
    plate = (np.abs(away) < DOOR.handle_plate[0]) & (np.abs(up) < DOOR.handle_plate[1])
    level = np.where(plate, DOOR.steel_level, level)
    lever = (away < 0.012) & (away > 0.012 - DOOR.lever[0])
    level = np.where(
        lever & (np.abs(up + 2.5 * DOOR.lever[1]) < 1.5 * DOOR.lever[1]), 0.84 * level, level
    )  # its shadow
    return np.asarray(np.where(lever & (np.abs(up) < DOOR.lever[1]), 0.92 * (1 + 3 * up), level))
