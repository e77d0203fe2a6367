"""The page on which any entries of a board are compared: their skills side by side, and paired differences of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from physbench.leaderboard.entry import Entry, describe
from physbench.leaderboard.ranking import Array, ResampledSkill
from physbench.report.page_environment import page_environment
from physbench.results import number_format
from physbench.results.answers import asked_axes

OVERALL = "overall"
DIGITS = 4  # of a figure on the page


def compare_page(
    found: Sequence[Entry],
    resampled: Mapping[str, ResampledSkill],
    report: Callable[[Entry], str],
    chosen: Collection[Entry],
) -> str:
    """The page: a table of the chosen models, made in the browser from the figures that it holds.

    Args:
        found: The entries.
        resampled: Of each by its name, as `ranking.entry_skill` gives it.
        report: Link to the report of an entry.
        chosen: Entries that are shown before a reader chooses.
    """
    entries = sorted(found, key=lambda entry: -(entry.result.overall.skill or 0.0))
    first = entries[0].result
    axes = {axis: number_format.AXIS_NAMES[axis] for axis in asked_axes(first.model.card)}
    document = {
        "models": [_model(entry, axes, report(entry)) | {"chosen": entry in chosen} for entry in entries],
        "differences": differences([resampled[entry.name] for entry in entries]),
        "axes": list(axes.items()),  # in this order
        "families": list(first.by_family),
        "tasks": list(first.tasks),
    }
    environment = page_environment("physbench.leaderboard")
    return environment.get_template("compare.html.j2").render(
        document=document, suite_words=first.suite_label, clips=first.suite.clips
    )


def differences(entries: Sequence[ResampledSkill]) -> dict[str, list[list[list[float] | None]]]:
    """Skill of each entry less that of each later one, with its 95 % interval, paired over clips.

    Returns:
        By level (overall, then families): for entry i, of entries i + 1, i + 2, ...: [difference, low, high], or None
        where one of the two has none.
    """
    levels: dict[str, list[Array | None]] = {OVERALL: [entry.rows for entry in entries]}
    for family in dict.fromkeys(family for entry in entries for family in entry.families):
        levels[family] = [entry.families.get(family) for entry in entries]
    return {level: [_of(entries[i], rows, i) for i in range(len(rows) - 1)] for level, rows in levels.items()}


def _of(entry: ResampledSkill, rows: Sequence[Array | None], i: int) -> list[list[float] | None]:
    mine = rows[i]
    found: list[list[float] | None] = []
    for other in rows[i + 1 :]:
        if mine is None or other is None or mine.shape != other.shape or not np.isfinite(mine[0] - other[0]):
            found.append(None)
            continue
        low, high = entry.resampled.interval(mine[:, None], other[:, None])[:, 0]
        found.append([round(float(value), DIGITS) for value in (mine[0] - other[0], low, high)])
    return found


def _model(entry: Entry, axes: Mapping[str, str], link: str) -> dict[str, Any]:
    result = entry.result
    return {
        "name": result.model.name,
        "look": result.look,
        "seen": f"{describe(result)['frames']}, {describe(result)['context']}",
        "report": link,
        "sentence": result.sentences[0] if result.sentences else "",
        OVERALL: _figure(result.overall.skill, result.overall.interval),
        "families": {name: _figure(each.skill, each.interval) for name, each in result.by_family.items()},
        "axes": {axis: _figure(result.axes[axis].skill, result.axes[axis].interval) for axis in axes},
        "tasks": {
            axis: {task: _figure(each[axis].skill, each[axis].skill_interval) for task, each in result.tasks.items()}
            for axis in axes
        },
    }


def _figure(skill: float | None, interval: tuple[float, float] | None) -> list[float] | None:
    """[skill, low, high], with as many of them as there are."""
    if skill is None:
        return None
    return [round(value, DIGITS) for value in (skill, *(interval or ()))]
