"""A folder behind a URL, and its copy in the cache, in which the work is done.

`pull` makes the copy what the URL holds, `push` brings there what was made, changed or removed since. Only files that
differ travel: of each the size and time of the copy are remembered, and size and ETag (or time) at the URL.

What the URL holds counts. What was made here and could not be pushed stays if the manifest at the URL is still the one
that this copy knows; otherwise somebody else has gone on with the run, and the copy becomes theirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from physbench.errors import PhysbenchError, UsageError
from physbench.storage.atomic_write import write_json
from physbench.storage.cache_dir import cache_dir
from physbench.storage.folder_lock import COPY_LOCK, locked_file
from physbench.storage.remote_place import remote_errors, remote_place, version_of
from physbench.storage.run_contents import CONTENTS
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import write_sealed_json

COPIES = "runs"  # the area of the cache
KNOWN_FILE = "known.json"
BEGUN_FILE = "begun.json"
INCOMING = "incoming"
COPY = "copy"  # holds the folder that bears the name of the run, apart from what is kept beside it
AT_ONCE = 16  # files that travel at the same time
MOST_NAME = 400  # characters of a name below the folder

Stat = tuple[int, int]  # bytes, ns
Known = dict[str, tuple[Stat, str]]  # by name; the version at the URL
NO_STAT: Stat = (-1, -1)  # of no file
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

        Args:
            check: Called before anything is sent or removed, and from time to time meanwhile; may raise.

        Returns:
            The number of files.
        """
        if not self.manifest.is_file():  # nothing was begun, or the copy is gone: nothing may be removed for that
            return 0
        stat, content = _stat(self.manifest), self.manifest.read_bytes()  # before what it may speak of is listed
        here = self._files()
        here.pop(self.manifest.name, None)
        changed = sorted((name for name in here if self._is_new(name, here[name])), key=_order)
        gone = self._known.keys() - here.keys() - {self.manifest.name}
        if not (changed or gone or self._is_new(self.manifest.name, stat)):
            return 0
        with remote_errors(self.place.url):
            check()
            self._remove(self._replaced - {self.manifest.name})
            self._replaced = set()
            begun = self._unfinished(content)
            if begun != content or self._is_new(self.manifest.name, stat):
                self._send_manifest(begun, stat if begun == content else NO_STAT)
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
        if CONTENTS not in document:
            return content
        path = self.base / BEGUN_FILE
        write_sealed_json(path, {key: value for key, value in document.items() if key != CONTENTS})
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
            found = self.place.fs.find(self.place.path, detail=True)
        if self.place.path in found and found[self.place.path].get("type") == "file":
            raise UsageError(f"{url} is a file. Name a folder.")
        files = {path: info for path, info in found.items() if path.startswith(start) and not _is_marker(path, info)}
        names = {path.removeprefix(start): info for path, info in files.items()}
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
        incoming = self.base / INCOMING
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
    """Whether the copy in a folder of the cache has files of which it is not known that the URL holds them."""
    known: Known = {}
    with contextlib.suppress(*NOT_KNOWN):
        known = _read_known(base)[1]
    copies = (base / COPY).iterdir() if (base / COPY).is_dir() else ()
    return any(
        name not in known or known[name][0] != stat for copy in copies for name, stat in _files_below(copy).items()
    )


def is_plain_name(name: str) -> bool:
    """Whether a name of an object is one that a file of a run may have below its folder.

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
    found = {}
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder) / name
            if not name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    found[path.relative_to(place).as_posix()] = _stat(path)
    return found


def _is_marker(path: str, info: Mapping[str, Any]) -> bool:
    """Whether an object only stands for a folder, as the console of a store makes them."""
    return path.endswith("/") or info.get("type") == "directory"


def _order(name: str) -> tuple[bool, str]:
    return name.endswith(".json"), name


def _stat(path: Path) -> Stat:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    names = list(names)
    return (names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE))
