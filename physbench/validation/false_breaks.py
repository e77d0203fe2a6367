"""False breaks: how often ground truth and near alternatives read as if they broke a law.

Videos of one clip share the context, the scene and most of the motion. So clips are counted: one is broken if its
ground truth or one of its near alternatives is. Strength says nothing of what is not judged or lost: clips whose
ground truth has a quality below 1 on an axis are counted, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from physbench.validation.separation import most_likely_share
from physbench.validation.task_cells import NEGATIVES
from physbench.validation.thresholds import FALSE_BREAKS, FALSE_BREAKS_A_TASK, LOW_QUALITY, is_strength

FEWEST_POOLED = 1000  # clips, for a bar on the pooled share
LEVEL = "false breaks"
SOURCE = "lawful > "  # before a strength in diameters
LOW = "lawful < "  # before a quality


def lawful_strengths(readings: pd.DataFrame, lawful_before: float) -> pd.DataFrame:
    """Largest strength of ground truth and near alternatives on each clip; infinity where one failed.

    Args:
        readings: Those of a task, see `task_cells.readings_of`.
        lawful_before: Clips of seeds from there on do not count.

    Returns:
        The columns `task`, `reading`, `seed`, and `value` in diameters.
    """
    rows = readings[readings["source"].isin(NEGATIVES) & (readings["seed"] < lawful_before)]
    rows = rows[rows["status"].isin(("ok", "failed")) & rows["reading"].map(is_strength, na_action="ignore").eq(True)]
    values = rows["value"].where(rows["status"] == "ok", np.inf)
    return values.groupby([rows["task"], rows["reading"], rows["seed"]]).max().reset_index()


def lawful_qualities(readings: pd.DataFrame, lawful_before: float) -> pd.DataFrame:
    """Quality of ground truth on each clip, by headline reading; 0 where it failed. Arguments: `lawful_strengths`.

    Returns:
        The columns `task`, `reading`, `seed`, and `value`.
    """
    rows = readings[readings["source"].eq("truth") & (readings["seed"] < lawful_before) & readings["axis"].notna()]
    rows = rows[rows["status"].isin(("ok", "failed"))]
    return rows.assign(value=rows["quality"].where(rows["status"] == "ok", 0.0))[["task", "reading", "seed", "value"]]


def low_quality_rows(qualities: pd.DataFrame) -> list[dict[str, object]]:
    """Share of clips whose ground truth is below each quality of LOW_QUALITY, by reading; `high` as below."""
    rows: list[dict[str, object]] = []
    for reading, mine in qualities.groupby("reading", sort=False):
        for quality, limit in LOW_QUALITY.items():
            row = _row(reading, f"{LOW}{quality:g}", mine["value"] < quality)
            met = row["high"] <= limit if len(mine) >= FEWEST_POOLED else None
            rows.append({**row, "task": "*", "family": "*", "bar": limit, "met": met})
            for task, own in mine.groupby("task", sort=False):
                row = _row(reading, f"{LOW}{quality:g}", own["value"] < quality)
                rows.append({**row, "task": task, "family": str(task).split("/")[0]})
    return rows


def false_break_rows(strengths: pd.DataFrame) -> list[dict[str, object]]:
    """Share of clips above each strength of FALSE_BREAKS, pooled and by task; `high` is its upper 95 % bound.

    A task may have at most 6 of 150, that is of its number in the same proportion, and its bar is met up to there.
    """
    rows: list[dict[str, object]] = []
    share = FALSE_BREAKS_A_TASK[0] / FALSE_BREAKS_A_TASK[1]
    for reading, mine in strengths.groupby("reading", sort=False):
        for strength, limit in FALSE_BREAKS.items():
            row = _row(reading, f"{SOURCE}{strength:g}", mine["value"] > strength)
            met = row["high"] <= limit if len(mine) >= FEWEST_POOLED else None
            rows.append({**row, "task": "*", "family": "*", "bar": limit, "met": met})
            for task, own in mine.groupby("task", sort=False) if strength == min(FALSE_BREAKS) else ():
                row = _row(reading, f"{SOURCE}{strength:g}", own["value"] > strength)
                met = row["value"] <= share + 1e-12 if len(own) >= FALSE_BREAKS_A_TASK[1] else None
                rows.append({**row, "task": task, "family": str(task).split("/")[0], "bar": share, "met": met})
    return rows


def _row(reading: object, source: str, wrong: pd.Series[bool]) -> dict[str, Any]:
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
    }
