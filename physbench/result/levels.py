"""Levels and parts of a result: overall, axes, families, tasks, splits, references, the gap out of range; difficulty.

Parts of the clips are levels of difficulty, times of the deciding event and held-out combinations. Each task's clips of
`test` are cut into thirds by a value that the task declares in `levels`; equal values stay together, and a task that
does not fill all thirds is left out, so that parts are of the same tasks. Clips of `ood` would make the hardest third a
matter of generalisation. Each part has its own ground truth and frozen frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.generate import make_params
from physbench.clips.suite import COMBO, golden_tasks
from physbench.clips.task import LEVELS, find_task, level_of
from physbench.result import bootstrap, document
from physbench.result.bootstrap import MODELS, Estimate, ends, one_model, over_tasks, rounded
from physbench.result.coverage import NOT_APPLICABLE
from physbench.result.document import CombinationGap, PartSkill
from physbench.result.formats import AXIS_NAMES
from physbench.result.read import REFERENCE_MODELS
from physbench.result.skill import SKILL, Stratum, strength_by_clip
from physbench.result.skill import kind as kind_of
from physbench.support.arrays import Array
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

# Generalisation gap: the quality that a model loses where parameters leave the ranges of `test`.

INSIDE, OUTSIDE = "test", "ood"


def gaps(e: Estimate) -> dict[str, dict[str, document.GapValue]]:
    """The gap at every level that has both splits: "all", families, tasks. Empty where a run has one split."""
    if {INSIDE, OUTSIDE} - {stratum.split for stratum in e.counts}:
        return {}
    families = dict.fromkeys(task.split("/")[0] for task in e.tasks)
    levels = {"all": e.tasks, **{family: e.family(family) for family in families}, **{t: (t,) for t in e.tasks}}
    return {
        level: {axis: gap(e, a, tasks) for a, axis in enumerate(e.qualities.axes)} for level, tasks in levels.items()
    }


def gap(e: Estimate, a: int, tasks: Sequence[str]) -> document.GapValue:
    """The gap on one axis over those of `tasks` that are scored on it and have clips that count in both splits."""
    both = [
        task
        for task in e.scored(a, tasks)
        if all(Stratum(task, split) in e.counts and e.counts[Stratum(task, split)][a] for split in (INSIDE, OUTSIDE))
    ]
    if not both:
        reason = "not scored on this axis" if not e.scored(a, tasks) else "one split alone has clips that count"
        return document.GapValue(test=None, ood=None, gap=None, truth=None, interval=None, reason=reason)
    model, truth = 0, e.qualities.sources.index("truth")
    test, ood = (_mean(e.stratum_means, both, split, model, a) for split in (INSIDE, OUTSIDE))
    expected = _mean(e.stratum_means, both, INSIDE, truth, a) - _mean(e.stratum_means, both, OUTSIDE, truth, a)
    reason = e.too_few(a, both)
    draws = [_mean(e.stratum_draws, both, split, model, a) for split in (INSIDE, OUTSIDE)]
    return document.GapValue(
        test=rounded(test),
        ood=rounded(ood),
        gap=rounded(test - ood),
        truth=rounded(expected),
        interval=None if reason else ends(e.resampled.interval(draws[0] - draws[1]), -1, 1),
        reason=reason,
    )


def _mean(means: Mapping[Stratum, Array], tasks: Sequence[str], split: str, source: int, a: int) -> Array:
    """Mean over families of the mean over their tasks, of stratum means (..., S, A)."""
    families: dict[str, list[Array]] = {}
    for task in tasks:
        families.setdefault(task.split("/")[0], []).append(means[Stratum(task, split)][..., source, a])
    return np.asarray(np.mean([np.mean(counts, axis=0) for counts in families.values()], axis=0), dtype=np.float64)


BASELINE = MODELS[1]  # constant velocity


def overall(e: Estimate, which: int, incomplete: str) -> document.SkillValue:
    """Overall skill of the model (0) or of constant velocity (1); `incomplete` says why there can be none."""
    return _overall(e, e.point[which].overall, incomplete, e.draws[which].overall)


def family_skill(e: Estimate, family: str) -> document.SkillValue:
    """Skill that a family adds to overall: of the model."""
    point, draws = (estimate.family.get(family) for estimate in (e.point[0], e.draws[0]))
    if point is None or draws is None or not np.isfinite(point):
        return document.SkillValue(skill=None, interval=None, reason="no informative task")
    reasons = [e.too_few(a, scored) for a in e.asked if (scored := e.scored(a, e.family(family)))]
    reason = next((r for r in reasons if r), "")
    return document.SkillValue(skill=rounded(point), interval=_unless(e, reason, draws), reason=reason)


def axis_skill(e: Estimate, which: int, a: int) -> document.SkillValue:
    return _axis(e, a, e.point[which].axis[a], e.draws[which].axis[:, a])


def axis_result(e: Estimate, a: int) -> document.AxisResult:
    """The model on one axis."""
    kinds = [e.kinds[task][a] for task in e.tasks]
    return document.AxisResult(
        **axis_skill(e, 0, a).model_dump(),
        quality=rounded(e.point[0].axis_quality[a]),
        quality_interval=_unless(e, e.too_few(a, e.scored(a)), e.draws[0].axis_quality[:, a], low=0, high=1),
        informative=kinds.count("informative"),
        guards=kinds.count("guard"),
        unscored=kinds.count("unscored"),
    )


def family_result(e: Estimate, family: str, a: int) -> document.FamilyResult:
    """The model in one family on one axis."""
    tasks = e.scored(a, e.family(family))
    reason = e.too_few(a, tasks)
    point, draws = e.point[0], e.draws[0]
    return document.FamilyResult(
        quality=rounded(point.family_quality[family][a]),
        interval=_unless(e, reason, draws.family_quality[family][:, a], low=0, high=1),
        clips=e.clips(a, tasks),
        reason=reason,
        skill=rounded(point.informative[family][a]),
        skill_interval=_unless(e, reason, draws.informative[family][:, a]),
        tasks_interval=_over_tasks(e, family, a),
        guard=rounded(point.guard[family][a]),
    )


def _over_tasks(e: Estimate, family: str, a: int) -> tuple[float, float] | None:
    mean = over_tasks([e.point[0].task[t][a] for t in e.family(family) if e.kinds[t][a] == "informative"])
    return None if mean is None else ends(np.array(mean))


def task_result(e: Estimate, task: str, a: int) -> document.TaskResult:
    """The model in one task on one axis, beside its references."""
    kind, reason = e.kinds[task][a], e.too_few(a, (task,))
    by_source = dict(zip(e.qualities.sources, e.means[task][:, a], strict=True))
    references = {name: rounded(by_source[name]) for name in ("truth", "freeze", BASELINE)}
    values = f"truth {by_source['truth']:.2f}, freeze {by_source['freeze']:.2f}"
    why = {
        "informative": f"{values}: apart by 0.25 or more",
        "guard": f"{values}: closer than 0.25, so that it can only cost",
        "unscored": f"{values}: both below 0.5",
        "absent": "no clip counts",
    }[kind]
    if kind != kind_of(by_source["truth"], by_source["freeze"]):
        why = f"{values} in these clips; {kind} as the whole suite has it"
    return document.TaskResult(
        quality=rounded(e.point[0].quality[task][a]),
        interval=_unless(e, reason, e.draws[0].quality[task][:, a], low=0, high=1),
        clips=e.clips(a, (task,)),
        reason=reason,
        kind=kind,
        why=why,
        skill=rounded(e.point[0].task[task][a]),
        skill_interval=_unless(e, reason, e.draws[0].task[task][:, a]),
        references=references,
        splits={key.split: split_result(e, key.split, a, (task,)) for key in e.counts if key.task == task},
    )


def split_result(e: Estimate, split: str, a: int, tasks: tuple[str, ...] | None = None) -> document.QualityValue:
    """Mean quality of one split: over the clips of a task, over the tasks of a family, over families."""
    chosen = e.scored(a) if tasks is None else tasks
    keys = [key for key in e.counts if key.split == split and key.task in chosen and e.counts[key][a]]
    reason = e.too_few(a, tuple(key.task for key in keys), split)
    if not keys:
        return document.QualityValue(quality=None, interval=None, clips=0, reason=reason)
    families = list(dict.fromkeys(key.family for key in keys))

    def pooled(means: dict[Stratum, Array]) -> Array:
        members = [[means[key][..., 0, a] for key in keys if key.family == family] for family in families]
        return np.asarray(np.mean([np.mean(member, axis=0) for member in members], axis=0), dtype=np.float64)

    return document.QualityValue(
        quality=rounded(pooled(e.stratum_means)),
        interval=_unless(e, reason, pooled(e.stratum_draws), low=0, high=1),
        clips=sum(int(e.counts[key][a]) for key in keys),
        reason=reason,
    )


def reference_result(e: Estimate, incomplete: str) -> document.ReferenceResult:
    """Constant velocity on the same clips, and the paired difference of the model and it."""
    own, other = e.point
    draws, other_draws = e.draws
    axes = e.qualities.axes
    return document.ReferenceResult(
        overall=overall(e, 1, incomplete),
        axes={name: axis_skill(e, 1, a) for a, name in enumerate(axes)},
        ahead=_overall(e, own.overall - other.overall, incomplete, draws.overall, other_draws.overall),
        ahead_axes={
            name: _axis(e, a, own.axis[a] - other.axis[a], draws.axis[:, a], other_draws.axis[:, a])
            for a, name in enumerate(axes)
        },
    )


def _overall(
    e: Estimate, point: Array, incomplete: str, draws: Array, minus: Array | None = None
) -> document.SkillValue:
    if incomplete:
        return document.SkillValue(skill=None, interval=None, reason=incomplete)
    if not np.isfinite(point):
        lacking = [AXIS_NAMES[e.qualities.axes[a]] for a in e.asked if not np.isfinite(e.point[0].axis[a])]
        # Each family is scored on the axes that it has: it has to be said why overall is not the mean of these.
        reason = f"no skill on {', '.join(lacking)}, and overall needs every axis"
        return document.SkillValue(skill=None, interval=None, reason=reason)
    reasons = [e.too_few(a, e.scored(a)) for a in e.asked]
    reason = next((r for r in reasons if r), "")
    return document.SkillValue(skill=rounded(point), interval=_skill(e, reason, draws, minus), reason=reason)


def _axis(e: Estimate, a: int, point: Array, draws: Array, minus: Array | None = None) -> document.SkillValue:
    if a not in e.asked:
        return document.SkillValue(skill=None, interval=None, reason=NOT_APPLICABLE)
    if not np.isfinite(point):
        absent = all(e.kinds[task][a] == "absent" for task in e.tasks)
        return document.SkillValue(
            skill=None, interval=None, reason="not measured" if absent else "no informative task"
        )
    reason = e.too_few(a, e.scored(a))
    return document.SkillValue(skill=rounded(point), interval=_skill(e, reason, draws, minus), reason=reason)


def _skill(e: Estimate, reason: str, draws: Array, minus: Array | None) -> tuple[float, float] | None:
    return _unless(e, reason, draws, minus, low=SKILL.floor if minus is None else -np.inf)


def _unless(
    e: Estimate, reason: str, draws: Array, minus: Array | None = None, *, low: float = -np.inf, high: float = np.inf
) -> tuple[float, float] | None:
    if reason:
        return None
    same = minus is not None and one_model(e, e, MODELS.index(BASELINE))
    return ends(e.resampled.interval(draws, minus, one_model=same), low, high)


PARTS: Mapping[str, tuple[str, ...]] = {
    "difficulty": ("easiest third", "middle third", "hardest third"),
    "event": ("earliest third", "middle third", "latest third"),
}


def skill_by_part(
    tables: Mapping[str, pd.DataFrame],
    rows: Sequence[Row],
    e: bootstrap.Estimate,
    resamples: int,
    inapplicable: Collection[str] = (),
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
            part = bootstrap.estimate_of(own, resamples=min(resamples, 1000), fixed=fixed, inapplicable=inapplicable)
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
        _, place, ties = np.unique([values[row] for row in own], return_inverse=True, return_counts=True)
        rank = (np.cumsum(ties) - (ties - 1) / 2)[place]  # the mean one of those that tie; SciPy's takes .4 s to import
        share = (rank - 0.5) / len(own)
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
    reason = bootstrap.too_few(min(values.shape[1] for values in strata.values()), " in a split")
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
