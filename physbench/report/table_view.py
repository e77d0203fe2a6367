"""Tables as they are shown: cells that are already worded and formatted, without a word of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from physbench.report.clip_count_text import left_out, not_valid
from physbench.report.event_text import event_counts
from physbench.results.implied_worlds import bounds
from physbench.results.number_format import AXIS_NAMES, bracket, fixed, number, plain, short, unit

BASES = {"truth": "truth", "freeze": "freeze", "constant-velocity": "constant velocity"}  # columns beside the model
KIND_WORDS = {"informative": "informative", "guard": "can only cost", "unscored": "not scored", "absent": "not asked"}
KEPT_FROM = -0.005  # cost of a guard from which on the cell says "kept"
LISTED_FAILURES = 40  # that are listed on the page
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One field of a table."""

    text: str
    note: str = ""  # an interval, or what the text means
    title: str = ""  # on hover
    tone: str = ""  # good, bad, kept, off, none
    strength: float = 0.0  # 0..1, of the colour


@dataclass(frozen=True)
class TableRow:
    """One line; with fewer cells than the table has columns, the last one spans the rest."""

    name: str
    cells: tuple[Cell, ...] = ()
    level: str = ""  # all, family, task, reference, head, sum, beside, note, off


@dataclass(frozen=True)
class Table:
    """A table with a name for those who do not see it."""

    label: str
    columns: tuple[str, ...]  # the first one is that of the names
    groups: tuple[tuple[TableRow, ...], ...]  # rows that belong together
    words: tuple[int, ...] = ()  # columns of words, at the left
    style: str = ""


EMPTY_CELLS = (Cell(""),) * 6


def cell(value: Any, key: str = "skill", interval: str = "interval", **more: str) -> Cell:
    """A figure of a result with its interval."""
    return Cell(fixed(value[key]), bracket(value[interval]), more.get("title", ""), more.get("tone", ""))


def once(rows: Sequence[tuple[str, tuple[Cell, ...], str]]) -> tuple[TableRow, ...]:
    """Rows (name, cells, level) whose name is shown where it first stands."""
    before = ["", *(name for name, _, _ in rows)]
    return tuple(
        TableRow("" if name == last else name, cells, level)
        for last, (name, cells, level) in zip(before, rows, strict=False)
    )


def qualities(result: Document) -> Table:
    """Skill and quality of every task on every axis, beside those of the references."""
    groups = []
    for axis, found in result["axes"].items():
        name = AXIS_NAMES.get(axis, axis)
        rows = [TableRow(name[0].upper() + name[1:], level="head")]
        for task, axes in result["tasks"].items():
            own = axes[axis]
            kept = own["kind"] == "guard" and own["skill"] is not None and own["skill"] > KEPT_FROM
            skill = Cell("kept") if kept else cell(own, "skill", "skill_interval")
            bases = tuple(Cell(fixed(own["references"][base])) for base in BASES)
            kind = Cell(KIND_WORDS[own["kind"]], title=own["why"])
            rows.append(TableRow(task, (skill, cell(own, "quality"), *bases, Cell(str(own["clips"])), kind)))
            rows += [TableRow("", (Cell(words),), "note") for words in not_valid(result, task).get(axis, ())]
        whole = (cell(found), cell(found, "quality", "quality_interval"), *EMPTY_CELLS[:5])
        rows.append(TableRow("all families", whole, "sum"))
        for reference, other in result["references"].items():
            rows.append(TableRow(plain(reference), (cell(other["axes"][axis]), *EMPTY_CELLS), "beside"))
        groups.append(tuple(rows))
    columns = ("axis and task", "skill", "quality", *BASES.values(), "clips", "kind")
    return Table("Skill and quality by axis and task", columns, tuple(groups), style="group")


def over_tasks(result: Document) -> Table | None:
    """Intervals for other clips and for other tasks; None where no family has the second, and for few clips."""
    rows = [
        (family, (Cell(AXIS_NAMES.get(axis, axis)), Cell(fixed(found["skill"])),
                  Cell(bracket(found["skill_interval"]) or "–"), Cell(bracket(found["tasks_interval"]))), "")
        for family, axes in result["families"].items()
        for axis, found in axes.items()
        if found["tasks_interval"]
    ]  # fmt: skip
    if not rows or result["note"]:
        return None
    columns = ("family", "axis", "skill", "other clips", "other tasks")
    return Table("Intervals over clips and over tasks by family", columns, (once(rows),), (1,))


def unseen_constants(result: Document) -> Table | None:
    """Consistency with unseen constants free, by task; None where the context shows them all."""
    freed = result["unseen_constants"]
    if not freed:
        return None
    whole = (cell(freed["consistency"]), cell(result["axes"]["consistency"]), Cell(""), Cell(str(freed["clips"])))
    rows = [TableRow("all families", whole)]
    for task, own in freed["tasks"].items():
        if own["applies"]:
            scored = cell(result["tasks"][task]["consistency"], "skill", "skill_interval")
            factor = cell(own["factor"], "value", title=own["factor"]["reason"])
            free = cell(own, "skill", "skill_interval", title=own["reason"])
            rows.append(TableRow(short(task), (free, scored, factor, Cell(str(own["applies"])))))
    columns = (AXIS_NAMES["consistency"], "left free", "as scored", "factor", "clips")
    return Table("Physical consistency with unseen constants left free", columns, (tuple(rows),))


def events(result: Document) -> Table | None:
    """How often what decides a scene happens behind one image; None where nothing was counted."""
    rows = tuple(
        TableRow(
            short(task),
            (
                Cell(kind), Cell(f"{each['seen']:.3g}"), Cell(f"{each['expected']:.1f}"), Cell(str(each["fewest"])),
                Cell(str(each["clips"])),
                Cell("–" if each["reason"] else f"{100 * each['lost']:.0f} %", title=each["reason"]),
            ),
        )
        for task, kind, each in event_counts(result)
    )  # fmt: skip
    columns = ("task", "event", "shown", "lawful mean", "fewest", "clips", "lost")
    return Table("Events behind one image", columns, (rows,)) if rows else None


def gaps(result: Document) -> tuple[Table, Table] | None:
    """Quality on `test` minus that on `ood`: by family, and by task with both; None where there is no second split."""
    if not result["gaps"]:
        return None

    def tone(gap: Document) -> str:
        ends = gap["interval"]
        return "off" if ends and (ends[0] > 0 or ends[1] < 0) else ""

    def about(gap: Document) -> str:
        known = f"test {fixed(gap['test'])}, ood {fixed(gap['ood'])}; truth itself {fixed(gap['truth'])}"
        return gap["reason"] if gap["gap"] is None else known

    names = tuple(AXIS_NAMES.get(axis, axis) for axis in result["axes"])
    levels = tuple(
        TableRow(
            "all families" if level == "all" else level,
            tuple(cell(axes[axis], "gap", title=about(axes[axis]), tone=tone(axes[axis])) for axis in result["axes"]),
            "all" if level == "all" else "task",
        )
        for level, axes in result["gaps"].items()
        if "/" not in level
    )
    rows = [
        (short(level), (Cell(AXIS_NAMES.get(axis, axis)), Cell(fixed(gap["test"])), Cell(fixed(gap["ood"])),
                        cell(gap, "gap", tone=tone(gap)), Cell(fixed(gap["truth"]))), "")
        for level, axes in result["gaps"].items()
        if "/" in level
        for axis, gap in axes.items()
        if gap["gap"] is not None
    ]  # fmt: skip
    columns = ("task", "axis", "test", "ood", "test − ood", "of truth")
    return (
        Table("Generalisation gap by family", ("test − ood", *names), (levels,), style="heat gaps"),
        Table("Generalisation gap by task", columns, (once(rows),), (1,)),
    )


def implied_worlds(result: Document) -> Table | None:
    """Which changed world explains each family, with its values; None where nothing was diagnosed."""
    rows: list[tuple[str, tuple[Cell, ...], str]] = []
    for family, world in result["implied_worlds"].items():
        ends = world["interval"]
        share = bracket([100 * end for end in ends], 0) if ends else ""
        rest = f"{100 * world['unexplained']:.0f} %, {world['clips']} clips"
        told = (Cell(f"{100 * world['share']:.0f} %", share), Cell(rest))
        level = "off" if world["verdict"] == "named" else ""
        for first, law in enumerate(world["laws"] or [None]):
            name, value, true = Cell("–"), Cell("–"), Cell("–")
            if law is not None:
                size = f"{number(law['value'])} {unit(law['unit'])}".strip()
                name, value, true = Cell(law["short"]), Cell(size, bounds(law["interval"])), Cell(number(law["true"]))
            rows.append((family, (name, value, true, *(told if not first else (Cell(""), Cell("")))), level))
    columns = ("family", "law", "implied", "true", "explains", "unexplained")
    return Table("Changed worlds by family", columns, (once(rows),), (1,)) if rows else None


def readings(label: str, found: Iterable[tuple[str, str, Document, str]]) -> Table:
    """Diagnostics (reading, task, value, unit) beside those of the references."""
    rows = [
        (name, (
            Cell(short(task)),
            Cell(number(value["value"]), _ends(value["interval"]), value["reason"], "off" if value["departs"] else ""),
            *(Cell(number(value["references"][base])) for base in BASES),
            Cell(unit(of)), Cell(f"{value['clips']} of {value['applicable']}"),
        ), "")
        for name, task, value, of in found
    ]  # fmt: skip
    columns = ("reading", "task", "model", *BASES.values(), "unit", "clips")
    return Table(label, columns, (once(rows),), (1, 6))


def _ends(interval: Sequence[float] | None) -> str:
    return f"[{number(interval[0])}, {number(interval[1])}]" if interval else ""


def valid_counts(result: Document) -> Table | None:
    """In how many clips each reading of an axis is valid; None for results of older programs."""
    rows = [
        (AXIS_NAMES.get(axis, axis), (
            Cell(reading), Cell(f"{own['valid']} of {result['counts']['clips']}"),
            Cell("; ".join(map(left_out, own["not_valid"])) or "–", tone="words"),
        ), "")
        for axis, found in result["axis_counts"].items()
        for reading, own in found["readings"].items()
    ]  # fmt: skip
    columns = ("axis", "reading", "valid in", "not valid in")
    return Table("Clips that count by reading", columns, (once(rows),), (1, 3)) if rows else None


def failures(result: Document) -> Table | None:
    """The first clips that failed; None where none did."""
    several = result["counts"]["samples"] > 1
    rows = tuple(
        TableRow(
            each["clip"] + (f" sample {each['sample']}" if several else ""), (Cell(each["reason"], tone="words bad"),)
        )
        for each in result["failures"][:LISTED_FAILURES]
    )
    return Table("Failed clips", ("clip", "reason"), (rows,), (1,)) if rows else None
