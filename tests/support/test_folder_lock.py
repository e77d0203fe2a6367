"""One process holds a lock, also where the lock file is removed while others wait."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from physbench.support import files
from physbench.support.files import locked_file


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    held = locked_file(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        locked_file(tmp_path / "lock")
    os.close(held)
    os.close(locked_file(tmp_path / "lock"))
    with pytest.raises(FileNotFoundError):
        locked_file(tmp_path / "none" / "lock")


def test_a_file_that_was_removed_before_it_was_locked_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder removes the file and ends between another's `open` and `flock`."""
    path, take = tmp_path / "lock", fcntl.flock
    taken: list[int] = []

    def late(handle: int, how: int) -> None:
        if not taken:
            path.unlink()
        taken.append(handle)
        take(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    held = locked_file(path)
    assert len(taken) == 2
    with pytest.raises(BlockingIOError):
        locked_file(path)
    os.close(held)


def test_who_waits_gets_the_lock_as_soon_as_it_is_given_back(tmp_path: Path) -> None:
    """Also where the holder removes the file: the lock is that of the file that is there then."""
    path = tmp_path / "lock"
    held, waiting = locked_file(path), threading.Event()
    later: list[int] = []

    def wait() -> None:
        waiting.set()
        later.append(locked_file(path, wait=True))

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(60)
    path.unlink()
    os.close(held)
    thread.join(60)
    assert len(later) == 1 and path.exists()
    with pytest.raises(BlockingIOError):
        locked_file(path)
    os.close(later[0])


def test_many_that_begin_together_are_never_inside_together(tmp_path: Path) -> None:
    path, start, inside, most, entered = tmp_path / "lock", threading.Barrier(6), [0], [0], [0]

    def work() -> None:
        start.wait()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            try:
                held = locked_file(path)
            except BlockingIOError:
                continue
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            entered[0] += 1
            time.sleep(1e-4)
            inside[0] -= 1
            path.unlink()
            os.close(held)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and entered[0] > 10
