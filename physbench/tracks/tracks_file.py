"""Tracks on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from physbench.errors import UsageError
from physbench.storage.sealed_file import NOT_ARRAYS, read_sealed_npz, write_sealed_npz
from physbench.tracks.tracks import Tracks


def save_tracks(path: Path, tracks: Tracks) -> None:
    """Write tracks as .npz without pickle."""
    known = {name: value for name, value in vars(tracks).items() if value is not None}
    write_sealed_npz(path, {**known, "names": np.array(tracks.names)})


def load_tracks(path: Path) -> Tracks:
    """Read what `save_tracks` wrote. Raises UsageError where there is nothing, or nothing that can be read."""
    try:
        fields: dict[str, Any] = dict(read_sealed_npz(path))
        fields["names"] = tuple(str(name) for name in fields["names"])
        fields["context"] = int(fields["context"])
        return Tracks(**fields)
    except NOT_ARRAYS as error:
        raise UsageError(f"{path}: cannot be read ({error}). Resume the run to make it again.") from error
