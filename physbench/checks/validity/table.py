"""The validity table: what every reading makes of every violation, stranger and cheat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
    """How wrong a reading finds each value (n,): the larger the worse.

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


def _task_rows(
    task: str,
    table: pd.DataFrame,
    parts: Sequence[Part],
    sources: Sequence[str],
    better: Mapping[str, str],
    seed: int,
) -> list[dict[str, object]]:
    """Cells of one task."""
    seeds = sorted({part.seed for part in parts})
    weights = draws(len(seeds), np.random.default_rng(seed))
    place = {number: position for position, number in enumerate(seeds)}
    of = {source: [p for p in parts if p.source == source] for source in sources}
    rows: list[dict[str, object]] = []
    for name, group in table.groupby("reading", sort=True):
        reading = str(name)
        lawful = group[group["source"].isin(NEGATIVES)]
        truth = group[group["source"] == "truth"].set_index("seed")
        if not (truth["status"] == "ok").any():
            continue
        known = truth["value"][truth["status"] == "ok"].to_numpy(dtype=float)
        negative, negative_seeds = _scores(lawful, known, better.get(reading), place)
        by_source = dict(iter(group.groupby("source")))
        for source in sources:
            mine = by_source.get(source)
            refused = sum(part.refused is not None for part in of[source])
            if mine is None:
                continue
            positive, own = _scores(mine, known, better.get(reading), place)
            silent = mine["status"].isin(["not applicable", "unavailable"]) & mine["seed"].map(truth["status"]).eq("ok")
            low, high = interval(auroc_resampled(positive, own, negative, negative_seeds, weights))
            distances = [part.distance for part in of[source] if part.distance is not None]
            rows.append(
                {
                    "source": source,
                    "kind": of[source][0].kind,
                    "level": "task",
                    "family": task.split("/")[0],
                    "task": task,
                    "reading": reading,
                    "clips": len(positive),
                    "refused": refused,
                    "silent": int(silent.sum()),
                    "negatives": len(negative),
                    "auroc": auroc(positive, negative),
                    "low": low,
                    "high": high,
                    "truth": float(np.median(known)),
                    "value": float(mine["value"].median()),
                    "quality_lost": _lost(mine, truth),
                    "located": _located(reading, mine, of[source]),
                    "distance": float(np.median(distances)) if distances else np.nan,
                }
            )
    return rows


def _scores(
    group: pd.DataFrame, truth: Array, better: str | None, place: Mapping[int, int]
) -> tuple[Array, NDArray[np.int64]]:
    """Suspicion (n,) of the rows that have a value or failed, and which clip each is of."""
    rows = group[group["status"].isin(["ok", "failed"])]
    failed = (rows["status"] == "failed").to_numpy()
    scores = suspicion(rows["value"].to_numpy(dtype=float), failed, truth, better)
    return scores, np.array([place[number] for number in rows["seed"]], dtype=np.int64)


def _lost(mine: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Mean loss of quality against ground truth on the same clips; NaN for a reading without quality."""
    lost = mine["seed"].map(truth["quality"]) - mine["quality"]
    return float(lost.mean()) if lost.notna().any() else float("nan")


def _located(reading: str, mine: pd.DataFrame, parts: Sequence[Part]) -> float:
    """Share of the clips whose event a reading of LOCATING gives to NEAR_ENOUGH; NaN for other readings."""
    events = {part.seed: part.time for part in parts if part.time is not None}
    rows = mine[(mine["status"] == "ok") & mine["seed"].isin(list(events))]
    if reading.rpartition(".")[2] not in LOCATING or rows.empty:
        return float("nan")
    return float((np.abs(rows["value"] - rows["seed"].map(events)) <= NEAR_ENOUGH).mean())


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
