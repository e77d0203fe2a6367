"""Counts clips by axis from score tables: which count, which are left out and why, and which show too little."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from physbench.results.schema import AxisCounts, LeftOut, ReadingCounts, Undetermined
from physbench.scoring.reading_roles import reading_of, scorer_of
from physbench.scoring.scorer_protocol import AXES

if TYPE_CHECKING:
    import pandas as pd

WHOLE = 1 - 1e-6  # share of the time of visible objects from which all of it is undetermined
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w|\.\d)")  # not the 1 of a task's version


def axis_counts(tables: Mapping[str, pd.DataFrame]) -> dict[str, AxisCounts]:
    """Counts by axis. A clip counts where ground truth has a quality in a headline reading of the axis."""
    return {axis: _axis(tables["model"], tables["truth"], axis) for axis in AXES}


def together(reasons: Iterable[str]) -> str:
    """Merge reasons that differ only in their numbers: "a prediction for 0.1 to 0.25 s only"."""
    first, *others = sorted(set(reasons))
    numbers = zip(*map(NUMBER.findall, (first, *others)), strict=True)
    spans = (sorted(set(found), key=lambda number: (float(number), number)) for found in numbers)
    said = iter([" to ".join((span[0], span[-1])) if len(span) > 1 else span[0] for span in spans])
    return NUMBER.sub(lambda found: next(said), first)


def _axis(model: pd.DataFrame, truth: pd.DataFrame, axis: str) -> AxisCounts:
    rows = truth[truth["axis"] == axis]
    if rows.empty or not (model["axis"] == axis).any():
        every = truth.drop_duplicates("clip").assign(reason="not measured")
        return AxisCounts(counted=0, left_out=_left_out(every), readings={}, undetermined=None)
    valid = rows["quality"].notna()
    counted = set(rows.loc[valid, "clip"])
    others = rows[~rows["clip"].isin(counted)].sort_values("reading")
    telling = others[others["reading"] != reading_of("stand-in")]  # that it does not apply is the rule
    others = others if telling.empty else telling
    why = others.groupby("clip")["reason"].agg(lambda reasons: "; ".join(dict.fromkeys(reasons)))
    return AxisCounts(
        counted=len(counted),
        left_out=_left_out(others.drop_duplicates("clip").assign(reason=lambda own: own["clip"].map(why))),
        readings={
            str(name): ReadingCounts(valid=int(valid[own.index].sum()), not_valid=_left_out(own[~valid[own.index]]))
            for name, own in sorted(rows.groupby("reading"), key=lambda each: -int(valid[each[1].index].sum()))
        },
        undetermined=_undetermined(model) if axis == scorer_of("undetermined-share").axis else None,
    )


def _left_out(rows: pd.DataFrame) -> list[LeftOut]:
    """Group clips by reason, numbers ignored, the most frequent first. rows: one a clip, with its task and reason."""
    found = [
        LeftOut(
            reason=together(own["reason"]),
            clips=len(own),
            tasks={str(t): int(n) for t, n in own.groupby("task").size().items()},
        )
        for _, own in rows.groupby(rows["reason"].map(lambda reason: NUMBER.sub("\0", reason)))
    ]
    return sorted(found, key=lambda each: (-each.clips, each.reason))


def _undetermined(model: pd.DataFrame) -> Undetermined | None:
    rows = model[(model["reading"] == reading_of("undetermined-share")) & model["value"].notna()]
    if rows.empty:
        return None
    shares = rows.groupby(["task", "clip"])["value"].mean()
    whole = shares[shares >= WHOLE]
    return Undetermined(
        clips=len(whole),
        of=len(shares),
        share=round(float(shares.mean()), 6),
        tasks={str(task): int(n) for task, n in whole.groupby(level="task").size().items()},
    )
