"""Starts, talks to and ends the process that holds the model. Nothing here imports torch."""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STOP = object()


class ProcessDied(Exception):
    """The process is gone. The message says how it ended; `killed`: by SIGKILL, as for want of memory."""

    killed = False


class ReceiveTimeout(Exception):
    """Nothing came before the deadline."""


class SharedMemory:
    """Memory that both processes see, without a name: nothing is left behind however they end."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("physbench")  # not bounded by the size of /dev/shm
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        self.size = 0
        self.view: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)

    def grow(self, size: int) -> None:
        """Make it at least `size` bytes long; it never shrinks."""
        if size > self.size:
            os.ftruncate(self.descriptor, size)
            self.view = np.frombuffer(mmap.mmap(self.descriptor, size), dtype=np.uint8)
            self.size = size

    def close(self) -> None:
        self.view = np.empty(0, dtype=np.uint8)
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class ModelProcess:
    """A fresh interpreter in a process group of its own, so that Ctrl-C reaches the parent alone."""

    def __init__(self, memory: SharedMemory, debug: bool = False) -> None:
        self._connection, theirs = multiprocessing.Pipe(duplex=True)
        words = [str(theirs.fileno()), str(memory.descriptor), *(["--debug"] if debug else [])]
        self._process = subprocess.Popen(
            # -P: files in the current folder must not stand in for modules of the standard library.
            [sys.executable, "-P", "-m", "physbench.rollouts.model_server", *words],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what the model prints must not mix with our data
            pass_fds=(theirs.fileno(), memory.descriptor),
            start_new_session=True,
            # Scoring has the cores meanwhile: a thread of torch that spins while it waits takes what another needs.
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        )
        theirs.close()
        # A process that hangs does not read: a large message must not make the parent wait for it.
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._postman = threading.Thread(target=self._post, daemon=True)
        self._postman.start()

    def _post(self) -> None:
        with contextlib.suppress(OSError):  # that the process is gone is said by `receive`
            while (letter := self._outbox.get()) is not _STOP:
                self._connection.send(letter)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Any) -> None:
        """Send a message, without waiting until it is read."""
        self._outbox.put(message)

    def receive(self, deadline: float) -> Any:
        """Next message. Raises Silence at the deadline (time.monotonic()), ProcessDied where there is no more."""
        try:
            if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                raise ReceiveTimeout
            return self._connection.recv()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            death = ProcessDied(self._how_it_ended())
            death.killed = self._process.returncode == -signal.SIGKILL
            raise death from None

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code >= 0:
            return f"exited with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was killed by {name}" + (" (was memory full?)" if -code == signal.SIGKILL else "")

    def kill(self) -> None:
        """End it and everything that it started, now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold on to it
            self._process.wait(10)
        self._outbox.put(_STOP)
        self._postman.join(10)
        self._connection.close()

    def stop(self) -> None:
        """Ask an idle process to end; kill it if it does not."""
        self.send(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self.kill()
