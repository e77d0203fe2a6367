"""A data set whose workers score: a module of its own, as a worker that is spawned imports it by name."""

from __future__ import annotations

import numpy as np
import torch

import physbench
from physbench.api.one_clip import ClipScore


class ScoredAnswers(torch.utils.data.Dataset[ClipScore]):
    """Two scores of one answer to a named clip, made where they are asked for."""

    def __init__(self, clip: str, frames: np.ndarray, fps: float) -> None:
        self.clip, self.frames, self.fps = clip, frames, fps

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> ClipScore:
        return physbench.score(self.clip, self.frames, self.fps)
