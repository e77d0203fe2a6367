"""Maps a function that lets other threads run (copies, codecs, files) over items, on all cores of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from physbench.worker_pool import cores

Item = TypeVar("Item")
Made = TypeVar("Made")

SWITCH_INTERVAL = 5e-4  # s


def thread_map(function: Callable[[Item], Made], items: Sequence[Item]) -> Generator[Made, None, None]:
    """The results in the order of the items, each as soon as it is there.

    Raises what the function raises, in its turn. Where the caller stops, what has not begun is not done. The function
    must not map in turn: all threads might wait for that.
    """
    if min(cores(), len(items)) < 2:
        yield from map(function, items)
        return
    futures = [_threads().submit(function, item) for item in items]
    try:
        for future in futures:
            yield future.result()
    finally:
        wait([future for future in futures if not future.cancel()])


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Threads of this process wait less for one another: for 5 ms by default, where another one computes in Python."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept, as a thread that starts beside others that are at work takes milliseconds."""
    return ThreadPoolExecutor(cores())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork has none of the threads
