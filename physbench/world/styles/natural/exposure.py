"""The camera's part in a frame: how its shutter averages what moves, and the noise of its sensor.

A body is averaged along its own velocity, about the frame's time: so every frame follows from its state alone, and
what is blurred has its centre where the body is, also in a collision.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Image, Real
from physbench.world.camera import homographies
from physbench.world.geometry import product
from physbench.world.scene import Camera, RenderSpec, Scene
from physbench.world.styles.look_options import look_options
from physbench.world.styles.natural.movers import Mover
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


def open_time(spec: RenderSpec) -> float:
    """Seconds for which the shutter is open in a frame."""
    return look_options(spec.look)["shutter"] / 360.0 / spec.fps


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
READ_OUT = 0.07  # standard deviation in black, of that in medium grey, both in linear light
MEDIUM = 0.5  # display value of the grey for which noise is told


def with_noise(picture: NDArray[np.float32], levels: float, scene: Scene, time: float) -> Image:
    """Levels (h, w, 3) of a linear picture with noise of `levels` in medium grey; always the same at one time."""
    if not levels:
        return displayed(picture)
    grey = float(linear(MEDIUM))
    slope = float(linear(MEDIUM + 0.005) - linear(MEDIUM - 0.005)) / 0.01  # linear light for display values
    sigma = levels / 255 * slope
    name = f"physbench noise|{scene.decor}|{round(time * 1e6)}"
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(picture.shape, dtype=np.float32)
    variance = sigma**2 * ((1 - READ_OUT**2) / grey * np.clip(picture, 0.0, 1.0) + READ_OUT**2)
    return displayed(np.clip(picture, 0.0, 1.0) + np.sqrt(variance, dtype=np.float32) * noise)
