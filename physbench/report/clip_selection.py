"""Selects the clips that a report shows from the scores: the worst and the median one of each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SelectedClip:
    """A clip that the report shows; always its first sample."""

    clip: str
    task: str
    place: Literal["worst", "median"]
    quality: float  # mean over the axes that count


def select(model: pd.DataFrame, truth: pd.DataFrame) -> tuple[SelectedClip, ...]:
    """Worst and median clip of each task, by mean quality over the axes on which ground truth counts.

    Score tables hold the fields of ScoreRow. Failed clips have no picture and are left out (the report lists them);
    of equal clips the first by id is taken. A task with one clip has no median one.
    """
    counted = truth[truth["axis"].notna() & truth["quality"].notna()][["clip", "reading"]].drop_duplicates()
    rows = model[model["axis"].notna() & (model["sample"] == 0)]
    failed = set(rows.loc[rows["status"] == "failed", "clip"])
    rows = rows[~rows["clip"].isin(failed)].merge(counted, on=["clip", "reading"])
    qualities = rows.assign(quality=rows["quality"].astype(float).fillna(0.0))
    axes = qualities.groupby(["task", "clip", "axis"])["quality"].mean()
    quality = axes.groupby(level=["task", "clip"]).mean()
    chosen: list[SelectedClip] = []
    for task, group in quality.groupby(level="task", sort=True):
        ranked = sorted(zip(group.round(9), group.index.get_level_values("clip"), strict=True))
        chosen.append(SelectedClip(ranked[0][1], str(task), "worst", ranked[0][0]))
        if len(ranked) > 1:
            middle = ranked[len(ranked) // 2]
            chosen.append(SelectedClip(middle[1], str(task), "median", middle[0]))
    return tuple(chosen)


def shown_clips(folder: RunFolder) -> tuple[str, ...]:
    """Ids of the clips whose rollouts the report of a finished run needs (sample 0)."""
    from physbench.results.read_run import read_scores

    found = select(read_scores(folder), read_scores(folder.reference("truth")))
    return tuple(dict.fromkeys(item.clip for item in found))
