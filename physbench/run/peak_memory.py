"""Peak memory of this process and its children."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType

import psutil

PERIOD = 0.5  # s
SHARE = 0.02  # of the time, at most: to look at many processes takes a while


def processes_of(pid: int) -> list[psutil.Process]:
    """Return a process with all its descendants; [] where it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def memory_of(processes: Sequence[psutil.Process]) -> int:
    """Return the bytes that processes hold together.

    A page that several share counts once (PSS); where the system cannot say that, it does not count (USS).
    Where it knows neither, it counts for each process (RSS).
    """
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            used = process.memory_full_info()
            total += getattr(used, "pss", getattr(used, "uss", used.rss))
    return total


class PeakMemory:
    """`with PeakMemory() as peak: ...; peak.bytes` is the largest sum seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            self.bytes = max(self.bytes, memory_of(processes_of(os.getpid())))
            self._stop.wait(max(PERIOD, (time.perf_counter() - began) / SHARE))

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
