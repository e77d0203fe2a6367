"""Record of one clip of the `train` split in the memory, and the number of clips in one file.

Positions are those in the picture, in metres from its middle (to the right, down) in the plane of motion, at 60 Hz, in
steps of a quarter of a millimetre. No frames are kept: the picture at the hand-over is remembered as 16 x 16 greys
without the coloured objects, which tells floors, ramps and screens apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.support.arrays import Array, Image
from physbench.support.errors import PhysbenchError
from physbench.support.files import NOT_ARRAYS, read_sealed_npz, write_sealed_npz
from physbench.world.camera import pixels_per_metre, px_from_world
from physbench.world.drawing import full_area, render
from physbench.world.scene import HISTORY, RenderSpec, Scene, sphere_mass

Steps = NDArray[np.int16]

MOTION_HZ = 60
PAST_SAMPLES = round(HISTORY * MOTION_HZ) + 1
UNIT = 2.5e-4  # m, of the positions in a file
GREY_SPEC = RenderSpec(64, 64, MOTION_HZ)  # of the picture whose greys are kept
GREY_SIDE = 16  # greys along a side
KICK_NUMBERS = 6  # of the pushes on one object, see `kicks_of`


@dataclass(frozen=True, eq=False)
class RecordedMotion:
    """One clip: K coloured objects, M grey bodies that move in view, T samples after the hand-over."""

    radius: Array  # (K,) m, of the disc with the area of its outline
    past: Array  # (K, PAST_SAMPLES, 2) m, the last one at the hand-over
    future: Array  # (K, T, 2) m, displacement since the hand-over
    plates: Array  # (M, T, 2) m, the same of the grey bodies
    kicks: Array  # (K, KICK_NUMBERS), see `kicks_of`
    greys: Image  # (GREY_SIDE, GREY_SIDE), of 255


def record_motion(row: Row) -> RecordedMotion:
    """Simulate a clip and keep its motion."""
    from physbench.world.bullet import simulate

    scene = make_scene(row)
    times = np.arange(-(PAST_SAMPLES - 1), round(scene.horizon * MOTION_HZ) + 1) / MOTION_HZ
    states = simulate(scene, times).states  # (PAST_SAMPLES + T, N, 13)
    tracked = list(scene.tracked)
    plates = [i for i, body in enumerate(scene.bodies) if body.path and body.drawn and body.hue is None]
    scale = pixels_per_metre(scene.camera, GREY_SPEC)
    middle = np.array([GREY_SPEC.width, GREY_SPEC.height]) / 2
    seen = (px_from_world(scene.camera, GREY_SPEC, states[:, [*tracked, *plates], :3]) - middle) / scale
    seen = np.moveaxis(seen, 1, 0)  # (K + M, PAST_SAMPLES + T, 2)
    now = PAST_SAMPLES - 1
    moved = seen[:, now + 1 :] - seen[:, now, None]
    at_0 = states[now : now + 1]
    area = np.array([full_area(scene, i, times[now : now + 1], at_0[:, i], GREY_SPEC)[0] for i in tracked])
    radius = np.sqrt(area / np.pi) / scale
    count = len(tracked)
    return RecordedMotion(
        radius,
        seen[:count, :PAST_SAMPLES],
        moved[:count],
        moved[count:],
        kicks_of(scene, radius),
        greys_of(scene, at_0),
    )


def kick_numbers(impulse: Array, time: Array, radius: float) -> Array:
    """Two moments of the pushes (P, 3) N s at `time` (P,) s on an object of `radius` m.

    Returns:
        (KICK_NUMBERS,): the sum of the changes of velocity in m/s, and that sum weighted with the times in m; along the
        axes of the world. The mass is that of a sphere: what a picture shows.
    """
    change = np.asarray(impulse, dtype=np.float64).reshape(-1, 3) / sphere_mass(radius)
    return np.concatenate([change.sum(0), (change * np.asarray(time).reshape(-1, 1)).sum(0)])


def kicks_of(scene: Scene, radius: Array) -> Array:
    """`kick_numbers` of the coloured objects (K, KICK_NUMBERS), zeros where nothing is pushed."""
    rows = []
    for own, i in zip(radius, scene.tracked, strict=True):
        pushes = [push for push in scene.impulses if push.body == scene.bodies[i].name]
        impulse, time = np.array([push.impulse for push in pushes]), np.array([push.time for push in pushes])
        rows.append(kick_numbers(impulse, time, float(own)))
    return np.stack(rows) if rows else np.zeros((0, KICK_NUMBERS))


def greys_of(scene: Scene, states: Array) -> Image:
    """The picture (GREY_SIDE, GREY_SIDE) of everything grey; states (1, N, 13) at the hand-over."""
    bodies = tuple(replace(body, drawn=body.drawn and body.hue is None) for body in scene.bodies)
    picture = render(replace(scene, bodies=bodies), [0.0], states, GREY_SPEC).frames[0].mean(-1)
    cell = GREY_SPEC.height // GREY_SIDE
    mean = picture.reshape(GREY_SIDE, cell, GREY_SIDE, cell).mean((1, 3))
    greys: Image = np.round(mean).astype(np.uint8)
    return greys


def write_motions(path: Path, motions: Sequence[RecordedMotion]) -> None:
    """Write clips to one file, atomically. Second differences in time are kept, which compress to a third."""
    write_sealed_npz(
        path,
        {
            "objects": np.array([len(motion.radius) for motion in motions], dtype=np.uint8),
            "plates": np.array([len(motion.plates) for motion in motions], dtype=np.uint8),
            "samples": np.array([motion.future.shape[1] for motion in motions], dtype=np.uint16),
            "radius": np.concatenate([motion.radius for motion in motions]).astype(np.float32),
            "kicks": np.concatenate([motion.kicks for motion in motions]).astype(np.float32),
            "greys": np.stack([motion.greys for motion in motions]),
            "past": np.concatenate([_packed(motion.past) for motion in motions]),
            "future": np.concatenate([_packed(motion.future) for motion in motions]),
            "moving": np.concatenate([_packed(motion.plates) for motion in motions]),
        },
    )


def read_motions(path: Path) -> list[RecordedMotion]:
    """Read the clips of a file.

    Raises:
        PhysbenchError: The file is damaged.
    """
    try:
        return _unpacked_motions(read_sealed_npz(path))
    except FileNotFoundError:
        raise
    except NOT_ARRAYS as error:
        raise PhysbenchError(f"{path} is damaged ({error}). Remove it: it is made again.") from error


def _unpacked_motions(content: dict[str, NDArray[np.generic]]) -> list[RecordedMotion]:
    streams = {name: content[name].astype(np.int16) for name in ("past", "future", "moving")}
    place = dict.fromkeys(streams, 0)

    def take(name: str, bodies: int, samples: int) -> Array:
        start, size = place[name], bodies * samples * 2
        place[name] = start + size
        return _unpacked(streams[name][start : start + size].reshape(bodies, samples, 2))

    motions, first = [], 0
    for n, (count, plates, samples) in enumerate(
        zip(content["objects"].astype(int), content["plates"].astype(int), content["samples"].astype(int), strict=True)
    ):
        own = slice(first, first + count)
        first += count
        motions.append(
            RecordedMotion(
                content["radius"][own].astype(np.float64),
                take("past", count, PAST_SAMPLES),
                take("future", count, samples),
                take("moving", plates, samples),
                content["kicks"][own].astype(np.float64),
                content["greys"][n].astype(np.uint8),
            )
        )
    return motions


def _packed(positions: Array) -> Steps:
    """Positions (bodies, T, 2) m as second differences in UNIT, flat; whole numbers modulo 2^16."""
    farthest_units = 32767  # units, 8.2 m: out of every picture
    whole = np.clip(np.rint(positions / UNIT), -farthest_units, farthest_units).astype(np.int16)
    for _ in range(2):
        whole = np.concatenate([whole[:, :1], np.diff(whole, axis=1)], axis=1)
    return whole.ravel()


def _unpacked(packed: Steps) -> Array:
    """The inverse of `_packed` (bodies, T, 2) -> m."""
    whole = packed
    for _ in range(2):
        whole = np.cumsum(whole, axis=1, dtype=np.int16)
    return whole.astype(np.float64) * UNIT
