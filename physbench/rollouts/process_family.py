"""Ends a process and all that it has started, also what has left its process group.

A process that makes a session of its own (`setsid`) is in another group, and one whose parent has ended is nobody's
descendant. Both still have the environment with which they were started, in which the first process has a marker. A
process that has cleared its environment and whose parent has ended is not found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil

FAMILY_VARIABLE = "PHYSBENCH_MODEL_FAMILY"
MOST_ROUNDS = 20  # a process that starts others faster than they are ended is let go


def end_family(pid: int, mark: str) -> None:
    """Kill the process group of a process, its descendants, and all that have its marker; not this process itself.

    Args:
        pid: The leader of the group; this process itself kills its group last.
        mark: The value of FAMILY_VARIABLE in the environment of the process.
    """
    own = os.getpid()
    for _ in range(MOST_ROUNDS):
        found = family(pid, mark) - {own}
        for each in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        if pid != own:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.01)  # until they are gone


def family(pid: int, mark: str) -> set[int]:
    """Ids of living processes: the descendants of one, and those that have its marker."""
    found = set()
    with contextlib.suppress(psutil.Error, OSError):
        first = psutil.Process(pid)
        if first.environ().get(FAMILY_VARIABLE) == mark:  # else the id is another process's by now
            found = {each.pid for each in first.children(recursive=True) if _lives(each)}
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if each.environ().get(FAMILY_VARIABLE) == mark and _lives(each):
                found.add(each.pid)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    except psutil.Error:
        return False
