"""A lock file, which one process holds; the system lifts the lock when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

COPY_LOCK = "at-work.lock"  # beside the copy of a run that lies behind a URL


def locked_file(path: Path, *, wait: bool = False) -> int:
    """Make the lock file if need be, and take its lock. Returns its descriptor: closing it gives the lock back.

    With `wait`, wait until nobody else holds it. Whoever holds the lock may remove the file before closing it. On a
    network file system without locks there is none.

    Raises:
        BlockingIOError: Another process holds the lock, and `wait` is not set.
        OSError: The file cannot be made.
    """
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:  # the filelock library would say that it is locked
            return handle
        if _is_at(path, handle):
            return handle
        os.close(handle)  # it was removed between opening and locking: others may lock the one that is there now


def _is_at(path: Path, handle: int) -> bool:
    """Whether the file that is open is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
