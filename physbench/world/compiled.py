"""Scalar functions compiled by Numba, kept on disk beside the package, or in the user's cache if that is read-only.

Numba compiles a stored function anew when its own file changes, but not when a function or a constant of another one
does: the name under which it is stored tells of the sources of all compiled functions instead. It does not know of
other processes either, which would all compile the same: a `Kernel` is compiled by one of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast

import numba
from numba.core import event, sigutils

from physbench.support.files import locked_file
from physbench.support.fingerprint import fingerprint

Function = TypeVar("Function", bound=Callable[..., object])
P = ParamSpec("P")
R = TypeVar("R")

COMPILES = "numba:compile"  # the event
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
    event.register(COMPILES, _Begun(tell))  # type: ignore[no-untyped-call]


def compiled(function: Function) -> Function:
    """Compile a function when it is first called. Divisions by zero are those of floats; sums are not reordered."""
    return _compiled(function, inline="never")


def borrowing(function: Function) -> Function:
    """As `compiled`, for a function that makes and returns no arrays: those that it is given are its caller's, so that
    their references are not counted, which takes longer than a short function itself."""
    return _compiled(function, inline="never", counted=False)


def part(function: Function) -> Function:
    """As `compiled`, for a part of another one: loops over arrays that this one makes are vectorised there, since it is
    known that they do not overlap."""
    return _compiled(function, inline="always")


def _compiled(function: Function, inline: Literal["never", "always"], counted: bool = True) -> Function:
    function.__qualname__ += f"_{STAMP}"
    options: dict[str, Any] = {"error_model": "numpy", "inline": inline, "_nrt": counted}
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder in which it could be kept
        return cast(Function, numba.njit(**options)(function))


class _NotKeptError(Exception):
    """A function would have to be compiled."""


class Kernel(Generic[P, R]):
    """A compiled function that Python calls. One process of a machine compiles it, others that call it wait for that.

    Arguments of other types than those of its signature are compiled for, too, by every process for itself.
    """

    def __init__(self, function: Callable[P, R], signature: str) -> None:
        """signature: types of the arguments as Numba writes them, "(float64[:,::1], int64)"."""
        update_wrapper(self, function)
        self.function: Any = compiled(function)
        self._signature = signature
        self._ready = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if not self._ready:
            self.compile()
        return cast(R, self.function(*args, **kwargs))

    @cached_property
    def types(self) -> tuple[object, ...]:
        """Numba's types of the arguments."""
        return tuple(sigutils.normalize_signature(self._signature)[0])  # type: ignore[no-untyped-call]

    @property
    def folder(self) -> Path | None:
        """Cache folder; None: nowhere."""
        path = self.function.stats.cache_path
        return None if path is None else Path(path)

    def load(self) -> bool:
        """Load it as it is kept on this machine. Returns whether it is there."""
        thread = threading.get_ident()

        def refuse() -> None:
            if threading.get_ident() == thread:
                raise _NotKeptError

        with event.install_listener(COMPILES, _Begun(refuse)):
            try:
                self.function.compile(self.types)
            except _NotKeptError:
                return False
        self._ready = True
        return True

    def compile(self) -> bool:
        """Load it, or compile and keep it. Returns whether this process compiled it."""
        if self.load():
            return False
        with self._alone():
            if self.load():  # what another process compiled meanwhile
                return False
            self.function.compile(self.types)
        self._ready = True
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process is in here, if there is a folder for a lock."""
        if self.folder is None:
            yield
            return
        path = self.folder / f"{self.function.__name__}_{STAMP}.lock"
        try:
            lock = locked_file(path, wait=True)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(lock)


def kernel(signature: str) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """As `compiled`, for a function that Python calls with arguments of one signature."""
    return lambda function: Kernel(function, signature)
