"""Files with tasks or scorers of the user's, which nothing has installed: `./my_task.py`, `FILE.py:Class`, `*.py`.

To name a file is to say that it may run. Files with tasks are registered in the process that names them and, through an
environment variable, in the processes that it starts; a file is read again whenever it is named.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from physbench.errors import UsageError, nearest
from physbench.plugins.local_imports import local_imports, sources_hash

ENVIRONMENT = "PHYSBENCH_TASK_FILES"  # absolute paths, joined by os.pathsep
_PART = re.compile(r"(.+?\.py)(?::(\w*))?", re.DOTALL)


@dataclass(frozen=True)
class OwnFile:
    """A file as it was when it was named."""

    path: Path  # absolute
    sha256: str  # with what it imports from its folder
    beside: tuple[tuple[Path, str], ...] = ()  # those files, and the hash of each

    @property
    def module(self) -> ModuleType:
        """The file, imported. Raises UsageError with the line where it cannot be."""
        return _imported(self)

    def document(self) -> dict[str, Any]:
        """For manifest.json."""
        others = {str(path): sha256 for path, sha256 in self.beside}
        return {"path": str(self.path), "sha256": self.sha256} | ({"imports": others} if others else {})


def parts_of(pattern: str) -> list[str]:
    """What stands between the commas, without blanks."""
    return [part.strip() for part in pattern.split(",") if part.strip()]


def is_file(part: str) -> bool:
    """Whether a part names files (`FILE.py`, `FILE.py:Class`, `folder/*.py`) and not what is installed."""
    return _PART.fullmatch(part) is not None


def absolute(pattern: str) -> str:
    """The pattern with globs of files expanded and their paths absolute, so that it means the same everywhere.

    Raises UsageError where a file is missing.
    """
    found: list[str] = []
    for part in parts_of(pattern):
        found += [f"{path}:{name}" if name else str(path) for path, name in _files(part)] if is_file(part) else [part]
    return ",".join(found)


def opened(part: str) -> list[tuple[OwnFile, str]]:
    """The files that a part names, as they are now, and the name behind the colon, or "".

    Raises UsageError where a file is missing, and in a worker where it is not the one that the parent read.
    """
    return [(_as_it_is(path), name) for path, name in _files(part)]


def _as_it_is(path: Path) -> OwnFile:
    others = local_imports(path)
    beside = tuple((other, hashlib.sha256(other.read_bytes()).hexdigest()) for other in others)
    file = OwnFile(path, sources_hash(path, others), beside)
    if _pinned.get(path, file.sha256) != file.sha256:
        raise UsageError(f"{path} has changed while it was in use: scores of two versions never mix. Start again.")
    _read[path] = file.sha256
    return file


def documents(pattern: str | None) -> list[dict[str, Any]]:
    """Path and hash of every file in a pattern, for manifest.json."""
    files = [file for part in parts_of(pattern or "") if is_file(part) for file, _ in opened(part)]
    return [file.document() for file in sorted(set(files), key=lambda file: file.path)]


def members(file: OwnFile, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Public names of a file with their values: those that `wanted` accepts, without what it imports."""
    for name, value in vars(file.module).items():
        made = getattr(value, "function", value)  # of a scorer
        made_here = getattr(made, "__module__", file.module.__name__) == file.module.__name__
        if not name.startswith("_") and made_here and wanted(value):
            yield name, value


def pick(file: OwnFile, name: str, found: dict[str, Any], kind: str) -> dict[str, Any]:
    """What `name` chooses of what was found in a file by name; all of it for "". Raises UsageError for nothing."""
    if not found:
        raise UsageError(f"{file.path} holds no {kind}. See `physbench {kind}s new` for one that does.")
    if name and name not in found:
        raise UsageError(f"{file.path} holds no {kind} named '{name}'.{nearest(name, found)}")
    return {name: found[name]} if name else found


# Files with tasks, which every process of a run needs.

_registered: dict[Path, OwnFile] | None = None
_read: dict[Path, str] = {}  # hash of every file as it was read last
_pinned: Mapping[Path, str] = {}  # in a worker: those of its parent


def registered() -> tuple[OwnFile, ...]:
    """The files with tasks that were named in this process or in the one that started it."""
    global _registered
    if _registered is None:
        _registered = {}
        for text in filter(None, os.environ.get(ENVIRONMENT, "").split(os.pathsep)):
            for file, _ in opened(text):
                _registered[file.path] = file
    return tuple(_registered.values())


def register(file: OwnFile) -> None:
    """Make a file's tasks known here and in processes started from now on."""
    global _registered
    _registered = {known.path: known for known in registered()} | {file.path: file}
    os.environ[ENVIRONMENT] = os.pathsep.join(str(path) for path in _registered)


def handed_on() -> tuple[str, dict[Path, str]]:
    """What `adopt` wants to know in a worker."""
    return os.environ.get(ENVIRONMENT, ""), dict(_read)


def adopt(paths: str, hashes: Mapping[Path, str] = MappingProxyType({})) -> None:
    """In a worker: know the files that its parent knows (its value of ENVIRONMENT), as the parent read them."""
    global _registered, _pinned
    os.environ[ENVIRONMENT] = paths
    _registered, _pinned = None, hashes


def forget() -> None:
    """Know no file any more."""
    adopt("")


@contextmanager
def forgotten_afterwards() -> Iterator[None]:
    """Files that are named in here are known no longer than that: the process goes on, and they may be removed."""
    global _registered
    before, registered_before = os.environ.get(ENVIRONMENT), _registered
    try:
        yield
    finally:
        _registered = registered_before
        if before is None:
            os.environ.pop(ENVIRONMENT, None)
        else:
            os.environ[ENVIRONMENT] = before


def _files(part: str) -> list[tuple[Path, str]]:
    match = _PART.fullmatch(part)
    assert match is not None
    text, name = match[1], match[2] or ""
    found = sorted(glob.glob(text)) if glob.has_magic(text) else [text]  # noqa: PTH207 - of any depth, absolute or not
    paths = [Path(each) for each in found]
    if not paths:
        raise UsageError(f"No file matches '{text}'.")
    for path in paths:
        if not path.is_file():
            there = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
            raise UsageError(f"There is no file '{path}'.{nearest(str(path), there) if there else ''}")
        if os.pathsep in str(path.resolve()) or "," in str(path.resolve()):
            raise UsageError(f"'{path.resolve()}': a path with '{os.pathsep}' or ',' cannot be named. Rename it.")
    return [(path.resolve(), name) for path in paths]


@lru_cache(maxsize=64)
def _imported(file: OwnFile) -> ModuleType:
    label = f"physbench_own_{file.path.stem}_{file.sha256[:12]}"
    folder = str(file.path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # its neighbours can be imported, as from a script
    _forget_edited(file)
    spec = importlib.util.spec_from_file_location(label, file.path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[label] = module  # dataclasses look their module up
    try:
        # Not by the loader: its cached bytecode may be of another text of the same second and size.
        exec(compile(file.path.read_bytes(), str(file.path), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[label]
        raise UsageError(f"{file.path} cannot be imported: {blame(error, file.path)}.") from error
    return module


_beside: dict[Path, str] = {}  # hash of every neighbour as it was when a file that imports it was read


def _forget_edited(file: OwnFile) -> None:
    """Let neighbours be imported again whose text is another one than at their last import."""
    edited = {path for path, sha256 in file.beside if _beside.get(path, sha256) != sha256}
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if edited and origin and Path(origin).resolve() in edited:
            del sys.modules[name]
    for path in edited:
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):  # perhaps of the same second and size
            with suppress(OSError):
                stale.unlink()
    _beside.update(file.beside)


def blame(error: BaseException, path: Path) -> str:
    """ "ValueError in line 12 (scene): what was wrong", with the last line of the file that was under way."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    where = f" in line {frames[-1].lineno} ({frames[-1].name})" if frames else ""
    said = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}{where}" + (f": {said[0]}" if said[0] else "")
