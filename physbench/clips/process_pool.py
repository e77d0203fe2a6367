"""Worker processes: started afresh, silent on Ctrl-C, gone with the one who asked for them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
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
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
    finally:
        # On Ctrl-C or an error what is under way is finished, which takes a second or two, and the rest is dropped.
        pool.shutdown(cancel_futures=True)


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


def _begin() -> None:
    """In a worker: Ctrl-C reaches every process of the terminal, only the parent answers it; end when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
