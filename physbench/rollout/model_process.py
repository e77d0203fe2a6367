"""Starts the process that holds the model, exchanges messages with it, and ends it. Does not import torch.

Where it dies or hangs, `engine.py` starts another one and asks again, for half as many clips where memory was full.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import multiprocessing
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.models.http.connection import TOKEN_VARIABLE
from physbench.rollout.messages import BOUNDS, MessageError, decode
from physbench.support.errors import PhysbenchError
from physbench.support.files import ENVIRONMENT, cache_dir
from physbench.support.plugins import TASK_FILES_VARIABLE
from physbench.support.printable import without_escapes
from physbench.support.processes import FAMILY_VARIABLE, end_family, how_it_ended, out_of_memory_kills

USERS_CACHES = "XDG_CACHE_HOME"  # the clip store lies there too, unless PHYSBENCH_CACHE says otherwise
REWRITTEN_SECONDS = 5.0  # after which a line that is written anew is shown
_HEAD = 4  # bytes before each message: its length, as `multiprocessing.connection` writes it
_STOP = object()
CONNECTION_LOST = 77  # the code with which the process exits where it cannot send: the model has closed descriptors


class ProcessDied(Exception):
    """The process has ended, or what it sends is no message. The text says how.

    `killed`: from outside, by SIGKILL or SIGTERM. `memory_was_full`: the system has ended a process for want of memory
    since this one began.
    """

    killed = False
    memory_was_full = False


class ReceiveTimeout(Exception):
    """No message arrived before the deadline."""


class SharedMemory:
    """Anonymous memory that both processes share. Nothing remains of it however they end."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            # Not limited by the size of /dev/shm. A process that shrank it would end the other one with SIGBUS.
            self.descriptor = os.memfd_create("physbench", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        self.size = 0
        self.view: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self._map: mmap.mmap | None = None

    def grow(self, size: int) -> None:
        """Make it at least `size` bytes long. It never shrinks."""
        if size > self.size:
            self._resize(size)
            self._map = mmap.mmap(self.descriptor, size)
            self.view = np.frombuffer(self._map, dtype=np.uint8)
            self.size = size

    def _resize(self, size: int) -> None:
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise PhysbenchError(
                f"{size / 1e6:.0f} MB cannot be shared with the model's process: that is more than a file may hold "
                "here. Raise the limit (ulimit -f), or use a smaller --batch-size."
            ) from error

    def release(self, offset: int, size: int) -> None:
        """Give a part back to the system where it can be: it holds zeros then, and takes memory when it is written."""
        start, end = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE, (offset + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if self._map is not None and hasattr(mmap, "MADV_REMOVE") and start < end:
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_REMOVE, start, end - start)

    def close(self) -> None:
        self.view, self._map = np.empty(0, dtype=np.uint8), None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def model_environment(sees_clips: bool, served: bool = False) -> dict[str, str]:
    """The environment of the model's process.

    It holds no place of clips and tasks, unless the model is handed clips, and the token of a server only where the
    model is `served` by one. Libraries keep what they have downloaded below XDG_CACHE_HOME.
    """
    environment = {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
    }  # scoring uses the cores: torch must not spin while it waits
    if not served:
        environment.pop(TOKEN_VARIABLE, None)
    if sees_clips:
        return environment
    caches = environment.get(USERS_CACHES)
    library_caches = {"HF_HOME": "huggingface", "TORCH_HOME": "torch"}  # where libraries look there, and by which name
    if caches:
        environment = {name: str(Path(caches) / folder) for name, folder in library_caches.items()} | environment
    store = cache_dir().absolute()
    hidden = {ENVIRONMENT, TASK_FILES_VARIABLE, USERS_CACHES}
    return {name: _outside(text, store) for name, text in environment.items() if name not in hidden}


def _outside(text: str, place: Path) -> str:
    """A text without what it names of a place: a path, or paths of a list, that lead to it or into it."""
    if str(place) not in text:
        return text
    return os.pathsep.join(part for part in text.split(os.pathsep) if not Path(part).is_relative_to(place))


class ModelOutput:
    """Output of the model's process, passed on to stderr line by line, without control characters.

    A line that is written anew, as a progress bar does, is shown as it is left, and on its way every few seconds.
    """

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        self._shown = time.monotonic()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)

    def begin(self) -> None:
        """Begin to pass on, once the process has the descriptor."""
        os.close(self.descriptor)
        self._thread.start()

    def end(self) -> None:
        """Wait until all is passed on. What the process has started may still hold the other end: not for long."""
        self._thread.join(1.0)  # s

    def _pass_on(self) -> None:
        pending = b""
        with contextlib.suppress(OSError), os.fdopen(self._read, "rb", buffering=0) as source:
            while arrived := source.read(1 << 16):
                *lines, pending = (pending + arrived).split(b"\n")
                for line in lines:
                    self._show(line)
                late = b"\r" in pending and time.monotonic() - self._shown > REWRITTEN_SECONDS
                if late or len(pending) > 1 << 16:  # bytes of a line of the model's output
                    self._show(pending)
                    pending = b""
            if pending.strip():
                self._show(pending)

    def _show(self, line: bytes) -> None:
        self._shown = time.monotonic()
        left = line.rstrip(b"\r").rpartition(b"\r")[2]
        text = without_escapes(left.decode("utf-8", "replace"))
        with contextlib.suppress(OSError):  # nobody reads it
            os.write(2, f"{text}\n".encode(getattr(sys.stderr, "encoding", None) or "utf-8", "replace"))


class ModelProcess:
    """A new interpreter in a process group of its own, so that Ctrl-C reaches the parent only.

    The process trusts its parent, whose jobs are pickled. The parent does not trust the process, and takes only what
    `messages.decode` accepts.
    """

    def __init__(
        self, memory: SharedMemory, debug: bool = False, sees_clips: bool = False, served: bool = False
    ) -> None:
        self._mark = secrets.token_hex(8)  # in the environment of all that this process starts
        self._received = bytearray()  # of messages that have not been read yet
        self._connection, child_end = multiprocessing.Pipe(duplex=True)
        self._output = ModelOutput()
        arguments = [str(child_end.fileno()), str(memory.descriptor), *(["--debug"] if debug else [])]
        self._process = subprocess.Popen(
            # -P: files in the current folder must not replace modules of the standard library.
            [sys.executable, "-P", "-m", "physbench.rollout.server", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._output.descriptor,  # what the model prints must not mix with data on stdout
            stderr=self._output.descriptor,
            pass_fds=(child_end.fileno(), memory.descriptor),
            start_new_session=True,
            env=model_environment(sees_clips, served) | {FAMILY_VARIABLE: self._mark},
        )
        child_end.close()
        self._output.begin()
        self._kills = out_of_memory_kills()
        # A thread sends, as a process that hangs does not read, and a large message would block the parent.
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._sender = threading.Thread(target=self._send_queued, daemon=True)
        self._sender.start()

    def _send_queued(self) -> None:
        with contextlib.suppress(OSError):  # `receive` reports that the process has ended
            while (message := self._queue.get()) is not _STOP:
                self._connection.send(message)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Any) -> None:
        """Send a message, without waiting until it is read."""
        self._queue.put(message)

    def receive(self, deadline: float) -> Any:
        """Receive the next message.

        deadline: By time.monotonic(), in s.

        Raises:
            ReceiveTimeout: No whole message arrived before the deadline.
            ProcessDied: The process has ended, or sent what is no message.
        """
        late = False
        try:
            while (content := self._whole_message()) is None:
                left = deadline - time.monotonic()
                if late or not self._connection.poll(max(0.0, left)):
                    raise ReceiveTimeout
                late = left < 0  # what has arrived by now counts; the rest of a message is not waited for
                self._read()
            return decode(content)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            death = ProcessDied(self._how_it_ended())
            code = self._process.returncode
            death.killed = code in (-signal.SIGKILL, -signal.SIGTERM)
            death.memory_was_full = code == -signal.SIGKILL and self._kills != out_of_memory_kills()
            raise death from None
        except MessageError as error:
            raise ProcessDied(f"sent {error}") from None

    def _read(self) -> None:
        """Take what has arrived, be it part of a message, without waiting for more."""
        arrived = os.read(self._connection.fileno(), BOUNDS.message_bytes)
        if not arrived:
            raise EOFError
        self._received += arrived

    def _whole_message(self) -> bytes | None:
        """The next message, or None as long as it has not arrived whole."""
        length = int.from_bytes(self._received[:_HEAD], "big")
        if length > BOUNDS.message_bytes:
            raise MessageError(f"a message of more than {BOUNDS.message_bytes >> 20} MiB")
        if len(self._received) < _HEAD + length:
            return None
        content = bytes(self._received[_HEAD : _HEAD + length])
        del self._received[: _HEAD + length]
        return content

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code == CONNECTION_LOST:
            return "closed its connection to this program"
        return how_it_ended(code, self._kills, out_of_memory_kills())

    def end(self) -> None:
        """End the process and all processes that it started, at once. Whoever waits in `receive` learns of it."""
        end_family(self._process.pid, self._mark)

    def kill(self) -> None:
        """End the process and all processes that it started, at once, and the connection to it."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may keep it alive
            self._process.wait(10)
        self._output.end()
        self._queue.put(_STOP)
        self._sender.join(10)
        self._connection.close()

    def stop(self) -> None:
        """Ask an idle process to end, and kill it if it does not."""
        self.send(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self.kill()
