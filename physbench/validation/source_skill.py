"""Skill of every source, overall and on every axis, computed as that of a model in a report.

The last of the gaming baselines is their *portfolio*: in each task the one that does best there. It is chosen on one
half of the clips and read on the other, both ways, as by somebody who has a copy of the benchmark but not its clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from physbench.results.bootstrap import FEWEST, resample
from physbench.results.skill import Kind, Qualities, clip_qualities, kinds, skills, task_means
from physbench.results.task_weights import overall_weights
from physbench.scoring.scorer_protocol import AXES
from physbench.validation.sources import LOW_RATE, NEAR_ALTERNATIVES, REFERENCES, WAIVED
from physbench.validation.thresholds import ABOVE_STRAIGHT, LOW_RATE_GAIN, is_met, skill_threshold_of

if TYPE_CHECKING:
    from physbench.results.skill import Stratum

Array = NDArray[np.float64]
Fixed = Mapping[str, Mapping[str, Kind]]

SKILL = "skill/"  # before the name of an axis, or "overall": a row of the skill that a source has there
OVERALL = "overall"
PORTFOLIO, STRAIGHT = "cheat-portfolio", "cheat-straight"
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
        mine = pd.concat([mine, portfolio(mine, truth, freeze, every)])
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
                found.append({**base, "reading": f"{SKILL}{axis}", **row})
    return [row | _bar(str(row["source"]), str(row["reading"]).removeprefix(SKILL), point) for row in found]


def portfolio(
    table: pd.DataFrame, truth: pd.DataFrame, freeze: pd.DataFrame, every: Mapping[str, tuple[Kind, ...]]
) -> pd.DataFrame:
    """Rows of the portfolio of the gaming baselines that are shown on all clips; none for fewer than two of them.

    The best in a task is the one with the largest sum over axes of skill times the weight in overall, guards included.
    """
    cheats = table[(table["kind"] == "cheat") & table["outcome"].isin(("shown", "failed"))]
    clips = cheats.drop_duplicates("clip").sort_values(["task", "seed"])
    whole = [str(name) for name, own in cheats.groupby("source") if own["clip"].nunique() == len(clips)]
    if len(whole) < 2:
        return table.iloc[:0]
    half = dict(zip(clips["clip"], clips.groupby("task").cumcount() % 2, strict=True))
    weights = overall_weights(every)
    rows = []
    for chosen_on in (0, 1):
        best: dict[str, tuple[float, str]] = {}
        for source in whole:
            own, best_of_all, still = (
                each[each["clip"].map(half) == chosen_on]
                for each in (cheats[cheats["source"] == source], truth, freeze)
            )
            if own.empty:
                return table.iloc[:0]
            found = clip_qualities({"model": own}, best_of_all, still, events=False)
            each_task = skills(task_means(found.means(), found.counts()), every, 0, slice(1, 3)).task
            for task, skill in each_task.items():
                value = float(np.nansum(weights[task] * skill))
                best[task] = max(best.get(task, (-np.inf, "")), (value, source))
        others = cheats[cheats["clip"].map(half) != chosen_on]
        taken = others["source"] == others["task"].map({task: source for task, (_, source) in best.items()})
        rows.append(others[taken].assign(source=PORTFOLIO))
    return pd.concat(rows)


def _skill(qualities: Qualities, every: Mapping[str, tuple[Kind, ...]], seed: int) -> dict[str, dict[str, float]]:
    """Skill with its interval, overall and on the axes on which it exists; the resamples are those of a report."""
    counts, sources, axes = qualities.counts(), len(qualities.sources), len(qualities.axes)
    which = {task: every[task] for task in qualities.tasks}
    flat = {key: block.reshape(sources * axes, -1) for key, block in qualities.values.items()}
    resampled = resample(flat, resamples=SOURCE_RESAMPLES, seed=seed, bounded=range(axes))
    drawn = {key: values.reshape(-1, sources, axes) for key, values in resampled.means.items()}
    point = skills(task_means(qualities.means(), counts), which, 0, slice(1, 3))
    draws = skills(task_means(drawn, counts), which, 0, slice(1, 3))
    clips = [sum(int(count[a]) for count in counts.values()) for a in range(axes)]
    levels: dict[str, tuple[float, Array, int, Iterable[int]]] = {
        str(axis): (point.axis[a], draws.axis[:, a], clips[a], [a]) for a, axis in enumerate(AXES)
    }
    if set(which) == set(every):  # on some of the tasks it is another quantity
        levels = {OVERALL: (float(point.overall), draws.overall, max(clips), range(axes)), **levels}
    found = {}
    for name, (value, drawn_value, used, needed) in levels.items():
        if np.isfinite(value):
            enough = all(_enough(counts, which, a) for a in needed)
            low, high = resampled.interval(drawn_value) if enough else (np.nan, np.nan)
            found[name] = {"value": float(value), "low": float(low), "high": float(high), "clips": used}
    return found


def _enough(counts: Mapping[Stratum, NDArray[np.int64]], which: Mapping[str, tuple[Kind, ...]], axis: int) -> bool:
    """Whether every task that is scored has the clips for an interval, as in a report."""
    scored = [count[axis] for key, count in counts.items() if which[key.task][axis] in ("informative", "guard")]
    return min((n for n in scored if n), default=0) >= FEWEST


def _bar(source: str, axis: str, point: Mapping[tuple[str, str], float]) -> dict[str, object]:
    """What the skill must not exceed: a declared bar, or that of another source and a little more.

    That other source is the same at the usual rate, and for gaming baselines overall it is constant velocity.
    """
    bar, value = skill_threshold_of(source, axis), point[source, axis]
    if bar is not None:
        return {"bar": bar.limit, "met": is_met(bar, value, float("nan"))}
    if source.endswith(LOW_RATE):
        other, more = source.removesuffix(LOW_RATE), LOW_RATE_GAIN
    elif source.startswith("cheat-") and axis == OVERALL:
        other, more = STRAIGHT, ABOVE_STRAIGHT
    else:
        return {}
    usual = point.get((other, axis))
    return {} if usual is None else {"bar": usual + more, "met": value <= usual + more}
