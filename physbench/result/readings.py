"""Readings by task: means, violation size, lawfulness over time, first breaks, free constants, velocities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from physbench.result import bootstrap, document
from physbench.result.formats import FAILED_ON, counted
from physbench.result.levels import axis_result, family_result, task_result
from physbench.result.read import REFERENCE_MODELS
from physbench.result.skill import (
    LARGEST_STRENGTH,
    SKILL,
    Kind,
    Stratum,
    event_rows,
    skills,
    strength_by_clip,
    valued_rows,
)
from physbench.score.score_clip import reading_of
from physbench.shadowing.levels import HANDOVER_WINDOW
from physbench.shadowing.shadow import Trace
from physbench.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

# Strength beside skill: the median over clips of the smallest tolerance without a break, by family and task.


def strength_of_run(tables: Mapping[str, pd.DataFrame]) -> document.StrengthResult | None:
    """Strength of the model and of its references on the same clips; None where none was read."""
    truth, model = (strength_by_clip(tables[name]) for name in ("truth", "model"))
    if truth.empty or model.empty:
        return None
    own = model.reindex(truth.index).dropna()
    tasks = own.index.get_level_values("task")
    families = tasks.str.split("/").str[0]
    return document.StrengthResult(
        all=_strength_value(own),
        families={str(name): _strength_value(own[families == name]) for name in dict.fromkeys(families)},
        tasks={str(name): _strength_value(own[tasks == name]) for name in dict.fromkeys(tasks)},
        references={
            name: _strength_value(strength_by_clip(tables[name]).reindex(own.index).dropna()).median
            for name in REFERENCE_MODELS
            if name in tables
        },
    )


def strength_text(median: float | None) -> str:
    """ "0.23"; a dash for none, and "2 or more" where most clips break at every tolerance."""
    if median is None:
        return "–"
    return "2 or more" if median >= LARGEST_STRENGTH else f"{median:.2f}"


def _strength_value(values: pd.Series[float]) -> document.StrengthValue:
    if values.empty:
        return document.StrengthValue(median=None, quartiles=None, clips=0)
    low, high = (bootstrap.rounded(values.quantile(share)) for share in (0.25, 0.75))
    quartiles = None if low is None or high is None else (low, high)
    return document.StrengthValue(median=bootstrap.rounded(values.median()), quartiles=quartiles, clips=len(values))


# Lawfulness over time: the share of the due objects that the laws explain at each moment, and how often they break.
#
# A due object is one that should be visible. Values are pooled over the objects of some clips and over the tolerances.
# The band is the 95 % interval over clips, by resampling them; fewer than 8 clips have none.


MOST_TIMES = 64  # of a curve: enough for a chart
BINS = 8  # of the longest horizon, for breaks per second
MIN_LOST_TIME = 0.2  # s without lawful motion after which a due object counts as lost


@dataclass(frozen=True, eq=False)
class Share:
    """One source over some clips, at G times, and in BINS parts of the longest horizon."""

    explained: Array  # (G,) mean weight of the due objects, 0..1; NaN where none is due
    band: tuple[Array, Array] | None  # 95 % over clips
    breaks: Array  # (BINS,) per due object-second, mean of the tolerances; NaN where nothing is due


@dataclass(frozen=True, eq=False)
class GroupShares:
    """Explained share over time of the model and its references in one family or task."""

    name: str
    times: Array  # (G,) s from the hand-over
    shares: Mapping[str, Share]  # by source


@dataclass
class SharePool:
    """Collects clips one at a time."""

    name: str
    times: Array = field(default_factory=lambda: np.zeros(0))
    clips: dict[str, list[_Clip]] = field(default_factory=dict)

    def add(self, traces: Mapping[str, Trace]) -> None:
        """Add the traces of one clip by source. A model without one explains nothing where ground truth has one."""
        truth = traces.get("truth")
        if truth is None:
            return
        ahead = truth.times > 1e-6
        if int(ahead.sum()) > len(self.times):
            self.times = truth.times[ahead].astype(np.float64)
        for source in dict.fromkeys(["model", *traces]):
            self.clips.setdefault(source, []).append(_sums(traces.get(source), truth))

    def result(self, banded: Sequence[str] = ("model",)) -> GroupShares:
        """Pool all that was added, with bands for the sources in `banded`."""
        length = len(self.times)
        chosen = np.unique(np.round(np.linspace(0, length - 1, min(length, MOST_TIMES))).astype(int))
        shares = {source: self._share(sums, source in banded, chosen) for source, sums in self.clips.items()}
        return GroupShares(self.name, self.times[chosen], shares)

    def _share(self, sums: Sequence[_Clip], banded: bool, chosen: NDArray[np.intp]) -> Share:
        length = len(self.times)
        weight, due = (
            np.stack([np.pad(part, (0, length - len(part))) for part in parts])[:, chosen]
            for parts in ([each.weight for each in sums], [each.due for each in sums])
        )
        edges = np.linspace(0, self.times[-1] + 1e-6, BINS + 1)  # the same for clips of other horizons
        breaks, seconds = (np.sum(part, axis=0) for part in zip(*(each.binned(edges) for each in sums), strict=True))
        band = None
        if banded and len(sums) >= bootstrap.FEWEST:
            rng = np.random.default_rng(0)
            drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=bootstrap.BAND_RESAMPLES).astype(
                np.float64
            )
            values = _ratio(drawn @ weight, drawn @ due)  # (BAND_RESAMPLES, G)
            band = _quantile(values, 0.025), _quantile(values, 0.975)
        return Share(_ratio(weight.sum(axis=0), due.sum(axis=0)), band, _ratio(breaks, seconds))


@dataclass(frozen=True, eq=False)
class _Clip:
    """One clip of one source."""

    times: Array  # (G,) s
    weight: Array  # (G,) of the due objects
    due: Array  # (G,) their number
    breaks: Array  # (B,) s
    tolerances: int  # their number

    def binned(self, edges: Array) -> tuple[Array, Array]:
        """Breaks and due object-seconds between edges, mean of the tolerances."""
        dt = float(self.times[1] - self.times[0]) if len(self.times) > 1 else 0.0
        return np.histogram(self.breaks, edges)[0] / self.tolerances, np.histogram(self.times, edges, weights=self.due)[
            0
        ] * dt


def _sums(model_trace: Trace | None, truth: Trace) -> _Clip:
    trace = truth if model_trace is None else model_trace
    ahead = trace.times > 1e-6
    due = trace.due[ahead].sum(axis=1).astype(np.float64)
    weight = np.zeros_like(due) if model_trace is None else np.nansum(model_trace.explained[ahead], axis=1)
    times = trace.times[ahead].astype(np.float64)
    broken = np.zeros(0) if model_trace is None else np.clip(model_trace.time.astype(np.float64), 0.0, times[-1])
    return _Clip(times, weight, due, broken, len(trace.rungs))


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))


def _quantile(values: Array, share: float) -> Array:
    """Quantile over the first axis, NaN left out, NaN where nothing is left."""
    known = np.isfinite(values).any(axis=0)
    quantiles = np.full(values.shape[1], np.nan)
    quantiles[known] = np.nanquantile(values[:, known], share, axis=0)
    return quantiles


@dataclass
class BreakCount:
    """Number of clips that break, when first, and in how many an object is lost: of the model, beside ground truth."""

    tolerances: tuple[float, ...] = ()  # diameters
    clips: int = 0
    broken: dict[str, NDArray[np.intp]] = field(default_factory=dict)  # by source: clips that break at each tolerance
    first: list[float] = field(default_factory=list)  # s, at the smallest tolerance, of the model's clips that break
    lost: int = (
        0  # clips of the model in which a due object moves lawlessly for MIN_LOST_TIME, at the largest tolerance
    )

    def add(self, traces: Mapping[str, Trace]) -> None:
        """Add the traces of one clip, if ground truth has one. Without one of the model everything is lost."""
        truth, model = traces.get("truth"), traces.get("model")
        if truth is None:
            return
        self.clips += 1
        self.tolerances = tuple(round(float(value), 4) for value in truth.rungs)
        for source, trace in (("model", model), ("truth", truth)):
            levels = range(len(self.tolerances))
            breaks = np.array([trace is not None and bool((trace.rung == r).any()) for r in levels], dtype=np.intp)
            self.broken[source] = self.broken.get(source, np.zeros_like(breaks)) + breaks
        if model is None:
            self.lost += 1
            return
        ahead, dt = model.times > 1e-6, float(model.times[1] - model.times[0])
        gone = model.due[ahead] & (model.weight[-1, ahead] == 0)
        self.lost += bool((gone.sum(axis=0) * dt >= MIN_LOST_TIME - 1e-6).any())
        strict = model.time[model.rung == 0]
        if len(strict):
            self.first.append(float(strict.min()))

    def sentences(self) -> list[str]:
        """The counts in words; nothing where no clip counts."""
        if not self.clips:
            return []
        model, truth = self.broken["model"], self.broken["truth"]
        lost = (
            f"In {self.lost} of {counted(self.clips, 'clip')} an object that should be seen is in no lawful motion, "
            f"or not there, for {MIN_LOST_TIME:g} s or more."
        )
        if not model.any():
            return [f"No clip of {self.clips} breaks at any tolerance.", *([lost] if self.lost else [])]
        parts = [f"{many} at {tolerance:g}" for many, tolerance in zip(model, self.tolerances, strict=True)]
        lines = [
            f"Of {counted(self.clips, 'clip')}, {', '.join(parts[:-1])} and {parts[-1]} diameters break "
            f"(ground truth: {', '.join(str(many) for many in truth)})."
        ]
        if self.first:
            early = sum(1e-6 < time <= HANDOVER_WINDOW + 1e-6 for time in self.first)  # after the hand-over, not before
            at_once = f"; in {early} it is at the hand-over, within {HANDOVER_WINDOW:g} s of it" if early else ""
            lines.append(
                f"At {self.tolerances[0]:g} the first break comes at {np.median(self.first):.1f} s (median of the "
                f"{len(self.first)} that break){at_once}."
            )
        return [*lines, lost] if self.lost else lines


# How long a prediction stays physical: until its first break.


def lawful_time(tables: Mapping[str, pd.DataFrame], resamples: int) -> document.Lawful | None:
    """Mean over families of the mean lawful time of their clips in s; None where ground truth has no such reading.

    A clip counts where ground truth has a value. One that has none there (it failed) was physical for 0 s. The horizon
    of a task is the longest time for which ground truth is lawful in one of its clips.
    """
    sources = ("model", *REFERENCE_MODELS)
    per_source = {name: _per_clip(tables[name]) for name in sources}
    truth = per_source["truth"]
    if truth.empty or not (tables["model"]["reading"] == reading_of("lawful-time")).any():
        return None
    horizons = {str(task): float(values.max()) for task, values in truth.groupby(level="task")}
    blocks: dict[Stratum, Array] = {}  # (S, n) shares of the horizon
    for index in sorted({(str(task), str(split)) for task, split, _ in truth.index}):
        stratum = Stratum(*index)
        clips_of = truth.index[[(task, split) == index for task, split, _ in truth.index]]
        rows = [np.asarray(per_source[name].reindex(clips_of).fillna(0.0), dtype=np.float64) for name in sources]
        blocks[stratum] = np.stack(rows) / max(horizons[stratum.task], 1e-9)
    clips = {key: block.shape[1] for key, block in blocks.items()}
    point = over_families({key: block.mean(axis=1) * horizons[key.task] for key, block in blocks.items()}, clips)
    reason = bootstrap.too_few(min(clips.values()))
    horizon = float(over_families({key: np.array([horizons[key.task]]) for key in blocks}, clips)[0])
    interval = None
    if not reason:
        drawn = bootstrap.resample(blocks, resamples=resamples, bounded=(0,))
        seconds = over_families({key: draws * horizons[key.task] for key, draws in drawn.means.items()}, clips)
        interval = bootstrap.ends(drawn.interval(seconds[:, 0]), 0.0, horizon)
    return document.Lawful(
        seconds=bootstrap.rounded(point[0]),
        interval=interval,
        horizon=round(horizon, 6),
        references={name: bootstrap.rounded(point[i]) for i, name in enumerate(sources) if i},
        reason=reason,
    )


def first_breaks(tables: Mapping[str, pd.DataFrame]) -> dict[str, document.FirstBreaks]:
    """First breaks of the clips of each family. A clip without a break has the value of ground truth."""
    model, truth = (
        valued_rows(tables[source], reading_of("first-break")).groupby(["task", "clip"])["value"].mean()
        for source in ("model", "truth")
    )
    breaks = {}
    both = model.index.intersection(truth.index)
    families = np.array([task.split("/")[0] for task, _ in both])
    for family in dict.fromkeys(families):
        own, end = (values.reindex(both[families == family]).to_numpy() for values in (model, truth))
        broken = own < end - 1e-6
        breaks[str(family)] = document.FirstBreaks(
            clips=len(own),
            broken=int(broken.sum()),
            at_handover=int((broken & (own <= HANDOVER_WINDOW + 1e-6)).sum()),
            median=round(float(np.median(own[broken])), 6) if broken.any() else None,
        )
    return breaks


def _per_clip(table: pd.DataFrame) -> pd.Series[float]:
    """Value of each clip, mean over its samples, 0 for one that failed, indexed by (task, split, clip)."""
    rows = table[
        (table["reading"] == reading_of("lawful-time")) & (table["value"].notna() | (table["status"] == "failed"))
    ]
    return rows["value"].fillna(0.0).groupby([rows["task"], rows["split"], rows["clip"]]).mean()


def over_families(means: Mapping[Stratum, Array], clips: Mapping[Stratum, int]) -> Array:
    """Stratum means (..., S) -> mean over families of the mean over their clips (..., S)."""
    families = []
    for family in dict.fromkeys(key.family for key in means):
        keys = [key for key in means if key.family == family]
        weights = np.array([clips[key] for key in keys], dtype=np.float64)
        families.append(np.average([means[key] for key in keys], axis=0, weights=weights))
    return np.asarray(np.mean(families, axis=0), dtype=np.float64)


# Consistency with constants free where the context does not show them: beside the score, not in an axis or overall.
#
# In each clip whose context does not show every constant, the quality of consistency is replaced by that of the reading
# with free constants; elsewhere it stays. The same is done to ground truth, to the frozen frame and to constant
# velocity, and skill follows as on the axis. Which clips these are depends on the context alone: they are the same for
# every model.

AXIS = "consistency"


def with_free_constants(table: pd.DataFrame) -> pd.DataFrame:
    """Headline rows of consistency of a score table, `quality` with unseen constants free where there are any.

    A clip that failed keeps its quality 0. Rows of events stay, since a task that dodges them loses here as well.
    """
    import pandas as pd

    rows = table[table["axis"] == AXIS]
    free = valued_rows(table, reading_of("freed-constants")).set_index(["clip", "sample"])["value"]
    matched = free.reindex(pd.MultiIndex.from_frame(rows[["clip", "sample"]])).to_numpy(dtype=np.float64)
    read = (
        (rows["reading"] == reading_of("lawfulness")).to_numpy()
        & (rows["status"] == "ok").to_numpy()
        & np.isfinite(matched)
    )
    unseen = rows.assign(quality=np.where(read, np.clip(matched, 0.0, 1.0), rows["quality"].astype(float)))
    return pd.concat([unseen, event_rows(table)])


def unseen_constants(
    tables: Mapping[str, pd.DataFrame], *, resamples: int = bootstrap.RESAMPLES, fixed: bootstrap.Fixed | None = None
) -> document.UnseenConstants | None:
    """Consistency with unseen constants free; None where every context shows every constant, or nothing was shadowed.

    tables: "model", "constant-velocity", "truth" and "freeze". fixed: kinds of tasks, those of the axis.
    """
    applies = valued_rows(tables["truth"], reading_of("freed-constants")).drop_duplicates("clip")
    applies = applies[applies["clip"].isin(tables["model"]["clip"])]
    if applies.empty or not (tables["model"]["reading"] == reading_of("lawfulness")).any():
        return None
    unseen = {name: with_free_constants(table) for name, table in tables.items()}
    e = bootstrap.estimate(unseen, resamples=resamples, fixed=fixed, axes=(AXIS,))
    factors = valued_rows(tables["model"], reading_of("freed-factor"))
    factors = factors[factors["clip"].isin(applies["clip"])]

    def beside(tasks: Sequence[str]) -> dict[str, Any]:
        own = factors[factors["task"].isin(tasks)]
        return {"applies": int(applies["task"].isin(tasks).sum()), "factor": _factor(own, resamples)}

    families = dict.fromkeys(task.split("/")[0] for task in e.tasks)
    return document.UnseenConstants(
        clips=len(applies),
        consistency=axis_result(e, 0),
        families={
            name: document.UnseenFamily(**family_result(e, name, 0).model_dump(), **beside(e.family(name)))
            for name in families
        },
        tasks={
            task: document.UnseenTask(**task_result(e, task, 0).model_dump(), **beside((task,))) for task in e.tasks
        },
        factor=_factor(factors, resamples),
    )


def _factor(rows: pd.DataFrame, resamples: int) -> document.FreedFactor:
    """Median over clips of the mean over a clip's samples."""
    if rows.empty:
        return document.FreedFactor(value=None, interval=None, clips=0, reason="no clip has one")
    strata = {
        Stratum(str(task), str(split)): group.groupby("clip")["value"].mean().to_numpy(dtype=np.float64)
        for (task, split), group in rows.groupby(["task", "split"], sort=True)
    }
    pooled = np.concatenate(list(strata.values()))
    reason = bootstrap.too_few(min(map(len, strata.values())))
    low, high = (0.0, 0.0) if reason else bootstrap.median_interval(strata, resamples=resamples)
    return document.FreedFactor(
        value=round(float(np.median(pooled)), 6),
        interval=None if reason else (round(low, 6), round(high, 6)),
        clips=len(pooled),
        reason=reason,
    )


Statistic = Literal["mean", "median"]
SOURCES = ("model", *REFERENCE_MODELS)
BOUNDED = ("model", "truth")  # sources whose interval is read


@dataclass(frozen=True, eq=False)
class Panel:
    """Values of every reading in every clip, and the resampled means of some."""

    readings: tuple[str, ...]
    averaged: tuple[str, ...]  # those of them whose statistic is the mean
    values: dict[Stratum, Array]  # (readings, SOURCES, n), the mean over a clip's samples, NaN where there is none
    resampled: bootstrap.Resampled[Stratum]  # means (L, averaged x BOUNDED)

    def statistic(self, reading: str) -> Statistic:
        """Statistic of a reading: its mean or its median."""
        return "mean" if reading in self.averaged else "median"

    def of(self, reading: str, task: str, source: str) -> dict[Stratum, Array]:
        """Values (n,) per stratum of a task, without those that do not exist; strata without any are left out."""
        r, s = self.readings.index(reading), SOURCES.index(source)
        finite = {key: block[r, s][np.isfinite(block[r, s])] for key, block in self.values.items() if key.task == task}
        return {key: values for key, values in finite.items() if len(values)}

    def interval(self, reading: str, task: str, source: str) -> tuple[float, float] | None:
        """Interval over the clips of a task; None where a stratum holds too few."""
        values = self.of(reading, task, source)
        if not values or min(map(len, values.values())) < bootstrap.FEWEST:
            return None
        if reading not in self.averaged:
            low, high = bootstrap.median_interval(values, resamples=self.resampled.resamples)
            return round(low, 6) + 0.0, round(high, 6) + 0.0
        column = self.averaged.index(reading) * len(BOUNDED) + BOUNDED.index(source)
        total = sum(map(len, values.values()))
        drawn = self.resampled.means
        mean = np.sum([drawn[key][:, column] * len(own) for key, own in values.items()], axis=0) / total
        return bootstrap.ends(
            self.resampled.interval(mean),
            *((0.0, 1.0) if _is_share(np.concatenate(list(values.values()))) else (-np.inf, np.inf)),
        )


def panel(tables: Mapping[str, pd.DataFrame], resamples: int) -> Panel:
    """Line up the values of all score tables ("model" and REFERENCE_MODELS) on the clips of the model."""
    clips = tables["model"].drop_duplicates("clip").sort_values(["task", "split", "seed"])
    wide = {}
    for source in SOURCES:
        known = tables[source][np.isfinite(tables[source]["value"].astype(float))]
        wide[source] = known.groupby(["clip", "reading"])["value"].mean().unstack("reading")
    readings = tuple(sorted(set(tables["model"]["reading"]) & set().union(*(frame.columns for frame in wide.values()))))
    values: dict[Stratum, Array] = {}
    for (task, split), group in clips.groupby(["task", "split"], sort=True):
        frames = [wide[source].reindex(index=group["clip"], columns=list(readings)) for source in SOURCES]
        block = np.stack([frame.to_numpy(dtype=np.float64).T for frame in frames], axis=1)
        values[Stratum(str(task), str(split))] = block
    of_axes = {*tables["model"].loc[tables["model"]["axis"].notna(), "reading"], reading_of("event-balance")}
    averaged = tuple(name for name in readings if name.split(".")[0] in of_axes)
    rows = [readings.index(name) for name in averaged]
    kept = [SOURCES.index(source) for source in BOUNDED]
    flat = {
        key: block[np.ix_(rows, kept)].reshape(len(rows) * len(kept), block.shape[-1]) for key, block in values.items()
    }
    shares = {
        key: [row for row, row_values in enumerate(block) if _is_share(row_values[np.isfinite(row_values)])]
        for key, block in flat.items()
    }
    return Panel(readings, averaged, values, bootstrap.resample(flat, resamples=resamples, bounded=shares))


def reading_results(tables: Mapping[str, pd.DataFrame], resamples: int) -> dict[str, document.ReadingResult]:
    """Every reading that has a value for the model or for a reference."""
    grid = panel(tables, resamples)
    model = tables["model"]
    first = model.drop_duplicates("reading").set_index("reading")
    results: dict[str, document.ReadingResult] = {}
    for name in grid.readings:
        axis = first.at[name, "axis"]
        tasks = {
            task: _reading_value(grid, tables["model"], name, task)
            for task in dict.fromkeys(key.task for key in grid.values)
            if any(grid.of(name, task, source) for source in SOURCES)
        }
        results[name] = document.ReadingResult(
            unit=str(first.at[name, "unit"]),
            axis=axis if isinstance(axis, str) else None,
            statistic=grid.statistic(name),
            tasks=tasks,
        )
    return results


def _reading_value(panel: Panel, table: pd.DataFrame, reading: str, task: str) -> document.ReadingValue:
    statistic = panel.statistic(reading)
    values = {source: panel.of(reading, task, source) for source in SOURCES}
    counts = {source: sum(map(len, strata.values())) for source, strata in values.items()}
    own = panel.interval(reading, task, "model")
    truth = panel.interval(reading, task, "truth")
    reason = ""
    if not counts["model"]:
        reason = _why_missing(table, reading, task)
    elif own is None:
        reason = bootstrap.too_few(min(map(len, values["model"].values())))
    return document.ReadingValue(
        value=_point(values["model"], statistic),
        interval=own,
        clips=counts["model"],
        applicable=max(counts["truth"], counts["model"]),
        references={name: _point(values[name], statistic) for name in REFERENCE_MODELS},
        departs=bool(own and truth and (own[0] > truth[1] or own[1] < truth[0])),
        reason=reason,
    )


def unavailable(table: pd.DataFrame) -> dict[str, str]:
    """Readings that could not be computed here, with the reason.

    These lack something they need, or are diagnostics that raised. A failed rollout is not among them: it
    is the model's failure, and listed with the clips.
    """
    rows = table[table["status"] == "unavailable"].drop_duplicates("reading")
    reasons = {str(row.reading): str(row.reason) for row in rows.itertuples()}
    failed = table[(table["status"] == "failed") & table["axis"].isna()]
    for name, rows in failed.groupby("reading"):
        scorer = str(name).partition(".")[0]
        broken = rows[rows["reason"].str.startswith(f"{scorer} ")]
        if len(broken):
            clips, most = table["clip"].nunique(), str(broken["reason"].mode().iloc[0]).removeprefix(f"{scorer} ")
            reasons[str(name)] = f"{FAILED_ON} {broken['clip'].nunique()} of {clips} clips: {most}"
    return dict(sorted(reasons.items()))


def _point(strata: Mapping[Stratum, Array], statistic: Statistic) -> float | None:
    if not strata:
        return None
    pooled = np.concatenate(list(strata.values()))
    return bootstrap.rounded(np.mean(pooled) if statistic == "mean" else np.median(pooled))


def _is_share(values: Array) -> bool:
    return bool(len(values)) and bool(values.min() >= 0) and bool(values.max() <= 1)


def _why_missing(table: pd.DataFrame, reading: str, task: str) -> str:
    rows = table[(table["reading"] == reading) & (table["task"] == task)]
    reasons = sorted(str(reason) for reason in rows["reason"].dropna() if reason)
    return max(reasons, key=reasons.count) if reasons else "no value"


PARTS = ("", "code", "code-before", "missing")  # keys of the scorer


def velocity_errors(
    tables: Mapping[str, pd.DataFrame], e: bootstrap.Estimate, resamples: int
) -> dict[str, dict[str, document.VelocityErrors]]:
    """Errors of the model and its references by task and split; {} where none was read."""
    rows = tables["truth"][tables["truth"]["reading"] == reading_of("velocity-error")]
    rows = rows[rows["value"].notna()]
    if rows.empty:
        return {}
    values = {
        source: {part: _by_clip(tables[source], part) for part in PARTS} for source in ("model", *REFERENCE_MODELS)
    }
    errors: dict[str, dict[str, document.VelocityErrors]] = {}
    for (task, split), group in rows.groupby(["task", "split"], sort=True):
        clips = sorted(set(group["clip"]))
        own = {
            source: {part: np.asarray(each.reindex(clips), dtype=np.float64) for part, each in parts.items()}
            for source, parts in values.items()
        }
        errors.setdefault(str(task), {})[str(split)] = _errors(Stratum(str(task), str(split)), own, e, resamples)
    return errors


def _by_clip(table: pd.DataFrame, part: str) -> pd.Series[float]:
    """Value of each clip, mean over its samples, by its id."""
    name = reading_of("velocity-error")
    known = valued_rows(table, f"{name}.{part}" if part else name)
    return known.groupby("clip")["value"].mean().astype(float)


def _errors(
    key: Stratum, own: Mapping[str, Mapping[str, Array]], e: bootstrap.Estimate, resamples: int
) -> document.VelocityErrors:
    """own: by source and part, values (n,) of the clips of a task and split, NaN where there is none."""
    known = np.isfinite(own["model"][""])
    # What failed counts as a frozen frame whose balls are missing: a model must not gain by failing.
    model = {part: np.where(known, own["model"][part], own["freeze"][part]) for part in PARTS}
    model["missing"] = np.where(known, own["model"]["missing"], 1.0)
    paper = model[""]
    good = paper[np.isfinite(paper)]
    reason = bootstrap.too_few(len(good), "")
    interval = None
    if not reason:
        drawn = bootstrap.resample({key: good[None]}, resamples=resamples)
        interval = bootstrap.ends(drawn.interval(drawn.means[key][:, 0]), 0.0)
    return document.VelocityErrors(
        paper=_mean(paper),
        interval=interval,
        code=_mean(model["code"]),
        code_before=_mean(model["code-before"]),
        missing=_mean(model["missing"]),
        clips=int(known.sum()),
        of=len(paper),
        references={
            name: {"paper": _mean(own[name][""]), "code": _mean(own[name]["code"])} for name in REFERENCE_MODELS
        },
        skill=stratum_skill(e, key),
        reason=reason,
    )


def _mean(values: Array) -> float | None:
    """Mean of what is known; None for nothing."""
    good = values[np.isfinite(values)]
    return bootstrap.rounded(good.mean()) if len(good) else None


def stratum_skill(e: bootstrap.Estimate, key: Stratum) -> document.SkillValue:
    """Skill of the model in the clips of one task and split, between ground truth and freeze in these clips.

    As the overall skill of a suite of this task alone, on the axes on which these clips are informative.
    """
    if key not in e.stratum_means:
        return document.SkillValue(skill=None, interval=None, reason="not run")
    truth, freeze = e.stratum_means[key][bootstrap.ANCHORS]  # (A,)
    kinds: dict[str, tuple[Kind, ...]] = {
        key.task: tuple(
            "unscored" if kind == "informative" and truth[a] - freeze[a] < SKILL.informative_from else kind
            for a, kind in enumerate(e.kinds[key.task])
        )
    }
    point, draws = (
        skills({key.task: means[key]}, kinds, 0, bootstrap.ANCHORS, e.asked).family.get(key.family)
        for means in (e.stratum_means, e.stratum_draws)
    )
    if point is None or draws is None:
        return document.SkillValue(skill=None, interval=None, reason="a frozen frame does as well as ground truth")
    reason = next((why for a in e.asked if (why := e.too_few(a, (key.task,), key.split)) and e.counts[key][a]), "")
    interval = None if reason else bootstrap.ends(e.resampled.interval(draws), SKILL.floor)
    return document.SkillValue(skill=bootstrap.rounded(point), interval=interval, reason=reason)
