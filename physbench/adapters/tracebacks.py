"""Says in one line what went wrong in somebody else's code, and in which line of it."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

_OURS = Path(__file__).resolve().parents[1]
_LIBRARIES = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "purelib", "platlib"))
_FOUNDATIONS = {"torch", "numpy", "safetensors", "importlib"}  # an error is seldom theirs
LONGEST = 300  # characters of a message


def first_line(text: str) -> str:
    """The first line that says something, cut to a length that a table can hold."""
    if text.startswith("Weights only load failed"):  # a page, whose first line advises to run the file's code
        found = re.search(r"GLOBAL (\S+)", text)
        inside = f"more than tensors ({found[1]})" if found else "more than tensors"
        return f"the file holds {inside}, which weights_only=True refuses. Save the state_dict alone: load that."
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def _is_users(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    return not path.is_relative_to(_OURS) and not any(path.is_relative_to(place) for place in _LIBRARIES)


def explain(error: BaseException) -> str:
    """ "RuntimeError in my_model.py, line 12 (rollout): mat1 and mat2 shapes cannot be multiplied"."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {Path(error.filename).name}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if _is_users(frame.filename)]
    installed = [frame for frame in frames if not _FOUNDATIONS & set(Path(frame.filename).parts)]
    place = (users or installed or list(frames))[-1:]
    where = f" in {Path(place[0].filename).name}, line {place[0].lineno} ({place[0].name})" if place else ""
    message = first_line(str(error))
    return f"{type(error).__name__}{where}" + (f": {message}" if message else "")
