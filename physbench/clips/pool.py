"""Worker processes: started afresh, silent on Ctrl-C, gone with the one who asked for them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from physbench.errors import PhysbenchError

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_A_PROCESS = 6  # items; below it a process costs more than it saves


@contextmanager
def worker_pool(workers: int, items: int) -> Iterator[Executor | None]:
    """Yield a pool of spawned processes, or None where the caller does the work as well itself."""
    workers = min(workers, items // (WORTH_A_PROCESS // 2))
    if workers < 2:
        yield None
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_ignore_interrupts)
    try:
        yield pool
    except BaseException:
        for process in list(pool._processes.values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def ordered(
    pool: Executor | None, function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 16
) -> Iterator[Result]:
    """Map in order, with at most `ahead` results waiting: memory stays flat however many items there are."""
    if pool is None:
        yield from map(function, items)
        return
    from concurrent.futures.process import BrokenProcessPool

    rest = iter(items)
    waiting: list[Future[Result]] = [pool.submit(function, item) for item in islice(rest, ahead)]
    try:
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
    except BrokenProcessPool:
        raise PhysbenchError(
            "A worker process ended without a word, most likely for want of memory. Try again with --workers 1."
        ) from None


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; only the parent answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
