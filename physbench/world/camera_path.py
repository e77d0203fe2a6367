"""Moving cameras: pose and homography in every frame.

A camera with a `path` moves about its pose at rest. Its pictures are read as the camera at rest would show them: a
place in the plane of motion goes from one picture to the other by a homography (Hartley and Zisserman 2004, Multiple
View Geometry, 13.1). Where the camera only turns, so does everything else that it sees.
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
from physbench.world.camera import (
    BallSight,
    ball_sight,
    cone_sight,
    depth_scale,
    eye,
    looking,
    normal,
    pixels_per_metre,
    plane_distance,
    up,
)
from physbench.world.scene import HISTORY, Camera, CameraMove, RenderSpec

SHAKE = ((1.3, 0.0), (2.1, 1.0), (3.7, 2.5))  # Hz and rad, of sines of one size that add up to a shake

PATH_STEP = 0.05  # s

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
    return np.arange(-HISTORY, horizon + PATH_STEP, PATH_STEP, dtype=np.float64)


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
