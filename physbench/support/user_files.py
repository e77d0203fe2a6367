"""Python files with tasks or scorers that nothing has installed: `./my_task.py`, `FILE.py:Class`, `folder/*.py`.

A file that the user names may run. Files with tasks are registered in the process in which they are named and, through
an environment variable, in the processes that it starts. A file is read again whenever it is named.

A *pattern* is what --tasks and --scorers take: parts separated by commas, each a glob of ids or of files.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from physbench.support import plugins
from physbench.support.errors import UsageError, nearest

TASK_FILES_VARIABLE = "PHYSBENCH_TASK_FILES"  # absolute paths, joined by os.pathsep
IMPORT_TIME = 60.0  # s; what a file of tasks or scorers may take until it is imported
_LABEL = "physbench_own_"  # before the names of their modules
_FILE_PATTERN = re.compile(r"(.+?\.py)(?::(\w*))?", re.DOTALL)


@dataclass(frozen=True)
class UserFile:
    """A file as it was when it was named."""

    path: Path  # absolute
    sha256: str  # with its local imports
    imports: tuple[tuple[Path, str], ...] = ()  # its local imports, and the hash of each

    @property
    def module(self) -> ModuleType:
        """The file, imported. Raises UsageError, with the line, where that fails."""
        return _import_file(self)

    def document(self) -> dict[str, Any]:
        """The file's entry in manifest.json."""
        imports = {str(path): sha256 for path, sha256 in self.imports}
        return {"path": str(self.path), "sha256": self.sha256} | ({"imports": imports} if imports else {})


def split_pattern(pattern: str) -> list[str]:
    """The parts of a pattern, stripped, without empty ones."""
    return [part.strip() for part in pattern.split(",") if part.strip()]


def names_files(part: str) -> bool:
    """True if a part of a pattern names files (`FILE.py`, `FILE.py:Class`, `folder/*.py`), not ids."""
    return _FILE_PATTERN.fullmatch(part) is not None


def absolute_pattern(pattern: str) -> str:
    """Expand globs of files and make paths absolute, so that the pattern means the same in every folder.

    pattern: Parts separated by commas. Returns the same pattern with absolute paths. Globs of ids stay.

    Raises UsageError: A file does not exist.
    """
    expanded: list[str] = []
    for part in split_pattern(pattern):
        if names_files(part):
            expanded += [f"{path}:{name}" if name else str(path) for path, name in _matching_files(part)]
        else:
            expanded.append(part)
    return ",".join(expanded)


def open_files(part: str) -> list[tuple[UserFile, str]]:
    """Read the files that one part of a pattern names.

    part: `FILE.py`, `FILE.py:Class` or a glob of files.

    Returns each file as it is now, with the name after the colon or "".

    Raises UsageError: A file does not exist, or, in a worker process, it is not the version that the parent read.
    """
    return [(_current_version(path), name) for path, name in _matching_files(part)]


def _current_version(path: Path) -> UserFile:
    imported = plugins.local_imports(path)
    imports = tuple((other, hashlib.sha256(other.read_bytes()).hexdigest()) for other in imported)
    file = UserFile(path, plugins.sources_hash(path, imported), imports)
    if _hashes_of_parent.get(path, file.sha256) != file.sha256:
        raise UsageError(f"{path} has changed while it was in use: scores of two versions never mix. Start again.")
    _hashes_read[path] = file.sha256
    return file


def manifest_documents(pattern: str | None) -> list[dict[str, Any]]:
    """Path and hash of every file that a pattern names, for manifest.json."""
    files = [file for part in split_pattern(pattern or "") if names_files(part) for file, _ in open_files(part)]
    return [file.document() for file in sorted(set(files), key=lambda file: file.path)]


def public_members(file: UserFile, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Public names that the file defines, with their values, as far as `wanted` accepts the value."""
    for name, value in vars(file.module).items():
        defined = getattr(value, "function", value)  # a scorer wraps its function
        defined_here = getattr(defined, "__module__", file.module.__name__) == file.module.__name__
        if not name.startswith("_") and defined_here and wanted(value):
            yield name, value


def owns(module: str) -> bool:
    """True of the name of a module that is a file of the user's, which no other process can import by it."""
    return module.startswith(_LABEL)


def instance_from_file(path: str, module: str, name: str, values: Mapping[str, Any]) -> Any:
    """A dataclass's object of a class in a file, from the values of its fields: what is sent to another process.

    Raises UsageError where the file is another version than that of the module, whose name tells it.
    """
    if module not in sys.modules:
        ((file, _),) = open_files(path)
        if file.module.__name__ != module:
            raise UsageError(f"{path} has changed while it was in use: scores of two versions never mix. Start again.")
    kind: Any = functools.reduce(getattr, name.split("."), sys.modules[module])
    instance = object.__new__(kind)
    for each, value in values.items():
        object.__setattr__(instance, each, value)
    return instance


def select_members(file: UserFile, name: str, members: dict[str, Any], kind: str) -> dict[str, Any]:
    """Select one member of a file, or all.

    Args:
        name: Name of a member, or "" for all of them.
        members: What was found in the file, by name.
        kind: "task" or "scorer", for messages.

    Raises UsageError: there are no members, or none of that name.
    """
    if not members:
        raise UsageError(f"{file.path} holds no {kind}. See `physbench {kind}s new` for one that does.")
    if name and name not in members:
        raise UsageError(f"{file.path} holds no {kind} named '{name}'.{nearest(name, members)}")
    return {name: members[name]} if name else members


# The registry of files with tasks, which every process of a run needs.

_registry: dict[Path, UserFile] | None = None
_hashes_read: dict[Path, str] = {}  # hash of each file as it was last read
_hashes_of_parent: Mapping[Path, str] = {}  # in a worker process: what the parent read


def registered_files() -> tuple[UserFile, ...]:
    """The files with tasks that were named in this process or in its parent."""
    global _registry
    if _registry is None:
        _registry = {}
        for text in filter(None, os.environ.get(TASK_FILES_VARIABLE, "").split(os.pathsep)):
            for file, _ in open_files(text):
                _registry[file.path] = file
    return tuple(_registry.values())


def register_file(file: UserFile) -> None:
    """Register a file with tasks in this process and in processes started from now on."""
    global _registry
    _registry = {known.path: known for known in registered_files()} | {file.path: file}
    os.environ[TASK_FILES_VARIABLE] = os.pathsep.join(str(path) for path in _registry)


def environment_for_workers() -> tuple[str, dict[Path, str]]:
    """The arguments of `adopt_in_worker`: the environment variable, and the hash of each file that was read."""
    return os.environ.get(TASK_FILES_VARIABLE, ""), dict(_hashes_read)


def adopt_in_worker(paths: str, hashes: Mapping[Path, str] = MappingProxyType({})) -> None:
    """Register the parent's files in a worker process.

    Args:
        paths: The parent's value of TASK_FILES_VARIABLE.
        hashes: Hashes of the files as the parent read them; other versions are refused.
    """
    global _registry, _hashes_of_parent
    os.environ[TASK_FILES_VARIABLE] = paths
    _registry, _hashes_of_parent = None, hashes


def forget_all() -> None:
    """Empty the registry."""
    adopt_in_worker("")


@contextmanager
def temporarily_registered() -> Iterator[None]:
    """Forget, on leaving the context, the files that were registered within it: they may be removed after that."""
    global _registry
    before, registered_before = os.environ.get(TASK_FILES_VARIABLE), _registry
    try:
        yield
    finally:
        _registry = registered_before
        if before is None:
            os.environ.pop(TASK_FILES_VARIABLE, None)
        else:
            os.environ[TASK_FILES_VARIABLE] = before


def _matching_files(part: str) -> list[tuple[Path, str]]:
    match = _FILE_PATTERN.fullmatch(part)
    assert match is not None
    text, name = match[1], match[2] or ""
    matches = sorted(glob.glob(text)) if glob.has_magic(text) else [text]  # noqa: PTH207 - of any depth, absolute or not
    paths = [Path(each) for each in matches]
    if not paths:
        raise UsageError(f"No file matches '{text}'.")
    for path in paths:
        if not path.is_file():
            siblings = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
            raise UsageError(f"There is no file '{path}'.{nearest(str(path), siblings) if siblings else ''}")
        if os.pathsep in str(path.resolve()) or "," in str(path.resolve()):
            raise UsageError(f"'{path.resolve()}': a path with '{os.pathsep}' or ',' cannot be used here. Rename it.")
    return [(path.resolve(), name) for path in paths]


@lru_cache(maxsize=64)
def _import_file(file: UserFile) -> ModuleType:
    label = f"{_LABEL}{file.path.stem}_{file.sha256[:12]}"
    folder = str(file.path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # the file can import what lies beside it, as a script can
    _unload_edited_imports(file)
    spec = importlib.util.spec_from_file_location(label, file.path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[label] = module  # dataclasses look their module up
    try:
        # The loader's cached bytecode may belong to an older text of the same second and size.
        with plugins.interrupted_after(IMPORT_TIME):
            exec(compile(file.path.read_bytes(), str(file.path), "exec", dont_inherit=True), vars(module))
    except plugins.TookTooLong as error:
        del sys.modules[label]
        line = plugins.user_line(error)
        raise UsageError(f"{file.path} is still being imported after {IMPORT_TIME:g} s, in {line}.") from None
    except (Exception, SystemExit) as error:
        del sys.modules[label]
        raise UsageError(
            f"{file.path} cannot be imported: {plugins.describe_error_in_file(error, file.path)}."
        ) from error
    return module


_hashes_imported: dict[Path, str] = {}  # hash of each local import when it was last imported


def _unload_edited_imports(file: UserFile) -> None:
    """Unload local imports whose text has changed since they were imported, so that they are imported again."""
    edited = {path for path, sha256 in file.imports if _hashes_imported.get(path, sha256) != sha256}
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if edited and origin and Path(origin).resolve() in edited:
            del sys.modules[name]
    for path in edited:
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):  # its time stamp and size may not have changed
            with suppress(OSError):
                stale.unlink()
    _hashes_imported.update(file.imports)
