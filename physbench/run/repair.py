"""Scores whose tracks are lost: dropped before a run goes on, so that they are made again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from physbench.clips.clip import Row
from physbench.errors import UsageError
from physbench.results.read_run import REFERENCE_MODELS
from physbench.run.score_shards import read_part
from physbench.scoring.scorer_protocol import ScoreRow
from physbench.storage.run_folder import RunFolder
from physbench.tracks.tracks_file import load_tracks


def drop_damaged(folder: RunFolder, rows: Sequence[Row], samples: int) -> int:
    """Drop every part whose tracks cannot be loaded, of the model and of the references, with what was read beside it.

    The clip is then scored again from its stored rollout, or rolled out again. Returns the number of parts.
    """
    model = [(folder, row, sample) for row in rows for sample in range(samples)]
    references = [(folder.reference(name), row, 0) for name in REFERENCE_MODELS for row in rows]
    lost = [each for each in (*model, *references) if _is_lost(*each)]
    for place, row, sample in lost:
        beside = [place.pair(each.id, sample) for each in rows if row in (each, each.unchanged)]
        # The part goes last: as long as it is there, a run that is killed here finds the damage again.
        for path in (*beside, place.together(row.id), place.tracks(row.id, sample), place.part(row.id, sample)):
            path.unlink(missing_ok=True)
    return len(lost)


def _is_lost(place: RunFolder, row: Row, sample: int) -> bool:
    """Whether a sample is scored and its tracks are damaged, or gone though it did not fail."""
    part = read_part(place.part(row.id, sample))
    if part is None:
        return False
    path = place.tracks(row.id, sample)
    return not _loads(path) if path.exists() else not _failed(part)


def _failed(part: Sequence[ScoreRow]) -> bool:
    """Whether these are the rows of a rollout that failed, which has no tracks and no readings."""
    states = {row.status for row in part}
    return "failed" in states and "ok" not in states


def _loads(path: Path) -> bool:
    try:
        load_tracks(path)
    except UsageError:
        return False
    return True
