"""The key of an export: which clip each opaque id stands for. It lies beside the folder that goes to the model.

Task and seed make a clip, its future included. What a model is given therefore names none of them: the names of its
files, and the order of the manifest, come from a secret salt.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from physbench.clips.clip import Row, Split
from physbench.clips.conditioning import MAX_DOCUMENT_BYTES, Answer, Asked, first_problem
from physbench.errors import UsageError

KEY_SUFFIX = ".key.json"
KEY_VERSION = 1
KEY_SALT_BYTES = 16
ID_BYTES = 6


class ClipKey(BaseModel):
    """What an id stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(description="Id of the task.")
    split: Split = Field(description="test or ood.")
    seed: int = Field(description="Seed of the clip.")
    change: str = Field(
        default="", description='How the scene differs from the task, such as unpushed; "" if it does not.'
    )
    state_hash: str = Field(description="Hash of the simulated states: another version of the task has another.")


class ExportKey(BaseModel):
    """`NAME.key.json` beside the export NAME."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["physbench-key"] = "physbench-key"
    schema_version: int = Field(default=KEY_VERSION, description="Of this document.")
    salt: str = Field(description="Secret from which the ids were made; the same command makes the same ids with it.")
    clips: dict[str, ClipKey] = Field(default_factory=dict, description="By id.")

    def id(self, row: Row) -> str:
        """The opaque id of a clip."""
        digest = hashlib.blake2b(f"{self.salt}|{row.id}".encode(), digest_size=ID_BYTES)
        return f"clip-{digest.hexdigest()}"


def key_path(folder: Path) -> Path:
    """Where the key of an export lies: "cond.key.json" beside "cond"."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}{KEY_SUFFIX}")


def read_key(path: Path) -> ExportKey:
    """Read a key. Raises UsageError where it cannot be read or is none."""
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise UsageError(f"{path} is larger than {MAX_DOCUMENT_BYTES >> 20} MB: it is no key of an export.")
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and int(document.get("schema_version", 0)) > KEY_VERSION:
            raise UsageError(f"{path} is of a newer version than {KEY_VERSION}: update physbench.")
        return ExportKey.model_validate(document)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        raise UsageError(f"{path} is no key of an export. {first_problem(error)}") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{path} is no key of an export ({error}).") from None


def key_for(folder: Path) -> ExportKey:
    """The key for a new export: that of an earlier one of this name, so that its files are replaced, or a new one."""
    path = key_path(folder)
    return read_key(path) if path.exists() else ExportKey(salt=secrets.token_hex(KEY_SALT_BYTES))


def without_key(document: dict[str, Any]) -> dict[str, Any]:
    """The document of an export or an answer, for the model: without what the key holds."""
    asked = document.get("asked", document)
    for clip in asked["clips"]:
        for name in ClipKey.model_fields:
            clip.pop(name)
    return document


def with_key(answer: Answer, key: ExportKey, where: Path) -> Answer:
    """The answer, its clips with what the key says of them. Raises UsageError where the key is of another export."""
    unknown = [clip.id for clip in answer.asked.clips if clip.id not in key.clips]
    if unknown:
        raise UsageError(f"{where} is the key of another export: it holds no {unknown[0]}.")
    clips = tuple(clip.model_copy(update=dict(key.clips[clip.id])) for clip in answer.asked.clips)
    return answer.model_copy(update={"asked": answer.asked.model_copy(update={"clips": clips})})


def find_key(answer: Answer, places: list[Path]) -> Answer:
    """Complete an answer with the key that lies beside one of these folders; exports of version 1 need none.

    Raises:
        UsageError: No key is found, or it is of another export.
    """
    if all(clip.task for clip in answer.asked.clips):
        return answer
    for path in places:
        if path.is_file():
            return with_key(answer, read_key(path), path)
    looked = " or ".join(str(path) for path in dict.fromkeys(places))
    raise UsageError(
        f"There is no {looked}, which says which clip each video answers. `physbench data export` writes it beside the "
        "export.\nName it with --model-arg key=PATH."
    )


def sorted_by_id(asked: Asked) -> Asked:
    """The clips in the order of their ids, which says nothing of their seeds."""
    return asked.model_copy(update={"clips": tuple(sorted(asked.clips, key=lambda clip: clip.id))})
