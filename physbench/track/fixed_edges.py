"""Outlines of fixed bodies in ground truth, and how a picture there differs from it.

Floors, walls, ramps, screens and pillars have no hue; they are known by their outlines. These are cut into pieces of a
few px. Two weighted sums over the pixels around a piece tell how strong its edge is (1 in ground truth, 0 where it is
gone) and how far it has moved across itself. The weights are wide and flat across the edge, so that blur and sharpening
change neither sum, and their own sums are 0, so that brightness and colour casts do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Whole
from physbench.track.colour import HUED, mean_planes
from physbench.track.moving_camera import pooled_pixels, still_frames
from physbench.world.bodies import grey_moves
from physbench.world.camera import px_from_world
from physbench.world.geometry import rotate
from physbench.world.renderer import body_mesh
from physbench.world.scene import PLAIN, Body
from physbench.world.styles.catalogue import wall_behind

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StillPicture:
    """Frames of ground truth that tell what stands still."""

    frames: tuple[int, int] = (4, 9)  # before and after the hand-over
    least_seen: int = 3  # of these that must show a place without a body
    same_level: float = 3.0  # levels by which these may differ


STILL = StillPicture()


@dataclass(frozen=True)
class PieceLimits:
    """Pieces of an outline that are read."""

    # px on either side of an edge, and more of the picture's side: 3 px at 64, 4 px at 128
    half_width: tuple[float, float] = (2.0, 1 / 64)
    # px on either side that there must be, to the middles of pixels: to be read, and alone
    least_beside: tuple[float, float] = (0.7, 2.0)
    length: tuple[float, float] = (4.0, 1 / 16)  # px along an edge, likewise: 8 px at 64, 12 px at 128
    shortest_side: tuple[float, float] = (2.0, 3.0)  # px; a shorter side shows no place, or none alone
    search: float = 2.5  # px around an outline in which its edge is: a floor is seen a little from above
    # px from it at which it must be for a piece that tells no place alone, else it is another side's
    nearest: float = 0.7
    least_step: float = 5.0  # levels between the two sides of an edge
    mixed: float = 0.35  # of this step that may vary along a piece; more is a corner
    # times as much noise in a step as where there is nothing but it; more is a band, such as a shadow
    most_amplified: float = 5.0
    blur: float = 2.0  # px, sd of a blur under which a piece is still read as it is
    most_blurred_shift: float = 0.2  # px that such a blur may make of it
    least_blurred_step: float = 0.5  # share of its step, the same
    most: int = 12  # of a side; others are left out evenly


PIECE = PieceLimits()


@dataclass(frozen=True)
class Overexposure:
    """Pieces that are lost in white."""

    lost_level: float = 254.0  # from which on a pixel is lost
    most: float = 0.6  # share of the pixels of a piece that may be
    overexposed: float = 240.0  # levels that such a piece would have on average, in a picture as bright as this one
    least_unsaturated: float = 0.05  # share of a picture below `lost_level` that tells how bright it is


WHITE = Overexposure()


@dataclass(frozen=True, eq=False)
class FixedEdges:
    """P pieces of the outlines of fixed bodies with Q pixels in all, in px at the working size."""

    factor: int  # px of the frames per px
    size: tuple[int, int]  # height and width
    bodies: tuple[int, ...]  # F indices of bodies in the scene
    body: Whole  # (P,) index in `bodies`
    side: Whole  # (P,) number of a side of one body
    normal: Array  # (P, 2) across the edge
    middle: Array  # (P, 2)
    length: Array  # (P,)
    row: Whole  # (Q,)
    column: Whole  # (Q,)
    start: Whole  # (P,) first pixel of each piece
    weight: NDArray[np.float32]  # (2, Q) of the step and of the shift
    invert: Array  # (P, 2, 2) from both sums to step, and step times shift
    contrast: Array  # (P,) levels, of the step
    noise: Array  # (P,) px by which one level of noise a pixel moves an edge
    sure: NDArray[np.bool_]  # (P,) which tell a place alone; short ones and those at the border only that of a picture
    half: float  # px on either side of an edge that are read
    value: Array  # (2, Q) levels of ground truth, and how they change in px across the edge
    level: Array  # (S,) levels of ground truth at some pixels
    level_at: Whole  # (S,) of a flat picture
    converge: bool = False  # what is parallel in the scene, as a tilted camera sees it, with shadows on it

    @property
    def sides(self) -> int:
        return int(self.side.max()) + 1


@dataclass(frozen=True, eq=False)
class EdgeReading:
    """Readings of P pieces in N pictures; NaN where a piece lies outside, or is overexposed."""

    step: Array  # (N, P) of that in ground truth
    shift: Array  # (N, P) px across the edge
    colour: Array  # (N, P) levels by which the colours of the step differ


_KNOWN: WeakKeyDictionary[Clip, FixedEdges | None] = WeakKeyDictionary()


def fixed_edges(clip: Clip) -> FixedEdges | None:
    """Outlines of the fixed bodies of a clip, kept as long as the clip; None where it shows none."""
    if clip not in _KNOWN:
        _KNOWN[clip] = _find(clip)
    return _KNOWN[clip]


def _find(clip: Clip) -> FixedEdges | None:
    from scipy.ndimage import gaussian_filter

    bodies = [
        i
        for i, body in enumerate(clip.scene.bodies)
        if body.role == "fixed" and body.hue is None and body.drawn and body.until is None
    ]
    if not bodies:
        return None
    factor = max(1, min(clip.spec.height, clip.spec.width) // 128)  # px that the shorter side is pooled to
    grey, known = _still(clip, factor)
    # Between two plain greys blur moves no edge. One that has a band or joints beside it is moved by it.
    field = _Field(grey, known, blurred=None if clip.spec.look == PLAIN else gaussian_filter(grey, PIECE.blur))
    outlines = [list(_outline(clip, i, factor)) for i in bodies]
    hulls = [sides for i, sides in zip(bodies, outlines, strict=True) if clip.scene.bodies[i].shape != "plane"]
    edges = [
        (number, index, piece)
        for index, (i, sides) in enumerate(zip(bodies, outlines, strict=True))
        for number, side in enumerate(sides)
        for piece in field.pieces(*side)
        # What stands on a floor shows its own foot there, and nothing of the floor.
        if clip.scene.bodies[i].shape != "plane" or not any(_within(piece, hull, field.half) for hull in hulls)
    ]
    if not edges:
        return None
    seen = sorted({index for _, index, _ in edges})
    keys = {key: n for n, key in enumerate(dict.fromkeys((index, number) for number, index, _ in edges))}
    pieces = [piece for _, _, piece in edges]
    level_at = np.flatnonzero(known)[::11]  # px between those that tell a picture's brightness
    return FixedEdges(
        factor=factor,
        size=(grey.shape[0], grey.shape[1]),
        bodies=tuple(bodies[index] for index in seen),
        body=np.array([seen.index(index) for _, index, _ in edges]),
        side=np.array([keys[index, number] for number, index, _ in edges]),
        normal=np.array([piece.normal for piece in pieces]),
        middle=np.array([piece.middle for piece in pieces]),
        length=np.array([piece.length for piece in pieces]),
        row=np.concatenate([piece.row for piece in pieces]),
        column=np.concatenate([piece.column for piece in pieces]),
        start=np.cumsum([0, *(len(piece.row) for piece in pieces[:-1])]),
        weight=np.concatenate([piece.weight for piece in pieces], axis=1).astype(np.float32),
        invert=np.array([piece.invert for piece in pieces]),
        contrast=np.array([piece.contrast for piece in pieces]),
        noise=np.array([piece.noise for piece in pieces]),
        sure=np.array([piece.sure for piece in pieces]),
        half=field.half,
        value=np.concatenate([piece.value for piece in pieces], axis=1),
        level=grey.ravel()[level_at],
        level_at=level_at,
        converge=bool(clip.scene.camera.tilt) and clip.spec.look != PLAIN,
    )


def _still(clip: Clip, factor: int) -> tuple[Array, NDArray[np.bool_]]:
    """Grey levels (h, w) of what stands still, and where most frames show it. Holders are gone in most of them.

    Where forces move something grey, all frames after the hand-over show it, bodies with a hue aside. What follows a
    path hides edges only while it is before them, and a camera that moves blurs all: there most frames are enough.
    """
    past, ahead = STILL.frames  # a body may come to lie before an edge that it did not hide before
    scene = clip.scene
    paths = bool(scene.camera.path) or any(body.path and body.drawn for body in scene.bodies)
    passed = clip.spec.look == PLAIN and not paths and grey_moves(scene)
    if passed:
        ahead = len(clip.frames) - clip.handover
    index = np.concatenate(
        [
            np.linspace(0, clip.handover, past, endpoint=False),
            np.linspace(clip.handover, len(clip.frames) - 1, ahead),
        ]
    ).astype(int)
    red, green, blue = mean_planes(still_frames(clip, index), factor)
    hued = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue) > HUED
    grey = (red + green + blue) / 3
    many = (~hued).sum(0)
    ordered = np.sort(np.where(hued, np.inf, grey), axis=0)  # those without a hue first
    usual = np.take_along_axis(ordered, (many // 2).clip(max=len(index) - 1)[None], axis=0)[0]
    usual = np.where(np.isfinite(usual), usual, 0.0)
    same = (np.abs(grey - usual) <= STILL.same_level) & ~hued
    known = (same.sum(0) > many // 2) & (many >= STILL.least_seen)
    if passed:
        known &= (same | hued)[past + 1 :].all(0)
    return usual.astype(np.float64), known


def _outline(clip: Clip, i: int, factor: int) -> Iterator[tuple[Array, Array]]:
    """Sides of the outline of a body as (from, to), px (2,) each, with its inside on the left in the image."""
    body, camera = clip.scene.bodies[i], clip.scene.camera
    if body.shape == "plane":
        if camera.view == "front":
            # Untilted it is a plate before the camera; tilted a floor, whose far edge is seen.
            far = [0.0, _far_edge(body, clip) - body.position[1] if camera.tilt else 0.0, 0.0]
            level = px_from_world(camera, clip.spec, np.asarray(body.position, dtype=np.float64) + far)[1] / factor
            yield np.array([0.0, level]), np.array([clip.spec.width / factor, level])
        return
    from scipy.spatial import ConvexHull

    corners = px_from_world(camera, clip.spec, _vertices(body, clip)) / factor
    around = corners[ConvexHull(corners).vertices]
    around = around[np.linalg.norm(around - np.roll(around, 1, axis=0), axis=1) > 1e-6]
    yield from zip(around, np.roll(around, -1, axis=0), strict=True)


def _far_edge(floor: Body, clip: Clip) -> float:
    """End (m along y) of a floor before a tilted camera: its own edge, or the foot of a wall."""
    wall = wall_behind(clip.scene, clip.spec.look)
    return float(_vertices(floor, clip)[:, 1].max()) if wall is None else wall


def _within(piece: _Piece, sides: list[tuple[Array, Array]], reach: float) -> bool:
    """True if the middle of a piece lies within a convex outline, or up to `reach` px from it."""
    for begin, end in sides:
        along = (end - begin) / np.linalg.norm(end - begin)
        if (piece.middle - begin) @ (along[1], -along[0]) > reach:
            return False
    return True


def _vertices(body: Body, clip: Clip) -> Array:
    """Vertices (V, 3) m of a body's mesh as it lies in the scene."""
    mesh = body_mesh(body, clip.scene.camera)
    turned = rotate(np.asarray(body.orientation, dtype=np.float64), mesh.vertices)
    return np.asarray(np.asarray(body.position) + turned)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A stretch of one side with its q pixels."""

    row: Whole
    column: Whole
    weight: Array  # (2, q)
    value: Array  # (2, q)
    invert: Array  # (2, 2)
    normal: Array
    middle: Array
    length: float
    contrast: float
    noise: float
    sure: bool


class _Field:
    """A still picture in which pieces of sides are looked for."""

    def __init__(self, grey: Array, known: NDArray[np.bool_], blurred: Array | None = None) -> None:
        """blurred: the same picture blurred, where pieces must be read as they are in it."""
        self.grey, self.known, self.blurred = grey, known, blurred
        side = min(grey.shape)
        self.half = PIECE.half_width[0] + PIECE.half_width[1] * side
        self.long = PIECE.length[0] + PIECE.length[1] * side
        self.slopes = np.stack([np.gradient(grey, axis=1), np.gradient(grey, axis=0)], axis=-1)

    def pieces(self, begin: Array, end: Array) -> Iterator[_Piece]:
        """Pieces of a side from one point to another, px: those that show an edge and nothing else."""
        along = end - begin
        whole = float(np.linalg.norm(along))
        if whole < PIECE.shortest_side[0]:
            return
        along = along / whole
        normal = np.array([-along[1], along[0]])
        reach = self.half + PIECE.search + 1
        size = np.array(self.grey.shape[::-1])
        low = np.floor(np.minimum(begin, end) - reach).astype(int).clip(0, size)
        high = np.ceil(np.maximum(begin, end) + reach).astype(int).clip(0, size)
        rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
        rows, columns = rows.ravel(), columns.ravel()
        place = np.stack([columns + 0.5, rows + 0.5], axis=-1) - begin
        across, down = place @ normal, place @ along
        near = (np.abs(across) <= reach) & (down >= 0) & (down < whole)
        rows, columns, across, down = rows[near], columns[near], across[near], down[near]
        if not len(rows):
            return
        slope = self.slopes[rows, columns] @ normal
        off = self._edge(across, slope)
        across = across - off
        count = max(1, round(whole / self.long))
        number = np.minimum((down * count / whole).astype(int), count - 1)
        number[np.abs(across) > self.half] = -1
        chosen = np.arange(count)
        if count > PIECE.most:
            chosen = np.unique(np.linspace(0, count - 1, PIECE.most).round().astype(int))
        for n in chosen:
            here = number == n
            piece = self._piece(rows[here], columns[here], across[here], slope[here], normal, whole / count)
            if piece is not None and (piece.sure or abs(off) <= PIECE.nearest):
                yield piece

    @staticmethod
    def _edge(across: Array, slope: Array) -> float:
        """Place of the edge in the picture across a side, px; within `PIECE.search` of the outline."""
        near = np.abs(across) <= PIECE.search
        weight = np.abs(slope[near])
        total = float(weight.sum())
        return float((weight * across[near]).sum() / total) if total > 0 else 0.0

    def _piece(
        self, row: Whole, column: Whole, across: Array, slope: Array, normal: Array, length: float
    ) -> _Piece | None:
        edge = np.abs(across) <= PIECE.search
        if len(row) < 2 * self.half or not edge.any() or not self.known[row, column].all():
            return None
        value = self.grey[row, column]
        layer = np.round(across - across.min()).astype(int)
        count = np.bincount(layer)
        beside = min(-across.min(), across.max())
        if (count == 0).any() or beside < PIECE.least_beside[0]:
            return None  # the border of the picture is too near
        profile = np.bincount(layer, value) / count
        contrast = float(np.ptp(profile))
        if contrast < PIECE.least_step or np.sqrt(((value - profile[layer]) ** 2).mean()) > PIECE.mixed * contrast:
            return None
        # Even and odd about the edge: blur, which is odd there, is no shift. The even one ends in 0.
        weight = np.stack([np.clip(across, -1.0, 1.0), np.cos(np.pi / 2 * across / (self.half + 0.5)) ** 2])
        weight -= weight.mean(axis=1, keepdims=True)
        # A picture that is off by d falls short by its slope times d.
        matrix = weight @ np.stack([value, -slope], axis=-1)
        if np.linalg.cond(matrix / np.abs(matrix).max(axis=0)) > 1e3:
            return None
        invert = np.linalg.inv(matrix)
        clean = np.linalg.norm(weight[0]) / (np.abs(weight[0]).sum() / 2 * contrast)  # of a step between two greys
        if np.linalg.norm(invert[0] @ weight) > PIECE.most_amplified * clean:
            return None
        if self.blurred is not None:
            step, moved = invert @ (weight @ self.blurred[row, column])
            if step < PIECE.least_blurred_step or abs(moved) > PIECE.most_blurred_shift * step:
                return None
        middle = np.array([(column + 0.5)[edge].mean(), (row + 0.5)[edge].mean()])
        noise = float(np.linalg.norm(invert[1] @ weight))
        values, sure = (
            np.stack([value, slope]),
            bool(length >= PIECE.shortest_side[1] and beside >= PIECE.least_beside[1]),
        )
        return _Piece(row, column, weight, values, invert, normal, middle, length, contrast, noise, sure)


def read_edges(frames: Tensor, edges: FixedEdges, off: Whole | None = None) -> tuple[EdgeReading, NDArray[np.float32]]:
    """Readings of the pieces in frames (N, H, W, 3) u8, and the levels (N, Q) of their pixels.

    off (P, 2) px: whole px to look further right and down.
    """
    row, column = edges.row, edges.column
    unread = np.zeros(len(edges.start), dtype=bool)
    many = np.diff(np.append(edges.start, len(row)))
    if off is not None:
        column, row = column + np.repeat(off[:, 0], many), row + np.repeat(off[:, 1], many)
        gone = (row < 0) | (row >= edges.size[0]) | (column < 0) | (column >= edges.size[1])
        unread = np.logical_or.reduceat(gone, edges.start)
        row, column = row.clip(0, edges.size[0] - 1), column.clip(0, edges.size[1] - 1)
    red, green, blue = pooled_pixels(frames, row, column, edges.factor)

    def sums(values: NDArray[np.float32], which: int) -> Array:
        return np.add.reduceat(values * edges.weight[which], edges.start, axis=1).astype(np.float64)

    grey = (red + green + blue) / np.float32(3)
    both = np.stack([sums(grey, 0), sums(grey, 1)], axis=-1)
    unread = unread | _overexposed(frames, edges, grey)
    solved = np.einsum("pij,npj->npi", edges.invert, both)
    step = solved[..., 0]
    # An edge that is off by d shows less of its step between the weights' two halves: 1 - d / half of it, about.
    moved = solved[..., 1] / np.where(np.abs(step) < 1e-3, 1e-3, step)
    share = 1 + np.abs(moved) / edges.half
    one = edges.invert[:, 0, 0] * edges.contrast  # a colour's step alone, its edge taken to lie where it should
    colour = np.maximum(np.abs(sums(red - green, 0)), np.abs(sums(green - blue, 0))) * np.abs(one)
    parts = (step * share, moved / share, colour)
    return EdgeReading(*(np.where(unread, np.nan, part) for part in parts)), grey


def _overexposed(frames: Tensor, edges: FixedEdges, grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pieces (N, P) with pixels (N, Q) that are lost in white, as frames are so bright; not what is painted white.

    How bright is told by pixels that are not white themselves. Where hardly any is left, all may be painted.
    """
    many = np.diff(np.append(edges.start, len(edges.row)))
    white = np.add.reduceat(grey >= WHITE.lost_level, edges.start, axis=1, dtype=np.int64) > WHITE.most * many
    if white.any():
        seen = _levels(frames, edges)
        ratio = np.where(seen < WHITE.lost_level, seen / np.maximum(edges.level, 1.0), np.nan)
        readable = np.isfinite(ratio).mean(axis=1) >= WHITE.least_unsaturated
        bright = np.zeros(len(seen))
        bright[readable] = np.nanmedian(ratio[readable], axis=1)
        level = np.add.reduceat(edges.value[0], edges.start) / many
        white &= bright[:, None] * level >= WHITE.overexposed
    return white


def brightness(frames: Tensor, edges: FixedEdges) -> Array:
    """Brightness (N,) of frames over that of ground truth, median of some pixels."""
    return np.asarray(np.median(_levels(frames, edges) / np.maximum(edges.level, 1.0), axis=1), dtype=np.float64)


def _levels(frames: Tensor, edges: FixedEdges) -> NDArray[np.float32]:
    """Grey levels (N, S) of frames where `edges.level` holds those of ground truth."""
    row, column = np.divmod(edges.level_at, edges.size[1])
    return np.asarray(pooled_pixels(frames, row, column, edges.factor).mean(0))


def unexplained(
    grey: NDArray[np.float32], edges: FixedEdges, shift: Array, step: Array, free: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Mean squares (N,) of levels by which pieces differ from ground truth, without and with shifts (N, P) px.

    Brightness and strength of each piece are as they are seen. grey (N, Q): levels of the pixels of pieces. free
    (N, P): pieces that count.
    """
    many = np.diff(np.append(edges.start, len(edges.row)))
    strength, moved = np.repeat(np.nan_to_num(step), many, axis=1), np.repeat(shift, many, axis=1)
    counted = np.repeat(free, many, axis=1)
    total = np.maximum(counted.sum(axis=1), 1)
    residuals = []
    for model in (strength * edges.value[0], strength * (edges.value[0] - moved * edges.value[1])):
        rest = grey - model
        rest -= np.repeat(np.add.reduceat(rest, edges.start, axis=1) / many, many, axis=1)
        residuals.append(np.where(counted, rest * rest, 0.0).sum(axis=1) / total)
    return residuals[0], residuals[1]
