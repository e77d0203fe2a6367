"""How a process has ended, in words."""

from __future__ import annotations

import signal
from pathlib import Path


def out_of_memory_kills() -> int | None:
    """Processes that the system has ended for want of memory since it was started; None where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    except (OSError, ValueError, IndexError):
        return None


def may_lack_memory(code: int | None, kills: int | None, kills_now: int | None) -> bool:
    """Whether a process may have been ended because memory was full. Arguments: see `how_it_ended`."""
    return code in (None, -signal.SIGKILL) and (kills is None or kills_now != kills)


def how_it_ended(code: int | None, kills: int | None, kills_now: int | None) -> str:
    """What follows "the process ...".

    Args:
        code: With which it has ended, if that is known; of a signal its number, negative.
        kills, kills_now: `out_of_memory_kills` when the process began, and afterwards.
    """
    full = may_lack_memory(code, kills, kills_now)
    if code is None:
        return f"ended unexpectedly{' (was memory full?)' if full else ''}"
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code != signal.SIGKILL:
        return f"was killed by {name}"
    return f"was killed by {name} ({'was memory full?' if full else 'not for want of memory'})"
