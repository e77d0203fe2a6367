"""Serves a world model over HTTP for `physbench eval http://HOST:PORT`. Needs Python 3.9 and NumPy, but not physbench.

    python serve_model.py my_model.py --port 8800            # the file has a `card` and a function `rollout`
    python serve_model.py my_model.py:make --port 8800       # a function that makes an object with both

    card = {"name": "mine", "image_size": (64, 64), "fps": 15, "context_frames": 4}

    def rollout(context, horizon, actions, prompts, seeds):  # context (B, C, H, W, 3) uint8
        return frames                                        # (B, horizon, H, W, 3) uint8, or an iterator over chunks

An object whose `rollout` takes `generators` instead of `seeds` is given tensors, as in process, if torch is installed.
One rollout is computed at a time. Copy this file beside the model: it imports nothing of physbench.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import hmac
import importlib.util
import inspect
import json
import os
import secrets
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

PROTOCOL = 1
CARD_PATH, ROLLOUT_PATH = "/v1/card", "/v1/rollout"
MEDIA_TYPE = "application/x-physbench-frames"
HEAD_LENGTH = struct.Struct("<I")  # before each JSON head: its number of bytes


@dataclass(frozen=True)
class RequestBounds:
    """Bounds of requests and answers."""

    head: int = 1 << 16  # bytes of a card, or of the head of a block of frames
    request_head: int = 1 << 20  # bytes; it holds the prompts
    frames: int = 100_000  # of one rollout
    action_values: int = 1024  # of an action in a model's own space


BOUNDS = RequestBounds()


ARGUMENTS = ("context", "horizon", "actions", "prompts", "seeds")  # of a rollout, given by name
TOKEN_REASONS = ("a token is needed", "the token is wrong")  # of a refusal without a token, and with one
CARD_NEEDS = ("name", "image_size", "fps", "context_frames")
CARD_TAKES = (
    "max_horizon",
    "uses_actions",
    "uses_camera",
    "uses_prompt",
    "stochastic",
    "repeat_first",
    "track",
    "training_clips",
)


class RequestProblem(Exception):
    """A request that cannot be answered: its HTTP status and a message."""


class WrongFrames(Exception):
    """The model's answer has another type or shape than it must have, whatever the clip."""


class ClientHasGone(Exception):
    """Nobody waits for the answer any more."""


def pack_head(document: dict[str, Any]) -> bytes:
    """Length and JSON text of a head."""
    text = json.dumps(document).encode()
    return HEAD_LENGTH.pack(len(text)) + text


def split_target(target: str) -> tuple[Path, str]:
    """The file, and the name of the factory or ""."""
    name, _, factory = target.rpartition(":") if ".py:" in target else (target, "", "")
    path = Path(name).resolve()
    if not path.is_file():
        raise SystemExit(f"{path} does not exist. Give my_model.py or my_model.py:make.")
    return path, factory


def load(target: str, arguments: dict[str, Any], device: str | None) -> Any:
    """The model of `file.py` or `file.py:factory`. A factory that takes `device` is given `device` and `dtype`."""
    path, factory = split_target(target)
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"served_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    model: Any = module
    if factory:
        make = getattr(module, factory, None)
        if not callable(make):
            raise SystemExit(f"{path} has no function '{factory}'.")
        if "device" in inspect.signature(make).parameters:
            import torch

            arguments = {"device": torch.device(device or "cpu"), "dtype": torch.float32, **arguments}
        model = make(**arguments)
    missing = [name for name in ("card", "rollout") if not hasattr(model, name)]
    if missing:
        raise SystemExit(f"{target} has no {' and no '.join(missing)}. See the first lines of {Path(__file__).name}.")
    taken = inspect.signature(model.rollout)
    on_tensors = "generators" in taken.parameters
    if not factory and (arguments or (device and not on_tensors)):
        raise SystemExit(f"--arg and --device are for a function that makes the model, as in {target}:make.")
    if on_tensors:
        return model
    try:
        taken.bind(**dict.fromkeys(ARGUMENTS))
    except TypeError as error:
        raise SystemExit(f"rollout is given {', '.join(ARGUMENTS)} by name, and takes {taken}: {error}.") from None
    return model


def card_document(card: Any) -> dict[str, Any]:
    """The card as a JSON object, of a dict or of an object with these fields. physbench checks the values."""
    known = CARD_NEEDS + CARD_TAKES
    fields = card if isinstance(card, dict) else {name: getattr(card, name) for name in known if hasattr(card, name)}
    missing = [name for name in CARD_NEEDS if name not in fields]
    unknown = [name for name in fields if name not in known]
    wrong = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has the unknown {', '.join(unknown)}"] * bool(unknown)
    if wrong:
        raise SystemExit(f"The card {' and '.join(wrong)}; it may also hold {', '.join(CARD_TAKES)}.")
    return {**fields, "image_size": [int(side) for side in fields["image_size"]]}


def array_rollout(model: Any, device: str) -> Callable[..., Any]:
    """The model's rollout on arrays; one on tensors is wrapped."""
    range_tolerance = 0.49 / 255  # distance outside of [0, 1] that rounding hides
    if "generators" not in inspect.signature(model.rollout).parameters:
        rollout: Callable[..., Any] = model.rollout
        return rollout
    import torch

    def on_tensors(context: Any, horizon: int, actions: Any, prompts: list[str], seeds: list[int]) -> Iterator[Any]:
        with torch.inference_mode():
            torch.manual_seed(seeds[0])
            generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
            frames = torch.from_numpy(context).permute(0, 1, 4, 2, 3).contiguous().to(device).float().div_(255)
            given = None if actions is None else torch.from_numpy(actions).to(device)
            answer = model.rollout(frames, horizon=horizon, actions=given, prompts=prompts, generators=generators)
            for chunk in (answer,) if isinstance(answer, torch.Tensor) else answer:
                if not (isinstance(chunk, torch.Tensor) and chunk.is_floating_point() and chunk.ndim == 5):
                    raise WrongFrames("expected floating-point tensors of frames (B, t, 3, H, W)")
                low, high = (float(bound) for bound in chunk.float().aminmax())
                if not (low >= -range_tolerance and high <= 1 + range_tolerance):
                    raise ValueError(f"expected values in [0, 1], got {low:.3g} to {high:.3g}")
                levels = chunk.float().mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
                yield levels.permute(0, 1, 3, 4, 2).cpu().numpy()

    return on_tensors


def checked_chunks(answer: Any, context: np.ndarray[Any, Any], horizon: int) -> Iterator[np.ndarray[Any, Any]]:
    """The chunks of an answer, contiguous. Raises WrongFrames for what is not uint8 (batch, t, height, width, 3)."""
    batch, context_frames, *size, _ = context.shape
    chunks = iter([answer]) if isinstance(answer, np.ndarray) else answer
    if not hasattr(chunks, "__next__"):
        raise WrongFrames(f"expected an array or an iterator over arrays, got {type(answer).__name__}")
    room = horizon
    for chunk in chunks:
        if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8:
            got = chunk.dtype if isinstance(chunk, np.ndarray) else type(chunk).__name__
            raise WrongFrames(f"expected frames of type uint8, got {got}: values from 0 to 255, rounded")
        fits = chunk.ndim == 5 and chunk.shape[0] == batch and chunk.shape[2:] == (*size, 3)
        if not (fits and 1 <= chunk.shape[1] <= room):
            hint = ": without the context frames" * (chunk.shape[1:2] == (room + context_frames,))
            hint += ": channels last" * (chunk.shape[2:] == (3, *size))
            raise WrongFrames(f"expected frames of shape {(batch, room, *size, 3)}, got {chunk.shape}{hint}")
        room -= chunk.shape[1]
        yield np.ascontiguousarray(chunk)
    if room:
        raise WrongFrames(f"expected {horizon} frames, got {horizon - room}")


def describe(error: BaseException) -> dict[str, str]:
    """Error as the client receives it: one line, and its kind: of memory, of the type of frames, or another."""
    if isinstance(error, WrongFrames):
        return {"error": str(error), "kind": "frames"}
    calls = [call for call in traceback.extract_tb(error.__traceback__) if call.filename != __file__]
    own = [call for call in calls if "site-packages" not in call.filename and "/lib/python" not in call.filename]
    where = "".join(f" in {Path(call.filename).name}, line {call.lineno} ({call.name})" for call in (own or calls)[-1:])
    words = " ".join(str(error).split())[:300]
    full = isinstance(error, MemoryError) or "out of memory" in words.lower()
    return {"error": f"{type(error).__name__}{where}: {words}", "kind": "memory" if full else "raised"}


class ModelServer(ThreadingHTTPServer):
    """Holds the model. It listens from the start, so that clients wait while the model is loaded."""

    daemon_threads = True
    token = ""
    request_queue_size = 64  # clients that wait while the model is loaded
    context_shape: tuple[int, ...] = (0, 0, 0, 3)  # (C, H, W, 3)
    rollout: Callable[..., Any]
    card_answer: dict[str, Any]

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), RequestHandler)
        self.lock = threading.Lock()


class RequestHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 600.0  # s, for a client that neither sends nor reads
    disable_nagle_algorithm = True
    server: ModelServer

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: text of clients does not belong on the terminal."""

    def do_GET(self) -> None:
        self._answer(CARD_PATH, lambda: self._send_json(200, self.server.card_answer))

    def do_POST(self) -> None:
        self._answer(ROLLOUT_PATH, self._roll_out)

    def _answer(self, path: str, action: Callable[[], None]) -> None:
        self.left = 0  # bytes of the body that were not read
        expected, given = f"Bearer {self.server.token}", self.headers.get("Authorization", "")
        try:
            try:
                if not self.path.rstrip("/").endswith(path):
                    raise RequestProblem(404, f"there is nothing here; {CARD_PATH} and {ROLLOUT_PATH} are")
                if self.server.token and not hmac.compare_digest(expected.encode(), given.encode()):
                    raise RequestProblem(401, TOKEN_REASONS[bool(given)])
                action()
            except RequestProblem as problem:
                self.close_connection = True
                self._send_json(problem.args[0], {"error": problem.args[1], "kind": "request"})
        except (ClientHasGone, OSError):
            self.close_connection = True

    def _send_json(self, status: int, document: dict[str, Any]) -> None:
        while self.left > 0 and (part := self.rfile.read(min(self.left, 1 << 20))):
            self.left -= len(part)  # closing with unread data would discard the answer on its way
        text = json.dumps(document).encode()
        self._send_head(status, "application/json", ("Content-Length", str(len(text))))
        self._write(text)

    def _send_head(self, status: int, kind: str, length: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header(*length)
        if self.close_connection:
            self.send_header("Connection", "close")
        self._send_if_heard(self.end_headers)

    def _write(self, *parts: bytes | memoryview) -> None:
        for part in parts:
            self._send_if_heard(self.wfile.write, part)

    def _send_if_heard(self, action: Callable[..., object], *given: Any) -> None:
        """Tell an error in sending from one of the model's."""
        try:
            action(*given)
        except OSError:
            raise ClientHasGone from None

    def _read(self, size: int) -> bytearray:
        data = bytearray(self.rfile.read(size))  # models may write into their context
        if len(data) < size:
            raise ClientHasGone
        self.left -= size
        return data

    def _read_request(self) -> dict[str, Any]:
        """The arguments of the model's rollout."""
        if self.headers.get("Content-Type") != MEDIA_TYPE:  # which no web page can send unasked
            raise RequestProblem(415, f"expected Content-Type: {MEDIA_TYPE}")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RequestProblem(411, "expected a Content-Length")
        self.left = total = int(length)
        (size,) = HEAD_LENGTH.unpack(self._read(HEAD_LENGTH.size)) if total > HEAD_LENGTH.size else (total,)
        if size > min(BOUNDS.request_head, self.left):
            raise RequestProblem(
                413, f"expected a head of at most {BOUNDS.request_head} bytes: ask for smaller batches"
            )
        try:
            head = json.loads(self._read(size))
            if head["protocol"] != PROTOCOL:
                raise RequestProblem(400, f"this server speaks version {PROTOCOL} of the protocol")
            batch, frames, horizon = (int(head[key]) for key in ("batch", "context_frames", "horizon"))
            shape = (batch, frames, int(head["height"]), int(head["width"]), 3)
            seeds, prompts = [int(seed) for seed in head["seeds"]], [str(prompt) for prompt in head["prompts"]]
            has_actions, width = bool(head["actions"]), int(head.get("action_values", 6))  # hue as RGB, impulse in N s
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RequestProblem(400, f"the head cannot be read: {type(error).__name__} {error!s:.100}") from None
        wanted = (batch, *self.server.context_shape)
        if shape != wanted or batch < 1 or not 1 <= horizon <= BOUNDS.frames:
            raise RequestProblem(400, f"expected context of shape (B, {wanted[1]}, {wanted[2]}, {wanted[3]}, 3)")
        if not 1 <= width <= BOUNDS.action_values:
            raise RequestProblem(400, f"expected 1 to {BOUNDS.action_values} numbers an action")
        table = (batch, frames + horizon, width)
        pixels, action_bytes = int(np.prod(shape)), int(np.prod(table)) * 4 if has_actions else 0
        if self.left != (rest := pixels + action_bytes) or len(seeds) != batch or len(prompts) != batch:
            raise RequestProblem(400, f"expected {rest} bytes after the head, and {batch} seeds and prompts")
        context = np.frombuffer(self._read(pixels), np.uint8).reshape(shape)
        actions = np.frombuffer(self._read(action_bytes), "<f4").reshape(table) if has_actions else None
        return {"context": context, "horizon": horizon, "actions": actions, "prompts": prompts, "seeds": seeds}

    def _roll_out(self) -> None:
        request = self._read_request()
        batch, horizon = len(request["context"]), request["horizon"]
        with self.server.lock:
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise ClientHasGone
            begun, streaming = time.monotonic(), False
            try:
                answer = self.server.rollout(**request)
                for chunk in checked_chunks(answer, request["context"], horizon):
                    if not streaming:
                        streaming = True
                        self._send_head(200, MEDIA_TYPE, ("Transfer-Encoding", "chunked"))
                    self._send_block({"frames": chunk.shape[1]}, chunk.data)
                self._write(b"0\r\n\r\n")
                print(f"{batch} x {horizon} frames: {time.monotonic() - begun:.2f} s", file=sys.stderr, flush=True)
            except ClientHasGone:
                raise
            except (Exception, SystemExit) as error:
                traceback.print_exc()
                if streaming:
                    self._send_block(describe(error))
                    self._write(b"0\r\n\r\n")
                else:
                    self._send_json(500, describe(error))

    def _send_block(self, head: dict[str, Any], frames: memoryview | None = None) -> None:
        packed = pack_head(head)
        size = len(packed) + (frames.nbytes if frames is not None else 0)
        self._write(b"%x\r\n%s" % (size, packed), *([] if frames is None else [frames]), b"\r\n")


def read_token(path: Path) -> str:
    """The token in a file; a file that does not exist is made, readable for its owner alone."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        print(f"Wrote a new token into {path}.", file=sys.stderr)
    token = path.read_text(encoding="utf-8").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SystemExit(f"{path}: expected one line of printable characters without spaces.")
    return token


def code_hash(target: str, files: list[str]) -> str:
    """SHA-256 of the model's file and of further files."""
    digest = hashlib.sha256()
    for path in (split_target(target)[0], *map(Path, files)):
        if not path.is_file():
            raise SystemExit(f"--hash {path}: there is no such file.")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def argument(pair: str) -> tuple[str, Any]:
    key, _, text = pair.partition("=")
    try:
        return key, ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return key, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="my_model.py or my_model.py:make")
    parser.add_argument("--port", type=int, default=8800, help="0: any that is free")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: all of this machine")
    parser.add_argument("--token-file", type=Path, help="the token clients must send; made if it is missing")
    parser.add_argument("--open", action="store_true", help="other machines may call the model without a token")
    parser.add_argument("--device", help="for models on tensors")
    parser.add_argument("--arg", action="append", default=[], metavar="K=V", help="passed to make; repeatable")
    parser.add_argument("--hash", action="append", default=[], metavar="FILE", help="weights, for the reported SHA-256")
    options = parser.parse_args()
    if options.host not in ("127.0.0.1", "::1", "localhost") and not (options.token_file or options.open):
        raise SystemExit(f"At {options.host} others could call the model. Give --token-file FILE, or --open if meant.")
    digest = code_hash(options.model, options.hash)  # before the model is loaded, which may take long
    try:
        server = ModelServer(options.host, options.port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", "a port is a number from 0 to 65535")
        raise SystemExit(f"Cannot listen at {options.host}, port {options.port}: {reason}.") from None
    server.token = read_token(options.token_file) if options.token_file else ""
    model = load(options.model, dict(argument(pair) for pair in options.arg), options.device)
    card = card_document(model.card)
    server.context_shape = (card["context_frames"], *card["image_size"], 3)
    server.rollout = array_rollout(model, options.device or "cpu")
    server.card_answer = {"protocol": PROTOCOL, "card": card, "model_sha256": digest}
    url = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{server.server_address[1]}"
    print(f"Serving {card['name']}. Evaluate it with: physbench eval {url}", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)


if __name__ == "__main__":
    main()
