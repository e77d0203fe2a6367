"""The validity table: what every reading makes of every violation, lawful alternative and gaming baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from physbench.scoring.scorer_protocol import Scorer
from physbench.validation.false_breaks import false_break_rows, lawful_qualities, lawful_strengths, low_quality_rows
from physbench.validation.measured_parts import MeasuredPart
from physbench.validation.separation import Separation, least_likely_share, mean_of, most_likely_share
from physbench.validation.source_skill import Fixed, headline_rows, skill_rows
from physbench.validation.table_file import records
from physbench.validation.task_cells import COUNTS, LOCATED_WITHIN, MEANS, readings_of, task_cells
from physbench.validation.thresholds import is_met, threshold_of

CELL = ["source", "kind", "reading"]
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
    seed: int = 0,
) -> pd.DataFrame:
    """Make the table from what was measured, task by task.

    Args:
        tasks: (id, parts) of each task: all sources, and the references on the same clips.
        scorers: Those that the readings come from.
        fixed: Kinds of tasks as the suite has them; else the references on all clips decide.
        lawful_before: Seeds from there on give no negatives.
        seed: Of the resamples for the intervals of skill.

    Returns:
        One long table with the columns COLUMNS.
    """
    better = {each.id: each.better for each in scorers}
    cells, headlines, strengths, qualities = [], [], [], []
    for _, parts in tasks:
        readings = readings_of(parts)
        cells.append(task_cells(readings, better, lawful_before))
        headlines.append(headline_rows(readings))
        strengths.append(lawful_strengths(readings, lawful_before))
        qualities.append(lawful_qualities(readings, lawful_before))
    of_tasks = pd.concat(cells, ignore_index=True)
    families = _mean_cells(of_tasks, [*CELL, "family"]).assign(level="family", task="*")
    every = _mean_cells(families, CELL).assign(level="all", family="*", task="*")
    measured = pd.concat([of_tasks, families, every], ignore_index=True)
    rows = [
        *map(_estimated, records(measured)),
        *false_break_rows(pd.concat(strengths, ignore_index=True)),
        *low_quality_rows(pd.concat(qualities, ignore_index=True)),
        *skill_rows(pd.concat(headlines, ignore_index=True), fixed, seed),
    ]
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS]).reset_index(drop=True)
    return table.astype({"bar": float, "met": float})  # NaN: no bar, or too few clips to tell


def _mean_cells(cells: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Means of the cells with one key that have clips, each with the same weight; counts add up over all of them."""
    counts = cells.groupby(key, sort=False)[COUNTS].sum()
    some = cells[cells["clips"] > 0]
    groups = some.groupby(key, sort=False)
    first = some.drop_duplicates(key).set_index(key)[[*{"axis", "family"} - {*key}]]
    found = counts.join(groups[MEANS].mean(), how="inner").join(groups["apart"].agg(lambda each: mean_of(list(each))))
    return found.join(first).reset_index()


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
    bar = threshold_of(cell["source"], cell["family"], cell["reading"], cell["axis"])
    if bar is not None:
        estimates: dict[str, tuple[float, ...]] = {
            "auroc": (apart.value, low, high, apart.perfect),
            "located": located,
            "broken": broken,
            "quality": (cell["quality"], np.nan),
        }
        estimated |= {"bar": bar.limit, "met": is_met(bar, *estimates[bar.measure])}
    return estimated


def _share(count: int, of: int) -> tuple[float, float, float, float]:
    """A share, its 95 % interval, and the lower end of that of a share of 1; NaN of nothing."""
    low, perfect = (least_likely_share(n, of, 0.025) for n in (count, of))
    return count / of if of else np.nan, low, most_likely_share(count, of, 0.025), perfect
