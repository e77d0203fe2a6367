"""The table at the top of a report: skill by family, task and axis, each cell with its number, colour and word.

Overall is the mean of its column over families. An axis is the mean of its families' figures, with what is lost added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from physbench.report.table_view import KEPT_FROM, Cell
from physbench.results.number_format import bracket, fixed, short
from physbench.results.strength_summary import strength_text

BEYOND_MEMORY = "beyond memory"
OUT_OF_RANGE = "lost out of range"
MEMORY = ("memory", "memory_axes")
NO_STRENGTH: Mapping[str, Any] = {"all": None, "families": {}, "tasks": {}, "references": {}}


@dataclass(frozen=True)
class SkillRow:
    """One row: all families, a family, a task or a reference model."""

    level: Literal["all", "family", "task", "reference"]
    name: str
    cells: tuple[Cell, ...]  # overall, then by axis
    strength: str = "–"  # diameters, median


def skill_rows(result: Mapping[str, Any]) -> list[SkillRow]:
    """Rows in the order in which they are shown."""
    axes, sizes = list(result["axes"]), result.get("strength") or NO_STRENGTH
    whole = (_axis(result["overall"]), *(_axis(result["axes"][axis]) for axis in axes))
    lines = [SkillRow("all", "all families", whole, strength_text(sizes["all"]))]
    for name, reference in result["references"].items():
        cells = (_axis(reference["overall"]), *(_axis(reference["axes"][axis]) for axis in axes))
        size = strength_text({"median": sizes["references"].get(name)})
        lines.append(SkillRow("reference", name.replace("-", " "), cells, size))
    lines += _memory_rows(result, axes)
    if result.get("gaps"):
        gaps = result["gaps"]["all"]
        lines.append(SkillRow("reference", OUT_OF_RANGE, (Cell("–"), *(_gap(gaps[axis]) for axis in axes))))
    for family, found in result["families"].items():
        tasks = [task for task in result["tasks"] if task.split("/")[0] == family]
        if len(tasks) > 1:
            cells = (_adds(result, family, tasks), *(_family(found[axis]) for axis in axes))
            size = sizes["families"].get(family)
            lines.append(SkillRow("family", family, cells, strength_text(size)))
        for task in tasks:
            name = short(task) if len(tasks) > 1 else f"{family}: {short(task)}"
            own = result["tasks"][task]
            cells = (_gain(own) if len(tasks) > 1 else _adds(result, family, tasks), *(_task(own[a]) for a in axes))
            lines.append(SkillRow("task", name, cells, strength_text(sizes["tasks"].get(task))))
    return lines


def _memory_rows(result: Mapping[str, Any], axes: list[str]) -> list[SkillRow]:
    """The memory of as many training clips, and the model minus it; nothing where none is published."""
    found = result.get("beyond_memory")
    if not found or found["clips"] is None:
        return []
    own, beyond = ((_axis(found[o]), *(_axis(found[by][a]) for a in axes)) for o, by in (MEMORY, ("overall", "axes")))
    return [
        SkillRow("reference", f"memory, {found['clips']:,} clips", own),
        SkillRow("reference", BEYOND_MEMORY, beyond),
    ]


def memory_note(result: Mapping[str, Any]) -> str:
    """Why a result says nothing of memory; "" where it does, and for results of older programs."""
    found = result.get("beyond_memory")
    return f"{BEYOND_MEMORY.capitalize()} is not known: {found['reason']}." if found and found["clips"] is None else ""


def _gap(found: Mapping[str, Any]) -> Cell:
    """Quality on `test` minus that on `ood`: no skill, so that it has no colour."""
    if found["gap"] is None:
        return Cell("–", title=found["reason"])
    title = (
        f"quality: test {fixed(found['test'])}, ood {fixed(found['ood'])}; truth itself loses {fixed(found['truth'])}"
    )
    return Cell(fixed(found["gap"]), bracket(found["interval"]), title)


def _axis(found: Mapping[str, Any]) -> Cell:
    return _skill(found["skill"], found["interval"], found["reason"])


def _gains(task: Mapping[str, Any]) -> list[float]:
    return [found["skill"] for found in task.values() if found["kind"] == "informative" and found["skill"] is not None]


def _gain(task: Mapping[str, Any]) -> Cell:
    """What a task gains: its mean over the axes on which it is informative."""
    gains = _gains(task)
    return _skill(sum(gains) / len(gains), None, "mean of the axes on which it is informative") if gains else Cell("–")


def _adds(result: Mapping[str, Any], family: str, tasks: list[str]) -> Cell:
    """What a family adds to overall."""
    found = (result.get("by_family") or {}).get(family)
    if found is None or found["skill"] is None:
        return Cell("–", title="" if found is None else found["reason"])
    means = [sum(gains) / len(gains) for task in tasks if (gains := _gains(result["tasks"][task]))]
    share = 1 - found["skill"] / gain if means and (gain := sum(means) / len(means)) > 0 else 0.0
    lost = f", less {share:.0%} of it that its guards take" if share >= -KEPT_FROM else ""
    return _skill(found["skill"], found["interval"], f"mean of its tasks{lost}")


def _family(found: Mapping[str, Any]) -> Cell:
    lost = found["guard"]
    if found["skill"] is None:
        return _guard(lost, "its tasks cost the axis this") if lost is not None else Cell("–", title=found["reason"])
    own = _skill(found["skill"], found["skill_interval"], "mean of its informative tasks")
    if lost is None or lost >= KEPT_FROM:
        return own
    return replace(own, text=gained_and_lost(found["skill"], lost), title=f"{own.title}; it loses {fixed(-lost)} more")


def gained_and_lost(gained: float | None, lost: float | None) -> str:
    """A family on an axis: "0.64", "0.64 −0.05" with what it loses, "−0.05 lost" or "kept" with no gain."""
    if gained is None:
        cell = _guard(lost, "")
        return f"{cell.text} {cell.note}".rstrip()
    return fixed(gained) if lost is None or lost >= KEPT_FROM else f"{fixed(gained)} {fixed(lost)}"


def _task(found: Mapping[str, Any]) -> Cell:
    if found["kind"] == "informative":
        return _skill(found["skill"], found["skill_interval"], found["why"])
    if found["kind"] == "guard":
        return _guard(found["skill"], found["why"])
    return Cell("–", "not scored" if found["kind"] == "unscored" else "not asked", found["why"])


def _skill(value: float | None, interval: Any, title: str) -> Cell:
    if value is None:
        return Cell("–", title=title)
    strength = round(min(abs(value), 1.0), 3)
    return Cell(fixed(value), bracket(interval), title, "good" if value >= 0 else "bad", strength)


def _guard(cost: float | None, title: str) -> Cell:
    if cost is None:
        return Cell("–", title=title)
    if cost >= KEPT_FROM:
        return Cell("kept", title=title, tone="kept")
    return Cell(fixed(cost), "lost", title, "bad", round(min(-cost, 1.0), 3))
