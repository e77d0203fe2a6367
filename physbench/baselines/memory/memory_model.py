"""`baseline:memory` as a model of frames: what a table of training clips can predict, without a law.

It sees the pixels of the context. The most similar clip of the `train` split gives the displacement of each object, and
of a grey plate that moves; the pictures are those of the context's own objects over its own background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.baselines.baseline_adapter import answer_parts
from physbench.baselines.constant_velocity import Sprite, draw_ways
from physbench.baselines.memory.context_tracks import ANY_CAMERA, SeenObjects, cut_objects, greys_seen, see_objects
from physbench.baselines.memory.memory_table import MemoryTable, memory_rows
from physbench.baselines.memory.nearest_clip import (
    ClipIndex,
    Recalled,
    displaced,
    motion_at_handover,
    object_numbers,
)
from physbench.baselines.memory.recorded_motion import KICK_NUMBERS, kick_numbers
from physbench.worker_pool import cores
from physbench.world.camera import pixels_per_metre
from physbench.world.scene import PALETTE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]
Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]


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

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        import torch

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
        found = []
        for own, radius in zip(seen.hues, seen.radius, strict=True):
            mine = rows[hue == own]
            found.append(kick_numbers(pushes[mine, 3:], time[mine], float(radius)))
        return np.stack(found)

    def drawing(self, frames: Picture, horizon: int, pushes: Array | None = None) -> Drawing:
        """How a context (C, H, W, 3) in [0, 1] goes on for `horizon` frames."""
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
    from scipy.ndimage import distance_transform_edt

    row, column = np.flatnonzero(front.any(1)), np.flatnonzero(front.any(0))
    box = np.s_[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
    opacity = np.pad(front[box], 1).astype(np.float32)
    color = np.pad(background[box] * front[box][..., None], ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    corner = np.array([row[0] - 1, column[0] - 1], dtype=np.float32)
    at = distance_transform_edt(front, return_distances=False, return_indices=True)
    still, shown = np.zeros(2, dtype=np.float32), np.ones(1, dtype=np.float32)
    return background[tuple(at)], Sprite(color, opacity, corner, still, 0.0, shown)
