"""Measures what `physbench.score` costs a clip, by part, beside a fixed piece of work on the same core.

    python benchmarks/one_clip.py [--size 128] [--fps 16] [--tasks 'falling/projectile,...'] [--calls 5]

16 frames/s give 64 frames in clips of 4 s. For each task and each of four answers (ground truth, everything at 0.9
times its speed, a motion that stops half-way, the frozen frame): s of processor of the first call, whose clip is new, and the
median of further ones: all axes and readings, `axes="consistency"`, and of that tracking and shadowing. A unit is a
fixed piece of NumPy work, timed before each task, so that machines and hours can be compared: on a core of a Xeon at
rest it takes 0.010 s. Bound: 0.15 s, 15 units, for `axes="consistency"`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

import physbench
from physbench.api.one_clip import score
from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.arrays import Image

TASKS = "falling/projectile,collisions/billiards,occlusion/screen-pass,orbits/kepler"
CONTEXT = 8


def seconds_of(work: Callable[[], object]) -> float:
    """Processor time of one call, s."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def unit() -> float:
    """Processor time of a fixed piece of work, s: the median of 9."""
    values = np.random.default_rng(0).random((200, 2000))
    return float(np.median([seconds_of(lambda: np.sort(values, axis=1).cumsum(1).sum()) for _ in range(9)]))


def answers(clip: Clip) -> dict[str, Image]:
    future, half = clip.future(), clip.horizon // 2
    return {
        "truth": future,
        "slow": future[(np.arange(clip.horizon) * 0.9).astype(int)],
        "stops": future[np.minimum(np.arange(clip.horizon), half)],
        "freeze": np.repeat(clip.context(1), clip.horizon, axis=0),
    }


def parts(clip: Clip, frames: Image) -> tuple[float, float]:
    """Processor time of tracking and of shadowing, s, as an observation measures them on its own clock."""
    scorers = tuple(each for each in find_scorers() if each.headline and each.axis == "consistency")
    observation = score_clip(clip, Rollout(clip.id, 0, frames), CONTEXT, scorers, store=False)[1]
    assert observation is not None
    took = observation.seconds
    return took["tracks"], took.get("shadowing", 0.0) + took.get("free_constants", 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--fps", type=float, default=16)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--calls", type=int, default=5)
    asked = parser.parse_args()
    print("all figures in units, after the first column; tracking and shadowing as shares of wall clock", flush=True)
    for task in asked.tasks.split(","):
        clip = physbench.clip(task, "test", 0, size=asked.size, fps=asked.fps)
        base = unit()
        for name, frames in answers(clip).items():
            first = seconds_of(lambda f=frames: score(clip, f, asked.fps))
            seconds_of(lambda f=frames: score(clip, f, asked.fps, axes="consistency"))
            whole, cheap = (
                float(np.median([seconds_of(lambda: score(clip, f, asked.fps, axes=a)) for _ in range(asked.calls)]))
                for f, a in ((frames, None), (frames, "consistency"))
            )
            tracking, shadowing = parts(clip, frames)
            share = tracking / max(tracking + shadowing, 1e-9)
            print(
                f"{clip.id:34} {name:7} {clip.horizon} frames, unit {base:.3f} s: first {first / base:5.1f}, all "
                f"{whole / base:5.1f}, consistency {cheap / base:5.1f}, of which tracking {100 * share:.0f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
