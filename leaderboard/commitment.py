"""Commit, challenge, reveal: rollouts are fixed before anybody knows which of them will be looked at.

A submitter sends the hashes of all rollouts with the tracks and scores that were made of them. The board answers with a
seed that it draws only then. The seed and the commitment choose a tenth of the rollouts, which are sent as lossless
video, so that the board can see that the tracks are theirs. Whoever forged a share f of the tracks is found with a
probability of 1 - (1 - f)^n, where n rollouts are chosen: 45 of 448 find a forged tenth in 99 of 100 submissions.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from physbench.errors import UsageError
from physbench.leaderboard.board_lock import changing
from physbench.storage.atomic_write import write_json
from physbench.storage.file_hash import add_file
from physbench.storage.run_folder import RunFolder
from physbench.storage.user_paths import user_text

SHOWN_SHARE = 10  # one rollout of so many is asked for
MOST_DOCUMENT = 64 << 20  # bytes
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
    """What a submitter has fixed."""

    schema_version: Literal[1] = 1
    files: dict[str, Hash]  # sha256 of each file that is sent with it
    rollouts: dict[str, CommittedRollout]  # by name, "falling.projectile-v1.test.3.0"

    @property
    def id(self) -> str:
        """Its hash."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Challenge(CheckedDocument):
    """What a board answers."""

    schema_version: Literal[1] = 1
    commitment: Hash
    seed: Hash
    issued: str
    rollouts: list[str]  # that it wants to see


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    add_file(digest, path)
    return digest.hexdigest()


def chosen_rollouts(commitment: Commitment, seed: str) -> list[str]:
    """The tenth of the rollouts that a seed chooses among those that did not fail, sorted."""
    own = commitment.id

    def order(name: str) -> str:
        return hashlib.sha256(f"{seed}|{own}|{name}".encode()).hexdigest()

    there = [name for name, rollout in commitment.rollouts.items() if rollout.steps]
    return sorted(sorted(there, key=order)[: -(-len(there) // SHOWN_SHARE)])


def challenge_file(board: Path, commitment: str) -> Path:
    """Where a board keeps its challenge for a commitment."""
    return board / "challenges" / f"{commitment}.json"


def issue_challenge(commitment: Commitment, board: Path) -> Challenge:
    """Draw a seed for a commitment and keep it; for one that was answered before, the same answer again."""
    path = challenge_file(board, commitment.id)
    with changing(board):  # of two answers at once the second would replace the first, which was sent
        if path.is_file():
            return read_challenge(path)
        seed = secrets.token_hex(32)
        issued = datetime.now(UTC).isoformat(timespec="seconds")
        made = Challenge(commitment=commitment.id, seed=seed, issued=issued, rollouts=chosen_rollouts(commitment, seed))
        write_json(path, made.model_dump(mode="json"))
    return made


def read_commitment(folder: RunFolder) -> Commitment | None:
    """The commitment of a submission; None where nothing was committed."""
    path = folder.path / COMMITMENT
    return read_document(path, Commitment) if path.is_file() else None


def read_challenge(path: Path) -> Challenge:
    """A challenge. Raises UsageError where it is none."""
    return read_document(path, Challenge)


def read_document(path: Path, kind: type[Kind]) -> Kind:
    """A document of this kind. Raises UsageError where it is none."""
    try:
        if path.stat().st_size > MOST_DOCUMENT:
            raise UsageError(f"{path.name} is larger than {MOST_DOCUMENT >> 20} MB")
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
