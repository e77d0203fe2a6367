"""Scalar functions compiled by Numba, kept on disk beside the package, or in the user's cache if that is read-only.

Numba compiles a stored function anew when its own file changes, but not when a function or a constant of another one
does: the name under which it is stored tells of the sources of all compiled functions instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
from numba.core import event

from physbench.storage.fingerprint import fingerprint

Function = TypeVar("Function", bound=Callable[..., object])

STAMP = fingerprint("kernels")[:8]


class _Begun(event.Listener):
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def on_start(self, event: object) -> None:
        self._tell()

    def on_end(self, event: object) -> None:
        pass


def when_compiling(tell: Callable[[], None]) -> None:
    """Call `tell` whenever a function is compiled, not loaded, in this process and in those that are forked from it."""
    event.register("numba:compile", _Begun(tell))  # type: ignore[no-untyped-call]


def compiled(function: Function) -> Function:
    """Compile a function when it is first called. Divisions by zero are those of floats; sums are not reordered."""
    function.__qualname__ += f"_{STAMP}"
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder in which it could be kept
        return cast(Function, numba.njit(error_model="numpy")(function))
