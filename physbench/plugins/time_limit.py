"""Ends code of the user's that takes too long, where that can be done: in the main thread of a POSIX system."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEATED_EVERY = 1.0  # s


class TookTooLong(BaseException):
    """No Exception: a loop of the user's may catch these and go on."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Raise TookTooLong in the code inside after so many seconds. It does not end a call that never returns to Python.

    Elsewhere than in the main thread, and where there are no interval timers, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: what is raised once may be swallowed by a bare except.
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, REPEATED_EVERY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)
