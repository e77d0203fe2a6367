"""`physbench compare RUN RUN [...]`: paired differences of runs on the same clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

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

    Runs of the suite expectation: what each model notices, and from which size on, side by side. Runs of both kinds,
    one of each for every model: whether models that roll out lawfully also notice.

    Example: physbench compare runs/objects-core-1 runs/constant-velocity-core-1
    """
    from physbench.errors import UsageError

    if len(runs) < 2:
        raise UsageError("Expected two runs or more: physbench compare RUN RUN.")
    places = [path.resolve() for path in runs]
    if twice := [path for path, place in zip(runs, places, strict=True) if places.count(place) > 1]:
        raise UsageError(f"Expected different runs but got {twice[0]} more than once.")
    from physbench.cli.console import stdout_console
    from physbench.expectation.skill_and_notice import print_skill_and_notice, skill_and_notice
    from physbench.expectation.threshold_table import print_thresholds, shows_films, threshold_table
    from physbench.report.comparison_table import print_comparison
    from physbench.results.run_comparison import compare
    from physbench.storage.run_folder import RunFolder

    folders = [RunFolder(path) for path in runs]
    films = [shows_films(folder) for folder in folders]
    table: Any
    show: Callable[..., None]
    if all(films):
        table, show = threshold_table(folders), print_thresholds
    elif any(films):
        table, show = skill_and_notice(folders), print_skill_and_notice
    else:
        table, show = compare(*folders), print_comparison
    if as_json:
        typer.echo(table.model_dump_json(indent=1))
    else:
        show(table, stdout_console())
