"""Worker processes that track and score, and that never outlive the run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, ParamSpec, TypeVar

from physbench.plugins import user_files

P = ParamSpec("P")
R = TypeVar("R")


def cores() -> int:
    """Cores that this process may use, which in a container or under a scheduler are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _start(files: str, hashes: Mapping[Path, str]) -> None:
    """First thing in a worker: leave Ctrl-C and SIGTERM to the parent, end when it ends, use one core.

    files, hashes: those with tasks and scorers of the user's. The fork server may be older than they are.
    """
    user_files.adopt_in_worker(files, hashes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Processes that are started in here ignore Ctrl-C and SIGTERM from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler is not None}  # None: not of Python
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _current_folder_ignored() -> Iterator[None]:
    """A process that is started in here does not import from the current folder.

    A folder there may be called physbench: the parent of a clone is such a place.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def main_hidden() -> Iterator[None]:
    """A process that is started in here does not import the program that asks: a script may have no main guard.

    Workers are given functions of this package alone.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _kill_fork_server() -> None:
    """Requests that wait at it must not become processes of a run that is over. The next run starts another one."""
    server: Any = getattr(forkserver, "_forkserver", None)
    pid = getattr(server, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            server._stop()  # waits for its end, or the next run would ask a server that is just dying


class Pool:
    """`with Pool(2) as pool: future = pool.submit(function, ...)`. Leaving on an error kills the workers.

    The fork server is one for the whole program, other libraries included, and stays: a worker is there as soon as
    `submit` returns. Only Ctrl-C may leave a request that waits at it; then it goes too.
    """

    def __init__(self, workers: int) -> None:
        # A fork server imports torch once for all workers; where there is none, each starts from nothing.
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(["physbench.run.preload"])
            with _signals_ignored(), _current_folder_ignored():  # it imports while the model is loaded
                forkserver.ensure_running()
        files = user_files.environment_for_workers()
        self._executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=files)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        with main_hidden():  # workers are started here
            return self._executor.submit(function, *args, **kwargs)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if not isinstance(error, Exception):
                _kill_fork_server()
            for process in list((self._executor._processes or {}).values()):
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
