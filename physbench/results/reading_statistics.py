"""Readings by task: mean or median over clips in their own units, beside those of the references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from physbench.results.bootstrap import FEWEST, TOO_FEW, Resampled, median_interval, resample
from physbench.results.estimates import ends, rounded
from physbench.results.number_format import FAILED_ON
from physbench.results.read_run import REFERENCE_MODELS
from physbench.results.schema import ReadingResult, ReadingValue
from physbench.results.skill import Array, Stratum
from physbench.scoring.reading_roles import reading_of

if TYPE_CHECKING:
    import pandas as pd

Statistic = Literal["mean", "median"]
SOURCES = ("model", *REFERENCE_MODELS)
BOUNDED = ("model", "truth")  # sources whose interval is read


@dataclass(frozen=True, eq=False)
class Panel:
    """Values of every reading in every clip, and the resampled means of some."""

    readings: tuple[str, ...]
    averaged: tuple[str, ...]  # those of them whose statistic is the mean
    values: dict[Stratum, Array]  # (readings, SOURCES, n), the mean over a clip's samples, NaN where there is none
    resampled: Resampled[Stratum]  # means (L, averaged x BOUNDED)

    def statistic(self, reading: str) -> Statistic:
        """What is told of a reading: its mean or its median."""
        return "mean" if reading in self.averaged else "median"

    def of(self, reading: str, task: str, source: str) -> dict[Stratum, Array]:
        """Values (n,) per stratum of a task, without those that do not exist; strata without any are left out."""
        r, s = self.readings.index(reading), SOURCES.index(source)
        found = {key: block[r, s][np.isfinite(block[r, s])] for key, block in self.values.items() if key.task == task}
        return {key: values for key, values in found.items() if len(values)}

    def interval(self, reading: str, task: str, source: str) -> tuple[float, float] | None:
        """Interval over the clips of a task; None where a stratum holds too few."""
        values = self.of(reading, task, source)
        if not values or min(map(len, values.values())) < FEWEST:
            return None
        if reading not in self.averaged:
            low, high = median_interval(values, resamples=self.resampled.resamples)
            return round(low, 6) + 0.0, round(high, 6) + 0.0
        column = self.averaged.index(reading) * len(BOUNDED) + BOUNDED.index(source)
        total = sum(map(len, values.values()))
        drawn = self.resampled.means
        mean = np.sum([drawn[key][:, column] * len(found) for key, found in values.items()], axis=0) / total
        return ends(
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
        key: [row for row, found in enumerate(block) if _is_share(found[np.isfinite(found)])]
        for key, block in flat.items()
    }
    return Panel(readings, averaged, values, resample(flat, resamples=resamples, bounded=shares))


def reading_results(tables: Mapping[str, pd.DataFrame], resamples: int) -> dict[str, ReadingResult]:
    """Every reading that has a value for the model or for a reference."""
    found = panel(tables, resamples)
    model = tables["model"]
    first = model.drop_duplicates("reading").set_index("reading")
    results: dict[str, ReadingResult] = {}
    for name in found.readings:
        axis = first.at[name, "axis"]
        tasks = {
            task: _value(found, tables["model"], name, task)
            for task in dict.fromkeys(key.task for key in found.values)
            if any(found.of(name, task, source) for source in SOURCES)
        }
        results[name] = ReadingResult(
            unit=str(first.at[name, "unit"]),
            axis=axis if isinstance(axis, str) else None,
            statistic=found.statistic(name),
            tasks=tasks,
        )
    return results


def _value(found: Panel, table: pd.DataFrame, reading: str, task: str) -> ReadingValue:
    statistic = found.statistic(reading)
    values = {source: found.of(reading, task, source) for source in SOURCES}
    counts = {source: sum(map(len, strata.values())) for source, strata in values.items()}
    own = found.interval(reading, task, "model")
    truth = found.interval(reading, task, "truth")
    reason = ""
    if not counts["model"]:
        reason = _why_missing(table, reading, task)
    elif own is None:
        reason = f"{TOO_FEW}: {min(map(len, values['model'].values()))} in a stratum, an interval needs {FEWEST}"
    return ReadingValue(
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
    found = {str(row.reading): str(row.reason) for row in rows.itertuples()}
    failed = table[(table["status"] == "failed") & table["axis"].isna()]
    for name, rows in failed.groupby("reading"):
        scorer = str(name).partition(".")[0]
        broken = rows[rows["reason"].str.startswith(f"{scorer} ")]
        if len(broken):
            clips, most = table["clip"].nunique(), str(broken["reason"].mode().iloc[0]).removeprefix(f"{scorer} ")
            found[str(name)] = f"{FAILED_ON} {broken['clip'].nunique()} of {clips} clips: {most}"
    return dict(sorted(found.items()))


def _point(strata: Mapping[Stratum, Array], statistic: Statistic) -> float | None:
    if not strata:
        return None
    pooled = np.concatenate(list(strata.values()))
    return rounded(np.mean(pooled) if statistic == "mean" else np.median(pooled))


def _is_share(values: Array) -> bool:
    return bool(len(values)) and bool(values.min() >= 0) and bool(values.max() <= 1)


def _why_missing(table: pd.DataFrame, reading: str, task: str) -> str:
    rows = table[(table["reading"] == reading) & (table["task"] == task)]
    reasons = sorted(str(reason) for reason in rows["reason"].dropna() if reason)
    return max(reasons, key=reasons.count) if reasons else "no value"
