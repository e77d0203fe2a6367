"""How well a reading tells one kind of clip from another, and how sure that is.

The interval of an AUROC is that of a jackknife over clips: one clip is left out at a time with all that was made of it,
ground truth and alternatives too. It is symmetrical on the logit scale, with t quantiles (Welch and Satterthwaite where
tasks are averaged), since plain percentiles of a bootstrap cover 73 % at 12 clips and an AUROC of .96. Where nothing
overlaps a jackknife would claim certainty. What was not seen in n clips may happen in 3 / n of them, more exactly in
1 - .05^(1/n): such clips would be on the wrong side of all others. Fewer than 8 clips: no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtri, expit, logit, stdtrit

from physbench.results.bootstrap import MISS, TINY

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

FEWEST_CLIPS = 8  # clips


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


@dataclass(frozen=True)
class Separation:
    """An AUROC with what its interval follows from."""

    value: float
    variance: float  # of the jackknife
    degrees: float  # of freedom
    clips: float  # distinct ones that are told from lawful ones; of a mean, what as many in one task would be worth

    def interval(self) -> tuple[float, float]:
        """95 % interval; NaN for fewer than FEWEST clips."""
        if not np.isfinite(self.value) or self.clips < FEWEST_CLIPS:
            return float("nan"), float("nan")
        low = high = self.value
        if TINY < self.value < 1 - TINY and self.variance > 0:
            half = stdtrit(self.degrees, 1 - MISS / 2) * np.sqrt(self.variance) / (self.value * (1 - self.value))
            low, high = (float(expit(logit(self.value) + sign * half)) for sign in (-1, 1))
        return min(low, self.value * self.perfect), max(high, 1 - (1 - self.value) * self.perfect)

    @property
    def perfect(self) -> float:
        """Lower end of the interval of an AUROC of 1 with so many clips; 0 for none."""
        return float(MISS ** (1 / self.clips)) if self.clips else 0.0


def separation(positive: Array, seeds: Indices, negative: Array, negative_seeds: Indices) -> Separation:
    """AUROC of values (P,) of clips `seeds` (P,) against lawful ones (Q,) of clips `negative_seeds` (Q,)."""
    clips = len(np.unique(seeds))
    if not len(positive) or not len(negative):
        return Separation(float("nan"), 0.0, 1.0, clips)
    wins = _wins(positive, negative)
    size = int(max(seeds.max(), negative_seeds.max())) + 1
    rows = np.bincount(seeds, wins.sum(axis=1), size)
    columns = np.bincount(negative_seeds, wins.sum(axis=0), size)
    ours, theirs = np.bincount(seeds, minlength=size), np.bincount(negative_seeds, minlength=size)
    i, j = np.nonzero(seeds[:, None] == negative_seeds[None])
    both = np.bincount(seeds[i], wins[i, j], size)
    total, pairs = wins.sum(), (len(positive) - ours) * (len(negative) - theirs)
    left_out = np.where(pairs > 0, (total - rows - columns + both) / np.maximum(pairs, 1), np.nan)
    value = float(wins.mean())
    variance, squares = 0.0, 0.0
    for stratum in (ours > 0, (ours == 0) & (theirs > 0)):  # clips with, and those without what is told apart
        gain = left_out[stratum] - value
        gain = gain[np.isfinite(gain)]
        n = len(gain)
        if n > 1:
            part = (n - 1) / n * float((gain**2).sum())
            variance, squares = variance + part, squares + part**2 / (n - 1)
    degrees = variance**2 / squares if squares > 0 else max(clips - 1.0, 1.0)
    return Separation(value, variance, degrees, clips)


def mean_of(parts: Sequence[Separation], weights: Sequence[float] | None = None) -> Separation:
    """Weighted mean of the AUROC of tasks that share no clips; by default each has the same weight."""
    known = [k for k, part in enumerate(parts) if np.isfinite(part.value)]
    if not known:
        return Separation(float("nan"), 0.0, 1.0, 0)
    share = np.array([1.0 if weights is None else weights[k] for k in known])
    share = share / share.sum()
    chosen = [parts[k] for k in known]
    pieces = share**2 * np.array([part.variance for part in chosen])
    variance = float(pieces.sum())
    squares = float((pieces**2 / np.array([part.degrees for part in chosen])).sum())
    # What was not seen would weigh most in the task with the fewest clips.
    clips = float(min(part.clips / w for part, w in zip(chosen, share, strict=True)))
    degrees = variance**2 / squares if squares > 0 else 1.0
    return Separation(float(share @ [part.value for part in chosen]), variance, degrees, clips)


def most_likely_share(count: int, of: int, miss: float = MISS) -> float:
    """Upper bound, with 1 - `miss` confidence, of a share that was seen `count` times in `of`: Clopper & Pearson 1934.

    NaN for `of` 0. doi:10.1093/biomet/26.4.404.
    """
    if of == 0:
        return float("nan")
    return 1.0 if count >= of else float(bdtri(count, of, miss))


def least_likely_share(count: int, of: int, miss: float = MISS) -> float:
    """Lower bound of the same."""
    return float("nan") if of == 0 else 1 - most_likely_share(of - count, of, miss)
