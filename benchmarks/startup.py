"""Measures the time of `physbench --help`, beside an interpreter that does nothing. Bound: 0.3 s.

    python benchmarks/startup.py

The best of several calls of each, in turn: wall clock and processor time.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

CALLS = 9
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "physbench --help": [sys.executable, "-c", "from physbench.cli.main import main; main()", "--help"],
}


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Wall clock and processor time of one call in s."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    calls = [{name: seconds_of(command) for name, command in COMMANDS.items()} for _ in range(CALLS)]
    best = {name: tuple(min(call[name][kind] for call in calls) for kind in (0, 1)) for name in COMMANDS}
    for name, (wall, processor) in best.items():
        print(f"{name:18} {wall:.3f} s, {processor:.3f} s of a processor")
    bare, ours = best.values()
    print(f"ratio {ours[0] / bare[0]:.1f}")


if __name__ == "__main__":
    main()
