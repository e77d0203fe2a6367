"""Selects the clips that a report shows from the scores: the worst and the median one of each task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from physbench.results.answers import unasked_axes
from physbench.results.skill import clip_qualities, clip_skills, kinds
from physbench.results.task_roles import fixed_kinds
from physbench.scoring.scorer_protocol import AXES
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SelectedClip:
    """A clip that the report shows; always its first sample."""

    clip: str
    task: str
    place: Literal["worst", "median"]
    skill: float  # what it adds to overall, 1 as ground truth; NaN where nothing of it counts


def select(manifest: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> tuple[SelectedClip, ...]:
    """Worst and median clip of each task, by what they add to overall (`physbench.results.skill.clip_skills`).

    manifest and tables: as `read_run` gives them. Failed clips have no picture and are left out (the report lists
    them); of equal clips the first by id is taken. A task with one clip has no median one.
    """
    first = tables["model"][tables["model"]["sample"] == 0]
    failed = set(first.loc[first["axis"].notna() & (first["status"] == "failed"), "clip"])
    qualities = clip_qualities({"model": first}, tables["truth"], tables["freeze"], events=False)
    unasked = unasked_axes(manifest["model"]["card"])
    asked = [a for a, axis in enumerate(AXES) if axis not in unasked]
    skills = clip_skills(qualities, kinds(qualities, fixed_kinds(manifest)), asked)
    tasks: dict[str, list[tuple[float, str]]] = {}
    for stratum, clips in qualities.clips.items():
        ranked = ((float(np.round(np.nan_to_num(skills[clip]), 9)), clip) for clip in clips if clip not in failed)
        tasks.setdefault(stratum.task, []).extend(ranked)
    chosen: list[SelectedClip] = []
    for task, found in sorted(tasks.items()):
        names = [clip for _, clip in sorted(found)]
        middle = names[len(names) // 2 :][:1] if len(names) > 1 else []
        chosen += [SelectedClip(clip, task, "worst", skills[clip]) for clip in names[:1]]
        chosen += [SelectedClip(clip, task, "median", skills[clip]) for clip in middle]
    return tuple(chosen)


def shown_clips(folder: RunFolder) -> tuple[str, ...]:
    """Ids of the clips whose rollouts the report of a finished run needs (sample 0)."""
    from physbench.results.read_run import read_run

    return tuple(dict.fromkeys(item.clip for item in select(*read_run(folder))))
