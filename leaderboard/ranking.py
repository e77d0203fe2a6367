"""Ranks with intervals, paired over clips; differences between looks.

All entries are resampled with the same draws of clips, each with its own references (it may have another size and
rate); one that never failed in some task may fail there where another does not. The interval of a rank counts the
entries that are surely ahead and surely behind (Mogstad, Romano, Shaikh and Wilhelm 2024, Inference for Ranks,
doi:10.1093/restud/rdad006): with K entries, a difference is sure where its interval at level 1 - 0.05 / (K - 1)
excludes 0, so that with 95 % confidence the true rank lies between 1 + those ahead and K - those behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from physbench.leaderboard.entries import Entry, describe
from physbench.result.bootstrap import MISS, RESAMPLES, Resampled, resample
from physbench.result.coverage import applicable_axes
from physbench.result.document import ResultDocument, SkillValue
from physbench.result.read import key_of_result
from physbench.result.skill import Kind, Stratum, clip_qualities, kinds, skills, task_means
from physbench.score.protocol import AXES
from physbench.support.arrays import Array
from physbench.world.scene import PLAIN

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rank:
    """Rank of an entry, 1 is best, and its 95 % interval."""

    rank: int
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}–{self.high}"


@dataclass(frozen=True, eq=False)
class ResampledSkill:
    """Mean skill of an entry over some axes, by which it is ranked."""

    skill: float
    rows: Array  # (L,) as in `resampled`
    resampled: Resampled[Stratum]
    families: Mapping[str, Array] = field(default_factory=dict)  # (L,) each, of what overall is the mean of


def resampled_skill(
    tables: dict[str, pd.DataFrame],
    *,
    resamples: int = RESAMPLES,
    fixed: Mapping[str, Mapping[str, Kind]] | None = None,
    axes: tuple[str, ...] = AXES,
) -> ResampledSkill:
    """Mean skill of one entry over axes, by default its overall skill, resampled.

    tables: "model", "truth" and "freeze". fixed: kinds of its tasks, as its result has them.
    """
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"], axes)
    counts, kind = qualities.counts(), kinds(qualities, fixed)
    width = len(axes)
    flat = {key: block.reshape(3 * width, -1) for key, block in qualities.values.items()}
    drawn = resample(flat, resamples=resamples, bounded=range(width))
    means = {key: values.reshape(-1, 3, width) for key, values in drawn.means.items()}
    skill = skills(task_means(means, counts), kind, 0, slice(1, 3))
    drawn = replace(drawn, means={})  # 50 entries of them would fill the memory
    return ResampledSkill(float(skill.overall[0]), skill.overall, drawn, skill.family)


def entry_skill(tables: dict[str, pd.DataFrame], result: ResultDocument, resamples: int) -> ResampledSkill:
    """Overall skill of an entry, resampled. tables: as of `resampled_skill`."""
    axes = applicable_axes(result.model.card)
    return resampled_skill(tables, resamples=resamples, fixed=kinds_of(result), axes=axes)


def kinds_of(result: ResultDocument) -> dict[str, dict[str, Kind]]:
    """Kinds of the tasks, by axis."""
    return {task: {axis: skill.kind for axis, skill in axes.items()} for task, axes in result.tasks.items()}


def rank(entries: Sequence[ResampledSkill]) -> tuple[Rank, ...]:
    """Ranks of K entries that were run on the same clips."""
    count = len(entries)
    ahead, behind = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)  # of each: who surely is
    miss = MISS / max(count - 1, 1)  # so that one of an entry's comparisons is wrong that often
    for i, entry in enumerate(entries[:-1]):
        others = np.stack([other.rows for other in entries[i + 1 :]], axis=-1)  # (L, K - i - 1)
        mine = np.broadcast_to(entry.rows[:, None], others.shape)
        low, high = entry.resampled.interval(mine, others, miss=miss)
        ahead[i] += np.count_nonzero(high < 0)
        behind[i] += np.count_nonzero(low > 0)
        ahead[i + 1 :] += low > 0
        behind[i + 1 :] += high < 0
    return tuple(
        Rank(1 + sum(other.skill > entry.skill for other in entries), 1 + int(ahead[i]), count - int(behind[i]))
        for i, entry in enumerate(entries)
    )


# What a look costs a model: its overall skill in that look less the one in the plain look, paired over clips.
#
# A clip has the same motion in every look, so that the bootstrap draws the same clips. Each skill lies between ground
# truth and the frozen frame in its own look. `physbench compare` says the same of two runs, by axis, too.


@dataclass(frozen=True)
class LookDifference:
    """One model in two looks."""

    entry: str  # name of the entry in the other look
    model: str
    seen: str  # size, rate and context
    look: str  # the other one
    plain: SkillValue
    other: SkillValue
    value: float  # overall skill in the other look less that in the plain one
    interval: tuple[float, float]  # 95 %


def look_differences(entries: Sequence[Entry], resamples: int) -> tuple[LookDifference, ...]:
    """The differences of all models of which a board has runs in both looks, alike in all else; largest loss first.

    Models that are given states see no look.
    """
    plain = {
        key_of_result(entry.result): entry
        for entry in entries
        if entry.result.look == PLAIN and entry.result.model.card.sees_pictures
    }
    differences = []
    for entry in entries:
        beside = plain.get(key_of_result(entry.result))
        if entry.result.look != PLAIN and beside is not None:
            differences.append(_difference(entry, beside, resamples))
    return tuple(sorted(differences, key=lambda each: (each.value, each.model)))


def _difference(entry: Entry, beside: Entry, resamples: int) -> LookDifference:
    result = entry.result
    here, there = (entry_skill(each.tables(), each.result, resamples) for each in (entry, beside))
    low, high = here.resampled.interval(here.rows[:, None], there.rows[:, None])
    settings = describe(beside.result)
    return LookDifference(
        entry.name,
        result.model.name,
        f"{settings['frames']}, {settings['context']}",
        result.look,
        beside.result.overall,
        result.overall,
        here.skill - there.skill,
        (float(low[0]), float(high[0])),
    )
