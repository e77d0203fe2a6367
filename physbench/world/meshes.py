"""Triangle meshes that the renderer draws. PyBullet's own sphere is so coarse that its outline has 0.93 of the area."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from physbench.world.camera import depth_axis, looking, pixels_per_metre
from physbench.world.geometry import unrotate
from physbench.world.scene import Body, Camera, RenderSpec

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (V, 3) m with outward normals (V, 3) and triangles (F, 3) counter-clockwise from outside."""

    vertices: Array
    normals: Array
    triangles: NDArray[np.int64]


@cache
def unit_sphere(axis: int = 1, visible: float = math.pi, around: int = 64, down: int = 32) -> Mesh:
    """A sphere of radius 1 m of `around` meridians and `down` rings with smooth normals.

    axis: 1 has the first pole on -y (towards a camera in front), 2 on +z (towards one above), so that the outline is
    a ring of all meridians. visible: rad from that pole; rings wholly behind it are left out.
    """
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, down + 1), np.linspace(0, 2 * np.pi, around + 1), indexing="ij")
    x, y, z = np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)
    points = np.stack([x, y, z] if axis == 2 else [x, -z, y], axis=-1)
    triangles = []
    for i in range(down):
        if np.pi * i / down > visible:
            break
        for j in range(around):
            a = i * (around + 1) + j
            c = a + around + 1
            if i > 0:
                triangles.append((a, c, a + 1))
            if i < down - 1:
                triangles.append((a + 1, c, c + 1))
    used = np.array(triangles)
    flat = points.reshape(-1, 3)[: used.max() + 1]
    return Mesh(flat, flat.copy(), used)


@cache
def unit_cylinder(around: int = 64) -> Mesh:
    """A cylinder of radius 1 m and length 1 m along z with smooth sides and flat ends."""
    azimuth = np.linspace(0, 2 * np.pi, around + 1)
    ring = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)], axis=-1)
    up = np.array([0.0, 0.0, 0.5])
    j = np.arange(around)
    n = around + 1
    vertices = [ring - up, ring + up, ring - up, ring + up, -up[None], up[None]]
    normals = [ring, ring, np.tile(-2 * up, (n, 1)), np.tile(2 * up, (n, 1)), -2 * up[None], 2 * up[None]]
    triangles = [
        np.stack([j, j + 1, n + j], axis=-1),
        np.stack([j + 1, n + j + 1, n + j], axis=-1),
        np.stack([2 * n + j + 1, 2 * n + j, np.full(around, 4 * n)], axis=-1),
        np.stack([3 * n + j, 3 * n + j + 1, np.full(around, 4 * n + 1)], axis=-1),
    ]
    return Mesh(np.concatenate(vertices), np.concatenate(normals), np.concatenate(triangles))


@cache
def unit_box() -> Mesh:
    """A box of half extents 1 m."""
    vertices: list[Array] = []
    normals: list[Array] = []
    triangles: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal = np.zeros(3)
            normal[axis] = sign
            u, v = np.roll(np.eye(3), axis, axis=1)[1:] if sign > 0 else np.roll(np.eye(3), axis, axis=1)[:0:-1]
            base = len(vertices)
            corners = [normal - u - v, normal + u - v, normal + u + v, normal - u + v]
            vertices += corners
            normals += [normal] * 4
            triangles += [(base, base + 1, base + 2), (base, base + 2, base + 3)]
    return Mesh(np.array(vertices), np.array(normals), np.array(triangles))


NEAR_PLANE = 10.0  # m from the camera; nothing is drawn before it
PLATE_HALF_DEPTH = 0.010  # m, half the depth of what is drawn of a fixed body in the plane of motion
FLAT_HALF_DEPTH = 0.012  # m, of a flat one
ENDLESS = 400.0  # m, half the extent of a plane as it is drawn


def body_mesh(body: Body, camera: Camera, spec: RenderSpec | None = None) -> Mesh:
    """What is drawn of a body, in its own axes.

    spec: given, only what a camera can see of a ball in pictures of this size; the picture is the same.
    In a front view planes, and fixed boxes in the plane of motion, are drawn as thin plates in that plane: the front
    of a deep one would be nearer to the camera, appear larger, and hide the feet of what stands on it. So are `flat`
    bodies in any view, a little thicker, so that they are drawn before what they touch.
    """
    if body.shape == "sphere":
        visible = math.pi if spec is None else math.pi / 2 + _widest_angle(body, camera, spec)
        return _scaled(unit_sphere(depth_axis(camera), visible), (body.size[0],) * 3)
    across = _axis_across(body, camera) if body.flat else None
    if body.shape == "cylinder":
        length = min(body.size[1], 2 * FLAT_HALF_DEPTH) if across == 2 else body.size[1]
        return _scaled(unit_cylinder(), (body.size[0], body.size[0], length))
    if body.shape == "box":
        x, y, z = (min(half, FLAT_HALF_DEPTH) if axis == across else half for axis, half in enumerate(body.size))
        thin = camera.view == "front" and body.role == "fixed" and abs(body.position[1] - camera.center[1]) < y
        return _scaled(unit_box(), (x, min(y, PLATE_HALF_DEPTH) if thin else y, z))
    if camera.view == "front":
        slab = _scaled(unit_box(), (ENDLESS, PLATE_HALF_DEPTH, ENDLESS / 2))
        return Mesh(slab.vertices - np.array([0.0, 0.0, ENDLESS / 2]), slab.normals, slab.triangles)
    slab = _scaled(unit_box(), (ENDLESS, ENDLESS, PLATE_HALF_DEPTH))
    return Mesh(slab.vertices - np.array([0.0, 0.0, PLATE_HALF_DEPTH]), slab.normals, slab.triangles)


def _axis_across(body: Body, camera: Camera) -> int:
    """The body's own axis (0, 1, 2) that lies nearest to the camera's."""
    return int(np.abs(unrotate(body.orientation, looking(camera))).argmax())


def _widest_angle(body: Body, camera: Camera, spec: RenderSpec) -> float:
    """Angle in rad between the camera's axis and the ray to the centre of a ball that is just seen, rounded up."""
    corner = math.hypot(spec.width, spec.height) / 2 / pixels_per_metre(camera, spec) + 2 * body.size[0]
    return math.ceil(50 * math.atan(corner / camera.distance)) / 50


def _scaled(mesh: Mesh, factors: tuple[float, ...]) -> Mesh:
    normals = mesh.normals / np.array(factors)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(mesh.vertices * np.array(factors), normals, mesh.triangles)
