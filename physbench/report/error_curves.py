"""Error over time: how far off and how complete a prediction is at each moment, pooled over the objects of some clips.

The band of a curve is its 95 % interval over clips, by resampling them; fewer than 8 clips have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.results.bootstrap import BAND_RESAMPLES, FEWEST
from physbench.results.lawful_fraction import MOST_TIMES

Array = NDArray[np.float64]
Band = tuple[Array, Array]  # low, high (G,)


@dataclass(frozen=True, eq=False)
class Curve:
    """One source over some clips, at G times after the hand-over."""

    median: Array  # (G,) diameters; inf where half of the due objects are absent, NaN where none is due
    present: Array  # (G,) share of due objects that are seen
    median_band: Band | None  # 95 % over clips
    present_band: Band | None


@dataclass(frozen=True, eq=False)
class GroupCurves:
    """Error over time of the model and its references in one family or task."""

    name: str
    times: Array  # (G,) s from the hand-over
    curves: Mapping[str, Curve]  # by source: model, truth, freeze, constant-velocity
    predictability: float | None  # s, median T_p of the clips
    hidden: Array | None = None  # (G,) share of the objects that are hidden or out of view


@dataclass
class CurvePool:
    """Collects clips one by one, so that a core run needs no memory for its clips."""

    name: str
    times: Array = field(default_factory=lambda: np.zeros(0))
    errors: dict[str, list[Array]] = field(default_factory=dict)
    predictability: list[float] = field(default_factory=list)
    hidden: list[Array] = field(default_factory=list)  # (G_i,) of each clip

    def add(self, times: Array, errors: Mapping[str, Array], predictability: float | None) -> None:
        """Add one clip: times (G,) s, and by source errors (G, K) in diameters (`position_error.error_curve`)."""
        if len(times) > len(self.times):
            self.times = times
        seen = errors.get("truth", next(iter(errors.values()), None))
        if seen is not None and seen.shape[1]:
            self.hidden.append(np.isnan(seen).mean(axis=1))
        for source, error in errors.items():
            self.errors.setdefault(source, []).append(error)
        if predictability is not None:
            self.predictability.append(predictability)

    def result(self, banded: Sequence[str] = ("model",)) -> GroupCurves:
        """Pool everything that was added at MOST_TIMES times at most, with bands for the sources in `banded`."""
        length = len(self.times)
        chosen = np.unique(np.round(np.linspace(0, length - 1, min(length, MOST_TIMES))).astype(int))
        curves = {
            source: pool(errors, length, chosen, bands=source in banded) for source, errors in self.errors.items()
        }
        limit = float(np.median(self.predictability)) if self.predictability else None
        return GroupCurves(self.name, self.times[chosen], curves, limit, self._hidden(length, chosen))

    def _hidden(self, length: int, chosen: NDArray[np.intp]) -> Array | None:
        """Share of the objects that no camera would show, mean over the clips that last as long; None for no clip."""
        if not self.hidden:
            return None
        padded = np.stack([np.pad(one, (0, length - len(one)), constant_values=np.nan) for one in self.hidden])
        return np.asarray(np.nanmean(padded[:, chosen], axis=0), dtype=np.float64)


def pool(errors: Sequence[Array], length: int, chosen: NDArray[np.intp] | None = None, *, bands: bool = True) -> Curve:
    """Pool the objects of n clips, errors (G_i, K_i) with NaN (not due) and inf (absent), onto those of `length` times
    that are `chosen` (all by default)."""
    columns = [np.pad(e, ((0, length - len(e)), (0, 0)), constant_values=np.nan) for e in errors]
    clips = np.concatenate([np.full(e.shape[1], i) for i, e in enumerate(errors)]).astype(int)  # (N,) of each column
    table = np.concatenate(columns, axis=1)  # (G, N)
    if chosen is not None:
        table = table[chosen]
    once = np.ones((1, len(errors)))
    median, present = (value[:, 0] for value in _weighted(table, clips, once))
    if not bands or len(errors) < FEWEST:
        return Curve(median, present, None, None)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(errors), np.full(len(errors), 1 / len(errors)), size=BAND_RESAMPLES).astype(np.float64)
    medians, shares = _weighted(table, clips, drawn)
    return Curve(median, present, _band(medians), _band(shares))


def _weighted(table: Array, clips: NDArray[np.intp], weights: Array) -> tuple[Array, Array]:
    """Lower weighted median, and share that is present, of each row of a table (G, N) under clip weights (R, n).

    Both are (G, R), NaN where nothing is due; what is absent counts as the largest value.
    """
    medians, shares = (np.full((len(table), len(weights)), np.nan) for _ in range(2))
    every = weights[:, clips]  # (R, N)
    for g, row in enumerate(table):
        due = np.flatnonzero(~np.isnan(row))
        if not len(due):
            continue
        order = due[np.argsort(row[due], kind="stable")]
        values = row[order]
        reached = np.cumsum(every[:, order], axis=1)  # (R, due)
        total = reached[:, -1]
        middle = np.argmax(reached >= 0.5 * total[:, None] - 1e-9, axis=1)
        medians[g] = np.where(total > 0, values[middle], np.nan)
        seen = every[:, order] @ np.isfinite(values).astype(np.float64)
        shares[g] = np.where(total > 0, seen / np.maximum(total, 1), np.nan)
    return medians, shares


def _band(draws: Array) -> Band:
    """95 % interval of draws (G, R) that may be infinite, without those that are NaN."""
    ordered = np.sort(draws, axis=1)  # NaN goes to the end
    count = (~np.isnan(draws)).sum(axis=1)
    rows = np.arange(len(draws))

    def quantile(share: float) -> Array:
        return np.where(count > 0, ordered[rows, np.floor(share * np.maximum(count - 1, 0)).astype(int)], np.nan)

    return quantile(0.025), quantile(0.975)


def first_off(times: Array, error: Array, limit: float = 1.0) -> list[tuple[float | None, float | None]]:
    """Per object (time first off by more than `limit` diameters, time first absent) in s, None where never."""

    def first(mask: NDArray[np.bool_]) -> float | None:
        return float(times[int(np.argmax(mask))]) if mask.any() else None

    with np.errstate(invalid="ignore"):
        return [(first(np.isfinite(e) & (e > limit)), first(np.isinf(e))) for e in error.T]
