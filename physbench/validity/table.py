"""The validity table: what every reading makes of every violation, lawful alternative and gaming baseline."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.special import bdtri, expit, logit, stdtrit

from physbench.result.bootstrap import FEWEST, MISS, TINY, resample
from physbench.result.skill import Kind, Qualities, Stratum, clip_qualities, kinds, overall_weights, skills, task_means
from physbench.score.protocol import AXES, Scorer
from physbench.score.score_clip import find_scorers
from physbench.support.arrays import Array, Whole
from physbench.support.errors import UsageError
from physbench.support.files import atomic_path
from physbench.validity import thresholds
from physbench.validity.measure import MeasuredPart
from physbench.validity.sources import LOW_RATE, NEAR_ALTERNATIVES, REFERENCES, WAIVED

# Files of validity tables, with what each was made of in its header.

TABLE_VERSION = 3
TABLE_KEY = b"physbench_validity"


class TableHeader(BaseModel):
    """Inputs and versions of a validity table."""

    model_config = ConfigDict(extra="forbid")

    table_version: int
    physbench: str
    suite: int  # version of core, whose headline readings and kinds of tasks these are
    versions: dict[str, str | None]  # of libraries, and the hash of the code
    key: str  # of what decides a measured part
    scorers: dict[str, int]  # id -> version
    tasks: tuple[str, ...]
    own_tasks: tuple[str, ...]  # sha256 of files with tasks of one's own
    sources: tuple[str, ...]
    clips: int
    truths: int
    first_seed: int
    spec: str
    context: int  # frames
    crf: int | None = None  # of the H.264 that predicted frames went through
    columns: dict[str, str]  # name -> meaning


def write_table(path: Path, table: pd.DataFrame, header: TableHeader) -> None:
    """Write a table as Parquet with its header in the metadata."""
    import pyarrow.parquet as pq

    arrow_table = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {
        TABLE_KEY: header.model_dump_json().encode(),
        b"physbench_table_version": str(header.table_version).encode(),
    }
    arrow_table = arrow_table.replace_schema_metadata(metadata)
    with atomic_path(path) as draft:
        pq.write_table(arrow_table, draft, compression="zstd")


def read_table(path: Path) -> tuple[pd.DataFrame, TableHeader]:
    """A table and its header. Raises UsageError where the file is none, or newer than this version."""
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        version = int(metadata[b"physbench_table_version"])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise UsageError(f"{path}: is no table of `physbench scorers check` ({error}).") from None
    if version > TABLE_VERSION:
        raise UsageError(f"{path}: was written by a newer physbench (table {version}). Update physbench to read it.")
    try:
        header = TableHeader.model_validate_json(metadata.get(TABLE_KEY, b""))
    except ValidationError:
        raise UsageError(f"{path}: its header cannot be read (table {version}). Make it again.") from None
    return table.to_pandas(), header


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


# How well a reading tells one kind of clip from another, and how sure that is.
#
# The interval of an AUROC is that of a jackknife over clips: one clip is left out at a time with all that was made of
# it, ground truth and alternatives too. It is symmetrical on the logit scale, with t quantiles (Welch and Satterthwaite
# where tasks are averaged), since plain percentiles of a bootstrap cover 73 % at 12 clips and an AUROC of .96. Where
# nothing overlaps a jackknife would claim certainty. What was not seen in n clips may happen in 3 / n of them, more
# exactly in 1 - .05^(1/n): such clips would be on the wrong side of all others. Fewer than 8 clips: no interval.


def auroc(positive: Array, negative: Array) -> float:
    """Chance that a value of `positive` (P,) exceeds one of `negative` (Q,), ties counting half; NaN for none.

    The area under the receiver operating characteristic (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747).
    """
    if not len(positive) or not len(negative):
        return float("nan")
    return float(_wins(positive, negative).mean())


def _wins(positive: Array, negative: Array) -> Array:
    """1 where a positive (P,) exceeds a negative (Q,), 0.5 where they are equal, else 0: (P, Q)."""
    a, b = positive[:, None], negative[None]
    return np.asarray((a > b) + 0.5 * (a == b), dtype=np.float64)


@dataclass(frozen=True)
class Separation:
    """An AUROC with what its interval follows from."""

    value: float
    variance: float  # of the jackknife
    degrees: float  # of freedom
    clips: float  # distinct ones that are told from lawful ones; of a mean, what as many in one task would be worth

    def interval(self) -> tuple[float, float]:
        """95 % interval; NaN for fewer than FEWEST clips."""
        if not np.isfinite(self.value) or self.clips < 8:
            return float("nan"), float("nan")
        low = high = self.value
        if TINY < self.value < 1 - TINY and self.variance > 0:
            half = stdtrit(self.degrees, 1 - MISS / 2) * np.sqrt(self.variance) / (self.value * (1 - self.value))
            low, high = (float(expit(logit(self.value) + sign * half)) for sign in (-1, 1))
        return min(low, self.value * self.perfect), max(high, 1 - (1 - self.value) * self.perfect)

    @property
    def perfect(self) -> float:
        """Lower end of the interval of an AUROC of 1 with so many clips; 0 for none."""
        return float(MISS ** (1 / self.clips)) if self.clips else 0.0


def separation(positive: Array, seeds: Whole, negative: Array, negative_seeds: Whole) -> Separation:
    """AUROC of values (P,) of clips `seeds` (P,) against lawful ones (Q,) of clips `negative_seeds` (Q,)."""
    clips = len(np.unique(seeds))
    if not len(positive) or not len(negative):
        return Separation(float("nan"), 0.0, 1.0, clips)
    wins = _wins(positive, negative)
    size = int(max(seeds.max(), negative_seeds.max())) + 1
    rows = np.bincount(seeds, wins.sum(axis=1), size)
    columns = np.bincount(negative_seeds, wins.sum(axis=0), size)
    ours, theirs = np.bincount(seeds, minlength=size), np.bincount(negative_seeds, minlength=size)
    i, j = np.nonzero(seeds[:, None] == negative_seeds[None])
    both = np.bincount(seeds[i], wins[i, j], size)
    total, pairs = wins.sum(), (len(positive) - ours) * (len(negative) - theirs)
    left_out = np.where(pairs > 0, (total - rows - columns + both) / np.maximum(pairs, 1), np.nan)
    value = float(wins.mean())
    variance, squares = 0.0, 0.0
    for stratum in (ours > 0, (ours == 0) & (theirs > 0)):  # clips with, and those without what is told apart
        gain = left_out[stratum] - value
        gain = gain[np.isfinite(gain)]
        n = len(gain)
        if n > 1:
            part = (n - 1) / n * float((gain**2).sum())
            variance, squares = variance + part, squares + part**2 / (n - 1)
    degrees = variance**2 / squares if squares > 0 else max(clips - 1.0, 1.0)
    return Separation(value, variance, degrees, clips)


def mean_of(parts: Sequence[Separation], weights: Sequence[float] | None = None) -> Separation:
    """Weighted mean of the AUROC of tasks that share no clips; by default each has the same weight."""
    known = [k for k, part in enumerate(parts) if np.isfinite(part.value)]
    if not known:
        return Separation(float("nan"), 0.0, 1.0, 0)
    share = np.array([1.0 if weights is None else weights[k] for k in known])
    share = share / share.sum()
    chosen = [parts[k] for k in known]
    pieces = share**2 * np.array([part.variance for part in chosen])
    variance = float(pieces.sum())
    squares = float((pieces**2 / np.array([part.degrees for part in chosen])).sum())
    # What was not seen would weigh most in the task with the fewest clips.
    clips = float(min(part.clips / w for part, w in zip(chosen, share, strict=True)))
    degrees = variance**2 / squares if squares > 0 else 1.0
    return Separation(float(share @ [part.value for part in chosen]), variance, degrees, clips)


def most_likely_share(count: int, of: int, miss: float = MISS) -> float:
    """Upper bound, with 1 - `miss` confidence, of a share that was seen `count` times in `of`: Clopper & Pearson 1934.

    NaN for `of` 0. doi:10.1093/biomet/26.4.404.
    """
    if of == 0:
        return float("nan")
    return 1.0 if count >= of else float(bdtri(count, of, miss))


def least_likely_share(count: int, of: int, miss: float = MISS) -> float:
    """Lower bound of the same."""
    return float("nan") if of == 0 else 1 - most_likely_share(of - count, of, miss)


# False breaks: how often ground truth and near alternatives read as if they broke a law.
#
# Videos of one clip share the context, the scene and most of the motion. So clips are counted: one is broken if its
# ground truth or one of its near alternatives is. Strength says nothing of what is not judged or lost: clips whose
# ground truth has a quality below 1 on an axis are counted, too.

FEWEST_POOLED = 1000  # clips, for a bar on the pooled share
LEVEL = "false breaks"
SOURCE = "lawful > "  # before a strength in diameters
LOW = "lawful < "  # before a quality


def lawful_strengths(readings: pd.DataFrame, lawful_before: float) -> pd.DataFrame:
    """Largest strength of ground truth and near alternatives on each clip; infinity where one failed.

    Args:
        readings: Those of a task, see `readings_of`.
        lawful_before: Clips of seeds from there on do not count.

    Returns the columns `task`, `reading`, `seed`, and `value` in diameters.
    """
    rows = readings[readings["source"].isin(NEGATIVES) & (readings["seed"] < lawful_before)]
    rows = rows[
        rows["status"].isin(("ok", "failed")) & rows["reading"].map(thresholds.is_strength, na_action="ignore").eq(True)
    ]
    values = rows["value"].where(rows["status"] == "ok", np.inf)
    return values.groupby([rows["task"], rows["reading"], rows["seed"]]).max().reset_index()


def lawful_qualities(readings: pd.DataFrame, lawful_before: float) -> pd.DataFrame:
    """Quality of ground truth on each clip, by headline reading; 0 where it failed. Arguments: `lawful_strengths`.

    Returns the columns `task`, `reading`, `seed`, and `value`.
    """
    rows = readings[readings["source"].eq("truth") & (readings["seed"] < lawful_before) & readings["axis"].notna()]
    rows = rows[rows["status"].isin(("ok", "failed"))]
    return rows.assign(value=rows["quality"].where(rows["status"] == "ok", 0.0))[["task", "reading", "seed", "value"]]


def low_quality_rows(qualities: pd.DataFrame) -> list[dict[str, object]]:
    """Share of clips whose ground truth is below each quality of LOW_QUALITY, by reading; `high` as below."""
    rows: list[dict[str, object]] = []
    for reading, mine in qualities.groupby("reading", sort=False):
        for quality, limit in thresholds.LOW_QUALITY.items():
            row = _row(reading, f"{LOW}{quality:g}", mine["value"] < quality)
            rows.append({**row, "bar": limit, "met": row["high"] <= limit if len(mine) >= FEWEST_POOLED else None})
            for task, own in mine.groupby("task", sort=False):
                rows.append(_row(reading, f"{LOW}{quality:g}", own["value"] < quality, str(task)))
    return rows


def false_break_rows(strengths: pd.DataFrame) -> list[dict[str, object]]:
    """Share of clips above each strength of FALSE_BREAKS, pooled and by task; `high` is its upper 95 % bound.

    A task may have at most 6 of 150, that is of its number in the same proportion, and its bar is met up to there.
    """
    rows: list[dict[str, object]] = []
    share = thresholds.LIMITS.false_breaks_a_task[0] / thresholds.LIMITS.false_breaks_a_task[1]
    for reading, mine in strengths.groupby("reading", sort=False):
        for strength, limit in thresholds.FALSE_BREAKS.items():
            row = _row(reading, f"{SOURCE}{strength:g}", mine["value"] > strength)
            rows.append({**row, "bar": limit, "met": row["high"] <= limit if len(mine) >= FEWEST_POOLED else None})
            for task, own in mine.groupby("task", sort=False) if strength == min(thresholds.FALSE_BREAKS) else ():
                row = _row(reading, f"{SOURCE}{strength:g}", own["value"] > strength, str(task))
                met = row["value"] <= share + 1e-12 if len(own) >= thresholds.LIMITS.false_breaks_a_task[1] else None
                rows.append({**row, "bar": share, "met": met})
    return rows


def _row(reading: object, source: str, wrong: pd.Series[bool], task: str = "*") -> dict[str, Any]:
    count, of = int(wrong.sum()), len(wrong)
    share = count / of if of else float("nan")
    return {
        "source": source,
        "kind": "reference",
        "level": LEVEL,
        "reading": reading,
        "clips": of,
        "value": share,
        "high": most_likely_share(count, of),
        "task": task,
        "family": task.split("/")[0],
    }


# Skill of every source, overall and on every axis, computed as that of a model in a report.
#
# The last of the gaming baselines are their *portfolios*: in each task the one that does best there, of all of them and
# of those that are given no part of the future. It is chosen on one half of the clips and read on the other, both ways,
# as by somebody who has a copy of the benchmark but not its clips.

Fixed = Mapping[str, Mapping[str, Kind]]

SKILL = "skill/"  # before the name of an axis, or "overall": a row of the skill that a source has there
OVERALL = "overall"
PORTFOLIO, UNAIDED, STRAIGHT = "cheat-portfolio", "cheat-portfolio-unaided", "cheat-straight"
GIVEN = "cheat-truth-"  # gaming baselines that are given a part of the future


def headline_rows(readings: pd.DataFrame) -> pd.DataFrame:
    """Qualities of the headline readings: one row per source, clip and axis; one without an axis where nothing is."""
    headline = readings[readings["axis"].notna()]
    videos = readings.drop_duplicates(["source", "clip"])
    silent = videos[~videos.set_index(["source", "clip"]).index.isin(headline.set_index(["source", "clip"]).index)]
    silent = silent.assign(axis=None, quality=np.nan)
    skill_columns = ("source", "kind", "clip", "task", "split", "seed", "axis", "quality", "outcome")
    return pd.concat([headline, silent]).sort_index().assign(split="test")[[*skill_columns]]


def skill_rows(table: pd.DataFrame, fixed: Fixed | None) -> list[dict[str, object]]:
    """Rows of the skill of every source on the clips on which it has something to do.

    Kinds of tasks are the same for all sources: those that are `fixed`, else from the references on all clips.
    """
    skills_of_axes: list[dict[str, object]] = []
    point: dict[tuple[str, str], float] = {}
    for low_rate in ("", LOW_RATE):
        truth, freeze = (table[table["source"] == name + low_rate] for name in REFERENCES)
        if truth.empty or freeze.empty:
            continue
        every = kinds(clip_qualities({"model": truth}, truth, freeze, events=False), fixed)
        mine = table[table["source"].str.endswith(LOW_RATE) == bool(low_rate)]
        chosen = [portfolio(mine, name, truth, freeze, every) for name in (PORTFOLIO, UNAIDED)]
        mine = pd.concat([mine, *chosen])
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
            for axis, row in _skill(clip_qualities({"model": shown}, best, still, events=False), every).items():
                point[source, axis] = row["value"]
                skills_of_axes.append({**base, "reading": f"{SKILL}{axis}", **row})
    return [row | _bar(str(row["source"]), str(row["reading"]).removeprefix(SKILL), point) for row in skills_of_axes]


def portfolio(
    table: pd.DataFrame,
    name: str,
    truth: pd.DataFrame,
    freeze: pd.DataFrame,
    every: Mapping[str, tuple[Kind, ...]],
) -> pd.DataFrame:
    """Rows of a portfolio, PORTFOLIO or UNAIDED, of the gaming baselines that are shown on all clips.

    None for fewer than two of them, and none of UNAIDED where it would be PORTFOLIO. The best in a task is the one with
    the largest sum over axes of skill times the weight in overall, guards included.
    """
    cheats = table[(table["kind"] == "cheat") & table["outcome"].isin(("shown", "failed"))]
    clips = cheats.drop_duplicates("clip").sort_values(["task", "seed"])
    whole = [str(source) for source, own in cheats.groupby("source") if own["clip"].nunique() == len(clips)]
    if name == UNAIDED:
        blind = [source for source in whole if not source.startswith(GIVEN)]
        whole = [] if len(blind) == len(whole) else blind
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
            qualities = clip_qualities({"model": own}, best_of_all, still, events=False)
            each_task = skills(task_means(qualities.means(), qualities.counts()), every, 0, slice(1, 3)).task
            for task, skill in each_task.items():
                value = float(np.nansum(weights[task] * skill))
                best[task] = max(best.get(task, (-np.inf, "")), (value, source))
        others = cheats[cheats["clip"].map(half) != chosen_on]
        taken = others["source"] == others["task"].map({task: source for task, (_, source) in best.items()})
        rows.append(others[taken].assign(source=name))
    return pd.concat(rows)


def _skill(qualities: Qualities, every: Mapping[str, tuple[Kind, ...]]) -> dict[str, dict[str, float]]:
    """Skill with its interval, overall and on the axes on which it exists; the resamples are those of a report."""
    counts, sources, axes = qualities.counts(), len(qualities.sources), len(qualities.axes)
    which = {task: every[task] for task in qualities.tasks}
    flat = {key: block.reshape(sources * axes, -1) for key, block in qualities.values.items()}
    resampled = resample(flat, resamples=2000, bounded=range(axes))
    drawn = {key: values.reshape(-1, sources, axes) for key, values in resampled.means.items()}
    point = skills(task_means(qualities.means(), counts), which, 0, slice(1, 3))
    draws = skills(task_means(drawn, counts), which, 0, slice(1, 3))
    clips = [sum(int(count[a]) for count in counts.values()) for a in range(axes)]
    levels: dict[str, tuple[float, Array, int, Iterable[int]]] = {
        str(axis): (point.axis[a], draws.axis[:, a], clips[a], [a]) for a, axis in enumerate(AXES)
    }
    if set(which) == set(every):  # on some of the tasks it is another quantity
        levels = {OVERALL: (float(point.overall), draws.overall, max(clips), range(axes)), **levels}
    estimates = {}
    for name, (value, drawn_value, used, needed) in levels.items():
        if np.isfinite(value):
            enough = all(_enough(counts, which, a) for a in needed)
            low, high = resampled.interval(drawn_value) if enough else (np.nan, np.nan)
            estimates[name] = {"value": float(value), "low": float(low), "high": float(high), "clips": used}
    return estimates


def _enough(counts: Mapping[Stratum, NDArray[np.int64]], which: Mapping[str, tuple[Kind, ...]], axis: int) -> bool:
    """True if every task that is scored has the clips for an interval, as in a report."""
    scored = [count[axis] for key, count in counts.items() if which[key.task][axis] in ("informative", "guard")]
    return min((n for n in scored if n), default=0) >= FEWEST


def _bar(source: str, axis: str, point: Mapping[tuple[str, str], float]) -> dict[str, object]:
    """Bar on the skill: a declared one, or that of another source and a little more.

    That other source is the same at the usual rate, and for gaming baselines overall it is constant velocity.
    """
    bar, value = thresholds.skill_threshold_of(source, axis), point[source, axis]
    if bar is not None:
        return {"bar": bar.limit, "met": thresholds.is_met(bar, value, float("nan"))}
    if source.endswith(LOW_RATE):
        other, more = source.removesuffix(LOW_RATE), thresholds.LIMITS.low_rate_gain
    elif source.startswith("cheat-") and axis == OVERALL:
        other, more = STRAIGHT, thresholds.LIMITS.above_straight
    else:
        return {}
    usual = point.get((other, axis))
    return {} if usual is None else {"bar": usual + more, "met": value <= usual + more}


# Cells of one task: what each reading makes of each source, from the readings of all its videos in one long table.

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
    readings = pd.DataFrame(rows, columns=[*video, *reading])
    return readings.astype(dict.fromkeys(("time", "distance", "value", "quality"), float))


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
    outcomes = ("refused", "unseen", "failed")
    of_source = own.groupby("source", sort=False).agg(
        kind=("kind", "first"),
        distance=("distance", "median"),
        **{name: ("outcome", lambda each, name=name: int((each == name).sum())) for name in outcomes},
    )
    reads = _judged(readings[readings["reading"].notna()], better, lawful_before)
    good = reads[(reads["source"] == "truth") & (reads["status"] == "ok")]
    cells = _measured(reads).reindex(
        pd.MultiIndex.from_product([sorted(good["reading"].unique()), of_source.index], names=KEY)
    )
    cells = cells.join(of_source, on="source").join(good.groupby("reading")["value"].median().rename("truth"))
    cells = cells.join(_apart(reads, cells.index, set(of_source.index[of_source["unseen"] > 0]))).reset_index()
    axes = readings[(readings["source"] == "truth") & readings["axis"].notna()].set_index("reading")["axis"]
    task = videos["task"].iloc[0]
    cells = cells.assign(axis=cells["reading"].map(axes.to_dict()), task=task, family=task.split("/")[0], level="task")
    cells.loc[cells["source"] == WAIVED, ["truth", "quality_lost"]] = np.nan  # its context is not that of ground truth
    return cells.fillna(dict.fromkeys(COUNTS, 0)).astype(dict.fromkeys(COUNTS, int))


def _judged(reads: pd.DataFrame, better: Mapping[str, str], lawful_before: float) -> pd.DataFrame:
    """Readings with what follows from each and from that of ground truth on its clip."""
    truth = reads[reads["source"] == "truth"].set_index(["reading", "seed"])
    clip = pd.MultiIndex.from_frame(reads[["reading", "seed"]])
    readable, visible = reads["status"].isin(("ok", "failed")), reads["outcome"] != "unseen"
    truth_quality = truth["quality"].reindex(clip).to_numpy()
    near = (reads["value"] - reads["time"]).abs() <= LOCATED_WITHIN
    on_body = [
        not reason or not bodies or reason in bodies
        for reason, bodies in zip(reads["reason"], reads["bodies"], strict=True)
    ]
    judged = reads.assign(
        told=readable,
        seen=readable & visible,
        lawful=readable & (reads["seed"] < lawful_before) & reads["source"].isin(NEGATIVES),
        silent=~readable & (truth["status"].reindex(clip) == "ok").to_numpy(),
        visible_quality=reads["quality"].where(visible),
        quality_lost=(truth_quality - reads["quality"]).where(visible),
        seen_value=reads["value"].where(readable & visible & (reads["status"] == "ok")),
        asked=readable & (reads["outcome"] == "shown") & reads["time"].notna(),
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
    strength = reads["seen"] & reads["reading"].map(thresholds.is_strength)
    broken = strength & (reads["worse"] > thresholds.LIMITS.all_levels)
    counts = (
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
    located = [
        _located(reads, reading) for reading in reads["reading"].unique() if thresholds.last_part(reading) == LOCATING
    ]
    return counts.join(pd.concat(located)) if located else counts.assign(located_count=0, located_of=0)


def _located(reads: pd.DataFrame, reading: str) -> pd.DataFrame:
    """In how many clips, of how many, a reading gives the event of a violation, and its body.

    A break that is not found is a reading that does not apply where its scorer's own reading does.
    """
    readable = reads[reads["asked"] & reads["reading"].isin((reading, reading.rpartition(".")[0]))]
    right = readable["right"] & (readable["reading"] == reading)
    by_clip = right.groupby([readable["source"], readable["seed"]]).any().groupby("source")
    counts = pd.DataFrame({"located_count": by_clip.sum(), "located_of": by_clip.size()})
    return counts.set_index(pd.MultiIndex.from_product([[reading], counts.index], names=KEY))


def _apart(reads: pd.DataFrame, wanted: pd.Index[Any], partly_unseen: set[str]) -> pd.DataFrame:
    """Separation of each source from lawful videos by each reading; `partly_unseen`: sources with unseen clips."""
    counted = reads[reads["told"]]
    columns = {name: counted[name].to_numpy() for name in ("worse", "seen", "lawful")}
    columns["seed"] = counted["seed"].to_numpy() - reads["seed"].min()
    at = counted.groupby(KEY).indices
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
    """Better direction of a reading: as its scorer declares it, or as it is known of a further one."""
    return declared.get(reading) or DIRECTIONS.get(thresholds.last_part(reading))


def suspicion(values: pd.Series[float], middle: pd.Series[float], better: str | None) -> pd.Series[float]:
    """Suspicion of each value of a reading: the larger the worse.

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


COLUMNS: Mapping[str, str] = {
    "source": "violation with its severity, lawful alternative (stranger-*) or gaming baseline (cheat-*); "
    "@4: shown at 4 frames/s",
    "kind": "violation, picture (breaks no law), stranger (lawful alternative), cheat (gaming baseline), "
    "or reference: the frozen frame",
    "level": "task; family: mean over its tasks; all: mean over families; skill: of the whole table; false breaks: of "
    "ground truth and near alternatives; below a quality, of ground truth",
    "family": "family of tasks; * for all",
    "task": "id of a task; * for several",
    "reading": "scorer id, or id.key for its further readings; skill/AXIS on rows of level skill",
    "clips": "clips of the source that the reading has a value for; on rows of false breaks lawful ones, broken if "
    "their ground truth or one of their near alternatives is. Left out are those on which it moves nothing in "
    "view by 0.05 diameters, and hits that only graze: further clips stand in for them",
    "refused": "clips that were tried on which the source has nothing to do",
    "unseen": "clips that were tried on which it moves things by 0.005 to 0.05 diameters",
    "failed": "clips on which showing it raised an error",
    "silent": "clips of the source on which the reading does not apply, though it does on their ground truth",
    "negatives": "videos of ground truth and near alternatives that it is told from; the latter: of ground truth",
    "auroc": "chance that the reading finds a clip of the source worse than a lawful one; none for "
    "stranger-far-waived, whose context is one frame and that of ground truth is not",
    "low": "of the 95 % interval of what the row is about: auroc, located, skill, share",
    "high": "of the same interval",
    "auroc_with_unseen": "auroc with the clips that are unseen among those of the source",
    "truth": "median of the reading on ground truth",
    "value": "median of the reading on the source; skill or share on rows of those levels",
    "quality": "mean quality of the source",
    "quality_lost": "mean quality of ground truth less that of the source, on the same clips",
    "located": f"share of its clips in which the first break is read within {LOCATED_WITHIN:g} s of the event, on its "
    "body where the reading names one; a break that is not found is not located",
    "located_low": "lower end of the 95 % interval of located",
    "broken": "share of its clips that break at 0.2 diameters, too",
    "distance": "of a lawful alternative: median of its largest distance from ground truth in diameters; below 1 it is "
    "near only",
    "bar": "what the row must reach, where a bar is declared",
    "met": "1: it does, and the lower end of the interval is at most 0.02 below; 0: it does not; nothing: too few "
    "clips to tell",
}


def validity_table(
    tasks: Iterable[tuple[str, Sequence[MeasuredPart]]],
    scorers: Sequence[Scorer],
    *,
    fixed: Fixed | None = None,
    lawful_before: float = np.inf,
) -> pd.DataFrame:
    """Make the table from what was measured, task by task.

    Args:
        tasks: (id, parts) of each task: all sources, and the references on the same clips.
        scorers: Those that the readings come from.
        fixed: Kinds of tasks as the suite has them; else the references on all clips decide.
        lawful_before: Seeds from there on give no negatives.

    Returns one long table with the columns COLUMNS.
    """
    cell = ["source", "kind", "reading"]
    better = {each.id: each.better for each in scorers}
    cells, headlines, strengths, qualities = [], [], [], []
    for _, parts in tasks:
        readings = readings_of(parts)
        cells.append(task_cells(readings, better, lawful_before))
        headlines.append(headline_rows(readings))
        strengths.append(lawful_strengths(readings, lawful_before))
        qualities.append(lawful_qualities(readings, lawful_before))
    of_tasks = pd.concat(cells, ignore_index=True)
    families = _mean_cells(of_tasks, [*cell, "family"]).assign(level="family", task="*")
    every = _mean_cells(families, cell).assign(level="all", family="*", task="*")
    measured = pd.concat([of_tasks, families, every], ignore_index=True)
    rows = [
        *map(_estimated, records(measured)),
        *false_break_rows(pd.concat(strengths, ignore_index=True)),
        *low_quality_rows(pd.concat(qualities, ignore_index=True)),
        *skill_rows(pd.concat(headlines, ignore_index=True), fixed),
    ]
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS]).reset_index(drop=True)
    return table.astype({"bar": float, "met": float})  # NaN: no bar, or too few clips to tell


def _mean_cells(cells: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Means of the cells with one key that have clips, each with the same weight; counts add up over all of them."""
    counts = cells.groupby(key, sort=False)[COUNTS].sum()
    some = cells[cells["clips"] > 0]
    groups = some.groupby(key, sort=False)
    first = some.drop_duplicates(key).set_index(key)[[*{"axis", "family"} - {*key}]]
    means = counts.join(groups[MEANS].mean(), how="inner").join(groups["apart"].agg(lambda each: mean_of(list(each))))
    return means.join(first).reset_index()


def _estimated(cell: Mapping[str, Any]) -> dict[str, object]:
    """A cell with estimates, their intervals, and what became of the bar where one is declared for a family."""
    apart: Separation = cell["apart"]
    low, high = apart.interval()
    located = _share(cell["located_count"], cell["located_of"])
    broken = _share(cell["broken_count"], cell["broken_of"])
    estimated = {**cell, "auroc": apart.value, "low": low, "high": high}
    estimated |= {"located": located[0], "located_low": located[1], "broken": broken[0]}
    if cell["level"] != "family":
        return estimated
    bar = thresholds.threshold_of(cell["source"], cell["family"], cell["reading"], cell["axis"])
    if bar is not None:
        estimates: dict[str, tuple[float, ...]] = {
            "auroc": (apart.value, low, high, apart.perfect),
            "located": located,
            "broken": broken,
            "quality": (cell["quality"], np.nan),
        }
        estimated |= {"bar": bar.limit, "met": thresholds.is_met(bar, *estimates[bar.measure])}
    return estimated


def _share(count: int, of: int) -> tuple[float, float, float, float]:
    """A share, its 95 % interval, and the lower end of that of a share of 1; NaN of nothing."""
    low, perfect = (least_likely_share(n, of, 0.025) for n in (count, of))
    return count / of if of else np.nan, low, most_likely_share(count, of, 0.025), perfect


# Make a file of docs/validity out of a table of `scorers check`: the same rows, or as many as are small enough.
#
# `python -m physbench.validity.table TABLE.parquet docs/validity/128px.parquet`

MOST_BYTES = 1_000_000


def shown_readings() -> tuple[str, ...]:
    """Ids of the readings that the page of the docs is about: the headlines, and strength."""
    return tuple(each.id for each in find_scorers(costly=True) if each.headline or thresholds.is_strength(each.id))


def shortenings(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The table, and what may be left of it: less and less of what the page does not show."""
    yield table
    shown = table["reading"].isin(shown_readings())
    further = (
        table["reading"].map(lambda reading: "." in reading and thresholds.last_part(reading) != LOCATING).astype(bool)
    )
    of_tasks = table["level"] == "task"
    yield table[shown | ~of_tasks]
    yield table[shown | ~(of_tasks | further)]
    located = table["reading"].map(thresholds.last_part) == LOCATING
    summed = table["level"].isin(("skill", "false breaks"))
    yield table[shown | summed | (located & ~of_tasks)]


def publish(source: Path, target: Path) -> int:
    """Write the longest of `shortenings` that is below MOST_BYTES, or else the last. Returns the number of its rows."""
    table, header = read_table(source)
    rows = 0
    for rest in shortenings(table):
        write_table(target, rest.reset_index(drop=True), header)
        rows = len(rest)
        if target.stat().st_size < MOST_BYTES:
            break
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("Expected TABLE.parquet TARGET.parquet.")
    table_file = Path(sys.argv[2])
    table_file.parent.mkdir(parents=True, exist_ok=True)
    count = publish(Path(sys.argv[1]), table_file)
    print(f"{table_file}: {count} rows, {table_file.stat().st_size / 1000:.0f} kB")
