"""One function for many items: in worker processes or here, in order, with progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import TypeVar

from physbench.support.processes import WorkerPool, cores, worker_count
from physbench.support.progress import Progress

Item = TypeVar("Item")
R = TypeVar("R")

AHEAD = 16  # results that wait for the one that is asked for, at most


@contextmanager
def scheduled(
    function: Callable[[Item], R],
    items: Sequence[Item],
    *,
    workers: int,
    preload: Sequence[str] = (),
    label: str = "",
    long: bool = False,
    beside: bool = False,
    ahead: int | None = None,
    size: Callable[[Item], int] = lambda item: 1,
) -> Iterator[Iterator[R]]:
    """`with scheduled(work, rows, workers=2, label="clips") as results: for result in results: ...`

    The results come in the order of the items, each as soon as it and those before it are there. Workers begin at once,
    not when the first result is asked for. A caller that can be resumed stores results itself, or has the function
    store them, and hands over the items that are missing.

    Args:
        function: Of an installed module, not of the running script.
        items: Are pickled for the workers.
        workers: Processes at most. With 0, where no process may be started, or where there are too few items, this
            process does each job when its result is asked for.
        preload: Modules that workers import before their first job.
        label: Of the bar of progress; "": there is none.
        long: A job takes longer than it takes to start a process: every item is worth one, and on an error jobs are
            killed in the middle. By default they are finished, as fits jobs of a second that write files.
        beside: The caller has something to do meanwhile, so that one process is worth it where there are two cores.
        ahead: Results that wait, at most: memory stays flat however many items there are. None: AHEAD, or two for
            each worker.
        size: By how much an item advances the bar.

    Raises WorkerDiedError: on leaving the block, if a worker died. What a job raises is raised in its turn.
    """
    # for fewer short jobs a worker, starting a process costs more than it saves
    count = min(worker_count(workers), len(items) // (1 if long else 3))
    ahead = max(AHEAD, 2 * count) if ahead is None else ahead
    with ExitStack() as stack:
        pool = None
        if count >= (1 if beside and cores() > 1 else 2):
            pool = stack.enter_context(WorkerPool(count, preload, patient=not long))
        progress = stack.enter_context(Progress(label, sum(map(size, items)))) if label else None
        yield _advancing(ordered(pool, function, items, ahead), items, progress, size)


def _advancing(
    results: Iterator[R], items: Iterable[Item], progress: Progress | None, size: Callable[[Item], int]
) -> Iterator[R]:
    for item, result in zip(items, results, strict=True):
        if progress is not None:
            progress.advance(size(item))
        yield result


def ordered(
    pool: WorkerPool | None, function: Callable[[Item], R], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[R]:
    """Map in order, with at most `ahead` results waiting. A pool begins at once; without one nothing is in advance."""
    if pool is None:
        return map(function, items)
    rest = iter(items)
    waiting = deque(pool.submit(function, item) for item in islice(rest, ahead))

    def results() -> Iterator[R]:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(rest, 1))

    return results()
