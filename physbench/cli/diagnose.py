"""`physbench diagnose RUN`: which other laws would explain the motion that a model predicts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from physbench.cli import completion


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder or URL of a finished run.",
            show_default=False,
            autocompletion=completion.run_folders,
        ),
    ],
    workers: Annotated[int | None, typer.Option(help="Processes. [default: as many as there are cores]")] = None,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="FILE.py", help="A file with the run's own tasks, or with changed worlds of your own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Name the laws that a model follows instead of the true ones, family by family.

    Worlds with one law changed (gravity, drag, restitution, ...) are fitted to the tracks of a run. The one that
    explains most of what the true laws do not is named with its number. Writes RUN/diagnosis.json, and builds
    result.json and the report again. What is wrong with the timing of frames is said first, with what it explains. No
    score changes.

    `physbench eval` does the same at the end of a run, unless `--no-diagnosis` is given.

    Example: physbench diagnose runs/objects-smoke-1
    """
    from physbench.cli.console import note
    from physbench.result.build import write_result
    from physbench.result.diagnosis.diagnose_run import diagnose_run
    from physbench.result.implied_worlds import implied_sentence
    from physbench.result.manifest import read_manifest
    from physbench.result.report.data import require_tasks
    from physbench.result.report.page import write_report
    from physbench.run.remote_run import run_at
    from physbench.support.processes import worker_count

    if tasks is not None:
        from physbench.support import user_files

        for part in user_files.split_pattern(tasks):
            for file, _ in user_files.open_files(part):
                user_files.register_file(file)
    with run_at(run, "go on", note) as place:
        folder = place.folder
        require_tasks(folder, read_manifest(folder))
        worlds = diagnose_run(folder, worker_count(workers))
        result = write_result(folder)
        if folder.report.is_file():
            write_report(folder, None, result, workers=worker_count(workers))
    if as_json:
        typer.echo(json.dumps({family: world.model_dump(mode="json") for family, world in worlds.items()}, indent=1))
        return
    if result.timing is not None and result.timing.named:
        typer.echo(result.timing.sentence)
    for family, world in worlds.items():
        typer.echo(f"{family}: {implied_sentence(world)}")
        if world.alike:
            typer.echo(f"  explains as much: {', '.join(world.alike)}")
    if not worlds:
        typer.echo("No motion of this run can be judged by its laws.")
