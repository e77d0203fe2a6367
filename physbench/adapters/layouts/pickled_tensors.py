"""Reads checkpoints that torch.save wrote, in both of its formats: names without torch, tensors with weights_only."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from physbench.adapters.pickle_scan import (
    MAX_PICKLE_BYTES,
    NotAPickle,
    imported_globals,
    is_zip,
    looks_like_pickle,
    pickled_texts,
    pickles_in_zip,
    unsafe_globals,
)
from physbench.adapters.unrecognised import HINT_WRAP
from physbench.errors import ModelError


@dataclass(frozen=True)
class PickledNames:
    """What a checkpoint says before it is loaded."""

    texts: frozenset[str]  # keys of its tables, names of tensors among them
    plain: bool  # it holds tensors and plain values only


NO_NAMES = PickledNames(frozenset(), False)


def names_in(path: Path) -> PickledNames:
    """The texts in a checkpoint; none if the file is no pickle. Nothing is unpickled."""
    try:
        status = path.stat()
        return _names_in(path, status.st_size, status.st_mtime_ns) if path.is_file() else NO_NAMES
    except (OSError, ValueError):  # such as a zero byte in the path
        return NO_NAMES


@lru_cache(maxsize=32)
def _names_in(path: Path, size: int, changed: int) -> PickledNames:
    with path.open("rb") as file:
        start = file.read(4)
        if looks_like_pickle(start):
            parts = [start + file.read(MAX_PICKLE_BYTES)]
        elif start.startswith(b"PK"):
            parts = pickles_in_zip(path) or []
        else:
            parts = []
    try:
        found = set().union(*(imported_globals(part) for part in parts))
        texts = frozenset().union(*(pickled_texts(part) for part in parts))
    except NotAPickle:
        return NO_NAMES
    return PickledNames(texts, bool(parts) and not unsafe_globals(found))


def read_document(path: Path) -> Mapping[str, Any]:
    """The dictionary in a checkpoint, with its tensors on the CPU.

    Raises:
        ModelError: The file is damaged, would run code, or holds something else.
    """
    import torch

    try:
        document = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip(path) or None)
    except pickle.UnpicklingError as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} is refused, as loading it would run code ({first[:200]}).\n{HINT_WRAP}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} cannot be read ({first[:200]}). Download or copy it again.") from None
    if not isinstance(document, Mapping):
        raise ModelError(f"{path} holds a {type(document).__name__}, not a dictionary of tensors.\n{HINT_WRAP}")
    return document
