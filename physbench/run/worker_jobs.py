"""Jobs in the worker processes: their progress, their results, and how long the rest will take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, Protocol

from physbench.progress import Progress

SCORING_PRELOAD = ("physbench.run.preload",)  # what worker processes import before their first job


class Result(Protocol):
    """What every job returns."""

    @property
    def seconds(self) -> float: ...


# How long a job of each kind takes against the others, roughly: enough to say early how long the rest will take. Later
# it is known: a clip that breaks takes several times as long as one that does not.
WEIGHT = {"clip": 3.0, "references": 4.0, "score": 1.0}
SURE = 8  # jobs of a kind, from which their mean tells


class Jobs:
    """Futures of one run by kind, which advance a progress bar when they are done. `expected`: how many will come."""

    def __init__(self, progress: Progress, workers: int, expected: Mapping[str, int]) -> None:
        self.workers = workers
        self._progress = progress
        self._futures: list[Future[Any]] = []
        self._lock = threading.Lock()
        self._left = dict(expected)
        self._seconds: dict[str, list[float]] = {kind: [] for kind in expected}  # of each job that is done

    def add(self, kind: str, future: Future[Any]) -> None:
        self._futures.append(future)

        def advance(done: Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None:
                with self._lock:
                    self._left[kind] = self._left.get(kind, 1) - 1
                    self._seconds.setdefault(kind, []).append(float(done.result().seconds))
                    self._progress.advance()

        future.add_done_callback(advance)

    def seconds_left(self) -> float | None:
        """Estimate for the jobs that are not done; None as long as none is."""
        with self._lock:
            usual = {kind: self._usual(seconds) for kind, seconds in self._seconds.items()}
            weight = sum(WEIGHT[kind] * len(seconds) for kind, seconds in usual.items())
            if not weight:
                return None
            rate = sum(map(sum, usual.values())) / weight  # s for a weight of 1
            each = {
                kind: sum(seconds) / len(seconds) if len(seconds) >= SURE else WEIGHT[kind] * rate
                for kind, seconds in usual.items()
            }
            return sum(each[kind] * max(left, 0) for kind, left in self._left.items()) / self.workers

    def _usual(self, seconds: list[float]) -> list[float]:
        """Without the longest job of each worker, where there are more: in its first one it imports and compiles."""
        return sorted(seconds)[: -self.workers] if len(seconds) > 2 * self.workers else seconds

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
