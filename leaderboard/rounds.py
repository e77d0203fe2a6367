"""Which commitments a board has answered, of which model and submitter, and what became of them.

Whoever dislikes the rollouts that a board asks for can change one byte, commit again, and is asked for others. A board
cannot forbid that, since a run may be repeated for good reasons. It remembers the earlier commitments, and the verdict
on a later one names those that were never met.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from physbench.leaderboard.board_lock import changing
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.commitment import Challenge, CheckedDocument, Hash, challenge_file, read_document
from physbench.results.number_format import counted
from physbench.storage.atomic_write import write_json

ROUND_END = ".round.json"  # end of the name of a file; the beginning is that of the challenge
MOST_UNMET = 3  # commitments in a verdict


class Round(CheckedDocument):
    """A commitment that a board has answered."""

    schema_version: Literal[1] = 1
    commitment: Hash
    model: str
    sha256: str | None
    submitter: str  # "": not said
    issued: str
    outcome: Literal["open", "met", "failed"] = "open"
    detail: str = ""  # the check that failed

    @property
    def words(self) -> str:
        """ "1a2b3c4d of 2026-11-22 (open)"."""
        end = f"failed: {self.detail}" if self.outcome == "failed" else self.outcome
        return f"{self.commitment[:8]} of {self.issued[:10]} ({end})"


def round_file(board: Path, commitment: str) -> Path:
    """Where a board keeps what became of a commitment."""
    path = challenge_file(board, commitment)
    return path.with_name(f"{path.stem}{ROUND_END}")


def begin_round(board: Path, challenge: Challenge, claim: Claim, submitter: str) -> Round:
    """Remember that a commitment was answered; one that was answered before stays as it is."""
    path, model = round_file(board, challenge.commitment), claim.manifest.model
    with changing(board):
        if path.is_file():
            return read_document(path, Round)
        made = Round(
            commitment=challenge.commitment,
            model=claim.card.name,
            sha256=model.sha256,
            submitter=submitter,
            issued=challenge.issued,
        )
        write_json(path, made.model_dump(mode="json"))
    return made


def end_round(board: Path, commitment: str, failed: str = "") -> None:
    """Write down that a commitment was met, or which check failed; nothing where the board has not answered it."""
    path = round_file(board, commitment)
    with changing(board):
        if path.is_file():
            found = read_document(path, Round)
            if found.outcome != "met":
                ended = found.model_copy(update={"outcome": "failed" if failed else "met", "detail": failed})
                write_json(path, ended.model_dump(mode="json"))


def unmet(board: Path, commitment: str, claim: Claim) -> tuple[Round, ...]:
    """Other commitments of this model by this submitter that were not met, oldest first.

    Where a submitter was not said, it may have been the same one.
    """
    own = round_file(board, commitment)
    submitter = read_document(own, Round).submitter if own.is_file() else ""
    found = []
    for path in own.parent.glob(f"*{ROUND_END}"):
        other = read_document(path, Round)
        same_model = other.model.lower() == claim.card.name.lower() or (
            other.sha256 is not None and other.sha256 == claim.manifest.model.sha256
        )
        same_submitter = not submitter or not other.submitter or other.submitter.lower() == submitter.lower()
        if path != own and same_model and same_submitter and other.outcome != "met":
            found.append(other)
    return tuple(sorted(found, key=lambda each: (each.issued, each.commitment)))


def unmet_words(found: tuple[Round, ...]) -> str:
    """The same for a verdict; "" where there is none."""
    if not found:
        return ""
    named = ", ".join(each.words for each in found[:MOST_UNMET]) + (", ..." if len(found) > MOST_UNMET else "")
    many = counted(len(found), "other commitment")
    return f"this model has {many} on this board that {'was' if len(found) == 1 else 'were'} not met: {named}"
