"""Workers start wherever the user stands."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from physbench.run.interruption import interruptible
from physbench.support import processes
from physbench.support.errors import PhysbenchError

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
