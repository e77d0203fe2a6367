"""Triangle meshes that the renderer draws. PyBullet's own sphere is so coarse that its outline has 0.93 of the area."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from physbench.world.camera import PLANE_AXES, pixels_per_metre
from physbench.world.geometry import rotate
from physbench.world.scene import Body, Camera, RenderSpec, Scene

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (V, 3) m with outward normals (V, 3) and triangles (F, 3) counted against the clock from outside."""

    vertices: Array
    normals: Array
    triangles: NDArray[np.int64]


@cache
def unit_sphere(around: int = 64, down: int = 32) -> Mesh:
    """A sphere of radius 1 m of `around` meridians and `down` rings with smooth normals; its poles are on y."""
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, down + 1), np.linspace(0, 2 * np.pi, around + 1), indexing="ij")
    points = np.stack([np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], axis=-1)
    triangles = []
    for i in range(down):
        for j in range(around):
            a = i * (around + 1) + j
            c = a + around + 1
            if i > 0:
                triangles.append((a, c, a + 1))
            if i < down - 1:
                triangles.append((a + 1, c, c + 1))
    flat = points.reshape(-1, 3)
    return Mesh(flat, flat.copy(), np.array(triangles))


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
    vertices, normals, triangles = [], [], []
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


PLATE = 0.01  # m, half the depth of what is drawn of a fixed body in the plane of motion
ENDLESS = 400.0  # m, half the extent of a plane as it is drawn


def body_mesh(body: Body, camera: Camera) -> Mesh:
    """What is drawn of a body, in its own axes (a plane: in the world's, about `body.position`).

    In a front view the fixed boxes on which things move, and planes, are drawn as plates in the plane of motion: a deep
    one would hide the feet of what stands on it, since its front is nearer to the camera.
    """
    if body.shape == "sphere":
        return _scaled(unit_sphere(), (body.size[0],) * 3)
    if body.shape == "cylinder":
        return _scaled(unit_cylinder(), (body.size[0], body.size[0], body.size[1]))
    if body.shape == "box":
        x, y, z = body.size
        thin = camera.view == "front" and body.role == "fixed" and body.collides
        return _scaled(unit_box(), (x, min(y, PLATE) if thin else y, z))
    depth = PLATE if camera.view == "front" else ENDLESS
    slab = _scaled(unit_box(), (ENDLESS, depth, ENDLESS / 2 if camera.view == "front" else PLATE))
    down = slab.vertices[:, 2].min()
    return Mesh(slab.vertices + np.array([0.0, 0.0, down]), slab.normals, slab.triangles)


def _scaled(mesh: Mesh, factors: tuple[float, ...]) -> Mesh:
    normals = mesh.normals / np.array(factors)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(mesh.vertices * np.array(factors), normals, mesh.triangles)


def silhouette_areas(scene: Scene, index: int, times: Array, states: Array, spec: RenderSpec, visible: Array) -> Array:
    """Area (T,) px of the whole outline of body `index`, as its camera sees it alone in an endless image.

    Each ray that meets a convex body enters and leaves through one face each, so the outline has half the sum of the
    projected areas of all faces. states: (T, 13) of this body; visible: (T,) px, what a plane answers.
    """
    body, camera = scene.bodies[index], scene.camera
    if not body.drawn:
        return np.zeros(len(times))
    if body.shape == "plane":
        return visible
    there = np.ones(len(times)) if body.until is None else (times < body.until - 1e-9).astype(np.float64)
    scale = pixels_per_metre(camera, spec)
    eye = np.array(camera.center) - camera.distance * _looking(camera)
    if body.shape == "sphere":
        offset = states[:, :3] - eye
        axial = offset @ _looking(camera)
        square = (offset**2).sum(axis=1)
        # The cone that touches the ball cuts the picture plane in an ellipse.
        sine2 = body.size[0] ** 2 / square
        gap = axial**2 / square - sine2
        area = np.pi * camera.distance**2 * sine2 * np.sqrt(1 - sine2) / gap**1.5
        return np.asarray(area * scale**2 * there)
    mesh = body_mesh(body, camera)
    still = (states[:, :7] == states[:1, :7]).all()
    poses = states[:1] if still else states
    points = poses[:, None, :3] + rotate(poses[:, None, 3:7], mesh.vertices[None]) - eye  # (T, V, 3)
    flat = points[..., list(PLANE_AXES[camera.view])] * (camera.distance / (points @ _looking(camera)))[..., None]
    a, b, c = (flat[:, mesh.triangles[:, i]] for i in range(3))
    cross = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    return np.asarray(np.abs(cross).sum(axis=1) / 4 * scale**2 * there)


def _looking(camera: Camera) -> Array:
    return np.array([0.0, 1.0, 0.0] if camera.view == "front" else [0.0, 0.0, -1.0])
