"""Moving cameras: pose and homography in every frame.

A camera with a `path` moves about its pose at rest. Its pictures are read as the camera at rest would show them: a
place in the plane of motion goes from one picture to the other by a homography (Hartley and Zisserman 2004, Multiple
View Geometry, 13.1). Where the camera only turns, so does everything else that it sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from physbench.support.arrays import Array, Mask
from physbench.world.camera import depth_axis, eye, looking, normal, pixels_per_metre, plane_distance, up
from physbench.world.scene import Camera, CameraMove, RenderSpec

SHAKE = ((1.3, 0.0), (2.1, 1.0), (3.7, 2.5))  # Hz and rad, of sines of one size that add up to a shake
SHAKE_PHASE = 1.7  # rad, of that in tilt


@dataclass(frozen=True, eq=False)
class CameraPose:
    """A camera at one moment."""

    eye: Array  # (3,) m
    axes: Array  # (3, 3): unit vectors to the right, down and ahead


def pose_at(camera: Camera, time: float) -> CameraPose:
    """The pose of a camera at `time` s."""
    size = dict.fromkeys(("pan", "tilt", "roll", "dolly", "orbit"), 0.0)
    for move in camera.path:
        if move.kind == "shake":
            size["pan"] += _shake(move, time, 0.0)
            size["tilt"] += _shake(move, time, SHAKE_PHASE)
        else:
            size[move.kind] += _value(move, time)
    target = np.asarray(camera.center, dtype=np.float64)
    # The second axis of the plane of motion, about which an orbit goes: z from the front, y from the top.
    about = turned(depth_axis(camera) % 2 + 1, size["orbit"])
    away = about @ (eye(camera) + size["dolly"] * looking(camera) - target)
    turn = turned(2, -size["roll"]) @ turned(0, size["tilt"]) @ turned(1, -size["pan"])
    return CameraPose(target + away, turn @ _axes_at_rest(camera) @ about.T)


def _axes_at_rest(camera: Camera) -> Array:
    """Unit vectors (3, 3) to the right, down and ahead of a camera before it moves."""
    return np.array([[1.0, 0.0, 0.0], -up(camera), looking(camera)])


def _value(move: CameraMove, time: float) -> float:
    if move.period is not None:
        return move.size * math.sin(2 * math.pi * time / move.period)
    return move.size * min(max((time - move.begin) / (move.end - move.begin), 0.0), 1.0)


def _shake(move: CameraMove, time: float, phase: float) -> float:
    total = sum(math.sin(2 * math.pi * rate * time + start + phase) for rate, start in SHAKE)
    return move.size * total / math.sqrt(len(SHAKE))


def turned(axis: int, angle: float) -> Array:
    """Matrix (3, 3) of a turn by `angle` rad about an axis."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = math.cos(angle)
    matrix[other, one] = math.sin(angle)
    matrix[one, other] = -math.sin(angle)
    return matrix


def lens(camera: Camera, spec: RenderSpec) -> Array:
    """Matrix (3, 3) from directions in the camera's axes to homogeneous px."""
    focal = camera.distance * pixels_per_metre(camera, spec)
    return np.array([[focal, 0.0, spec.width / 2], [0.0, focal, spec.height / 2], [0.0, 0.0, 1.0]])


def homographies(camera: Camera, spec: RenderSpec, times: Array) -> Array:
    """Matrices (T, 3, 3) from px of the camera at rest to px at `times` (T,) s, of places in the plane of motion."""
    matrix, rest = lens(camera, spec), _axes_at_rest(camera)
    matrices = []
    for time in times:
        pose = pose_at(camera, float(time))
        moved = np.eye(3) + np.outer(eye(camera) - pose.eye, normal(camera)) / plane_distance(camera)
        matrices.append(matrix @ pose.axes @ moved @ rest.T @ np.linalg.inv(matrix))
    return np.array(matrices).reshape(-1, 3, 3)


def mapped(homography: Array, points: Array) -> Array:
    """Points (..., 2) px through homographies (..., 3, 3); NaN behind the camera."""
    x, y = points[..., 0], points[..., 1]
    right, down, last = (
        homography[..., i, 0] * x + homography[..., i, 1] * y + homography[..., i, 2] for i in range(3)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([right, down], axis=-1) / np.where(last > 0, last, np.nan)[..., None]


def in_picture(homography: Array, spec: RenderSpec, points: Array, beyond: float = 0.0) -> Mask:
    """Mask (...) of points (..., 2) px that homographies (..., 3, 3) take into the picture; False where NaN.

    beyond: px outside it that count as inside.
    """
    with np.errstate(invalid="ignore"):
        moved = mapped(homography, points)
        return np.asarray(((moved >= -beyond) & (moved <= (spec.width + beyond, spec.height + beyond))).all(axis=-1))


def area_weights(homography: Array, spec: RenderSpec, fine: int) -> Array:
    """Area (H, W) px, where a homography (3, 3) leads, of the pixels of a picture `fine` times as large; 0 outside."""
    x = (np.arange(spec.width * fine) + 0.5) / fine
    y = (np.arange(spec.height * fine)[:, None] + 0.5) / fine
    right, down, last = (row[0] * x + row[1] * y + row[2] for row in homography)
    inside = (last > 0) & (right >= 0) & (right <= spec.width * last) & (down >= 0) & (down <= spec.height * last)
    return np.where(inside, abs(np.linalg.det(homography)) / np.where(inside, last, 1.0) ** 3, 0.0) / fine**2
