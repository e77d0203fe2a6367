"""Commit, challenge, reveal: rollouts are fixed before anybody knows which are looked at.

A submitter sends the hashes of all rollouts with the tracks and scores that were made of them. The board answers with a
seed that it draws only then. The seed and the commitment choose a tenth of the rollouts, which are sent as lossless
video, so that the board can see that the tracks are theirs. Whoever forged a share f of the tracks is found with a
probability of 1 - (1 - f)^n, where n rollouts are chosen: 45 of 448 find a forged tenth in 99 of 100 submissions.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from physbench.leaderboard.claim import Claim
from physbench.result.formats import counted
from physbench.support.errors import UsageError
from physbench.support.files import file_sha256, locked_file, user_text, write_json
from physbench.support.run_folder import RunFolder

# One process at a time changes a board.


def refuse_unchangeable(board: Path) -> None:
    """Raise UsageError where nothing can be added to a board. It takes no time, and what is added takes minutes."""
    try:
        with changing(board):
            entries = board / "entries"
            with tempfile.TemporaryFile(dir=entries if entries.exists() else board):
                pass
    except OSError as error:
        raise UsageError(f"--board: {board} cannot be changed: {error.strerror}. Name another folder.") from error


@contextmanager
def changing(board: Path, wait: float = 30.0) -> Iterator[None]:  # s; what is done under the lock takes milliseconds
    """Hold the lock of a board while the block lasts. Raises UsageError where another process keeps it."""
    board.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait
    while True:
        try:
            handle = locked_file(board / ".lock")
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise UsageError(f"Another process is changing {board}. Try again when it is done.") from error
            time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)


COMMITMENT, CHALLENGE = "commitment.json", "challenge.json"
Kind = TypeVar("Kind", bound=BaseModel)
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{32,64}$")]


class CheckedDocument(BaseModel):
    """A document from elsewhere, with exactly its fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CommittedRollout(CheckedDocument):
    """One rollout as it was made."""

    hash: Hash
    steps: Annotated[int, Ge(0), Le(10**6)]  # predicted frames, or states; 0 where it failed


class Commitment(CheckedDocument):
    """Hashes fixed by a submitter."""

    schema_version: Literal[1] = 1
    files: dict[str, Hash]  # sha256 of each file that is sent with it
    rollouts: dict[str, CommittedRollout]  # by name, "falling.projectile-v1.test.3.0"

    @property
    def id(self) -> str:
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Challenge(CheckedDocument):
    """Board's answer to a commitment."""

    schema_version: Literal[1] = 1
    commitment: Hash
    seed: Hash
    issued: str
    rollouts: list[str]  # that it wants to see


def chosen_rollouts(commitment: Commitment, seed: str) -> list[str]:
    """The tenth of the rollouts that a seed chooses among those that did not fail, sorted."""
    own = commitment.id

    def order(name: str) -> str:
        return hashlib.sha256(f"{seed}|{own}|{name}".encode()).hexdigest()

    there = [name for name, rollout in commitment.rollouts.items() if rollout.steps]
    return sorted(sorted(there, key=order)[: -(-len(there) // 10)])  # one rollout of so many is asked for


def challenge_file(board: Path, commitment: str) -> Path:
    """File with a board's challenge for a commitment."""
    return board / "challenges" / f"{commitment}.json"


def issue_challenge(commitment: Commitment, board: Path) -> Challenge:
    """Draw a seed for a commitment and keep it; for one that was answered before, the same answer again."""
    path = challenge_file(board, commitment.id)
    with changing(board):  # of two answers at once the second would replace the first, which was sent
        if path.is_file():
            return read_challenge(path)
        seed = secrets.token_hex(32)
        issued = datetime.now(UTC).isoformat(timespec="seconds")
        challenge = Challenge(
            commitment=commitment.id, seed=seed, issued=issued, rollouts=chosen_rollouts(commitment, seed)
        )
        write_json(path, challenge.model_dump(mode="json"))
    return challenge


def read_commitment(folder: RunFolder) -> Commitment | None:
    """The commitment of a submission; None where nothing was committed."""
    path = folder.path / COMMITMENT
    return read_document(path, Commitment) if path.is_file() else None


def read_challenge(path: Path) -> Challenge:
    """A challenge. Raises UsageError where it is none."""
    return read_document(path, Challenge)


def read_document(path: Path, kind: type[Kind]) -> Kind:
    """A document of this kind. Raises UsageError where it is none."""
    most_document = 64 << 20  # bytes
    try:
        if path.stat().st_size > most_document:
            raise UsageError(f"{path.name} is larger than {most_document >> 20} MB")
        return kind.model_validate_json(user_text(path.read_bytes()))  # it was sent, and opened on its way
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path.name} cannot be read ({error})") from error


def mismatch(commitment: Commitment, files: Mapping[str, Path]) -> str:
    """The first file that is not as it was committed; "" where all are."""
    for name in sorted(set(files) | set(commitment.files)):
        if name not in files:
            return f"{name} was committed and is not there"
        if name not in commitment.files:
            return f"{name} was not committed"
        if file_sha256(files[name]) != commitment.files[name]:
            return f"{name} is not the one that was committed"
    return ""


# Which commitments a board has answered, of which model and submitter, and what became of them.
#
# Whoever dislikes the rollouts that a board asks for can change one byte, commit again, and is asked for others. A
# board cannot forbid that, since a run may be repeated for good reasons. It remembers the earlier commitments, and the
# verdict on a later one names those that were never met.

ROUND_END = ".round.json"  # end of the name of a file; the beginning is that of the challenge


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
    """File with the outcome of a commitment."""
    path = challenge_file(board, commitment)
    return path.with_name(f"{path.stem}{ROUND_END}")


def begin_round(board: Path, challenge: Challenge, claim: Claim, submitter: str) -> Round:
    """Remember that a commitment was answered; one that was answered before stays as it is."""
    path, model = round_file(board, challenge.commitment), claim.manifest.model
    with changing(board):
        if path.is_file():
            return read_document(path, Round)
        started = Round(
            commitment=challenge.commitment,
            model=claim.card.name,
            sha256=model.sha256,
            submitter=submitter,
            issued=challenge.issued,
        )
        write_json(path, started.model_dump(mode="json"))
    return started


def end_round(board: Path, commitment: str, failed: str = "") -> None:
    """Write down that a commitment was met, or which check failed; nothing where the board has not answered it."""
    path = round_file(board, commitment)
    with changing(board):
        if path.is_file():
            current = read_document(path, Round)
            if current.outcome != "met":
                ended = current.model_copy(update={"outcome": "failed" if failed else "met", "detail": failed})
                write_json(path, ended.model_dump(mode="json"))


def unmet(board: Path, commitment: str, claim: Claim) -> tuple[Round, ...]:
    """Other commitments of this model by this submitter that were not met, oldest first.

    Where a submitter was not said, it may have been the same one.
    """
    own = round_file(board, commitment)
    submitter = read_document(own, Round).submitter if own.is_file() else ""
    rounds = []
    for path in own.parent.glob(f"*{ROUND_END}"):
        other = read_document(path, Round)
        same_model = other.model.lower() == claim.card.name.lower() or (
            other.sha256 is not None and other.sha256 == claim.manifest.model.sha256
        )
        same_submitter = not submitter or not other.submitter or other.submitter.lower() == submitter.lower()
        if path != own and same_model and same_submitter and other.outcome != "met":
            rounds.append(other)
    return tuple(sorted(rounds, key=lambda each: (each.issued, each.commitment)))


def unmet_words(rounds: tuple[Round, ...]) -> str:
    """The same for a verdict; "" where there is none."""
    if not rounds:
        return ""
    most_unmet = 3  # commitments in a verdict
    named = ", ".join(each.words for each in rounds[:most_unmet]) + (", ..." if len(rounds) > most_unmet else "")
    many = counted(len(rounds), "other commitment")
    return f"this model has {many} on this board that {'was' if len(rounds) == 1 else 'were'} not met: {named}"
