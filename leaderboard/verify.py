"""All checks of a submission in the order of their cost, and how a run comes onto a board.

A check that fails ends the cheap part at its end: what takes minutes is not begun for a submission that is refused
anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path
from tempfile import TemporaryDirectory

from physbench.clips.packed import PackedClips
from physbench.leaderboard import rescoring
from physbench.leaderboard.check_tables import (
    PICTURES_CHECK,
    Tables,
    Verdict,
    Verification,
    check_aggregates,
    check_clips,
    check_pictures,
    check_qualities,
    check_ranges,
    check_rows,
    failed,
    needs_archive,
    not_possible,
    passed,
    read_tables,
    write_checked,
)
from physbench.leaderboard.claim import Claim, read_claim
from physbench.leaderboard.commitment import (
    Challenge,
    Commitment,
    begin_round,
    challenge_file,
    end_round,
    issue_challenge,
    read_challenge,
    read_commitment,
    refuse_unchangeable,
    unmet,
    unmet_words,
)
from physbench.leaderboard.eligibility import (
    of_claim,
    refuse_ineligible,
    refuse_present,
    refuse_unmeasurable,
    refuse_unrankable,
)
from physbench.leaderboard.entries import Entry, add, candidates, entry_place
from physbench.leaderboard.fresh_rollouts import ModelToRun, check_model, check_ready
from physbench.leaderboard.submission import Submission, opened_submission
from physbench.result.bootstrap import RESAMPLES
from physbench.result.manifest import read_manifest
from physbench.result.read import refuse_unfinished
from physbench.run.versions import versions
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN

MODEL_CHECK = "model"
EARLIER = "an earlier check failed"
Ready = Callable[[Claim, Tables], None]


@dataclass(frozen=True)
class How:
    """Options of a verification: what to check, and with what."""

    workers: int = 1
    rescore: bool = True  # make references again, and read tracks and rollouts again
    cached_references: bool = False  # take references from the cache of this machine
    model: ModelToRun | None = None  # the model itself, to be run again
    archive: PackedClips | None = None  # of the clips, for runs of another look than the plain one
    board: Path | None = None  # whose challenges count
    resamples: int = RESAMPLES
    ready: Ready | None = None  # asked once clips and tables can be read; raises what makes all further checks needless


@dataclass(frozen=True)
class Checked:
    """Outcome of a verification, and the run of which an entry may be made."""

    verification: Verification
    claim: Claim | None
    folder: RunFolder | None  # a run of nothing but what was checked; None where something failed
    commitment: Commitment | None = None


@contextmanager
def verified(path: Path, how: How) -> Iterator[Checked]:
    """Check a submission or the folder of a run; `folder` of what is yielded lasts as long as the block.

    Raises UsageError where there is nothing to check.
    """
    with opened_submission(path) as sent, TemporaryDirectory(prefix="physbench-") as place:
        if not sent.manifest.is_file():
            raise UsageError(f"{path}: is neither a submission nor a run: it holds no manifest.json.")
        if path.is_dir():
            _refuse_unfinished(sent)
        yield _check(sent, Path(place), how)


def _refuse_unfinished(run: RunFolder) -> None:
    """Raise UsageError for the folder of a run that is still to be finished. A damaged manifest is for the checks."""
    try:
        manifest = read_manifest(run)
    except UsageError:
        return
    refuse_unfinished(run, manifest)


def _check(sent: RunFolder, place: Path, how: How) -> Checked:
    verdicts: list[Verdict] = []
    try:
        claim = read_claim(sent)
        commitment = read_commitment(sent)
    except UsageError as error:
        return Checked(Verification((failed("documents", str(error)),)), None, None)
    verdicts.append(check_clips(claim))
    if claim.card.look != PLAIN and not _problems(verdicts):
        claim = with_fields(claim, archive=how.archive)
        verdicts.append(check_pictures(claim, opened=how.rescore))
    if _problems(verdicts):
        return Checked(Verification(tuple(verdicts)), claim, None, commitment)
    try:
        tables = read_tables(sent, claim)
    except UsageError as error:
        verdicts.append(failed("documents", str(error).replace(f"{sent.path}/", "")))
        return Checked(Verification(tuple(verdicts)), claim, None, commitment)
    verdicts.insert(0, passed("documents", "manifest, card and score tables can be read"))
    verdicts += [check_ranges(tables), check_rows(tables, claim)]
    if how.ready is not None and not _problems(verdicts):
        how.ready(claim, tables)
    if not _problems(verdicts):
        verdicts.append(check_qualities(tables))
        verdicts.append(_of_commitment(sent, claim, tables, commitment, how))
    checked = RunFolder(place / "checked")
    if not _problems(verdicts):
        write_checked(checked, claim, tables)
        verdicts.append(check_aggregates(sent, checked, how.resamples))
        verdicts.append(_of_ranking(sent, claim, tables, how.board))
    folder = checked
    if how.model is not None and not _problems(verdicts):
        verdicts += _model_problem(how.model, claim)
    expensive = ("references", "tracks", "rollouts")
    if _problems(verdicts):
        verdicts += [not_possible(name, EARLIER) for name in expensive]
    elif not how.rescore:
        verdicts += [not_possible(name, "was not asked for") for name in expensive]
    else:
        again, remade = _expensive(sent, RunFolder(place / "made"), claim, tables, commitment, how)
        verdicts += again
        folder = remade or checked
    if how.model is not None and not any(each.check == MODEL_CHECK for each in verdicts):
        verdicts += _of_model(how.model, claim, tables, commitment, how, bool(_problems(verdicts)))
    whole = Verification(tuple(verdicts))
    return Checked(whole, claim, None if whole.problems else folder, commitment)


def _problems(verdicts: list[Verdict]) -> bool:
    return bool(Verification(tuple(verdicts)).problems)


def _of_ranking(sent: RunFolder, claim: Claim, tables: Tables, board: Path | None) -> Verdict:
    """Check that a board takes such a run: this one beside its entries, or any where none is given."""
    candidate = of_claim(claim)
    try:
        if board is None:
            refuse_unrankable(sent.path, candidate)
        else:
            refuse_ineligible(sent.path, candidate, board, candidates(board))
        refuse_unmeasurable(sent.path, claim.card.spec, claim.card.scored_context, tables["truth"])
    except UsageError as error:
        return failed("ranking", f"not rankable: {str(error).removeprefix(f'{sent.path}: ')}")
    return passed("ranking", f"boards rank {candidate.suite_words} at {candidate.spec}")


def _of_commitment(sent: RunFolder, claim: Claim, tables: Tables, commitment: Commitment | None, how: How) -> Verdict:
    """Check against the commitment, with others of this model that the board has answered in vain."""
    issued = _issued(commitment, how)
    verdict = rescoring.check_commitment(sent, claim, tables, commitment, issued, board=how.board is not None)
    others = unmet(how.board, commitment.id, claim) if commitment and how.board else ()
    if not others:
        return verdict
    figures = {**verdict.figures, "unmet": [each.commitment for each in others]}
    return with_fields(verdict, detail=f"{verdict.detail}; {unmet_words(others)}", figures=figures)


def _issued(commitment: Commitment | None, how: How) -> Challenge | None:
    """The challenge that the board has issued for a commitment; None where there is no board, or it issued none."""
    if commitment is None or how.board is None:
        return None
    path = challenge_file(how.board, commitment.id)
    return read_challenge(path) if path.is_file() else None


def _expensive(
    sent: RunFolder, remade: RunFolder, claim: Claim, tables: Tables, commitment: Commitment | None, how: How
) -> tuple[list[Verdict], RunFolder | None]:
    """References, tracks and rollouts again; and a run of what was made, where all of it could be."""
    known = dict(commitment.rollouts) if commitment else {}
    if not commitment:
        for row in claim.suite.rows:
            for sample in range(claim.samples):
                stored = rescoring.stored_rollout(sent, row.id, sample)
                if stored is not None:
                    known[rescoring.rollout_name(row.id, sample)] = stored
    with_tracks = any((sent.path / "tracks").glob("*.npz"))
    references, tracks = rescoring.make_again(
        sent,
        remade,
        claim,
        tables,
        with_tracks=with_tracks,
        cached=how.cached_references,
        workers=how.workers,
        frames={name: rollout.steps for name, rollout in known.items()},
    )
    references, tracks = (_with_versions(each, claim) for each in (references, tracks))
    if tracks.outcome != "passed":
        return [references, tracks, not_possible("rollouts", "the tracks were not read again")], None
    rollouts = rescoring.check_rollouts(sent, claim, tables, commitment, how.workers)
    if rollouts.outcome == "passed":
        rescoring.show_rollouts(sent, remade, claim, commitment)
    return [references, tracks, rollouts], remade


def _with_versions(verdict: Verdict, claim: Claim) -> Verdict:
    """A check that failed, with the first version of a library or of the code that is not the submitter's."""
    here, theirs = versions(purpose="runs"), claim.manifest.versions
    other = [name for name in here if name in theirs and theirs[name] != here[name]]
    if verdict.outcome != "failed" or not other:
        return verdict
    what = "the code of physbench" if other[0] == "code" else other[0]
    hint = f"; the run was made with {what} {theirs[other[0]]}, this is {here[other[0]]}"
    return with_fields(verdict, detail=verdict.detail + hint)


def _model_problem(model: ModelToRun, claim: Claim) -> list[Verdict]:
    """Failed verdict where the model cannot be run, or is not the one sent: loads it, before what takes minutes."""
    try:
        check_ready(model, claim)
    except PhysbenchError as error:
        return [failed(MODEL_CHECK, str(error))]
    return []


def _of_model(
    model: ModelToRun, claim: Claim, tables: Tables, commitment: Commitment | None, how: How, wrong: bool
) -> list[Verdict]:
    if wrong:
        return [not_possible(MODEL_CHECK, EARLIER)]
    try:
        return check_model(model, claim, tables, commitment, how.workers)
    except PhysbenchError as error:
        return [failed(MODEL_CHECK, str(error))]


# How a submission or a run comes onto a board: through all checks.


class NotAdmittedError(UsageError):
    """A submission that fails a check."""

    def __init__(self, path: Path, verification: Verification) -> None:
        problems = "\n".join(f"  {each.check}: {each.outcome}: {each.detail}" for each in verification.problems)
        super().__init__(f"{path} is not added:\n{problems}")
        self.verification = verification


def admit(
    path: Path,
    board: Path,
    how: How,
    *,
    submission: Submission | None = None,
    replace: bool = False,
    diagnosis: bool = True,
) -> Entry:
    """Check a submission, or the folder of a run, and add it to a board, made of nothing but what was checked.

    Args:
        path: The submission or the run, which is not changed.
        board: Folder of the board.
        submission: What its submitter says of it.
        replace: Whether it may take the place of an entry of the same model.
        diagnosis: Whether the laws that the model follows instead are sought, where its tracks were read again.

    Raises:
        NotAdmittedError: A check failed, or the model is refused.
        UsageError: The board does not rank it.
    """

    def ready(claim: Claim, tables: Tables) -> None:
        candidate = of_claim(claim)
        refuse_ineligible(path, candidate, board, candidates(board))
        if claim.archive_hash and claim.archive is None:  # the report shows its clips
            raise UsageError(needs_archive(claim))
        if not replace:
            refuse_present(entry_place(board, candidate.name), board)
        refuse_unchangeable(board)
        refuse_unmeasurable(path, claim.card.spec, claim.card.scored_context, tables["truth"])

    with verified(path, with_fields(how, ready=ready)) as checked:
        answered = checked.commitment is not None and challenge_file(board, checked.commitment.id).is_file()
        if checked.folder is None:
            failed = checked.verification.problems[0].check
            if (
                checked.commitment is not None and answered and failed != PICTURES_CHECK
            ):  # the archive given may be wrong
                end_round(board, checked.commitment.id, failed=failed)
            raise NotAdmittedError(path, checked.verification)
        if diagnosis and checked.verification.badge != "self-reported":
            _diagnose(checked.folder.path, how.workers)
        entry = add(
            checked.folder,
            board,
            submission=submission,
            resamples=how.resamples,
            replace=replace,
            verification=checked.verification,
            source=path,
        )
        seen = any(each.check == "rollouts" and each.outcome == "passed" for each in checked.verification.verdicts)
        if checked.commitment is not None and answered and seen:
            end_round(board, checked.commitment.id)
        return entry


def _diagnose(folder: Path, workers: int) -> None:
    """Find the laws that the model follows. No figure of the board needs them."""
    from physbench.result.diagnosis.diagnose_run import diagnose_run

    try:
        diagnose_run(RunFolder(folder), workers)
    except (PhysbenchError, OSError):
        raise
    except Exception:  # as in an evaluation, an entry is made without
        return


@dataclass(frozen=True)
class ChallengeAnswer:
    """Answer of a board to a commitment."""

    challenge: Challenge
    remark: str  # for who keeps the board: earlier commitments of this model that were not met; "" where there is none


def challenge(path: Path, board: Path, submitter: str = "") -> ChallengeAnswer:
    """Answer a commitment, once its cheap checks have passed. The board keeps the answer, and whom it gave it.

    Raises NotAdmittedError where they fail, and UsageError where nothing was committed or the board does not rank it.
    """
    with verified(path, How(rescore=False)) as checked:
        if checked.verification.problems:
            raise NotAdmittedError(path, checked.verification)
        if checked.commitment is None:
            raise UsageError(
                f"{path}: holds no commitment. Make one: physbench leaderboard submit RUN --commit --out FILE"
            )
        assert checked.claim is not None, "nothing failed"
        refuse_ineligible(path, of_claim(checked.claim), board, candidates(board))
        issued = issue_challenge(checked.commitment, board)
        begin_round(board, issued, checked.claim, submitter)
        return ChallengeAnswer(issued, unmet_words(unmet(board, issued.commitment, checked.claim)))
