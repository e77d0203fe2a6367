"""A model's continuation of a clip: frames, rounded to uint8 on arrival, or states. So it is stored and scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rollout:
    """One sample of a model's continuation of a clip, or the reason why there is none.

    Attributes:
        clip_id: Id of the clip, such as "falling.projectile-v1.test.3".
        sample: Number of the sample, from 0.
        frames: (horizon, H, W, 3) RGB; fewer only where a model of a shorter horizon was not chained, or a video ends
            early.
        failure: Why there are no frames, or None.
        chained: Number of calls of the model along time.
        seconds: The model's own time: its share of that of the batch.
        states: (horizon, K, 13) of the tracked bodies, of a model that answers with states; then there are no frames.
            NaN where it does not say. None for a model that answers with frames.
        surprise: (horizon,) at each frame after the context, of a model that answers with surprise; else None.
    """

    clip_id: str
    sample: int
    frames: NDArray[np.uint8]
    failure: str | None = None
    chained: int = 1
    seconds: float = 0.0
    states: NDArray[np.float64] | None = None
    surprise: NDArray[np.float64] | None = None

    @property
    def steps(self) -> int:
        """Number of predicted moments."""
        if self.surprise is not None:
            return len(self.surprise)
        return len(self.frames) if self.states is None else len(self.states)
