"""Models' processes that are forked from one that has imported torch, as importing it takes seconds for each of them.

All else is as in `model_process.ModelProcess`: a session of their own, the environment and the descriptors they are
given, and how they end. One that is to be another interpreter than that (other words, another environment) is started
as the program does it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from physbench.rollout.model_process import model_environment

# Variables that Python, its loader and its numerical libraries read when they start. Others are read when needed:
# libraries set some in the process of the tests, after which models must still start warm.
READ_AT_START = ("PYTHON", "LD_", "OMP_", "OPENBLAS_", "MKL_")
SERVER = ("-P", "-m", "physbench.rollout.server")
STATUS = struct.Struct("i")
MOST_BYTES = 1 << 20  # of a request: an environment


def at_start(environment: dict[str, str]) -> dict[str, str]:
    """What an interpreter and its libraries read of their environment when they are imported."""
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


class WarmModel:
    """What `ModelProcess` uses of a `subprocess.Popen`."""

    def __init__(self, pid: int, ended: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("model_server", timeout or 0.0)
            said = self._ended.recv(STATUS.size)
            self.returncode = STATUS.unpack(said)[0] if said else -signal.SIGKILL
            self._ended.close()
        return self.returncode


class WarmModels:
    """Stands for the module `subprocess` in `physbench.rollout.model_process`."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._words = [sys.executable, *SERVER]
        self._environment = at_start(model_environment(False))
        self._server: subprocess.Popen[bytes] | None = None  # started when the first model is
        self._requests, self._theirs = socket.socketpair()
        self._one_at_a_time = threading.Lock()

    def _start(self) -> None:
        words = [sys.executable, "-P", __file__, str(self._theirs.fileno())]
        handles, environment = [self._theirs.fileno()], self._environment
        self._server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=2, pass_fds=handles, env=environment)
        self._theirs.close()

    def Popen(self, words: list[str], *, pass_fds: tuple[int, int], env: dict[str, str], **more: Any) -> Any:
        """Start the process of `ModelProcess`."""
        if os.getpid() != self._owner or words[:4] != self._words or at_start(env) != self._environment:
            return subprocess.Popen(words, pass_fds=pass_fds, env=env, **more)
        ours, theirs = socket.socketpair()
        with theirs, self._one_at_a_time:
            if self._server is None:
                self._start()
            request = json.dumps([str(Path.cwd()), env, words[6:]]).encode()
            socket.send_fds(self._requests, [request], [*pass_fds, more["stderr"], theirs.fileno()])
            (pid,) = STATUS.unpack(self._requests.recv(STATUS.size))
        return WarmModel(pid, ours)

    def adopt(self) -> None:
        """In a fork of the process of the tests, while that one waits for it: models start warm here, too."""
        if self._server is not None:
            self._owner = os.getpid()

    def stop(self) -> None:
        """End the process that all are forked from, and with it those that are left."""
        self._requests.close()
        if self._server is not None:
            self._server.wait()


def _become(request: bytes, handles: list[int]) -> None:
    """In a fork: the model's process; never returns."""
    import numpy as np

    from physbench.rollout import server

    code = 1
    try:
        os.setsid()
        folder, environment, more = json.loads(request)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        server.FAMILY_MARK = environment[server.FAMILY_VARIABLE]
        np.random.seed()  # noqa: NPY002  # else all forks have the state of the process that they come from
        connection, memory, output, ended = handles
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        os.close(ended)
        sys.argv[1:] = [str(connection), str(memory), *more]
        server.main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve(requests: socket.socket) -> None:
    """Fork a process for every request, and say how each has ended, until nobody asks any more."""
    gc.freeze()  # no fork goes through, and so copies, what it never lets go
    running: dict[int, socket.socket] = {}
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready = select.select([requests, woken], [], [])[0]
        if requests in ready:
            request, handles, *_ = socket.recv_fds(requests, MOST_BYTES, 4)
            if not request:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGCHLD, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.default_int_handler)
                for each in (requests, woken, wakes, *running.values()):
                    each.close()
                _become(request, handles)
            running[pid] = socket.socket(fileno=handles.pop())
            for handle in handles:
                os.close(handle)
            requests.send(STATUS.pack(pid))
        if woken in ready:
            woken.recv(4096)
            for pid in list(running):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    with running.pop(pid) as ended, contextlib.suppress(OSError):  # nobody may ask any more
                        ended.send(STATUS.pack(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    import physbench.rollout.server  # noqa: F401  # what all forks have then

    _serve(socket.socket(fileno=int(sys.argv[1])))
