"""`physbench report RUN`: rebuild the result and the report from a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)],
    tasks: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="The file with the run's own tasks, where it has some.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result document to stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Build result.json and the report again from what a run stored. Nothing is rolled out or scored.

    Example: physbench report runs/objects-smoke-1
    """
    from physbench.results.build import write_result
    from physbench.results.folder import RunFolder
    from physbench.results.report import write_report

    if tasks is not None:
        from physbench.clips.task import match_tasks

        match_tasks(tasks)
    folder = RunFolder(run)
    result = write_result(folder)
    write_report(folder)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    from physbench.cli.console import stdout_console
    from physbench.results.summary import print_summary

    print_summary(result, stdout_console())
    typer.echo(f"Report: {folder.report}")
