"""`baseline:memory` as a model of frames: tracks of the context, the nearest training clip, its displacements.

It sees the pixels of the context. The most similar clip of the `train` split gives the displacement of each object, and
of a grey plate that moves; the pictures are those of the context's own objects over its own background.

python -m physbench.baselines.memory CLIPS     makes the clips that `baseline:memory` remembers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from physbench.baselines.constant_velocity import Sprite, decompose_context, draw_ways, hue_angle
from physbench.baselines.recorded_motion import (
    GREY_SIDE,
    KICK_NUMBERS,
    MOTION_HZ,
    PAST_SAMPLES,
    RecordedMotion,
    kick_numbers,
    read_motions,
    record_motion,
    write_motions,
)
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import CLIP_PRELOAD
from physbench.clips.suite import train_rows
from physbench.clips.task import builtin_task_ids
from physbench.models.protocol import ModelCard, answer_parts
from physbench.support.arrays import Array, Mask
from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.files import cache_dir, cached
from physbench.support.fingerprint import fingerprint
from physbench.support.processes import cores, scheduled
from physbench.track.tracker import track
from physbench.world.camera import pixels_per_metre
from physbench.world.scene import PALETTE, Body, Camera, RenderSpec, Scene

if TYPE_CHECKING:
    from torch import Tensor

# The clips that the memory holds, in files of a few clips: made where they are missing, in worker processes.
#
#     python -m physbench.baselines.memory 15000      makes them ahead of a run; interrupted, it goes on where it was
#
# They lie in the folder `memory` of the cache, under a hash of the sources that decide them.


@dataclass(frozen=True)
class Block:
    """The clips of one task that lie in one file: `count` of them from seed `first` on."""

    task: str
    first: int
    count: int

    @property
    def rows(self) -> list[Row]:
        return [Row(self.task, "train", seed) for seed in range(self.first, self.first + self.count)]


def memory_rows(clips: int, *, pushed: bool = False) -> tuple[Row, ...]:
    """The clips that a memory of `clips` clips holds.

    They are those of `physbench train --clips`: spread over the tasks in which nothing is pushed. For clips with pushes
    it holds as many of each task with pushes.
    """
    tasks = builtin_task_ids()
    if not pushed:
        return train_rows(tasks, clips)
    others = builtin_task_ids(actions=True)
    return train_rows(others, max(round(clips * len(others) / len(tasks)), len(others)))


def blocks_of(rows: Sequence[Row]) -> list[Block]:
    """The files that hold these clips, seeds from 0 on for each task; lowest seeds first: those of smaller memories."""
    block_clips = 20  # clips in a file
    count: dict[str, int] = {}
    for row in rows:
        count[row.task] = count.get(row.task, 0) + 1
    starts = range(0, max(count.values(), default=0), block_clips)
    return [
        Block(task, first, min(block_clips, seeds - first))
        for first in starts
        for task, seeds in count.items()
        if first < seeds
    ]


class MemoryTable:
    """The files of recorded motion in `folder`, by default the place in the cache for this version of the sources."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_dir() / "memory" / fingerprint("memory")[:16] if folder is None else folder

    def path(self, block: Block) -> Path:
        """File with the clips of a block."""
        return self.folder / f"{block.task.replace('/', '.')}.{block.first}.npz"

    def missing(self, blocks: Sequence[Block]) -> list[Block]:
        """The blocks of which a clip is not stored, or whose file is damaged."""
        return [block for block in blocks if not self._holds(block)]

    def _holds(self, block: Block) -> bool:
        motions = cached(read_motions, self.path(block), (PhysbenchError,))
        return motions is not None and len(motions) >= block.count

    def ensure(self, rows: Sequence[Row], workers: int) -> int:
        """Make the clips that are not stored, with `workers` processes and progress. Returns how many were made."""
        missing = self.missing(blocks_of(rows))
        jobs = [(str(self.path(block)), block) for block in missing]
        label = "clips to remember"
        with scheduled(_make_block, jobs, workers=workers, preload=CLIP_PRELOAD, label=label, size=_clips_of) as blocks:
            return sum(blocks)

    def read(self, rows: Sequence[Row]) -> Iterator[tuple[Row, RecordedMotion]]:
        """The clips, block by block. Raises where a file is missing or damaged."""
        for block in blocks_of(rows):
            yield from zip(block.rows, read_motions(self.path(block)), strict=False)

    def size(self, rows: Sequence[Row]) -> int:
        """Bytes of the files that hold these clips."""
        return sum(self.path(block).stat().st_size for block in blocks_of(rows))

    def require(self, rows: Sequence[Row], arguments: str, workers: int) -> None:
        """Make what is missing while a model is loaded.

        Raises:
            ModelError: That would take too long; the message has the command with `arguments` that makes it.
        """
        missing = sum(block.count for block in self.missing(blocks_of(rows)))
        if missing > 2000:  # clips that are made while a model is loaded, which has a time limit
            raise ModelError(
                f"baseline:memory: {missing:,} of {len(rows):,} clips to remember are not in {self.folder}. Make them "
                f"first, which can be interrupted: python -m physbench.baselines.memory {arguments}"
            )
        self.ensure(rows, workers)


def _clips_of(job: tuple[str, Block]) -> int:
    return job[1].count


def _make_block(job: tuple[str, Block]) -> int:
    """Record the clips of a block and write its file, in a worker process; returns their number."""
    path, block = job
    write_motions(Path(path), [record_motion(row) for row in block.rows])
    return block.count


# What is seen in the pixels of a context: coloured objects with their tracks, and the greys behind them.
#
# The tracker reads a clip for what the objects look like. Here that is a stand-in made of the pixels: one body for each
# hue that is found, of the area that is found, as a ball where the outline is round and as a box elsewhere. It has no
# positions, no laws and no future.

Picture = NDArray[np.float32]

ANY_CAMERA = Camera("front", (0.0, 0.0, 0.0))  # every window is equally wide
PALETTE_HUES: Array = hue_angle(np.array(PALETTE, dtype=np.float32)).astype(np.float64)
OUTLINE_SHARE = 0.5  # of the chroma of an object's core; pixels with more count as its area


@dataclass(frozen=True, eq=False)
class SeenObjects:
    """K objects in the C frames of a context; metres in the plane of motion, from the middle of the picture."""

    hues: tuple[int, ...]  # (K,) index into the palette
    position: Array  # (C, K, 2) m, to the right and down; NaN where it is not known
    radius: Array  # (K,) m, of the disc with the area of the outline


def cut_objects(frames: Picture) -> tuple[Picture, Mask, list[Sprite]]:
    """Take the last frame of a context (C, H, W, 3) in [0, 1] apart.

    Returns:
        Background (H, W, 3), mask of what is in front of objects (H, W), and one sprite for each hue of the palette,
        from large to small. Edges where two hues mix are none: nothing of them is left one pixel further in.
    """
    # In tinted pictures wood, brick and sky have a chroma of up to 0.14, objects of 0.5, and no shadow is as dark
    tinted = {"least_chroma": 0.25, "dark": 0.2} if is_tinted(frames) else {}
    background, front, sprites = decompose_context(frames, latest=True, **tinted)
    kept: dict[int, Sprite] = {}
    for sprite in sprites:
        if binary_erosion(sprite.opacity > OUTLINE_SHARE).any():
            color = sprite.color * (sprite.opacity > 0)[..., None]  # without neighbours in its box
            kept.setdefault(nearest_hue(sprite), replace(sprite, color=color))
    return background, front, list(kept.values())


def is_tinted(frames: Picture) -> bool:
    """True if most of a context (C, H, W, 3) has a colour, as in the natural look: in the plain one all but objects is
    grey."""
    return bool(np.median(frames.max(-1) - frames.min(-1)) > 0)


def nearest_hue(sprite: Sprite) -> int:
    """Index into the palette of the hue that is nearest to a sprite's."""
    return int(np.abs((PALETTE_HUES - sprite.hue + 180) % 360 - 180).argmin())


def see_objects(frames: NDArray[np.uint8], sprites: Sequence[Sprite], fps: float) -> SeenObjects:
    """Track the objects that were cut out of a context.

    Args:
        frames: The context (C, H, W, 3).
        sprites: Its objects, each of another hue of the palette.
        fps: Frames a second.

    Returns:
        The objects in the order of the sprites.
    """
    spec = RenderSpec(frames.shape[1], frames.shape[2], fps)
    hues = tuple(nearest_hue(sprite) for sprite in sprites)
    outlines = [_outline(sprite) for sprite in sprites]
    area = np.array([float(outline.sum()) for outline in outlines])
    scale = pixels_per_metre(ANY_CAMERA, spec)
    radius = np.sqrt(area / np.pi) / scale
    bodies = tuple(
        Body(f"object {k}", "sphere", (float(r),), "moving", (0.0,) * 3, hue=hue)
        if is_round(outline)
        else Body(f"object {k}", "box", (float(r),) * 3, "moving", (0.0,) * 3, hue=hue)
        for k, (outline, hue, r) in enumerate(zip(outlines, hues, radius, strict=True))
    )
    shown = [sprite.shown for sprite in sprites]
    tracks = track(_stand_in(frames, spec, bodies, area, shown), len(frames), frames)
    middle = np.array([spec.width, spec.height]) / 2
    return SeenObjects(hues, (tracks.position - middle) / scale, radius)


def _outline(sprite: Sprite) -> Mask:
    """Mask (h, w) of an object: the pixels with more than OUTLINE_SHARE of the chroma of its core."""
    chroma = sprite.color.max(-1) - sprite.color.min(-1)
    mask: Mask = chroma > OUTLINE_SHARE * np.quantile(chroma[sprite.opacity > 0], 0.75)
    return mask


def is_round(outline: Mask) -> bool:
    """True if a mask (h, w) fills most of the disc that is as wide as it is in its widest direction; a square does not.

    Its area over that of the disc is 1 for a disc, 0.64 for a square and less for other boxes.
    """
    row, column = np.nonzero(outline)
    angles = np.linspace(0, np.pi, 16, endpoint=False)  # directions in which an outline is measured
    along = np.stack([row, column], axis=-1) @ np.stack([np.sin(angles), np.cos(angles)])  # (P, 16)
    widest = float(np.ptp(along, axis=0).max()) + 1
    return len(row) > 0.8 * np.pi / 4 * widest**2  # see `is_round`


def _stand_in(
    frames: NDArray[np.uint8], spec: RenderSpec, bodies: tuple[Body, ...], area: Array, shown: Sequence[Picture]
) -> Clip:
    """A clip that ends at the hand-over and holds nothing but what is passed."""
    count, objects = len(frames), len(bodies)
    full = np.broadcast_to(area, (count, objects)).astype(np.float32)
    share = np.stack(shown, axis=1) if objects else np.zeros((count, 0))
    return Clip(
        row=Row("memory/context-v1", "test", 0),
        scene=Scene(bodies, ANY_CAMERA),
        spec=spec,
        times=(np.arange(count) - count + 1) / spec.fps,
        frames=frames,
        states=np.zeros((count, objects, 13)),
        visible_area=(full * share).astype(np.float32),
        full_area=full,
        contacts=(),
    )


def greys_seen(background: Picture) -> Array:
    """Greys (GREY_SIDE, GREY_SIDE) of 255 of a picture (H, W, 3) in [0, 1] without objects: of its square window."""
    side = min(background.shape[:2])
    top, left = ((length - side) // 2 for length in background.shape[:2])
    window = torch.from_numpy(np.ascontiguousarray(background[top : top + side, left : left + side].mean(-1)))
    mean: Array = torch.nn.functional.adaptive_avg_pool2d(window[None, None], GREY_SIDE)[0, 0].numpy() * 255
    return mean.astype(np.float64)


# Which clip of the memory is most like a context: a distance in metres, over all clips at once.
#
# Two clips with the same number of objects are compared object by object. The distance of two objects is made of their
# differences in place, in velocity times 2 s, in acceleration times 0.25 s^2, in radius,
# and in the pushes to come; the distance of two pictures is that of their greys. Objects are paired so that the sum of
# the squares is least. Hues are drawn at random and tell nothing.


@dataclass(frozen=True)
class ClipDistance:
    """Weights of what two objects differ by, m for each."""

    curved_from: int = 5  # frames that show an acceleration
    velocity_time: float = 2.0  # s; this and the next three by leaving out one of 1,500 clips: the optimum is flat
    acceleration_time: float = 0.5  # s
    radius_weight: float = 1.0


DISTANCE = ClipDistance()


OBJECT_NUMBERS = 7 + KICK_NUMBERS  # of an object


@dataclass(frozen=True, eq=False)
class Recalled:
    """A clip of the memory, and which of its objects each object of the context is."""

    motion: RecordedMotion
    order: tuple[int, ...]  # (K,)
    distance: float  # m, see above


def motion_at_handover(times: Array, position: Array) -> Array:
    """Place, velocity and acceleration at time 0 of objects, from a parabola through their last positions.

    Args:
        times: (C,) s, the last one 0.
        position: (C, K, 2) m, NaN where unknown.

    Returns:
        (K, 6): m, m/s and m/s2; NaN where an object was never seen. What fewer frames do not show is 0: one shows no
        velocity, fewer than 5 no acceleration.
    """
    motion = np.full((position.shape[1], 6), np.nan)
    for own, path in zip(motion, np.moveaxis(position, 1, 0), strict=True):
        known = np.flatnonzero(np.isfinite(path[:, 0]))
        recent = known[times[known] >= -0.4 - 1e-9]  # s before the hand-over for which every task shows motion
        used = recent if len(recent) else known[-1:]
        if not len(used):
            continue
        terms = 3 if len(used) >= DISTANCE.curved_from else min(len(used), 2)
        powers = times[used, None] ** np.arange(terms)
        own[:] = 0.0
        own[: 2 * terms] = np.linalg.lstsq(powers, path[used], rcond=None)[0].ravel()
        own[4:] *= 2.0
    return motion


def object_numbers(motion: Array, radius: Array, kicks: Array) -> Array:
    """Compared numbers of objects, in m (..., OBJECT_NUMBERS).

    motion: (..., 6) as `motion_at_handover` has it; radius: (...) m; kicks: (..., KICK_NUMBERS).
    """
    place, velocity, acceleration = motion[..., :2], motion[..., 2:4], motion[..., 4:]
    half = KICK_NUMBERS // 2
    return np.concatenate(
        [
            place,
            velocity * DISTANCE.velocity_time,
            acceleration * DISTANCE.acceleration_time**2,
            radius[..., None] * DISTANCE.radius_weight,
            kicks[..., :half] * DISTANCE.velocity_time,
            kicks[..., half:],
        ],
        axis=-1,
    )


class ClipIndex:
    """The clips of the memory as a context of some frames would show them, grouped by their number of objects.

    Args:
        motions: The clips.
        times: (C,) s of the frames of a context, the last one 0.
    """

    def __init__(self, motions: Iterable[RecordedMotion], times: Array) -> None:
        groups: dict[int, list[RecordedMotion]] = {}
        for motion in motions:
            groups.setdefault(len(motion.radius), []).append(motion)
        self.times = times
        self.groups = {count: (own, *self._numbers(own)) for count, own in groups.items() if count}

    def _numbers(self, motions: Sequence[RecordedMotion]) -> tuple[Array, Array]:
        """Objects (N, K, OBJECT_NUMBERS) and greys (N, G) in m."""
        seen = np.stack([past_at(motion, self.times) for motion in motions])  # (N, C, K, 2)
        clips, frames, objects, _ = seen.shape
        flat = np.moveaxis(seen, 1, 0).reshape(frames, clips * objects, 2)
        moving = motion_at_handover(self.times, flat).reshape(clips, objects, 6)
        radius, kicks = (np.stack([getattr(motion, name) for motion in motions]) for name in ("radius", "kicks"))
        return object_numbers(moving, radius, kicks), grey_numbers(np.stack([motion.greys for motion in motions]))

    def nearest(self, objects: Array, greys: Array) -> Recalled:
        """The clip that is most like a context.

        Args:
            objects: (K, OBJECT_NUMBERS) of its objects, see `object_numbers`.
            greys: (GREY_SIDE, GREY_SIDE) of 255.

        Raises:
            ModelError: No clip of the memory has as many objects.
        """
        if len(objects) not in self.groups:
            known = ", ".join(str(count) for count in sorted(self.groups))
            raise ModelError(
                f"baseline:memory: this picture shows {len(objects)} coloured objects, and its clips, which are those "
                f"of the tasks that come with physbench, have {known}. It cannot answer for other tasks."
            )
        motions, own, own_greys = self.groups[len(objects)]
        square, order = paired_squares(own, objects)
        square = square + ((own_greys - grey_numbers(greys[None])) ** 2).sum(-1)
        best = int(square.argmin())
        return Recalled(motions[best], order[best], float(np.sqrt(square[best])))


def paired_squares(clips: Array, objects: Array) -> tuple[Array, list[tuple[int, ...]]]:
    """Least sum of squared differences over all pairings of objects (K, OBJECT_NUMBERS) with those of N clips.

    Returns:
        The sums (N,) in m2, and of each clip the index of its object for each of `objects`.
    """
    count = len(objects)
    cost = ((objects[None, :, None] - clips[:, None]) ** 2).sum(-1)  # (N, K of the context, K of the clip)
    orders = list(permutations(range(count)))
    sums = np.stack([cost[:, range(count), order].sum(-1) for order in orders], axis=-1)  # (N, K!)
    return sums.min(-1), [orders[index] for index in sums.argmin(-1)]


def grey_numbers(greys: NDArray[np.generic]) -> Array:
    """Greys (N, GREY_SIDE, GREY_SIDE) of 255 -> (N, G) in m, so that a picture's distance does not depend on G."""
    flat = greys.reshape(len(greys), -1).astype(np.float64) / 255
    scaled: Array = flat * (10.0 / np.sqrt(flat.shape[1]))  # m for a picture that is black instead of white
    return scaled


def past_at(motion: RecordedMotion, times: Array) -> Array:
    """Positions (C, K, 2) m of a clip of the memory at times (C,) s up to 0."""
    return np.moveaxis(_sampled(motion.past, times * MOTION_HZ + PAST_SAMPLES - 1), 1, 0)


def displaced(ways: Array, times: Array) -> Array:
    """Displacements (K, T, 2) m after the hand-over at other times (t,) s > 0 -> (K, t, 2).

    After the end of what is stored it goes on in a straight line.
    """
    from_0 = np.concatenate([np.zeros_like(ways[:, :1]), ways], axis=1)
    return _sampled(from_0, times * MOTION_HZ)


def _sampled(ways: Array, place: Array) -> Array:
    """Values (K, S, 2) at fractional samples (t,), linear between two and beyond the last two -> (K, t, 2)."""
    place = np.round(place, 6)
    low = np.clip(np.floor(place).astype(int), 0, ways.shape[1] - 2)
    share = (place - low)[None, :, None]
    result: Array = (1 - share) * ways[:, low] + share * ways[:, low + 1]
    return result


class Memory:
    """The baseline as a FrameModel. It computes on the CPU.

    Args:
        card: Its `training_clips` is the number of clips that it remembers.
        table: Where they are stored, by default in the cache; those that are missing are made.
    """

    def __init__(self, card: ModelCard, table: MemoryTable | None = None) -> None:
        self.card = card
        self._table = MemoryTable() if table is None else table
        self._times = (np.arange(card.context_frames) - card.context_frames + 1) / card.fps
        self._indices = {False: self._index(pushed=False)}  # that for pushes is made when the first one comes

    def _index(self, pushed: bool) -> ClipIndex:
        clips = self.card.training_clips or 0
        rows = memory_rows(clips, pushed=pushed)
        self._table.require(rows, f"{clips}{' --pushed' if pushed else ''}", cores())
        return ClipIndex((motion for _, motion in self._table.read(rows)), self._times)

    def rollout(self, context: Tensor, *, horizon: int, actions: Tensor | None, **given: object) -> Iterator[Tensor]:
        clips = context.permute(0, 1, 3, 4, 2).float().cpu().numpy()  # (B, C, H, W, 3)
        pushes = [None] * len(clips) if actions is None else list(actions.double().cpu().numpy())
        drawings = [self.drawing(clip, horizon, push) for clip, push in zip(clips, pushes, strict=True)]
        for chosen in answer_parts(self.card, len(context), horizon):
            chunk = np.stack([drawing.draw(chosen) for drawing in drawings])
            yield torch.from_numpy(chunk).permute(0, 1, 4, 2, 3).to(context.device, context.dtype)

    def recall(
        self, frames: Picture, background: Picture, sprites: Sequence[Sprite], pushes: Array | None = None
    ) -> Recalled:
        """The nearest clip of a context (C, H, W, 3) in [0, 1], which was cut into a background and sprites.

        pushes: (C + horizon, 6) as models are given them.
        """
        seen = see_objects(np.round(frames * 255).astype(np.uint8), sprites, self.card.fps)
        pushed = pushes is not None and bool(np.any(pushes))
        if pushed not in self._indices:
            self._indices[pushed] = self._index(pushed)
        kicks = self._kicks(seen, pushes) if pushed and pushes is not None else np.zeros((len(sprites), KICK_NUMBERS))
        moving = motion_at_handover(self._times, seen.position)
        for own, place in zip(moving, self._places(sprites), strict=True):
            if not np.isfinite(own).all():  # its centre is never known: that of what is seen of it, at rest
                own[:] = [*place, 0.0, 0.0, 0.0, 0.0]
        return self._indices[pushed].nearest(object_numbers(moving, seen.radius, kicks), greys_seen(background))

    def _places(self, sprites: Sequence[Sprite]) -> Array:
        """Middles of the sprites (K, 2) m, to the right and down."""
        spec = self.card.spec
        middle = np.array([spec.height, spec.width]) / 2
        boxes = np.array([sprite.corner + np.array(sprite.opacity.shape) / 2 for sprite in sprites])
        return (boxes - middle)[:, ::-1] / pixels_per_metre(ANY_CAMERA, spec)

    def _kicks(self, seen: SeenObjects, pushes: Array) -> Array:
        """`kick_numbers` of each object (K, KICK_NUMBERS) from the rows that a model is given."""
        time = (np.arange(len(pushes)) - self.card.context_frames + 1) / self.card.fps
        rows = np.flatnonzero(pushes.any(1))
        hue = np.abs(pushes[rows, None, :3] - np.array(PALETTE)).sum(-1).argmin(-1)
        kicks = []
        for own, radius in zip(seen.hues, seen.radius, strict=True):
            mine = rows[hue == own]
            kicks.append(kick_numbers(pushes[mine, 3:], time[mine], float(radius)))
        return np.stack(kicks)

    def drawing(self, frames: Picture, horizon: int, pushes: Array | None = None) -> Drawing:
        """Continuation of a context (C, H, W, 3) in [0, 1] by `horizon` frames."""
        background, front, sprites = cut_objects(frames)
        if not sprites:
            return Drawing(background, front, [], [])
        recalled = self.recall(frames, background, sprites, pushes)
        times = np.arange(1, horizon + 1) / self.card.fps
        scale = pixels_per_metre(ANY_CAMERA, self.card.spec)

        def way(sprite: Sprite, moved: Array) -> Array:
            return sprite.corner + moved[:, ::-1] * scale  # m to the right and down -> px, row and column

        moved = displaced(recalled.motion.future, times)[list(recalled.order)]  # (K, t, 2)
        ways = [way(sprite, own) for sprite, own in zip(sprites, moved, strict=True)]
        if len(recalled.motion.plates) and front.any():
            background, plate = cut_plate(background, front)
            moved = displaced(recalled.motion.plates[:1], times)
            return Drawing(background, np.zeros_like(front), [*sprites, plate], [*ways, way(plate, moved[0])])
        return Drawing(background, front, sprites, ways)


class Drawing:
    """Objects on their ways over a background."""

    def __init__(self, background: Picture, front: Mask, sprites: Sequence[Sprite], ways: Sequence[Array]) -> None:
        self.background, self.front, self.sprites, self.ways = background, front, sprites, ways

    def draw(self, chosen: slice) -> Picture:
        """Some of its frames (t, H, W, 3)."""
        frames = np.repeat(self.background[None], chosen.stop - chosen.start, axis=0)
        return draw_ways(frames, self.front, self.sprites, [way[chosen].astype(np.float32) for way in self.ways])


def cut_plate(background: Picture, front: Mask) -> tuple[Picture, Sprite]:
    """Cut what is in front (H, W) out of a background (H, W, 3): a plate that is about to move on.

    Returns:
        The background without it, filled with the nearest pixels, and its sprite.
    """
    row, column = np.flatnonzero(front.any(1)), np.flatnonzero(front.any(0))
    box = np.s_[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
    opacity = np.pad(front[box], 1).astype(np.float32)
    color = np.pad(background[box] * front[box][..., None], ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    corner = np.array([row[0] - 1, column[0] - 1], dtype=np.float32)
    at = distance_transform_edt(front, return_distances=False, return_indices=True)
    still, shown = np.zeros(2, dtype=np.float32), np.ones(1, dtype=np.float32)
    return background[tuple(at)], Sprite(color, opacity, corner, still, 0.0, shown)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m physbench.baselines.memory", description="Make the clips that the memory holds."
    )
    parser.add_argument("clips", type=int, help="of all tasks together, such as 150, 1500 or 15000")
    parser.add_argument("--pushed", action="store_true", help="as many clips a task of the tasks with pushes instead")
    parser.add_argument("--workers", type=int, default=cores())
    arguments = parser.parse_args()
    table, rows = MemoryTable(), memory_rows(arguments.clips, pushed=arguments.pushed)
    started = time.monotonic()
    written = table.ensure(rows, arguments.workers)
    seconds = time.monotonic() - started
    print(f"{len(rows):,} clips, {table.size(rows) / 1e6:.1f} MB in {table.folder}")
    print(f"{written:,} of them made now, in {seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    from physbench.baselines import memory  # under this name worker processes find it

    memory.main()
