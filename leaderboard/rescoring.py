"""Makes the references again and reads all tracks of a submission again, with the code of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import STATE_COLUMNS, StateCard
from physbench.clips.clip import Clip, Row
from physbench.errors import UsageError
from physbench.leaderboard.board_clips import board_clips
from physbench.leaderboard.check_tables import MODEL_SOURCE, Tables, base_of, own_scorers
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.sent_tracks import read_sent_tracks
from physbench.leaderboard.table_differences import TableDifference, compare_tables
from physbench.leaderboard.verdicts import Verdict, failed, not_possible, passed
from physbench.progress import Progress
from physbench.results.read_run import REFERENCE_MODELS, read_scores
from physbench.rollouts.batch_plan import BatchItem
from physbench.rollouts.rollout import Rollout
from physbench.run import worker
from physbench.run.finalize import compile_scores
from physbench.run.references import bring_references
from physbench.run.score_shards import write_part
from physbench.run.worker_jobs import SCORING_PRELOAD
from physbench.scoring.observation import Observation
from physbench.scoring.score_clip import read_observation, score_clip
from physbench.scoring.scorer_protocol import Scorer, ScoreRow
from physbench.shadowing.trace import save_trace, trace
from physbench.storage.atomic_write import write_json
from physbench.storage.run_folder import RunFolder
from physbench.tracks.tracks import Tracks
from physbench.tracks.tracks_file import save_tracks
from physbench.worker_pool import ordered, worker_pool

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RescoreJob:
    """One clip of a submission to read again."""

    sent: RunFolder
    made: RunFolder  # where parts, tracks and traces go
    row: Row
    card: ModelCard
    failures: tuple[str | None, ...]  # of each sample: why its rollout failed, as it was sent; None where it did not
    frames: tuple[int | None, ...]  # of each sample: how many were predicted; None: as many as were asked for
    with_tracks: bool  # False: only the references
    cached: bool  # whether references may come from the cache of this machine
    archive: Path | None  # of the clips, see `board_clips`


@dataclass(frozen=True)
class Reread:
    """What became of it."""

    row: Row
    state_hash: str
    problem: str  # why its tracks could not be read; "" where they could


def track_scorers() -> tuple[Scorer, ...]:
    """Scorers that read tracks alone. The others, all of them diagnostics, need the frames."""
    return tuple(each for each in all_scorers() if "frames" not in each.needs)


def all_scorers() -> tuple[Scorer, ...]:
    """Those of every evaluation, by id."""
    return tuple(sorted((each for each in own_scorers().values() if not each.costly), key=lambda each: each.id))


def reread(job: RescoreJob) -> Reread:
    """In a worker: references and samples of one clip into the folder that is made."""
    clips = board_clips(job.archive)
    bring_references(job.made, job.row, clips, job.card, all_scorers(), cached=job.cached)
    clip = clips.get(job.row, job.card.spec)
    for sample, failure in enumerate(job.failures if job.with_tracks else ()):
        try:
            rows = sample_rows(job, clip, sample, failure)
        except UsageError as error:
            return Reread(job.row, clip.state_hash, str(error))
        write_part(job.made.part(job.row.id, sample), rows)
    return Reread(job.row, clip.state_hash, "")


def sample_rows(job: RescoreJob, clip: Clip, sample: int, failure: str | None) -> list[ScoreRow]:
    """Rows of one sample from its tracks, or of a rollout that failed."""
    context, path = job.card.scored_context, job.sent.tracks(clip.id, sample)
    if failure is not None:
        if path.exists():
            raise UsageError(f"{path.name}: tracks of a rollout that failed")
        return score_clip(clip, _rollout(job.card, clip, sample, failure), context, track_scorers())[0]
    if not path.is_file():
        raise UsageError(f"{path.name} is missing")
    tracks = read_sent_tracks(path, clip, context)
    rows, observation = rows_of_tracks(job.card, clip, sample, tracks, job.frames[sample])
    save_tracks(job.made.tracks(clip.id, sample), tracks)
    lawful = trace(clip, tracks, observation.known("shadowing"))
    if lawful is not None:
        save_trace(job.made.trace(clip.id, sample), lawful)
    return rows


def rows_of_tracks(
    card: ModelCard, clip: Clip, sample: int, tracks: Tracks, frames: int | None
) -> tuple[list[ScoreRow], Observation]:
    """Rows of the scorers that read tracks alone, and what they read. frames: see `RescoreJob`."""
    observation = Observation(clip, _rollout(card, clip, sample, None, frames), tracks)
    return read_observation(observation, track_scorers()), observation


def _rollout(card: ModelCard, clip: Clip, sample: int, failure: str | None, frames: int | None = 0) -> Rollout:
    """A rollout of which only the number of frames is known; they are black, and none of them takes memory."""
    future = clip.future()
    shape = (len(future) if frames is None else frames, *future.shape[1:])
    if isinstance(card, StateCard):
        states = np.empty((0, len(clip.tracked), len(STATE_COLUMNS)))
        return Rollout(clip.id, sample, future[:0], failure, states=states)
    return Rollout(clip.id, sample, np.broadcast_to(np.zeros((), dtype=np.uint8), shape), failure)


def make_again(
    sent: RunFolder,
    made: RunFolder,
    claim: Claim,
    tables: Tables,
    *,
    with_tracks: bool,
    cached: bool,
    workers: int,
    frames: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Verdict, Verdict]:
    """Make the references again, and read all tracks again: both verdicts, and in `made` a run from what was read.

    with_tracks: False where the submission has none, so that the second check is not possible. frames: how many were
    predicted, by rollout (`rollout_name`), where that is known.
    """
    suite, card = claim.suite, claim.card
    failures, samples = failures_of(tables[MODEL_SOURCE]), range(claim.samples)
    jobs = [
        RescoreJob(
            sent,
            made,
            row,
            card,
            tuple(failures.get((row.id, sample)) for sample in samples),
            tuple(frames.get(rollout_name(row.id, sample)) for sample in samples),
            with_tracks,
            cached,
            claim.archive_path,
        )
        for row in suite.rows
    ]
    if absent := next(filter(None, map(_absent, jobs)), ""):  # seen at once, where the rest takes minutes
        return not_possible("references", "the tracks are not whole"), failed("tracks", absent)
    found = _done(jobs, workers)
    golden = suite.golden
    other = [each.row.id for each in found if each.row in golden and golden[each.row].state_hash != each.state_hash]
    if other:
        why = f"this machine simulates {len(other)} clips otherwise than the suite has them, the first {other[0]}"
        return not_possible("references", why), not_possible("tracks", why)
    write_json(made.manifest, claim.document())
    problem = next((each for each in found if each.problem), None)
    if with_tracks and problem is None:
        _read_jointly(made, claim)
    references = _check_references(made, claim, tables)
    if not with_tracks:
        return references, not_possible("tracks", "no tracks were sent")
    if problem is not None:
        return references, failed("tracks", f"{problem.row.id}: {problem.problem}")
    return references, _check_samples(made, claim, tables)


def _absent(job: RescoreJob) -> str:
    """The first file of tracks of a clip that is missing, or should not be there; "" where there is none."""
    for sample, failure in enumerate(job.failures if job.with_tracks else ()):
        path = job.sent.tracks(job.row.id, sample)
        if path.is_file() != (failure is None):
            wrong = "is missing" if failure is None else "tracks of a rollout that failed"
            return f"{job.row.id}: {path.name}{' ' if failure is None else ': '}{wrong}"
    return ""


def rollout_name(clip_id: str, sample: int) -> str:
    """ "falling.projectile-v1.test.3.0": a rollout in documents, and its files without their ends."""
    return f"{clip_id}.{sample}"


def _done(jobs: Sequence[RescoreJob], workers: int) -> list[Reread]:
    with (
        worker_pool(workers, len(jobs), SCORING_PRELOAD) as pool,
        Progress("references and tracks again", len(jobs)) as progress,
    ):
        found = []
        for each in ordered(pool, reread, jobs):
            found.append(each)
            progress.advance()
        return found


def failures_of(table: pd.DataFrame) -> dict[tuple[str, int], str]:
    """Why rollouts failed, by clip and sample: those in which no reading is ok."""
    well = set(table.loc[table["status"] == "ok", ["clip", "sample"]].itertuples(index=False, name=None))
    rows = table.loc[(table["status"] == "failed") & table["axis"].notna(), ["clip", "sample", "reason"]]
    return {(c, int(s)): str(r) for c, s, r in rows.itertuples(index=False, name=None) if (c, s) not in well}


def _check_references(made: RunFolder, claim: Claim, tables: Tables) -> Verdict:
    rows, largest = 0, 0.0
    for name in REFERENCE_MODELS:
        compile_scores(made.reference(name), (BatchItem(row) for row in claim.suite.rows))
        found = compared(tables[name], read_scores(made.reference(name)), name)
        if found.first:
            many = f"{found.different} rows of {name} differ"
            return failed("references", f"{found.first} ({many})", different=found.different)
        rows, largest = rows + found.rows, max(largest, found.largest)
    return passed("references", f"{rows} rows made again, {_agreement(largest)}", rows=rows, largest_difference=largest)


def _read_jointly(made: RunFolder, claim: Claim) -> None:
    """What one rollout alone does not tell: all samples of a clip, and clips with a change beside those without."""
    known = set(claim.suite.rows)
    for row in claim.suite.rows:
        if claim.samples > 1:
            worker.together(made.path, row, claim.samples, claim.card, None)
        if row.change and row.unchanged in known:
            worker.pair(made.path, row, claim.samples, claim.card, None)


def _check_samples(made: RunFolder, claim: Claim, tables: Tables) -> Verdict:
    compile_scores(made, [BatchItem(row, sample) for row in claim.suite.rows for sample in range(claim.samples)])
    read = {scorer.id for scorer in track_scorers()}
    sent = tables[MODEL_SOURCE]
    found = compared(sent[base_of(sent).isin(read)], read_scores(made))
    if found.first:
        return failed("tracks", f"{found.first} ({found.different} rows differ)", different=found.different)
    text = f"{found.rows} rows read again from tracks, {_agreement(found.largest)}"
    return passed("tracks", text, rows=found.rows, largest_difference=found.largest)


def compared(sent: pd.DataFrame, made: pd.DataFrame, whose: str = "") -> TableDifference:
    """Two tables without what only one of two machines can read: scorers with packages that one of them lacks.

    Such a scorer is unavailable in every row: a machine has a package, or has it not.
    """
    optional = {scorer.id for scorer in own_scorers().values() if scorer.packages}

    def lacking(table: pd.DataFrame) -> set[str]:
        absent = (table["status"] == "unavailable").groupby(base_of(table)).all()
        return {str(scorer) for scorer in absent.index[absent]} & optional

    lacked = lacking(sent) | lacking(made)
    return compare_tables(sent[~base_of(sent).isin(lacked)], made[~base_of(made).isin(lacked)], whose)


def _agreement(largest: float) -> str:
    return "equal to the last bit" if largest == 0 else f"the largest difference is {largest:.1e}"
