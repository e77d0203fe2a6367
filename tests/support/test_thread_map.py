"""Threads of one process: order, errors, switch interval."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time

import pytest

from physbench.support import processes as module
from physbench.support.processes import SWITCH_INTERVAL, short_switch_interval, thread_map


@pytest.fixture(params=[1, 4])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "cores", lambda: request.param)
    module._threads.cache_clear()
    return int(request.param)


def test_results_come_in_order(cores: int) -> None:
    def late_first(number: int) -> int:
        time.sleep(0.01 * (4 - number))
        return number**2

    assert list(thread_map(late_first, range(4))) == [0, 1, 4, 9]
    assert list(thread_map(late_first, [])) == []


def test_an_error_is_raised_in_its_turn_when_nothing_runs_any_more(cores: int) -> None:
    running = threading.Semaphore(8)

    def work(number: int) -> int:
        with running:
            time.sleep(0.01)
            if number == 1:
                raise ValueError("one")
            return number

    results = thread_map(work, range(8))
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        list(results)
    assert [running.acquire(blocking=False) for _ in range(8)] == [True] * 8


def test_what_has_not_begun_when_the_caller_stops_is_not_done(cores: int) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    results = thread_map(work, range(100))
    next(results)
    results.close()
    assert len(done) <= 2 * cores + 1


def test_the_switch_interval_is_as_before_afterwards() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(KeyError), short_switch_interval():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        raise KeyError
    assert sys.getswitchinterval() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 4)
    assert list(thread_map(abs, [-1, -2])) == [1, 2]
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(list(thread_map(abs, [-3, -4]))[1]))
    child.start()
    child.join(120)
    alive = child.is_alive()
    child.kill()
    assert not alive and child.exitcode == 4
