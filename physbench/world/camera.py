"""From metres in the plane of motion to pixels and back, through a pinhole camera.

Pixel coordinates are continuous: x to the right, y down, pixel (row i, column j) covers [j, j + 1) x [i, i + 1), so its
centre is at (j + 0.5, i + 0.5). Plane coordinates (u, v) are (x, z) seen from the front, (x, y) seen from the top.

An untilted camera shows the plane of motion in true scale. A tilted one shows it through a homography: a pixel is a
ray, and a place in the plane is where the ray meets it (Hartley and Zisserman 2004, Multiple View Geometry, 8.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array
from physbench.world.scene import FAR, MOVING, Camera, CameraMove, RenderSpec, Scene

PLANE_AXES: dict[str, tuple[int, int]] = {"front": (0, 2), "top": (0, 1)}
NEAR_DISTANCE = 5.0  # m from the eye to the target in the view `near`
NEAR_TILT = math.radians(12.0)  # from straight ahead; a screen still hides what passes behind it
# The view `moving`: that camera sways. In its wider picture the window stays whole.
SWAY = (
    CameraMove("pan", math.radians(3.5), period=4.0),
    CameraMove("tilt", math.radians(1.2), period=2.7),
    CameraMove("roll", math.radians(1.0), period=3.3),
)
CIRCLES = 10.0  # m; nearer cameras see a ball as an ellipse, and tilted ones, whose depth changes along the picture
LARGEST = 1.75  # times its radius in the middle that a body reaches in a near picture of 16 to 9; 1.45 in a square one


def in_view(scene: Scene, view: str) -> Scene:
    """The scene with the camera of a view: far, the task's own, or near and tilted, or that and moving.

    All else is the same. A task whose camera moves by itself keeps its path.
    """
    if view == FAR:
        return scene
    path = scene.camera.path or (SWAY if view == MOVING else ())
    return replace(scene, camera=replace(scene.camera, distance=NEAR_DISTANCE, tilt=NEAR_TILT, path=path))


def depth_axis(camera: Camera) -> int:
    """The world axis across the plane of motion: 1 (y) from the front, 2 (z) from the top."""
    return 1 if camera.view == "front" else 2


def normal(camera: Camera) -> Array:
    """Unit vector (3,) across the plane of motion, away from the camera: where an untilted one looks."""
    return np.array([0.0, 1.0, 0.0] if camera.view == "front" else [0.0, 0.0, -1.0])


def looking(camera: Camera) -> Array:
    """Unit vector (3,) in which the camera looks."""
    if not camera.tilt:
        return normal(camera)
    return np.asarray(math.cos(camera.tilt) * normal(camera) + _leaning(camera) * _plane_up(camera))


def up(camera: Camera) -> Array:
    """Unit vector (3,) that points up in the image; x points right."""
    if not camera.tilt:
        return _plane_up(camera)
    return np.asarray(math.cos(camera.tilt) * _plane_up(camera) - _leaning(camera) * normal(camera))


def _plane_up(camera: Camera) -> Array:
    return np.array([0.0, 0.0, 1.0] if camera.view == "front" else [0.0, 1.0, 0.0])


def _leaning(camera: Camera) -> float:
    """Part of `looking` along the second axis of the plane: a tilted camera looks down, from the top ahead."""
    return math.sin(camera.tilt) * (-1.0 if camera.view == "front" else 1.0)


def eye(camera: Camera) -> Array:
    """Position of the camera (3,) m."""
    return np.asarray(camera.center, dtype=np.float64) - camera.distance * looking(camera)


def pixels_per_metre(camera: Camera, spec: RenderSpec) -> float:
    """Pixels that a metre across the line of sight takes at the target.

    The square window fills the shorter side of the image. Of a tilted camera so do its two nearest corners.
    """
    return min(spec.height, spec.width) / picture_width(camera)


def picture_width(camera: Camera) -> float:
    """Metres across the line of sight at the target that the shorter side of the image shows."""
    # times the width of a picture at rest, for a camera that moves
    width = camera.width * (1.2 if camera.path else 1.0)
    if not camera.tilt:
        return width
    return width * camera.distance / (camera.distance - camera.width / 2 * abs(math.sin(camera.tilt)))


def plane_from_world(camera: Camera, points: Array) -> Array:
    """World points (..., 3) m -> plane coordinates (..., 2) m."""
    return points[..., list(PLANE_AXES[camera.view])]


def world_from_plane(camera: Camera, points: Array) -> Array:
    """Plane coordinates (..., 2) m -> world points (..., 3) m in the plane of motion."""
    world = np.empty((*points.shape[:-1], 3))
    world[..., list(PLANE_AXES[camera.view])] = points
    world[..., depth_axis(camera)] = camera.center[depth_axis(camera)]
    return world


def px_from_plane(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """Plane coordinates (..., 2) m -> image coordinates (..., 2) px."""
    if camera.tilt:
        return px_from_world(camera, spec, world_from_plane(camera, points))
    scale = pixels_per_metre(camera, spec)
    center = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    offset = (points - center) * scale
    return np.stack([spec.width / 2 + offset[..., 0], spec.height / 2 - offset[..., 1]], axis=-1)


def plane_from_px(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """Image coordinates (..., 2) px -> plane coordinates (..., 2) m."""
    if camera.tilt:
        rays = _rays(camera, spec, points)
        reach = plane_distance(camera) / (rays @ normal(camera))
        return plane_from_world(camera, eye(camera) + rays * reach[..., None])
    scale = pixels_per_metre(camera, spec)
    center = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    return np.stack(
        [(points[..., 0] - spec.width / 2) / scale + center[0], (spec.height / 2 - points[..., 1]) / scale + center[1]],
        axis=-1,
    )


def _rays(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """Vectors (..., 3) px from the eye to image points (..., 2) px, the image a focal length away."""
    focal = camera.distance * pixels_per_metre(camera, spec)
    across, down = points[..., :1] - spec.width / 2, points[..., 1:] - spec.height / 2
    return np.asarray(focal * looking(camera) + across * np.array([1.0, 0.0, 0.0]) - down * up(camera))


def px_from_world(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """World points (..., 3) m -> image coordinates (..., 2) px, in perspective; in the plane of motion as above."""
    away = points - eye(camera)
    depth = away @ looking(camera)
    if camera.tilt:
        scale = camera.distance * pixels_per_metre(camera, spec) / depth
        return np.stack([spec.width / 2 + away[..., 0] * scale, spec.height / 2 - (away @ up(camera)) * scale], axis=-1)
    center = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    offset = plane_from_world(camera, np.asarray(points, dtype=np.float64)) - center
    return px_from_plane(camera, spec, center + offset * (camera.distance / depth)[..., None])


# Planes that are parallel to the plane of motion: seen from the eye, enlargements of one another about its foot.


def foot(camera: Camera) -> Array:
    """Plane coordinates (2,) m of the eye: of the target, but for a tilted camera."""
    return plane_from_world(camera, eye(camera))


def plane_distance(camera: Camera) -> float:
    """Distance in m of the eye from the plane of motion, straight across it."""
    return camera.distance * math.cos(camera.tilt)


def depth_scale(camera: Camera, depth: Array) -> Array:
    """Lengths (...) in planes at `depth` (...) m on the depth axis over those alike in the plane of motion."""
    across = depth_axis(camera)
    return np.asarray(1 + normal(camera)[across] * (depth - camera.center[across]) / plane_distance(camera))


def planes_from_px(camera: Camera, spec: RenderSpec, points: Array, depth: Array) -> Array:
    """Plane coordinates (..., N, 2) m of image points (..., N, 2) px, each of a body at `depth` (N,) m."""
    centre = foot(camera)
    return np.asarray(centre + (plane_from_px(camera, spec, points) - centre) * depth_scale(camera, depth)[:, None])


def least_scale(camera: Camera, spec: RenderSpec, points: Array) -> Array:
    """Least pixels (...) that a metre in the plane of motion takes at image points (..., 2) px, of all directions."""
    if not camera.tilt:
        return np.full(points.shape[:-1], pixels_per_metre(camera, spec))
    rays = _rays(camera, spec, points)
    towards = rays @ normal(camera)
    # A px down moves the ray by -up, and the point where it meets the plane by that and as much along the ray.
    along = -up(camera) + rays * (float(up(camera) @ normal(camera)) / towards)[..., None]
    square, skew = (along**2).sum(axis=-1), along[..., 0]  # a px to the right moves it by 1
    longest2 = (1 + square + np.sqrt((1 - square) ** 2 + 4 * skew**2)) / 2  # singular value of the two
    return np.asarray(towards / (plane_distance(camera) * np.sqrt(longest2)))


def most_scale(camera: Camera, spec: RenderSpec) -> float:
    """Pixels that a metre takes at most where a body is seen."""
    return pixels_per_metre(camera, spec) * (1.0 if camera.distance >= CIRCLES and not camera.tilt else LARGEST)


# The outline of a ball: the cone of rays that touch it cuts the image in an ellipse.


@dataclass(frozen=True)
class BallSight:
    """Depth of a ball of known radius by its place in the image, as its centre stays in one plane."""

    focal: float  # px
    middle: tuple[float, float]  # px, where the camera's axis meets the image
    nearness: float | Array  # 1/m, one over the depth of a centre that is seen in the middle; (N,) one a frame
    down: float | Array  # 1/m, by how much that grows for a px down
    radius: float  # m
    right: float | Array = 0.0  # 1/m, by how much it grows for a px to the right

    def shrunk(self, factor: float) -> BallSight:
        """The same in an image of 1 / factor of the size."""
        x, y = self.middle
        down, right = self.down * factor, self.right * factor
        return replace(self, focal=self.focal / factor, middle=(x / factor, y / factor), down=down, right=right)

    def select(self, frames: NDArray[np.integer]) -> BallSight:
        """That of some frames: one and the same."""
        return self

    def square(self, place: Array) -> Array:
        """(radius / depth)^2 (...) of balls whose centres are seen at places (..., 2) px."""
        return np.asarray((self.radius * self._nearness(place)) ** 2)

    def centre(self, outline: Array) -> Array:
        """Images (..., 2) px of the centres of balls whose outlines have the centres `outline` (..., 2) px.

        The centre of an outline lies too far out, by 1 / (1 - (radius / depth)^2).
        """
        middle = np.asarray(self.middle)
        place = outline
        for _ in range(3):  # the depth is that of the centre; each time the rest falls to below a hundredth
            place = middle + (outline - middle) * (1 - self.square(place))[..., None]
        return np.asarray(place)

    def axes(self, place: Array) -> tuple[Array, Array]:
        """Half axes (...), (...) px along and across the ray from the middle, of balls seen at places (..., 2) px."""
        square = self.square(place)
        oblique = self.oblique2(place)
        along = self.focal * np.sqrt(square * (1 + oblique - square)) / (1 - square)
        return along, self.focal * np.sqrt(square / (1 - square))

    def plate_area(self, place: Array) -> Array:
        """Areas (...) px of flat bodies of this radius in the plane, seen at places (..., 2) px.

        The homography enlarges areas by focal^2 distance / depth^3.
        """
        return np.asarray(np.pi * self.radius**2 * self.focal**2 * self._distance * self._nearness(place) ** 3)

    @property
    def _distance(self) -> float:
        """Metres from the eye to the plane, straight across it."""
        return float(1 / np.hypot(self.nearness, self.down * self.focal))

    def _nearness(self, place: Array) -> Array:
        """One over the depth (...) 1/m of what is seen at places (..., 2) px."""
        x, y = place[..., 0] - self.middle[0], place[..., 1] - self.middle[1]
        return np.asarray(self.nearness + self.down * y + self.right * x)

    def plate_shift(self, place: Array, spread: float) -> Array:
        """Shift (...) px down of the centroids of plates at places (..., 2) px from the images of their centres.

        Where the depth changes along a plate, what is nearer is larger: 4 <y^2> times the change of 1 / depth with y.
        spread: second moment of the plate over its area.
        """
        nearness = self._nearness(place)
        upwards = self.focal * self._distance * nearness**2  # px down for a metre along the plane
        return np.asarray(4 * spread * np.pi * self.radius**2 * upwards**2 * self.down / nearness)

    def slant(self, place: Array) -> Array:
        """Half axes (..., 2) px of outlines seen at places (..., 2) px, along the ray, times the sine of its angle.

        By so much, times a factor of the light, the shade of a ball that is lit along the camera's axis lies outwards.
        """
        along, _ = self.axes(place)
        away = (place - np.asarray(self.middle)) / self.focal
        return np.asarray(away * (along / np.sqrt(1 + self.oblique2(place)))[..., None])

    def two_fold(self, place: Array) -> Array:
        """<z^2> / R^2 (..., 2) of outlines seen at places (..., 2) px, z = x + iy, in parts: (a^2 - b^2) / 4ab."""
        along, across = self.axes(place)
        x, y = np.moveaxis(place - np.asarray(self.middle), -1, 0)
        size = (along / across - across / along) / 4 / np.maximum(x * x + y * y, 1e-9)
        return np.stack([size * (x * x - y * y), size * 2 * x * y], axis=-1)

    def oblique2(self, place: Array) -> Array:
        """Squared tangent (...) of the angle between the camera's axis and the ray to places (..., 2) px."""
        return np.asarray((((place - np.asarray(self.middle)) / self.focal) ** 2).sum(axis=-1))

    def area(self, place: Array) -> Array:
        """Areas (...) px of outlines of balls that are seen at places (..., 2) px."""
        along, across = self.axes(place)
        return np.asarray(np.pi * along * across)


def ball_sight(camera: Camera, spec: RenderSpec, radius: float, depth: float) -> BallSight | None:
    """Sight of a ball of `radius` m whose centre stays at `depth` m on the depth axis; None of a circle of one size."""
    if camera.distance >= CIRCLES and not camera.tilt:
        return None
    return cone_sight(camera, spec, radius, depth)


def cone_sight(camera: Camera, spec: RenderSpec, radius: float, depth: float) -> BallSight:
    """That of a ball before any camera."""
    focal = camera.distance * pixels_per_metre(camera, spec)
    away = plane_distance(camera) * float(depth_scale(camera, np.asarray(depth)))
    return BallSight(
        focal,
        (spec.width / 2, spec.height / 2),
        math.cos(camera.tilt) / away,
        -float(up(camera) @ normal(camera)) / (away * focal),
        radius,
    )
