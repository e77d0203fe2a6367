"""Evaluations in processes that are forked from the one of the tests, with faults at chosen writes.

Starting Python, torch and the compiled functions takes seconds for each session of a run; a fork has them already. Its
workers are forked too. All else is as in the program: locks, the model's process, files and their order.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import re
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physbench.cli.main import run
from physbench.run.peak_memory import processes_of

MODEL_PROCESS = "physbench.rollouts.model_server"
LONGEST = 300.0  # s, of one session


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th time that a file is put in its place.

    Attributes:
        kind: "kill" (SIGKILL to the process that writes), "group" (to the program and its workers), "model" (to the
            model's process), "memory" (MemoryError), or the name of an errno such as "ENOSPC".
        match: Pattern of the files that count.
        role: "program" or "worker": whose writes count; "": all.
        at: At which of these writes, from 1.
        lasting: Whether it happens at all later ones, too.
        after: Whether the file is in its place by then.
    """

    kind: str
    match: str = ""
    role: str = ""
    at: int = 1
    lasting: bool = False
    after: bool = False


@dataclass(frozen=True)
class Session:
    """How a session ended."""

    code: int  # exit code; -9 where the program was killed
    said: str  # on stderr
    struck: tuple[str, ...]  # kinds of the faults that came to pass


def session(arguments: Sequence[str], faults: Sequence[Fault], place: Path) -> Session:
    """Run the program once. place: an empty folder for what is counted and said."""
    place.mkdir(parents=True)
    said = place / "stderr"
    pid = os.fork()
    if pid == 0:
        _child(arguments, faults, place, said)
    deadline = time.monotonic() + LONGEST
    family: set[int] = {pid}
    while True:
        with contextlib.suppress(OSError):
            family |= {each.pid for each in processes_of(pid)}
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"a session took more than {LONGEST:g} s: {said.read_text()}")
        time.sleep(0.02)
    _wait_for_end(family - {pid})
    struck = place / "struck"
    lines = struck.read_text(encoding="utf-8").splitlines() if struck.is_file() else []
    return Session(
        os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8"), tuple(line.split()[0] for line in lines)
    )


def _wait_for_end(family: set[int]) -> None:
    """Workers and the model's process end with the program, however that ended."""
    deadline = time.monotonic() + 30
    while any(_lives(pid) for pid in family):
        assert time.monotonic() < deadline, "processes of a session that is over go on"
        time.sleep(0.02)


def _is_model(pid: int) -> bool:
    try:
        return MODEL_PROCESS in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _child(arguments: Sequence[str], faults: Sequence[Fault], place: Path, said: Path) -> None:
    """In the fork: the program; never returns."""
    code = 70
    try:
        os.setsid()
        handle = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.dup2(handle, 2)
        os.dup2(handle, 1)
        import sys

        sys.stdout = sys.stderr = os.fdopen(handle, "w", buffering=1, encoding="utf-8", closefd=False)
        _fork_workers()
        _inject(faults, place)
        code = run(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _fork_workers() -> None:
    """Workers are forked from the program instead of from a fork server, which would have to import all again."""
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_all_start_methods = lambda: ["fork"]
    multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment]


def _inject(faults: Sequence[Fault], place: Path) -> None:
    plain, program = os.replace, os.getpid()

    def replace(source: Any, target: Any, **more: Any) -> None:
        role = "program" if os.getpid() == program else "worker"
        due = [each for number, each in enumerate(faults) if _due(each, role, str(target), place / f"count-{number}")]
        for each in due:
            if not each.after:
                _strike(each, program, str(target), place)
        plain(source, target, **more)
        for each in due:
            if each.after:
                _strike(each, program, str(target), place)

    os.replace = replace


def _due(fault: Fault, role: str, target: str, counter: Path) -> bool:
    """Whether it is time, counted over all processes."""
    if fault.role not in ("", role) or not re.search(fault.match, target):
        return False
    handle = os.open(counter, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.write(handle, b".")
    number = os.fstat(handle).st_size
    os.close(handle)
    return number == fault.at or (fault.lasting and number > fault.at)


def _strike(fault: Fault, program: int, target: str, place: Path) -> None:
    models = [each.pid for each in processes_of(program) if _is_model(each.pid)] if fault.kind == "model" else []
    if fault.kind != "model" or models:
        with (place / "struck").open("a", encoding="utf-8") as file:
            file.write(f"{fault.kind} {Path(target).name}\n")
    if fault.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.kind == "group":
        os.killpg(program, signal.SIGKILL)
    elif fault.kind == "model":
        for pid in models:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    elif fault.kind == "memory":
        raise MemoryError
    else:
        number = getattr(errno, fault.kind)
        raise OSError(number, os.strerror(number), target)
