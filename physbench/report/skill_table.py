"""The table at the top of a report: skill by family, task and axis, each cell with its number, colour and word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from physbench.report.table_view import KEPT_FROM, Cell
from physbench.results.number_format import bracket, fixed, short
from physbench.results.strength_summary import strength_text

BEYOND_MEMORY = "beyond memory"
OUT_OF_RANGE = "quality lost out of range"
NO_STRENGTH: Mapping[str, Any] = {"all": None, "families": {}, "tasks": {}, "references": {}}


@dataclass(frozen=True)
class SkillRow:
    """One row: all families, a family, a task or a reference model."""

    level: Literal["all", "family", "task", "reference"]
    name: str
    cells: tuple[Cell, ...]  # by axis
    strength: str = "–"  # diameters, median


def skill_rows(result: Mapping[str, Any]) -> list[SkillRow]:
    """Rows in the order in which they are shown."""
    axes, sizes = list(result["axes"]), result.get("strength") or NO_STRENGTH
    whole = tuple(_axis(result["axes"][axis]) for axis in axes)
    lines = [SkillRow("all", "all families", whole, strength_text(sizes["all"]))]
    for name, reference in result["references"].items():
        cells = tuple(_axis(reference["axes"][axis]) for axis in axes)
        size = strength_text({"median": sizes["references"].get(name)})
        lines.append(SkillRow("reference", name.replace("-", " "), cells, size))
    lines += _memory_rows(result, axes)
    if result.get("gaps"):
        gaps = result["gaps"]["all"]
        lines.append(SkillRow("reference", OUT_OF_RANGE, tuple(_gap(gaps[axis]) for axis in axes)))
    for family, found in result["families"].items():
        tasks = [task for task in result["tasks"] if task.split("/")[0] == family]
        if len(tasks) > 1:
            cells, size = tuple(_family(found[axis]) for axis in axes), sizes["families"].get(family)
            lines.append(SkillRow("family", family, cells, strength_text(size)))
        for task in tasks:
            name = short(task) if len(tasks) > 1 else f"{family}: {short(task)}"
            cells = tuple(_task(result["tasks"][task][axis]) for axis in axes)
            lines.append(SkillRow("task", name, cells, strength_text(sizes["tasks"].get(task))))
    return lines


def _memory_rows(result: Mapping[str, Any], axes: list[str]) -> list[SkillRow]:
    """The memory of as many training clips, and the model minus it; nothing where none is published."""
    found = result.get("beyond_memory")
    if not found or found["clips"] is None:
        return []
    return [
        SkillRow("reference", f"memory, {found['clips']:,} clips", tuple(_axis(found["memory_axes"][a]) for a in axes)),
        SkillRow("reference", BEYOND_MEMORY, tuple(_axis(found["axes"][axis]) for axis in axes)),
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


def _family(found: Mapping[str, Any]) -> Cell:
    cost = found["guard"]
    if found["skill"] is None:
        return _guard(cost, "its tasks") if cost is not None else Cell("–", title=found["reason"])
    lost = f"; its guard tasks cost {fixed(-cost)}" if cost is not None and cost < KEPT_FROM else ""
    return _skill(found["skill"], found["skill_interval"], f"mean of its informative tasks{lost}")


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
