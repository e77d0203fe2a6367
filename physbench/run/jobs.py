"""Jobs in the worker processes: their order, their progress, and clips read ahead."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.rollout.batches import Batch
from physbench.support.processes import cores
from physbench.support.progress import Progress

# In which order the clips of a run are worked on: the tasks in turn, so that what is done at any moment is balanced.
#
# Of a task its splits in turn, each as often as it has clips. Only the order: which clips share a batch is planned
# before, and the order of the tables is that of the suite.


def in_turn(batches: Sequence[Batch], chosen: Iterable[int]) -> list[int]:
    """Positions of batches, the first batch of every task before the second of any.

    Args:
        batches: The plan. A batch counts as one of the task and split of its first clip.
        chosen: Positions in it that are to be ordered.
    """
    first = [batch.items[0].row for batch in batches]
    seen: Counter[str] = Counter()
    ranks = {}
    for index in _mixed(first):
        ranks[index] = seen[first[index].task]
        seen[first[index].task] += 1
    return sorted(chosen, key=lambda index: (ranks[index], index))


def splits_mixed(rows: Sequence[Row]) -> list[Row]:
    """Clips task by task, the splits of each mixed: every part of a task holds about as much of each as the whole."""
    return [rows[index] for index in _mixed(rows)]


def done_after(batches: Sequence[Batch], order: Iterable[int]) -> list[list[Row]]:
    """Clips of which all samples are rolled out after each of these batches, all that are done by then."""
    left = Counter(item.row for batch in batches for item in batch.items)
    done: list[list[Row]] = []
    for index in order:
        left.subtract(item.row for item in batches[index].items)
        now = [row for row in dict.fromkeys(item.row for item in batches[index].items) if left[row] == 0]
        done.append([*(done[-1] if done else []), *now])
    return done


def _mixed(rows: Sequence[Row]) -> list[int]:
    """Positions of rows, task by task: the k-th of n of a split comes at (k - 1/2) / n of its task."""
    whole = Counter((row.task, row.split) for row in rows)
    tasks = {task: place for place, task in enumerate(dict.fromkeys(row.task for row in rows))}
    seen: Counter[tuple[str, str]] = Counter()
    places = []
    for index, row in enumerate(rows):
        key = (row.task, row.split)
        places.append((tasks[row.task], (seen[key] + 0.5) / whole[key], index))
        seen[key] += 1
    return [index for _, _, index in sorted(places)]


def rows_in_turn(batches: Sequence[Batch], rows: Iterable[Row]) -> list[Row]:
    """Clips in the order in which the batches come that need them; clips of no batch are the last."""
    order = dict.fromkeys(item.row for index in in_turn(batches, range(len(batches))) for item in batches[index].items)
    places = {row: place for place, row in enumerate(order)}
    return sorted(rows, key=lambda row: places.get(row, len(places)))


def first_of_each_task(rows: Iterable[Row]) -> list[Row]:
    """The first clip of every task, of whatever plan."""
    first_rows: dict[str, Row] = {}
    for row in rows:
        first_rows.setdefault(row.task, row)
    return list(first_rows.values())


# Jobs in the worker processes: their progress, their results, and how long the rest will take.

SCORING_PRELOAD = ("physbench.run.preload",)  # what worker processes import before their first job


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
                if left > 0 and len(seconds) < 3:  # jobs of a kind, beside the first ones, from which their mean tells
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


class ClipsReadAhead:
    """Reads clips in a known order. It is asked by one thread at a time, and closed at the end.

    Args:
        read: Reads a clip, in any thread.
        there: Whether a clip can be read now; one that cannot is read when it is asked for.
        order: In which clips will be asked for.
        ahead: How many are read in advance: so many lie in memory.
    """

    def __init__(
        self, read: Callable[[Row], Clip], there: Callable[[Row], bool], order: Sequence[Row], ahead: int
    ) -> None:
        self._read, self._there, self._ahead = read, there, ahead
        self._order = tuple(dict.fromkeys(order))
        self._places = {row: place for place, row in enumerate(self._order)}
        self._begun: set[Row] = set()  # read in advance, once: who asks again, or out of turn, waits
        self._known: dict[Row, Future[Clip]] = {}
        self._threads = ThreadPoolExecutor(min(cores(), 8))  # each unpacks one clip

    def __enter__(self) -> ClipsReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def get(self, row: Row) -> Clip:
        """A clip; what reading it raises is raised here."""
        place = self._places.get(row)
        for each in () if place is None else self._order[place : place + 1 + self._ahead]:
            if each not in self._begun and self._there(each):
                self._begun.add(each)
                self._known[each] = self._threads.submit(self._read, each)
        known = self._known.pop(row, None)
        return self._read(row) if known is None else known.result()
