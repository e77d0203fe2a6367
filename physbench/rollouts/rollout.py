"""A model's continuation of a clip, rounded to uint8 on arrival: that is what is stored, hashed and scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rollout:
    """One sample of a continuation, or the reason why there is none."""

    clip_id: str
    sample: int
    frames: NDArray[np.uint8]  # (horizon, H, W, 3); fewer only where a short model was not chained
    failure: str | None = None  # why there are no frames
    chained: int = 1  # how many times the model was called along time
    seconds: float = 0.0  # the model's own time, its share of the batch
