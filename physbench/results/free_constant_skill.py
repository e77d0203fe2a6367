"""Consistency with constants free where the context does not show them: beside the score, not in an axis or overall.

In each clip whose context does not show every constant, the quality of consistency is replaced by that of the reading
with free constants; elsewhere it stays. The same is done to ground truth, to the frozen frame and to constant velocity,
and skill follows as on the axis. Which clips these are depends on the context alone: they are the same for every model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from physbench.results.bootstrap import FEWEST, RESAMPLES, TOO_FEW, median_interval
from physbench.results.estimates import Fixed, estimate
from physbench.results.event_losses import event_rows
from physbench.results.levels import axis_result, family_result, task_result
from physbench.results.schema import FreedFactor, UnseenConstants, UnseenFamily, UnseenTask
from physbench.results.skill import Stratum
from physbench.scoring.reading_roles import reading_of
from physbench.scoring.scorer_protocol import ReadingRole

if TYPE_CHECKING:
    import pandas as pd

AXIS = "consistency"


def with_free_constants(table: pd.DataFrame) -> pd.DataFrame:
    """Headline rows of consistency of a score table, `quality` with unseen constants free where there are any.

    A clip that failed keeps its quality 0. Rows of events stay, since a task that dodges them loses here as well.
    """
    import pandas as pd

    rows = table[table["axis"] == AXIS]
    free = _values(table, "freed-constants").set_index(["clip", "sample"])["value"]
    found = free.reindex(pd.MultiIndex.from_frame(rows[["clip", "sample"]])).to_numpy(dtype=np.float64)
    read = (
        (rows["reading"] == reading_of("lawfulness")).to_numpy()
        & (rows["status"] == "ok").to_numpy()
        & np.isfinite(found)
    )
    freed = rows.assign(quality=np.where(read, np.clip(found, 0.0, 1.0), rows["quality"].astype(float)))
    return pd.concat([freed, event_rows(table)])


def unseen_constants(
    tables: Mapping[str, pd.DataFrame], *, resamples: int = RESAMPLES, fixed: Fixed | None = None
) -> UnseenConstants | None:
    """Consistency with unseen constants free; None where every context shows every constant, or nothing was shadowed.

    tables: "model", "constant-velocity", "truth" and "freeze". fixed: kinds of tasks, those of the axis.
    """
    applies = _values(tables["truth"], "freed-constants").drop_duplicates("clip")
    applies = applies[applies["clip"].isin(tables["model"]["clip"])]
    if applies.empty or not (tables["model"]["reading"] == reading_of("lawfulness")).any():
        return None
    freed = {name: with_free_constants(table) for name, table in tables.items()}
    e = estimate(freed, resamples=resamples, fixed=fixed, axes=(AXIS,))
    factors = _values(tables["model"], "freed-factor")
    factors = factors[factors["clip"].isin(applies["clip"])]

    def beside(tasks: Sequence[str]) -> dict[str, Any]:
        own = factors[factors["task"].isin(tasks)]
        return {"applies": int(applies["task"].isin(tasks).sum()), "factor": _factor(own, resamples)}

    families = dict.fromkeys(task.split("/")[0] for task in e.tasks)
    return UnseenConstants(
        clips=len(applies),
        consistency=axis_result(e, 0),
        families={
            name: UnseenFamily(**family_result(e, name, 0).model_dump(), **beside(e.family(name))) for name in families
        },
        tasks={task: UnseenTask(**task_result(e, task, 0).model_dump(), **beside((task,))) for task in e.tasks},
        factor=_factor(factors, resamples),
    )


def _values(table: pd.DataFrame, role: ReadingRole) -> pd.DataFrame:
    """Rows of a reading that have a value."""
    return table[(table["reading"] == reading_of(role)) & table["value"].notna()]


def _factor(rows: pd.DataFrame, resamples: int) -> FreedFactor:
    """Median over clips of the mean over a clip's samples."""
    if rows.empty:
        return FreedFactor(value=None, interval=None, clips=0, reason="no clip has one")
    strata = {
        Stratum(str(task), str(split)): group.groupby("clip")["value"].mean().to_numpy(dtype=np.float64)
        for (task, split), group in rows.groupby(["task", "split"], sort=True)
    }
    pooled = np.concatenate(list(strata.values()))
    least = min(map(len, strata.values()))
    reason = "" if least >= FEWEST else f"{TOO_FEW}: {least} in a stratum, an interval needs {FEWEST}"
    low, high = (0.0, 0.0) if reason else median_interval(strata, resamples=resamples)
    return FreedFactor(
        value=round(float(np.median(pooled)), 6),
        interval=None if reason else (round(low, 6), round(high, 6)),
        clips=len(pooled),
        reason=reason,
    )
