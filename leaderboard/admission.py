"""How a submission or a run comes onto a board: through all checks."""

from __future__ import annotations

from pathlib import Path

from physbench.errors import PhysbenchError, UsageError
from physbench.leaderboard.commitment import Challenge, issue_challenge
from physbench.leaderboard.entry import Entry, add
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
    with verified(path, how) as found:
        if found.folder is None:
            raise NotAdmittedError(path, found.verification)
        if diagnosis and found.verification.badge != "self-reported":
            _diagnose(found.folder.path, how.workers)
        return add(
            found.folder,
            board,
            submission=submission,
            resamples=how.resamples,
            replace=replace,
            verification=found.verification,
            source=path,
        )


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


def challenge(path: Path, board: Path) -> Challenge:
    """Answer a commitment, once its cheap checks have passed. The board keeps the answer.

    Raises NotAdmittedError where they fail, and UsageError where nothing was committed.
    """
    with verified(path, How(rescore=False)) as found:
        if found.verification.problems:
            raise NotAdmittedError(path, found.verification)
        if found.commitment is None:
            raise UsageError(
                f"{path}: holds no commitment. Make one: physbench leaderboard submit RUN --commit --out FILE"
            )
        return issue_challenge(found.commitment, board)
