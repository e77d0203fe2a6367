"""Rays from the camera against what stands still, with products of many vectors and convex solids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation

from physbench.support.arrays import Real
from physbench.world.camera import CameraPose, eye, looking, pixels_per_metre, up
from physbench.world.geometry import rotate, unrotate
from physbench.world.scene import Camera, RenderSpec
from physbench.world.styles.natural.materials import framed_cloth, mean_texture, painted, texture
from physbench.world.styles.natural.stage import Material, Stage, StageBox, Surface

# Products of many vectors of three numbers: NumPy's own reduce an axis of three slowly.


def dot(a: Real, b: Real) -> Real:
    """Products (...) of vectors (..., n); both broadcast."""
    total = a[..., 0] * b[..., 0]
    for i in range(1, a.shape[-1]):
        total = total + a[..., i] * b[..., i]
    return np.asarray(total)


def length(a: Real) -> Real:
    """Lengths (...) of vectors (..., n)."""
    return np.asarray(np.sqrt(dot(a, a)))


def planes(vectors: Real) -> Real:
    """Vectors (..., 3) as (3, P), each coordinate in a row of its own: NumPy is faster along rows."""
    return np.ascontiguousarray(np.moveaxis(vectors, -1, 0)).reshape(3, -1)


def box_axes(turn: ArrayLike) -> NDArray[np.float64]:
    """The axes (3, 3) of a box that is turned by a quaternion (4,), one a row; not to be written to."""
    return _box_axes(np.asarray(turn, dtype=np.float64).tobytes())


@lru_cache(maxsize=256)
def _box_axes(turn: bytes) -> NDArray[np.float64]:
    axes = rotate(np.frombuffer(turn), np.eye(3))
    axes.flags.writeable = False
    return axes


# Convex solids by their corners, faces and edges, as `compiled_shadows.sky_behind_solid` takes them.


@dataclass(frozen=True, eq=False)
class Solid:
    """A shape whose sizes are factors."""

    corners: Real  # (K, 3)
    faces: tuple[tuple[int, ...], ...]  # corners of each, counter-clockwise as they are seen from outside

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """(E, 4): corners where each begins and ends, the faces to its left and its right."""
        left = {
            pair: number
            for number, face in enumerate(self.faces)
            for pair in zip(face, (*face[1:], face[0]), strict=True)
        }
        return np.array([(*pair, face, left[pair[::-1]]) for pair, face in left.items() if pair[0] < pair[1]])


def _cube() -> Solid:
    """From -1 to 1 along each axis."""
    corners = np.array([[x, y, z] for z in (-1.0, 1.0) for y in (-1.0, 1.0) for x in (-1.0, 1.0)])
    return Solid(corners, ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)))


def _prism(sides: int) -> Solid:
    """From -1 to 1 along z; its base has the area of a disc of radius 1."""
    angles = (2 * np.arange(sides) + 1) * np.pi / sides
    radius = np.sqrt(2 * np.pi / (sides * np.sin(2 * np.pi / sides)))
    x, y = radius * np.cos(angles), radius * np.sin(angles)
    corners = np.concatenate([np.stack([x, y, np.full(sides, z)], axis=1) for z in (-1.0, 1.0)])
    ring = tuple(range(sides))
    around = ((k, (k + 1) % sides, sides + (k + 1) % sides, sides + k) for k in ring)
    return Solid(corners, (ring[::-1], tuple(sides + k for k in ring), *around))


CUBE, PRISM = _cube(), _prism(8)  # a prism of 8 sides stands for a cylinder


def placed(
    solid: Solid, half: Sequence[float], centre: Real, turn: Real
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """A solid that is `half` (3,) m times as large and turned by a quaternion (4,) around `centre` (3,) m.

    Returns corners (K, 3) m, planes (F, 4) and edges (E, 4), as of `sky_behind_solid`.
    """
    corners = centre + (solid.corners * np.asarray(half)) @ box_axes(turn)
    first, second, third = (corners[[face[k] for face in solid.faces]] for k in range(3))
    normals = np.cross(second - first, third - second)
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    planes = np.concatenate([normals, dot(normals, first)[:, None]], axis=1)
    return corners.astype(np.float32), planes.astype(np.float32), solid.edges


NOTHING_MET = 1e6  # m
EDGE_FINE = 6  # a pixel at an edge is split into so many each way, where materials mix


@dataclass(frozen=True, eq=False)
class Seen:
    """First hits of a grid of rays; `directions` have length 1 along the camera's axis."""

    directions: Real  # (h, w, 3)
    depth: Real  # (h, w) m along the camera's axis, NOTHING_MET where there is nothing
    part: NDArray[np.int64]  # (h, w): surfaces, then blocks; -1 where there is nothing
    normal: Real  # (h, w, 3)

    def points(self, camera: Camera) -> Real:
        """Points met (h, w, 3), m."""
        return np.asarray(eye(camera) + self.directions * np.minimum(self.depth, 1e3)[..., None])


ALL_RAYS = (slice(None), slice(None))


def view_directions(
    camera: Camera,
    spec: RenderSpec,
    fine: int = 1,
    part: tuple[slice, slice] = ALL_RAYS,
    pose: CameraPose | None = None,
) -> Real:
    """Directions (h, w, 3) of the rays through the middles of pixels, `fine` x `fine` of them in each pixel.

    part: rows and columns of these rays that are wanted. pose: of a camera that moves; else it is at rest.
    """
    columns, rows = np.arange(spec.width * fine)[part[1]], np.arange(spec.height * fine)[part[0]]
    return _directions(camera, spec, fine, *np.meshgrid(columns, rows), pose)


def rays_within(
    camera: Camera,
    spec: RenderSpec,
    fine: int,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    pose: CameraPose | None = None,
) -> Real:
    """Directions (P, fine * fine, 3) of the rays through pixels (P,), as of `view_directions`."""
    down, right = np.divmod(np.arange(fine * fine), fine)
    return _directions(camera, spec, fine, fine * columns[:, None] + right, fine * rows[:, None] + down, pose)


def spread_rays(
    camera: Camera, spec: RenderSpec, fine: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> Real:
    """Directions (P, fine * fine, 3) of as many rays through pixels (P,), no two of one pixel at one height.

    A pixel shows much more of the depth of a floor than of its width.
    """
    number = np.arange(fine * fine)
    right, down = number % fine, (number + 0.5) / fine - 0.5
    return _directions(camera, spec, fine, fine * columns[:, None] + right, fine * rows[:, None] + down)


def _directions(
    camera: Camera,
    spec: RenderSpec,
    fine: int,
    columns: NDArray[np.number],
    rows: NDArray[np.number],
    pose: CameraPose | None = None,
) -> Real:
    scale = pixels_per_metre(camera, spec) * fine * camera.distance
    across, rise = (columns + 0.5 - spec.width * fine / 2) / scale, (spec.height * fine / 2 - rows - 0.5) / scale
    if pose is not None:
        right, down, ahead = pose.axes
        return np.stack([across * r + (a - rise * d) for r, d, a in zip(right, down, ahead, strict=True)], axis=-1)
    (_, y, z), (_, ahead_y, ahead_z) = up(camera), looking(camera)  # x points right
    return np.stack([across, ahead_y + rise * y, ahead_z + rise * z], axis=-1)


def see(stage: Stage, camera: Camera, directions: Real) -> Seen:
    """First hits of rays (..., 3) from the camera's eye on the stage."""
    depth, part, normal = meet(stage, eye(camera), directions)
    normal[part < 0] = -looking(camera)
    return Seen(directions, depth, part, normal)


def meet(stage: Stage, origin: Real, directions: Real) -> tuple[Real, NDArray[np.int64], Real]:
    """First hits on the stage of rays (..., 3) from one point or from as many.

    Returns:
        Distances (...) in lengths of `directions`, numbers (...) of surfaces and then blocks, -1 for none, and normals
        (..., 3), 0 where nothing is met.
    """
    depth = np.full(directions.shape[:-1], NOTHING_MET)
    part = np.full(directions.shape[:-1], -1, dtype=np.int64)
    normal = np.zeros(directions.shape)
    for number, surface in enumerate(stage.surfaces):
        t = hit_surface(surface, origin, directions)
        nearer = t < depth
        depth[nearer], part[nearer], normal[nearer] = t[nearer], number, surface.normal
    for number, block in enumerate(stage.blocks):
        t, facing = hit_box(origin, directions, block.centre, block.half, block.turn)
        nearer = t < depth
        depth[nearer], part[nearer] = t[nearer], len(stage.surfaces) + number
        normal[nearer] = facing[nearer]
    return depth, part, normal


def hit_surface(surface: Surface, origin: Real, directions: Real) -> Real:
    """Distances (...) in lengths of `directions` to an endless surface, NOTHING_MET where it is missed."""
    along = directions[..., surface.axis]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (surface.level - origin[..., surface.axis]) / along
    front = (along < 0) if surface.axis == 2 else (along > 0)
    return np.where(front & (t > 1e-6), t, NOTHING_MET)


def hit_box(
    origin: Real,
    directions: Real,
    centre: tuple[float, ...] | Real,
    half: tuple[float, ...],
    turn: tuple[float, ...] | Real,
) -> tuple[Real, Real]:
    """Distances (...) to a box from outside, NOTHING_MET where it is missed, and normals (..., 3), 0 there."""
    away = np.asarray(centre) - np.asarray(origin)
    close = _passes(away, directions, float(np.linalg.norm(half)))  # few rays come near a box
    t, normal = np.full(close.shape, NOTHING_MET), np.zeros((*close.shape, 3))
    axes = box_axes(turn)
    d = np.broadcast_to(directions, (*close.shape, 3))[close] @ axes.T
    o = -(np.broadcast_to(away, d.shape) if away.ndim == 1 else away[close]) @ axes.T
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-np.asarray(half) - o) / d, (np.asarray(half) - o) / d
    near, far = np.minimum(a, b), np.maximum(a, b)
    near, far = np.where(np.isnan(near), -NOTHING_MET, near), np.where(np.isnan(far), NOTHING_MET, far)
    (x, y, z), leave = near.T, np.minimum(np.minimum(far[:, 0], far[:, 1]), far[:, 2])
    enter = np.maximum(np.maximum(x, y), z)
    met = (enter < leave) & (enter > 1e-6)
    axis = np.where(x >= enter, 0, np.where(y >= enter, 1, 2))[met]
    t[close] = np.where(met, enter, NOTHING_MET)
    close[close] = met
    normal[close] = -np.sign(d[met, axis])[:, None] * axes[axis]
    return t, normal


def _passes(away: Real, directions: Real, radius: float) -> NDArray[np.bool_]:
    """True where lines of sight (..., 3) pass within `radius` of what lies `away` (..., 3) from their beginnings."""
    along = dot(directions, away)
    beside = dot(away, away) * dot(directions, directions) - along**2  # (distance x length of direction)^2
    slack = 1 + 1e-6
    return np.asarray(beside <= slack * radius**2 * dot(directions, directions))


def near_edges(values: NDArray[np.number]) -> NDArray[np.bool_]:
    """Pixels (h, w) within two of one that has another value."""
    near = np.zeros(values.shape, dtype=bool)
    for axis in (0, 1):
        other = np.diff(values, axis=axis) != 0
        pad = [(0, 0), (0, 0)]
        for pad[axis] in ((1, 0), (0, 1)):
            near |= np.pad(other, pad)
    return np.asarray(binary_dilation(near, np.ones((3, 3), dtype=bool)))


def mean_albedo(stage: Stage, part: NDArray[np.int64], points: Real) -> Real:
    """Albedo (..., 3), means of the textures, of points (..., 3) m on numbered parts (...), 0 where that is -1."""
    means = [np.multiply(material.albedo, mean_texture(material)) for material in materials(stage)]
    albedo = np.array([*means, np.zeros(3)])[part]
    for number, surface in enumerate(stage.surfaces):
        if surface.material.front != 1.0:
            albedo[(part == number) & (surface_places(stage, number, points)[1] < 0)] *= surface.material.front
    return np.asarray(albedo)


def textured_albedo(stage: Stage, camera: Camera, seen: Seen) -> Real:
    """Albedo (h, w, 3) with texture, 0 where there is nothing."""
    albedo = np.zeros((*seen.part.shape, 3))
    points = seen.points(camera)
    for number, material in enumerate(materials(stage)):
        here = seen.part == number
        if not here.any():
            continue
        if number >= len(stage.surfaces):
            albedo[here] = block_albedo(stage.blocks[number - len(stage.surfaces)], points[here], seen.normal[here])
            continue
        surface = stage.surfaces[number]
        u, v = surface_places(stage, number, points[here])
        albedo[here] = np.asarray(material.albedo) * texture(material, u, v)
        if stage.door is not None and surface.axis == 1:
            albedo[here] = painted(stage.door, albedo[here], u, v)
    return albedo


def block_albedo(block: StageBox, points: Real, normal: Real) -> Real:
    """Albedo (P, 3) with texture and worn edges of points (P, 3) m on a box, normals (P, 3)."""
    colours = np.asarray(block.material.albedo) * texture(block.material, *_block_places(block, points, normal))
    if block.material.framed:
        local = unrotate(block.turn, points - np.asarray(block.centre))
        facing = np.abs(unrotate(block.turn, normal)).argmax(axis=-1)
        return np.asarray(colours * framed_cloth(block.material.seed, np.asarray(block.half), local, facing)[:, None])
    return np.asarray(colours * _worn_edges(block, points, normal)[:, None])


def _worn_edges(block: StageBox, points: Real, normal: Real) -> Real:
    """Factors (P,) that make the edges of boards lighter, as their paint is thinner there."""
    local = np.abs(unrotate(block.turn, points - np.asarray(block.centre)))
    inside = np.asarray(block.half) - local + 9.0 * (np.abs(unrotate(block.turn, normal)) > 0.5)
    # Lighter by a share of 0.45 within 0.010 m of the edge
    return np.asarray(1 + 0.45 * np.clip(1.5 - inside.min(axis=-1) / 0.010, 0.0, 1.0))


def surface_places(stage: Stage, number: int, points: Real) -> tuple[Real, Real]:
    """Places (u, v) m on surface `number` of points (..., 3)."""
    return points[..., 0], points[..., 1 if stage.surfaces[number].axis == 2 else 2]


def _block_places(block: StageBox, points: Real, normal: Real) -> tuple[Real, Real]:
    """Places (u, v) m on a box of points (..., 3) with normals (..., 3)."""
    local = unrotate(block.turn, points - np.asarray(block.centre))
    facing = np.abs(unrotate(block.turn, normal)).argmax(axis=-1)
    u = np.where(facing == 0, local[..., 1], local[..., 0])
    v = np.where(facing == 2, local[..., 1], local[..., 2])
    return u + 3.1, v + 7.3


def materials(stage: Stage) -> list[Material]:
    """Of the surfaces, then of the blocks."""
    return [*(surface.material for surface in stage.surfaces), *(block.material for block in stage.blocks)]
