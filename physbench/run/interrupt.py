"""Ctrl-C, a full disk, a dead worker: what is done is kept, and the command that resumes the run is printed."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from physbench.errors import DISK_FULL, PhysbenchError
from physbench.worker_pool import WorkerDiedError

# What is to be done where the system refuses to write, by errno.
NOT_WRITABLE = {
    errno.EIO: "The disk or its connection is broken: mend that, or copy the folder elsewhere",
    errno.EROFS: "Make it writable",
    errno.EACCES: "Change its permissions",
    errno.EPERM: "Change its permissions",
}


class Interrupted(PhysbenchError):
    """Ctrl-C, or the scheduler's SIGTERM."""

    exit_code = 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM raise KeyboardInterrupt once; a second one ends at once, and the workers with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for signum in before:
            signal.signal(signum, lambda number, frame: os._exit(130))
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Ignored stays ignored, as nohup asks; None is a handler that was not set from Python, and could not be put back.
    before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lies_in(name: object, folder: Path) -> bool:
    """Whether the file that an error names lies in a folder."""
    return isinstance(name, str | os.PathLike) and Path(name).resolve().is_relative_to(folder.resolve())


@contextmanager
def explained(resume_command: str, kept: Callable[[], str], folder: Path) -> Iterator[None]:
    """Turn what ends a run early into two lines: what happened and what is kept, and how to resume.

    `kept` returns how much is scored in the run's `folder`; it is called when that is needed.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; {kept()}. Go on with:\n  {resume_command}") from None
    except WorkerDiedError as error:
        raise PhysbenchError(f"{error} {kept()}. Go on with:\n  {resume_command}") from error
    except MemoryError as error:
        raise PhysbenchError(
            f"Memory is full; {kept()}. Use --workers 1 or a smaller --batch-size (with --fresh), or go on with:\n"
            f"  {resume_command}"
        ) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) and _lies_in(error.filename, folder):
            raise PhysbenchError(
                "Files of the run were deleted while it was at work, by its model or by another program; "
                f"{kept()}. Go on with:\n  {resume_command}"
            ) from error
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in NOT_WRITABLE:
            raise PhysbenchError(
                f"{error.strerror}{where}; {kept()}. {NOT_WRITABLE[error.errno]}, then go on with:\n  {resume_command}"
            ) from error
        if error.errno not in DISK_FULL and "No space left" not in str(error):
            raise
        raise PhysbenchError(
            f"The disk is full{where}; {kept()}. Free some space, then go on with:\n  {resume_command}"
        ) from error
