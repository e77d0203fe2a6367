"""The result on a terminal: the sentences, a table of skill by task and axis, and notes on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from physbench.report.own_readings import own_readings
from physbench.report.skill_table import skill_rows
from physbench.report.summary_view import SummaryView, summary_view
from physbench.report.table_view import Cell
from physbench.results.number_format import AXIS_NAMES, ascii_minus

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Document = Mapping[str, Any]


def print_summary(result: Document, console: Console) -> None:
    """Print a result document. Needs 72 columns and no colours."""
    from rich.text import Text

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
        console.print(_table(result))
        console.print()
        console.print(_overall(view))
        say(f"overall: {view.meaning}" if view.meaning else "", "dim")
        for line in own_readings(result):
            say(line)
        for text, style in (
            (view.best_of, "dim"),
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


def _table(result: Document) -> Table:
    """Skill by family, task and axis; then that of all families with its interval, and of the references."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    table.add_column("skill", no_wrap=True)
    table.add_column("over-\nall", justify="right", no_wrap=True)
    for axis in result["axes"]:
        name = AXIS_NAMES.get(axis, axis)
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)  # two short lines
    sized = result.get("strength") is not None
    if sized:
        table.add_column("strength", justify="right", no_wrap=True, style="dim")
    styles = {"all": "bold", "reference": "dim"}
    for line in sorted(skill_rows(result), key=lambda line: line.level in styles):
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


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    word = f" {cell.note}" if cell.note == "lost" else ""
    text = cell.note if cell.note in ("not scored", "not asked") else ascii_minus(cell.text) + word
    return Text(text, style="dim" if cell.tone in ("kept", "none") else "")


def _overall(view: SummaryView) -> Text:
    from rich.text import Text

    line = Text("overall ", style="bold")
    line.append(ascii_minus(view.overall.value), style="bold cyan")
    line.append(ascii_minus(f" {view.overall.interval}").rstrip(), style="cyan")
    if view.overall.reason:
        line.append(f"  ({view.overall.reason})", style="dim")
    for said in view.beside:
        line.append(f"   {ascii_minus(said)}", style="dim")
    return line


def _indented(reason: str) -> str:
    """A reason, which may have two lines, as a part of a list."""
    return reason.replace("\n", "\n    ")
