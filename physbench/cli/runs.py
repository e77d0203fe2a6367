"""`physbench runs`: the runs below a folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physbench.cli.console import note, stdout_console
from physbench.support.errors import UsageError, nearest
from physbench.support.remote import is_url

if TYPE_CHECKING:
    from physbench.result.read import RunSummary

WIDE, WIDE_WITH_NOTES = 110, 170  # columns of a terminal from which axes are shown


def command(
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="Folder with runs, on this machine.")] = "runs",
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Only runs with this tag.")] = None,
    sort: Annotated[
        str,
        typer.Option(metavar="BY", help="changed, run, model, suite, overall, consistency, permanence or drift."),
    ] = "changed",
    check: Annotated[
        bool, typer.Option("--check", help="Read all files of finished runs, and name what was changed since.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List runs with model, suite, overall and state, on a wide terminal with axes; the newest first, or by --sort.

    Example: physbench runs
    """
    from physbench.result.formats import ascii_minus
    from physbench.result.read import SORTED_BY, find_runs, sorted_runs
    from physbench.result.report.runs import axis_words, overall_words, state_words
    from physbench.score.protocol import AXES

    if is_url(folder):
        raise UsageError(
            f"`runs` needs a folder of this machine, and {folder} is a URL. Of one run: physbench status URL"
        )
    if sort not in SORTED_BY:
        raise UsageError(f"--sort: there is no column '{sort}'.{nearest(sort, SORTED_BY)}")
    listed = sorted_runs([each for each in find_runs(Path(folder)) if tag is None or tag in each.tags], sort)
    if check:
        _check(listed)
        return
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in listed], indent=1))
        return
    if not listed:
        note(f"There is no run in {folder}{f' with the tag {tag}' if tag else ''}. `physbench eval MODEL` makes one.")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    console = stdout_console()
    notes = any(each.note or each.tags for each in listed)
    shown_axes = AXES if console.width >= (WIDE_WITH_NOTES if notes else WIDE) else ()
    columns = ["run", "model", "suite", "overall", *shown_axes, "state", "changed"]
    for name in [*columns, "note"] if notes else columns:
        table.add_column(
            name,
            justify="right" if name in AXES else "left",
            overflow="fold",
            no_wrap=name in ("state", "changed"),
        )
    for each in listed:
        changed = datetime.fromtimestamp(each.changed).strftime("%Y-%m-%d %H:%M")
        tags = " ".join(f"[{name}]" for name in each.tags)
        axes = (ascii_minus(axis_words(each, axis)) for axis in shown_axes)
        cells = [each.path, each.model, each.suite, overall_words(each), *axes, state_words(each), changed]
        cells += [" ".join(part for part in (tags, each.note) if part)] if notes else []
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _check(runs: list[RunSummary]) -> None:
    """Say of each run whether it consists of what it was finished with. Exits with 1 where one does not."""
    from physbench.result.manifest import read_manifest
    from physbench.support.run_folder import RunFolder, other_contents

    others = 0
    for each in runs:
        folder, state = RunFolder(Path(each.path)), "as it was finished"
        if each.state == "damaged":
            others, state = others + 1, f"damaged: {each.note}"
        else:
            contents = read_manifest(folder).contents
            names = other_contents(folder, contents)
            if names:
                others, state = others + 1, f"changed since: {', '.join(names)}. Repeat its command with --resume."
            elif contents is None:
                state = "not finished" if each.state == "unfinished" else "finished, but holds no hashes of its files"
        stdout_console().print(f"{each.path}: {state}", markup=False, soft_wrap=True)
    if others:
        raise typer.Exit(1)
