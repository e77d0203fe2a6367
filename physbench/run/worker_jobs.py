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
    @property
    def first(self) -> bool: ...  # of its kind in its process, which imports and compiles


SURE = 3  # jobs of a kind, beside the first ones, from which their mean tells


class Jobs:
    """Futures of one run by kind, which advance a progress bar when they are done. `expected`: how many will come."""

    def __init__(self, progress: Progress, workers: int, expected: Mapping[str, int]) -> None:
        self.workers = workers
        self._progress = progress
        self._futures: list[Future[Any]] = []
        self._lock = threading.Lock()
        self._left = dict(expected)
        self._seconds: dict[str, list[float]] = {kind: [] for kind in expected}  # of jobs that were not the first
        self._done: dict[str, int] = dict.fromkeys(expected, 0)

    def add(self, kind: str, future: Future[Any]) -> None:
        self._futures.append(future)

        def advance(done: Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None:
                with self._lock:
                    result = done.result()
                    self._left[kind] -= 1
                    self._done[kind] += 1
                    if not result.first:
                        self._seconds[kind].append(float(result.seconds))
                    self._progress.advance()

        future.add_done_callback(advance)

    def give_up(self, kind: str, future: Future[Any]) -> None:
        """Do without a job, if it has not begun."""
        if future.cancel():
            with self._lock:
                self._left[kind] -= 1
            self._futures.remove(future)

    def expect_fewer(self, kind: str, many: int) -> None:
        """So many jobs of a kind will not come."""
        with self._lock:
            self._left[kind] -= many

    def seconds_left(self) -> float | None:
        """Estimate for the jobs that are not done; None until enough of each kind that is left were measured."""
        with self._lock:
            total = 0.0
            for kind, left in self._left.items():
                seconds = self._seconds[kind]
                if left > 0 and len(seconds) < SURE:
                    return None
                total += left * sum(seconds) / len(seconds) if left > 0 else 0.0
            return total / max(1, self.workers)

    def waiting(self) -> int:
        """Jobs that no worker has begun or fetched yet."""
        return sum(not (future.done() or future.running()) for future in self._futures)

    def wait_for_one(self, seconds: float) -> bool:
        """Wait until some job is done, for at most so many seconds. Returns whether all that are done succeeded."""
        wait([future for future in self._futures if not future.done()], timeout=seconds, return_when="FIRST_COMPLETED")
        return all(future.cancelled() or future.exception() is None for future in self._futures if future.done())

    def done(self, kind: str) -> int:
        """Jobs of a kind that are done."""
        with self._lock:
            return self._done[kind]

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
