"""Measures what a Ray cluster costs, against processes of this machine. Bound: 1.2 times their time, on one node.

    python benchmarks/ray_overhead.py [--suite lite] [--workers 2] [--repeats 3]

An instant model, the frozen last frame, is rolled out and scored on a suite at 64 px: by worker processes, and by the
tasks of a cluster of this machine alone with as many CPUs. The two take turns, each in a process of its own. The cache
is warm: clips are in it, and the readings of the references. The time is that of the two stages, as the run's manifest
says; result and report are left out. The start is left out, too: what the same takes on a few clips, so that every
process has begun, is subtracted. The ratio is that of the medians. Processor time is that of the program and of all
processes under it, Ray's own included, looked at four times a second. The scores must be the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from physbench.result.manifest import read_manifest
from physbench.support.run_folder import RunFolder

BOUND = 1.2
LOOK_SECONDS = 0.25
FEW_FOR_EACH = 4  # clips for each worker in a run whose time is that of the start
PROGRAM = """\
import sys
from pathlib import Path
from physbench.run.evaluate import evaluate
from physbench.run.options import Options

def main():
    executor, suite, limit, workers, out = sys.argv[1:]
    options = Options(
        "baseline:freeze", suite=suite, limit=int(limit) or None, workers=int(workers), executor=executor, device="cpu"
    )
    evaluate(options, out=Path(out), stages=("rollout", "score"))

if __name__ == "__main__":
    main()
"""


def processor_seconds(program: psutil.Popen) -> float:
    """Wait for a program. Returns the processor time of it and of all processes that it has started, in s."""
    spent: dict[psutil.Process, float] = {}
    while program.poll() is None:
        for process in [program, *program.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.Error:  # it has just ended
                continue
            spent[process] = times.user + times.system
        time.sleep(LOOK_SECONDS)
    return sum(spent.values())


def one_run(executor: str, suite: str, limit: int, workers: int) -> tuple[float, float, str]:
    """Seconds of the stages and of processors for `limit` clips (0: all), and a hash of all scores."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "run"
        words = (executor, suite, str(limit), str(workers), str(out))
        log = Path(name) / "log"
        with log.open("w") as said:
            program = psutil.Popen([sys.executable, "-c", PROGRAM, *words], stderr=said, text=True)
            spent = processor_seconds(program)
        if program.returncode:
            raise SystemExit(log.read_text())
        digest = hashlib.sha256()
        for path in sorted([*out.glob("parts/*"), *out.glob("references/*/parts/*")]):
            digest.update(path.read_bytes())
        return read_manifest(RunFolder(out)).speed["total_seconds"], spent, digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="lite")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    few = FEW_FOR_EACH * options.workers
    _, _, expected = one_run("local", options.suite, 0, options.workers)  # which fills the cache
    found: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
    for _ in range(options.repeats):
        for executor, times in found.items():
            start, start_spent, _ = one_run(executor, options.suite, few, options.workers)
            whole, spent, scores = one_run(executor, options.suite, 0, options.workers)
            assert scores == expected, "both must give the same scores"
            times.append((whole - start, spent - start_spent))
            print(
                f"{executor:5} {whole:6.1f} s with a start of {start:5.1f} s: {times[-1][0]:6.1f} s, "
                f"{times[-1][1]:6.1f} s of processors",
                flush=True,
            )
    (local, local_spent), (ray, ray_spent) = (
        tuple(statistics.median(column) for column in zip(*times, strict=True)) for times in found.values()
    )
    print(
        f"{options.suite} with {options.workers} workers: Ray {ray:.1f} s and {ray_spent:.1f} s of processors, "
        f"local {local:.1f} s and {local_spent:.1f} s, ratio of times {ray / local:.2f} (bound {BOUND})"
    )


if __name__ == "__main__":
    main()
