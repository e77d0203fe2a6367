"""Describes an error in code of the user's in one line, with the line of that code that raised it."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

from physbench.plugins.local_imports import INSTALL_FOLDERS
from physbench.printable import printable

_PHYSBENCH = (Path(__file__).parents[1], Path(__file__).resolve().parents[1])  # its links lead out of the latter
_LIBRARIES = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "purelib", "platlib"))
_FRAMEWORKS = {"torch", "numpy", "safetensors", "importlib"}  # they raise most errors and cause few
_PASSED = "passed "  # of a note: the line of the user's code that the original error passed
MAX_MESSAGE = 300  # characters


def first_line(text: str) -> str:
    """The first line that is not blank, and two more where it ends in a colon; at most MAX_MESSAGE characters."""
    if text.startswith("Weights only load failed"):  # a page of text that starts with the advice to run the file's code
        found = re.search(r"GLOBAL (\S+)", text)
        inside = f"more than tensors ({found[1]})" if found else "more than tensors"
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

    Args:
        error: A caught exception, with its traceback.

    Returns:
        "RuntimeError in my_model.py, line 12 (rollout): mat1 and mat2 shapes cannot be multiplied".
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {Path(error.filename).name}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if _is_user_code(frame.filename)]
    installed = [frame for frame in frames if not _FRAMEWORKS & set(Path(frame.filename).parts)]
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

    Returns:
        "ValueError in line 12 (scene): math domain error".
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
