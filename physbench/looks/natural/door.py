"""A door in the wall of a hall: painted on it as the joints of bricks are, with its shades; light takes it for wall.

It stands beside the square that all pictures of a task show, so that only wide ones have it. It is grey, since what has
a hue is taken for a body, and nowhere dark, since what is dark is taken for a screen.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.srgb import linear
from physbench.looks.natural.stage import Door, Stage
from physbench.looks.natural.textures import octaves
from physbench.world.camera import eye, pixels_per_metre
from physbench.world.geometry import rotate
from physbench.world.scene import Camera, RenderSpec

Float = NDArray[np.floating]

LEAF = (0.90, 2.03)  # m, width and height
DOOR_FRAME = 0.085  # m, width of what is around the leaf
FRAME_SHADE = 0.03  # m, reach of the shadow of the frame on the wall
BESIDE = 0.12  # m of wall at least between the frame and the square, and the edge of the picture
MOST_FARTHER = 0.7  # m by which it may stand farther out
LEAF_GAP = 0.006  # m between leaf and frame
# Levels (0..1, on a display, in full light).
LEAF_LEVEL, FRAME_LEVEL, GAP_LEVEL, STEEL_LEVEL = 0.71, 0.79, 0.50, 0.62
PAINT_TINT = (1.005, 1.0, 0.985)
# Between which heights, and between which ways from the left, panels lie, m.
PANEL_ROWS = ((0.22, 0.74), (0.94, 1.55), (1.66, 1.92))
PANEL_COLUMNS = ((0.11, 0.40), (0.50, 0.79))
PANEL_BEVEL = 0.030  # m, of panels
RELIEF = 0.17  # share by which bevels are lighter or darker
HANDLE_HEIGHT = 1.02  # m above the floor
HANDLE_PLATE = (0.024, 0.11)  # m, half of what the handle is on
LEVER = (0.13, 0.013)  # m, length, half of its height


def with_door(stage: Stage, camera: Camera, spec: RenderSpec) -> Stage:
    """The stage with a door where a picture shows enough wall beside the square of its shorter side, and its foot."""
    wall, floor, (x, y, z) = stage.wall, stage.floor, eye(camera).tolist()
    if wall is None or floor is None:
        return stage
    away = (wall.level - y) / camera.distance  # lengths on the wall over those in the plane of motion
    square = camera.width / 2 * away
    metres = away / pixels_per_metre(camera, spec)
    room = spec.width / 2 * metres - square - LEAF[0] - 2 * (DOOR_FRAME + BESIDE)
    if room < 0 or floor.level < z - spec.height / 2 * metres:
        return stage
    rng = np.random.default_rng([stage.seed, 1])
    near = square + BESIDE + DOOR_FRAME + float(rng.uniform(0, min(room, MOST_FARTHER)))
    side, handle = (int(way) for way in rng.choice([-1, 1], 2))
    for left in (x + near, x - near - LEAF[0])[::side]:
        if not _stands_before(stage, camera, wall.level, left - DOOR_FRAME, left + LEAF[0] + DOOR_FRAME):
            return replace(stage, door=Door(left, floor.level, handle, int(rng.integers(1 << 30))))
    return stage


def _stands_before(stage: Stage, camera: Camera, wall: float, left: float, right: float) -> bool:
    """Whether a box of the stage hides some of the wall between two places (m) on it."""
    x, y, _ = eye(camera)
    for block in stage.blocks:
        corners = rotate(block.turn, np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * block.half)
        corners += np.asarray(block.centre)
        seen = x + (corners[:, 0] - x) * (wall - y) / (corners[:, 1] - y)
        if seen.max() > left and seen.min() < right:
            return True
    return False


def painted(door: Door, wall: Float, u: Float, v: Float) -> Float:
    """Albedo (P, 3) of a wall with a door. wall: (P, 3) without it; u, v: (P,) m to the right and up."""
    x, y = u - door.left, v - door.foot
    wide, high = LEAF
    outside = np.maximum(np.maximum(-x, x - wide), y - high)  # m from the leaf
    shade = np.clip(1 - (outside - DOOR_FRAME) / FRAME_SHADE, 0.0, 1.0) ** 2
    colours = wall * (1 - 0.3 * shade)[:, None]
    here = (outside < DOOR_FRAME) & (y > 0)
    if here.any():
        x, y, outside = x[here], y[here], outside[here]
        level = np.where(outside > 0, _frame(outside), _leaf(x, y, door.handle))
        brush = 1 + 0.025 * octaves(door.seed, x * 9, y, 0.4, 4)
        colours[here] = linear(np.clip((level * brush)[:, None] * np.asarray(PAINT_TINT), 0.0, 0.95))
    return np.asarray(colours)


def _frame(outside: Float) -> Float:
    """Levels of the frame, `outside` m from the leaf: a round edge, a groove, a flat part."""
    groove = np.clip(1 - np.abs(outside - 0.6 * DOOR_FRAME) / 0.008, 0.0, 1.0)
    edge = np.clip(1 - outside / 0.02, 0.0, 1.0)
    return np.asarray(FRAME_LEVEL * (1 - 0.12 * groove + 0.05 * edge))


def _leaf(x: Float, y: Float, handle: int) -> Float:
    """Levels of a panelled leaf, with the gap round it and its handle."""
    wide, high = LEAF
    level = np.full(x.shape, LEAF_LEVEL)
    for low, top in PANEL_ROWS:
        for left, right in PANEL_COLUMNS:
            # Bevels slope inwards: the lower ones face up to the light.
            sides = np.stack([x - left, right - x, y - low, top - y])
            inside, side = sides.min(axis=0), sides.argmin(axis=0)
            sloping = (inside > 0) & (inside < PANEL_BEVEL)
            lighter = np.array([-0.4, 0.2, 1.0, -1.0])[side] * RELIEF
            level = np.where(sloping, LEAF_LEVEL * (1 + lighter), level)
            level = np.where(inside >= PANEL_BEVEL, LEAF_LEVEL * 1.03, level)
    edge = np.minimum(np.minimum(x, wide - x), np.minimum(y, high - y))
    level = np.where(edge < LEAF_GAP, GAP_LEVEL, level)
    away = handle * (x - (wide / 2 + handle * (wide / 2 - 0.065)))  # m from the middle of the plate, to its edge
    up = y - HANDLE_HEIGHT
    plate = (np.abs(away) < HANDLE_PLATE[0]) & (np.abs(up) < HANDLE_PLATE[1])
    level = np.where(plate, STEEL_LEVEL, level)
    lever = (away < 0.012) & (away > 0.012 - LEVER[0])
    level = np.where(lever & (np.abs(up + 2.5 * LEVER[1]) < 1.5 * LEVER[1]), 0.84 * level, level)  # its shadow
    return np.asarray(np.where(lever & (np.abs(up) < LEVER[1]), 0.92 * (1 + 3 * up), level))
