"""95 % intervals of the values of a theory and of the share that it explains: a bootstrap over clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from physbench.diagnosis.explanation import Leaning
from physbench.diagnosis.theory import Theory, explained_share, leanings, pooled_step
from physbench.results.bootstrap import MISS, widening
from physbench.results.implied_worlds import FEWEST_CLIPS

Array = NDArray[np.float64]
Interval = tuple[float, float]

VALUE_DRAWS = 1000


def value_intervals(theory: Theory) -> list[tuple[float, Interval | None]]:
    """Value and interval of each world of a theory that has a free number."""
    free = [n for n, world in enumerate(theory.worlds) if world.free]
    found = leanings(theory) if free else []
    step = pooled_step(found)
    if step is None:
        return [(theory.values[n], None) for n in free]
    if len(free) == 1:
        found = _damped(found)
        step = pooled_step(found)
        assert step is not None
    telling = len(found)
    if telling < FEWEST_CLIPS:
        return [(_within(theory, n, theory.values[n] + float(step[k])), None) for k, n in enumerate(free)]
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(VALUE_DRAWS):
        draw = pooled_step(found, np.bincount(rng.integers(0, telling, telling), minlength=telling).astype(np.float64))
        if draw is not None:
            draws.append(draw)
    away = (np.array(draws) - step) * widening(telling)
    low, high = np.quantile(away, [MISS / 2, 1 - MISS / 2], axis=0)
    # Few clips may agree by chance by more than their noise allows.
    information = np.sum([each.information / each.misfit for each in found], axis=0)
    least = float(ndtri(1 - MISS / 2)) * np.sqrt(np.diag(np.linalg.pinv(information)))
    low, high = np.minimum(low, -least), np.maximum(high, least)
    result: list[tuple[float, Interval | None]] = []
    for k, n in enumerate(free):
        value = _within(theory, n, theory.values[n] + float(step[k]))
        blur = theory.worlds[n].resolution
        result.append((value, (value + float(low[k]) - blur, value + float(high[k]) + blur)))
    return result


def _within(theory: Theory, n: int, value: float) -> float:
    """A value of world n within its range."""
    low, high = theory.worlds[n].range
    return min(max(value, low), high)


def _damped(found: Sequence[Leaning]) -> list[Leaning]:
    """The same clips with weights that allow for a spread of the value between clips (DerSimonian and Laird 1986)."""
    variance = np.array([each.misfit / max(float(each.information[0, 0]), 1e-300) for each in found])
    value = np.array([float(each.pull[0]) / max(float(each.information[0, 0]), 1e-300) for each in found])
    weight = 1 / variance
    mean = weight @ value / weight.sum()
    excess = weight @ (value - mean) ** 2 - (len(found) - 1)
    spread = max(0.0, excess / max(weight.sum() - (weight**2).sum() / weight.sum(), 1e-300))
    return [replace(each, misfit=each.misfit * (1 + spread / own)) for each, own in zip(found, variance, strict=True)]


def share_interval(shares: Array, base: Array, weight: Array) -> Interval | None:
    """Interval of the explained share of the unexplained time; shares, base and weights (C,) of clips."""
    count = len(shares)
    if count < FEWEST_CLIPS:
        return None
    rng = np.random.default_rng(0)
    own = explained_share(shares, base, weight)
    drawn = rng.integers(0, count, (VALUE_DRAWS, count))
    unexplained = (weight * (1 - base))[drawn].sum(axis=1)
    draws = (weight * (shares - base))[drawn].sum(axis=1)[unexplained > 0] / unexplained[unexplained > 0]
    if not len(draws):
        return None
    low, high = own + widening(count) * (np.quantile(draws, [MISS / 2, 1 - MISS / 2]) - own)
    return float(low), float(min(high, 1.0))
