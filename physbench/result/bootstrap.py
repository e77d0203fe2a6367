"""95 % intervals by a stratified bootstrap over clips, and estimates of one run at every level.

Clips are drawn with replacement within each stratum (task x split), all sources and axes of a clip together, so that
references move with the model and a difference of two models is paired. Plain percentiles cover only 85 to 93 % at 5 to
24 clips. Each stratum's deviation is therefore widened by sqrt(n / (n - 1)), and that of the statistic by t(df) / 1.96,
where df is that of Welch and Satterthwaite for the strata that it rests on: n - 1 for one of them, about
their sum for many alike. A stratum's share of the variance is that of the jackknife: one clip left out at a time.

Where a model's n values in a stratum are all equal, resamples do not vary and the interval would have no width. An
event that was never seen in n clips may still happen in 3 / n of them (the rule of three): one unseen event moves e / n
of the clips, e ~ Exponential(1), to 0 or to 1. A resample has one such event, in one of the clips that the statistic
rests on: k strata of n equal values count like one of k n, and where most clips differ the event is rare. Fewer than 8
clips in a stratum: no interval. docs/design/skill.md has the evidence.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from physbench.result.skill import (
    Kind,
    Qualities,
    ScoredClips,
    Skills,
    Stratum,
    kinds,
    scored_clips,
    skills,
    task_means,
)
from physbench.score.protocol import AXES
from physbench.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

Counts = NDArray[np.unsignedinteger]
Key = TypeVar("Key", bound=Stratum)

RESAMPLES = 10_000
BAND_RESAMPLES = 300  # of a band around a curve
FEWEST = 8  # clips in a stratum
TOO_FEW = "too few clips"
MISS = 0.05  # how often the known value lies outside of an interval
TINY = 1e-12  # differences up to it are rounding
ENDS = (0.0, 1.0)  # where unseen clips may lie


def too_few(clips: int, where: str = " in a stratum") -> str:
    """Reason that so many clips give no interval, or ""."""
    return "" if clips >= FEWEST else f"{TOO_FEW}: {clips}{where}, an interval needs {FEWEST}"


def widening(n: int) -> float:
    """Factor on the deviations of a resampled statistic of n values: its normal interval becomes that of t."""
    return float(stdtrit(n - 1, 1 - MISS / 2) / ndtri(1 - MISS / 2) * np.sqrt(n / (n - 1)))


@dataclass(frozen=True, eq=False)
class Resampled(Generic[Key]):
    """Means of strata in every draw that an interval needs, in rows.

    means: per stratum (L, V). Row 0 is the estimate, then come R resamples, then each clip of each stratum left out,
    then one unseen clip at 0 and one at 1 of each stratum. Any function of the means, row by row,
    gives a statistic (L, ...) that `interval` takes.
    """

    means: dict[Key, Array]
    sizes: tuple[int, ...]  # clips of each stratum
    resamples: int
    seed: int

    def interval(
        self, statistic: Array, minus: Array | None = None, *, one_model: bool = False, miss: float = MISS
    ) -> Array:
        """Interval of a statistic, or of the difference of two, (L, ...) -> (2, ...); NaN where it does not exist.

        `minus` is a statistic of another model on the same clips, from these means or from others with the same rows:
        clips are paired, but an unseen event may happen to one model and not to the other, unless it is `one_model`.
        """
        shape = statistic.shape[1:]
        parts = [statistic.reshape(len(statistic), -1)]
        if minus is not None:
            parts.append(-minus.reshape(len(statistic), -1))
        whole = np.sum(parts, axis=0)
        point = whole[0]
        degrees, variance, rests = self._degrees(whole)
        factor = np.where(variance > 0, stdtrit(degrees, 1 - miss / 2) / ndtri(1 - miss / 2), 1.0)
        draws = whole[1 : 1 + self.resamples]
        draws = point + factor * (draws - point)
        happen = [whole] if one_model else parts
        events = [part[-len(ENDS) * len(self.sizes) :] - part[0] for part in happen]
        self._add_unseen(draws, np.stack([event.reshape(-1, len(ENDS), event.shape[-1]) for event in events]), rests)
        ends = np.quantile(draws, [miss / 2, 1 - miss / 2], axis=0)
        return np.asarray(ends.reshape(2, *shape), dtype=np.float64)

    def _degrees(self, values: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Of (L, X): degrees of freedom after Welch and Satterthwaite (X,), the jackknife's variance (X,), and on which
        strata the value rests (H, X): those in which leaving a clip out changes it."""
        gain = values[1 + self.resamples : len(values) - len(ENDS) * len(self.sizes)] - values[0]  # (N, X)
        size = max(1.0, float(np.nanmax(np.abs(values[0]), initial=0.0)))
        gain[np.abs(gain) <= TINY * size] = 0.0
        first = np.cumsum((0, *self.sizes[:-1]))
        count = np.add.reduceat(gain != 0, first, axis=0, dtype=np.int64)  # clips that count; the others change nothing
        rests = count > 0
        count = np.maximum(count, 2)  # (H, X)
        parts = (count - 1) / count * np.add.reduceat(gain**2, first, axis=0)
        variance, squares = parts.sum(axis=0), (parts**2 / (count - 1)).sum(axis=0)
        degrees = np.where(variance > 0, variance**2 / np.where(squares > 0, squares, 1.0), 1.0)
        return degrees, variance, rests

    def _add_unseen(self, draws: Array, events: Array, rests: NDArray[np.bool_]) -> None:
        """Add to each draw (R, X) one unseen event of those (P, H, 2, X) of P models and H strata.

        It falls on one of all clips that the statistic rests on, evenly; nothing is added where that clip lies in a
        stratum whose values differ, since there the resamples vary by themselves.
        """
        matters = np.any(np.abs(events) > TINY, axis=2)  # (P, H, X)
        columns = np.flatnonzero(matters.any(axis=(0, 1)))
        if not len(columns):
            return
        rng = np.random.default_rng(self.seed)
        size = np.minimum(rng.exponential(size=self.resamples), min(self.sizes))
        which, end = rng.uniform(size=self.resamples), rng.integers(0, len(ENDS), size=self.resamples)
        clips = np.array(self.sizes, dtype=np.float64)
        for column in columns:
            on = matters[..., column]  # (P, H)
            edges = np.cumsum(on * clips) / (len(on) * clips[rests[:, column] | on.any(axis=0)].sum())
            place = np.searchsorted(edges, which, side="right")
            moved = np.append(events[..., column].reshape(-1, len(ENDS)), np.zeros((1, len(ENDS))), axis=0)
            draws[:, column] += size * moved[place, end]


def resample(
    strata: Mapping[Key, Array],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounded: Collection[int] | Mapping[Key, Collection[int]] = (),
) -> Resampled[Key]:
    """Means of resampled clips from values (V, n) per stratum; NaN values do not count.

    `bounded` names the rows of 0..1 values that fall under the rule of three where they are all equal. The draws of a
    stratum depend on `seed`, its name and n only. A stratum in which fewer than two values count keeps its mean.
    """
    sizes = tuple(values.shape[-1] for values in strata.values())
    rows = 1 + resamples + sum(sizes) + len(ENDS) * len(sizes)
    means, first = {}, 1 + resamples
    for order, (key, values) in enumerate(strata.items()):
        n = values.shape[-1]
        under = bounded.get(key, ()) if isinstance(bounded, Mapping) else bounded
        times_drawn = _times_drawn(key.task, key.split, n, resamples, seed)
        mean, draws, left_out, unseen = _stratum(values, times_drawn, under)
        resampled = np.empty((len(values), rows)).T  # rows side by side: what follows runs along them
        resampled[:] = mean
        resampled[1 : 1 + resamples] = draws
        resampled[first : first + n] = left_out
        resampled[len(resampled) - len(ENDS) * (len(sizes) - order) :][: len(ENDS)] = unseen
        means[key] = resampled
        first += n
    return Resampled(means, sizes, resamples, seed)


def _stratum(values: Array, times_drawn: Counts, bounded: Collection[int]) -> tuple[Array, Array, Array, Array]:
    """Means of one stratum (V, n): all (V,), resampled (R, V), one clip left out (n, V), one unseen clip (2, V)."""
    good = np.isfinite(values)
    whole = bool(good.all())
    filled = values if whole else np.where(good, values, 0.0)
    count, total = good.sum(axis=-1), filled.sum(axis=-1)  # (V,)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    weights = times_drawn.astype(np.float64)  # (n, R)
    with np.errstate(invalid="ignore"):
        sums = (filled @ weights).T
        drawn = sums / values.shape[-1]
        if not whole:
            times = (good @ weights).T  # clips that count in a resample
            drawn = np.where(times > 0, sums / np.maximum(times, 1), mean)
        factor = np.where(count > 1, np.sqrt(count / np.maximum(count - 1, 1)), 0.0)
        resampled = mean + factor * (drawn - mean)
        rest = (total[:, None] - filled) / np.maximum(count - 1, 1)[:, None]
    left_out = np.where(good & (count > 1)[:, None], rest, mean[:, None]).T
    unseen = np.repeat(mean[None], len(ENDS), axis=0)
    for row in bounded:
        seen = values[row][good[row]]
        if len(seen) > 1 and np.ptp(seen) < TINY:
            resampled[:, row] = left_out[:, row] = mean[row]
            unseen[:, row] += (np.array(ENDS) - mean[row]) / len(seen)
    return mean, resampled, left_out, unseen


def median_interval(strata: Mapping[Key, Array], *, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Interval of the median over all strata of values (n,) in any unit without NaN, widened for their total number."""
    pooled = np.concatenate(list(strata.values()))
    order = np.argsort(pooled, kind="stable")
    parts = [_times_drawn(key.task, key.split, len(values), resamples, 0) for key, values in strata.items()]
    reached = np.cumsum(np.concatenate(parts)[order], axis=0, dtype=np.min_scalar_type(len(pooled)))  # (N, R)
    value, n = pooled[order], len(pooled)
    low_half, high_half = (value[(reached <= rank).sum(axis=0)] for rank in ((n - 1) // 2, n // 2))
    center = np.median(pooled)
    draws = center + widening(n) * ((low_half + high_half) / 2 - center)
    low, high = np.quantile(draws, [MISS / 2, 1 - MISS / 2])
    return float(low), float(high)


@lru_cache(maxsize=256)
def _times_drawn(task: str, split: str, n: int, resamples: int, seed: int) -> Counts:
    """Draws of each of the n clips of a stratum in each resample (n, R); the same for all readings."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{task} {split}".encode())])
    cells = rng.integers(0, n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * n).reshape(resamples, n)
    return np.ascontiguousarray(counts.T.astype(np.min_scalar_type(n)))


def over_tasks(skills: Collection[float]) -> tuple[float, float] | None:
    """95 % interval of a family's mean skill for tasks that were not measured; None for fewer than 3.

    The tasks are resampled, not the clips. Three of them have ten distinct resamples, so that the limit of many draws,
    each widened for its number, is taken in closed form: mean -+ t(n - 1) s / sqrt(n).
    """
    known = np.array([skill for skill in skills if np.isfinite(skill)], dtype=np.float64)
    if len(known) < 3:
        return None
    half = stdtrit(len(known) - 1, 1 - MISS / 2) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean() - half), float(known.mean() + half)


# Point estimates and intervals of one run at every level, from its score tables and those of its references.

MODELS = ("model", "constant-velocity")  # sources 0 and 1; truth and freeze are 2 and 3
ANCHORS = slice(2, 4)
POOLED = "pooled"  # the split of a stratum that holds all clips of a task
Fixed = Mapping[str, Mapping[str, Kind]]  # by task and axis


@dataclass(frozen=True, eq=False)
class Estimate:
    """Skills of the model and of constant velocity on the same clips: point values and the draws of the bootstrap."""

    qualities: Qualities
    counts: dict[Stratum, NDArray[np.int64]]
    kinds: dict[str, tuple[Kind, ...]]
    means: dict[str, Array]  # per task (S, A)
    point: tuple[Skills, Skills]  # of MODELS
    draws: tuple[Skills, Skills]  # the same with a leading axis, the rows of `resampled`
    stratum_means: dict[Stratum, Array]  # (S, A)
    stratum_draws: dict[Stratum, Array]  # (L, S, A)
    resampled: Resampled[Stratum]
    asked: tuple[int, ...]  # axes of the overall skill

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.means)

    def family(self, name: str) -> tuple[str, ...]:
        """Tasks of a family."""
        return tuple(task for task in self.tasks if task.split("/")[0] == name)

    def scored(self, axis: int, tasks: Sequence[str] | None = None) -> tuple[str, ...]:
        """Those of `tasks` (default all) that are informative or a guard on an axis."""
        chosen = self.tasks if tasks is None else tasks
        return tuple(task for task in chosen if self.kinds[task][axis] in ("informative", "guard"))

    def clips(self, axis: int, tasks: Sequence[str], split: str | None = None) -> int:
        """Number of clips that count."""
        return int(sum(self._counts(axis, tasks, split)))

    def too_few(self, axis: int, tasks: Sequence[str], split: str | None = None) -> str:
        """Reason that these clips give no interval, or "". A stratum in which no clip counts is no obstacle."""
        counts = [count for count in self._counts(axis, tasks, split) if count]
        if not counts:
            return "no clip counts"
        return too_few(min(counts))

    def _counts(self, axis: int, tasks: Sequence[str], split: str | None) -> list[int]:
        return [
            int(count[axis])
            for stratum, count in self.counts.items()
            if stratum.task in tasks and split in (None, stratum.split)
        ]


def estimate(
    tables: Mapping[str, pd.DataFrame],
    *,
    resamples: int = RESAMPLES,
    fixed: Fixed | None = None,
    axes: tuple[str, ...] = AXES,
    inapplicable: Collection[str] = (),
) -> Estimate:
    """Line up the tables ("model", "constant-velocity", "truth", "freeze") and compute every level once.

    fixed: kinds of tasks that do not depend on these clips (`physbench.result.task_roles`). axes: the overall skill
    is the mean of these without those in `inapplicable`.
    """
    qualities = lined_up(tables, axes).qualities()
    return estimate_of(qualities, resamples=resamples, fixed=fixed, inapplicable=inapplicable)


def lined_up(tables: Mapping[str, pd.DataFrame], axes: tuple[str, ...] = AXES) -> ScoredClips:
    """The tables of an estimate on the clips of the model."""
    return scored_clips({name: tables[name] for name in MODELS}, tables["truth"], tables["freeze"], axes)


def estimate_of(
    qualities: Qualities,
    *,
    resamples: int = RESAMPLES,
    fixed: Fixed | None = None,
    inapplicable: Collection[str] = (),
) -> Estimate:
    """Every level of the qualities of `lined_up` tables; the rest as `estimate`."""
    axes = qualities.axes
    counts = qualities.counts()
    sources, width = len(qualities.sources), len(qualities.axes)
    flat = {key: block.reshape(sources * width, -1) for key, block in qualities.values.items()}
    bounded = range(len(MODELS) * width)  # references are what is compared with: no rule of three on them
    resampled = resample(flat, resamples=resamples, bounded=bounded)
    drawn = {key: values.reshape(-1, sources, width) for key, values in resampled.means.items()}
    kind = kinds(qualities, fixed)
    counted = tuple(a for a, axis in enumerate(axes) if axis not in inapplicable)
    part = counted if inapplicable else None
    means, mean_draws = task_means(qualities.means(), counts), task_means(drawn, counts)
    return Estimate(
        qualities,
        counts,
        kind,
        means,
        (skills(means, kind, 0, ANCHORS, part), skills(means, kind, 1, ANCHORS, part)),
        (skills(mean_draws, kind, 0, ANCHORS, part), skills(mean_draws, kind, 1, ANCHORS, part)),
        qualities.means(),
        drawn,
        resampled,
        counted,
    )


def pooled(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables in which the splits of a task are one: a part of a suite has too few clips of each for an interval."""
    return {name: table.assign(split=POOLED) for name, table in tables.items()}


def one_model(a: Estimate, b: Estimate, other: int = 0) -> bool:
    """True if the model of `a` and one of `b` have the same qualities, not all of them alike, on the same clips."""
    pairs = [(block[0], b.qualities.values[key][other]) for key, block in a.qualities.values.items()]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs) and any(
        np.ptp(row[np.isfinite(row)]) > 0 for x, _ in pairs for row in x if np.isfinite(row).any()
    )


def rounded(value: float | np.floating | Array) -> float | None:
    """A float (or array of one) for JSON, rounded to 6 decimal places; None for NaN."""
    return round(float(value), 6) + 0.0 if np.isfinite(value) else None


def ends(interval: Array, low: float = -np.inf, high: float = np.inf) -> tuple[float, float] | None:
    """Interval (2,) for JSON, within what the quantity can be; None where it is NaN."""
    if not np.isfinite(interval).all():
        return None
    a, b = np.clip(interval, low, high)
    return round(float(a), 6) + 0.0, round(float(b), 6) + 0.0
