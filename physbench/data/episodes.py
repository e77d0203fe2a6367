"""Training material: clips of the `train` split as a model sees them, nothing of their states."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import TRAIN, Suite, find_suite, suite_hash
from physbench.world.scene import RenderSpec


def training_rows(clips: int, suite: str = TRAIN) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows to learn from and one in ten to look at, of a list of `suite.TRAINING_LISTS`: all of the train split."""
    rows = find_suite(suite, limit=clips).rows
    held_out = tuple(row for i, row in enumerate(rows) if i % 10 == 9)
    return tuple(row for i, row in enumerate(rows) if i % 10 != 9), held_out


def training_hash(suite: Suite, store: ClipStore, spec: RenderSpec) -> str:
    """Hash of the list of clips of a training, as `Suite.hash`: stored clips know that of their states."""

    def state_hash(row: Row) -> str:
        stored = store.stored(row, spec)
        return suite.state_hash(row) if stored is None else stored.state_hash

    return suite_hash((row, state_hash(row)) for row in suite.rows)


class ClipEpisodes:
    """Episodes of stored clips, from the first context frame to the end of the horizon."""

    def __init__(self, rows: Sequence[Row], spec: RenderSpec, context: int, store: ClipStore) -> None:
        self.rows, self.spec, self.context, self.store = rows, spec, context, store
        self._load = lru_cache(maxsize=256)(self._read)

    def __len__(self) -> int:
        return len(self.rows)

    def clip(self, index: int) -> Clip:
        return self.store.get(self.rows[index], self.spec)

    def _read(self, index: int) -> tuple[Tensor, Tensor | None]:
        clip = self.clip(index)
        frames = np.ascontiguousarray(clip.frames[clip.window(self.context)].transpose(0, 3, 1, 2))
        actions = clip.actions(self.context)
        return torch.from_numpy(frames), None if actions is None else torch.from_numpy(actions)

    def frames(self, index: int) -> Tensor:
        """Frames (context + horizon, 3, H, W) uint8."""
        return self._load(index)[0]

    def actions(self, index: int) -> Tensor | None:
        """Actions (context + horizon, 6), or None."""
        return self._load(index)[1]
