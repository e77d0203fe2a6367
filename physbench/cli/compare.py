"""`physbench compare RUN RUN [...]`: paired differences of runs on the same clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Folders of finished runs: the first, and what it is compared with."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON to stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Say whether the first model is ahead of the others, with intervals paired clip by clip.

    Example: physbench compare runs/objects-core-1 runs/constant-velocity-core-1
    """
    from physbench.errors import UsageError

    if len(runs) < 2:
        raise UsageError("Expected two runs or more: physbench compare RUN RUN.")
    from physbench.results.run_comparison import compare
    from physbench.storage.run_folder import RunFolder

    comparison = compare(*(RunFolder(path) for path in runs))
    if as_json:
        typer.echo(comparison.model_dump_json(indent=1))
        return
    from physbench.cli.console import stdout_console
    from physbench.report.comparison_table import print_comparison

    print_comparison(comparison, stdout_console())
