"""What scorers say of saboteurs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.score_clip import find_scorers, score_clip
from physbench.scoring.scorer_protocol import ScoreRow

CONTEXT = 8


@pytest.fixture(scope="session")
def read() -> Callable[..., dict[str, ScoreRow]]:
    """read(clip, frames, context=8): every row of a continuation by its reading."""

    done: dict[tuple[object, ...], dict[str, ScoreRow]] = {}

    def rows(clip: Clip, frames: NDArray[np.uint8], context: int = CONTEXT) -> dict[str, ScoreRow]:
        key = (clip, context, hash(frames.tobytes()))
        if key not in done:
            found, _ = score_clip(clip, Rollout(clip.id, 0, frames), context, find_scorers())
            assert not [row for row in found if row.status == "failed"]
            done[key] = {row.reading: row for row in found}
        return done[key]

    return rows
