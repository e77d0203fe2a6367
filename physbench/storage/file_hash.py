"""Adds the bytes of large files to a hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK = 1 << 22  # bytes read at once


def add_file(digest: _Hash, path: Path) -> None:
    """Add the bytes of a file to a hash, a block at a time."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
