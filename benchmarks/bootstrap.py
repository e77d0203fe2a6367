"""Intervals of a core run: 10,000 stratified resamples of 4 tasks x (24 + 8) clips, against SciPy on one mean.

    python benchmarks/bootstrap.py

SciPy's bootstrap has no strata; it resamples the mean of 128 values, one of the 9 columns, as often. Compare ratios.
"""

from __future__ import annotations

import time

import numpy as np
import scipy.stats

from physbench.scoring.bootstrap import RESAMPLES, interval, resampled_means
from physbench.scoring.skill import Stratum, skills, task_means


def main() -> None:
    rng = np.random.default_rng(7)
    strata = {Stratum(f"f{i}/a", s): rng.uniform(size=(9, n)) for i in range(4) for s, n in (("test", 24), ("ood", 8))}
    kinds = {f"f{i}/a": ("informative",) * 3 for i in range(4)}
    begin = time.process_time()
    draws = {key: d.reshape(-1, 3, 3) for key, d in resampled_means(strata, bounded=(0, 1, 2)).items()}
    counts = {key: np.full(3, values.shape[1]) for key, values in strata.items()}
    interval(skills(task_means(draws, counts), kinds, 0, slice(1, 3)).overall)
    middle = time.process_time()
    scipy.stats.bootstrap((rng.uniform(size=128),), np.mean, n_resamples=RESAMPLES, method="percentile")
    end = time.process_time()
    print(f"all 9 columns and their skills {middle - begin:.2f} s, SciPy on one mean {end - middle:.2f} s")
    print(f"ratio {(middle - begin) / (end - middle):.1f}")


if __name__ == "__main__":
    main()
