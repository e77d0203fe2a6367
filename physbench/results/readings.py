"""Readings by task: mean or median over clips in their own units, beside those of the references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from physbench.results.estimate import number
from physbench.results.manifest import REFERENCES
from physbench.results.schema import ReadingResult, ReadingValue
from physbench.scoring.bootstrap import FEWEST, TOO_FEW, mean_interval, median_interval
from physbench.scoring.skill import Array, Stratum

if TYPE_CHECKING:
    import pandas as pd

Values = dict[Stratum, Array]
Statistic = Literal["mean", "median"]


def clip_values(table: pd.DataFrame, reading: str, task: str) -> Values:
    """Value of each clip (mean over its samples) that has a finite one, per stratum."""
    rows = table[(table["reading"] == reading) & (table["task"] == task)]
    rows = rows[np.isfinite(rows["value"].astype(float))]
    means = rows["value"].astype(float).groupby([rows["split"], rows["clip"]]).mean()
    return {
        Stratum(task, str(split)): np.asarray(group, dtype=np.float64) for split, group in means.groupby(level="split")
    }


def reading_values(
    tables: Mapping[str, pd.DataFrame], reading: str, task: str, statistic: Statistic, resamples: int
) -> ReadingValue:
    """One reading on one task."""
    values = {name: clip_values(tables[name], reading, task) for name in ("model", *REFERENCES)}
    counts = {name: sum(len(v) for v in strata.values()) for name, strata in values.items()}
    truth = _interval(values["truth"], statistic, resamples)
    own, reason = None, ""
    if not counts["model"]:
        reason = _why_missing(tables["model"], reading, task)
    elif (least := min(len(v) for v in values["model"].values())) < FEWEST:
        reason = f"{TOO_FEW}: {least} in a stratum, an interval needs {FEWEST}"
    else:
        own = _interval(values["model"], statistic, resamples)
    return ReadingValue(
        value=_point(values["model"], statistic),
        interval=own,
        clips=counts["model"],
        applicable=max(counts["truth"], counts["model"]),
        references={name: _point(values[name], statistic) for name in REFERENCES},
        departs=bool(own and truth and (own[0] > truth[1] or own[1] < truth[0])),
        reason=reason,
    )


def reading_results(tables: Mapping[str, pd.DataFrame], resamples: int) -> dict[str, ReadingResult]:
    """Every reading that has a value for the model or for a reference."""
    results: dict[str, ReadingResult] = {}
    headline = set(tables["model"].loc[tables["model"]["axis"].notna(), "reading"])
    for reading, rows in tables["model"].groupby("reading", sort=True):
        name = str(reading)
        valued = [table[(table["reading"] == name) & table["value"].notna()] for table in tables.values()]
        tasks = sorted({str(task) for table in valued for task in table["task"]})
        if not tasks:
            continue
        axes = rows["axis"].dropna()
        statistic: Statistic = "mean" if name.split(".")[0] in headline else "median"
        results[name] = ReadingResult(
            unit=str(rows["unit"].iloc[0]),
            axis=str(axes.iloc[0]) if len(axes) else None,
            statistic=statistic,
            tasks={task: reading_values(tables, name, task, statistic, resamples) for task in tasks},
        )
    return results


def unavailable(table: pd.DataFrame) -> dict[str, str]:
    """Readings that could not be computed here, with the reason."""
    rows = table[table["status"] == "unavailable"].drop_duplicates("reading")
    return {str(row.reading): str(row.reason) for row in rows.sort_values("reading").itertuples()}


def _point(strata: Values, statistic: Statistic) -> float | None:
    if not strata:
        return None
    pooled = np.concatenate(list(strata.values()))
    return number(np.mean(pooled) if statistic == "mean" else np.median(pooled))


def _interval(strata: Values, statistic: Statistic, resamples: int) -> tuple[float, float] | None:
    if not strata or min(len(values) for values in strata.values()) < FEWEST:
        return None
    if statistic == "median":
        low, high = median_interval(strata, resamples=resamples)
    else:
        share = all(values.min() >= 0 and values.max() <= 1 for values in strata.values())
        low, high = mean_interval(strata, resamples=resamples, bounded=share)
        if share:
            low, high = max(low, 0.0), min(high, 1.0)
    return round(low, 6) + 0.0, round(high, 6) + 0.0


def _why_missing(table: pd.DataFrame, reading: str, task: str) -> str:
    rows = table[(table["reading"] == reading) & (table["task"] == task)]
    reasons = [str(reason) for reason in rows["reason"].dropna() if reason]
    return max(set(reasons), key=reasons.count) if reasons else "no value"
