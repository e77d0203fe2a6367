"""Combinations of elements: consistency, permanence and abnormal clips in trained and in held-out templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from physbench.clips.suite import COMBO, golden_tasks
from physbench.result.bootstrap import FEWEST, TOO_FEW, Estimate, ends, resample, rounded
from physbench.result.document import CombinationGap
from physbench.result.levels import INSIDE, OUTSIDE, gap
from physbench.result.read import REFERENCE_MODELS
from physbench.result.readings import strength_by_clip
from physbench.result.skill import Stratum
from physbench.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

ABNORMAL = 0.5  # diameters of strength, whose grid has 0.46 and 0.55: a motion that breaks at 0.46 is abnormal
AXES_SHOWN = ("consistency", "permanence")  # quality of these axes, beside abnormal clips


def combination_gaps(tables: Mapping[str, pd.DataFrame], e: Estimate, resamples: int) -> dict[str, CombinationGap]:
    """What held-out templates cost, by measure; {} on every other suite, those to learn from too."""
    combined = golden_tasks(COMBO)
    judged = {key.task for key in e.counts if key.split in (INSIDE, OUTSIDE)}
    tasks = [task for task in e.tasks if task in combined and task in judged]
    if not tasks:
        return {}
    measures = {axis: _of_axis(e, a, tasks) for a, axis in enumerate(e.qualities.axes) if axis in AXES_SHOWN}
    return {**measures, "abnormal": _abnormal(tables, tasks, resamples)}


def _of_axis(e: Estimate, a: int, tasks: Sequence[str]) -> CombinationGap:
    both = gap(e, a, tasks)
    levels = {
        source: {
            split: rounded(e.stratum_means[Stratum(tasks[0], split)][s, a])
            for split in (INSIDE, OUTSIDE)
            if Stratum(tasks[0], split) in e.stratum_means
        }
        for s, source in enumerate(e.qualities.sources)
        if source in ("model", *REFERENCE_MODELS)
    }
    own = levels.pop("model")
    return CombinationGap(
        trained=own.get(INSIDE), held_out=own.get(OUTSIDE), gap=both.gap, interval=both.interval, references=levels,
        reason=both.reason,
    )  # fmt: skip


def _abnormal(tables: Mapping[str, pd.DataFrame], tasks: Sequence[str], resamples: int) -> CombinationGap:
    """Shares of abnormal clips, of several samples their mean; a clip that failed or has no strength is one."""
    clips = tables["truth"].drop_duplicates("clip")
    clips = clips[clips["task"].isin(tasks)]
    measured = {name: strength_by_clip(tables[name], ABNORMAL) for name in ("model", *REFERENCE_MODELS)}
    scored = measured["truth"].index
    strata: dict[Stratum, Array] = {}
    shares: dict[str, dict[str, float | None]] = {name: {} for name in measured}
    for split in (INSIDE, OUTSIDE):
        chosen = scored[scored.get_level_values("clip").isin(clips[clips["split"] == split]["clip"])]
        for name, share in measured.items():
            values = np.asarray(share.reindex(chosen).fillna(1.0), dtype=np.float64)
            shares[name][split] = rounded(values.mean()) if len(values) else None
            if name == "model" and len(values):
                strata[Stratum(tasks[0], split)] = values[None]
    trained, held_out = shares["model"][INSIDE], shares["model"][OUTSIDE]
    references = {name: shares[name] for name in REFERENCE_MODELS}
    if trained is None or held_out is None:
        reason = "no clip of one of the splits has a strength"
        return CombinationGap(
            trained=trained, held_out=held_out, gap=None, interval=None, references=references, reason=reason
        )
    least = min(values.shape[1] for values in strata.values())
    reason = "" if least >= FEWEST else f"{TOO_FEW}: {least} in a split, an interval needs {FEWEST}"
    interval = None
    if not reason:
        drawn = resample(strata, resamples=resamples, bounded=(0,))
        first, other = (drawn.means[key] for key in strata)
        interval = ends(drawn.interval((other - first)[:, 0]), -1, 1)
    return CombinationGap(
        trained=trained, held_out=held_out, gap=rounded(held_out - trained), interval=interval, references=references,
        reason=reason,
    )  # fmt: skip
