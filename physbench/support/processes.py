"""Workers on every core, threads, maps over many items, how a process ended, and its end.

A process that makes a session of its own (`setsid`) is in another group, and one whose parent has ended is nobody's
descendant. Both still have the environment with which they were started, in which the first process has a marker. A
process that has cleared its environment and whose parent has ended is not found.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from multiprocessing import forkserver, util
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import psutil

from physbench.support import plugins
from physbench.support.errors import DISK_FULL, PhysbenchError
from physbench.support.progress import Progress

# Worker processes: one core each, silent on Ctrl-C, gone with the program that started them.
#
# A program may be one that starts no processes: a daemonic worker of somebody's pool or data loader, or one on a system
# without semaphores. There its own process does the jobs, one after the other.

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")

# Nothing is imported from the current folder: a folder there may be called physbench, as in the parent of a clone. One
# thread: a worker has one core, and the threads of OpenBLAS do not outlive the fork of a process that has used them.
WORKER_ENVIRONMENT = {
    "PYTHONSAFEPATH": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_notice: list[Any] = []  # in a worker: the event of its pool, to be set
PATIENCE = 1.0  # s that jobs which write files have after Ctrl-C


class WorkerDiedError(PhysbenchError):
    """A worker process ended before its job did. `lacks_memory`: whether memory may have been full."""

    lacks_memory = False

    def __init__(self, code: int | None, kills: int | None) -> None:
        """code: with which it ended, if that is known; kills: `out_of_memory_kills` when it began."""
        now = out_of_memory_kills()
        self.lacks_memory = may_lack_memory(code, kills, now)
        remedy = " Retry with --workers 1." if self.lacks_memory else ""
        super().__init__(f"A worker process {how_it_ended(code, kills, now)}.{remedy}")


def cores() -> int:
    """Cores that this process may use, which in a container or under a scheduler are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count(wanted: int | None) -> int:
    """Processes of a run that asks for so many, None for one per core; 0: this process does what they would."""
    if wanted == 0 or no_processes():
        return 0
    return wanted or cores()


def no_processes() -> str:
    """Reason that this process may start no others, or ""."""
    if multiprocessing.current_process().daemon:
        return "it is a daemonic one, as those of a multiprocessing.Pool and a data loader are"
    try:
        multiprocessing.get_context("spawn").Lock()
    except (ImportError, OSError) as error:
        if _is_refused(error):
            return f"the system has no semaphores for it ({getattr(error, 'strerror', None) or error})"
        # A full disk is said where workers are asked for.
    return ""


def _is_refused(error: BaseException) -> bool:
    """True if an error means that this system starts no processes, or has no semaphores for them."""
    # No /dev/shm, no such call, not allowed (twice), too many
    refusals = (errno.ENOENT, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EAGAIN)
    return isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno in refusals)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def notify() -> None:
    """In a worker: set `noticed` of its pool. Elsewhere it does nothing."""
    for event in _notice:
        event.set()


@contextmanager
def _noticed_by(event: Any) -> Iterator[None]:
    """Event of `notify` while this process does a job itself."""
    before = list(_notice)
    _notice[:] = [event]
    try:
        yield
    finally:
        _notice[:] = before


def _start(preload: Sequence[str], notice: Any, files: str, hashes: Mapping[Path, str]) -> None:
    """First thing in a worker: leave Ctrl-C and SIGTERM to the parent, end when it ends, use one core.

    Args:
        preload: Modules that the fork server has imported already, unless another pool started it.
        notice: The event of the pool, for `notify`.
        files: Files with the user's own tasks, from `plugins.environment_for_workers`. The fork server may be older.
        hashes: Hash of every file of the user's that the parent has read.
    """
    _notice[:] = [notice]
    plugins.adopt_in_worker(files, hashes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for module in preload:
        with contextlib.suppress(ImportError):  # the job that needs it raises a clear error
            importlib.import_module(module)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@contextmanager
def signals_kept() -> Iterator[Sequence[int]]:
    """Put the handlers of Ctrl-C and SIGTERM back at the end. Yields their numbers, none outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield ()
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler is not None}  # None: not of Python
    try:
        yield tuple(before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Processes that are started in here ignore Ctrl-C and SIGTERM from their first moment on."""
    with signals_kept() as numbers:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        yield


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    """A process that is started in here has WORKER_ENVIRONMENT."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_main_lock = threading.RLock()


@contextmanager
def main_hidden() -> Iterator[None]:
    """A process that is started in here does not import the program that asks: a script may have no main guard.

    Workers are given functions of this package alone. One thread at a time is in here, as a second one would take the
    first one's stand-in for the program.
    """
    with _main_lock:
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


def start_fork_server(preload: Sequence[str]) -> str:
    """Start the process that workers are forked from. It imports modules while the caller goes on.

    There is one for the whole program: where it runs already, nothing is imported. Where there is none on this system,
    each worker starts from nothing.

    preload: Names of modules. Returns the start method of workers.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    _take_short_temporary_folder()
    with _signals_ignored(), _environment_of_workers():
        try:
            forkserver.ensure_running()
        except ChildProcessError:  # it is that of the process which this one was forked from
            _forget_fork_server()
            forkserver.ensure_running()
    _end_fork_server_at_exit(os.getpid())
    return "forkserver"


def _forget_fork_server() -> None:
    """Let go of a fork server that is no child of this process: whose it is has it still."""
    server: Any = forkserver._forkserver
    os.close(server._forkserver_alive_fd)
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None


def _take_short_temporary_folder() -> None:
    """Let the sockets of multiprocessing lie in /tmp where $TMPDIR is too long for them, as on many clusters."""
    # The fork server's socket in it, "pymp-12345678/listener-12345678", needs a name that systems allow: 104 characters
    # with its end on macOS, 108 on Linux.
    if len(tempfile.gettempdir()) <= 70 or not os.access("/tmp", os.W_OK):
        return
    before = tempfile.tempdir
    tempfile.tempdir = "/tmp"
    try:
        util.get_temp_dir()  # is made once, and kept
    finally:
        tempfile.tempdir = before


@cache
def _end_fork_server_at_exit(process: int) -> None:
    """End the fork server and wait for it when this program ends, so that `time` counts the time of its workers.

    That is after multiprocessing has ended or joined all that the server has started.
    """
    util.Finalize(None, _end_fork_server, exitpriority=-1)


def _end_fork_server() -> None:
    if not multiprocessing.active_children():
        _kill_fork_server()  # it holds nothing, and to take down all that it has imported takes it half a second


def end_at_once() -> None:
    """Kill all workers and their server, and remove what they would leave, for a program that ends without its pools.

    What is done here may wait for a lock of the code that was interrupted: the caller sets itself a limit.
    """
    for process in multiprocessing.active_children():
        process.kill()
    _kill_fork_server()
    util._run_finalizers(0)  # type: ignore[attr-defined]  # semaphores; what has a lower priority waits for queues
    if folder := multiprocessing.current_process()._config.get("tempdir"):  # type: ignore[attr-defined]
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _semaphores() -> Iterator[None]:
    """Say where room is lacking for the semaphores that are made within: the system's error names no folder.

    Raises PhysbenchError: there is no room for them.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise PhysbenchError(
            "/dev/shm has no room for the semaphores of worker processes. Free some space there, or make it larger "
            "(docker run --shm-size 64m)."
        ) from error


def _done_at_once(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
    """A job that this process has done. Ctrl-C ends it, and whoever asked for it."""
    future: Future[R] = Future()
    try:
        future.set_result(function(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


class WorkerPool:
    """`with WorkerPool(2) as pool: future = pool.submit(function, ...)`.

    The fork server is one for the whole program, other libraries included, and stays to its end: a worker is there as
    soon as `submit` returns. Only Ctrl-C may leave a request that waits at it; then it goes too.

    Args:
        workers: Number of processes. With 0, or where none may be started, a job is done by this process, when it is
            submitted.
        preload: Names of modules that are imported once, for all workers.
        patient: Finish the jobs that are running when the block is left on an error, as fits jobs of a second that
            write files; on Ctrl-C those that end within PATIENCE. By default the workers are killed.

    Raises:
        WorkerDiedError: On leaving the block, if a worker died.
    """

    shares_memory: bool  # whether its processes see what this one shares with them

    def __init__(self, workers: int, preload: Sequence[str] = (), *, patient: bool = False) -> None:
        self._patient = patient
        self._kills = out_of_memory_kills()
        self.noticed: Any = threading.Event()  # set once a worker has called `notify`
        self._executor: ProcessPoolExecutor | None = None  # None: this process does the jobs
        if worker_count(workers):
            try:
                self._executor = self._processes_for(workers, preload)
            except OSError as error:
                if not _is_refused(error):
                    raise
        self.shares_memory = self._executor is not None

    def _processes_for(self, workers: int, preload: Sequence[str]) -> ProcessPoolExecutor:
        context = multiprocessing.get_context(start_fork_server(preload))
        with _semaphores():
            self.noticed = context.Event()
            arguments = (tuple(preload), self.noticed, *plugins.environment_for_workers())
            return ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=arguments)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start a job. Its function belongs to an installed module, not to the running script."""
        if self._executor is None:
            with _noticed_by(self.noticed):
                return _done_at_once(then_give_back, function, *args, **kwargs)  # type: ignore[arg-type]
        try:
            with main_hidden():  # workers are started here
                future = self._executor.submit(then_give_back, function, *args, **kwargs)  # type: ignore[arg-type]
        except (OSError, EOFError) as error:  # EOFError: the fork server could not fork, and has ended
            if not (isinstance(error, EOFError) or _is_refused(error)):
                raise
            if self._processes():
                raise PhysbenchError(
                    "The system starts no more processes. Use fewer --workers, or raise the limit (ulimit -u)."
                ) from error
            self._executor, self.shares_memory = None, False
            return self.submit(function, *args, **kwargs)
        self._watch_all(self._executor)
        return future

    @staticmethod
    def _watch_all(executor: ProcessPoolExecutor) -> None:
        """Let the thread of the executor watch the workers that there are now.

        It is woken before a worker is started, and may then wait without it: its end would be noticed only with the
        next result of another one.
        """
        with executor._shutdown_lock:
            if (wakeup := executor._executor_manager_thread_wakeup) is not None:
                wakeup.wakeup()

    def _kill(self, server: bool) -> None:
        """Kill the workers, and the server where it may still hold a request for one."""
        if server:
            _kill_fork_server()
        for process in self._processes():
            process.kill()

    def _processes(self) -> list[Any]:
        return [] if self._executor is None else list((self._executor._processes or {}).values())

    def _dead(self) -> list[Any]:
        """Processes that have ended. A thread of the executor reads their codes: two that read one at once get none."""
        known = self._processes()
        return [each for each in known if each._popen.returncode is not None or wait([each.sentinel], 0)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        interrupted = error is not None and not isinstance(error, Exception)
        if self._executor is None:
            return
        ended = self._dead()  # before the others are killed
        if error is not None and not self._patient:
            self._kill(interrupted)
        late = threading.Timer(PATIENCE, self._kill, (True,))
        if interrupted and self._patient:
            late.start()
        self._executor.shutdown(wait=True, cancel_futures=True)
        late.cancel()
        if isinstance(error, BrokenProcessPool):
            codes = [process.exitcode for process in ended if process.exitcode is not None]
            raise WorkerDiedError(next(filter(None, codes), next(iter(codes), None)), self._kills) from error


# How a process has ended, in words.


def out_of_memory_kills() -> int | None:
    """Processes that the system has ended for want of memory since it was started; None where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    except (OSError, ValueError, IndexError):
        return None


def may_lack_memory(code: int | None, kills: int | None, kills_now: int | None) -> bool:
    """True if a process may have been ended because memory was full. Arguments: see `how_it_ended`."""
    return code in (None, -signal.SIGKILL) and (kills is None or kills_now != kills)


def how_it_ended(code: int | None, kills: int | None, kills_now: int | None) -> str:
    """Text after "the process ...".

    Args:
        code: With which it has ended, if that is known; of a signal its number, negative.
        kills, kills_now: `out_of_memory_kills` when the process began, and afterwards.
    """
    full = may_lack_memory(code, kills, kills_now)
    if code is None:
        return f"ended unexpectedly{' (was memory full?)' if full else ''}"
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code != signal.SIGKILL:
        return f"was killed by {name}"
    return f"was killed by {name} ({'was memory full?' if full else 'not for want of memory'})"


# Maps a function that lets other threads run (copies, codecs, files) over items, on all cores of this process.

Mapped = TypeVar("Mapped")

SWITCH_INTERVAL = 5e-4  # s


def thread_map(function: Callable[[Item], Mapped], items: Sequence[Item]) -> Generator[Mapped, None, None]:
    """The results in the order of the items, each as soon as it is there.

    Raises what the function raises, in its turn. Where the caller stops, what has not begun is not done. The function
    must not map in turn: all threads might wait for that.
    """
    if min(cores(), len(items)) < 2:
        yield from map(function, items)
        return
    jobs = [_threads().submit(function, item) for item in items]
    try:
        for future in jobs:
            yield future.result()
    finally:
        futures.wait([future for future in jobs if not future.cancel()])


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Threads of this process wait less for one another: for 5 ms by default, where another one computes in Python."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept, as a thread that starts beside others that are at work takes milliseconds."""
    return ThreadPoolExecutor(cores())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork has none of the threads


# Gives the system back what this process has let go. The C library keeps it: after some large arrays, a lot of it.

PAUSE = 1.0  # s between two times, at least: it takes 2 ms, and what is needed again some 0.2 ms for each MB
_last = [0.0]  # s, when it was done


@cache
def _trim() -> Callable[[int], int] | None:
    """The call of the GNU C library; None where there is another one."""
    try:
        trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # not on this system
        return None
    return trim


def give_back() -> None:
    """Give back what is free on the heap, unless that was done just now."""
    trim, now = _trim(), time.monotonic()
    if trim is not None and now - _last[0] >= PAUSE:
        _last[0] = now
        trim(0)


def then_give_back(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function, and give back what it has left free."""
    try:
        return function(*args, **kwargs)
    finally:
        give_back()


FAMILY_VARIABLE = "PHYSBENCH_MODEL_FAMILY"


def end_family(pid: int, mark: str) -> None:
    """Kill the process group of a process, its descendants, and all that have its marker; not this process itself.

    Args:
        pid: The leader of the group; this process itself kills its group last.
        mark: The value of FAMILY_VARIABLE in the environment of the process.
    """
    own = os.getpid()
    for _ in range(20):  # a process that starts others faster than they are ended is let go
        members = family(pid, mark) - {own}
        for each in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        if pid != own:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        if not members:
            return
        time.sleep(0.01)  # until they are gone


def family(pid: int, mark: str) -> set[int]:
    """Ids of living processes: the descendants of one, and those that have its marker."""
    members = set()
    with contextlib.suppress(psutil.Error, OSError):
        first = psutil.Process(pid)
        if first.environ().get(FAMILY_VARIABLE) == mark:  # else the id is another process's by now
            members = {each.pid for each in first.children(recursive=True) if _lives(each)}
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if each.environ().get(FAMILY_VARIABLE) == mark and _lives(each):
                members.add(each.pid)
    return members


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    except psutil.Error:
        return False


AHEAD = 16  # results that wait for the one that is asked for, at most


@contextmanager
def scheduled(
    function: Callable[[Item], R],
    items: Sequence[Item],
    *,
    workers: int,
    preload: Sequence[str] = (),
    label: str = "",
    long: bool = False,
    beside: bool = False,
    ahead: int | None = None,
    size: Callable[[Item], int] = lambda item: 1,
) -> Iterator[Iterator[R]]:
    """`with scheduled(work, rows, workers=2, label="clips") as results: for result in results: ...`

    The results come in the order of the items, each as soon as it and those before it are there. Workers begin at once,
    not when the first result is asked for. A caller that can be resumed stores results itself, or has the function
    store them, and hands over the items that are missing.

    Args:
        function: Of an installed module, not of the running script.
        items: Are pickled for the workers.
        workers: Processes at most. With 0, where no process may be started, or where there are too few items, this
            process does each job when its result is asked for.
        preload: Modules that workers import before their first job.
        label: Of the bar of progress; "": there is none.
        long: A job takes longer than it takes to start a process: every item is worth one, and on an error jobs are
            killed in the middle. By default they are finished, as fits jobs of a second that write files.
        beside: The caller has something to do meanwhile, so that one process is worth it where there are two cores.
        ahead: Results that wait, at most: memory stays flat however many items there are. None: AHEAD, or two for
            each worker.
        size: By how much an item advances the bar.

    Raises WorkerDiedError: on leaving the block, if a worker died. What a job raises is raised in its turn.
    """
    # for fewer short jobs a worker, starting a process costs more than it saves
    count = min(worker_count(workers), len(items) // (1 if long else 3))
    ahead = max(AHEAD, 2 * count) if ahead is None else ahead
    with ExitStack() as stack:
        pool = None
        if count >= (1 if beside and cores() > 1 else 2):
            pool = stack.enter_context(WorkerPool(count, preload, patient=not long))
        progress = stack.enter_context(Progress(label, sum(map(size, items)))) if label else None
        yield _advancing(ordered(pool, function, items, ahead), items, progress, size)


def _advancing(
    results: Iterator[R], items: Iterable[Item], progress: Progress | None, size: Callable[[Item], int]
) -> Iterator[R]:
    for item, result in zip(items, results, strict=True):
        if progress is not None:
            progress.advance(size(item))
        yield result


def ordered(
    pool: WorkerPool | None, function: Callable[[Item], R], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[R]:
    """Map in order, with at most `ahead` results waiting. A pool begins at once; without one nothing is in advance."""
    if pool is None:
        return map(function, items)
    rest = iter(items)
    waiting = deque(pool.submit(function, item) for item in islice(rest, ahead))

    def results() -> Iterator[R]:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(rest, 1))

    return results()
