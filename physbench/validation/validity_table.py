"""The validity table: what every reading makes of every violation, stranger and cheat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from physbench.scoring.scorer_protocol import Scorer
from physbench.validation.false_breaks import FalseBreaks, false_break_rows
from physbench.validation.measured_parts import MeasuredPart
from physbench.validation.score_arrays import FAILED, OK, ScoreArrays, direction_of, score_arrays, suspicion
from physbench.validation.separation import (
    Separation,
    auroc,
    least_likely_share,
    mean_of,
    most_likely_share,
    separation,
)
from physbench.validation.source_skill import Fixed, headline_rows, skill_rows
from physbench.validation.sources import LOW_RATE, NEAR, WAIVED
from physbench.validation.thresholds import ALL_RUNGS, is_met, is_strength, last_part, threshold_of

Array = NDArray[np.float64]

LOCATING = "first-break"  # readings of this name are times, in s, at which a law is first broken
NEAR_ENOUGH = 0.2  # s
NEGATIVES = ("truth", *NEAR)
COLUMNS: Mapping[str, str] = {
    "source": "violation with its severity, stranger or cheat; @4: shown at 4 frames/s",
    "kind": "violation, picture (breaks no law), stranger, cheat, or reference: the frozen frame",
    "level": "task; family: mean over its tasks; all: mean over families; skill: of the whole table; false breaks: of "
    "ground truth and near strangers",
    "family": "family of tasks; * for all",
    "task": "id of a task; * for several",
    "reading": "scorer id, or id.key for its further readings; skill/AXIS on rows of level skill",
    "clips": "clips of the source that the reading has a value for; on rows of false breaks lawful ones, broken if "
    "their ground truth or one of their near strangers is. Left out are those on which it moves nothing in "
    "view by 0.05 diameters, and hits that only graze: further clips stand in for them",
    "refused": "clips that were tried on which the source has nothing to do",
    "unseen": "clips that were tried on which it moves things by 0.005 to 0.05 diameters",
    "failed": "clips on which showing it raised an error",
    "silent": "clips of the source on which the reading does not apply, though it does on their ground truth",
    "negatives": "videos of ground truth and near strangers that it is told from; near strangers: of ground truth",
    "auroc": "chance that the reading finds a clip of the source worse than a lawful one; none for "
    "stranger-far-waived, which is read behind one frame and ground truth is not",
    "low": "of the 95 % interval of what the row is about: auroc, located, skill, share",
    "high": "of the same interval",
    "auroc_with_unseen": "auroc with the clips that are unseen among those of the source",
    "truth": "median of the reading on ground truth",
    "value": "median of the reading on the source; skill or share on rows of those levels",
    "quality": "mean quality of the source",
    "quality_lost": "mean quality of ground truth less that of the source, on the same clips",
    "located": f"share of its clips in which the first break is read within {NEAR_ENOUGH:g} s of the event, on its "
    "body where the reading names one; a break that is not found is not located",
    "located_low": "lower end of the 95 % interval of located",
    "broken": "share of its clips that break at 0.2 diameters, the largest tolerance, too",
    "distance": "median of the largest distance from ground truth in diameters, of a stranger; below 1 it is near only",
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
    seed: int = 0,
) -> pd.DataFrame:
    """The table with the columns COLUMNS, from the parts of each task: all sources and the references on their clips.

    fixed: kinds of tasks as the suite has them; else the references on all clips decide. Parts are taken task by task.
    """
    better = {each.id: each.better for each in scorers}
    cells: list[TableCell] = []
    headlines: list[pd.DataFrame] = []
    lawful: list[FalseBreaks] = []
    for task, parts in tasks:
        block = score_arrays(task, parts, lawful_before)
        cells += _cells(block, parts, better)
        headlines.append(headline_rows(parts))
        lawful += _lawful(block)
    families = _together(cells, lambda cell: (cell.source, cell.kind, cell.reading, cell.family), "family")
    every = _together(families, lambda cell: (cell.source, cell.kind, cell.reading), "all")
    rows = [cell.row for cell in (*cells, *families, *every)] + false_break_rows(lawful)
    if headlines:
        rows += skill_rows(pd.concat(headlines, ignore_index=True), fixed, seed)
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS]).reset_index(drop=True)
    return table.astype({"bar": float, "met": float})  # NaN: no bar, or too few clips to tell


def _lawful(block: ScoreArrays) -> list[FalseBreaks]:
    """Largest strength of ground truth and near strangers of each clip; infinity where one failed."""
    chosen = [block.sources.index(name) for name in NEGATIVES if name in block.sources]
    found = []
    for r, reading in enumerate(block.readings):
        if is_strength(reading):
            status, value = block.status[r, chosen][:, block.lawful], block.value[r, chosen][:, block.lawful]
            values = np.where(status == OK, value, np.where(status == FAILED, np.inf, -np.inf)).max(axis=0)
            found.append(FalseBreaks(block.task, reading, values[values > -np.inf]))
    return found


@dataclass(frozen=True, eq=False)
class TableCell:
    """A reading on a source: in a task, or in several."""

    source: str
    kind: str
    reading: str
    family: str
    level: str
    task: str
    axis: str | None
    apart: Separation
    located: tuple[int, int]  # how many of how many
    broken: tuple[int, int]
    counts: Mapping[str, int]  # columns that add up
    means: Mapping[str, float]  # columns that are averaged

    @property
    def row(self) -> dict[str, object]:
        """With the columns of the table."""
        low, high = self.apart.interval()
        shares = {name: _share(*getattr(self, name)) for name in ("located", "broken")}
        located_low = least_likely_share(*self.located, 0.025)
        row: dict[str, object] = {name: getattr(self, name) for name in ("source", "kind", "level", "family", "task")}
        row |= {"reading": self.reading, "auroc": self.apart.value, "low": low, "high": high, **shares}
        row |= {"located_low": located_low, **self.counts, **self.means}
        bar = threshold_of(self.source, self.family, self.reading, self.axis) if self.level == "family" else None
        if bar is not None:
            estimates = {
                "auroc": (self.apart.value, low, high, self.apart.perfect),
                "located": _bounded(*self.located),
                "broken": _bounded(*self.broken),
                "quality": (self.means["quality"], float("nan")),
            }
            row |= {"bar": bar.limit, "met": is_met(bar, *estimates[bar.measure])}
        return row


def _bounded(count: int, of: int) -> tuple[float, float, float, float]:
    """A share, its 95 % interval, and the lower end of that of a share of 1."""
    low, perfect = (least_likely_share(n, of, 0.025) for n in (count, of))
    return _share(count, of), low, most_likely_share(count, of, 0.025), perfect


def _share(count: int, of: int) -> float:
    return count / of if of else float("nan")


def _together(cells: Sequence[TableCell], key: Callable[[TableCell], tuple[str, ...]], level: str) -> list[TableCell]:
    """Means of cells with one key, each with the same weight; counts add up."""
    groups: dict[tuple[str, ...], list[TableCell]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    found = []
    for group in groups.values():
        some = [cell for cell in group if cell.counts["clips"]]
        if some:
            found.append(
                replace(
                    some[0],
                    level=level,
                    task="*",
                    family=some[0].family if level == "family" else "*",
                    apart=mean_of([cell.apart for cell in some]),
                    located=_sum([cell.located for cell in group]),
                    broken=_sum([cell.broken for cell in group]),
                    counts={name: sum(cell.counts[name] for cell in group) for name in some[0].counts},
                    means={name: _mean([cell.means[name] for cell in some]) for name in some[0].means},
                )
            )
    return found


def _sum(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(a for a, _ in pairs), sum(b for _, b in pairs)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _cells(block: ScoreArrays, parts: Sequence[MeasuredPart], better: Mapping[str, str]) -> list[TableCell]:
    """Cells of one task."""
    truth = block.sources.index("truth")
    chosen = [block.sources.index(name) for name in NEGATIVES if name in block.sources]
    own: dict[str, list[MeasuredPart]] = {}
    for part in parts:
        if part.source != "truth" and not part.source.endswith(LOW_RATE):
            own.setdefault(part.source, []).append(part)
    axes = {read.reading: read.axis for part in parts if part.source == "truth" for read in part.reads if read.axis}
    cells = []
    none = np.zeros(0)
    for r, reading in enumerate(block.readings):
        value, quality, status = block.value[r], block.quality[r], block.status[r]
        if not (status[truth] == OK).any():
            continue
        good = status[truth] == OK
        counts = (status == OK) | (status == FAILED)
        direction = direction_of(reading, better)
        worse = suspicion(value, status == FAILED, np.where(good, value[truth], np.nan), direction)
        lawful = counts & block.lawful
        for source, mine in own.items():
            i = block.sources.index(source)
            against = [truth] if source in NEAR else chosen
            negative = np.concatenate([worse[j][lawful[j]] for j in against])
            negative_seeds = np.concatenate([np.flatnonzero(lawful[j]) for j in against])
            at = np.flatnonzero(counts[i] & ~block.unseen[i])
            both = np.isfinite(quality[truth]) & np.isfinite(quality[i]) & ~block.unseen[i]
            outcomes = [part.outcome for part in mine]
            compared = source != WAIVED  # it is read behind fewer frames than ground truth
            broken = worse[i][at] > ALL_RUNGS if is_strength(reading) else np.zeros(0, dtype=bool)
            cells.append(
                TableCell(
                    source,
                    mine[0].kind,
                    reading,
                    block.task.split("/")[0],
                    "task",
                    block.task,
                    axes.get(reading),
                    separation(worse[i][at], at, *((negative, negative_seeds) if compared else (none, at[:0]))),
                    _located(block, r, i, mine),
                    (int(broken.sum()), len(broken)),
                    {
                        "clips": len(at),
                        **{name: outcomes.count(name) for name in ("refused", "unseen", "failed")},
                        "silent": int(((status[i] > FAILED) & good).sum()),
                        "negatives": len(negative) if compared else 0,
                    },
                    {
                        "auroc_with_unseen": auroc(worse[i][counts[i]], negative) if block.unseen[i].any() else np.nan,
                        "truth": float(np.median(value[truth][good])) if compared else np.nan,
                        "value": _median(value[i][at][status[i][at] == OK]),
                        "quality": _mean(quality[i][~block.unseen[i]].tolist()),
                        "quality_lost": _mean((quality[truth] - quality[i])[both & compared].tolist()),
                        "distance": _median(np.array([p.distance for p in mine if p.distance is not None])),
                    },
                )
            )
    return cells


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _located(block: ScoreArrays, r: int, i: int, parts: Sequence[MeasuredPart]) -> tuple[int, int]:
    """In how many clips, of how many, a reading of the name LOCATING gives the event of a violation, and its body."""
    reading = block.readings[r]
    if last_part(reading) != LOCATING:
        return 0, 0
    parent = reading.rpartition(".")[0]
    above = block.status[block.readings.index(parent), i] if parent in block.readings else block.status[r, i]
    found = of = 0
    for part in parts:
        s = block.seeds.index(part.seed)
        read = {block.status[r, i, s], above[s]} & {OK, FAILED}  # a break that is not found is none that does not apply
        if part.outcome != "shown" or part.time is None or not read:
            continue
        of += 1
        named = block.reasons.get((r, i, s), "")
        right = not named or not part.bodies or named in part.bodies
        near = abs(block.value[r, i, s] - part.time) <= NEAR_ENOUGH  # NaN is not
        found += bool(block.status[r, i, s] == OK and near and right)
    return found, of
