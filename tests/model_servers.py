"""Servers of models for tests: `serve_model.py` in an environment without physbench, and servers that misbehave."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from physbench.models.http import serve_model

CARD = {"name": "toy", "image_size": [32, 40], "fps": 10, "context_frames": 3}
SIZE = (32, 40)
Answer = Callable[[socket.socket, str, bytes], object]

# Runs a script with the standard library and NumPy alone, and says what it could import.
ALONE = """\
import importlib.util, runpy, sys
sys.path.append(sys.argv.pop(1))
found = [name for name in ("physbench", "torch", "scipy", "numpy") if importlib.util.find_spec(name)]
print("importable:", *found, file=sys.stderr, flush=True)
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def numpy_alone(folder: Path) -> Path:
    """A folder for sys.path in which NumPy lies and nothing else."""
    place = folder / "numpy-alone"
    place.mkdir(exist_ok=True)
    installed = Path(np.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (installed / name).exists() and not (place / name).exists():
            (place / name).symlink_to(installed / name)
    return place


class StartedServer:
    """A process that runs serve_model.py. `url` waits until it serves; `said` is what it has printed since."""

    def __init__(self, folder: Path, model: str, *options: str, alone: bool = True, port: int = 0) -> None:
        copy = folder / "serve_model.py"
        copy.write_bytes(Path(serve_model.__file__).read_bytes())
        words = [copy.name, model, "--port", str(port), *options]
        command = [sys.executable, "-I", "-S", "-c", ALONE, str(numpy_alone(folder))] if alone else [sys.executable]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, *words], cwd=folder, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.said: list[str] = []
        self.url = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            found = re.search(r"physbench eval (\S+)", line)
            if found:
                self.url = found[1]
                break
        self._reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()), daemon=True)
        self._reader.start()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(60)


@contextmanager
def started(folder: Path, source: str, *options: str, alone: bool = True, factory: str = "") -> Iterator[StartedServer]:
    """Serve the model in `source`, written as my_model.py."""
    (folder / "my_model.py").write_text(source)
    server = StartedServer(folder, f"my_model.py{factory and ':'}{factory}", *options, alone=alone)
    try:
        yield server
    finally:
        server.stop()


def respond(
    body: bytes, status: str = "200 OK", *headers: str, length: int | None = None, kind: str = "application/json"
) -> bytes:
    """A whole HTTP answer."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def card_answer(**fields: object) -> bytes:
    """An answer with a card; `protocol` and `model_sha256` are given beside its fields."""
    document = {"protocol": fields.pop("protocol", 1), "card": {**CARD, **fields}}
    return respond(json.dumps(document).encode())


def blocks(batch: int, *lengths: int, level: int = 7) -> bytes:
    """The body of a right answer in blocks of these lengths."""
    parts = []
    for count in lengths:
        parts.append(
            serve_model.pack_head({"frames": count}) + bytes([level]) * (batch * count * SIZE[0] * SIZE[1] * 3)
        )
    return b"".join(parts)


class RawServer:
    """Reads requests and does with the socket what a test says: `answer(socket, path, body)`."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str, bytes]] = []  # first line, headers, body
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while first := stream.readline().decode():
                    headers = ""
                    while (line := stream.readline().decode()) not in ("\r\n", ""):
                        headers += line
                    found = re.search(r"Content-Length: (\d+)", headers)
                    body = stream.read(int(found[1])) if found else b""
                    self.requests.append((first.strip(), headers, body))
                    if self.answer(connection, first.split()[1], body) is False:
                        return
            except OSError:
                return

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()
        for connection in self.open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def raw_server(card: bytes | Answer | None = None, rollout: bytes | Answer | None = None) -> Iterator[RawServer]:
    """A server that answers GET and POST with these bytes, or does what these functions do."""

    def answer(connection: socket.socket, path: str, body: bytes) -> object:
        chosen = (card if card is not None else card_answer()) if path.endswith("/card") else rollout
        if callable(chosen):
            return chosen(connection, path, body)
        assert chosen is not None
        return connection.sendall(chosen)

    server = RawServer(answer)
    try:
        yield server
    finally:
        server.close()
