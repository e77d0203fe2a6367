"""Progress with time left on stderr: a bar on a terminal after two seconds, lines elsewhere after five."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

BAR_AFTER, FIRST_LINE = 2.0, 5.0  # s
_silenced = 0


@contextmanager
def silenced() -> Iterator[None]:
    """No progress is shown in here, by any thread."""
    global _silenced
    _silenced += 1
    try:
        yield
    finally:
        _silenced -= 1


def is_silenced() -> bool:
    """True if nothing is to be shown now."""
    return _silenced > 0


def on_terminal() -> bool:
    """True if stderr is a terminal. A host may have replaced it by anything, or have none."""
    isatty = getattr(sys.stderr, "isatty", None)
    return bool(isatty and not getattr(sys.stderr, "closed", False) and isatty())


def duration(seconds: float) -> str:
    """ "40 s", "3 min", "2.1 h": as exact as an estimate is."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Progress:
    """`with Progress("clips", total) as progress: ... progress.advance()`; appears also where nothing advances.

    Args:
        label: What advances.
        total: How many in all; None: not known.
        lines: Whether lines are printed where stderr is no terminal; False: the caller prints its own.
    """

    def __init__(self, label: str, total: int | None = None, *, lines: bool = True) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.note = ""
        self._started = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._lines = lines
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Progress:
        if not _silenced and (self._lines or on_terminal()):
            self._thread.start()
        return self

    def _watch(self) -> None:
        """Show a bar that nothing has advanced yet, or lines."""
        if on_terminal():
            if not self._end.wait(BAR_AFTER):
                self.advance(0)
            return
        wait = FIRST_LINE
        while not self._end.wait(wait):
            if not _silenced:
                with suppress(OSError, ValueError):  # a stream that is gone or closed
                    print(self.line(), file=sys.stderr, flush=True)
            wait = 60.0  # s; a log is read later, and wants few lines

    def line(self) -> str:
        """Progress, for a log: "clips 64x64@15: 12 of 1,260 after 5 s, about 9 min left", and the note."""
        passed = time.monotonic() - self._started
        of = "" if self.total is None else f" of {self.total:,}"
        left = "time left not known yet"
        if self.done and self.total is not None:
            left = f"about {duration(passed / self.done * max(0, self.total - self.done))} left"
        return f"{self.label}: {self.done:,}{of} after {duration(passed)}, {left}" + (self.note and f"; {self.note}")

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done; `note` says what is done now, after the bar or line."""
        self.done += count
        self.note = note or self.note
        if self._bar is None:
            if _silenced or not on_terminal() or time.monotonic() - self._started < BAR_AFTER:
                return
            with self._lock:
                if self._bar is None and not self._end.is_set():
                    self._start()
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, total=self.total, note=self.note)

    @property
    def is_shown(self) -> bool:
        """True if it is on the screen now."""
        return self._bar is not None and not self._end.is_set()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self.label, total=self.total, completed=self.done, note=self.note)
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._end.set()  # other threads may go on counting, which must not bring the bar back
        if self._thread.is_alive():
            self._thread.join()
        if self._bar is not None:
            self._bar.stop()
