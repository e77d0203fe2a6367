"""How long a prediction stays physical: until its first break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from physbench.results.bootstrap import FEWEST, TOO_FEW, resample
from physbench.results.estimates import ends, rounded
from physbench.results.read_run import REFERENCE_MODELS
from physbench.results.schema import FirstBreaks, Lawful
from physbench.results.skill import Array, Stratum
from physbench.scoring.reading_roles import reading_of
from physbench.shadowing.tolerance_levels import HANDOVER_WINDOW

if TYPE_CHECKING:
    import pandas as pd


def lawful_time(tables: Mapping[str, pd.DataFrame], resamples: int) -> Lawful | None:
    """Mean over families of the mean lawful time of their clips in s; None where ground truth has no such reading.

    A clip counts where ground truth has a value. One that has none there (it failed) was physical for 0 s. The horizon
    of a task is the longest time for which ground truth is lawful in one of its clips.
    """
    sources = ("model", *REFERENCE_MODELS)
    per_source = {name: _per_clip(tables[name]) for name in sources}
    truth = per_source["truth"]
    if truth.empty or not (tables["model"]["reading"] == reading_of("lawful-time")).any():
        return None
    horizons = {str(task): float(values.max()) for task, values in truth.groupby(level="task")}
    blocks: dict[Stratum, Array] = {}  # (S, n) shares of the horizon
    for index in sorted({(str(task), str(split)) for task, split, _ in truth.index}):
        stratum = Stratum(*index)
        clips_of = truth.index[[(task, split) == index for task, split, _ in truth.index]]
        rows = [np.asarray(per_source[name].reindex(clips_of).fillna(0.0), dtype=np.float64) for name in sources]
        blocks[stratum] = np.stack(rows) / max(horizons[stratum.task], 1e-9)
    clips = {key: block.shape[1] for key, block in blocks.items()}
    point = _over_families({key: block.mean(axis=1) * horizons[key.task] for key, block in blocks.items()}, clips)
    least = min(clips.values())
    reason = "" if least >= FEWEST else f"{TOO_FEW}: {least} in a stratum, an interval needs {FEWEST}"
    horizon = float(_over_families({key: np.array([horizons[key.task]]) for key in blocks}, clips)[0])
    interval = None
    if not reason:
        drawn = resample(blocks, resamples=resamples, bounded=(0,))
        seconds = _over_families({key: draws * horizons[key.task] for key, draws in drawn.means.items()}, clips)
        interval = ends(drawn.interval(seconds[:, 0]), 0.0, horizon)
    return Lawful(
        seconds=rounded(point[0]),
        interval=interval,
        horizon=round(horizon, 6),
        references={name: rounded(point[i]) for i, name in enumerate(sources) if i},
        reason=reason,
    )


def first_breaks(tables: Mapping[str, pd.DataFrame]) -> dict[str, FirstBreaks]:
    """When the clips of each family first break. A clip without a break has the value of ground truth."""
    model, truth = (
        table[(table["reading"] == reading_of("first-break")) & table["value"].notna()]
        .groupby(["task", "clip"])["value"]
        .mean()
        for table in (tables["model"], tables["truth"])
    )
    found = {}
    both = model.index.intersection(truth.index)
    families = np.array([task.split("/")[0] for task, _ in both])
    for family in dict.fromkeys(families):
        own, end = (values.reindex(both[families == family]).to_numpy() for values in (model, truth))
        broken = own < end - 1e-6
        found[str(family)] = FirstBreaks(
            clips=len(own),
            broken=int(broken.sum()),
            at_handover=int((broken & (own <= HANDOVER_WINDOW + 1e-6)).sum()),
            median=round(float(np.median(own[broken])), 6) if broken.any() else None,
        )
    return found


def _per_clip(table: pd.DataFrame) -> pd.Series[float]:
    """Value of each clip, mean over its samples, 0 for one that failed, indexed by (task, split, clip)."""
    rows = table[
        (table["reading"] == reading_of("lawful-time")) & (table["value"].notna() | (table["status"] == "failed"))
    ]
    return rows["value"].fillna(0.0).groupby([rows["task"], rows["split"], rows["clip"]]).mean()


def _over_families(means: Mapping[Stratum, Array], clips: Mapping[Stratum, int]) -> Array:
    """Stratum means (..., S) -> mean over families of the mean over their clips (..., S)."""
    families = []
    for family in dict.fromkeys(key.family for key in means):
        keys = [key for key in means if key.family == family]
        weights = np.array([clips[key] for key in keys], dtype=np.float64)
        families.append(np.average([means[key] for key in keys], axis=0, weights=weights))
    return np.asarray(np.mean(families, axis=0), dtype=np.float64)
