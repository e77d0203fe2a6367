"""Peak memory of this process and its children, read from /proc."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType

PERIOD = 0.5  # s
SHARE = 0.02  # of the time, at most: to look at many processes takes a while


def descendants(root: int) -> list[int]:
    """Process ids of `root` and all its children's children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def memory_of(pids: list[int]) -> int:
    """Bytes that these processes hold together; a page that several share counts once (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class PeakMemory:
    """`with PeakMemory() as peak: ...; peak.bytes` is the largest sum seen, 0 where there is no /proc."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            self.bytes = max(self.bytes, memory_of(descendants(os.getpid())))
            self._stop.wait(max(PERIOD, (time.perf_counter() - began) / SHARE))

    def __enter__(self) -> PeakMemory:
        if Path("/proc/self/smaps_rollup").exists():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
