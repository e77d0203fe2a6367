"""Where bodies appear in the picture and how large, by geometry alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.world.camera import PLANE_AXES, eye, looking, pixels_per_metre, px_from_world
from physbench.world.geometry import rotate, unrotate
from physbench.world.meshes import NEAR_PLANE, body_mesh
from physbench.world.scene import Body, Camera, RenderSpec, Scene

Array = NDArray[np.float64]

PADDING = 2.0  # px around a box in which a body is surely drawn


def shown(body: Body, time: float) -> bool:
    """Whether a body is drawn at `time` s."""
    return body.drawn and (body.until is None or time < body.until - 1e-9)


def apparent_radius(body: Body, camera: Camera) -> float:
    """Radius in m of the circle with the area of a body's silhouette, as it lies in the scene, in the plane of motion.

    Raises ValueError for a plane, which has no silhouette.
    """
    if body.shape == "plane":
        raise ValueError("A plane has no silhouette.")
    if body.shape == "sphere":
        return body.size[0]
    along = np.abs(unrotate(body.orientation, looking(camera)))
    if body.shape == "box":
        x, y, z = body.size
        area = 4 * float(along @ np.array([y * z, x * z, x * y]))
    else:
        radius, length = body.size
        area = float(np.pi * radius**2 * along[2] + 2 * radius * length * np.hypot(along[0], along[1]))
    return float(np.sqrt(area / np.pi))


def full_area(scene: Scene, index: int, times: Array, states: Array, spec: RenderSpec) -> Array:
    """Area (T,) px of the whole outline of body `index`, as the camera sees it alone in an endless image.

    states: (T, 13) of this body. 0 while it is not shown; a plane has no outline and gets NaN.
    """
    body = scene.bodies[index]
    if body.shape == "plane":
        return np.full(len(times), np.nan)
    there = np.array([shown(body, float(time)) for time in times], dtype=np.float64)
    area = _ball_area(scene, body, states) if body.shape == "sphere" else _mesh_area(scene, body, states)
    return np.asarray(area * pixels_per_metre(scene.camera, spec) ** 2 * there)


def _ball_area(scene: Scene, body: Body, states: Array) -> Array:
    """Square metres (T,) in the plane of motion: the cone that touches a ball cuts the plane in an ellipse."""
    camera = scene.camera
    offset = states[:, :3] - eye(camera)
    square = (offset**2).sum(axis=1)
    sine2 = body.size[0] ** 2 / square
    cosine2 = (offset @ looking(camera)) ** 2 / square
    return np.asarray(np.pi * camera.distance**2 * sine2 * np.sqrt(1 - sine2) / (cosine2 - sine2) ** 1.5)


def _mesh_area(scene: Scene, body: Body, states: Array) -> Array:
    """Square metres (T,) in the plane of motion of a convex mesh.

    Each ray that meets it enters and leaves through one face each: the outline is half the sum of all projected faces.
    """
    camera, mesh = scene.camera, body_mesh(body, scene.camera)
    still = bool((states[:, :7] == states[:1, :7]).all())
    poses = states[:1] if still else states
    points = poses[:, None, :3] + rotate(poses[:, None, 3:7], mesh.vertices[None]) - eye(camera)  # (T, V, 3)
    flat = points[..., list(PLANE_AXES[camera.view])] * (camera.distance / (points @ looking(camera)))[..., None]
    a, b, c = (flat[:, mesh.triangles[:, i]] for i in range(3))
    cross = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    return np.asarray(np.broadcast_to(np.abs(cross).sum(axis=1) / 4, len(states)))


def boxes(scene: Scene, index: int, states: Array, spec: RenderSpec) -> NDArray[np.int64]:
    """Boxes (T, 4) px left, top, right, bottom (exclusive) that surely hold the body's picture.

    states: (T, 13) of this body. A box is empty where the body is out of view.
    """
    body, camera = scene.bodies[index], scene.camera
    size = np.array([spec.width, spec.height])
    if body.shape == "plane":
        return np.tile(np.array([0, 0, *size]), (len(states), 1))
    reach = body.size[0] if body.shape == "sphere" else float(np.linalg.norm(body_mesh(body, camera).vertices[-1]))
    if body.shape == "cylinder":
        reach = float(np.hypot(body.size[0], body.size[1] / 2))
    depth = (states[:, :3] - eye(camera)) @ looking(camera)
    nearest = np.maximum(depth - reach, NEAR_PLANE / 2)
    center = px_from_world(camera, spec, states[:, :3])
    # Seen obliquely a ball is stretched along the ray from the middle of the image by the cosine of the angle.
    oblique = np.linalg.norm(center - size / 2, axis=1) / pixels_per_metre(camera, spec) / camera.distance
    radius = reach * camera.distance / nearest * np.hypot(1.0, oblique) * pixels_per_metre(camera, spec) + PADDING
    low = np.floor(center - radius[:, None]).clip(0, size)
    high = np.ceil(center + radius[:, None]).clip(0, size)
    result = np.concatenate([low, high], axis=1).astype(np.int64)
    result[(high <= low).any(axis=1)] = 0
    return result
