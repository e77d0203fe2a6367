"""Entries of the cache: one that is damaged is as good as none, and is made again; that is said in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Content = TypeVar("Content")


def cached(read: Callable[[Path], Content], path: Path, damage: tuple[type[Exception], ...]) -> Content | None:
    """What `read` makes of an entry; None where there is none, and where it is damaged, which is said on stderr.

    Args:
        read: Reads a file and raises one of `damage` where it is not what was written.
        path: The entry.
        damage: Errors that mean damage.
    """
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except damage as error:
        say_made_again(path, error)
        return None


def say_made_again(path: Path, error: Exception) -> None:
    """Say that an entry is damaged and is made again."""
    print(f"physbench: {path} in the cache is damaged ({error}) and is made again", file=sys.stderr)
