"""Clips for the model, read shortly before they are asked for, in threads: an accelerator does not wait for a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from physbench.clips.clip import Clip, Row
from physbench.worker_pool import cores

MOST_THREADS = 8  # each unpacks one clip


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
        self._threads = ThreadPoolExecutor(min(cores(), MOST_THREADS))

    def __enter__(self) -> ClipsReadAhead:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
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
