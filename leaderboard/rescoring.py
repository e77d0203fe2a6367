"""Reads all tracks of a submission again, with the code of an evaluation, on the board's clips."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.packed import PackedClips
from physbench.clips.store import ClipStore
from physbench.clips.video import rgb_converter
from physbench.leaderboard.check_tables import (
    MODEL_SOURCE,
    TableDifference,
    Tables,
    Verdict,
    base_of,
    compare_tables,
    failed,
    not_possible,
    own_scorers,
    passed,
)
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.commitment import (
    CHALLENGE,
    Challenge,
    Commitment,
    CommittedRollout,
    chosen_rollouts,
    mismatch,
    read_challenge,
)
from physbench.models.protocol import STATE_COLUMNS, ModelCard
from physbench.result.formats import counted
from physbench.result.read import REFERENCE_MODELS, ClipSource, read_scores
from physbench.rollout.answers import answers_of
from physbench.rollout.batches import BatchItem
from physbench.rollout.store import STATES, Rollout, frames_hash, link_rollout, read_states
from physbench.run import worker
from physbench.run.finalize import compile_scores
from physbench.run.jobs import SCORING_PRELOAD
from physbench.run.references import bring_references, save_motion
from physbench.score.protocol import SHARD_COLUMNS, Observation, Scorer, ScoreRow, rows_document, write_part
from physbench.score.score_clip import observed, read_observation, score_clip
from physbench.support.errors import UsageError
from physbench.support.files import NOT_ARRAYS, write_json
from physbench.support.processes import scheduled
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility, load_tracks

if TYPE_CHECKING:
    import pandas as pd

# The clips with which a board checks: those that its machine makes, or those of the archive that it publishes.
#
# The plain look has the same bytes on every machine. Others are traced, and have not: all runs are then checked with
# one archive, of which every submitter had a copy.


def board_clips(archive: Path | None) -> ClipSource:
    """The clips of an archive, or of this machine where there is none. Raises UsageError where it is damaged."""
    return ClipStore() if archive is None else _opened(archive)


@lru_cache(1)
def _opened(archive: Path) -> PackedClips:
    return PackedClips(archive)


# Tracks and rollouts that come with a submission: read within bounds, since anybody may have written them.

MOST_TRACKS = 32 << 20  # bytes of the arrays of one clip; those of core have 0.1 MB
TRACK_CLOSE = 1e-6  # px and other units, between tracks that were sent and tracks of the same frames


def read_sent_tracks(path: Path, clip: Clip, context: int) -> Tracks:
    """Tracks of a clip from elsewhere. Raises UsageError where they cannot be those of a prediction of this clip."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MOST_TRACKS:
            raise UsageError(f"{path.name} holds {size >> 20} MB, more than tracks have")
        tracks = load_tracks(path)
    except (*NOT_ARRAYS, MemoryError, NotImplementedError) as error:
        raise UsageError(f"{path.name} cannot be read ({type(error).__name__}: {error})") from error
    problem = _misfit(tracks, clip, context)
    if problem:
        raise UsageError(f"{path.name}: {problem}")
    return tracks


def _misfit(tracks: Tracks, clip: Clip, context: int) -> str:
    """Part of the tracks that does not belong to a clip, in words; "" where all does."""
    times, names = clip.times[clip.window(context)], tuple(body.name for body in clip.tracked_bodies)
    if tracks.names != names:
        return f"tracks of {', '.join(tracks.names)[:200]}, and the clip has {', '.join(names)}"
    if tracks.context != context:
        return f"{tracks.context} context frames, and the model was given {context}"
    t, k = len(times), len(names)
    scenery = 0 if tracks.scenery is None else len(np.atleast_1d(tracks.scenery))
    shapes = {
        "times": (t,), "position": (t, k, 2), "position_sd": (t, k), "area": (t, k), "hue": (t, k), "state": (t, k),
        "duplicates": (t, k), "hallucinations": (t,), "chroma": (t, k), "shape": (t, k), "camera": (t, 4),
        "scenery": (scenery,), "scenery_off": (t, scenery), "scenery_lost": (t, scenery),
    }  # fmt: skip
    for name, shape in shapes.items():
        value = getattr(tracks, name)
        if value is None and name in ("chroma", "shape", "camera", "scenery", "scenery_off", "scenery_lost"):
            continue
        if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind not in "fiub":
            return f"{name} has the shape {getattr(value, 'shape', None)}, and {shape} is that of the clip"
        if value.dtype.kind == "f" and np.isinf(value).any():
            return f"{name} is not finite"
    if not np.array_equal(tracks.times, times):
        return "its times are not those of the clip"
    if not np.isin(tracks.state, [int(each) for each in Visibility]).all():
        return "it has a state that there is not"
    return ""


def track_difference(sent: Tracks, remade: Tracks) -> str:
    """The first field in which tracks differ by more than TRACK_CLOSE, in words; "" where they agree."""
    for field in fields(Tracks):
        a, b = getattr(sent, field.name), getattr(remade, field.name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.shape != b.shape:
                return f"{field.name} has the shape {a.shape}, and {b.shape} is right"
            x, y = a.astype(np.float64), b.astype(np.float64)
            if not np.allclose(x, y, rtol=TRACK_CLOSE, atol=TRACK_CLOSE, equal_nan=True):
                gap = np.abs(np.nan_to_num(x, nan=1e9) - np.nan_to_num(y, nan=1e9))
                return f"{field.name} differs at frame {int(np.unravel_index(gap.argmax(), gap.shape)[0])}"
        elif (a is None) != (b is None) or (a is not None and a != b):
            return f"{field.name} differs"
    return ""


def read_sent_video(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of a lossless video from elsewhere, of exactly this shape. Raises UsageError."""
    import av

    frames: list[NDArray[np.uint8]] = []
    most_video = 1 << 30  # bytes of a file
    try:
        if path.stat().st_size > most_video:
            raise UsageError(f"{path.name} is larger than {most_video >> 30} GB")
        with av.open(str(path), format="matroska") as container:
            stream = container.streams.video[0]
            codec = stream.codec_context  # None where the library knows no such codec, whatever its types say
            # Rollouts are stored in H.264; their hashes tell whether it was lossless
            if codec is None or codec.name != "h264" or (codec.height, codec.width) != shape[1:3]:
                raise UsageError(f"{path.name}: expected H.264 of {shape[1]} x {shape[2]} px")
            stream.thread_type = "NONE"
            to_rgb = rgb_converter()
            for frame in container.decode(video=0):
                if len(frames) == shape[0] or (frame.height, frame.width) != shape[1:3]:
                    raise UsageError(f"{path.name}: expected {shape[0]} frames of {shape[1]} x {shape[2]} px")
                frames.append(to_rgb(frame))
    except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
        raise UsageError(f"{path.name} is not a readable video ({type(error).__name__})") from error
    if len(frames) != shape[0]:
        raise UsageError(f"{path.name}: expected {shape[0]} frames, got {len(frames)}")
    return np.stack(frames)


@dataclass(frozen=True)
class RescoreJob:
    """One clip of a submission to read again."""

    sent: RunFolder
    folder: RunFolder  # where parts, tracks and traces go
    row: Row
    card: ModelCard
    failures: tuple[str | None, ...]  # of each sample: why its rollout failed, as it was sent; None where it did not
    frames: tuple[int | None, ...]  # of each sample: how many were predicted; None: as many as were asked for
    with_tracks: bool  # False: only the references
    cached: bool  # whether references may come from the cache of this machine
    archive: Path | None  # of the clips, see `board_clips`


@dataclass(frozen=True)
class Reread:
    """Outcome of reading the tracks of a clip again."""

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
    bring_references(job.folder, job.row, clips, job.card, all_scorers(), cached=job.cached)
    clip = clips.get(job.row, job.card.spec)
    for sample, failure in enumerate(job.failures if job.with_tracks else ()):
        try:
            rows = sample_rows(job, clip, sample, failure)
        except UsageError as error:
            return Reread(job.row, clip.state_hash, str(error))
        write_part(job.folder.part(job.row.id, sample), rows)
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
    save_motion(job.folder, observation, sample)
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
    if not card.sees_pictures:
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
    label = "references and tracks again"
    with scheduled(reread, jobs, workers=workers, preload=SCORING_PRELOAD, label=label) as results:
        remade = list(results)
    golden = suite.golden
    other = [each.row.id for each in remade if each.row in golden and golden[each.row].state_hash != each.state_hash]
    if other:
        why = f"this machine simulates {len(other)} clips otherwise than the suite has them, the first {other[0]}"
        return not_possible("references", why), not_possible("tracks", why)
    write_json(made.manifest, claim.checked_manifest().document())
    problem = next((each for each in remade if each.problem), None)
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


def failures_of(table: pd.DataFrame) -> dict[tuple[str, int], str]:
    """Reasons of failed rollouts, by clip and sample: of those in which no reading is ok."""
    well = set(table.loc[table["status"] == "ok", ["clip", "sample"]].itertuples(index=False, name=None))
    rows = table.loc[(table["status"] == "failed") & table["axis"].notna(), ["clip", "sample", "reason"]]
    return {(c, int(s)): str(r) for c, s, r in rows.itertuples(index=False, name=None) if (c, s) not in well}


def _check_references(remade: RunFolder, claim: Claim, tables: Tables) -> Verdict:
    rows, largest = 0, 0.0
    for name in REFERENCE_MODELS:
        compile_scores(remade.reference(name), (BatchItem(row) for row in claim.suite.rows))
        comparison = compared(tables[name], read_scores(remade.reference(name)), name)
        if comparison.first:
            many = f"{comparison.different} rows of {name} differ"
            return failed("references", f"{comparison.first} ({many})", different=comparison.different)
        rows, largest = rows + comparison.rows, max(largest, comparison.largest)
    return passed("references", f"{rows} rows made again, {_agreement(largest)}", rows=rows, largest_difference=largest)


def _read_jointly(remade: RunFolder, claim: Claim) -> None:
    """Read jointly what takes several rollouts: samples of a clip, and clips with a change beside those without."""
    known = set(claim.suite.rows)
    for row in claim.suite.rows:
        if claim.samples > 1:
            worker.together(remade.path, row, claim.samples, claim.card, None)
        if row.change and row.unchanged in known:
            worker.pair(remade.path, row, claim.samples, claim.card, None)


def _check_samples(remade: RunFolder, claim: Claim, tables: Tables) -> Verdict:
    compile_scores(remade, [BatchItem(row, sample) for row in claim.suite.rows for sample in range(claim.samples)])
    read = {scorer.id for scorer in track_scorers()}
    sent = tables[MODEL_SOURCE]
    comparison = compared(sent[base_of(sent).isin(read)], read_scores(remade))
    if comparison.first:
        return failed(
            "tracks", f"{comparison.first} ({comparison.different} rows differ)", different=comparison.different
        )
    text = f"{comparison.rows} rows read again from tracks, {_agreement(comparison.largest)}"
    return passed("tracks", text, rows=comparison.rows, largest_difference=comparison.largest)


def compared(sent: pd.DataFrame, remade: pd.DataFrame, whose: str = "") -> TableDifference:
    """Two tables without what only one of two machines can read: scorers with packages that one of them lacks.

    Such a scorer is unavailable in every row: a machine has a package, or has it not.
    """
    optional = {scorer.id for scorer in own_scorers().values() if scorer.packages}

    def lacking(table: pd.DataFrame) -> set[str]:
        absent = (table["status"] == "unavailable").groupby(base_of(table)).all()
        return {str(scorer) for scorer in absent.index[absent]} & optional

    lacked = lacking(sent) | lacking(remade)
    return compare_tables(sent[~base_of(sent).isin(lacked)], remade[~base_of(remade).isin(lacked)], whose)


def _agreement(largest: float) -> str:
    return "equal to the last bit" if largest == 0 else f"the largest difference is {largest:.1e}"


# Rollouts that come with a submission: are they the committed ones, and do the tracks that were sent show them?


def sent_files(folder: RunFolder, claim: Claim) -> dict[str, Path]:
    """The files of a run that a submission consists of, besides rollouts and what belongs to the round."""
    files = {"manifest.json": folder.manifest, "result.json": folder.result, "scores.parquet": folder.scores}
    for name in REFERENCE_MODELS:
        files[f"references/{name}/scores.parquet"] = folder.reference(name).scores
    for row in claim.suite.rows:
        for sample in range(claim.samples):
            files[f"tracks/{rollout_name(row.id, sample)}.npz"] = folder.tracks(row.id, sample)
    return {name: path for name, path in files.items() if path.is_file()}


def stored_rollout(folder: RunFolder, clip: str, sample: int) -> CommittedRollout | None:
    """Hash and length of a rollout as the run wrote them beside it; None where it was not kept."""
    path = folder.rollout(clip, sample).with_suffix(".json")
    try:
        if path.stat().st_size > 1 << 20:  # bytes
            return None
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document.get("answers") == STATES:
            states = read_states(folder.states(clip, sample))
            return CommittedRollout(hash=str(document["states_hash"]), steps=len(states))
        return CommittedRollout(hash=str(document["frames_hash"]), steps=int(document["shape"][0]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def check_commitment(
    folder: RunFolder,
    claim: Claim,
    tables: Tables,
    commitment: Commitment | None,
    issued: Challenge | None,
    *,
    board: bool,
) -> Verdict:
    """Check that files and rollouts are those that were committed, with those that the board asked for among them.

    issued: the board's own copy of the challenge; None where it has none. board: True on a board.
    """
    if commitment is None:
        return not_possible("commitment", "nothing was committed: the rollouts behind the tracks were never fixed")
    names = {rollout_name(row.id, sample) for row in claim.suite.rows for sample in range(claim.samples)}
    if set(commitment.rollouts) != names:
        one = min(set(commitment.rollouts) ^ names)
        return failed("commitment", f"it names {len(commitment.rollouts)} rollouts, the run has {len(names)}: {one}")
    problem = mismatch(commitment, sent_files(folder, claim))
    if problem:
        return failed("commitment", problem)
    hidden = _hidden(tables, commitment)
    if hidden:
        return failed("commitment", f"{hidden} was committed as failed, and has readings")
    what = f"{counted(len(commitment.files), 'file')} and {counted(len(names), 'rollout')} as committed"
    path = folder.path / CHALLENGE
    if not path.is_file():
        if issued is not None:
            wanted = counted(len(issued.rollouts), "rollout")
            return failed("commitment", f"the board has asked for {wanted}, and none was sent with its challenge")
        return passed("commitment", f"{what}; no rollout was asked for", commitment=commitment.id)
    try:
        sent = read_challenge(path)
    except UsageError as error:
        return failed("commitment", str(error))
    if board and sent != issued:
        return failed("commitment", "the challenge is not one that this board has issued for it")
    if sent.commitment != commitment.id or sent.rollouts != chosen_rollouts(commitment, sent.seed):
        return failed("commitment", "the challenge is for another commitment, or chooses other rollouts")
    known = "" if board else "; whether the board issued the challenge, only the board knows (--board)"
    return passed("commitment", f"{what}{known}", commitment=commitment.id, asked_for=len(sent.rollouts))


def _hidden(tables: Tables, commitment: Commitment) -> str:
    """The first rollout without frames, for which nobody asks, that has a quality above 0; "" where none has."""
    table = tables[MODEL_SOURCE]
    good = table[table["quality"] > 0]
    names = {rollout_name(str(clip), int(sample)) for clip, sample in zip(good["clip"], good["sample"], strict=True)}
    return min((name for name in names if not commitment.rollouts[name].steps), default="")


@dataclass(frozen=True)
class RetrackJob:
    """A rollout of a submission to track again."""

    sent: RunFolder
    row: Row
    sample: int
    card: ModelCard
    promised: CommittedRollout
    archive: Path | None  # of the clips, see `board_clips`


@dataclass(frozen=True)
class Retracked:
    """Outcome of tracking a rollout again."""

    problem: str  # "" where the tracks are those of the rollout
    rows: tuple[Mapping[str, Any], ...]  # readings of the frames: all others follow from the tracks


def retrack(job: RetrackJob) -> Retracked:
    """In a worker: decode a rollout, compare its hash, and track it again."""
    path = answers_of(job.card).file(job.sent, job.row.id, job.sample)
    clip = board_clips(job.archive).get(job.row, job.card.spec)
    context = job.card.scored_context
    try:
        if job.promised.steps > clip.horizon:
            raise UsageError(f"{path.name}: {job.promised.steps} steps, and the clip has {clip.horizon}")
        rollout = _decoded(path, job, clip)
        if frames_hash(rollout.answer) != job.promised.hash:
            return Retracked(f"{path.name} is not the rollout that was committed", ())
        observation = observed(clip, rollout, context)
        sent = read_sent_tracks(job.sent.tracks(job.row.id, job.sample), clip, context)
        problem = track_difference(sent, observation)
        if problem:
            return Retracked(f"{path.name}: {problem} from the tracks that were sent", ())
        return Retracked(
            "", tuple(rows_document(read_observation(Observation(clip, rollout, observation), frame_scorers())))
        )
    except UsageError as error:
        return Retracked(str(error), ())


def frame_scorers() -> tuple[Scorer, ...]:
    """Scorers that read frames, all of them diagnostics."""
    return tuple(each for each in all_scorers() if "frames" in each.needs)


def _decoded(path: Path, job: RetrackJob, clip: Clip) -> Rollout:
    if not path.is_file():
        raise UsageError(f"{path.name} was asked for and is not there")
    height, width = job.card.image_size
    if not job.card.sees_pictures:
        if path.stat().st_size > MOST_TRACKS:
            raise UsageError(f"{path.name} is larger than states are")
        try:
            states = read_states(path)
        except Exception as error:  # whatever is in a file from elsewhere
            raise UsageError(f"{path.name} cannot be read ({type(error).__name__}: {error})") from error
        return Rollout(job.row.id, job.sample, clip.future()[:0], states=states)
    return Rollout(job.row.id, job.sample, read_sent_video(path, (job.promised.steps, height, width)))


def check_rollouts(
    folder: RunFolder, claim: Claim, tables: Tables, commitment: Commitment | None, workers: int
) -> Verdict:
    """Check that the enclosed rollouts are the committed ones, and tracks and readings of the frames theirs."""
    jobs = _jobs(folder, claim, commitment)
    if not jobs:
        return not_possible("rollouts", "no rollout was sent")
    with scheduled(retrack, jobs, workers=workers, preload=SCORING_PRELOAD, label="rollouts again") as retracked:
        again = list(retracked)
    problem = next((each.problem for each in again if each.problem), "")
    if problem:
        return failed("rollouts", problem, wrong=sum(bool(each.problem) for each in again))
    requested = _requested_ids(folder, commitment)
    if commitment is None:
        whole = len(jobs) == len(claim.suite.rows) * claim.samples
        seen = len(jobs) if whole else 0  # of some that were sent the submitter made the choice
    else:
        seen = sum(rollout_name(job.row.id, job.sample) in requested for job in jobs)
    return _check_frame_readings(jobs, again, tables, seen)


def show_rollouts(sent: RunFolder, remade: RunFolder, claim: Claim, commitment: Commitment | None) -> None:
    """Give a run that a board has made the first samples that `check_rollouts` has passed: its report shows them."""
    height, width = claim.card.spec.height, claim.card.spec.width
    for job in _jobs(sent, claim, commitment):
        if job.sample == 0:
            answer, promised = answers_of(job.card).file(sent, job.row.id, 0), job.promised
            link_rollout(remade, answer, job.row.id, 0, (promised.steps, height, width, 3), promised.hash)


def _requested_ids(folder: RunFolder, commitment: Commitment | None) -> list[str]:
    path = folder.path / CHALLENGE
    return read_challenge(path).rollouts if commitment is not None and path.is_file() else []


def _jobs(folder: RunFolder, claim: Claim, commitment: Commitment | None) -> list[RetrackJob]:
    requested = _requested_ids(folder, commitment)
    jobs = []
    for row in claim.suite.rows:
        for sample in range(claim.samples):
            name = rollout_name(row.id, sample)
            there = answers_of(claim.card).file(folder, row.id, sample).is_file()
            promised = commitment.rollouts.get(name) if commitment else stored_rollout(folder, row.id, sample)
            if promised is not None and promised.steps and (there or name in requested):
                jobs.append(RetrackJob(folder, row, sample, claim.card, promised, claim.archive_path))
    return jobs


def _check_frame_readings(
    jobs: Sequence[RetrackJob], retracked: Sequence[Retracked], tables: Tables, seen: int
) -> Verdict:
    """Check readings of frames against the rollouts; seen: number of rollouts that the submitter did not choose."""
    import pandas as pd

    remade = pd.DataFrame([row for each in retracked for row in each.rows], columns=list(SHARD_COLUMNS))
    remade = remade.astype({"value": float, "quality": float})
    framed = {scorer.id for scorer in frame_scorers()}
    sent = tables[MODEL_SOURCE]
    keys = pd.MultiIndex.from_tuples([(job.row.id, job.sample) for job in jobs])
    sent = sent[base_of(sent).isin(framed) & pd.MultiIndex.from_frame(sent[["clip", "sample"]]).isin(keys)]
    outcome = compared(sent, remade)
    if outcome.first:
        return failed("rollouts", outcome.first, different=outcome.different)
    many = counted(len(jobs), "rollout")
    chosen = "" if seen == len(jobs) else f" ({seen} of them not chosen by the submitter)"
    return passed("rollouts", f"{many} decoded and tracked again{chosen}: the tracks are theirs", rollouts=seen)
