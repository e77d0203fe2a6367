"""95 % intervals: a stratified bootstrap over clips, widened for small strata.

Clips are drawn with replacement within each stratum (task x split), all sources and axes of a clip together, so that
references move with the model and a difference of two models is paired. Plain percentiles cover only 85 to 93 % at 5 to
24 clips; each stratum's deviation from its mean is therefore widened by t(n-1)/1.96 x sqrt(n/(n-1)), which is exact for
normal values. Where all n values of a model are equal the resamples would claim certainty; the rule of three (what was
never seen in n clips may still happen in 3 / n of them) takes their place: a share p ~ Exponential(1) / n of the clips
moves to 0 or to 1, all strata of a resample the same way, so that the interval of a mean over strata keeps its
estimate. Fewer than 8 clips in a stratum: no interval.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from physbench.scoring.skill import Stratum

Array = NDArray[np.float64]
Key = TypeVar("Key", bound=Stratum)

RESAMPLES = 10_000
FEWEST = 8  # clips in a stratum
TOO_FEW = "too few clips"


def widening(n: int) -> float:
    """Factor on deviations of the mean of n resampled values."""
    return float(stdtrit(n - 1, 0.975) / 1.959964 * np.sqrt(n / (n - 1)))


def resampled_means(
    strata: Mapping[Key, Array],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounded: Sequence[int] = (),
) -> dict[Key, Array]:
    """Widened means of resampled clips: values (V, n) per stratum -> (R, V); NaN values do not count.

    `bounded` names the rows of 0..1 values that fall under the rule of three where they are all equal. The draws of a
    stratum depend on `seed`, its name and n only. A stratum in which fewer than two values count keeps its mean.
    """
    end = np.random.default_rng(seed).integers(0, 2, size=resamples)  # where unseen clips lie: 0 or 1
    return {key: _stratum(key, values, end, seed, bounded) for key, values in strata.items()}


def _stratum(key: Stratum, values: Array, end: NDArray[np.int64], seed: int, bounded: Sequence[int]) -> Array:
    rng = np.random.default_rng([seed, zlib.crc32(f"{key.task} {key.split}".encode())])
    n = values.shape[-1]
    times_drawn = rng.multinomial(n, np.full(n, 1 / n), size=len(end)).astype(np.float64)  # (R, n)
    good = np.isfinite(values)
    filled = np.where(good, values, 0.0)
    count = good.sum(axis=-1)  # (V,)
    mean = np.where(count > 0, filled.sum(axis=-1) / np.maximum(count, 1), np.nan)
    drawn = times_drawn @ good.T  # (R, V) clips that count in a resample
    with np.errstate(invalid="ignore"):
        draws = np.where(drawn > 0, times_drawn @ filled.T / np.maximum(drawn, 1), mean)
    factor = np.array([widening(int(c)) if c > 1 else 0.0 for c in count])
    draws = np.asarray(mean + factor * (draws - mean), dtype=np.float64)
    unseen = rng.exponential(size=len(end))  # the same for all rows: a table differs from itself by 0
    for row in bounded:
        seen = values[row][good[row]]
        if len(seen) > 1 and np.ptp(seen) < 1e-12:
            share = np.minimum(unseen / len(seen), 1.0)
            draws[:, row] = mean[row] + share * (end - mean[row])
    return draws


def interval(draws: Array) -> Array:
    """95 % percentile interval over the first axis: (R, ...) -> (2, ...); NaN where a draw is NaN."""
    return np.asarray(np.percentile(draws, [2.5, 97.5], axis=0), dtype=np.float64)


def mean_interval(
    strata: Mapping[Key, Array], *, resamples: int = RESAMPLES, seed: int = 0, bounded: bool = True
) -> tuple[float, float]:
    """Interval of the mean of values (n,) per stratum, each clip with the same weight; `bounded`: they are 0..1."""
    blocks = {key: np.asarray(values, dtype=np.float64)[None] for key, values in strata.items()}
    draws = resampled_means(blocks, resamples=resamples, seed=seed, bounded=(0,) if bounded else ())
    counts = {key: np.isfinite(values).sum() for key, values in strata.items()}
    total = sum(counts.values())
    mean = np.sum([draws[key][:, 0] * counts[key] for key in draws if counts[key]], axis=0) / total
    low, high = interval(mean)
    return float(low), float(high)


def median_interval(strata: Mapping[Key, Array], *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Interval of the median over all strata of values (n,) in any unit without NaN, widened for their total number."""
    pooled = np.concatenate(list(strata.values()))
    order = np.argsort(pooled, kind="stable")
    parts = [_times_drawn(key.task, key.split, len(values), resamples, seed) for key, values in strata.items()]
    reached = np.cumsum(np.concatenate(parts)[order], axis=0, dtype=np.min_scalar_type(len(pooled)))  # (N, R)
    value, n = pooled[order], len(pooled)
    low_half, high_half = (value[(reached <= rank).sum(axis=0)] for rank in ((n - 1) // 2, n // 2))
    center = np.median(pooled)
    draws = center + widening(n) * ((low_half + high_half) / 2 - center)
    low, high = interval(draws)
    return float(low), float(high)


@lru_cache(maxsize=64)
def _times_drawn(task: str, split: str, n: int, resamples: int, seed: int) -> NDArray[np.unsignedinteger]:
    """How often each of the n clips of a stratum is drawn in each resample (n, R); the same for all readings."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{task} {split}".encode())])
    cells = rng.integers(0, n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * n).reshape(resamples, n)
    return np.ascontiguousarray(counts.T.astype(np.min_scalar_type(n)))
