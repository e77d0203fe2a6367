"""Speed of whole commands, as the figures of docs/design/speed.md: everything in one run, ratios beside the figures.

    python benchmarks/speed.py [SECTION ...] [--clips 28] [--table FILE.md]

Sections (all, where none is named):
    start      `physbench --help`, and `eval --resume` of a finished run
    first      `smoke` with empty caches, and again with what that left
    slopes     processor time of scoring a predicted frame, warm, against pixels, rate and clips. The expected slope of
               the logarithms: pixels at most 1 (tracking), rate 1 a second of video and so 0 a frame, clips 0 a frame
    scenes     the same against bodies and horizon, of balls that slide (sliding_balls.py). The expected slopes: bodies
               at most 1 (each has a trajectory of its own), horizon 1 a clip
    workers    `score` of the same rollouts with one worker and two
    overlap    `eval` beside its slower stage alone, for a model that sleeps .2 or 2 s a batch
    intervals  10,000 resamples of a result of 100,000 rows

The model repeats its last frame, so that the harness is what is measured. Processor time is that of the whole process
tree; what is marked "wall" wants an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from physbench.models.protocol import ModelCard

PROGRAM = [sys.executable, "-c", "from physbench.cli.main import main; main()"]
HERE = f"{Path(__file__)}:instant"
SLIDING = Path(__file__).with_name("sliding_balls.py")
QUICK = ("--no-diagnosis", "--keep-rollouts", "all")


class Instant:
    """Repeats the last frame; waits for some seconds a batch, as a model does whose work is on an accelerator."""

    def __init__(self, size: int, fps: float, seconds: float) -> None:
        self.card = ModelCard(name="instant", image_size=(size, size), fps=fps, context_frames=8)
        self.seconds = seconds

    def rollout(self, context: torch.Tensor, *, horizon: int, **_: Any) -> torch.Tensor:
        time.sleep(self.seconds)
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


def instant(
    device: torch.device, dtype: torch.dtype, *, size: str = "64", fps: str = "15", seconds: str = "0"
) -> Instant:
    """The factory that `physbench eval benchmarks/speed.py:instant` calls."""
    return Instant(int(size), float(fps), float(seconds))


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    wall: float  # s
    processor: float  # s, user and system of all its processes


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    figure: str
    bar: str = ""


def cost_of(*words: str, cache: Path) -> Cost:
    """Run a command of physbench. Raises SystemExit where it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    known = os.environ | {"PHYSBENCH_CACHE": str(cache)}
    done = subprocess.run([*PROGRAM, *words], env=known, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"physbench {' '.join(words)} failed: {done.stderr[-1000:]}")
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def evaluation(
    out: Path, clips: int, *, seconds: float = 0, size: int = 64, fps: float = 15, tasks: str = "*/*"
) -> list[str]:
    """The words of an evaluation of the instant model."""
    arguments = {"size": size, "fps": f"{fps:g}", "seconds": f"{seconds:g}"}
    given = [word for name, value in arguments.items() for word in ("--model-arg", f"{name}={value}")]
    which = ["--suite", "core", "--tasks", tasks, "--limit", str(clips)]
    return ["eval", HERE, *given, *which, "--out", str(out), "--fresh", *QUICK]


def start(folder: Path, clips: int) -> Iterator[Line]:
    cache, run = folder / "cache", folder / "start"
    bare = min(_bare() for _ in range(5))
    helped = min((cost_of("--help", cache=cache) for _ in range(5)), key=lambda cost: cost.wall)
    yield Line(
        "`physbench --help`, wall", f"{helped.wall:.2f} s, {helped.wall / bare:.0f} times an empty Python", ".1 s"
    )
    cost_of(*evaluation(run, clips), cache=cache)
    words = [word for word in evaluation(run, clips) if word != "--fresh"]
    again = min((cost_of(*words, "--resume", cache=cache) for _ in range(3)), key=lambda cost: cost.wall)
    yield Line("`eval --resume` of a finished run, wall", f"{again.wall:.2f} s", "1 s")


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def first(folder: Path, clips: int) -> Iterator[Line]:
    words = ["eval", "reference:objects", "--suite", "smoke", "--out", str(folder / "first"), "--fresh"]
    cold, warm = (cost_of(*words, cache=folder / "smoke-cache") for _ in range(2))
    yield Line("`smoke` of `reference:objects`, no caches, processor", f"{cold.processor:.0f} s", "50 s")
    ratio = f"{warm.processor:.0f} s, {warm.processor / cold.processor:.2f} of the first"
    yield Line("the same again, processor", ratio, "15 s")


def slopes(folder: Path, clips: int) -> Iterator[Line]:
    few = _few(clips)
    frames = 15 * (_predicted_seconds(clips + few) - _predicted_seconds(few))
    base = _marginal(folder, clips, 64, 15)
    yield Line("scoring a predicted frame, 64 px, 15 frames/s, processor", f"{1e3 * base / frames:.2f} ms")
    for size in (128, 256):
        cost = _marginal(folder, clips, size, 15)
        slope = np.log(cost / base) / np.log((size / 64) ** 2)
        bar = "1.9 ms at 256 px" if size == 256 else ""
        yield Line(f"the same at {size} px", f"{1e3 * cost / frames:.2f} ms, slope against pixels {slope:.2f}", bar)
    cost = _marginal(folder, clips, 64, 30)
    rate = np.log(cost / base) / np.log(2)
    yield Line(
        "the same at 30 frames/s", f"{1e3 * cost / frames / 2:.2f} ms, slope of a clip against rate {rate:.2f}", "<= 1"
    )
    more = _marginal(folder, 2 * clips, 64, 15)
    yield Line("twice the clips", f"{more / base:.2f} times as long", "2")


def scenes(folder: Path, clips: int) -> Iterator[Line]:
    one, two, four, long = (
        _marginal(folder, 14, 64, 15, f"{SLIDING}:{name}")
        for name in ("Sliding", "TwoBalls", "FourBalls", "TwiceAsLong")
    )
    yield Line("scoring a clip of 4 s of one ball, 64 px, 15 frames/s, processor", f"{1e3 * one / 14:.0f} ms")
    slope = f"slope against bodies {np.log(four / one) / np.log(4):.2f}"
    yield Line("the same of two and four balls", f"{two / one:.2f} and {four / one:.2f} times as long, {slope}", "<= 1")
    yield Line("the same of 8 s", f"{long / one:.2f} times as long, slope {np.log(long / one) / np.log(2):.2f}", "1")


def _marginal(folder: Path, clips: int, size: int, fps: float, tasks: str = "*/*") -> float:
    """Processor seconds of scoring `clips` clips of a warm run beyond what a run of a quarter of them takes."""
    few, cache = _few(clips), folder / "cache"
    costs = []
    for number in (clips + few, few):
        run = folder / f"slope-{size}-{fps:g}-{number}"
        cost_of(
            *evaluation(run, number, size=size, fps=fps, tasks=tasks), cache=cache
        )  # clips and references are there now
        costs.append(cost_of("score", str(run), "--fresh", "--workers", "1", cache=cache).processor)
        shutil.rmtree(run)
    return costs[0] - costs[1]


def _few(clips: int) -> int:
    return max(14, clips // 4)


def _predicted_seconds(clips: int) -> float:
    """Seconds that are predicted in so many clips of core: twice as many of an orbit as of most others."""
    from physbench.clips.generate import make_scene
    from physbench.clips.suite import find_suite

    return sum(make_scene(row).horizon for row in find_suite("core", limit=clips).rows)


def workers(folder: Path, clips: int) -> Iterator[Line]:
    run, cache = folder / "workers", folder / "cache"
    cost_of(*evaluation(run, 2 * clips), cache=cache)
    one, two = (cost_of("score", str(run), "--fresh", "--workers", str(n), cache=cache).wall for n in (1, 2))
    yield Line("`score` with one worker over two, wall", f"{one / two:.2f}", "1.8")


def overlap(folder: Path, clips: int) -> Iterator[Line]:
    cache = folder / "cache"
    for seconds in (0.2, 2.0):
        run = folder / f"overlap-{seconds:g}"
        words = [*evaluation(run, 2 * clips, seconds=seconds), "--batch-size", "4", "--workers", "1"]
        whole = [cost_of(*words, cache=cache).wall for _ in range(2)][1]
        alone = cost_of("rollout", *words[1:], cache=cache).wall
        scored = cost_of("score", str(run), "--workers", "1", cache=cache).wall
        figure = f"{max(alone, scored) / whole:.2f} (rollout {alone:.0f} s, scoring {scored:.0f} s, both {whole:.0f} s)"
        yield Line(f"slower stage alone over `eval`, {seconds:g} s a batch, wall", figure, ".9")


def intervals(folder: Path, clips: int) -> Iterator[Line]:
    from physbench.result.bootstrap import resample
    from physbench.result.skill import Stratum

    rng = np.random.default_rng(1)
    blocks = {
        Stratum(f"f/t{k}", s): rng.uniform(size=(223, n)) for k in range(14) for s, n in (("test", 24), ("ood", 8))
    }
    began = time.process_time()
    resample(blocks, resamples=10_000)
    taken = time.process_time() - began
    rows = sum(block.size for block in blocks.values())
    yield Line(f"10,000 resamples of {rows:,} rows, processor", f"{taken:.1f} s", "5 s")


SECTIONS: dict[str, Callable[[Path, int], Iterator[Line]]] = {
    each.__name__: each for each in (start, first, slopes, scenes, workers, overlap, intervals)
}


def machine() -> str:
    """Processor, cores and libraries, in words."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if "model name" in line
    ]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument("--clips", type=int, default=28)
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {machine()}:", "", "| what | measured | asked |", "| --- | --- | --- |"]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        for name in given.sections or SECTIONS:
            for line in SECTIONS[name](Path(folder), given.clips):
                lines.append(f"| {line.what} | {line.figure} | {line.bar} |")
                print(lines[-1], flush=True)
    if given.table:
        given.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
