"""Lines while a run is at work: in a log at regular times, where no terminal shows a bar, and of what has begun."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from physbench import progress

EVERY = 60.0  # s
LOOK_EVERY = 0.5  # s


class Settable(Protocol):
    """An event of threads or of processes."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Announced:
    """`with Announced(say, line, event): ...` says a line as soon as the event is set, if it is set in here.

    Args:
        say: Prints a line; it is called from another thread.
        event: Of this process, or of several.
    """

    def __init__(self, say: Callable[[str], None], line: str, event: Settable) -> None:
        self._say, self._line, self._event = say, line, event
        self._end = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not (self._end or self._event.wait(LOOK_EVERY)):
            pass
        if not self._end:
            self._say(self._line)

    def __enter__(self) -> Announced:
        if not self._event.is_set():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end = True  # it sees that within LOOK_EVERY, and nobody waits for it


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
        if not (progress.on_terminal() or progress.is_silenced()):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
