"""`physbench runs`: the runs below a folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from physbench.cli.console import note, stdout_console


def command(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder with runs.")] = Path("runs"),
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Only runs with this tag.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """List runs with model, suite, overall and state, the newest first.

    Example: physbench runs
    """
    from physbench.report.runs_page import overall_words, state_words
    from physbench.results.run_listing import find_runs

    found = [each for each in find_runs(folder) if tag is None or tag in each.tags]
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=1))
        return
    if not found:
        note(f"There is no run in {folder}{f' with the tag {tag}' if tag else ''}. `physbench eval MODEL` makes one.")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    columns = ["run", "model", "suite", "overall", "state", "changed"]
    notes = any(each.note or each.tags for each in found)
    for name in [*columns, "note"] if notes else columns:
        table.add_column(name, justify="right" if name == "overall" else "left", overflow="fold")
    for each in found:
        changed = datetime.fromtimestamp(each.changed).strftime("%Y-%m-%d %H:%M")
        tags = " ".join(f"[{name}]" for name in each.tags)
        cells = [each.path, each.model, each.suite, overall_words(each), state_words(each), changed]
        cells += [" ".join(part for part in (tags, each.note) if part)] if notes else []
        table.add_row(*(Text(cell) for cell in cells))
    stdout_console().print(table)
