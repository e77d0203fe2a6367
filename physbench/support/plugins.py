"""Plug-ins: entry points, what a user's file imports, errors in it and limits of its time."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FrameType
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
