"""Rollouts that come with a submission: are they the committed ones, and do the tracks that were sent show them?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.leaderboard import rescoring
from physbench.leaderboard.check_tables import MODEL_SOURCE, Tables, Verdict, base_of, failed, not_possible, passed
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
from physbench.models.protocol import ModelCard
from physbench.result.formats import counted
from physbench.rollout.answers import answers_of
from physbench.rollout.store import STATES, Rollout, frames_hash, link_rollout, read_states
from physbench.run.jobs import SCORING_PRELOAD
from physbench.run.parts import SHARD_COLUMNS, rows_document
from physbench.score.observation import Observation
from physbench.score.protocol import Scorer
from physbench.score.score_clip import observed, read_observation
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.support.schedule import scheduled


def sent_files(folder: RunFolder, claim: Claim) -> dict[str, Path]:
    """The files of a run that a submission consists of, besides rollouts and what belongs to the round."""
    files = {"manifest.json": folder.manifest, "result.json": folder.result, "scores.parquet": folder.scores}
    for name in ("truth", "freeze", "constant-velocity"):
        files[f"references/{name}/scores.parquet"] = folder.reference(name).scores
    for row in claim.suite.rows:
        for sample in range(claim.samples):
            files[f"tracks/{rescoring.rollout_name(row.id, sample)}.npz"] = folder.tracks(row.id, sample)
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
    names = {rescoring.rollout_name(row.id, sample) for row in claim.suite.rows for sample in range(claim.samples)}
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
    names = {
        rescoring.rollout_name(str(clip), int(sample))
        for clip, sample in zip(good["clip"], good["sample"], strict=True)
    }
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
    clip = rescoring.board_clips(job.archive).get(job.row, job.card.spec)
    context = job.card.scored_context
    try:
        if job.promised.steps > clip.horizon:
            raise UsageError(f"{path.name}: {job.promised.steps} steps, and the clip has {clip.horizon}")
        rollout = _decoded(path, job, clip)
        if frames_hash(rollout.answer) != job.promised.hash:
            return Retracked(f"{path.name} is not the rollout that was committed", ())
        observation = observed(clip, rollout, context)
        sent = rescoring.read_sent_tracks(job.sent.tracks(job.row.id, job.sample), clip, context)
        problem = rescoring.track_difference(sent, observation)
        if problem:
            return Retracked(f"{path.name}: {problem} from the tracks that were sent", ())
        return Retracked(
            "", tuple(rows_document(read_observation(Observation(clip, rollout, observation), frame_scorers())))
        )
    except UsageError as error:
        return Retracked(str(error), ())


def frame_scorers() -> tuple[Scorer, ...]:
    """Scorers that read frames, all of them diagnostics."""
    return tuple(each for each in rescoring.all_scorers() if "frames" in each.needs)


def _decoded(path: Path, job: RetrackJob, clip: Clip) -> Rollout:
    if not path.is_file():
        raise UsageError(f"{path.name} was asked for and is not there")
    height, width = job.card.image_size
    if not job.card.sees_pictures:
        if path.stat().st_size > rescoring.MOST_TRACKS:
            raise UsageError(f"{path.name} is larger than states are")
        try:
            states = read_states(path)
        except Exception as error:  # whatever is in a file from elsewhere
            raise UsageError(f"{path.name} cannot be read ({type(error).__name__}: {error})") from error
        return Rollout(job.row.id, job.sample, clip.future()[:0], states=states)
    return Rollout(job.row.id, job.sample, rescoring.read_sent_video(path, (job.promised.steps, height, width)))


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
        seen = sum(rescoring.rollout_name(job.row.id, job.sample) in requested for job in jobs)
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
            name = rescoring.rollout_name(row.id, sample)
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
    outcome = rescoring.compared(sent, remade)
    if outcome.first:
        return failed("rollouts", outcome.first, different=outcome.different)
    many = counted(len(jobs), "rollout")
    chosen = "" if seen == len(jobs) else f" ({seen} of them not chosen by the submitter)"
    return passed("rollouts", f"{many} decoded and tracked again{chosen}: the tracks are theirs", rollouts=seen)
