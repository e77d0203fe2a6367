"""Error over time: how far off and how complete a prediction is at each moment, pooled over a family's objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One source over the clips of a family, at G times behind the hand-over."""

    median: Array  # (G,) diameters; inf where half of the due objects are absent, NaN where none is due
    low: Array  # (G,) 25th percentile
    high: Array  # (G,) 75th percentile
    present: Array  # (G,) share of due objects that are seen
    off: Array  # (G,) share of due objects that are absent or off by more than one diameter


@dataclass(frozen=True, eq=False)
class FamilyCurves:
    """Error over time of the model and its references in one family."""

    family: str
    times: Array  # (G,) s from the hand-over
    curves: Mapping[str, Curve]  # by source: model, freeze, constant-velocity
    predictability: float | None  # s, median T_p of the clips


@dataclass
class CurvePool:
    """Collects clips of one family one by one, so that a core run needs no memory for its clips."""

    family: str
    times: Array = field(default_factory=lambda: np.zeros(0))
    errors: dict[str, list[Array]] = field(default_factory=dict)
    predictability: list[float] = field(default_factory=list)

    def add(self, times: Array, errors: Mapping[str, Array], predictability: float | None) -> None:
        """Add one clip: times (G,) s, per source errors (G, K) in diameters as `scoring.errors.error_curve` gives."""
        if len(times) > len(self.times):
            self.times = times
        for source, error in errors.items():
            self.errors.setdefault(source, []).append(error)
        if predictability is not None:
            self.predictability.append(predictability)

    def result(self) -> FamilyCurves:
        """Pool everything that was added."""
        curves = {source: pool(self.errors[source], len(self.times)) for source in self.errors}
        limit = float(np.median(self.predictability)) if self.predictability else None
        return FamilyCurves(self.family, self.times, curves, limit)


def pool(errors: Sequence[Array], length: int) -> Curve:
    """Pool the objects of several clips, errors (G_i, K_i) with NaN (not due) and inf (absent), onto `length` times."""
    columns = [np.pad(e, ((0, length - len(e)), (0, 0)), constant_values=np.nan) for e in errors]
    table = np.concatenate(columns, axis=1)  # (G, objects of all clips)
    due = np.isfinite(table) | np.isinf(table)
    count = np.maximum(due.sum(axis=1), 1)
    some = due.any(axis=1)
    low, median, high = _quantiles(table, due, (0.25, 0.5, 0.75))
    with np.errstate(invalid="ignore"):
        present = np.where(some, np.isfinite(table).sum(axis=1) / count, np.nan)
        off = np.where(some, (due & ~(table <= 1.0)).sum(axis=1) / count, np.nan)
    return Curve(median, low, high, present, off)


def _quantiles(table: Array, due: NDArray[np.bool_], shares: Iterable[float]) -> list[Array]:
    """Lower quantiles of each row over what is due; inf counts as the largest value."""
    ordered = np.sort(np.where(due, table, np.inf), axis=1)  # what is not due goes to the end and is not counted
    count = due.sum(axis=1)
    rows = np.arange(len(table))
    result = []
    for share in shares:
        index = np.clip(np.ceil(share * count).astype(int) - 1, 0, table.shape[1] - 1)
        result.append(np.where(count > 0, ordered[rows, index], np.nan))
    return result


def first_off(times: Array, error: Array, limit: float = 1.0) -> list[tuple[float | None, float | None]]:
    """Per object (time first off by more than `limit` diameters, time first absent) in s, None where never."""

    def first(mask: NDArray[np.bool_]) -> float | None:
        return float(times[int(np.argmax(mask))]) if mask.any() else None

    with np.errstate(invalid="ignore"):
        return [(first(np.isfinite(e) & (e > limit)), first(np.isinf(e))) for e in error.T]
