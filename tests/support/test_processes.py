"""Jobs in order on processes and threads: workers start anywhere, errors come back, memory is given back."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from physbench.run.interruption import interruptible
from physbench.support import processes
from physbench.support import processes as module
from physbench.support.errors import PhysbenchError
from physbench.support.processes import (
    SWITCH_INTERVAL,
    WorkerDiedError,
    WorkerPool,
    ordered,
    scheduled,
    short_switch_interval,
    thread_map,
)
from physbench.support.progress import Progress

PROGRAM = """
from physbench.support.processes import WorkerPool
if __name__ == "__main__":
    with WorkerPool(1) as pool:
        print(pool.submit(len, "abc").result())
"""
TWICE = """
from multiprocessing import forkserver
from physbench.support.processes import WorkerPool

def server():
    return forkserver._forkserver._forkserver_pid

for error in (ValueError, KeyboardInterrupt):
    try:
        with WorkerPool(1) as pool:
            pool.submit(len, "abc").result()
            before = server()
            raise error
    except error:
        print(server() == before)
    with WorkerPool(1) as pool:
        print(pool.submit(len, "abc").result())
"""


def test_a_failure_leaves_a_server_for_the_next_run(tmp_path: Path) -> None:
    """An error ends its own workers and nothing else; Ctrl-C ends the server too, and the next run starts another."""
    script = tmp_path / "program.py"
    script.write_text(TWICE)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["True", "3", "False", "3"]), done.stderr


ENDED = """
from multiprocessing import forkserver
from physbench.support.processes import WorkerPool

with WorkerPool(1) as pool:
    pool.submit(len, "abc").result()
print(forkserver._forkserver._forkserver_pid)
"""
BEGUN = """
from multiprocessing import forkserver
from physbench.support.processes import start_fork_server

start_fork_server(["torch"])
print(forkserver._forkserver._forkserver_pid)
"""


@pytest.mark.parametrize("program", [ENDED, BEGUN])
def test_a_program_ends_after_its_fork_server(tmp_path: Path, program: str) -> None:
    """Else the shell's `time` misses the workers, whose time counts as that of the server.

    So does one that ends, as on wrong use, while the server still imports.
    """
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_a_worker_can_tell_its_pool_something_while_it_works() -> None:
    with processes.WorkerPool(1) as pool:
        assert not pool.noticed.is_set()
        pool.submit(processes.notify).result()
        assert pool.noticed.is_set()
    processes.notify()  # in no worker: nothing


def test_a_folder_called_physbench_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "physbench").mkdir()
    script = tmp_path / "scripts" / "program.py"
    script.parent.mkdir()
    script.write_text(PROGRAM)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_signal_handlers_that_were_not_set_from_python_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`getsignal` says None for them, and nothing can put them back."""
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    for manager in (interruptible, processes._signals_ignored):
        with manager():
            pass
    monkeypatch.undo()
    assert {number: signal.getsignal(number) for number in ours} == ours


def test_workers_start_where_temporary_files_have_long_names(tmp_path: Path) -> None:
    """A socket has a name of 107 characters at most; schedulers name a folder for each job."""
    folder = tmp_path / ("job-" + 80 * "1")
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr
    assert not any(folder.iterdir())


def test_workers_have_one_thread_and_their_parent_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with processes.WorkerPool(1) as pool:
        assert pool.submit(os.getenv, "OPENBLAS_NUM_THREADS").result(60) == "1"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_a_lack_of_room_for_semaphores_names_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as sem_open does, without a filename

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", full)
    with pytest.raises(PhysbenchError, match="/dev/shm has no room"):
        processes.WorkerPool(1)


def test_threads_that_start_workers_leave_the_program_as_it_is() -> None:
    """Each hides the main module for a moment; none may take the stand-in of another one for it."""
    program = sys.modules["__main__"]

    def hide(inside: threading.Event, leave: threading.Event) -> None:
        with processes.main_hidden():
            inside.set()
            leave.wait(0.2)

    events = [threading.Event() for _ in range(4)]
    threads = [threading.Thread(target=hide, args=events[:2]), threading.Thread(target=hide, args=events[2:])]
    threads[0].start()
    events[0].wait()
    threads[1].start()  # would hide what the first one has put there
    events[2].wait(0.1)
    events[1].set()
    threads[0].join()
    events[3].set()
    threads[1].join()
    assert sys.modules["__main__"] is program


@pytest.mark.parametrize("end", (KeyboardInterrupt, pytest.param(ValueError, marks=pytest.mark.slow)))
def test_jobs_that_write_files_are_waited_for_but_not_for_long_on_ctrl_c(
    end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    with pytest.raises(end), processes.WorkerPool(2, patient=True) as pool:
        short, long = pool.submit(time.sleep, 0.01), pool.submit(time.sleep, 60.0 if end is KeyboardInterrupt else 3.0)
        short.result()
        began = time.monotonic()
        raise end
    assert short.done()
    failed = long.exception() is not None
    assert failed == (end is KeyboardInterrupt)
    assert time.monotonic() - began < 30 or not failed


INSIDE = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from physbench.support.processes import WorkerPool, worker_count

def job():
    with WorkerPool(2) as pool:
        return worker_count(None) > 0, pool.submit(os.getpid).result() != os.getpid()

if __name__ == "__main__":
    print(job(), end=" ")
    fork = multiprocessing.get_context("fork")
    if sys.argv[1] == "pool":
        with fork.Pool(1) as pool:
            print(pool.apply(job))
    else:
        with ProcessPoolExecutor(1, mp_context=fork) as pool:
            print(pool.submit(job).result())
    print(job())
"""


@pytest.mark.parametrize(("host", "starts"), [("pool", False), ("executor", True)])
def test_workers_of_somebody_have_workers_where_they_may(host: str, starts: bool, tmp_path: Path) -> None:
    """Daemonic processes may start none (ThilinaRajapakse/simpletransformers#1247, pytorch/pytorch#15950): they do the
    jobs themselves. Others that are forked from a process with workers start a server of their own.
    """
    script = tmp_path / "program.py"
    script.write_text(INSIDE)
    done = subprocess.run([sys.executable, script, host], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"(True, True) ({starts}, {starts})\n(True, True)\n"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOENT, errno.EACCES, errno.EPERM])
def test_jobs_are_done_here_where_the_system_has_no_semaphores(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As functions of a cloud do (nalepae/pandarallel#128, wandb/weave#4835), and containers without /dev/shm."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("multiprocessing.context.BaseContext.Lock", refuse)
    monkeypatch.setattr("multiprocessing.context.BaseContext.Event", refuse)
    assert processes.worker_count(None) == processes.worker_count(3) == 0
    assert os.strerror(number) in processes.no_processes()
    with processes.WorkerPool(2) as pool:
        assert pool.submit(os.getpid).result() == os.getpid() and not pool.shares_memory


@pytest.mark.parametrize("error", [EOFError(), BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")])
def test_jobs_are_done_here_where_the_system_starts_no_process(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("concurrent.futures.process.ProcessPoolExecutor._adjust_process_count", refuse)
    with processes.WorkerPool(2) as pool:
        assert pool.submit(os.getpid).result() == os.getpid() and not pool.shares_memory
    with pytest.raises(PhysbenchError, match="starts no more processes"), processes.WorkerPool(2) as pool:
        monkeypatch.setattr(pool, "_processes", lambda: [object()])
        try:
            pool.submit(os.getpid)
        finally:
            monkeypatch.delattr(pool, "_processes")


def test_without_workers_each_job_is_done_when_it_is_asked_for() -> None:
    with processes.WorkerPool(0) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        failed = pool.submit(divmod, 7, 0)
        assert failed.done() and isinstance(failed.exception(), ZeroDivisionError)
        pool.submit(processes.notify)
        assert pool.noticed.is_set()
    assert processes.worker_count(0) == 0 and processes.worker_count(3) == 3


def test_handlers_of_the_program_around_are_kept() -> None:
    """A trainer that notes down SIGTERM does so while a model is evaluated (Lightning-AI/pytorch-lightning#16534)."""
    noted: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
    try:
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
        assert noted == [signal.SIGTERM]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


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
