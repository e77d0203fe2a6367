"""Lines in a log at regular times, where no terminal shows a bar."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType

from physbench import progress

EVERY = 60.0  # s


class StatusLines:
    """`with StatusLines(say, status): ...` says `status()` every minute, if stderr is no terminal.

    Args:
        say: Prints a line.
        status: What is done and left; "" for nothing to say. It is called from another thread.
        every: s from one line to the next.
    """

    def __init__(self, say: Callable[[str], None], status: Callable[[], str], every: float = EVERY) -> None:
        self._say, self._status, self._every = say, status, every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._end.wait(self._every):
            line = self._status()
            if line:
                self._say(line)

    def __enter__(self) -> StatusLines:
        if not (sys.stderr.isatty() or progress.is_silenced()):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
