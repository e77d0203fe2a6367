"""Folders behind URLs: places, a working copy in the cache, and who is at work there.

The machine at work keeps an object there and writes it anew every few seconds. One that finds the object looks at it
for some time, by its own clock: while it changes, somebody is at work; if it stays as it is, whoever wrote it is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physbench.support.errors import DISK_FULL, PhysbenchError, UsageError
from physbench.support.files import COPY_LOCK, cache_dir, locked_file, write_json, write_sealed_json
from physbench.support.run_folder import RunFolder

# Places behind URLs: in object stores (`s3://bucket/name`) and whatever else fsspec reaches.
#
# fsspec names the file systems and their errors in many ways; what goes wrong is said here in one or two lines.

URL_FORM = re.compile(r"[a-z][a-z0-9+.-]*://[\w.,:=+%/-]+", re.ASCII)  # no user, no query: these may be secrets
MOST_QUOTED = 200  # characters of what a library says


@dataclass(frozen=True)
class RemotePlace:
    """A file or folder behind a URL.

    Attributes:
        url: As the user gave it, without a slash at the end.
        fs: The file system of fsspec.
        path: In it.
    """

    url: str
    fs: Any
    path: str


def is_url(text: object) -> bool:
    """True if this is a URL and no path."""
    return isinstance(text, str) and re.match(r"([a-z][a-z0-9+.-]*)://", text) is not None


def remote_place(url: str) -> RemotePlace:
    """Place that a URL names. No request is sent yet.

    Raises UsageError: it is no URL that could be kept in a manifest, or nothing is installed that reads it.
    """
    url = url.rstrip("/")
    if not URL_FORM.fullmatch(url) or "::" in url:  # fsspec would take several file systems, one in another
        scheme = url.partition(":")[0][:MOST_QUOTED]
        raise UsageError(
            f"{scheme}://...: expected a URL of ASCII letters, digits and . , : = + % / - _ such as s3://BUCKET/NAME. "
            "Secrets and settings are no part of it: they stand in the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE)."
        )
    if {".", ".."} & set(url.split("/")):
        raise UsageError(f"{url}: expected a URL without parts '.' and '..'. Name the folder or the file itself.")
    from fsspec.core import url_to_fs

    with remote_errors(url):
        fs, path = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
    fs.auto_mkdir = True  # of a file system on this machine; object stores have no folders
    return RemotePlace(url, fs, str(path).rstrip("/"))


def version_of(info: Mapping[str, Any]) -> str:
    """Version of a file's content, from what fsspec says of it: its size, and its ETag or else its time."""
    version_fields = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
    mark = next((str(info[name]) for name in version_fields if info.get(name)), "")
    return f"{info.get('size')} {mark}"


@contextmanager
def remote_errors(url: str) -> Iterator[None]:
    """Say in one or two lines what goes wrong in here with a place behind a URL.

    Raises:
        UsageError: The URL, what is installed or the credentials do not fit.
        PhysbenchError: Anything else, such as a network that is gone.
    """
    try:
        yield
    except PhysbenchError:
        raise
    except Exception as error:  # each file system has errors of its own, and not all of them are OSErrors
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise _explained_error(url, error) from error


def _explained_error(url: str, error: Exception) -> PhysbenchError:
    scheme, reason = url.partition("://")[0], _first_line(error)
    if isinstance(error, ImportError):
        remedy = "pip install 'physbench[remote]'" if scheme.startswith("s3") else "Install what is named there."
        return UsageError(f"{url}: what reads {scheme}:// is not installed ({reason}). {remedy}")
    if isinstance(error, ValueError) and "rotocol not known" in reason:
        return UsageError(
            f"{url}: there is no protocol {scheme}://. Expected such as s3://BUCKET/NAME or file:///PATH."
        )
    no_credentials = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound")
    if type(error).__name__ in no_credentials:
        return UsageError(
            f"{url}: there are no credentials for it here ({reason}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or AWS_PROFILE."
        )
    if isinstance(error, PermissionError):
        return UsageError(f"{url}: access is denied ({reason}). Use credentials that may read and write there.")
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{url}: there is no such place ({reason}). Name one that exists; a bucket is not created.")
    return PhysbenchError(
        f"{url}: does not answer as it should ({reason}). Is the network up, and AWS_ENDPOINT_URL right if it is set?"
    )


def _first_line(error: Exception) -> str:
    """The first line of an error without queries of URLs, in which signatures may stand."""
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return re.sub(r"\?[^\s\"']*", "?...", line)[:MOST_QUOTED]


# A folder behind a URL, and its copy in the cache, in which the work is done.
#
# `pull` makes the copy what the URL holds, `push` brings there what was made, changed or removed since. Only files that
# differ travel: of each the size and time of the copy are remembered, and size and ETag (or time) at the URL.
#
# What the URL holds counts. What was made here and could not be pushed stays if the manifest at the URL is still the
# one that this copy knows; otherwise somebody else has gone on with the run, and the copy becomes theirs.

COPIES = "runs"  # the area of the cache
KNOWN_FILE = "known.json"
COPY = "copy"  # holds the folder that bears the name of the run, apart from what is kept beside it
MOST_NAME = 400  # characters of a name below the folder

Stat = tuple[int, int]  # bytes, ns
Known = dict[str, tuple[Stat, str]]  # by name; the version at the URL
NOT_KNOWN = (OSError, ValueError, KeyError, TypeError, AttributeError)  # KNOWN_FILE is missing, or something else


class RemoteFolder:
    """A folder behind a URL and its copy, at `self.local`.

    Args:
        url: The folder.
        ours: First parts of the names that belong to a run. Other objects are left as they are.
    """

    def __init__(self, url: str, ours: Collection[str]) -> None:
        self.place = remote_place(url)
        self._ours = frozenset(ours)
        whole = self.place.fs.unstrip_protocol(self.place.path)
        self.base = cache_dir() / COPIES / hashlib.sha256(whole.encode()).hexdigest()[:32]
        self.local = self.base / COPY / (self.place.path.rpartition("/")[2] or "run")
        self.manifest = RunFolder(self.local).manifest
        self.token = secrets.token_hex(16)
        self._known: Known = {}  # what the copy and the URL have in common
        self._replaced: set[str] = set()  # at the URL, of a run that is started over
        with contextlib.suppress(*NOT_KNOWN):
            self.token, self._known = _read_known(self.base)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No other process of this machine uses the copy in here. Raises BlockingIOError where one does."""
        self.base.mkdir(parents=True, exist_ok=True)
        handle = locked_file(self.base / COPY_LOCK)
        try:
            yield
        finally:
            os.close(handle)

    def check(self) -> None:
        """Raise UsageError where the URL holds something else than a run, PhysbenchError where it does not answer."""
        self._listing()

    def pull(self, say: Callable[[str], None], wanted: Callable[[str], bool] = lambda name: True) -> None:
        """Make the copy what the URL holds of what is wanted; what was made here and not pushed may stay.

        Raises:
            UsageError: The URL holds names that no run has, or something else than a run.
            PhysbenchError: It does not answer, or there is no space for it.
        """
        there = self._listing()
        name = self.manifest.name
        same_run = there.get(name, (0, ""))[1] == (self._known[name][1] if name in self._known else "")
        for name, stat in self._files().items():
            before = self._known.get(name)
            unchanged = (before[1] if before else "") == there.get(name, (0, ""))[1]
            is_new = before is None or before[0] != stat
            if not unchanged or (is_new and not same_run):
                (self.local / name).unlink()
                self._known.pop(name, None)
        here = self._files()
        self._known = {name: before for name, before in self._known.items() if name in here}
        missing = [name for name in there if name not in here and wanted(name)]
        self._fetch(sorted(missing, key=lambda name: name != self.manifest.name), there, say)
        self._save()

    def start_over(self) -> None:
        """Forget the copy: what the URL holds is removed from there once there is a new manifest here."""
        shutil.rmtree(self.local, ignore_errors=True)
        self._known, self._replaced = {}, set(self._listing())
        self._save()  # or a session that is killed before it pushes would leave its files as those of the old run

    def push(self, check: Callable[[], None] = lambda: None) -> int:
        """Bring what has changed to the URL, in an order in which nothing there speaks of files that are not there yet.

        First goes a manifest that is not finished, as it says how the other files were made. Then follow data before
        documents, as a document says that something is done, and the manifest of a finished run last.

        check: Called before anything is sent or removed, and from time to time meanwhile; may raise.

        Returns the number of files.
        """
        if not self.manifest.is_file():  # nothing was begun, or the copy is gone: nothing may be removed for that
            return 0
        stat, content = _stat(self.manifest), self.manifest.read_bytes()  # before what it may speak of is listed
        here = self._files()
        here.pop(self.manifest.name, None)
        changed = sorted(name for name in here if self._is_new(name, here[name]))
        changed.sort(key=lambda name: name.endswith(".json"))  # data before documents
        gone = self._known.keys() - here.keys() - {self.manifest.name}
        if not (changed or gone or self._is_new(self.manifest.name, stat)):
            return 0
        with remote_errors(self.place.url):
            check()
            self._remove(self._replaced - {self.manifest.name})
            self._replaced = set()
            begun = self._unfinished(content)
            if begun != content or self._is_new(self.manifest.name, stat):
                self._send_manifest(begun, stat if begun == content else (-1, -1))  # no file has it
            for names in _chunks(changed):
                check()
                kept = [name for name in names if (self.local / name).is_file()]
                self.place.fs.put([str(self.local / name) for name in kept], [self._path(name) for name in kept])
                self._known |= {name: (here[name], "") for name in kept}
            check()
            self._remove(gone)
            if begun != content:
                self._send_manifest(content, stat)
        return len(changed) + len(gone)

    def settle(self, check: Callable[[], None] = lambda: None) -> None:
        """Push the rest, and remember how the URL names what is there: files that stay so need not travel again."""
        self.push(check)
        there = self._listing()
        self._known = {name: (stat, there[name][1]) for name, (stat, _) in self._known.items() if name in there}
        self._save()

    def waiting(self) -> int:
        """Number of files that are not at the URL as they are here."""
        return sum(self._is_new(name, stat) for name, stat in self._files().items())

    def _send_manifest(self, content: bytes, stat: Stat) -> None:
        """Bring a manifest to the URL, and remember at once that it is this copy's: what is new here belongs to it."""
        path = self._path(self.manifest.name)
        self.place.fs.pipe_file(path, content)
        self._known[self.manifest.name] = (stat, version_of(self.place.fs.info(path)))
        self._save()

    def _unfinished(self, content: bytes) -> bytes:
        """The manifest without the hashes of what the run consists of, which only a finished one has."""
        document = json.loads(content)
        if "contents" not in document:
            return content
        path = self.base / "begun.json"
        write_sealed_json(path, {key: value for key, value in document.items() if key != "contents"})
        return path.read_bytes()

    def _remove(self, names: Iterable[str]) -> None:
        """Remove files at the URL, each by itself: a list would end at the first one that is gone already."""
        for name in sorted(names):
            with contextlib.suppress(FileNotFoundError):
                self.place.fs.rm_file(self._path(name))
            self._known.pop(name, None)

    def _is_new(self, name: str, stat: Stat) -> bool:
        before = self._known.get(name)
        return before is None or before[0] != stat

    def _path(self, name: str) -> str:
        return f"{self.place.path}/{name}"

    def _listing(self) -> dict[str, tuple[int, str]]:
        """(bytes, version) by name of all files of a run that the URL holds."""
        url, start = self.place.url, f"{self.place.path}/"
        with remote_errors(url):
            self.place.fs.invalidate_cache()
            listed = self.place.fs.find(self.place.path, detail=True)
        if self.place.path in listed and listed[self.place.path].get("type") == "file":
            raise UsageError(f"{url} is a file. Name a folder.")
        names = {
            path.removeprefix(start): info
            for path, info in listed.items()
            if path.startswith(start) and not path.endswith("/") and info.get("type") != "directory"  # marks of folders
        }
        there = {}
        for name, info in names.items():
            if name.partition("/")[0] not in self._ours:
                continue
            if not is_plain_name(name) or info.get("islink") or info.get("type") != "file":
                raise UsageError(f"{url} holds {name[:MOST_NAME]!r}, which is no file of a run. Remove it.")
            there[name] = (int(info.get("size") or 0), version_of(info))
        others = sorted({each for name in names if not (each := name.partition("/")[0]).startswith(".")})
        if others and self.manifest.name not in there:
            raise UsageError(f"{url} holds other files ({', '.join(others[:3])[:MOST_NAME]}) and no run.")
        return there

    def _fetch(self, names: list[str], there: Mapping[str, tuple[int, str]], say: Callable[[str], None]) -> None:
        """Bring files into the copy, each whole or not at all."""
        size = sum(there[name][0] for name in names)
        incoming = self.base / "incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        if size > (free := shutil.disk_usage(incoming).free):
            raise PhysbenchError(
                f"{self.place.url}: its files take {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in "
                f"{self.base}. Free some space, or set PHYSBENCH_CACHE to another folder."
            )
        if len(names) > 1:
            say(f"Fetching {len(names)} files ({size / 1e6:.1f} MB) of {self.place.url} ...")
        for chunk in _chunks(names):
            drafts = {name: incoming / str(number) for number, name in enumerate(chunk)}
            with remote_errors(self.place.url):
                try:
                    self._get(drafts)
                except FileNotFoundError:  # somebody has removed one since they were listed
                    still = self._listing()
                    drafts = {name: draft for name, draft in drafts.items() if name in still}
                    self._get(drafts)
            for name, draft in drafts.items():
                path = self.local / name
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    draft.replace(path)
                except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                    raise UsageError(f"{self.place.url} holds {name!r} both as file and as folder.") from error
                self._known[name] = (_stat(path), there[name][1])

    def _get(self, drafts: Mapping[str, Path]) -> None:
        if drafts:
            self.place.fs.get([self._path(name) for name in drafts], [str(draft) for draft in drafts.values()])

    def _files(self) -> dict[str, Stat]:
        return _files_below(self.local)

    def _save(self) -> None:
        files = {name: (*stat, mark) for name, (stat, mark) in self._known.items() if mark}
        write_json(self.base / KNOWN_FILE, {"url": self.place.url, "token": self.token, "files": files})


def holds_unsent(base: Path) -> bool:
    """True if the copy in a folder of the cache has files of which it is not known that the URL holds them."""
    known: Known = {}
    with contextlib.suppress(*NOT_KNOWN):
        known = _read_known(base)[1]
    copies = (base / COPY).iterdir() if (base / COPY).is_dir() else ()
    return any(
        name not in known or known[name][0] != stat for copy in copies for name, stat in _files_below(copy).items()
    )


def is_plain_name(name: str) -> bool:
    """True if a name of an object is one that a file of a run may have below its folder.

    It has no ".." and nothing hidden, and no wildcards, which fsspec would expand.
    """
    parts = name.split("/")
    shown = len(name) <= MOST_NAME and name.isprintable() and not set(name) & set("\\*?[]")
    return shown and all(part and not part.startswith(".") for part in parts)


def _read_known(base: Path) -> tuple[str, Known]:
    """The token of a copy, and what it and its URL had in common. Raises one of NOT_KNOWN where that is not kept."""
    document = json.loads((base / KNOWN_FILE).read_text(encoding="utf-8"))
    return str(document["token"]), {
        name: ((size, time), mark) for name, (size, time, mark) in document["files"].items()
    }


def _files_below(place: Path) -> dict[str, Stat]:
    """Size and time by name of the files of a copy, without hidden ones: these are being written."""
    files = {}
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder) / name
            if not name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    files[path.relative_to(place).as_posix()] = _stat(path)
    return files


def _stat(path: Path) -> Stat:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    names = list(names)
    at_once = 16  # files that travel at the same time
    return (names[at : at + at_once] for at in range(0, len(names), at_once))


LOCK_OBJECT = ".lock"


@dataclass(frozen=True)
class LockTimes:
    """Times of a lock that machines share, s."""

    beat: float = 10.0  # between two signs of life
    lease: float = 30.0  # without one after which a machine counts as gone
    poll: float = 2.0  # between two looks at the lock of another machine


LOCK = LockTimes()


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
                holder = self._read()
                if holder is not None and holder.get("token") != self._token:
                    self._refuse_living(holder)
                self._remove()

    def renew(self) -> None:
        """Give a sign of life. Raises TakenOverError where another machine has taken over meanwhile."""
        url = self._folder.url
        with self._renewing, remote_errors(url):
            holder = self._read()
            if holder is None:  # somebody has taken over, and ended since
                raise TakenOverError(f"{url}: the lock of this machine is gone. Another one may have worked there.")
            if holder.get("token") != self._token:
                raise TakenOverError(f"{url}: {_host(holder)} has taken over, as this one seemed gone.")
            self._beats += 1
            self._folder.fs.pipe_file(self._path, self._content())

    def release(self) -> None:
        """Give it back, if it is still one's own."""
        with remote_errors(self._folder.url):
            holder = self._read()
            if holder is not None and holder.get("token") == self._token:
                self._remove()

    def _created(self) -> bool:
        try:
            self._folder.fs.pipe_file(self._path, self._content(), mode="create")
        except FileExistsError:
            return False
        return True

    def _refuse_living(self, holder: dict[str, Any]) -> None:
        """Return once the other machine has given no sign of life for a while; raise UsageError if it gives one."""
        url, host = self._folder.url, _host(holder)
        self._say(f"{url}: {host} has begun to work there. Looking for up to {LOCK.lease:g} s whether it still does.")
        until = time.monotonic() + LOCK.lease
        while time.monotonic() < until:
            time.sleep(LOCK.poll)
            now = self._read()
            if now is None:
                return
            if now != holder:
                raise UsageError(f"{url}: {_host(now)} is at work there. Wait for it, or choose another place.")

    def _read(self) -> dict[str, Any] | None:
        try:
            holder = json.loads(self._folder.fs.cat_file(self._path))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._folder.fs.rm_file(self._path)

    def _content(self) -> bytes:
        return json.dumps({"host": platform.node(), "token": self._token, "beats": self._beats}).encode()


def _host(holder: dict[str, Any]) -> str:
    return f"the machine {str(holder.get('host') or 'without a name')[:100]}"
