"""One process at a time changes a board."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from physbench.errors import UsageError
from physbench.storage.folder_lock import locked_file

BOARD_LOCK = ".lock"
LONGEST_CHANGE = 30.0  # s; what is done under the lock takes milliseconds


def refuse_unchangeable(board: Path) -> None:
    """Raise UsageError where nothing can be added to a board. It takes no time, and what is added takes minutes."""
    try:
        with changing(board):
            entries = board / "entries"
            with tempfile.TemporaryFile(dir=entries if entries.exists() else board):
                pass
    except OSError as error:
        raise UsageError(f"--board: {board} cannot be changed: {error.strerror}. Name another folder.") from error


@contextmanager
def changing(board: Path, wait: float = LONGEST_CHANGE) -> Iterator[None]:
    """Hold the lock of a board while the block lasts. Raises UsageError where another process keeps it."""
    board.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait
    while True:
        try:
            handle = locked_file(board / BOARD_LOCK)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise UsageError(f"Another process is changing {board}. Try again when it is done.") from error
            time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)
