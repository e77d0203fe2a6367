"""Clips on disk. The store only saves time: whatever is missing, damaged or out of date in it is made again."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from physbench.clips.archive import CorruptError, StaleError, StoredClip, describe, pack, read_head, unpack
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import CLIP_PRELOAD, make_clip
from physbench.clips.known_scenes import known_scene
from physbench.errors import PhysbenchError
from physbench.progress import Progress
from physbench.storage.atomic_write import DRAFTS, atomic_path, writer_lives
from physbench.storage.cache_dir import ENVIRONMENT, cache_dir
from physbench.worker_pool import ordered, worker_pool
from physbench.world.scene import RenderSpec

STALE_AFTER = 3600.0  # s after which an unfinished file is left over from a process that was killed


_making = threading.Lock()  # what draws a clip keeps meshes of a process: two threads would fill them at once


class ClipStore:
    """Clips in `directory` (default: `clips` in the cache folder), one file per clip and render spec.

    Each file carries a key, the hash of everything that decides its content, and a checksum. Files with another key or
    a wrong checksum are replaced, with a message on stderr. Where nothing can be written, the store prints that once
    and works without storing; with `required` it raises PhysbenchError.
    """

    def __init__(self, directory: Path | str | None = None, required: bool = False) -> None:
        self.directory = cache_dir() / "clips" if directory is None else Path(directory)
        self.required = required
        self.problem: str | None = None  # why nothing is stored
        self._said: set[str] = set()

    def path(self, row: Row, spec: RenderSpec) -> Path:
        """Where a clip lies."""
        return self.directory / str(spec) / f"{row.task.replace('/', '.')}.{row.split}" / f"{row.name}.npz"

    def get(self, row: Row, spec: RenderSpec) -> Clip:
        """Load a clip, or make and store it."""
        scene = known_scene(row)
        path = self.path(row, spec)
        try:
            return unpack(path.read_bytes(), row, spec, scene)
        except FileNotFoundError:
            pass
        except (OSError, CorruptError, StaleError) as error:
            self._say_replaced(path, error)
        with _making:
            clip = make_clip(row, spec)
        self.put(clip)
        return clip

    def stored(self, row: Row, spec: RenderSpec) -> StoredClip | None:
        """What is known of a clip that is stored whole, without unpacking its frames; None where it is not."""
        try:
            return describe(self.path(row, spec).read_bytes(), row, spec, known_scene(row))
        except (OSError, CorruptError, StaleError):  # `get` says so and makes it again
            return None

    def put(self, clip: Clip) -> bool:
        """Store a clip whole or not at all. Returns False where nothing can be written, which is printed once."""
        return self.put_packed(clip.row, clip.spec, pack(clip)) if self.problem is None else False

    def put_packed(self, row: Row, spec: RenderSpec, content: bytes) -> bool:
        """Store a clip that is packed already, as `put` does."""
        if self.problem is None:
            try:
                _write(self.path(row, spec), content)
            except OSError as error:
                self._give_up(error.strerror or str(error))
        return self.problem is None

    def missing(self, rows: Iterable[Row], spec: RenderSpec) -> list[Row]:
        """The rows that are not stored, or are damaged or out of date (with a message on stderr)."""
        absent = []
        rows = list(rows)
        with Progress("looking at stored clips", len(rows)) as progress:
            for row in rows:
                path = self.path(row, spec)
                try:
                    read_head(path.read_bytes(), row, spec, known_scene(row))
                except FileNotFoundError:
                    absent.append(row)
                except (OSError, CorruptError, StaleError) as error:
                    self._say_replaced(path, error)
                    absent.append(row)
                progress.advance()
        return absent

    def ensure(self, rows: Sequence[Row], spec: RenderSpec, workers: int = 2) -> int:
        """Make all clips that are not stored, with `workers` processes and progress. Returns how many were made."""
        self._sweep(spec)
        missing = self.missing(dict.fromkeys(rows), spec)
        if not missing or not self._can_write():
            return 0
        made = 0
        with (
            worker_pool(workers, len(missing), CLIP_PRELOAD) as pool,
            Progress(f"clips {spec}", len(missing)) as progress,
        ):
            job = functools.partial(_make_and_store, str(self.directory), spec)
            for problem in ordered(pool, job, missing):
                if problem is not None:
                    self._give_up(problem)
                    break
                made += 1
                progress.advance()
        return made

    def _can_write(self) -> bool:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not os.access(self.directory, os.W_OK):
                self._give_up("Permission denied")
        except OSError as error:
            self._give_up(error.strerror or str(error))
        return self.problem is None

    def _give_up(self, reason: str) -> None:
        if self.required:
            raise PhysbenchError(
                f"Clips cannot be stored in {self.directory}: {reason}. "
                "Free some space or name another folder with --out; what is stored is kept."
            )
        if self.problem is None:
            self.problem = reason
            _say(
                f"clips are not stored in {self.directory}: {reason}. Going on without; ${ENVIRONMENT} names a folder."
            )

    def _say_replaced(self, path: Path, error: Exception) -> None:
        """Report damage for each file, another version and unreadable files once."""
        if isinstance(error, CorruptError):
            _say(f"stored clip {path} is damaged ({error}) and is made again")
            return
        if type(error).__name__ in self._said:
            return
        self._said.add(type(error).__name__)
        if isinstance(error, StaleError):
            _say(f"stored clips in {path.parent.parent} are of another version of the program and are made again")
        else:
            _say(f"stored clip {path} cannot be read ({error}): such clips are made again")

    def _sweep(self, spec: RenderSpec) -> None:
        """Remove unfinished files of processes that were killed long ago."""
        for path in (self.directory / str(spec)).glob(f"*/{DRAFTS}"):
            try:
                if not writer_lives(path) and time.time() - path.stat().st_mtime > STALE_AFTER:
                    path.unlink()
            except OSError:
                continue


def clip_store(directory: Path | None = None) -> ClipStore:
    """One store of a folder (default: in the cache) for each process, so that what is wrong with it is said once."""
    return _store_of_process(cache_dir() / "clips" if directory is None else directory)


@functools.cache
def _store_of_process(directory: Path) -> ClipStore:
    return ClipStore(directory)


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as draft:
        draft.write_bytes(content)


def _make_and_store(directory: str, spec: RenderSpec, row: Row) -> str | None:
    """In a worker: make a clip and store it; returns why it could not be stored."""
    clip = make_clip(row, spec)
    store = ClipStore(directory)
    try:
        _write(store.path(row, spec), pack(clip))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _say(message: str) -> None:
    print(f"physbench: {message}", file=sys.stderr)
