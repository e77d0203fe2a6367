"""The wide picture of a camera at rest, out of which the frames of a camera that turns are cut.

From one eye everything goes from one picture to the other by a homography (Hartley and Zisserman 2004, Multiple View
Geometry, 8.4).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Real
from physbench.support.errors import UsageError
from physbench.world.camera import homographies, mapped, path_moments, pixels_per_metre
from physbench.world.scene import Camera, RenderSpec, Scene
from physbench.world.styles.natural.rays import NOTHING_MET

SLACK = 0.05  # of the picture, for what it shows between the moments at which the path is asked
MOST = 8.0  # times a picture that the wide one may be, in wide pictures, which see more obliquely


def wide_picture(scene: Scene, spec: RenderSpec) -> tuple[Camera, RenderSpec]:
    """The camera at rest, and a size of its picture in which all that the moving one shows is seen, as large.

    Raises UsageError where it turns too far for one picture.
    """
    camera = scene.camera
    times = path_moments(scene.horizon)
    corners = np.array([[x, y] for x in (0.0, spec.width) for y in (0.0, spec.height)])
    size = np.array([spec.width, spec.height])
    back = np.asarray(np.linalg.inv(homographies(camera, spec, times)), dtype=np.float64)
    away = np.abs(mapped(back[:, None], corners) - size / 2)
    wide = np.maximum((2 + SLACK) * away.max(axis=(0, 1)), size)  # NaN: behind the camera
    if not wide.prod() <= MOST * size.prod():
        raise UsageError(
            f"--look natural: the camera turns too far for pictures of {spec.width}x{spec.height}. Use square ones."
        )
    width, height = (int(n) + 2 * math.ceil((w - n) / 2) for n, w in zip(size, wide, strict=True))
    return at_rest(camera, spec, min(height, width)), replace(spec, height=height, width=width)


def at_rest(camera: Camera, spec: RenderSpec, side: int) -> Camera:
    """The camera without its path; a picture of `side` px on its shorter side shows things as large as in `spec`."""
    metres = side / pixels_per_metre(camera, spec)  # of its picture: `camera.picture_width`, solved for the window
    width = metres / (1 + metres / 2 * abs(math.sin(camera.tilt)) / camera.distance) if camera.tilt else metres
    return replace(camera, width=width, path=())


@dataclass(frozen=True, eq=False)
class Panorama:
    """A wide picture of the camera at rest: (h, w) px, split into fine x fine."""

    fine: int
    depth: NDArray[np.float32]  # (fine h, fine w) m along the axis of the camera at rest
    body: NDArray[np.int16]  # (fine h, fine w): index of the fixed body that is seen there, -1 for none
    albedo: NDArray[np.float32]  # (fine h, fine w, 3) textured, or the sky's light
    normal: NDArray[np.float32] | None  # (h, w, 3); None without ground
    light: NDArray[np.float32] | None  # (h, w, 6) by the lamp, and by the sky


@dataclass(frozen=True, eq=False)
class Cut:
    """A frame's part of a panorama: (h, w) px of the frame, split as there."""

    depth: NDArray[np.float32]  # (fine h, fine w) m along the axis of the frame's camera
    body: NDArray[np.int16]  # (fine h, fine w)
    albedo: NDArray[np.float32]  # (h, w, 3)
    centre: NDArray[np.float32]  # (h, w) m, depth of the middles of pixels
    normal: NDArray[np.float32] | None  # (h, w, 3)
    light: NDArray[np.float32] | None  # (h, w, 6)


def cut_out(wide: Panorama, homography: Real, spec: RenderSpec) -> Cut:
    """The part of a panorama that a frame of a size shows.

    homography: (3, 3) from px of the frame to px of the panorama, its third row the way along the axis at rest of a ray
    with length 1 along the frame's own.
    """
    fine = wide.fine
    right, down, ahead = onto(homography, spec, fine)
    tall, broad = wide.depth.shape
    at = _cells(down, fine, tall) * broad + _cells(right, fine, broad)
    depth = np.minimum(wide.depth.ravel().take(at) / ahead, np.float32(NOTHING_MET))
    colours, albedo = wide.albedo.reshape(-1, 3), np.zeros((spec.height, spec.width, 3), dtype=np.float32)
    for row, column in itertools.product(range(fine), repeat=2):
        albedo += colours.take(at[row::fine, column::fine], axis=0)
    albedo /= fine**2
    body = wide.body.ravel().take(at)
    right, down, ahead = onto(homography, spec, 1)
    at = _cells(down, fine, tall) * broad + _cells(right, fine, broad)
    centre = np.minimum(wide.depth.ravel().take(at) / ahead, np.float32(NOTHING_MET))
    if wide.normal is None or wide.light is None:
        return Cut(depth, body, albedo, centre, None, None)
    tall, broad = tall // fine, broad // fine
    normal = wide.normal.reshape(-1, 3).take(_cells(down, 1, tall) * broad + _cells(right, 1, broad), axis=0)
    return Cut(depth, body, albedo, centre, normal, between(wide.light, right - 0.5, down - 0.5))


def onto(homography: Real, spec: RenderSpec, fine: int) -> tuple[NDArray[np.float32], ...]:
    """Places (h, w) px where the rays of a frame, fine x fine a pixel, meet a panorama, and the way along its axis."""
    x = ((np.arange(spec.width * fine) + 0.5) / fine).astype(np.float32)
    y = ((np.arange(spec.height * fine)[:, None] + 0.5) / fine).astype(np.float32)
    right, down, ahead = (row[0] * x + row[1] * y + row[2] for row in homography.astype(np.float32))
    return right / ahead, down / ahead, ahead


def _cells(place: NDArray[np.float32], fine: int, count: int) -> NDArray[np.int32]:
    """Indices of the cells, `fine` a px, of places in px; the border's where they lie beyond."""
    return np.clip(place * fine, 0, count - 1).astype(np.int32)


def between(values: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (h, w, n) of a picture at places in px of it, between the four around them."""
    tall, broad, many = values.shape
    left, top = np.clip(x, 0, broad - 1.001), np.clip(y, 0, tall - 1.001)
    at = top.astype(np.int32) * broad + left.astype(np.int32)
    x, y = (left % 1)[..., None], (top % 1)[..., None]
    rows = values.reshape(-1, many)
    high = rows.take(at, axis=0) * (1 - x) + rows.take(at + 1, axis=0) * x
    low = rows.take(at + broad, axis=0) * (1 - x) + rows.take(at + broad + 1, axis=0) * x
    return np.asarray(high * (1 - y) + low * y, dtype=np.float32)
