"""Measures the time that intervals take: 10,000 stratified resamples, against SciPy on one mean.

    python benchmarks/intervals.py

Processor and wall seconds on one core, second call of two (the draws of a stratum are cached). 20,000
rows are those of a score table of `core` (14 tasks x (24 + 8) clips x 45 readings); then the same number of clips with
one reading each; one entry of a leaderboard; and the ranks of 50 (three entries under other names). SciPy's
bootstrap has no strata; it resamples the mean of 448 values, one of the 45 columns, as often. Compare ratios.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import scipy.stats

from physbench.leaderboard.ranking import rank, resampled_skill
from physbench.result.bootstrap import RESAMPLES, resample
from physbench.result.skill import Stratum
from physbench.score.protocol import AXES

TASKS, READINGS, ENTRIES = 14, 45, 50
CORE = {"test": 24, "ood": 8}


def blocks(columns: int, clips: Mapping[str, int], tasks: int = TASKS) -> dict[Stratum, np.ndarray]:
    """Qualities (columns, n) by stratum."""
    rng = np.random.default_rng(7)
    return {
        Stratum(f"f{i % 5}/t{i}", split): rng.uniform(size=(columns, n))
        for i in range(tasks)
        for split, n in clips.items()
    }


def means_of_tasks(strata: Mapping[Stratum, np.ndarray]) -> None:
    """The interval of every column in every task."""
    drawn = resample(strata, bounded=range(len(next(iter(strata.values())))))
    for task in dict.fromkeys(key.task for key in strata):
        keys = [key for key in strata if key.task == task]
        clips = sum(strata[key].shape[1] for key in keys)
        drawn.interval(np.sum([drawn.means[key] * strata[key].shape[1] for key in keys], axis=0) / clips)


def mean_of_all(strata: Mapping[Stratum, np.ndarray]) -> None:
    """The interval of the mean over all strata."""
    drawn = resample(strata, bounded=(0,))
    drawn.interval(np.mean([means[:, 0] for means in drawn.means.values()], axis=0))


def table(level: float, seed: int) -> pd.DataFrame:
    """Headline rows of a run of core."""
    rng = np.random.default_rng(seed)
    head = [
        (f"f{i % 5}/t{i}.{split}.{seed}", f"f{i % 5}/t{i}", split, seed, 0, axis)
        for i in range(TASKS)
        for split, n in CORE.items()
        for seed in range(n)
        for axis in AXES
    ]
    frame = pd.DataFrame(head, columns=["clip", "task", "split", "seed", "sample", "axis"])
    quality = np.clip(rng.normal(level, 0.1, len(frame)), 0, 1)
    return frame.assign(reading=frame["axis"], value=quality, quality=quality)


def timed(title: str, work: Callable[[], object]) -> float:
    """Print and return processor seconds."""
    work()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{title:<66} {cpu:6.2f} s CPU {wall:6.2f} s wall")
    return cpu


def main() -> None:
    core, clips = blocks(READINGS, CORE), blocks(1, {"test": 1072, "ood": 357})
    board = [{"model": table(0.3 + 0.01 * k, k), "truth": table(1, 98), "freeze": table(0, 99)} for k in range(3)]
    rows = sum(values.size for values in core.values())
    own = timed(f"{rows:,} rows: {READINGS} readings of core, every task's interval", lambda: means_of_tasks(core))
    timed(f"{sum(v.size for v in clips.values()):,} clips, interval of the mean over tasks", lambda: mean_of_all(clips))
    timed("one entry of a leaderboard, from its table to 10,000 skills", lambda: resampled_skill(board[0]))
    entries = [resampled_skill(tables) for tables in board[:3]]
    entries = [replace(entries[k % 3], rows=entries[k % 3].rows + 0.01 * k) for k in range(ENTRIES)]
    timed(f"ranks of {ENTRIES} entries with intervals", lambda: rank(entries))
    column = np.random.default_rng(1).uniform(size=448)
    other = timed(
        "SciPy's bootstrap of one mean of 448 values",
        lambda: scipy.stats.bootstrap((column,), np.mean, n_resamples=RESAMPLES, method="percentile"),
    )
    print(f"ratio of the first and the last, which has one of the first's {TASKS * READINGS} means: {own / other:.1f}")


if __name__ == "__main__":
    main()
