"""Skill of every source on every axis, computed as that of a model in a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from physbench.results.bootstrap import FEWEST, resample
from physbench.results.skill import Kind, Qualities, clip_qualities, kinds, skills, task_means
from physbench.scoring.scorer_protocol import AXES
from physbench.validation.sources import LOW_RATE, NEAR_ALTERNATIVES, REFERENCES, WAIVED
from physbench.validation.thresholds import LOW_RATE_GAIN, is_met, skill_threshold_of

if TYPE_CHECKING:
    from physbench.results.skill import Stratum

Array = NDArray[np.float64]
Fixed = Mapping[str, Mapping[str, Kind]]

SKILL = "skill/"  # before the name of an axis: a row of the skill that a source has there
SOURCE_RESAMPLES = 2000
SKILL_COLUMNS = ("source", "kind", "clip", "task", "split", "seed", "axis", "quality", "outcome")


def headline_rows(readings: pd.DataFrame) -> pd.DataFrame:
    """Qualities of the headline readings: one row per source, clip and axis; one without an axis where nothing is."""
    headline = readings[readings["axis"].notna()]
    videos = readings.drop_duplicates(["source", "clip"])
    silent = videos[~videos.set_index(["source", "clip"]).index.isin(headline.set_index(["source", "clip"]).index)]
    silent = silent.assign(axis=None, quality=np.nan)
    return pd.concat([headline, silent]).sort_index().assign(split="test")[[*SKILL_COLUMNS]]


def skill_rows(table: pd.DataFrame, fixed: Fixed | None, seed: int = 0) -> list[dict[str, object]]:
    """Rows of the skill of every source on the clips on which it has something to do.

    Kinds of tasks are the same for all sources: those that are `fixed`, else from the references on all clips.
    """
    found: list[dict[str, object]] = []
    point: dict[tuple[str, str], float] = {}
    for low_rate in ("", LOW_RATE):
        truth, freeze = (table[table["source"] == name + low_rate] for name in REFERENCES)
        if truth.empty or freeze.empty:
            continue
        every = kinds(clip_qualities({"model": truth}, truth, freeze, events=False), fixed)
        mine = table[table["source"].str.endswith(LOW_RATE) == bool(low_rate)]
        for name, own in mine.groupby("source", sort=False):
            source = str(name)
            if source.removesuffix(LOW_RATE) in (*REFERENCES, *NEAR_ALTERNATIVES, WAIVED):
                continue
            shown = own[own["outcome"].isin(("shown", "failed"))]
            shown = shown[shown["clip"].isin(truth["clip"]) & shown["clip"].isin(freeze["clip"])]
            if shown.empty:
                continue
            refused = own.drop_duplicates("clip")["outcome"].value_counts()
            base = {
                "source": source,
                "kind": own["kind"].iloc[0],
                "level": "skill",
                "family": "*",
                "task": "*",
                "truth": 1.0,
                **{name: int(refused.get(name, 0)) for name in ("refused", "unseen", "failed")},
            }
            best, still = (each[each["clip"].isin(shown["clip"])] for each in (truth, freeze))
            for axis, row in _skill(clip_qualities({"model": shown}, best, still, events=False), every, seed).items():
                point[source, axis] = row["value"]
                found.append({**base, "reading": f"{SKILL}{axis}", **row, **_bar(source, axis, row["value"], point)})
    return found


def _skill(qualities: Qualities, every: Mapping[str, tuple[Kind, ...]], seed: int) -> dict[str, dict[str, float]]:
    """Skill with its interval on the axes on which it exists; the resamples are those of a report."""
    counts, sources, axes = qualities.counts(), len(qualities.sources), len(qualities.axes)
    which = {task: every[task] for task in qualities.tasks}
    flat = {key: block.reshape(sources * axes, -1) for key, block in qualities.values.items()}
    resampled = resample(flat, resamples=SOURCE_RESAMPLES, seed=seed, bounded=range(axes))
    drawn = {key: values.reshape(-1, sources, axes) for key, values in resampled.means.items()}
    value = skills(task_means(qualities.means(), counts), which, 0, slice(1, 3)).axis
    draws = skills(task_means(drawn, counts), which, 0, slice(1, 3)).axis
    found = {}
    for a, axis in enumerate(AXES):
        if np.isfinite(value[a]):
            low, high = resampled.interval(draws[:, a]) if _enough(counts, which, a) else (np.nan, np.nan)
            clips = sum(int(count[a]) for count in counts.values())
            found[str(axis)] = {"value": float(value[a]), "low": float(low), "high": float(high), "clips": clips}
    return found


def _enough(counts: Mapping[Stratum, NDArray[np.int64]], which: Mapping[str, tuple[Kind, ...]], axis: int) -> bool:
    """Whether every task that is scored has the clips for an interval, as in a report."""
    scored = [count[axis] for key, count in counts.items() if which[key.task][axis] in ("informative", "guard")]
    return min((n for n in scored if n), default=0) >= FEWEST


def _bar(source: str, axis: str, value: float, point: Mapping[tuple[str, str], float]) -> dict[str, object]:
    """What the skill must not exceed: a declared bar, or what the source has at the usual rate and a little more."""
    bar = skill_threshold_of(source, axis)
    if bar is not None:
        return {"bar": bar.limit, "met": is_met(bar, value, float("nan"))}
    usual = point.get((source.removesuffix(LOW_RATE), axis))
    if source.endswith(LOW_RATE) and usual is not None:
        return {"bar": usual + LOW_RATE_GAIN, "met": value <= usual + LOW_RATE_GAIN}
    return {}
