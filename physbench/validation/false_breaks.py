"""False breaks: how often ground truth and near strangers read as if they broke a law.

Videos of one clip share the context, the scene and most of the motion. So clips are counted: one is broken if its
ground truth or one of its near strangers is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.validation.separation import most_likely_share
from physbench.validation.thresholds import FALSE_BREAKS, FALSE_BREAKS_A_TASK

FEWEST = 1000  # clips, for a bar on the pooled share
LEVEL = "false breaks"
SOURCE = "lawful > "  # before a strength in diameters


@dataclass(frozen=True, eq=False)
class FalseBreaks:
    """Strengths of the lawful clips of a task, each the largest of its videos."""

    task: str
    reading: str
    values: NDArray[np.float64]  # (n,) diameters; infinity where one failed


def false_break_rows(found: Sequence[FalseBreaks]) -> list[dict[str, object]]:
    """Share of clips above each strength of FALSE_BREAKS, pooled and by task; `high` is its upper 95 % bound.

    A task is asked for at most 6 of 150, that is of its number in the same proportion, and met where that is reached.
    """
    rows: list[dict[str, object]] = []
    for reading in dict.fromkeys(each.reading for each in found):
        mine = [each for each in found if each.reading == reading]
        for strength, limit in FALSE_BREAKS.items():
            pooled = np.concatenate([each.values for each in mine])
            row = _row(reading, strength, pooled)
            enough = len(pooled) >= FEWEST
            rows.append(
                {**row, "task": "*", "family": "*", "bar": limit, "met": row["high"] <= limit if enough else None}
            )
            # Where a reading has no value, as strength on towers, nothing is asked.
            for each in [each for each in mine if len(each.values)] if strength == min(FALSE_BREAKS) else []:
                row, share = _row(reading, strength, each.values), FALSE_BREAKS_A_TASK[0] / FALSE_BREAKS_A_TASK[1]
                met = row["value"] <= share + 1e-12 if len(each.values) >= FALSE_BREAKS_A_TASK[1] else None
                rows.append({**row, "task": each.task, "family": each.task.split("/")[0], "bar": share, "met": met})
    return rows


def _row(reading: str, strength: float, values: NDArray[np.float64]) -> dict[str, Any]:
    count, of = int((values > strength).sum()), len(values)
    share = count / of if of else float("nan")
    return {
        "source": f"{SOURCE}{strength:g}",
        "kind": "reference",
        "level": LEVEL,
        "reading": reading,
        "clips": of,
        "value": share,
        "high": most_likely_share(count, of),
    }
