"""Jobs in order, from workers or from here; what a caller has stored is not done again."""

from __future__ import annotations

import math
import os
import time
from functools import partial
from typing import Any

import pytest

from physbench.support import processes
from physbench.support.processes import WorkerDiedError, WorkerPool, ordered, scheduled
from physbench.support.progress import Progress

WORKERS = pytest.mark.parametrize("workers", [0, 1, 2])


@WORKERS
@pytest.mark.parametrize("long", [False, True])
def test_results_come_in_the_order_of_the_items(workers: int, long: bool) -> None:
    items = list(range(40))
    with scheduled(partial(pow, 2), items, workers=workers, long=long) as results:
        assert list(results) == [2**item for item in items]
    with scheduled(partial(pow, 2), [], workers=workers, long=long) as results:
        assert not list(results)


@WORKERS
def test_a_failure_comes_in_its_turn_and_what_is_stored_is_not_done_again(workers: int) -> None:
    items = [9.0, 4.0, 1.0, 16.0, -1.0, 25.0, 36.0]
    store: dict[float, float] = {}

    def go_on(function: Any) -> None:
        missing = [item for item in items if item not in store]
        with scheduled(function, missing, workers=workers, long=True) as results:
            for item, result in zip(missing, results, strict=True):
                store[item] = result

    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        go_on(math.sqrt)
    assert store == {9.0: 3.0, 4.0: 2.0, 1.0: 1.0, 16.0: 4.0}
    go_on(math.fabs)
    assert [store[item] for item in items] == [3.0, 2.0, 1.0, 4.0, 1.0, 25.0, 36.0]


def test_a_worker_that_dies_is_named_and_what_came_before_is_there() -> None:
    kept = []
    with (
        pytest.raises(WorkerDiedError, match="exited with code 3"),
        scheduled(os._exit, [3, 3], workers=2, long=True) as results,
    ):
        kept += list(results)
    assert not kept


def test_a_slow_job_holds_up_no_more_than_what_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs behind a slow one are done meanwhile, but no more than `ahead`: memory stays flat."""
    begun: list[float] = []
    submit = WorkerPool.submit

    def noted(pool: WorkerPool, function: Any, seconds: float) -> Any:
        begun.append(seconds)
        return submit(pool, function, seconds)

    monkeypatch.setattr(WorkerPool, "submit", noted)
    with WorkerPool(2) as pool:
        results = ordered(pool, time.sleep, [0.4, *[0.0] * 30], ahead=6)
        assert len(begun) == 6
        next(results)
        next(results)
        assert len(begun) == 7
        assert len(list(results)) == 29 and len(begun) == 31


def test_here_a_job_is_done_when_its_result_is_asked_for() -> None:
    done: list[int] = []
    with scheduled(done.append, range(5), workers=1) as results:
        next(results)
        assert done == [0]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, pytest.param(ValueError, marks=pytest.mark.slow)])
def test_an_error_of_the_caller_ends_long_jobs(stop: type[BaseException]) -> None:
    began = time.monotonic()
    with pytest.raises(stop), scheduled(time.sleep, [0.0, 300.0], workers=2, long=True) as results:
        next(results)
        raise stop
    assert time.monotonic() - began < 60


def test_progress_counts_the_sizes_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Progress] = []

    class Kept(Progress):
        def __enter__(self) -> Progress:
            shown.append(self)
            return super().__enter__()

    monkeypatch.setattr(processes, "Progress", Kept)
    with scheduled(len, ["a", "bcd", ""], workers=0, label="letters", size=len) as results:
        assert [(next(results), shown[0].done) for _ in range(3)] == [(1, 1), (3, 4), (0, 4)]
    assert (shown[0].label, shown[0].total) == ("letters", 4)


@pytest.mark.parametrize(
    ("items", "long", "beside", "started"), [(5, False, False, 0), (6, False, False, 2), (2, True, False, 2),
                                                (1, True, False, 0), (3, False, True, 1), (100, False, False, 3)]
)  # fmt: skip
def test_processes_start_where_the_items_are_worth_them(
    items: int, long: bool, beside: bool, started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Noted(WorkerPool):
        def __init__(self, workers: int, *arguments: Any, **more: Any) -> None:
            asked.append(workers)
            super().__init__(0)

    monkeypatch.setattr(processes, "WorkerPool", Noted)
    monkeypatch.setattr(processes, "cores", lambda: 4)
    with scheduled(abs, range(items), workers=3, long=long, beside=beside) as results:
        assert list(results) == list(range(items))
    assert asked == [started] * (started > 0)
