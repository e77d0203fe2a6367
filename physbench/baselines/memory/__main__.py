"""python -m physbench.baselines.memory CLIPS     makes the clips that `baseline:memory` remembers."""

from __future__ import annotations

import argparse
import sys
import time

from physbench.baselines.memory.memory_model import MemoryTable, memory_rows
from physbench.support.processes import cores


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m physbench.baselines.memory", description=__doc__)
    parser.add_argument("clips", type=int, help="of all tasks together, such as 150, 1500 or 15000")
    parser.add_argument("--pushed", action="store_true", help="as many clips a task of the tasks with pushes instead")
    parser.add_argument("--workers", type=int, default=cores())
    arguments = parser.parse_args()
    table, rows = MemoryTable(), memory_rows(arguments.clips, pushed=arguments.pushed)
    started = time.monotonic()
    written = table.ensure(rows, arguments.workers)
    seconds = time.monotonic() - started
    print(f"{len(rows):,} clips, {table.size(rows) / 1e6:.1f} MB in {table.folder}")
    print(f"{written:,} of them made now, in {seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
