"""What a look costs a model: its overall skill in that look less the one in the plain look, paired over clips.

A clip has the same motion in every look, so that the bootstrap draws the same clips. Each skill lies between ground
truth and the frozen frame in its own look. `physbench compare` says the same of two runs, by axis, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from physbench.leaderboard.entry import Entry, describe
from physbench.leaderboard.ranking import entry_skill
from physbench.results.answers import answers_states
from physbench.results.same_model import key_of_result
from physbench.results.schema import SkillValue
from physbench.world.scene import PLAIN


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


def look_differences(found: Sequence[Entry], resamples: int) -> tuple[LookDifference, ...]:
    """The differences of all models of which a board has runs in both looks, alike in all else; largest loss first.

    Models that are given states see no look.
    """
    plain = {
        key_of_result(entry.result): entry
        for entry in found
        if entry.result.look == PLAIN and not answers_states(entry.result.model.card)
    }
    differences = []
    for entry in found:
        beside = plain.get(key_of_result(entry.result))
        if entry.result.look != PLAIN and beside is not None:
            differences.append(_difference(entry, beside, resamples))
    return tuple(sorted(differences, key=lambda each: (each.value, each.model)))


def _difference(entry: Entry, beside: Entry, resamples: int) -> LookDifference:
    result = entry.result
    here, there = (entry_skill(each.tables(), each.result, resamples) for each in (entry, beside))
    low, high = here.resampled.interval(here.rows[:, None], there.rows[:, None])
    said = describe(beside.result)
    return LookDifference(
        entry.name,
        result.model.name,
        f"{said['frames']}, {said['context']}",
        result.look,
        beside.result.overall,
        result.overall,
        here.skill - there.skill,
        (float(low[0]), float(high[0])),
    )
