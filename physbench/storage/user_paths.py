"""Paths and files as a user writes them."""

from __future__ import annotations

import json
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


def user_text(content: bytes) -> str:
    """The text of a file as editors write it: UTF-8, UTF-16 or UTF-32, with a mark of it or without, and any line ends.

    Raises:
        ValueError: It is in another encoding. The message names the line, and what to do.
    """
    encoding = json.detect_encoding(content)  # by the mark, or by where the first bytes are zero
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not in UTF-8: save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
