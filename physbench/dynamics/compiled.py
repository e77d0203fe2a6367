"""Scalar functions compiled by Numba, kept on disk beside the package, or in the user's cache if that is read-only.

Numba compiles a stored function anew when its own file changes, but not when a function or a constant of another one
does: the name under which it is stored tells of the sources of all compiled functions instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

from physbench.storage.fingerprint import fingerprint

Function = TypeVar("Function", bound=Callable[..., object])

STAMP = fingerprint("kernels")[:8]


def compiled(function: Function) -> Function:
    """Compile a function when it is first called. Divisions by zero are those of floats; sums are not reordered."""
    function.__qualname__ += f"_{STAMP}"
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder in which it could be kept
        return cast(Function, numba.njit(error_model="numpy")(function))
