"""What scorers say of saboteurs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
from ideal_tracks import ideal
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, ScoreRow
from physbench.score.score_clip import find_scorers, observed, read_observation

__all__ = ["ideal"]
CONTEXT = 8


class Rows(Mapping[str, ScoreRow]):
    """Rows of a continuation by reading. A scorer reads it when one of its readings is first asked for."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._by_scorer: dict[str, dict[str, ScoreRow]] = {}

    def __getitem__(self, reading: str) -> ScoreRow:
        return self._of(reading.partition(".")[0])[reading]

    def __iter__(self) -> Iterator[str]:
        for scorer in find_scorers():
            yield from self._of(scorer.id)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, scorer: str) -> dict[str, ScoreRow]:
        if scorer not in self._by_scorer:
            found = read_observation(self._observation, find_scorers(scorer))
            assert not [row for row in found if row.status == "failed"]
            self._by_scorer[scorer] = {row.reading: row for row in found}
        return self._by_scorer[scorer]


@pytest.fixture(scope="session")
def read() -> Callable[..., Rows]:
    """read(clip, frames, context=8): the rows of a continuation by their reading."""

    done: dict[tuple[object, ...], Rows] = {}

    def rows(clip: Clip, frames: NDArray[np.uint8], context: int = CONTEXT) -> Rows:
        key = (clip, context, hash(frames.tobytes()))
        if key not in done:
            rollout = Rollout(clip.id, 0, frames)
            done[key] = Rows(Observation(clip, rollout, observed(clip, rollout, context)))
        return done[key]

    return rows
