"""A result and a comparison on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from physbench.clips.suite import suite_label
from physbench.result.bootstrap import FEWEST
from physbench.result.document import ResultDocument
from physbench.result.formats import AXIS_NAMES, SATURATED_MEANING, ascii_minus, bracket, counted, fixed, joined
from physbench.result.readings import strength_text
from physbench.result.report import tables
from physbench.result.report.summary import SummaryView, own_readings, summary_view
from physbench.result.report.tables import Table as TableView

if TYPE_CHECKING:
    from rich.console import Console

    from physbench.result.compare import Against, Comparison, SkillDifference

# A comparison on a terminal.


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a sentence and a table for each of the other runs. Needs 80 columns and no colours."""
    for against in comparison.against:
        console.print()
        console.print(Text(against.sentence))
        if comparison.differs == "look":
            words = (
                "One model in two looks: what is told apart is what the pictures change for it, not the physics. "
                "Motion is the same in both, and each skill lies between ground truth and the frozen frame of its own "
                "look."
            )
            console.print(Text(words))
        console.print()
        console.print(_table(comparison, against))
    first = comparison.first
    ours = (first.render_spec, first.context)
    console.print()
    bounded = any(
        difference.interval
        for against in comparison.against
        for difference in (
            *against.axes.values(),
            *(one for axes in against.families.values() for one in axes.values()),
        )
    )
    limits = "95 % intervals" if bounded else f"no intervals: they need {FEWEST} clips of each task and split"
    parts = set(comparison.held) - {comparison.clips}
    shared = f", those that all runs hold (of {joined([str(held) for held in comparison.held])})" if parts else ""
    suite = suite_label(comparison.suite, comparison.version, comparison.provisional)
    head = f"{suite}, {counted(comparison.clips, 'clip')}{shared}, paired; {limits}."
    console.print(Text(head, style="dim"))
    for failure in comparison.failures:
        console.print(Text(failure, style="red"))
    if any(
        difference.parts and any(part.lost is not None for part in difference.parts)
        for against in comparison.against
        for axes in against.families.values()
        for difference in axes.values()
    ):
        console.print(Text(SATURATED_MEANING, style="dim"))
    for against in comparison.against:
        if comparison.differs == "model" and (against.other.render_spec, against.other.context) != ours:
            note = (
                f"{first.name} ran at {first.render_spec} with {first.context} context frames, {against.other.name} at "
                f"{against.other.render_spec} with {against.other.context}: each against references of its own."
            )
            console.print(Text(note, style="dim"))


def _table(comparison: Comparison, against: Against) -> object:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("skill", no_wrap=True)
    for name in (comparison.first.name, against.other.name):
        table.add_column(Text(name), justify="right", max_width=20, overflow="fold")
    table.add_column("look changes" if comparison.differs == "look" else "ahead by", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    rows = [
        ("overall", against.overall),
        *((AXIS_NAMES.get(name, name), difference) for name, difference in against.axes.items()),
    ]
    for name, difference in rows:
        table.add_row(Text(name, style="bold"), *_cells(difference))
    sizes = (against.strength.first, against.strength.other)
    if None not in sizes:
        table.add_section()
        texts = [Text(strength_text(size), style="dim") for size in sizes]
        table.add_row(Text("strength", style="bold"), *texts, Text(""), Text("diameters, median", style="dim"))
    for family, axes in against.families.items():
        table.add_section()
        table.add_row(Text(family, style="bold"), *_cells(axes["overall"]))
        for axis, difference in axes.items():
            if axis != "overall" and difference.ahead is not None:
                table.add_row(Text(f"  {AXIS_NAMES.get(axis, axis)}"), *_cells(difference))
    return table


def _cells(difference: SkillDifference) -> list[Text]:
    style = "" if difference.sign else "dim"
    limits = (
        ascii_minus(bracket(difference.interval))
        if difference.interval
        else ("" if difference.ahead is None else "too few clips")
    )
    if difference.parts is None:
        both = [fixed(difference.first), fixed(difference.other)]
    else:
        both = [_stacked(tables.gained_and_lost(part.gained, part.lost)) for part in difference.parts]
    return [
        *(Text(ascii_minus(text), style="dim") for text in both),
        Text(ascii_minus(fixed(difference.ahead)), style=style),
        Text(limits, style=style),
    ]


def print_summary(result: ResultDocument, console: Console) -> None:
    """Print a result document. Needs 72 columns and no colours."""
    view = summary_view(result)

    def say(text: str, style: str = "") -> None:
        if text:
            console.print(Text(ascii_minus(text), style=style))

    console.print()
    console.print(Text(view.model, style="bold").append(f"  {', '.join(view.run)}", style="dim"))
    say(view.limits, "yellow")
    console.print()
    for sentence in view.sentences:
        console.print(Text(sentence), soft_wrap=False)
    if view.scored:
        console.print()
        console.print(_summary_table(result))
        console.print()
        console.print(_overall(view))
        say(f"overall: {view.meaning}" if view.meaning else "", "dim")
        for shown, legend in (
            (tables.velocity_errors(result), tables.VELOCITY_LEGEND),
            (tables.combinations(result), tables.COMBINATIONS_LEGEND),
        ):
            if shown:
                console.print()
                console.print(_plain_table(shown))
                say(legend, "dim")
        for line in own_readings(result):
            say(line)
        for text, style in (
            (view.best_of, "dim"),
            (view.distribution, "dim"),
            (view.unseen, "dim"),
            (view.events, "yellow"),
            (view.memory, "dim"),
            *((legend, "dim") for legend in view.legend),
        ):
            say(text, style)
    if len(view.reasons) == 1:
        say(f"{view.failed}: {_indented(view.reasons[0][0])}", "red")
    elif view.reasons:
        say(f"{view.failed}:", "red")
        for reason, count in view.reasons:
            say(f"  {count} x {_indented(reason)}", "red")
        say(f"  and {view.more_reasons} more, in result.json" if view.more_reasons else "", "red")
    for reading, why in view.unavailable:
        if why.startswith("unavailable"):
            say(f"{reading} {'are' if ' and ' in reading else 'is'} {why}", "dim")
        else:
            say(f"unavailable: {reading} {why}", "red")
    say(view.speed, "dim")


def _summary_table(result: ResultDocument) -> Table:
    """Skill by family, task and axis; then that of all families with its interval, and of the references."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    table.add_column("skill", no_wrap=True)
    table.add_column("over-\nall", justify="right", no_wrap=True)
    for axis in result.axes:
        name = AXIS_NAMES.get(axis, axis)
        table.add_column(name.replace(" ", "\n"), justify="right")  # two short lines
    sized = result.strength is not None
    if sized:
        table.add_column("strength", justify="right", no_wrap=True, style="dim")
    styles = {"all": "bold", "reference": "dim"}
    for line in sorted(tables.skill_rows(result), key=lambda line: line.level in styles):
        cells = [*(_cell(cell) for cell in line.cells), *([Text(line.strength)] if sized else [])]
        if style := styles.get(line.level):
            table.add_row(Text(line.name, style=style), *(Text(cell.plain, style=style) for cell in cells))
        else:
            inner = line.level == "task" and ": " not in line.name
            table.add_row(Text(f"  {line.name}" if inner else line.name, style="" if inner else "bold"), *cells)
        if line.level == "all" and any(cell.note for cell in line.cells):
            notes = (Text(ascii_minus(cell.note), style="dim") for cell in line.cells[1:])
            table.add_row(Text("95 % interval", style="dim"), "", *notes)  # that of overall is said before
    return table


def _plain_table(shown: TableView) -> Table:
    """A table of the page on a terminal: figures alone, in as few columns as possible."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    for column, name in enumerate(shown.columns):
        words = column == 0 or column in shown.words
        table.add_column(name.replace(" ", "\n"), justify="left" if words else "right", no_wrap=True)
    for row in (row for group in shown.groups for row in group):
        table.add_row(Text(row.name), *(Text(ascii_minus(cell.text)) for cell in row.cells))
    return table


def _cell(cell: tables.Cell) -> Text:
    word = f" {cell.note}" if cell.note == "lost" else ""
    text = cell.note if cell.note in ("unscored", "absent") else _stacked(ascii_minus(cell.text) + word)
    return Text(text, style="dim" if cell.tone in ("kept", "none") else "")


def _stacked(text: str) -> str:
    """ "0.64 -0.05 lost" with the gain above the loss: 80 columns do not hold both beside each other on every axis."""
    gained, _, lost = text.partition(" ")
    return f"{gained}\n{lost}" if lost.endswith(" lost") else text


def _overall(view: SummaryView) -> Text:
    line = Text("overall ", style="bold")
    line.append(ascii_minus(view.overall.value), style="bold cyan")
    line.append(ascii_minus(f" {view.overall.interval}").rstrip(), style="cyan")
    if view.overall.reason:
        line.append(f"  ({view.overall.reason})", style="dim")
    for part in view.beside:
        line.append(f"   {ascii_minus(part)}", style="dim")
    return line


def _indented(reason: str) -> str:
    """A reason, which may have two lines, as a part of a list."""
    return reason.replace("\n", "\n    ")
