"""Measures what a start costs: `physbench --help`, and the functions that are compiled once a machine.

    python benchmarks/startup.py [--compile]

Of `physbench --help`, beside an interpreter that does nothing: the best of several calls of each, in turn; wall clock
and processor time. Bound: 0.3 s. With --compile, for a minute, processor time of one process and of two at once,
where nothing was compiled and where all was. Bound: two at once take 1.3 times what one takes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

CALLS = 9
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "physbench --help": [sys.executable, "-c", "from physbench.cli.main import main; main()", "--help"],
}
COMPILE = [sys.executable, "-c", "from physbench.laws.kernels import compile_kernels; compile_kernels()"]


def seconds_of(command: list[str], processes: int = 1, **environment: str) -> tuple[float, float]:
    """Wall clock and processor time in s of one call, or of several at once."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    known = os.environ | environment
    calls = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=known) for _ in range(processes)]
    if any(call.wait() for call in calls):
        raise SystemExit(f"{command[-1]} failed.")
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def say(name: str, wall: float, processor: float) -> None:
    print(f"{name:32} {wall:.3f} s, {processor:.3f} s of a processor", flush=True)


def compiling() -> None:
    found = {}
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            for state in ("nothing", "all"):
                found[processes, state] = seconds_of(COMPILE, processes, NUMBA_CACHE_DIR=folder)
                say(f"{processes} at once, {state} compiled", *found[processes, state])
    print(f"ratio {found[2, 'nothing'][1] / found[1, 'nothing'][1]:.2f}")


def main() -> None:
    calls = [{name: seconds_of(command) for name, command in COMMANDS.items()} for _ in range(CALLS)]
    best = {name: tuple(min(call[name][kind] for call in calls) for kind in (0, 1)) for name in COMMANDS}
    for name, (wall, processor) in best.items():
        say(name, wall, processor)
    bare, ours = best.values()
    print(f"ratio {ours[0] / bare[0]:.1f}")
    if "--compile" in sys.argv[1:]:
        compiling()


if __name__ == "__main__":
    main()
