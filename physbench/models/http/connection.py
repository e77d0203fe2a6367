"""A connection to the server of a model. Its answers are untrusted: sizes and times are bounded.

Proxies of the environment are not used, redirects are not followed, and nothing is unpacked.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.files import user_path, user_text
from physbench.support.printable import printable

TOKEN_VARIABLE = "PHYSBENCH_HTTP_TOKEN"
TOKEN_ARGUMENT = "token_file"
VIDEOS_PATH = "/v1/videos"  # at the end of an address: see `videos_api`
NO_ANSWER = "No answer from "  # the start of messages on a server that has gone
LONGEST_CALL = 86_400.0  # s; --timeout ends a batch long before
MAX_MESSAGE = 300  # characters of a server's words in a message

Body = Sequence[bytes | memoryview]


class NoServerError(ModelError):
    """Nothing listens at the address, or nothing answers there."""


class LostConnectionError(PhysbenchError):
    """The server has gone in the middle of an answer."""


@dataclass(frozen=True)
class ServerAddress:
    """Address of a server."""

    secure: bool
    host: str
    port: int
    path: str = ""  # before /v1/card

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"

    @property
    def is_this_machine(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def parse_address(target: str) -> ServerAddress:
    """The address in http://HOST:PORT or https://HOST:PORT/PATH. Raises ModelError, without repeating a password."""
    expected = "Expected http://HOST:PORT or https://HOST:PORT"
    if "@" in target:
        raise ModelError(f"{expected}, without user or password: give a token in {TOKEN_VARIABLE}.")
    try:
        parts = urlsplit(target)
        host = parts.hostname or ""
    except ValueError:
        raise ModelError(f"{expected}, got {printable(target)}.") from None
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise ModelError(f"{expected}, got {printable(target)}: a port is a number from 1 to 65535.") from None
    plain = target.isascii() and target.isprintable() and " " not in target
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise ModelError(f"{expected}, got {printable(target)}.")
    if parts.query or parts.fragment:
        raise ModelError(f"{expected}, without ? and #: give a token in {TOKEN_VARIABLE}.")
    return ServerAddress(parts.scheme == "https", host, port, parts.path.rstrip("/"))


def one_line(text: object) -> str:
    """A text in one printable line that is not too long."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."


def read_whole(response: HTTPResponse, most: int) -> bytes:
    """All of an answer, or its first `most` + 1 bytes. Raises EOFError where bytes that were announced do not come."""
    content = response.read(most + 1)
    if len(content) <= most and response.length:
        raise EOFError
    return content


def find_token(model_args: Mapping[str, str]) -> str:
    """The token in --model-arg token_file=FILE, else in the environment; "" where there is none."""
    if TOKEN_ARGUMENT in model_args:
        path = user_path(model_args[TOKEN_ARGUMENT])
        try:
            token, where = user_text(path.read_bytes()).strip(), str(path)
        except OSError as error:
            raise ModelError(f"--model-arg {TOKEN_ARGUMENT}: {path} cannot be read: {error.strerror}.") from None
        except ValueError:  # no text
            token, where = "", str(path)
        if not token:
            raise ModelError(f"{where} holds no token: expected one line of printable characters.")
    else:
        token, where = os.environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
    if token and not re.fullmatch(r"[\x21-\x7e]{1,4096}", token):
        raise ModelError(f"{where} holds no token: expected one line of printable characters without spaces.")
    return token


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline, however slowly the bytes arrive."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until this is closed
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """Part of a socket that HTTPResponse uses."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = sock, deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket, self._deadline), 1 << 18)


class ServerConnection:
    """One connection, which is kept open between requests. A request after a failed one opens another."""

    def __init__(self, address: ServerAddress, token: str = "", token_place: str = TOKEN_VARIABLE) -> None:
        self.address = address
        self._token = token
        self._token_place = token_place
        self._connection: HTTPConnection | None = None
        self._unreachable = False
        self._has_answered = False

    def warnings(self) -> list[str]:
        """Sentences for the reader of a run: that others on the network can read the token."""
        openly = self._token and not self.address.secure and not self.address.is_this_machine
        return [f"The token is sent to {self.address.url} in the open: use https:// or a tunnel."] if openly else []

    def say(self, text: object) -> str:
        """Words of the server in one printable line, without the token."""
        line = " ".join(str(text).split())
        return one_line(line.replace(self._token, "***") if self._token else line)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> HTTPConnection:
        """The open connection. Raises NoServerError that says what to do."""
        if self._connection is not None and self._connection.sock is not None:
            return self._connection
        address = self.address
        seconds = 1.0 if self._unreachable else 10.0  # where the last attempt failed: many clips may follow
        if address.secure:
            context = ssl.create_default_context()
            connection: HTTPConnection = HTTPSConnection(address.host, address.port, timeout=seconds, context=context)
        else:
            connection = HTTPConnection(address.host, address.port, timeout=seconds)
        self._unreachable = True
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:
            connection.close()
            raise NoServerError(f"{NO_ANSWER}{address.url}: {self._why_not(error, seconds)}") from None
        self._unreachable = False
        self._connection = connection
        return connection

    def _start_hint(self) -> str:
        if self.address.path.endswith(VIDEOS_PATH):
            return "Start the server there; docs/models/http.md says what it is asked."
        command = f"python serve_model.py my_model.py --port {self.address.port}"
        return f"Start it there: {command} (made by `physbench models serve-template`)"

    def _why_not(self, error: Exception, seconds: float) -> str:
        """Reason that the connection cannot be opened, with a remedy."""
        match error:
            case ConnectionRefusedError() if self._has_answered:
                return "nothing listens there any more: it has answered before, and went away. Look at its log."
            case ConnectionRefusedError():
                return f"nothing listens there.\n{self._start_hint()}"
            case ssl.SSLCertVerificationError():
                reason = one_line(error.verify_message)
                return f"its certificate is not accepted ({reason}). Name its authority's file in SSL_CERT_FILE."
            case ssl.SSLError():
                return f"it does not speak TLS ({one_line(error.reason)}). Is it http://, without the s?"
            case TimeoutError():
                return f"no connection within {seconds:g} s. Are host and port right, and does a firewall let it pass?"
            case socket.gaierror() | UnicodeError():
                return f"the name {self.address.host} is not known."
            case _:
                return f"{one_line(getattr(error, 'strerror', None) or error)}."

    def request(
        self,
        method: str,
        path: str,
        seconds: float,
        body: Body = (),
        media_type: str = "",
        success: tuple[int, ...] = (200,),
    ) -> HTTPResponse:
        """Send a request and return the answer, which may be read until `seconds` from now.

        success: Status of an answer that is one.

        Raises:
            NoServerError: There is no connection, or no answer in time.
            LostConnectionError: The server closed the connection.
            ModelError: What answers is no server of the protocol, or refuses the request.
        """
        reused = self._connection is not None and self._connection.sock is not None
        try:
            response = self._exchange(method, path, seconds, body, media_type)
        except LostConnectionError:
            if not reused:
                raise
            response = self._exchange(method, path, seconds, body, media_type)  # it had closed an idle connection
        if response.status not in success or response.headers.get("Content-Encoding", "identity") != "identity":
            self._refuse(response, path)
        self._has_answered = True
        return response

    def _exchange(self, method: str, path: str, seconds: float, body: Body, media_type: str) -> HTTPResponse:
        deadline = time.monotonic() + seconds
        connection = self.connect()
        connection.response_class = lambda sock, **given: HTTPResponse(_TimedSocket(sock, deadline), **given)  # type: ignore[assignment,arg-type]
        connection.sock.settimeout(seconds)
        headers = {"Accept-Encoding": "identity", "User-Agent": "physbench"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body:
            headers |= {
                "Content-Type": media_type,
                "Content-Length": str(sum(memoryview(part).nbytes for part in body)),
            }
        try:
            # A server may refuse a request before it has read all of it: its answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, self.address.path + path, body or None, headers)
            return connection.getresponse()
        except TimeoutError:
            self.close()
            raise NoServerError(f"{NO_ANSWER}{self.address.url} within {seconds:g} s.") from None
        except (ConnectionError, ssl.SSLEOFError):
            self.close()
            raise LostConnectionError(f"{NO_ANSWER}{self.address.url}: it closed the connection.") from None
        except (HTTPException, OSError, ValueError) as error:
            self.close()
            raise ModelError(
                f"{self.address.url} does not speak HTTP/1.1 ({self.say(error) or type(error).__name__})."
            ) from None

    def _refuse(self, response: HTTPResponse, path: str) -> None:
        """Raise ModelError for an answer that is not the one asked for."""
        url, status = self.address.url, response.status
        answer = self._error_in(response)
        self.close()
        error = answer.get("error", answer.get("detail", ""))
        reason = str(error.get("message", "") if isinstance(error, dict) else error)
        if status in (401, 403):
            hint = f"Set {TOKEN_VARIABLE}, or give --model-arg {TOKEN_ARGUMENT}=FILE."
            from physbench.models.http.serve_model import TOKEN_REASONS

            if self._token:
                hint = f"The token in {self._token_place} is not the server's."
            words = reason if reason in TOKEN_REASONS else self.say(reason)  # a token may be a word of serve_model.py
            raise ModelError(f"{url} refuses access ({words or status}). {hint}")
        if 300 <= status < 400:
            place = self.say(response.headers.get("Location", "nowhere"))
            raise ModelError(f"{url} redirects to {place}. Redirects are not followed: give the right address.")
        if status in (502, 503, 504):  # something in between cannot reach the server
            raise NoServerError(f"{NO_ANSWER}{url}: status {status}{': ' if reason else ''}{self.say(reason)}.")
        if status == 200:
            raise ModelError(f"{url} answers in a compressed form, which was not asked for.")
        raise ServerRefusalError(
            status, f"{url}{path} answers with status {status}", self.say(reason), answer.get("kind")
        )

    def _error_in(self, response: HTTPResponse) -> dict[str, Any]:
        """The JSON object of an answer that is an error; empty where there is none."""
        try:
            document = json.loads(response.read(1 << 16))
        except (OSError, HTTPException, ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}


class ServerRefusalError(ModelError):
    """The server answers with an error: its words, and of what kind it says that the error is."""

    def __init__(self, status: int, where: str, message: str, kind: object) -> None:
        super().__init__(f"{where}{f': {message}' if message else '.'}")
        self.status = status
        self.message = message
        self.kind = kind
