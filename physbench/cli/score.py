"""`physbench score RUN`: the second stage of an evaluation alone, for machines without a GPU."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from physbench.cli import completion
from physbench.cli import eval_options as o

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Folder or URL of the run.", show_default=False, autocompletion=completion.run_folders
    ),
]
ArchiveNow = Annotated[
    str | None,
    typer.Option(metavar="FILE|URL", help="Where the archive of clips lies now, if it was rolled out on one."),
]


def command(
    run: Run,
    clips: ArchiveNow = None,
    executor: o.ExecutorName = "local",
    address: o.Address = None,
    workers: o.Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the scores that are there.")] = False,
    debug: o.Debug = False,
) -> None:
    """Track and score what `rollout` left in a folder. It needs no model; what is scored already is kept.

    Example: physbench score runs/a
    """
    from physbench.cli.console import debugging, note
    from physbench.cli.eval_options import begin_workers

    if executor == "local" and workers != 0:
        begin_workers()
    from physbench.result.manifest import read_manifest
    from physbench.run.remote_run import run_at
    from physbench.run.stages import score_run
    from physbench.run.state import say_on_stderr

    with run_at(run, "go on", say_on_stderr) as place:
        folder = score_run(
            place.folder.path,
            workers=workers,
            clips=clips,
            fresh=fresh,
            executor=executor,  # type: ignore[arg-type]  # checked there
            address=address,
            debug=debugging(),
            say=place.say,
        )
        shard = read_manifest(folder).options.shard
    then = "physbench merge SHARD SHARD [...] --out DIR" if shard else f"physbench finish {shlex.quote(place.name)}"
    note(f"{'Once all shards are scored' if shard else 'Then'}: {then}")
    typer.echo(place.name)
