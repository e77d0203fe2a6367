"""Cells of one task: what each reading makes of each source, from the readings of all its videos in one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from physbench.validation.measured_parts import MeasuredPart
from physbench.validation.separation import auroc, separation
from physbench.validation.sources import LOW_RATE, NEAR_ALTERNATIVES, WAIVED
from physbench.validation.thresholds import ALL_LEVELS, is_strength, last_part

Array = NDArray[np.float64]

LOCATING = "first-break"  # readings of this name are times, in s, at which a law is first broken
LOCATED_WITHIN = 0.2  # s
NEGATIVES = ("truth", *NEAR_ALTERNATIVES)
KEY = ["reading", "source"]
COUNTS = ["clips", "refused", "unseen", "failed", "silent", "negatives"]
COUNTS += ["located_count", "located_of", "broken_count", "broken_of"]
MEANS = ["auroc_with_unseen", "truth", "value", "quality", "quality_lost", "distance"]
# Directions of further readings, by the last part of their id; of others nothing is known but their distance from truth
DIRECTIONS = {
    **dict.fromkeys(("explained", "shadowing-time", "behind-join", "strict", "medium", "lenient", "loose"), "higher"),
    **dict.fromkeys(("first-break", "unseen-constants"), "higher"),
    **dict.fromkeys(("breaks-per-second", "undetermined", "join-jump", "join-kick", "jitter"), "lower"),
}


def readings_of(parts: Sequence[MeasuredPart]) -> pd.DataFrame:
    """One row for each reading of each video; one without a reading for a video that has none."""
    video = ["clip", "task", "seed", "source", "kind", "outcome", "time", "bodies", "distance"]
    reading = ["reading", "axis", "value", "quality", "status", "reason"]
    rows = [
        (*(getattr(part, name) for name in video), *read) for part in parts for read in part.reads or ((None,) * 6,)
    ]
    found = pd.DataFrame(rows, columns=[*video, *reading])
    return found.astype(dict.fromkeys(("time", "distance", "value", "quality"), float))


def task_cells(readings: pd.DataFrame, better: Mapping[str, str], lawful_before: float) -> pd.DataFrame:
    """One row for each reading that ground truth has, and each source but ground truth.

    Args:
        readings: Those of a task, see `readings_of`.
        better: Direction of readings, as their scorers declare it.
        lawful_before: Seeds from there on give no negatives.

    Returns:
        The columns `source`, `kind`, `reading`, `task`, `family`, `axis` of the headline reading, COUNTS, MEANS, and
        `apart`: a Separation.
    """
    videos = readings.drop_duplicates(["source", "seed"])
    own = videos[(videos["source"] != "truth") & ~videos["source"].str.endswith(LOW_RATE)]
    of_source = own.groupby("source", sort=False).agg(
        kind=("kind", "first"),
        distance=("distance", "median"),
        **{name: ("outcome", lambda each, name=name: int((each == name).sum())) for name in _OUTCOMES},
    )
    reads = _judged(readings[readings["reading"].notna()], better, lawful_before)
    good = reads[(reads["source"] == "truth") & (reads["status"] == "ok")]
    found = _measured(reads).reindex(
        pd.MultiIndex.from_product([sorted(good["reading"].unique()), of_source.index], names=KEY)
    )
    found = found.join(of_source, on="source").join(good.groupby("reading")["value"].median().rename("truth"))
    found = found.join(_apart(reads, found.index, set(of_source.index[of_source["unseen"] > 0]))).reset_index()
    axes = readings[(readings["source"] == "truth") & readings["axis"].notna()].set_index("reading")["axis"]
    task = videos["task"].iloc[0]
    found = found.assign(axis=found["reading"].map(axes.to_dict()), task=task, family=task.split("/")[0], level="task")
    found.loc[found["source"] == WAIVED, ["truth", "quality_lost"]] = np.nan  # its context is not that of ground truth
    return found.fillna(dict.fromkeys(COUNTS, 0)).astype(dict.fromkeys(COUNTS, int))


_OUTCOMES = ("refused", "unseen", "failed")


def _judged(reads: pd.DataFrame, better: Mapping[str, str], lawful_before: float) -> pd.DataFrame:
    """Readings with what follows from each and from that of ground truth on its clip."""
    truth = reads[reads["source"] == "truth"].set_index(["reading", "seed"])
    clip = pd.MultiIndex.from_frame(reads[["reading", "seed"]])
    told, visible = reads["status"].isin(("ok", "failed")), reads["outcome"] != "unseen"
    truth_quality = truth["quality"].reindex(clip).to_numpy()
    near = (reads["value"] - reads["time"]).abs() <= LOCATED_WITHIN
    on_body = [
        not said or not bodies or said in bodies for said, bodies in zip(reads["reason"], reads["bodies"], strict=True)
    ]
    judged = reads.assign(
        told=told,
        seen=told & visible,
        lawful=told & (reads["seed"] < lawful_before) & reads["source"].isin(NEGATIVES),
        silent=~told & (truth["status"].reindex(clip) == "ok").to_numpy(),
        visible_quality=reads["quality"].where(visible),
        quality_lost=(truth_quality - reads["quality"]).where(visible),
        seen_value=reads["value"].where(told & visible & (reads["status"] == "ok")),
        asked=told & (reads["outcome"] == "shown") & reads["time"].notna(),
        right=(reads["status"] == "ok") & near & np.array(on_body, dtype=bool),
        worse=0.0,
    )
    seeds = np.sort(reads["seed"].unique())
    for reading, rows in judged.groupby("reading"):
        good = rows[(rows["source"] == "truth") & (rows["status"] == "ok")].set_index("seed")["value"]
        middle = pd.Series(others_median(good.reindex(seeds).to_numpy()), index=seeds)
        worse = suspicion(rows["value"], rows["seed"].map(middle), direction_of(str(reading), better))
        judged.loc[rows.index, "worse"] = worse.where(rows["status"] != "failed", np.inf)
    return judged


def _measured(reads: pd.DataFrame) -> pd.DataFrame:
    """Counts and means of each reading on each source."""
    strength = reads["seen"] & reads["reading"].map(is_strength)
    broken = strength & (reads["worse"] > ALL_LEVELS)
    found = (
        reads.assign(broken=broken, strength=strength)
        .groupby(KEY)
        .agg(
            clips=("seen", "sum"),
            silent=("silent", "sum"),
            broken_count=("broken", "sum"),
            broken_of=("strength", "sum"),
            value=("seen_value", "median"),
            quality=("visible_quality", "mean"),
            quality_lost=("quality_lost", "mean"),
        )
    )
    located = [_located(reads, reading) for reading in reads["reading"].unique() if last_part(reading) == LOCATING]
    return found.join(pd.concat(located)) if located else found.assign(located_count=0, located_of=0)


def _located(reads: pd.DataFrame, reading: str) -> pd.DataFrame:
    """In how many clips, of how many, a reading gives the event of a violation, and its body.

    A break that is not found is a reading that does not apply where its scorer's own reading does.
    """
    asked = reads[reads["asked"] & reads["reading"].isin((reading, reading.rpartition(".")[0]))]
    right = asked["right"] & (asked["reading"] == reading)
    by_clip = right.groupby([asked["source"], asked["seed"]]).any().groupby("source")
    found = pd.DataFrame({"located_count": by_clip.sum(), "located_of": by_clip.size()})
    return found.set_index(pd.MultiIndex.from_product([[reading], found.index], names=KEY))


def _apart(reads: pd.DataFrame, wanted: pd.Index[Any], partly_unseen: set[str]) -> pd.DataFrame:
    """How well each reading tells each source from lawful videos; `partly_unseen`: sources with unseen clips."""
    told = reads[reads["told"]]
    columns = {name: told[name].to_numpy() for name in ("worse", "seen", "lawful")}
    columns["seed"] = told["seed"].to_numpy() - reads["seed"].min()
    at = told.groupby(KEY).indices
    nothing = np.zeros(0, dtype=np.intp)
    rows = []
    for reading, source in wanted:
        against = ["truth"] if source in NEAR_ALTERNATIVES else [] if source == WAIVED else NEGATIVES
        lawful = np.concatenate([nothing, *(at.get((reading, name), nothing) for name in against)])
        lawful = lawful[columns["lawful"][lawful]]
        every = at.get((reading, source), nothing)
        seen = every[columns["seen"][every]]
        apart = separation(*(columns[name][each] for each in (seen, lawful) for name in ("worse", "seed")))
        with_unseen = np.nan
        if source in partly_unseen:
            with_unseen = auroc(columns["worse"][every], columns["worse"][lawful])
        rows.append((apart, with_unseen, len(lawful)))
    return pd.DataFrame(rows, index=wanted, columns=["apart", "auroc_with_unseen", "negatives"])


def direction_of(reading: str, declared: Mapping[str, str]) -> str | None:
    """What is better of a reading: as its scorer declares it, or as it is known of a further one."""
    return declared.get(reading) or DIRECTIONS.get(last_part(reading))


def suspicion(values: pd.Series[float], middle: pd.Series[float], better: str | None) -> pd.Series[float]:
    """How wrong a reading finds each value: the larger the worse.

    better: "lower" or "higher" as the scorer declares it; else the distance from `middle`, the median of ground truth
    of the other clips, which is all that is known of a reading without a direction.
    """
    if better == "lower":
        return values
    return -values if better == "higher" else (values - middle).abs()


def others_median(truth: Array) -> Array:
    """Median of the values (S,) of all others, NaN left out: a clip is not judged by itself."""
    known = np.isfinite(truth)
    if known.sum() < 2:
        return np.full(len(truth), np.nan)
    middle = np.full(len(truth), float(np.median(truth[known])))
    for i in np.flatnonzero(known):
        middle[i] = np.median(np.delete(truth, i)[np.delete(known, i)])
    return middle
