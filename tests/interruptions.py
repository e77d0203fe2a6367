"""Evaluations in processes that are forked from the one of the tests, with faults at chosen writes.

Starting Python, torch and the compiled functions takes seconds for each session of a run; a fork has them already. Its
workers are forked too. All else is as in the program: locks, the model's process, files and their order.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from quick_runs import write_result_alone
from warm_models import WarmModels

from physbench.cli.main import run
from physbench.result.manifest import read_manifest
from physbench.result.report import page
from physbench.rollout import model_process
from physbench.run import evaluate, preload
from physbench.run.interruption import processes_of
from physbench.support.files import DRAFTS
from physbench.support.run_folder import RunFolder, other_contents

IMPORTED = (evaluate, preload)  # what a session needs is imported before it is forked

OF_THE_MODEL = ("model", "full")
NEW_MOUNTS = 0x20000  # CLONE_NEWNS of Linux
Ask = Callable[..., tuple[str, ...]]  # the command of a run into a folder
LONGEST = 300.0  # s, of one session


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th time that a file is put in its place.

    Attributes:
        kind: "kill" (SIGKILL to the process that writes), "group" (to the program and its workers), "interrupt" (SIGINT
            to them, as a terminal sends it after Ctrl-C), "model" (SIGKILL to the model's process, in its call number
            `at`: the toy does it itself), "full" (the same, and the system says that memory was full), "memory"
            (MemoryError), "delete" (the cache is gone), or the name of an errno such as "ENOSPC".
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


def session(
    arguments: Sequence[str],
    faults: Sequence[Fault],
    place: Path,
    prepare: Callable[[], object] = lambda: None,
    conclude: Callable[[], object] = lambda: None,
    warm: bool = False,
) -> Session:
    """Run the program once.

    Args:
        arguments: Its command line.
        faults: What happens to it.
        place: An empty folder for what is counted and said.
        prepare: Called in its process before it.
        conclude: Called there after it.
        warm: Whether its model starts warm: not where the program may be killed while it starts one.
    """
    place.mkdir(parents=True)
    said = place / "stderr"
    pid = os.fork()
    if pid == 0:
        if warm and isinstance(model_process.subprocess, WarmModels):
            model_process.subprocess.adopt()
        _child(arguments, faults, place, said, prepare, conclude)
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
        time.sleep(0.1)  # to list processes takes milliseconds
    _wait_for_end(family - {pid})
    struck = place / "struck"
    lines = struck.read_text(encoding="utf-8").splitlines() if struck.is_file() else []
    lines += [each.kind for number, each in enumerate(faults) if (place / f"died-{number}").exists()]
    return Session(
        os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8"), tuple(line.split()[0] for line in lines)
    )


def _wait_for_end(family: set[int]) -> None:
    """Workers and the model's process end with the program, however that ended."""
    deadline = time.monotonic() + 120
    while any(_lives(pid) for pid in family):
        assert time.monotonic() < deadline, "processes of a session that is over go on"
        time.sleep(0.05)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def in_own_mounts(*words: str) -> None:
    """In the process of a session: from here on it has mounts of its own; one with these words is added."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    _mount("--make-rprivate", "/")
    _mount(*words)


def read_only(path: Path) -> None:
    """In the process of a session: a folder cannot be written to, not even by root."""
    in_own_mounts("--bind", str(path), str(path))
    _mount("-o", "remount,bind,ro", str(path))


def can_mount() -> bool:
    """Whether processes may have mounts of their own here."""
    words = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/tmp"]
    try:
        return subprocess.run(words, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _child(
    arguments: Sequence[str],
    faults: Sequence[Fault],
    place: Path,
    said: Path,
    prepare: Callable[[], object],
    conclude: Callable[[], object],
) -> None:
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
        page.write_report = write_result_alone
        prepare()
        _inject(faults, place)
        code = run(arguments)
        conclude()
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
    for number, each in enumerate(faults):
        if each.kind in OF_THE_MODEL:
            died = place / f"died-{number}"
            os.environ["TOY_DIES"] = f"{each.at}:{died}"
            if each.kind == "full":  # the count rises when the process is ended
                model_process.out_of_memory_kills = lambda died=died: int(died.exists())

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
    if fault.kind in OF_THE_MODEL or fault.role not in ("", role) or not re.search(fault.match, target):
        return False
    handle = os.open(counter, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.write(handle, b".")
    number = os.fstat(handle).st_size
    os.close(handle)
    return number == fault.at or (fault.lasting and number > fault.at)


def _strike(fault: Fault, program: int, target: str, place: Path) -> None:
    with (place / "struck").open("a", encoding="utf-8") as file:
        file.write(f"{fault.kind} {Path(target).name}\n")
    if fault.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.kind == "group":
        os.killpg(program, signal.SIGKILL)
    elif fault.kind == "interrupt":
        os.killpg(program, signal.SIGINT)
    elif fault.kind == "delete":
        shutil.rmtree(os.environ["PHYSBENCH_CACHE"])
    elif fault.kind == "memory":
        raise MemoryError
    else:
        number = getattr(errno, fault.kind)
        raise OSError(number, os.strerror(number), target)


def goes_on(out: RunFolder) -> list[str]:
    return ["--resume"] if out.manifest.exists() else ["--fresh"] * out.path.exists()


def is_whole(out: RunFolder, whole: RunFolder) -> None:
    """Tables and parts are those of a run without faults, and the folder is what its manifest says."""
    table = pd.read_parquet(out.scores)
    assert not table.duplicated(["clip", "sample", "reading"]).any()
    for path in (whole.scores, *(whole.reference(name).scores for name in ("truth", "freeze", "constant-velocity"))):
        assert (out.path / path.relative_to(whole.path)).read_bytes() == path.read_bytes(), path.name
    for files in ("parts/*", "tracks/*", "rollouts/*.mkv"):  # what stands beside a rollout says how long it took
        expected = {path.name: path.read_bytes() for path in whole.path.glob(files)}
        assert expected and {path.name: path.read_bytes() for path in out.path.glob(files)} == expected, files
    assert other_contents(out, read_manifest(out).contents) == []
    assert not list(out.path.rglob(DRAFTS)), "drafts of processes that were killed"
