"""Measures what `physbench.score` costs a clip, beside the tracking that is a part of it.

    python benchmarks/one_clip.py [--size 128] [--fps 16] [--tasks 'falling/projectile,...|core'] [--calls 5]

16 frames/s give 64 frames in clips of 4 s. With `--tasks core` two clips of each task of core are scored as ground
truth and as a motion that stops, without references; then come the median, the ninth decile and the share of at most
0.15 s of those with 64 frames. For each task and each of four answers (ground truth, everything at 0.9
times its speed, a motion that stops half-way, the frozen frame): processor time of tracking, median of the calls, and
in multiples of that the first call of the clip, and the median of further ones with all readings and with
`axes="consistency"`. A tracker that is let alone takes 0.05 s for 72 frames of 128 px: 0.15 s are 3 times that.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

import physbench
from physbench.api.one_clip import score
from physbench.clips.clip import Clip, Row
from physbench.clips.suite import find_suite
from physbench.rollout.store import Rollout
from physbench.score.score_clip import observed
from physbench.support.arrays import Image

TASKS = "falling/projectile,collisions/billiards,occlusion/screen-pass,orbits/kepler"
CONTEXT = 8


def seconds_of(work: Callable[[], object], calls: int = 1) -> float:
    """Processor time of a call, s: the median of several."""
    found = []
    for _ in range(calls):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return float(np.median(found))


def answers(clip: Clip) -> dict[str, Image]:
    future, times = clip.future(), np.arange(clip.horizon)
    return {
        "truth": future,
        "slow": future[(times * 0.9).astype(int)],
        "stops": future[np.minimum(times, clip.horizon // 2)],
        "freeze": np.repeat(clip.context(1), clip.horizon, axis=0),
    }


def distribution(size: int, fps: float, calls: int) -> None:
    """Print times over the tasks of core, of ground truth and of a motion that stops half-way."""
    rows: dict[str, list[Row]] = {}
    for row in find_suite("core").rows:
        if row.split == "test":
            rows.setdefault(row.task, []).append(row)
    taken: dict[tuple[str, str], list[float]] = {}
    for row in (row for each in rows.values() for row in each[:2]):
        clip = physbench.clip(row.id, size=size, fps=fps)
        for name, frames in answers(clip).items():
            if name not in ("truth", "stops"):
                continue
            whole = partial(score, clip, frames, fps, references=False)
            work = {
                "tracking": partial(observed, clip, Rollout(clip.id, 0, frames), CONTEXT),
                "consistency": partial(whole, axes="consistency"),
                "all readings": whole,
            }
            seconds_of(whole)  # what is made once a clip
            found = {label: seconds_of(each, calls) for label, each in work.items()}
            times = ", ".join(f"{label} {seconds:.3f} s" for label, seconds in found.items())
            print(f"{clip.id:34} {name:7} {clip.horizon} frames, {times}", flush=True)
            for label, seconds in found.items() if clip.horizon <= 64 else ():
                taken.setdefault((name, label), []).append(seconds)
    for (name, label), each in sorted(taken.items()):
        values = np.array(each)
        print(
            f"{name:7} {label:13} {len(values)} clips: median {np.median(values):.3f} s, ninth decile "
            f"{np.quantile(values, 0.9):.3f} s, at most 0.15 s in {np.mean(values <= 0.15):.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--fps", type=float, default=16)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--calls", type=int, default=5)
    asked = parser.parse_args()
    if asked.tasks == "core":
        return distribution(asked.size, asked.fps, asked.calls)
    for task in asked.tasks.split(","):
        clip = physbench.clip(task, "test", 0, size=asked.size, fps=asked.fps)
        for name, frames in answers(clip).items():
            tracked = partial(observed, clip, Rollout(clip.id, 0, frames), CONTEXT)
            whole = partial(score, clip, frames, asked.fps)
            cheap = partial(whole, axes="consistency")
            seconds_of(tracked)
            seconds_of(cheap)  # compiles, where nothing is yet
            first = seconds_of(whole)
            base = seconds_of(tracked, asked.calls)
            of_all, of_one = (seconds_of(each, asked.calls) / base for each in (whole, cheap))
            print(
                f"{clip.id:34} {name:7} {clip.horizon} frames, tracking {base:.3f} s; in multiples: first "
                f"{first / base:.1f}, all readings {of_all:.1f}, consistency {of_one:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
