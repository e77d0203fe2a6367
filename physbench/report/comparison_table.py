"""A comparison on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from physbench.clips.suite import suite_label
from physbench.report.skill_table import gained_and_lost
from physbench.results.bootstrap import FEWEST
from physbench.results.number_format import AXIS_NAMES, GUARD_MEANING, ascii_minus, bracket, counted, fixed, joined
from physbench.results.strength_summary import strength_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from physbench.results.run_comparison import Against, Comparison, SkillDifference


LOOK_NOTE = (
    "One model in two looks: what is told apart is what the pictures change for it, not the physics. Motion is the "
    "same in both, and each skill lies between ground truth and the frozen frame of its own look."
)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a sentence and a table for each of the other runs. Needs 80 columns and no colours."""
    from rich.text import Text

    for against in comparison.against:
        console.print()
        console.print(Text(against.sentence))
        if comparison.differs == "look":
            console.print(Text(LOOK_NOTE))
        console.print()
        console.print(_table(comparison, against))
    first = comparison.first
    ours = (first.render_spec, first.context)
    console.print()
    told = any(
        found.interval
        for against in comparison.against
        for found in (*against.axes.values(), *(one for axes in against.families.values() for one in axes.values()))
    )
    limits = "95 % intervals" if told else f"no intervals: they need {FEWEST} clips of each task and split"
    parts = set(comparison.held) - {comparison.clips}
    shared = f", those that all runs hold (of {joined([str(held) for held in comparison.held])})" if parts else ""
    suite = suite_label(comparison.suite, comparison.version, comparison.provisional)
    head = f"{suite}, {counted(comparison.clips, 'clip')}{shared}, paired; {limits}."
    console.print(Text(head, style="dim"))
    if any(
        found.parts and any(part.lost is not None for part in found.parts)
        for against in comparison.against
        for axes in against.families.values()
        for found in axes.values()
    ):
        console.print(Text(GUARD_MEANING, style="dim"))
    for against in comparison.against:
        if comparison.differs == "model" and (against.other.render_spec, against.other.context) != ours:
            note = (
                f"{first.name} ran at {first.render_spec} with {first.context} context frames, {against.other.name} at "
                f"{against.other.render_spec} with {against.other.context}: each against references of its own."
            )
            console.print(Text(note, style="dim"))


def _table(comparison: Comparison, against: Against) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("skill", no_wrap=True)
    for name in (comparison.first.name, against.other.name):
        table.add_column(Text(name), justify="right", max_width=20, overflow="fold")
    table.add_column("look changes" if comparison.differs == "look" else "ahead by", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    rows = [
        ("overall", against.overall),
        *((AXIS_NAMES.get(name, name), found) for name, found in against.axes.items()),
    ]
    for name, found in rows:
        table.add_row(Text(name, style="bold"), *_cells(found))
    sizes = (against.strength.first, against.strength.other)
    if None not in sizes:
        table.add_section()
        texts = [Text(strength_text({"median": size}), style="dim") for size in sizes]
        table.add_row(Text("strength", style="bold"), *texts, Text(""), Text("diameters, median", style="dim"))
    for family, axes in against.families.items():
        table.add_section()
        table.add_row(Text(family, style="bold"), *_cells(axes["overall"]))
        for axis, found in axes.items():
            if axis != "overall" and found.ahead is not None:
                table.add_row(Text(f"  {AXIS_NAMES.get(axis, axis)}"), *_cells(found))
    return table


def _cells(found: SkillDifference) -> list[Text]:
    from rich.text import Text

    style = "" if found.sign else "dim"
    told = ascii_minus(bracket(found.interval)) if found.interval else ("" if found.ahead is None else "too few clips")
    if found.parts is None:
        both = [fixed(found.first), fixed(found.other)]
    else:
        both = [gained_and_lost(part.gained, part.lost) for part in found.parts]
    return [
        *(Text(ascii_minus(text), style="dim") for text in both),
        Text(ascii_minus(fixed(found.ahead)), style=style),
        Text(told, style=style),
    ]
