"""Tracks on disk."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from physbench.errors import UsageError
from physbench.storage.atomic_write import atomic_path
from physbench.tracks.tracks import Tracks

DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, BadZipFile, zlib.error)  # of a .npz


def save_tracks(path: Path, tracks: Tracks) -> None:
    """Write tracks as .npz without pickle."""
    with atomic_path(path) as draft, draft.open("wb") as file:
        known = {name: value for name, value in vars(tracks).items() if value is not None}
        np.savez_compressed(file, **{**known, "names": np.array(tracks.names)})


def load_tracks(path: Path) -> Tracks:
    """Read what `save_tracks` wrote. Raises UsageError where there is nothing, or nothing that can be read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            fields: dict[str, Any] = {name: data[name] for name in data.files}
        fields["names"] = tuple(str(name) for name in fields["names"])
        fields["context"] = int(fields["context"])
        return Tracks(**fields)
    except DAMAGED as error:
        raise UsageError(f"{path}: cannot be read ({error}). Resume the run to make it again.") from error
