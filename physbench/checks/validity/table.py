"""The validity table: what every reading makes of every violation, stranger and cheat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from physbench.checks.validity.measure import Part
from physbench.checks.validity.separation import auroc, auroc_resampled, draws, interval
from physbench.checks.validity.sources import NEAR
from physbench.scoring.protocol import AXES, Scorer
from physbench.scoring.skill import Stratum, clip_qualities, kinds, skills, task_means

Array = NDArray[np.float64]

LOCATING = ("first-miss", "first-break")  # readings of these names are times, in s, at which a law is first broken
NEAR_ENOUGH = 0.2  # s
SKILL = "skill/"  # before the name of an axis: a row of the skill that a source has there
NEGATIVES = ("truth", *NEAR)
STATUSES = ("ok", "failed", "unavailable", "not applicable")
OK, FAILED = 0, 1

COLUMNS: Mapping[str, str] = {
    "source": "violation with its severity, stranger or cheat",
    "kind": "violation, picture (breaks no law), stranger, cheat, or reference: the frozen frame",
    "level": "task; family: mean over its tasks; all: mean over families; skill: of the whole table",
    "family": "family of tasks; * for all",
    "task": "id of a task; * for several",
    "reading": "scorer id, or id.key for its further readings; skill/AXIS on rows of level skill",
    "clips": "clips of the source that the reading has a value for",
    "refused": "clips on which the source has nothing to do",
    "silent": "clips of the source on which the reading does not apply, though it does on their ground truth",
    "negatives": "videos of ground truth and near strangers that it is told from",
    "auroc": "chance that the reading finds a clip of the source worse than a lawful one",
    "low": "of the 95 % interval of auroc, or of skill",
    "high": "of the 95 % interval of auroc, or of skill",
    "truth": "median of the reading on ground truth",
    "value": "median of the reading on the source; on rows of level skill: skill",
    "quality_lost": "mean quality of ground truth less that of the source, on the same clips",
    "located": f"share of clips whose first break is read within {NEAR_ENOUGH:g} s of the event",
    "distance": "median of the largest distance from ground truth in diameters, of a stranger",
}


def long_table(parts: Iterable[Part]) -> pd.DataFrame:
    """One row per (source, clip, reading) with value, quality and status."""
    return pd.DataFrame(
        [
            {
                "source": part.source,
                "clip": row.clip,
                "task": row.task,
                "split": row.split,
                "seed": row.seed,
                "reading": row.reading,
                "axis": row.axis,
                "value": np.nan if row.value is None else row.value,
                "quality": np.nan if row.quality is None else row.quality,
                "status": row.status,
            }
            for part in parts
            for row in part.rows
        ]
    )


def suspicion(values: Array, failed: NDArray[np.bool_], truth: Array, better: str | None) -> Array:
    """How wrong a reading finds each value (...): the larger the worse.

    better: "lower" or "higher" as the scorer declares it; else the distance from the median of `truth` (m,), which is
    all that is known of a reading without a direction. A failed reading is the worst of all.
    """
    if better == "lower":
        scores = values
    elif better == "higher":
        scores = -values
    else:
        known = truth[np.isfinite(truth)]
        scores = np.abs(values - (np.median(known) if len(known) else np.nan))
    return np.where(failed, np.inf, scores)


def validity_table(parts: Sequence[Part], scorers: Sequence[Scorer], seed: int = 0) -> pd.DataFrame:
    """The table with the columns COLUMNS, from the parts of all sources and the references on the same clips."""
    table = long_table(parts)
    better = {each.id: each.better for each in scorers}
    sources = list(dict.fromkeys(part.source for part in parts if part.source not in ("truth", *NEAR)))
    rows: list[dict[str, object]] = []
    for task, group in table.groupby("task", sort=True):
        rows += _task_rows(str(task), group, [p for p in parts if p.task == task], sources, better, seed)
    means = _means(pd.DataFrame(rows)) if rows else []
    found = pd.DataFrame([*rows, *means, *_skill_rows(table, parts, sources, seed)])
    return found.reindex(columns=[*COLUMNS]).reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Block:
    """Score rows of one task as arrays (R readings, P sources, S seeds)."""

    readings: list[str]
    sources: list[str]
    seeds: list[int]
    value: Array  # NaN where there is none
    quality: Array
    status: NDArray[np.int8]  # index into STATUSES; -1 where there is no row


def _block(table: pd.DataFrame) -> _Block:
    r, readings = pd.factorize(table["reading"], sort=True)
    p, sources = pd.factorize(table["source"], sort=True)
    s, seeds = pd.factorize(table["seed"], sort=True)
    shape = (len(readings), len(sources), len(seeds))
    value, quality, status = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, -1, dtype=np.int8)
    value[r, p, s] = table["value"].to_numpy(dtype=float)
    quality[r, p, s] = table["quality"].to_numpy(dtype=float)
    status[r, p, s] = [STATUSES.index(word) for word in table["status"]]
    return _Block(
        list(map(str, readings)), list(map(str, sources)), [int(seed) for seed in seeds], value, quality, status
    )


def _task_rows(
    task: str,
    table: pd.DataFrame,
    parts: Sequence[Part],
    sources: Sequence[str],
    better: Mapping[str, str],
    seed: int,
) -> list[dict[str, object]]:
    """Cells of one task."""
    block = _block(table)
    weights = draws(len(block.seeds), np.random.default_rng(seed))
    lawful = [block.sources.index(name) for name in NEGATIVES if name in block.sources]
    truth = block.sources.index("truth")
    own = {source: [p for p in parts if p.source == source] for source in sources}
    refused = {source: sum(p.refused is not None for p in own[source]) for source in sources}
    distances = {source: [p.distance for p in own[source] if p.distance is not None] for source in sources}
    times = {
        source: np.array([{p.seed: p.time for p in own[source]}.get(s) for s in block.seeds], dtype=float)
        for source in sources
    }
    rows: list[dict[str, object]] = []
    for reading, value, quality, status in zip(block.readings, block.value, block.quality, block.status, strict=True):
        if not (status[truth] == OK).any():
            continue
        known = value[truth][status[truth] == OK]
        counts = (status == OK) | (status == FAILED)
        worse = suspicion(value, status == FAILED, known, better.get(reading))
        negative = np.concatenate([worse[i][counts[i]] for i in lawful])
        negative_seeds = np.concatenate([np.flatnonzero(counts[i]) for i in lawful])
        for source in (source for source in sources if source in block.sources):
            i = block.sources.index(source)
            at = np.flatnonzero(counts[i])
            positive = worse[i][at]
            low, high = interval(auroc_resampled(positive, at, negative, negative_seeds, weights))
            lost = (quality[truth] - quality[i])[np.isfinite(quality[truth]) & np.isfinite(quality[i])]
            silent = (status[i] > FAILED) & (status[truth] == OK)
            rows.append(
                {
                    "source": source,
                    "kind": own[source][0].kind,
                    "level": "task",
                    "family": task.split("/")[0],
                    "task": task,
                    "reading": reading,
                    "clips": len(positive),
                    "refused": refused[source],
                    "silent": int(silent.sum()),
                    "negatives": len(negative),
                    "auroc": auroc(positive, negative),
                    "low": low,
                    "high": high,
                    "truth": float(np.median(known)),
                    "value": _median(value[i][status[i] == OK]),
                    "quality_lost": float(lost.mean()) if len(lost) else np.nan,
                    "located": _located(reading, value[i], times[source], status[i] == OK),
                    "distance": _median(np.array(distances[source], dtype=float)),
                }
            )
    return rows


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _located(reading: str, values: Array, events: Array, good: NDArray[np.bool_]) -> float:
    """Share of the clips whose event a reading of LOCATING gives to NEAR_ENOUGH; NaN for other readings."""
    known = good & np.isfinite(events)
    if reading.rpartition(".")[2] not in LOCATING or not known.any():
        return float("nan")
    return float((np.abs(values - events)[known] <= NEAR_ENOUGH).mean())


def _means(table: pd.DataFrame) -> list[dict[str, object]]:
    """Families (the mean of their tasks) and all (the mean of families), each task and family with the same weight."""
    numbers = ["auroc", "low", "high", "truth", "value", "quality_lost", "located", "distance"]
    counts = ["clips", "refused", "silent", "negatives"]
    steps = {**dict.fromkeys(numbers, "mean"), **dict.fromkeys(counts, "sum")}
    keys = ["source", "kind", "reading"]
    families = table[table["clips"] > 0].groupby([*keys, "family"], sort=False).agg(steps).reset_index()
    everything = families.groupby(keys, sort=False).agg(steps).reset_index()
    # An interval of a mean is not the mean of intervals: what is known of the tasks stands in their own rows.
    blank: dict[str, object] = {"low": np.nan, "high": np.nan, "task": "*"}
    found = [{**row, **blank, "level": "family"} for row in families.to_dict("records")]
    found += [{**row, **blank, "level": "all", "family": "*"} for row in everything.to_dict("records")]
    return [{str(name): value for name, value in row.items()} for row in found]


def _skill_rows(
    table: pd.DataFrame, parts: Sequence[Part], sources: Sequence[str], seed: int
) -> list[dict[str, object]]:
    """Skill of every source on every axis, from the clips on which it has something to do."""
    found: list[dict[str, object]] = []
    rows = table[table["axis"].notna()]
    if rows.empty:
        return found
    for source in sources:
        own = rows[rows["source"] == source]
        truth, freeze = (rows[(rows["source"] == r) & rows["clip"].isin(own["clip"])] for r in ("truth", "freeze"))
        if own.empty or len(freeze["clip"].unique()) < len(own["clip"].unique()):
            continue
        qualities = clip_qualities({"model": own}, truth, freeze)
        which, counts = kinds(qualities), qualities.counts()
        point = skills(task_means(qualities.means(), counts), which, 0, slice(1, 3)).axis
        rng = np.random.default_rng(seed)
        resampled = skills(task_means(_resampled(qualities.values, rng), counts), which, 0, slice(1, 3)).axis
        for a, axis in enumerate(AXES):
            if np.isfinite(point[a]):
                low, high = interval(resampled[:, a])
                base = {"source": source, "kind": next(p.kind for p in parts if p.source == source), "level": "skill"}
                base |= {"family": "*", "task": "*", "reading": f"{SKILL}{axis}"}
                refused = sum(p.refused is not None for p in parts if p.source == source)
                clips = int(sum(count[a] for count in counts.values()))
                found.append(
                    {**base, "truth": 1.0, "value": float(point[a]), "low": low, "high": high}
                    | {"clips": clips, "refused": refused}
                )
    return found


def _resampled(values: Mapping[Stratum, Array], rng: np.random.Generator) -> dict[Stratum, Array]:
    """Stratum means (B, S, A) of clips drawn with replacement, truth and freeze with the same clips."""
    means = {}
    for stratum, block in values.items():  # (S, A, n)
        weights = draws(block.shape[-1], rng)  # (B, n)
        good = np.isfinite(block)
        total = np.einsum("bn,san->bsa", weights, good.astype(np.float64))
        sums = np.einsum("bn,san->bsa", weights, np.where(good, block, 0.0))
        means[stratum] = np.where(total > 0, sums / np.maximum(total, 1e-9), np.nan)
    return means
