"""This process: Ctrl-C, a full disk, a dead worker, peak memory."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

from physbench.support.errors import DISK_FULL, SYSTEM_LIMITS, PhysbenchError
from physbench.support.processes import WorkerDiedError, end_at_once

# Ctrl-C, a full disk, a dead worker: what is done is kept, and the command that resumes the run is printed.

# What is to be done where the system refuses something, by errno.
BY_ERRNO = {
    **SYSTEM_LIMITS,
    errno.EIO: "The disk or its connection is broken: mend that, or copy the folder elsewhere",
    errno.EROFS: "Make it writable",
    errno.EACCES: "Change its permissions",
    errno.EPERM: "Change its permissions",
}


class Interrupted(PhysbenchError):
    """Ctrl-C, or the scheduler's SIGTERM."""

    exit_code = 130


def _end_now(number: int, frame: FrameType | None) -> None:
    """At the second Ctrl-C: end without waiting for anything, and leave nothing behind."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, frame: os._exit(Interrupted.exit_code))
    limit = threading.Timer(1.0, _exit)  # s that a program may take to end which was asked to twice
    limit.daemon = True
    limit.start()
    threading.excepthook = lambda args: None  # a pool's thread trips over what is taken from it, which is no news
    with contextlib.suppress(Exception):
        end_at_once()
    _exit()


def _exit() -> None:
    """End this process with its last words: what is printed before them may be a bar, which hides the cursor."""
    shown = b"\x1b[?25h\n" if os.isatty(2) else b""
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, shown + b"Interrupted again: ended at once. What was stored is kept, and the run can go on.\n")
    os._exit(Interrupted.exit_code)


@contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM raise KeyboardInterrupt once; a second one ends at once, and the workers with it.

    A second SIGTERM within a second is the first one again: `timeout` sends it to its command and to the group.
    What the program around has put in the place of the system's own answer stays: a trainer that notes down SIGTERM, to
    save its state after this step, does so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        first = time.monotonic()

        def again(second: int, frame: FrameType | None) -> None:
            # Two SIGTERMs within 1 s are one that came on two ways
            if not (number == second == signal.SIGTERM and time.monotonic() - first < 1.0):
                _end_now(second, frame)

        for signum in before:
            signal.signal(signum, again)
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Ignored stays ignored, as nohup asks; None is a handler that was not set from Python, and could not be put back.
    before = {number: handler for number, handler in handlers.items() if _may_be_replaced(handler)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _may_be_replaced(handler: object) -> bool:
    """True if a handler is Python's or one of this program, and not the host's."""
    own = str(getattr(handler, "__module__", None)).startswith("physbench.")
    return own or handler in (signal.SIG_DFL, signal.default_int_handler)


def _lies_in(name: object, folder: Path) -> bool:
    """True if the file that an error names lies in a folder."""
    return isinstance(name, str | os.PathLike) and Path(name).resolve().is_relative_to(folder.resolve())


def _with_one_worker(command: str) -> str:
    """A command of this program with --workers 1; what is none stays as it is: several commands, a call in Python."""
    words = shlex.split(command) if command.startswith("physbench ") and "&&" not in command else []
    if not words:
        return command
    while "--workers" in words:
        at = words.index("--workers")
        del words[at : at + 2]
    return shlex.join([*words, "--workers", "1"])


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
        command = _with_one_worker(resume_command) if error.lacks_memory else resume_command
        raise PhysbenchError(f"{error} {kept()}. Go on with:\n  {command}") from error
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
        if error.errno in BY_ERRNO:
            raise PhysbenchError(
                f"{error.strerror}{where}; {kept()}. {BY_ERRNO[error.errno]}, then go on with:\n  {resume_command}"
            ) from error
        if error.errno not in DISK_FULL and "No space left" not in str(error):
            raise
        raise PhysbenchError(
            f"The disk is full{where}; {kept()}. Free some space, then go on with:\n  {resume_command}"
        ) from error


def processes_of(pid: int) -> list[psutil.Process]:
    """Return a process with all its descendants; [] where it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def memory_of(processes: Sequence[psutil.Process]) -> int:
    """Return the bytes that processes hold together.

    A page that several share counts once (PSS); where the system cannot say that, it does not count (USS).
    Where it knows neither, it counts for each process (RSS).
    """
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            used = process.memory_full_info()
            total += getattr(used, "pss", getattr(used, "uss", used.rss))
    return total


class PeakMemory:
    """`with PeakMemory() as peak: ...; peak.bytes` is the largest sum seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            self.bytes = max(self.bytes, memory_of(processes_of(os.getpid())))
            # at most 2 % of the time: to look at many processes takes a while
            self._stop.wait(max(0.5, (time.perf_counter() - began) / 0.02))  # s

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
