"""PhyWorld's errors of velocity, by its paper and by its code, by task and split, beside skill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from physbench.result.bootstrap import ANCHORS, FEWEST, TOO_FEW, Estimate, ends, resample, rounded
from physbench.result.document import SkillValue, VelocityErrors
from physbench.result.read import REFERENCE_MODELS
from physbench.result.skill import INFORMATIVE_FROM, SKILL_FLOOR, Kind, Stratum, skills
from physbench.score.score_clip import reading_of
from physbench.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("", "code", "code-before", "missing")  # keys of the scorer


def velocity_errors(
    tables: Mapping[str, pd.DataFrame], e: Estimate, resamples: int
) -> dict[str, dict[str, VelocityErrors]]:
    """Errors of the model and its references by task and split; {} where none was read."""
    rows = tables["truth"][tables["truth"]["reading"] == reading_of("velocity-error")]
    rows = rows[rows["value"].notna()]
    if rows.empty:
        return {}
    values = {
        source: {part: _by_clip(tables[source], part) for part in PARTS} for source in ("model", *REFERENCE_MODELS)
    }
    errors: dict[str, dict[str, VelocityErrors]] = {}
    for (task, split), group in rows.groupby(["task", "split"], sort=True):
        clips = sorted(set(group["clip"]))
        own = {
            source: {part: np.asarray(each.reindex(clips), dtype=np.float64) for part, each in parts.items()}
            for source, parts in values.items()
        }
        errors.setdefault(str(task), {})[str(split)] = _errors(Stratum(str(task), str(split)), own, e, resamples)
    return errors


def _by_clip(table: pd.DataFrame, part: str) -> pd.Series[float]:
    """Value of each clip, mean over its samples, by its id."""
    name = reading_of("velocity-error")
    known = table[(table["reading"] == (f"{name}.{part}" if part else name)) & table["value"].notna()]
    return known.groupby("clip")["value"].mean().astype(float)


def _errors(key: Stratum, own: Mapping[str, Mapping[str, Array]], e: Estimate, resamples: int) -> VelocityErrors:
    """own: by source and part, values (n,) of the clips of a task and split, NaN where there is none."""
    known = np.isfinite(own["model"][""])
    # What failed counts as a frozen frame whose balls are missing: a model must not gain by failing.
    model = {part: np.where(known, own["model"][part], own["freeze"][part]) for part in PARTS}
    model["missing"] = np.where(known, own["model"]["missing"], 1.0)
    paper = model[""]
    good = paper[np.isfinite(paper)]
    reason = "" if len(good) >= FEWEST else f"{TOO_FEW}: {len(good)}, an interval needs {FEWEST}"
    interval = None
    if not reason:
        drawn = resample({key: good[None]}, resamples=resamples)
        interval = ends(drawn.interval(drawn.means[key][:, 0]), 0.0)
    return VelocityErrors(
        paper=_mean(paper),
        interval=interval,
        code=_mean(model["code"]),
        code_before=_mean(model["code-before"]),
        missing=_mean(model["missing"]),
        clips=int(known.sum()),
        of=len(paper),
        references={
            name: {"paper": _mean(own[name][""]), "code": _mean(own[name]["code"])} for name in REFERENCE_MODELS
        },
        skill=stratum_skill(e, key),
        reason=reason,
    )


def _mean(values: Array) -> float | None:
    """Mean of what is known; None for nothing."""
    good = values[np.isfinite(values)]
    return rounded(good.mean()) if len(good) else None


def stratum_skill(e: Estimate, key: Stratum) -> SkillValue:
    """Skill of the model in the clips of one task and split, between ground truth and freeze in these clips.

    As the overall skill of a suite of this task alone, on the axes on which these clips are informative.
    """
    if key not in e.stratum_means:
        return SkillValue(skill=None, interval=None, reason="not run")
    truth, freeze = e.stratum_means[key][ANCHORS]  # (A,)
    kinds: dict[str, tuple[Kind, ...]] = {
        key.task: tuple(
            "unscored" if kind == "informative" and truth[a] - freeze[a] < INFORMATIVE_FROM else kind
            for a, kind in enumerate(e.kinds[key.task])
        )
    }
    point, draws = (
        skills({key.task: means[key]}, kinds, 0, ANCHORS, e.asked).family.get(key.family)
        for means in (e.stratum_means, e.stratum_draws)
    )
    if point is None or draws is None:
        return SkillValue(skill=None, interval=None, reason="a frozen frame does as well as ground truth")
    reason = next((why for a in e.asked if (why := e.too_few(a, (key.task,), key.split)) and e.counts[key][a]), "")
    interval = None if reason else ends(e.resampled.interval(draws), SKILL_FLOOR)
    return SkillValue(skill=rounded(point), interval=interval, reason=reason)
