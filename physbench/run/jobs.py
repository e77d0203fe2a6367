"""Jobs in the worker processes: their progress, their results, and how long the rest will take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Protocol

from physbench.progress import Progress


class Result(Protocol):
    """What every job returns."""

    @property
    def seconds(self) -> float: ...


class Jobs:
    """Futures of one run by kind ("score", ...), which advance a progress bar when they are done."""

    def __init__(self, progress: Progress, workers: int) -> None:
        self.workers = workers
        self._progress = progress
        self._futures: list[Future[Any]] = []
        self._lock = threading.Lock()
        self._asked: dict[str, int] = {}
        self._seconds: dict[str, list[float]] = {}

    def expect(self, kind: str, count: int) -> None:
        """So many jobs of this kind will come, for the estimate."""
        self._asked[kind] = count

    def add(self, kind: str, future: Future[Any]) -> None:
        self._futures.append(future)

        def advance(done: Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None:
                with self._lock:
                    self._seconds.setdefault(kind, []).append(float(done.result().seconds))
                    self._progress.advance()

        future.add_done_callback(advance)

    def seconds_left(self) -> float | None:
        """Estimate for the jobs that are not done; None as long as nothing of a kind is done."""
        left = 0.0
        with self._lock:
            for kind, asked in self._asked.items():
                done = self._seconds.get(kind, [])
                if asked > len(done):
                    if not done:
                        return None
                    left += (asked - len(done)) * sum(done) / len(done)
        return left / self.workers

    def raise_failure(self) -> None:
        """Raise what a job raised, if one did, without waiting."""
        for future in self._futures:
            if future.done():
                future.result()

    def results(self, meanwhile: Callable[[], None]) -> list[Any]:
        """Wait for all jobs, calling `meanwhile` every second; the first error is raised."""
        waiting = set(self._futures)
        while waiting:
            done, waiting = wait(waiting, timeout=1, return_when="FIRST_EXCEPTION")
            for future in done:
                future.result()
            meanwhile()
        return [future.result() for future in self._futures]


def duration(seconds: float) -> str:
    """ "40 s", "3 min", "2.1 h": as exact as an estimate is."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
