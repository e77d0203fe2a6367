"""The camera's part in a frame: how its shutter averages what moves, the noise of its sensor, and where it turns to.

A body is averaged along its own velocity, about the frame's time: so every frame follows from its state alone, and
what is blurred has its centre where the body is, also in a collision.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Image, Real
from physbench.support.errors import UsageError
from physbench.world.camera import homographies, mapped, path_moments, pixels_per_metre
from physbench.world.geometry import product
from physbench.world.scene import Camera, RenderSpec, Scene
from physbench.world.styles.look_options import look_options
from physbench.world.styles.natural.movers import Mover
from physbench.world.styles.natural.rays import NOTHING_MET
from physbench.world.styles.natural.stage import displayed, linear


@dataclass(frozen=True)
class Sampling:
    """Moments at which a frame is drawn while the shutter is open."""

    still: float = 0.25  # px up to which nothing is seen of a motion
    step: float = 1.6  # px between two moments
    most: int = 7


SAMPLING = Sampling()


@dataclass(frozen=True)
class Shutter:
    """The shutter of a camera in one frame."""

    time: float = 0.0  # s, of the frame
    seconds: float = 0.0  # for which it is open, half of them before that time


OPEN_AT_ONCE = Shutter()


FILMED = 24.0  # frames/s, the least of a camera: clips of a lower rate are films of which frames are left out


def open_time(spec: RenderSpec) -> float:
    """Seconds for which the shutter is open in a frame."""
    return look_options(spec.look)["shutter"] / 360.0 / max(spec.fps, FILMED)


def moments(seconds: float, path_px: float) -> Array:
    """Times (n,) s about that of the frame, n odd, for what moves by `path_px` while the shutter is open."""
    if path_px < SAMPLING.still:
        return np.zeros(1)
    count = min(2 * math.ceil(max(path_px / SAMPLING.step, 2.0) / 2) + 1, SAMPLING.most)
    return ((np.arange(count) + 0.5) / count - 0.5) * seconds


def turned_by(camera: Camera, spec: RenderSpec, time: float, seconds: float) -> Array:
    """Homography (3, 3) from px of the frame so many seconds after `time` to px of the frame at `time`."""
    onto, later = homographies(camera, spec, np.array([time, time + seconds]))
    return np.asarray(onto @ np.linalg.inv(later))


def is_moving(mover: Mover, states: Real) -> bool:
    """True if the state of a body has a velocity with which it is drawn; states: (N, 13)."""
    return not mover.body.stays and bool(states[mover.index, 7:].any())


def travelled(states: Array, seconds: float) -> Array:
    """States (N, 13) after so many seconds at the same velocities."""
    later = states.copy()
    later[:, :3] += seconds * states[:, 7:10]
    spin = states[:, 10:13]
    rate = np.linalg.norm(spin, axis=1)
    half = 0.5 * seconds * rate
    axis = spin / np.maximum(rate, 1e-12)[:, None]
    turn = np.concatenate([np.sin(half)[:, None] * axis, np.cos(half)[:, None]], axis=1)
    later[:, 3:7] = product(turn, states[:, 3:7])
    return later


def moved(mover: Mover, states: Real, later: Real) -> Mover:
    """A body with its state in `later` in place of that in `states`; parts of one body keep their distance."""
    away = later[mover.index, :3] - states[mover.index, :3]
    return replace(mover, centre=mover.centre + away, turn=later[mover.index, 3:7])


@dataclass(frozen=True, eq=False)
class Paint:
    """Colours of a body in one picture."""

    top: int  # px
    left: int
    colours: NDArray[np.float32]  # (h, w, 4): linear RGB, and 1, where the body is; else 0

    def at(self, where: tuple[slice, slice], shift: Real) -> NDArray[np.float32]:
        """Colours (h, w, 3) in a window of the picture, after the body has gone by `shift` (2,) px."""
        rows, columns = where
        down, right = rows.start - shift[1] - self.top, columns.start - shift[0] - self.left
        first = math.floor(down), math.floor(right)
        y, x = np.float32(down - first[0]), np.float32(right - first[1])
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        near = self._part(*first, tall + 1, wide + 1)
        near = near[:-1] * (1 - y) + near[1:] * y
        near = near[:, :-1] * (1 - x) + near[:, 1:] * x
        mean = self.colours[..., :3].sum(axis=(0, 1)) / max(float(self.colours[..., 3].sum()), 1.0)
        there = near[..., 3:]
        return np.asarray(np.where(there > 1e-3, near[..., :3] / np.maximum(there, 1e-3), mean), dtype=np.float32)

    def _part(self, top: int, left: int, tall: int, wide: int) -> NDArray[np.float32]:
        """A window (tall, wide, 4) of the colours that may reach beyond them."""
        part = np.zeros((tall, wide, 4), dtype=np.float32)
        height, width = self.colours.shape[:2]
        up, low = max(top, 0), min(top + tall, height)
        start, end = max(left, 0), min(left + wide, width)
        if up < low and start < end:
            part[up - top : low - top, start - left : end - left] = self.colours[up:low, start:end]
        return part


# Noise of a sensor (EMVA 1288): the variance of the light that a pixel counts grows with it, and that of reading it
# out does not. On a display darker greys show more of it.


def with_noise(picture: NDArray[np.float32], levels: float, scene: Scene, time: float) -> Image:
    """Levels (h, w, 3) of a linear picture with noise of `levels` in medium grey; always the same at one time."""
    if not levels:
        return displayed(picture)
    read_out = 0.07  # standard deviation in black, of that in medium grey, both in linear light
    medium = 0.5  # display value of the grey for which noise is told
    grey = float(linear(medium))
    slope = float(linear(medium + 0.005) - linear(medium - 0.005)) / 0.01  # linear light for display values
    sigma = levels / 255 * slope
    name = f"physbench noise|{scene.decor}|{round(time * 1e6)}"
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(picture.shape, dtype=np.float32)
    variance = sigma**2 * ((1 - read_out**2) / grey * np.clip(picture, 0.0, 1.0) + read_out**2)
    return displayed(np.clip(picture, 0.0, 1.0) + np.sqrt(variance, dtype=np.float32) * noise)


# The wide picture of a camera at rest, out of which the frames of a camera that turns are cut.
#
# From one eye everything goes from one picture to the other by a homography (Hartley and Zisserman 2004, Multiple View
# Geometry, 8.4).


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
    slack = 0.05  # of the picture, for what it shows between the moments at which the path is asked
    wide = np.maximum((2 + slack) * away.max(axis=(0, 1)), size)  # NaN: behind the camera
    most = 8.0  # times a picture that the wide one may be, in wide pictures, which see more obliquely
    if not wide.prod() <= most * size.prod():
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
