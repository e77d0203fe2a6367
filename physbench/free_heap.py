"""Gives the system back what this process has let go. The C library keeps it: after some large arrays, a lot of it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

PAUSE = 1.0  # s between two times, at least: it takes 2 ms, and what is needed again some 0.2 ms for each MB
_last = [0.0]  # s, when it was done


@cache
def _trim() -> Callable[[int], int] | None:
    """The call of the GNU C library; None where there is another one."""
    try:
        found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # not on this system
        return None
    return found


def give_back() -> None:
    """Give back what is free on the heap, unless that was done just now."""
    trim, now = _trim(), time.monotonic()
    if trim is not None and now - _last[0] >= PAUSE:
        _last[0] = now
        trim(0)


def then_give_back(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function, and give back what it has left free."""
    try:
        return function(*args, **kwargs)
    finally:
        give_back()
