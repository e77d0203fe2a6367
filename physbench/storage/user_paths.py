"""Paths as a user writes them."""

from __future__ import annotations

from pathlib import Path

from physbench.errors import UsageError


def user_path(text: str) -> Path:
    """The path that a user names, with `~` and `~name` as home folders.

    Raises:
        UsageError: It holds a NUL character, or names the home of nobody, and no file of that very name exists.
    """
    if "\0" in text:
        raise UsageError(f"No file can be named {text!r}: it holds a NUL character.")
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError as error:  # no such user, or no home
        if path.exists():
            return path
        raise UsageError(f"{text}: the home folder {path.parts[0]} is not known here. Give the whole path.") from error
