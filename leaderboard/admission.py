"""How a submission or a run comes onto a board: through all checks."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path

from physbench.errors import PhysbenchError, UsageError
from physbench.leaderboard.board_lock import refuse_unchangeable
from physbench.leaderboard.check_tables import PICTURES_CHECK, Tables, needs_archive
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.commitment import Challenge, challenge_file, issue_challenge
from physbench.leaderboard.eligibility import of_claim, refuse_ineligible, refuse_present
from physbench.leaderboard.entry import Entry, add, candidates, entry_place
from physbench.leaderboard.measurable import refuse_unmeasurable
from physbench.leaderboard.rounds import begin_round, end_round, unmet, unmet_words
from physbench.leaderboard.submission import Submission
from physbench.leaderboard.verdicts import Verification
from physbench.leaderboard.verify import How, verified


class NotAdmittedError(UsageError):
    """A submission that fails a check."""

    def __init__(self, path: Path, verification: Verification) -> None:
        said = "\n".join(f"  {each.check}: {each.outcome}: {each.detail}" for each in verification.problems)
        super().__init__(f"{path} is not added:\n{said}")
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
        how: What is checked.
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

    with verified(path, with_fields(how, ready=ready)) as found:
        answered = found.commitment is not None and challenge_file(board, found.commitment.id).is_file()
        if found.folder is None:
            failed = found.verification.problems[0].check
            if found.commitment is not None and answered and failed != PICTURES_CHECK:  # the archive given may be wrong
                end_round(board, found.commitment.id, failed=failed)
            raise NotAdmittedError(path, found.verification)
        if diagnosis and found.verification.badge != "self-reported":
            _diagnose(found.folder.path, how.workers)
        entry = add(
            found.folder,
            board,
            submission=submission,
            resamples=how.resamples,
            replace=replace,
            verification=found.verification,
            source=path,
        )
        seen = any(each.check == "rollouts" and each.outcome == "passed" for each in found.verification.verdicts)
        if found.commitment is not None and answered and seen:
            end_round(board, found.commitment.id)
        return entry


def _diagnose(folder: Path, workers: int) -> None:
    """Find the laws that the model follows. No figure of the board needs them."""
    from physbench.diagnosis.diagnose_run import diagnose_run
    from physbench.storage.run_folder import RunFolder

    try:
        diagnose_run(RunFolder(folder), workers)
    except (PhysbenchError, OSError):
        raise
    except Exception:  # as in an evaluation, an entry is made without
        return


@dataclass(frozen=True)
class ChallengeAnswer:
    """What a board answers to a commitment."""

    challenge: Challenge
    remark: str  # for who keeps the board: earlier commitments of this model that were not met; "" where there is none


def challenge(path: Path, board: Path, submitter: str = "") -> ChallengeAnswer:
    """Answer a commitment, once its cheap checks have passed. The board keeps the answer, and whom it gave it.

    Raises NotAdmittedError where they fail, and UsageError where nothing was committed or the board does not rank it.
    """
    with verified(path, How(rescore=False)) as found:
        if found.verification.problems:
            raise NotAdmittedError(path, found.verification)
        if found.commitment is None:
            raise UsageError(
                f"{path}: holds no commitment. Make one: physbench leaderboard submit RUN --commit --out FILE"
            )
        assert found.claim is not None, "nothing failed"
        refuse_ineligible(path, of_claim(found.claim), board, candidates(board))
        made = issue_challenge(found.commitment, board)
        begin_round(board, made, found.claim, submitter)
        return ChallengeAnswer(made, unmet_words(unmet(board, made.commitment, found.claim)))
