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


def how_it_ended(code: int, kills: int | None, kills_now: int | None) -> str:
    """What follows "the process ...".

    Args:
        code: With which it has ended; of a signal its number, negative.
        kills: `out_of_memory_kills` when the process began, and afterwards.
    """
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code != signal.SIGKILL:
        return f"was killed by {name}"
    other = kills is not None and kills_now == kills
    return f"was killed by {name} ({'not for want of memory' if other else 'was memory full?'})"
