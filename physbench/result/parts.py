"""Skill by level of difficulty and by time of the deciding event: where a model breaks.

Each task's clips of `test` are cut into thirds by a value that the task declares in `levels`; equal values stay
together, and a task that does not fill all thirds is left out, so that parts are of the same tasks. Clips of `ood`
would make the hardest third a matter of generalisation. Each part has its own ground truth and frozen frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from physbench.clips.clip import Row
from physbench.clips.generate import make_params
from physbench.clips.task import LEVELS, find_task, level_of
from physbench.result.bootstrap import POOLED, Estimate, Fixed, estimate_of, lined_up
from physbench.result.document import PartSkill
from physbench.result.levels import axis_skill, overall
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

PARTS: Mapping[str, tuple[str, ...]] = {
    "difficulty": ("easiest third", "middle third", "hardest third"),
    "event": ("earliest third", "middle third", "latest third"),
}
DRAWS = 1000  # resamples of a part, of which there are six


def skill_by_part(
    tables: Mapping[str, pd.DataFrame], rows: Sequence[Row], e: Estimate, resamples: int, unasked: Collection[str] = ()
) -> dict[str, dict[str, PartSkill]]:
    """By kind of level and part: skill of the model in these clips; {} where no task of the run declares any."""
    fixed: Fixed = {task: dict(zip(e.qualities.axes, kinds, strict=True)) for task, kinds in e.kinds.items()}
    skills: dict[str, dict[str, PartSkill]] = {}
    lined = lined_up(tables)
    for kind in LEVELS:
        values = {row: value for row in rows if row.split != "ood" and (value := _value(row, kind)) is not None}
        parts = thirds(values)
        held = {(row.task, number) for row, number in parts.items()}
        values = {row: value for row, value in values.items() if all((row.task, n) in held for n in range(3))}
        for number, name in enumerate(PARTS[kind]):
            chosen = {row: value for row, value in values.items() if parts[row] == number}
            if not chosen:
                continue
            own = lined.qualities([row.id for row in chosen], split=POOLED)
            part = estimate_of(own, resamples=min(resamples, DRAWS), fixed=fixed, unasked=unasked)
            skills.setdefault(kind, {})[name] = PartSkill(
                clips=len(chosen),
                tasks=len({row.task for row in chosen}),
                mean=round(float(np.mean(list(chosen.values()))), 6) if kind == "event" else None,
                overall=overall(part, 0, ""),
                axes={axis: axis_skill(part, 0, a) for a, axis in enumerate(part.qualities.axes)},
                constant_velocity=overall(part, 1, "").skill,
            )
    return skills


def thirds(values: Mapping[Row, float]) -> dict[Row, int]:
    """The third, 0 to 2, of its task in which each clip lies: by the mean rank of its value among those of the task.

    >>> rows = [Row("a/b-v1", "test", seed) for seed in range(4)]
    >>> list(thirds(dict(zip(rows, [1.0, 1.0, 2.0, 2.0]))).values())
    [0, 0, 2, 2]
    """
    third: dict[Row, int] = {}
    for task in dict.fromkeys(row.task for row in values):
        own = [row for row in values if row.task == task]
        share = (rankdata([values[row] for row in own]) - 0.5) / len(own)
        third |= zip(own, np.floor(3 * share).astype(int).tolist(), strict=True)
    return {row: third[row] for row in values}


@lru_cache(maxsize=4096)
def _value(row: Row, kind: str) -> float | None:
    """The level that the task of a clip declares; None for none, and where the task is not at hand."""
    try:
        task = find_task(row.task)
    except UsageError:  # of a file that was not named: a result can be read without it
        return None
    return level_of(task, kind, make_params(row)) if kind in getattr(task, "levels", {}) else None
