"""Skill of parts of the clips: by level of difficulty, by time of the deciding event, by held-out combination.

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
from physbench.clips.suite import COMBO, golden_tasks
from physbench.clips.task import LEVELS, find_task, level_of
from physbench.result import bootstrap
from physbench.result.document import CombinationGap, PartSkill
from physbench.result.levels import INSIDE, OUTSIDE, axis_skill, gap, overall
from physbench.result.read import REFERENCE_MODELS
from physbench.result.readings import strength_by_clip
from physbench.result.skill import Stratum
from physbench.support.arrays import Array
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


PARTS: Mapping[str, tuple[str, ...]] = {
    "difficulty": ("easiest third", "middle third", "hardest third"),
    "event": ("earliest third", "middle third", "latest third"),
}


def skill_by_part(
    tables: Mapping[str, pd.DataFrame],
    rows: Sequence[Row],
    e: bootstrap.Estimate,
    resamples: int,
    unasked: Collection[str] = (),
) -> dict[str, dict[str, PartSkill]]:
    """By kind of level and part: skill of the model in these clips; {} where no task of the run declares any."""
    fixed: bootstrap.Fixed = {task: dict(zip(e.qualities.axes, kinds, strict=True)) for task, kinds in e.kinds.items()}
    skills: dict[str, dict[str, PartSkill]] = {}
    lined = bootstrap.lined_up(tables)
    for kind in LEVELS:
        values = {row: value for row in rows if row.split != "ood" and (value := _value(row, kind)) is not None}
        parts = thirds(values)
        held = {(row.task, number) for row, number in parts.items()}
        values = {row: value for row, value in values.items() if all((row.task, n) in held for n in range(3))}
        for number, name in enumerate(PARTS[kind]):
            chosen = {row: value for row, value in values.items() if parts[row] == number}
            if not chosen:
                continue
            own = lined.qualities([row.id for row in chosen], split=bootstrap.POOLED)
            # There are six parts
            part = bootstrap.estimate_of(own, resamples=min(resamples, 1000), fixed=fixed, unasked=unasked)
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


# Combinations of elements: consistency, permanence and abnormal clips in trained and in held-out templates.

ABNORMAL = 0.5  # diameters of strength, whose grid has 0.46 and 0.55: a motion that breaks at 0.46 is abnormal


def combination_gaps(
    tables: Mapping[str, pd.DataFrame], e: bootstrap.Estimate, resamples: int
) -> dict[str, CombinationGap]:
    """Cost of held-out templates, by measure; {} on every other suite, those to learn from too."""
    combined = golden_tasks(COMBO)
    judged = {key.task for key in e.counts if key.split in (INSIDE, OUTSIDE)}
    tasks = [task for task in e.tasks if task in combined and task in judged]
    if not tasks:
        return {}
    axes_shown = ("consistency", "permanence")  # quality of these axes, beside abnormal clips
    measures = {axis: _of_axis(e, a, tasks) for a, axis in enumerate(e.qualities.axes) if axis in axes_shown}
    return {**measures, "abnormal": _abnormal(tables, tasks, resamples)}


def _of_axis(e: bootstrap.Estimate, a: int, tasks: Sequence[str]) -> CombinationGap:
    both = gap(e, a, tasks)
    levels = {
        source: {
            split: bootstrap.rounded(e.stratum_means[Stratum(tasks[0], split)][s, a])
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
            shares[name][split] = bootstrap.rounded(values.mean()) if len(values) else None
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
    reason = (
        ""
        if least >= bootstrap.FEWEST
        else f"{bootstrap.TOO_FEW}: {least} in a split, an interval needs {bootstrap.FEWEST}"
    )
    interval = None
    if not reason:
        drawn = bootstrap.resample(strata, resamples=resamples, bounded=(0,))
        first, other = (drawn.means[key] for key in strata)
        interval = bootstrap.ends(drawn.interval((other - first)[:, 0]), -1, 1)
    return CombinationGap(
        trained=trained,
        held_out=held_out,
        gap=bootstrap.rounded(held_out - trained),
        interval=interval,
        references=references,
        reason=reason,
    )
