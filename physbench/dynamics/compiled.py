"""Scalar functions compiled by Numba, kept on disk beside the package, or in the user's cache if that is read-only.

Numba compiles a stored function anew when its own file changes, but not when a function or a constant of another one
does: the name under which it is stored tells of all compiled sources of this folder instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

MARK = b"@compiled"


def _stamp() -> str:
    texts = {path.stem: path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))}
    return f"{zlib.crc32(b''.join(text for name, text in texts.items() if name == 'array_layout' or MARK in text)):08x}"


STAMP = _stamp()


def compiled(function: Function) -> Function:
    """Compile a function when it is first called. Divisions by zero are those of floats; sums are not reordered."""
    function.__qualname__ += f"_{STAMP}"
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder in which it could be kept
        return cast(Function, numba.njit(error_model="numpy")(function))
