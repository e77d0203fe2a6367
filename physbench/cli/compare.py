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

    Runs of the suite expectation: what each model notices, and from which size on, side by side. Runs of both kinds,
    one of each for every model: whether who rolls out lawfully also notices.

    Example: physbench compare runs/objects-core-1 runs/constant-velocity-core-1
    """
    from physbench.errors import UsageError

    if len(runs) < 2:
        raise UsageError("Expected two runs or more: physbench compare RUN RUN.")
    from physbench.expectation.threshold_table import shows_films
    from physbench.results.run_comparison import compare
    from physbench.storage.run_folder import RunFolder

    films = [shows_films(RunFolder(path)) for path in runs]
    if all(films):
        _thresholds(runs, as_json)
        return
    if any(films):
        _skill_and_notice(runs, as_json)
        return
    comparison = compare(*(RunFolder(path) for path in runs))
    if as_json:
        typer.echo(comparison.model_dump_json(indent=1))
        return
    from physbench.cli.console import stdout_console
    from physbench.report.comparison_table import print_comparison

    print_comparison(comparison, stdout_console())


def _thresholds(runs: list[Path], as_json: bool) -> None:
    """What runs of the suite expectation notice."""
    from physbench.cli.console import stdout_console
    from physbench.expectation.threshold_table import print_thresholds, threshold_table
    from physbench.storage.run_folder import RunFolder

    table = threshold_table([RunFolder(path) for path in runs])
    if as_json:
        typer.echo(table.model_dump_json(indent=1))
        return
    print_thresholds(table, stdout_console())


def _skill_and_notice(runs: list[Path], as_json: bool) -> None:
    """Skill on the axes beside what is noticed."""
    from physbench.cli.console import stdout_console
    from physbench.expectation.skill_and_notice import print_skill_and_notice, skill_and_notice
    from physbench.storage.run_folder import RunFolder

    table = skill_and_notice([RunFolder(path) for path in runs])
    if as_json:
        typer.echo(table.model_dump_json(indent=1))
        return
    print_skill_and_notice(table, stdout_console())
