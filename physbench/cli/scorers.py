"""`physbench scorers`: what is read from a prediction, and how each reading is defined."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from physbench.cli.console import note, stdout_console

app = typer.Typer(help="List and explain the scorers.", no_args_is_help=True, rich_markup_mode=None)

ScorerName = Annotated[str, typer.Argument(metavar="ID", help="consistency/explained, or explained.")]


@app.command("list")
def list_scorers() -> None:
    """List the installed scorers: what counts on an axis first, then the diagnostics outside every mean."""
    from rich.table import Table

    from physbench.scoring.protocol import AXES
    from physbench.scoring.score import find_scorers

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("scorer", "axis", "unit", "better", "what it is"):
        table.add_column(column)
    order = {axis: rank for rank, axis in enumerate(AXES)}
    for each in sorted(find_scorers(), key=lambda s: (order.get(s.axis, len(order)) if s.axis else 9, s.id)):
        axis = f"{each.axis}{' (headline)' if each.headline else ''}" if each.axis else "-"
        table.add_row(each.id, axis, each.unit, each.better, inspect.cleandoc(each.doc).splitlines()[0])
    stdout_console().print(table)


@app.command()
def show(name: ScorerName) -> None:
    """Show a scorer's definition: formula, unit, range, direction, noise floor, source."""
    from rich.table import Table
    from rich.text import Text

    from physbench.scoring.score import find_scorers

    console = stdout_console()
    for rank, each in enumerate(find_scorers(name)):
        if rank:
            console.print()
        console.print(Text(each.id, style="bold") + Text(f"  version {each.version}", style="dim"))
        console.print()
        console.print(Text(inspect.cleandoc(each.doc)))
        console.print()
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="dim")
        table.add_column()
        place = "none: a diagnostic, outside every mean"
        if each.axis:
            place = each.axis + (", its quality is the axis's" if each.headline else "")
        table.add_row("axis", place + (", provisional" if each.provisional else ""))
        table.add_row("unit", {"1": "1 (a pure number)"}.get(each.unit, each.unit))
        table.add_row("better", each.better)
        table.add_row("noise floor", each.noise_floor)
        table.add_row("source", each.source)
        table.add_row("needs", ", ".join(each.needs))
        console.print(table)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="In small letters with hyphens, as in my-scorer.")],
    family: Annotated[str, typer.Option(help="What its id begins with.")] = "own",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to.")] = Path(),
) -> None:
    """Write a scorer that works, to be changed into yours, and a test of it."""
    from physbench.clips.template import write_template

    path, test = write_template("scorer", name, family, out)
    note(f"Change it, then run:\n  physbench eval MODEL --suite smoke --scorers {path}")
    typer.echo(path)
    typer.echo(test)
