"""Content of the cache on disk and its removal, and results that are kept in memory.

Everything on disk is made or fetched again where it is missing, but for what is new in the copy of a run behind a URL.
So a copy is removed as a whole, once nothing in it is new and all of it is known to be at the URL, and never in parts:
a run at work removes at the URL what its copy lacks.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from physbench.support.files import COPY_LOCK, cache_dir, locked_file, writer_lives
from physbench.support.remote import COPIES, holds_unsent

CACHE_AREAS = {
    "clips": "clips that were simulated and rendered",
    "references": "scores of ground truth and of the baselines on these clips",
    "predictability": "for how long each clip can be predicted from its context",
    "memory": "contexts and motions of training clips, for baseline:memory",
    "layers": "static light of scenes in the look natural",
    "expectation": "surprise of the pixel baselines at films",
    "archives": "archives of clips behind URLs",
    "weights": "published weights that scorers stand on",
    COPIES: "copies of runs behind URLs",
}
# Paths below each, without what an unfinished file's name begins with. PHYSBENCH_CACHE may name a folder that held
# something else before: no other file is counted or removed.
OWN_PATHS = {
    "clips": r"\d+x\d+@[^/]+/[^/]+/[^/]+\.npz",  # 64x64@15/falling.projectile-v1.test/3744715033105816.npz
    "references": r"[0-9a-f]{16}/[0-9a-f]{64}\.[^/]+\.(npz|json)",
    "predictability": r"[0-9a-f]{64}\.json",
    "memory": r"[0-9a-f]{16}/[^/]+\.npz",
    "layers": r"[0-9a-f]{64}\.npz",
    "expectation": r"\d+x\d+@[^/]+/[^/]+\.json",
    "archives": r"[0-9a-f]{64}\.clips",
    "weights": r"[^/]+\.pth",
    COPIES: r"[0-9a-f]{32}/.+",
}
DAY = 86400.0  # s

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class CacheArea:
    """A folder in the cache."""

    name: str
    purpose: str
    files: int
    size: int  # bytes
    newest: float | None  # s since 1970; None where it is empty


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    changed: float


def cache_areas() -> tuple[CacheArea, ...]:
    """Each part of the cache with its size, also where it is empty."""
    areas = []
    for name, purpose in CACHE_AREAS.items():
        files = tuple(_files(name))
        newest = max((file.changed for file in files), default=None)
        areas.append(CacheArea(name, purpose, len(files), sum(file.size for file in files), newest))
    return tuple(areas)


def prune(areas: Sequence[str], older_than: float, now: float | None = None, dry: bool = False) -> tuple[int, int]:
    """Remove files of some parts of the cache, and folders that are empty then.

    Links are neither followed nor removed. A run that is at work makes again what it misses. The copy of a run behind a
    URL stays where one of its files is newer, or was not sent yet, or where it is at work.

    Args:
        areas: Names of CACHE_AREAS.
        older_than: Days since a file was written; 0 removes all.
        now: s since 1970; None: this moment.
        dry: Only count.

    Returns number of files, and their bytes.
    """
    limit = (time.time() if now is None else now) - older_than * DAY
    count = size = 0
    for name in areas:
        old = _old_copies(limit) if name == COPIES else [file for file in _files(name) if file.changed <= limit]
        for file in old:
            if not dry:
                try:
                    file.path.unlink()
                except FileNotFoundError:  # another process was first
                    continue
            count, size = count + 1, size + file.size
        if not dry:
            _remove_empty(cache_dir() / name)
    return count, size


def unsent_copies() -> int:
    """Number of copies of runs behind URLs that hold what was not sent, and in which nobody works."""
    copies = [path for path in (cache_dir() / COPIES).glob("*") if path.is_dir()]
    return sum(holds_unsent(copy) for copy in copies if not _is_at_work(copy))


def _old_copies(limit: float) -> Iterator[_File]:
    """Files of the copies of runs that may be removed. Nobody else uses a copy while its files are yielded."""
    root = cache_dir() / COPIES
    for copy in sorted({root / file.path.relative_to(root).parts[0] for file in _files(COPIES)}):
        try:
            handle = locked_file(copy / COPY_LOCK)
        except (BlockingIOError, FileNotFoundError):  # at work, or removed by another process
            continue
        try:
            files = tuple(_files(COPIES, copy))
            newest = max((file.changed for file in files if file.path.name != COPY_LOCK), default=0.0)
            if newest <= limit and not holds_unsent(copy):
                yield from files
        finally:
            os.close(handle)


def _files(area: str, below: Path | None = None) -> Iterator[_File]:
    """Regular files of a part of the cache, or of a folder in it."""
    root = cache_dir() / area
    if root.is_symlink():
        return
    for folder, folders, names in os.walk(below or root):
        folders[:] = [name for name in folders if not _is_at_work(Path(folder, name))]
        for name in names:
            path = Path(folder) / name
            whole = path.with_name(re.sub(r"^\.\d+\.", "", name))
            if not re.fullmatch(OWN_PATHS[area], whole.relative_to(root).as_posix()):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            # An unfinished file, whose name begins with a dot, may be at work for an hour
            if name.startswith(".") and (time.time() - status.st_mtime < 3600.0 or writer_lives(path)):
                continue  # somebody is writing it
            if stat.S_ISREG(status.st_mode):
                yield _File(path, status.st_size, status.st_mtime)


def _is_at_work(folder: Path) -> bool:
    """True if a process works in the copy of a run."""
    lock = folder / COPY_LOCK
    if not lock.is_file():
        return False
    try:
        os.close(locked_file(lock))
    except BlockingIOError:
        return True
    return False


def _remove_empty(root: Path) -> None:
    """Remove empty folders below one, deepest first. Links are not followed."""
    if root.is_symlink():
        return
    for folder, _, _ in os.walk(root, topdown=False):
        with suppress(OSError):  # it holds something
            Path(folder).rmdir()


class RecentlyUsed(Generic[Key, Value]):
    """Results by key; the one that was asked for longest ago goes first.

    Unlike `functools.lru_cache` it is told its keys, so that what decides a result need not be what computes it. Two
    threads that miss the same key both compute it: nobody waits, and results are functions of their keys.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The result of a key; None where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Keep a result, and return it."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value
