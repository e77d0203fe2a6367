"""Clips are read before they are asked for, and are what they would be otherwise."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from physbench.clips.clip import Row
from physbench.run.jobs import ClipsReadAhead
from physbench.support.errors import UsageError

ROWS = [Row("falling/projectile-v1", "test", seed) for seed in range(6)]


class Reader:
    """Reads a clip as its row, and remembers which were read, and where."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, row: Row) -> Any:
        self.gate.wait(60)
        self.rows.append(row)
        self.threads.add(threading.current_thread().name)
        if row.seed == 4:
            raise UsageError("damaged")
        return row


def test_what_comes_next_is_read_in_advance() -> None:
    read = Reader()
    with ClipsReadAhead(read, lambda _: True, [ROWS[0], ROWS[0], *ROWS[1:]], 2) as clips:
        assert clips.get(ROWS[0]) == ROWS[0]
        threads = clips._threads
    threads.shutdown()
    assert sorted(read.rows) == ROWS[:3], "it and two more"
    assert threading.current_thread().name not in read.threads


def test_each_is_read_once_however_slow_reading_is() -> None:
    read = Reader()
    read.gate.clear()
    with ClipsReadAhead(read, lambda _: True, ROWS[:4], 3) as clips:
        threading.Timer(0.1, read.gate.set).start()
        assert [clips.get(row) for row in ROWS[:4]] == ROWS[:4]
    assert sorted(read.rows) == ROWS[:4]


def test_one_that_is_not_made_yet_is_read_when_it_is_asked_for() -> None:
    read, made = Reader(), {ROWS[0]}
    with ClipsReadAhead(read, made.__contains__, ROWS, 2) as clips:
        clips.get(ROWS[0])
        assert clips.get(ROWS[1]) == ROWS[1]
    assert read.rows == ROWS[:2]
    assert read.threads >= {threading.current_thread().name}


def test_errors_are_raised_where_the_clip_is_asked_for() -> None:
    with ClipsReadAhead(Reader(), lambda _: True, ROWS, 5) as clips:
        assert clips.get(ROWS[3]) == ROWS[3]
        with pytest.raises(UsageError, match="damaged"):
            clips.get(ROWS[4])
        assert clips.get(ROWS[5]) == ROWS[5]


def test_one_that_nobody_expected_is_read_all_the_same() -> None:
    with ClipsReadAhead(Reader(), lambda _: True, ROWS[:2], 2) as clips:
        assert clips.get(ROWS[5]) == ROWS[5]
