"""manifest.json: everything that a run was decided by, written before its first batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from physbench import __version__
from physbench.adapters.protocol import ModelCard
from physbench.clips.clip import Row
from physbench.errors import UsageError

SCHEMA_VERSION = 1
Document = dict[str, Any]


def read_manifest(path: Path) -> Document:
    """Read manifest.json, refusing what a newer physbench wrote."""
    try:
        document: Document = json.loads(path.read_text(encoding="utf-8"))
        written = int(document["schema_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Start the run over with --fresh.") from error
    if written > SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {written}; physbench {__version__} reads up to {SCHEMA_VERSION}: update it."
        )
    return document


def card_document(card: ModelCard) -> Document:
    return {**dataclasses.asdict(card), "image_size": list(card.image_size)}


def card_from(document: Document) -> ModelCard:
    return ModelCard(**{**document, "image_size": tuple(document["image_size"])})


def rows_document(rows: Sequence[Row]) -> list[Document]:
    return [dataclasses.asdict(row) for row in rows]


def rows_from(document: Document) -> tuple[Row, ...]:
    """The suite's rows that a manifest lists, in their order."""
    return tuple(Row(**row) for row in document["suite"]["rows"])


# What decides rollouts and scores, with the words by which a user knows it. Speed, workers and time-outs do not.
_DECIDING: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("MODEL", ("model", "target")),
    ("the model's content (sha256)", ("model", "sha256")),
    ("--model-arg", ("model", "args")),
    ("--suite", ("suite", "name")),
    ("the suite's version", ("suite", "version")),
    ("the clips (--tasks, --limit)", ("suite", "rows")),
    ("the suite's hash", ("suite", "hash")),
    ("--scorers", ("options", "scorers")),
    ("--samples", ("options", "samples")),
    ("--seed", ("options", "seed")),
    ("--dtype", ("options", "dtype")),
    ("--device", ("options", "device")),
    ("--batch-size", ("options", "batch_size")),
    ("--no-chain", ("options", "chain")),
)


def _at(document: Document, keys: Sequence[str]) -> Any:
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them"
    return f"'{value}'" if isinstance(value, str) else f"{value}"


def first_difference(stored: Document, asked: Document) -> str | None:
    """Name the first deciding setting in which the run in the folder differs from the one asked for."""
    versions = {**stored.get("versions", {}), **asked["versions"]}
    deciding = (*_DECIDING, *((f"the version of {name}", ("versions", name)) for name in versions))
    for label, keys in deciding:
        before, now = _at(stored, keys), _at(asked, keys)
        if before == now:
            continue
        if isinstance(before, list) and isinstance(now, list):
            return f"{label}: it has {len(before)}, asked for {len(now)}{'' if len(before) != len(now) else ' others'}"
        return f"{label}: it has {_short(before)}, asked for {_short(now)}"
    return None


def refuse_other_settings(stored: Document, asked: Document, folder: Path) -> None:
    """Resume goes on with the same run only: scores of two settings never mix in one folder."""
    difference = first_difference(stored, asked)
    if difference:
        raise UsageError(
            f"{folder} holds a run of other settings. {difference}.\n"
            "Ask for the same, start over with --fresh, or choose another --out."
        )
