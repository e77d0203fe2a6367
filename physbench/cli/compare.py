"""`physbench compare RUN RUN [...]`: paired differences of runs on the same clips."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import typer

from physbench.cli import completion


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="Folders or URLs of finished runs: the first, and what it is compared with.",
            autocompletion=completion.run_folders,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON to stdout.")] = False,
) -> None:
    """Say whether the first model is ahead of the others, with intervals paired clip by clip.

    Two runs of one model in two looks: what the look changes.

    Runs of the suite expectation: what each model notices, and from which size on, side by side. Runs of both kinds,
    one of each for every model: whether models that roll out lawfully also notice.

    Example: physbench compare runs/objects-core-1 runs/constant-velocity-core-1
    """
    from physbench.support.errors import UsageError
    from physbench.support.remote import is_url

    if len(runs) < 2:
        raise UsageError("Expected two runs or more: physbench compare RUN RUN.")
    resolved = [run.rstrip("/") if is_url(run) else str(Path(run).resolve()) for run in runs]
    if twice := [path for path, place in zip(runs, resolved, strict=True) if resolved.count(place) > 1]:
        raise UsageError(f"Expected different runs but got {twice[0]} more than once.")
    from physbench.cli.console import note, stdout_console
    from physbench.result.compare import compare
    from physbench.result.report.terminal import print_comparison
    from physbench.run.remote_run import run_at
    from physbench.surprise.document import print_skill_and_notice, skill_and_notice
    from physbench.surprise.report import print_thresholds, shows_films, threshold_table

    table: Any
    show: Callable[..., None]
    with ExitStack() as stack:
        places = [stack.enter_context(run_at(each, "glance", note)) for each in runs]
        folders = [place.folder for place in places]
        films = [shows_films(folder) for folder in folders]
        if all(films):
            table, show = threshold_table(folders), print_thresholds
        elif any(films):
            table, show = skill_and_notice(folders), print_skill_and_notice
        else:
            table, show = compare(*folders), print_comparison
    if as_json:
        typer.echo(reduce(lambda text, place: place.named(text), places, table.model_dump_json(indent=1)))
    else:
        show(table, stdout_console())
