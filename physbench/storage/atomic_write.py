"""Files that are written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRAFTS = ".[0-9]*.*"  # names of files that are being written, or were when their process was killed


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path` to write to, and rename it at the end: a reader sees the old file or the new one.

    Folders are made. The draft keeps the suffix, which some writers look at; it is removed if the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def writer_lives(draft: Path) -> bool:
    """Whether the process that has begun a draft of `atomic_path` may still be at it, whatever the clocks say.

    One that was killed and that nobody has waited for, as in containers without an init process, is over.
    """
    import psutil

    try:
        process = psutil.Process(int(draft.name.lstrip(".").partition(".")[0]))
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.AccessDenied:  # of another user
        return True
    except (psutil.Error, ValueError, OverflowError):
        return False


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_packed(path: Path, text: str) -> None:
    """Write a text as gzip, atomically; the same bytes for the same text."""
    with atomic_path(path) as draft:
        draft.write_bytes(gzip.compress(text.encode(), mtime=0))


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically, keys in the order given, refusing NaN."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
