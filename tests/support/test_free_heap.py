"""What a process has let go is the system's again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from physbench.support import processes

FREED = """
from pathlib import Path
from physbench.support import processes as free_heap

def held():  # pages
    return int(Path("/proc/self/statm").read_text().split()[1])

def fragments():
    pieces = [bytes(100_000) for _ in range(1000)]
    return pieces[-1]  # at the end of the heap

first = free_heap.then_give_back(fragments)
free_heap.give_back()  # it was done just now
second = fragments()
before = held()
free_heap._last[0] = 0.0
free_heap.give_back()
print(before - held())
"""


@pytest.mark.skipif(processes._trim() is None, reason="not the GNU C library")
def test_free_pages_are_given_back_with_something_behind_them() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 4096 > 50e6


def test_it_is_done_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(processes, "_trim", lambda: calls.append)
    monkeypatch.setattr(processes, "_last", [-processes.PAUSE])
    assert processes.then_give_back(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        processes.then_give_back(divmod, 7, 0)
    assert calls == [0]


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_trim", lambda: None)
    assert processes.then_give_back(len, "abc") == 3
