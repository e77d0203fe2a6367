"""How well a reading tells one kind of clip from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 400


def auroc(positive: Array, negative: Array) -> float:
    """Chance that a value of `positive` (P,) exceeds one of `negative` (Q,), ties counting half; NaN for none.

    The area under the receiver operating characteristic (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747).
    """
    if not len(positive) or not len(negative):
        return float("nan")
    return float(_wins(positive, negative).mean())


def _wins(positive: Array, negative: Array) -> Array:
    """1 where a positive (P,) exceeds a negative (Q,), 0.5 where they are equal, else 0: (P, Q)."""
    a, b = positive[:, None], negative[None]
    return np.asarray((a > b) + 0.5 * (a == b), dtype=np.float64)


def auroc_resampled(
    positive: Array, seeds: NDArray[np.int64], negative: Array, negative_seeds: NDArray[np.int64], weights: Array
) -> Array:
    """AUROC (B,) when clips are drawn with replacement, each with all that was made of it.

    seeds (P,), negative_seeds (Q,): which clip a value is of, from 0 on. weights (B, S): how often each is drawn.
    NaN where a draw holds no positive or no negative.
    """
    wins = _wins(positive, negative)
    a, b = weights[:, seeds], weights[:, negative_seeds]
    total = a.sum(axis=1) * b.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, ((a @ wins) * b).sum(axis=1) / total, np.nan))


def draws(clips: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """How often each of `clips` clips is drawn in `resamples` draws with replacement: (B, clips)."""
    return rng.multinomial(clips, np.full(clips, 1 / clips), size=resamples).astype(np.float64)


def interval(resampled: Array) -> tuple[float, float]:
    """The middle 95 % of resampled values (B,), NaN left out; NaN where nothing is left."""
    good = resampled[np.isfinite(resampled)]
    if not len(good):
        return float("nan"), float("nan")
    low, high = np.percentile(good, [2.5, 97.5])
    return float(low), float(high)
