"""What a worker process does: track and score one rollout, or bring the references of one clip."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch  # noqa: F401  (imported here so that the fork server imports it once for all workers)

from physbench.adapters.protocol import ModelCard
from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.results.folder import RunFolder, save_tracks
from physbench.run.parts import write_part
from physbench.run.stored import load_rollout
from physbench.scoring.protocol import Scorer
from physbench.scoring.score import find_scorers, score_clip


@dataclass(frozen=True)
class Scored:
    """What came of one job."""

    row: Row
    sample: int
    found: bool  # False: the stored rollout cannot be read and has to be made again
    failure: str | None = None
    seconds: float = 0.0


@cache
def scorers_of(glob: str | None) -> tuple[Scorer, ...]:
    return find_scorers(glob)


def warm() -> None:
    """Start a worker, so that it is there when the first rollout comes."""


def score(folder: Path, row: Row, sample: int, card: ModelCard, scorers: str | None) -> Scored:
    """Track and score one stored rollout. The part is written last: once it is there, the clip is done."""
    started = time.monotonic()
    run = RunFolder(folder)
    rollout = load_rollout(run, row.id, sample)
    if rollout is None:
        return Scored(row, sample, found=False)
    clip = ClipStore().get(row, card.spec)
    rows, tracks = score_clip(clip, rollout, card.scored_context, scorers_of(scorers))
    if tracks is not None:
        save_tracks(run.tracks(row.id, sample), tracks)
    write_part(run.part(row.id, sample), rows)
    return Scored(row, sample, True, rollout.failure, time.monotonic() - started)
