"""Progress with time left on stderr for whatever takes longer than two seconds; silent when stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

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
    """Whether nothing is to be shown now."""
    return _silenced > 0


def on_terminal() -> bool:
    """Whether stderr is a terminal. A host may have replaced it by anything, or have none."""
    isatty = getattr(sys.stderr, "isatty", None)
    return bool(isatty and not getattr(sys.stderr, "closed", False) and isatty())


class Progress:
    """`with Progress("clips", total) as progress: ... progress.advance()`; appears after two seconds."""

    def __init__(self, label: str, total: int | None = None) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.note = ""
        self._started = time.monotonic()
        self._closed = False
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done; `note` is shown after the bar."""
        self.done += count
        self.note = note or self.note
        if self._bar is None:
            if self._closed or _silenced or not on_terminal() or time.monotonic() - self._started < 2:
                return
            self._start()
        self._bar.update(self._task, completed=self.done, total=self.total, note=self.note)

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees it now."""
        return self._bar is not None and not self._closed

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True  # other threads may go on counting, which must not bring the bar back
        if self._bar is not None:
            self._bar.stop()
