"""From metres in the plane of motion to pixels and back, through a pinhole camera, at rest or moving.

Pixel coordinates are continuous: x to the right, y down, pixel (row i, column j) covers [j, j + 1) x [i, i + 1), so its
centre is at (j + 0.5, i + 0.5). Plane coordinates (u, v) are (x, z) seen from the front, (x, y) seen from the top.

An untilted camera shows the plane of motion in true scale. A tilted one shows it through a homography: a pixel is a
ray, and a place in the plane is where the ray meets it (Hartley and Zisserman 2004, Multiple View Geometry, 8.1).

A camera with a `path` moves about its pose at rest. Its pictures are read as the camera at rest would show them: a
place in the plane of motion goes from one picture to the other by a homography (same book, 13.1). Where the camera only
turns, so does everything else that it sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physbench.support.arrays import Array, Mask
from physbench.support.errors import UsageError
from physbench.world.scene import FAR, HISTORY, MOVING, Camera, CameraMove, RenderSpec, Scene

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

    def plate_shear(self, place: Array) -> Array:
        """Derivative (..., 2, 2) of the homography at places (..., 2) px, with determinant 1: what it makes of shapes.

        Columns: a step along the plane to the right, and down. Of a camera at rest, whose plane tilts up and down only.
        """
        along = np.array([[1.0, 0.0, 0.0], [0.0, self.nearness, -self.down * self.focal]])  # in the plane; right, down
        along[1] *= self._distance
        away = (place - np.asarray(self.middle)) / self.focal
        shear = along[:, :2].T - away[..., :, None] * along[:, 2]
        return np.asarray(shear / np.sqrt(np.linalg.det(shear))[..., None, None])

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


CameraTurn = Literal["pan", "tilt", "roll", "dolly", "orbit"]


@dataclass(frozen=True, eq=False)
class CameraPose:
    """A camera at one moment."""

    eye: Array  # (3,) m
    axes: Array  # (3, 3): unit vectors to the right, down and ahead


def pose_at(camera: Camera, time: float) -> CameraPose:
    """The pose of a camera at `time` s."""
    size = _sizes(camera, time)
    target = np.asarray(camera.center, dtype=np.float64)
    about = turned(2, size["orbit"])
    away = about @ (eye(camera) + size["dolly"] * looking(camera) - target)
    turn = camera_turn(size["pan"], size["tilt"], size["roll"])
    return CameraPose(target + away, turn @ _axes_at_rest(camera) @ about.T)


def _sizes(camera: Camera, time: float) -> dict[CameraTurn, float]:
    """Size of each move that a camera has made along its path at `time` s, in rad and m."""
    size: dict[CameraTurn, float] = dict.fromkeys(("pan", "tilt", "roll", "dolly", "orbit"), 0.0)
    for move in camera.path:
        if move.kind == "shake":
            size["pan"] += _shake(move, time, 0.0)
            size["tilt"] += _shake(move, time, 1.7)  # 1.7 rad after pan
        else:
            size[move.kind] += _value(move, time)
    return size


def stopped(camera: Camera, time: float) -> Camera:
    """A camera that stands all the time where its path has taken another one at `time` s, with a path still."""
    path = (CameraMove(kind, size, -HISTORY - 1.0, -HISTORY) for kind, size in _sizes(camera, time).items())
    return replace(camera, path=tuple(path))


def poses_at(camera: Camera, times: Array) -> tuple[CameraPose, ...]:
    """The poses of a camera at `times` (T,) s, kept for the other bodies of a picture."""
    return _poses(camera, tuple(np.asarray(times, dtype=np.float64).tolist()))


@lru_cache(maxsize=8)
def _poses(camera: Camera, times: tuple[float, ...]) -> tuple[CameraPose, ...]:
    return tuple(pose_at(camera, time) for time in times)


def camera_turn(pan: float, tilt: float, roll: float) -> Array:
    """Matrix (3, 3) from a camera's axes to those after it pans to the right, tilts down and rolls clockwise, rad."""
    return np.asarray(turned(2, -roll) @ turned(0, tilt) @ turned(1, -pan))


def camera_angles(turn: Array) -> tuple[float, float, float]:
    """Pan, tilt and roll in rad of a `camera_turn` (3, 3)."""
    tilt = math.asin(min(max(turn[2, 1], -1.0), 1.0))
    return math.atan2(turn[2, 0], turn[2, 2]), tilt, math.atan2(turn[0, 1], turn[1, 1])


def eye_moves(camera: Camera) -> bool:
    """True if its path takes a camera to other places, and does not turn it alone."""
    return any(move.kind in ("dolly", "orbit") and move.size for move in camera.path)


def path_moments(horizon: float) -> Array:
    """Times (T,) s all along a clip that ends at `horizon` s, at which a path is asked where it leads."""
    path_step = 0.05  # s
    return np.arange(-HISTORY, horizon + path_step, path_step, dtype=np.float64)


def most_turned(camera: Camera, horizon: float) -> float:
    """Largest angle in rad between where a camera looks in a clip and where it looks at rest."""
    ahead = looking(camera)
    return max(math.acos(min(float(pose.axes[2] @ ahead), 1.0)) for pose in poses_at(camera, path_moments(horizon)))


def pictured(camera: Camera, spec: RenderSpec, times: Array, points: Array) -> Array:
    """Places (T, N, 2) px of points (T, N, 3) m, as the camera sees them at `times` (T,) s, in the picture at rest."""
    matrix, seen = lens(camera, spec), []
    for pose, moment in zip(poses_at(camera, times), points, strict=True):
        image = (moment - pose.eye) @ (matrix @ pose.axes).T
        seen.append(image[:, :2] / image[:, 2:])
    return mapped(_inverse(homographies(camera, spec, times))[:, None], np.array(seen))


def relative_poses(camera: Camera, times: Array) -> Array:
    """Poses (T, 6) of a camera at `times` (T,) s against that at 0 s, the hand-over.

    Pan to the right, tilt down and roll clockwise in degrees, one after the other about the camera's own axes; then how
    far it has gone to the right, down and ahead, along the axes that it has at 0 s, in m. Zeros of one that stands
    still.
    """
    if not camera.path:
        return np.zeros((len(times), 6))
    first, poses = pose_at(camera, 0.0), []
    for pose in poses_at(camera, times):
        angles = camera_angles(pose.axes @ first.axes.T)
        poses.append([*map(math.degrees, angles), *(first.axes @ (pose.eye - first.eye))])
    table = np.array(poses).reshape(-1, 6)
    table[:, :3] = np.unwrap(table[:, :3], period=360.0, axis=0)  # a camera that goes on turning jumps by no circle
    table[:, :3] -= 360.0 * np.round(table[np.abs(times).argmin(), :3] / 360.0)
    return table.round(9) + 0.0


def camera_matrices(poses: ArrayLike) -> Array:
    """Matrices (T, 3, 4) from the axes of a camera to those that it has at the hand-over, of poses (T, 6) of an action.

    [R | t] of OpenCV's "camera to world": x to the right, y down, z ahead, m; the world is the camera at the hand-over.
    Models that take extrinsics ("world to camera") want the inverse, [R^T | -R^T t].
    """
    numbers = np.asarray(poses, dtype=np.float64)
    if numbers.ndim != 2 or numbers.shape[1] != 6:
        raise UsageError(f"Expected poses of shape (T, 6), got {numbers.shape}.")
    turns = [camera_turn(*angles).T for angles in np.radians(numbers[:, :3])]
    return np.concatenate([np.array(turns).reshape(-1, 3, 3), numbers[:, 3:, None]], axis=2)


def _axes_at_rest(camera: Camera) -> Array:
    """Unit vectors (3, 3) to the right, down and ahead of a camera before it moves."""
    return np.array([[1.0, 0.0, 0.0], -up(camera), looking(camera)])


def _value(move: CameraMove, time: float) -> float:
    if move.period is not None:
        return move.size * math.sin(2 * math.pi * time / move.period)
    return move.size * min(max((time - move.begin) / (move.end - move.begin), 0.0), 1.0)


def _shake(move: CameraMove, time: float, phase: float) -> float:
    shake = ((1.3, 0.0), (2.1, 1.0), (3.7, 2.5))  # Hz and rad, of sines of one size that add up to a shake
    total = sum(math.sin(2 * math.pi * rate * time + start + phase) for rate, start in shake)
    return move.size * total / math.sqrt(len(shake))


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
    for pose in poses_at(camera, times):
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
        last = np.where(last > 0, last, np.nan)
        return np.stack([right / last, down / last], axis=-1)


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


# The outline of a ball before a camera whose eye moves, in the picture of the camera at rest.


@dataclass(frozen=True, eq=False)
class MovingSight:
    """Outlines of a ball in N frames, each seen from where the camera is, as the homography of its frame shows them."""

    still: BallSight  # of the camera at rest
    own: BallSight  # in px of the frames, of N eyes
    framing: Array  # (N, 3, 3) homographies from the picture at rest to the frame
    light: Array  # (N, 3) unit vectors along which it falls, to the right, down and ahead: the camera leaves it at rest

    def shrunk(self, factor: float) -> MovingSight:
        """The same in images of 1 / factor of the size."""
        size = np.diag([factor, factor, 1.0])
        framing = np.linalg.inv(size) @ self.framing @ size
        return replace(self, still=self.still.shrunk(factor), own=self.own.shrunk(factor), framing=framing)

    def select(self, frames: NDArray[np.integer]) -> MovingSight:
        """That of some frames, by their numbers (M,)."""
        own = replace(self.own, **{name: getattr(self.own, name)[frames] for name in ("nearness", "down", "right")})
        return replace(self, own=own, framing=self.framing[frames], light=self.light[frames])

    def centre(self, outline: Array) -> Array:
        """Images (N, 2) px of the centres of balls whose outlines have the centres `outline` (N, 2) px."""
        place = outline
        for _ in range(3):
            place = place + outline - self._outlines(place)[0]
        return np.asarray(place)

    def area(self, place: Array) -> Array:
        """Areas (N,) px of outlines of balls that are seen at places (N, 2) px."""
        return np.pi * _half_axes_product(self._outlines(place)[1])

    def two_fold(self, place: Array) -> Array:
        """As `BallSight.two_fold`, (N, 2)."""
        square = self._outlines(place)[1]
        parts = np.stack([square[:, 0, 0] - square[:, 1, 1], 2 * square[:, 0, 1]], axis=-1)
        return np.asarray(parts / (4 * _half_axes_product(square))[:, None])

    def slant(self, place: Array) -> Array:
        """As `BallSight.slant`, (N, 2)."""
        half, shade = self.axes(place)
        return np.asarray(-np.einsum("nij,nj->ni", half, shade))

    def plate_area(self, place: Array) -> Array:
        """As `BallSight.plate_area`: what lies in the plane is as the camera at rest shows it."""
        return self.still.plate_area(place)

    def plate_shear(self, place: Array) -> Array:
        """As `BallSight.plate_shear`."""
        return self.still.plate_shear(place)

    def plate_shift(self, place: Array, spread: float) -> Array:
        """As `BallSight.plate_shift`."""
        return self.still.plate_shift(place, spread)

    def axes(self, place: Array) -> tuple[Array, Array]:
        """Half axes (N, 2, 2) px of outlines of balls seen at places (N, 2) px, in columns: the images of those along
        and across the ray from the middle of the frame; and the parts (N, 2) of the light along these."""
        seen = mapped(self.framing, place)
        half, ray = self._half_axes(seen)
        tangent = np.sqrt(self.own.oblique2(seen))
        inwards = (self.light[:, :2] * ray).sum(axis=-1) - tangent * self.light[:, 2]
        across = self.light[:, 1] * ray[:, 0] - self.light[:, 0] * ray[:, 1]
        back = _derivatives(_inverse(self.framing), seen)
        return back @ half, np.stack([inwards / np.sqrt(1 + tangent**2), across], axis=-1)

    def _half_axes(self, seen: Array) -> tuple[Array, Array]:
        """In columns (N, 2, 2) px of the frames, along the ray (N, 2) from the middle and across it; and that ray."""
        away = seen - np.asarray(self.own.middle)
        far = np.linalg.norm(away, axis=-1, keepdims=True)
        ray = np.where(far > 1e-9, away / np.maximum(far, 1e-9), (1.0, 0.0))  # in the middle all are as long
        along, across = self.own.axes(seen)
        aside = np.stack([-ray[:, 1], ray[:, 0]], axis=-1)
        return np.stack([ray * along[:, None], aside * across[:, None]], axis=-1), ray

    def _outlines(self, place: Array) -> tuple[Array, Array]:
        """Centres (N, 2) and squares (N, 2, 2) of the half axes of outlines of balls seen at places (N, 2) px.

        An ellipse goes through a homography as its dual conic does (Hartley and Zisserman 2004, 2.2.3).
        """
        seen = mapped(self.framing, place)
        half, middle = self._half_axes(seen)[0], np.asarray(self.own.middle)
        centre = middle + (seen - middle) / (1 - self.own.square(seen))[:, None]
        dual = np.empty((len(place), 3, 3))
        dual[:, :2, :2] = centre[:, :, None] * centre[:, None] - half @ half.transpose(0, 2, 1)
        dual[:, :2, 2] = dual[:, 2, :2] = centre
        dual[:, 2, 2] = 1.0
        back = _inverse(self.framing)
        dual = back @ dual @ back.transpose(0, 2, 1)
        dual /= dual[:, 2:, 2:]
        centre = dual[:, :2, 2]
        return centre, centre[:, :, None] * centre[:, None] - dual[:, :2, :2]


def _half_axes_product(square: Array) -> Array:
    """Of ellipses (N,), from the squares (N, 2, 2) of their half axes."""
    return np.asarray(np.sqrt(square[:, 0, 0] * square[:, 1, 1] - square[:, 0, 1] ** 2))


def _inverse(matrices: Array) -> Array:
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def _derivatives(homography: Array, points: Array) -> Array:
    """Derivatives (N, 2, 2) of what homographies (N, 3, 3) make of points (N, 2)."""
    last = (homography[:, 2, :2] * points).sum(axis=-1) + homography[:, 2, 2]
    moved = mapped(homography, points)[:, :, None] * homography[:, None, 2, :2]
    return np.asarray((homography[:, :2, :2] - moved) / last[:, None, None])


def moving_sight(
    camera: Camera, spec: RenderSpec, radius: float, depth: float, times: Array, framing: Array | None
) -> MovingSight | BallSight | None:
    """Sight of a ball as `ball_sight` has it, in frames at `times` (N,) s with homographies (N, 3, 3) to them.

    Where the eye stays in its place, it is that of the camera at rest: a homography shows all of space as that does.
    """
    if framing is None or not eye_moves(camera):
        return ball_sight(camera, spec, radius, depth)
    still, across = cone_sight(camera, spec, radius, depth), normal(camera)
    poses = poses_at(camera, times)
    near = np.array([pose.axes @ across for pose in poses])  # (N, 3): to the right, down and ahead
    plane = eye(camera) @ across + plane_distance(camera) * float(depth_scale(camera, np.asarray(depth)))
    away = plane - np.array([pose.eye @ across for pose in poses])
    right, down, ahead = (near / away[:, None]).T
    own = replace(still, nearness=ahead, down=down / still.focal, right=right / still.focal)
    light = np.array([pose.axes @ looking(camera) for pose in poses])
    return MovingSight(still, own, framing, light)
