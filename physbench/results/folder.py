"""The layout of a run folder, and how its files are written: whole or not at all."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from physbench.errors import UsageError
from physbench.scoring.trace import Trace
from physbench.tracks.tracks import Tracks

DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, BadZipFile, zlib.error)  # of a .npz


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary neighbour of `path`, then rename it: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which some writers look at
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically, keys in the order given, refusing NaN."""
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_tracks(path: Path, tracks: Tracks) -> None:
    """Write tracks as .npz without pickle."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **{**vars(tracks), "names": np.array(tracks.names)})

    write_atomically(path, write)


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


def save_trace(path: Path, found: Trace) -> None:
    """Write what shadowing found as .npz without pickle."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **vars(found))

    write_atomically(path, write)


def load_trace(path: Path) -> Trace | None:
    """Read what `save_trace` wrote; None where there is none that can be read: a report then does without it."""
    try:
        with np.load(path, allow_pickle=False) as data:
            fields: dict[str, Any] = {name: data[name] for name in data.files}
        return Trace(**fields)
    except DAMAGED:
        return None


@dataclass(frozen=True)
class RunFolder:
    """One evaluation on disk."""

    path: Path

    @property
    def manifest(self) -> Path:
        """Suite and its hash, model card and sha256, versions, device, seeds, options, batch plan."""
        return self.path / "manifest.json"

    @property
    def scores(self) -> Path:
        """One row per (clip, sample, reading), see ScoreRow."""
        return self.path / "scores.parquet"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        return self.path / "report" / "index.html"

    def rollout(self, clip_id: str, sample: int = 0) -> Path:
        """Lossless video of a rollout's predicted frames."""
        return self.path / "rollouts" / f"{clip_id}.{sample}.mkv"

    def tracks(self, clip_id: str, sample: int = 0) -> Path:
        return self.path / "tracks" / f"{clip_id}.{sample}.npz"

    def trace(self, clip_id: str, sample: int = 0) -> Path:
        """Lawful segments and breaks; only where a scorer shadowed the clip."""
        return self.path / "traces" / f"{clip_id}.{sample}.npz"

    def part(self, clip_id: str, sample: int = 0) -> Path:
        """Score rows of one sample of one clip, written when it is done: what --resume starts from."""
        return self.path / "parts" / f"{clip_id}.{sample}.json"

    def together(self, clip_id: str) -> Path:
        """Score rows that all samples of a clip have together; only where there are several."""
        return self.path / "parts" / f"{clip_id}.samples.json"

    def pair(self, clip_id: str, sample: int = 0) -> Path:
        """Score rows of a clip with a change, read beside the clip that it is a change of."""
        return self.path / "pairs" / f"{clip_id}.{sample}.json"

    def reference(self, name: str) -> RunFolder:
        """Scores and tracks of a reference (truth, freeze, constant-velocity) on the same clips."""
        return RunFolder(self.path / "references" / name)
