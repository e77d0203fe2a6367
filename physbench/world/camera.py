"""From metres in the plane of motion to pixels and back.

Pixel coordinates are continuous: x to the right, y down, pixel (row i, column j) covers [j, j + 1) x [i, i + 1), so its
centre is at (j + 0.5, i + 0.5). Plane coordinates (u, v) are (x, z) seen from the front, (x, y) seen from the top.
"""

from __future__ import annotations

import numpy as np

from physbench.support.arrays import Array
from physbench.world.scene import Camera, RenderSpec

PLANE_AXES: dict[str, tuple[int, int]] = {"front": (0, 2), "top": (0, 1)}


def pixels_per_metre(camera: Camera, spec: RenderSpec) -> float:
    """The square window fills the shorter side of the image."""
    return min(spec.height, spec.width) / camera.width


def plane_from_world(camera: Camera, points: Array) -> Array:
    """World points (..., 3) m -> plane coordinates (..., 2) m."""
    return points[..., list(PLANE_AXES[camera.view])]


def px_from_plane(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """Plane coordinates (..., 2) m -> image coordinates (..., 2) px."""
    scale = pixels_per_metre(camera, spec)
    center = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    offset = (points - center) * scale
    return np.stack([spec.width / 2 + offset[..., 0], spec.height / 2 - offset[..., 1]], axis=-1)


def plane_from_px(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """Image coordinates (..., 2) px -> plane coordinates (..., 2) m."""
    scale = pixels_per_metre(camera, spec)
    center = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    return np.stack(
        [(points[..., 0] - spec.width / 2) / scale + center[0], (spec.height / 2 - points[..., 1]) / scale + center[1]],
        axis=-1,
    )


def depth_axis(camera: Camera) -> int:
    """The world axis along which the camera looks: 1 (y) from the front, 2 (z) from the top."""
    return 1 if camera.view == "front" else 2


def looking(camera: Camera) -> Array:
    """Unit vector (3,) in which the camera looks."""
    return np.array([0.0, 1.0, 0.0] if camera.view == "front" else [0.0, 0.0, -1.0])


def eye(camera: Camera) -> Array:
    """Position of the camera (3,) m."""
    return np.asarray(camera.center, dtype=np.float64) - camera.distance * looking(camera)


def px_from_world(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """World points (..., 3) m -> image coordinates (..., 2) px, in perspective; in the plane of motion as above."""
    depth = (points - eye(camera)) @ looking(camera)
    center = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    offset = plane_from_world(camera, np.asarray(points, dtype=np.float64)) - center
    return px_from_plane(camera, spec, center + offset * (camera.distance / depth)[..., None])
