"""Who is at work at a URL. Object stores have no locks: this finds the usual case of two machines, not every one.

The machine at work keeps an object there and writes it anew every few seconds. One that finds the object looks at it
for some time, by its own clock: while it changes, somebody is at work; if it stays as it is, whoever wrote it is gone.
"""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

from physbench.errors import PhysbenchError, UsageError
from physbench.storage.remote_place import RemotePlace, remote_errors

LOCK_OBJECT = ".lock"
BEAT_SECONDS = 10.0  # between two signs of life
LEASE_SECONDS = 30.0  # without one after which a machine counts as gone
LOOK_SECONDS = 2.0  # between two looks at the lock of another machine


class TakenOverError(PhysbenchError):
    """Another machine has taken the lock of this one."""


class RemoteLock:
    """The lock of a folder behind a URL.

    Args:
        folder: The folder.
        token: Names the one who works; the same one may go on at once after it was killed.
        say: Prints a line.
    """

    def __init__(self, folder: RemotePlace, token: str, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._path = f"{folder.path}/{LOCK_OBJECT}"
        self._token = token
        self._say = say
        self._beats = 0
        self._renewing = threading.Lock()  # no thread reads what another one is writing

    def take(self) -> None:
        """Take the lock.

        Raises:
            UsageError: Another machine is at work there, or the place cannot be written to.
            PhysbenchError: It does not answer.
        """
        with remote_errors(self._folder.url):
            while not self._created():
                found = self._read()
                if found is not None and found.get("token") != self._token:
                    self._refuse_living(found)
                self._remove()

    def renew(self) -> None:
        """Give a sign of life. Raises TakenOverError where another machine has taken over meanwhile."""
        url = self._folder.url
        with self._renewing, remote_errors(url):
            found = self._read()
            if found is None:  # somebody has taken over, and ended since
                raise TakenOverError(f"{url}: the lock of this machine is gone. Another one may have worked there.")
            if found.get("token") != self._token:
                raise TakenOverError(f"{url}: {_host(found)} has taken over, as this one seemed gone.")
            self._beats += 1
            self._folder.fs.pipe_file(self._path, self._content())

    def release(self) -> None:
        """Give it back, if it is still one's own."""
        with remote_errors(self._folder.url):
            found = self._read()
            if found is not None and found.get("token") == self._token:
                self._remove()

    def _created(self) -> bool:
        try:
            self._folder.fs.pipe_file(self._path, self._content(), mode="create")
        except FileExistsError:
            return False
        return True

    def _refuse_living(self, found: dict[str, Any]) -> None:
        """Return once the other machine has given no sign of life for a while; raise UsageError if it gives one."""
        url, host = self._folder.url, _host(found)
        self._say(
            f"{url}: {host} has begun to work there. Looking for up to {LEASE_SECONDS:g} s whether it still does."
        )
        until = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            now = self._read()
            if now is None:
                return
            if now != found:
                raise UsageError(f"{url}: {_host(now)} is at work there. Wait for it, or choose another place.")

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._folder.fs.cat_file(self._path))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _remove(self) -> None:
        try:
            self._folder.fs.rm_file(self._path)
        except FileNotFoundError:
            return

    def _content(self) -> bytes:
        return json.dumps({"host": platform.node(), "token": self._token, "beats": self._beats}).encode()


def _host(found: dict[str, Any]) -> str:
    return f"the machine {str(found.get('host') or 'without a name')[:100]}"
