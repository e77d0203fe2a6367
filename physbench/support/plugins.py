"""Plug-ins: entry points, and Python files with tasks or scorers that nothing installed; errors in these, time limits.

A file (`./my_task.py`, `FILE.py:Class`, `folder/*.py`) that the user names may run. Files with tasks are registered in
the process in which they are named and, through an environment variable, in the processes that it starts. A file is
read again whenever it is named.

A *pattern* is what --tasks and --scorers take: parts separated by commas, each a glob of ids or of files.
"""

from __future__ import annotations

import ast
import functools
import glob
import hashlib
import importlib.util
import os
import re
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FrameType, MappingProxyType, ModuleType
from typing import Any

from physbench.support.errors import BrokenLinkError, PhysbenchError, UsageError, nearest
from physbench.support.printable import printable

# Finds tasks, scorers, adapters and architectures through entry points, built-in and third-party ones alike.


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of `group` ("physbench.tasks", ...) by name, sorted."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda p: p.name)}


def load(group: str, name: str) -> Any:
    """Import the object that is registered as `name` in `group`.

    Args:
        group: Entry-point group, such as "physbench.tasks".
        name: Name in the group, such as "falling/projectile-v1".

    Returns the object that the entry point names.

    Raises:
        UsageError: The group has no such name. The message offers the nearest names.
        PhysbenchError: The object cannot be imported. The message names the package.
    """
    known = entries(group)
    kind = group.rsplit(".", 1)[-1].rstrip("s")
    if name not in known:
        raise UsageError(f"There is no {kind} named '{name}'.{nearest(name, known)}")
    try:
        return known[name].load()
    except BrokenLinkError:  # says what to do
        raise
    except Exception as error:
        distribution = known[name].dist
        package = distribution.name if distribution else known[name].value
        own = package == "physbench"
        remedy = (
            "What is installed is of another version than the code: install physbench again (pip install -e .)."
            if own
            else "Repair or uninstall that package."
        )
        raise PhysbenchError(
            f"The {kind} '{name}' of {package} cannot be imported ({type(error).__name__}: {error}). {remedy}"
        ) from error


# The files that a Python file imports from its own folder. They decide what it does, so they are hashed with it.
#
# The imports are read from the text, without running it: a module whose name is computed is not found.

INSTALL_FOLDERS = ("site-packages", "dist-packages")


def local_imports(path: Path) -> tuple[Path, ...]:
    """Find the files that `path` imports from its folder, directly or through each other.

    Returns files beside `path`, or in packages beside it, sorted and without `path` itself.
    """
    start = path.resolve()
    folder, seen, imported, waiting = start.parent, {start}, [], [start]
    while waiting:
        for file in _imports_of_file(waiting.pop(), folder):
            if file.resolve() not in seen:  # a link counts under the name that is imported, wherever it leads
                seen.add(file.resolve())
                imported.append(file)
                waiting.append(file)
    return tuple(sorted(imported))


def sources_hash(path: Path, imports: tuple[Path, ...] | None = None) -> str:
    """Hash a file together with its local imports.

    imports: Its local imports, if they are known already.

    Returns sha256 of the file where it has no local imports, else of the hashes of all files and their relative paths.
    """
    text = path.read_bytes()
    imported = local_imports(path) if imports is None else imports
    if not imported:
        return hashlib.sha256(text).hexdigest()
    digest = hashlib.sha256(hashlib.sha256(text).digest())
    for file in imported:
        digest.update(file.relative_to(path.resolve().parent).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _imports_of_file(file: Path, folder: Path) -> Iterator[Path]:
    """Files below `folder` that one file imports."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return  # reported when the file is imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(folder, alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                base, name = folder, node.module or ""
            elif len(file.parents) >= node.level and file.parents[node.level - 1].is_relative_to(folder):
                base, name = file.parents[node.level - 1], node.module or ""
            else:
                continue
            for alias in node.names:
                yield from _module_files(base, f"{name}.{alias.name}".strip("."), relative=node.level > 0)


def _module_files(base: Path, name: str, *, relative: bool = False) -> Iterator[Path]:
    """Files that are read where `name` ("a.b.c") is imported from `base`; what follows a module is a name in it."""
    first = name.partition(".")[0]
    if not relative and (base.name in INSTALL_FOLDERS or _is_not_local(first, base)):
        return
    path = base
    for word in name.split("."):
        path = path / word
        if (path / "__init__.py").is_file():
            yield path / "__init__.py"
        elif path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
            return
        elif not path.is_dir():
            return


def _is_not_local(name: str, folder: Path) -> bool:
    """True if a module of that name is found outside the folder, such as in the standard library."""
    if name in sys.builtin_module_names or name in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    origins = [spec.origin] if spec and spec.origin else list(spec.submodule_search_locations or ()) if spec else []
    return bool(origins) and not any(Path(origin).resolve().is_relative_to(folder) for origin in origins)


# Ends code of the user's that takes too long, where that can be done: in the main thread of a POSIX system.


class TookTooLong(BaseException):
    """No Exception: a loop of the user's may catch these and go on."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Raise TookTooLong in the code inside after so many seconds. It does not end a call that never returns to Python.

    Elsewhere than in the main thread, and where there are no interval timers, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: what is raised once may be swallowed by a bare except.
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # s between alarms
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


_PHYSBENCH = (Path(__file__).parents[1], Path(__file__).resolve().parents[1])  # its links lead out of the latter
_LIBRARIES = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "purelib", "platlib"))
_PASSED = "passed "  # of a note: the line of the user's code that the original error passed
MAX_MESSAGE = 300  # characters


def first_line(text: str) -> str:
    """The first line that is not blank, and two more where it ends in a colon; at most MAX_MESSAGE characters."""
    if text.startswith("Weights only load failed"):  # a page of text that starts with the advice to run the file's code
        unsafe = re.search(r"GLOBAL (\S+)", text)
        inside = f"more than tensors ({unsafe[1]})" if unsafe else "more than tensors"
        return f"the file holds {inside}, which weights_only=True refuses. Save the state_dict alone: load that."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = " ".join(lines[:3] if lines and lines[0].endswith(":") else lines[:1])
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."


def message_of(error: BaseException) -> str:
    """The text of an error. One of the user's may have none: its own `__str__` may raise, or return something else."""
    try:
        return str(error)
    except Exception as other:
        return f"its message cannot be read: __str__ raises {type(other).__name__}"


def describe_error(error: BaseException) -> str:
    """Describe an error whose origin may be any file: the innermost line of the user's code, else of a library.

    error: A caught exception, with its traceback.

    Returns "RuntimeError in my_model.py, line 12 (rollout): mat1 and mat2 shapes cannot be multiplied".
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {Path(error.filename).name}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if _is_user_code(frame.filename)]
    frameworks = {"torch", "numpy", "safetensors", "importlib"}  # they raise most errors and cause few
    installed = [frame for frame in frames if not frameworks & set(Path(frame.filename).parts)]
    innermost = (users or installed or list(frames))[-1:]
    where = "".join(f" in {Path(frame.filename).name}, line {frame.lineno} ({frame.name})" for frame in innermost)
    message = first_line(printable(message_of(error), keep="\n"))
    return f"{type(error).__name__}{where}" + (f": {message}" if message else "")


def describe_error_in_file(error: BaseException, path: Path) -> str:
    """Describe an error for a message that already names the file: with the innermost line of that file.

    Where the error passed no line of it, the innermost line of other code of the user's is named with its file.

    Args:
        error: A caught exception, with its traceback.
        path: The file, as it was compiled.

    Returns "ValueError in line 12 (scene): math domain error".
    """
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    other = "" if frames else user_line(error)
    where = f" in line {frames[-1].lineno} ({frames[-1].name})" if frames else f" in {other}" if other else ""
    message = (message_of(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}{where}" + (f": {message}" if message else "")


def user_line(error: BaseException) -> str:
    """The innermost line of the user's code that an error passed, "my_task.py, line 12 (scene)"; "" without one."""
    users = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_user_code(frame.filename)]
    if users:
        return f"{Path(users[-1].filename).name}, line {users[-1].lineno} ({users[-1].name})"
    notes = (note for note in getattr(error, "__notes__", ()) if note.startswith(_PASSED))
    return next(notes, _PASSED).removeprefix(_PASSED)


def note_user_line(error: BaseException, line: str) -> None:
    """Tell an error that is raised in the place of an earlier one which line of the user's code that one passed."""
    if line:
        error.add_note(_PASSED + line)


def _is_user_code(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    path = Path(filename)
    if set(INSTALL_FOLDERS) & set(path.parts):  # a virtual environment may use libraries of another one
        return False
    paths = (path, path.resolve())
    return not any(each.is_relative_to(folder) for each in paths for folder in (*_PHYSBENCH, *_LIBRARIES))


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
    imported = local_imports(path)
    imports = tuple((other, hashlib.sha256(other.read_bytes()).hexdigest()) for other in imported)
    file = UserFile(path, sources_hash(path, imported), imports)
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


@cache  # a second import makes other classes, which a law that was found in the first one does not cover
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
        with interrupted_after(IMPORT_TIME):
            exec(compile(file.path.read_bytes(), str(file.path), "exec", dont_inherit=True), vars(module))
    except TookTooLong as error:
        del sys.modules[label]
        line = user_line(error)
        raise UsageError(f"{file.path} is still being imported after {IMPORT_TIME:g} s, in {line}.") from None
    except (Exception, SystemExit) as error:
        del sys.modules[label]
        raise UsageError(f"{file.path} cannot be imported: {describe_error_in_file(error, file.path)}.") from error
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
