"""Psychometric curves: from how often violations of some sizes are noticed, the size that is noticed in 75 %.

The curve is a Weibull function for a choice between two, P(a) = 1/2 + (1/2 - l) (1 - exp(-(a / s)^k)), with the
lapse rate l: what goes wrong at any size. All of it is summed over a grid of threshold, steepness and lapse rate with
flat priors (in the logarithm for the first two), as psignifit does (Schuett, Harmeling, Macke and Wichmann, 2016); the
threshold is the median of what is left. A curve through perfect steps, for which no best fit exists, has one, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.results.bootstrap import MISS

Array = NDArray[np.float64]

NOTICED_LEVEL = 0.75  # of the choices are right at the threshold
CHANCE = 0.5
LAPSES = np.array([0.0, 0.02, 0.05])
STEEPNESS = np.geomspace(0.7, 8.0, 6)
THRESHOLDS = 96  # on the grid
BEYOND = 4.0  # times beyond the smallest and the largest amount that thresholds are looked for
THRESHOLD_RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class CurveGrid:
    """All curves that are compared at some amounts. G of them at A amounts."""

    thresholds: Array  # (M,) amounts
    probability: Array  # (M, K, L, A) of a right choice
    amounts: Array  # (A,)


@lru_cache(maxsize=32)
def curve_grid(amounts: tuple[float, ...]) -> CurveGrid:
    """The curves for violations of these amounts, all above 0."""
    a = np.array(amounts)
    thresholds = np.geomspace(a.min() / BEYOND, a.max() * BEYOND, THRESHOLDS)
    return CurveGrid(
        thresholds, weibull(a, thresholds[:, None, None, None], STEEPNESS[:, None, None], LAPSES[:, None]), a
    )


def weibull(amount: Array, threshold: Array | float, steepness: Array | float, lapse: Array | float) -> Array:
    """Probability of a right choice between two; NOTICED_LEVEL at the threshold, whatever the lapse rate."""
    reached = -np.log1p(-(NOTICED_LEVEL - CHANCE) / (CHANCE - lapse))  # (s / threshold)^-k
    return np.asarray(CHANCE + (CHANCE - lapse) * -np.expm1(-reached * (amount / threshold) ** steepness))


@dataclass(frozen=True, eq=False)
class FittedThreshold:
    """The amount that is noticed in NOTICED_LEVEL of the pairs."""

    amount: float  # infinite where the largest is noticed less often; the smallest where all are noticed more often
    interval: tuple[float, float] | None  # over clips; ends may be infinite
    curve: Array  # (A,) probability of a right choice at the amounts, the mean over all curves as they are likely

    @property
    def reached(self) -> bool:
        return bool(np.isfinite(self.amount))


def fit_threshold(
    amounts: tuple[float, ...], right: Array, clips: Array, seed: int = 0, resamples: int = THRESHOLD_RESAMPLES
) -> FittedThreshold:
    """Fit a curve to pairs.

    Args:
        amounts: The A amounts, rising.
        right: For each clip and amount (C, A) how many pairs were told apart; a tie counts half.
        clips: How many pairs there are (C, A).
        seed: Of the bootstrap, in which clips are drawn with all their pairs.
        resamples: Draws of it; 0 for no interval.
    """
    grid = curve_grid(amounts)
    every = _posterior(grid, right.sum(0)[None], clips.sum(0)[None])
    amount = _quantile(grid, every, 0.5)[0]
    curve = np.einsum("gmkl,mkla->ga", every, grid.probability)[0]
    interval = None
    if len(right) > 1 and resamples:
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(len(right), np.full(len(right), 1 / len(right)), size=resamples).astype(np.float64)
        # Widened as the spread of few clips is too small on average: by sqrt(n / (n - 1)) around the estimate.
        draws = _quantile(grid, _posterior(grid, drawn @ right, drawn @ clips), 0.5)
        log, middle = np.log(draws), np.log(amount)
        log = middle + np.sqrt(len(right) / (len(right) - 1)) * (log - middle)
        low, high = np.exp(np.quantile(log, [MISS / 2, 1 - MISS / 2]))
        # Clips that agree draw the same curve every time; what their number leaves open is in the posterior.
        low = min(low, _quantile(grid, every, MISS / 2)[0])
        high = max(high, _quantile(grid, every, 1 - MISS / 2)[0])
        interval = (_censored(grid, low), _censored(grid, high))
    return FittedThreshold(_censored(grid, amount), interval, curve)


def _posterior(grid: CurveGrid, right: Array, pairs: Array) -> Array:
    """Weights (R, M, K, L), of sum 1, of all curves for R data sets (R, A)."""
    p = grid.probability.reshape(-1, len(grid.amounts))
    likelihood = right @ np.log(p).T + (pairs - right) @ np.log1p(-np.minimum(p, 1 - 1e-9)).T
    weights = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights.reshape(-1, *grid.probability.shape[:-1]))


def _quantile(grid: CurveGrid, weights: Array, share: float) -> Array:
    """Quantiles (R,) of the threshold; 0.5: medians."""
    mass = weights.sum(axis=(2, 3)).cumsum(axis=1)
    return np.array([np.exp(np.interp(share, row, np.log(grid.thresholds))) for row in mass])


def _censored(grid: CurveGrid, amount: float) -> float:
    """Beyond the sizes that were shown nothing is known: infinite above the largest, the smallest below it."""
    if amount > grid.amounts.max():
        return float("inf")
    return float(max(amount, grid.amounts.min()))
