"""Submission of a run: first a commitment, then the rollouts that the board asks for."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from physbench.leaderboard.check_rollouts import sent_files, stored_rollout
from physbench.leaderboard.check_tables import check_clips
from physbench.leaderboard.claim import Claim, read_claim
from physbench.leaderboard.commitment import (
    CHALLENGE,
    COMMITMENT,
    Challenge,
    Commitment,
    CommittedRollout,
    chosen_rollouts,
    file_sha256,
    read_challenge,
)
from physbench.leaderboard.eligibility import of_claim, refuse_other_suite, refuse_unmeasurable, refuse_unrankable
from physbench.leaderboard.rescoring import rollout_name
from physbench.leaderboard.submission import write_archive
from physbench.result.read import read_run
from physbench.rollout.answers import answers_of
from physbench.rollout.store import load_rollout
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

KEEP_ALL = "Run it with eval --for-board, which keeps all of them."


def commit(run: RunFolder, out: Path) -> Commitment:
    """Write the submission of a finished run: what it found, and the hashes of all rollouts. The run is not changed.

    Raises UsageError where the run is not finished, is none that boards rank, or has not kept its rollouts as they were
    made.
    """
    claim = _claim(run)
    with TemporaryDirectory() as place:
        files, commitment = _committed(run, claim, Path(place))
        write_archive(out, files)
    return commitment


def reveal(run: RunFolder, challenge: Path, out: Path) -> Challenge:
    """Write the submission again, with the rollouts that a board has asked for.

    Raises UsageError where the challenge is for another run, or the run has changed since its commitment.
    """
    claim, answer = _claim(run), read_challenge(challenge)
    with TemporaryDirectory() as place:
        files, commitment = _committed(run, claim, Path(place))
        if answer.commitment != commitment.id or answer.rollouts != chosen_rollouts(commitment, answer.seed):
            raise UsageError(
                f"{challenge}: is the answer to another commitment than that of {run.path}. Was the run scored again "
                "since? Then commit again, and ask for another challenge."
            )
        files[CHALLENGE] = Path(place) / CHALLENGE
        write_json(files[CHALLENGE], answer.model_dump(mode="json"))
        for row in claim.suite.rows:
            for sample in range(claim.samples):
                if rollout_name(row.id, sample) in answer.rollouts:
                    path = answers_of(claim.card).file(run, row.id, sample)
                    files[f"rollouts/{path.name}"] = path
        write_archive(out, files)
    return answer


def _claim(run: RunFolder) -> Claim:
    """Claim of the run. Raises UsageError where it is not finished, or no board of this version takes it."""
    manifest, tables = read_run(run)
    refuse_other_suite(run.path, manifest.suite.name)
    try:
        claim = read_claim(run)
        clips = check_clips(claim)
    except UsageError as error:
        raise UsageError(f"{run.path}: {error}.") from error
    if clips.outcome == "failed":
        raise UsageError(f"{run.path}: {clips.detail}.")
    refuse_unrankable(run.path, of_claim(claim))
    refuse_unmeasurable(run.path, claim.card.spec, claim.card.scored_context, tables["truth"])
    return claim


def _committed(run: RunFolder, claim: Claim, place: Path) -> tuple[dict[str, Path], Commitment]:
    """The files of a submission by name, and the commitment, which is one of them."""
    rollouts = {
        rollout_name(row.id, sample): _whole(run, claim, row.id, sample)
        for row in claim.suite.rows
        for sample in range(claim.samples)
    }
    files = sent_files(run, claim)
    files["manifest.json"] = place / "manifest.json"  # without paths, notes and tags of the submitter
    write_json(files["manifest.json"], claim.checked_manifest().document())
    commitment = Commitment(files={name: file_sha256(path) for name, path in sorted(files.items())}, rollouts=rollouts)
    files[COMMITMENT] = place / COMMITMENT
    files[COMMITMENT].write_text(json.dumps(commitment.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    return files, commitment


def _whole(run: RunFolder, claim: Claim, clip: str, sample: int) -> CommittedRollout:
    """A rollout that is there as it was made. Raises UsageError where it is not."""
    stored, name = stored_rollout(run, clip, sample), rollout_name(clip, sample)
    if stored is None:
        raise UsageError(
            f"{run.path}: the rollout {name} was not kept, and a board may ask for any of them. {KEEP_ALL}"
        )
    if load_rollout(run, clip, sample) is None:
        raise UsageError(f"{run.path}: the rollout {name} is damaged. {KEEP_ALL}")
    return stored
