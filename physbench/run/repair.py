"""Damaged or lost results, and those whose server had gone: dropped before a run goes on, and made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from physbench.clips.clip import Row
from physbench.models.http.connection import NO_ANSWER
from physbench.result.read import REFERENCE_MODELS
from physbench.rollout.store import drop_rollout, has_rollout, is_whole, stored_failure
from physbench.run.parts import read_part
from physbench.score.protocol import ScoreRow
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import DRAFTS, writer_lives
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import load_tracks


def drop_damaged(folder: RunFolder, rows: Sequence[Row], samples: int) -> int:
    """Drop every sample of which a file is damaged or lost, of the model and of the references, with what it shares.

    It is then scored again from its stored rollout, or rolled out again where that is damaged or was not kept. Returns
    the number of samples.
    """
    broken, lost = find_damaged(folder, rows, samples)
    for row, sample in broken:
        drop_rollout(folder, row.id, sample)
    for place, row, sample in lost:
        _drop(place, rows, row, sample)
    return len(lost)


def find_damaged(
    folder: RunFolder, rows: Sequence[Row], samples: int
) -> tuple[set[tuple[Row, int]], list[tuple[RunFolder, Row, int]]]:
    """The samples whose rollout cannot be read, and all that are to be scored again, each with its place."""
    _refuse_unreadable(folder, rows, samples)
    broken = {
        (row, sample)
        for row in rows
        for sample in range(samples)
        if has_rollout(folder, row.id, sample) and not is_whole(folder, row.id, sample)
    }
    model = [(folder, row, sample) for row in rows for sample in range(samples)]
    references = [(folder.reference(name), row, 0) for name in REFERENCE_MODELS for row in rows]
    lost = [each for each in (*model, *references) if _is_lost(*each) or (each[0] is folder and each[1:] in broken)]
    return broken, lost


def drop_drafts(folder: RunFolder) -> int:
    """Remove files that a process which was killed has begun and not put in their place. Returns their number."""
    left = [path for path in folder.path.rglob(DRAFTS) if path.is_file() and not writer_lives(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _refuse_unreadable(folder: RunFolder, rows: Sequence[Row], samples: int) -> None:
    """Raise PhysbenchError where a file is there and the system does not hand it out: that is no damage to mend."""
    for row in rows:
        for sample in range(samples):
            video = folder.rollout(row.id, sample)
            for path in (video, video.with_suffix(".json"), folder.tracks(row.id, sample), folder.part(row.id, sample)):
                try:
                    with path.open("rb") as file:
                        file.read(1)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise PhysbenchError(
                        f"{path} cannot be read ({error.strerror or error}). Nothing was dropped: mend that first."
                    ) from error


def unanswered(folder: RunFolder, rows: Sequence[Row], samples: int) -> list[tuple[Row, int]]:
    """The samples that failed because a model's server did not answer: the model is not to blame."""
    gaps = []
    for row in rows:
        for sample in range(samples):
            part = read_part(folder.part(row.id, sample)) or []
            reasons = [each.reason for each in part if each.status == "failed"]
            reasons += [] if part else [stored_failure(folder, row.id, sample)]
            if any(NO_ANSWER in reason for reason in reasons):
                gaps.append((row, sample))
    return gaps


def drop_unanswered(folder: RunFolder, rows: Sequence[Row], samples: int) -> int:
    """Drop what failed because a model's server did not answer, with its rollout. Returns the number of samples."""
    lost = unanswered(folder, rows, samples)
    for row, sample in lost:
        drop_rollout(folder, row.id, sample)
        _drop(folder, rows, row, sample)
    return len(lost)


def _drop(place: RunFolder, rows: Sequence[Row], row: Row, sample: int) -> None:
    """Drop the readings of a sample and those that it shares with others."""
    beside = [place.pair(each.id, sample) for each in rows if row in (each, each.unchanged)]
    # The part goes last: as long as it is there, a run that is killed here finds the damage again.
    files = (place.tracks(row.id, sample), place.trace(row.id, sample), place.part(row.id, sample))
    for path in (*beside, place.together(row.id), *files):
        path.unlink(missing_ok=True)


def _is_lost(place: RunFolder, row: Row, sample: int) -> bool:
    """True if a sample is scored and a file of it is damaged, or its tracks are gone though it did not fail."""
    from physbench.shadowing.trace import load_trace

    shared = (place.pair(row.id, sample), *([place.together(row.id)] if sample == 0 else []))
    if any(path.exists() and read_part(path) is None for path in shared):
        return True
    if not place.part(row.id, sample).exists():
        return False
    part = read_part(place.part(row.id, sample))
    if part is None or not _loads(load_trace, place.trace(row.id, sample)):
        return True
    if any((each.clip, each.sample) != (row.id, sample) for each in part):  # whole, and in the place of another
        return True
    path = place.tracks(row.id, sample)
    return not _loads(load_tracks, path) if path.exists() else not _failed(part)


def _failed(part: Sequence[ScoreRow]) -> bool:
    """True if these are the rows of a rollout that failed, which has no tracks and no readings."""
    states = {row.status for row in part}
    return "failed" in states and "ok" not in states


def _loads(load: Callable[[Path], object], path: Path) -> bool:
    try:
        load(path)
    except UsageError:
        return False
    return True
