"""`physbench score RUN`: the second stage of an evaluation alone, for machines without a GPU."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from physbench.cli import eval_options as o

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.", show_default=False)]
ArchiveNow = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where the archive of clips lies now, if it was rolled out on one.")
]


def command(
    run: Run,
    clips: ArchiveNow = None,
    workers: o.Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the scores that are there.")] = False,
    debug: o.Debug = False,
) -> None:
    """Track and score what `rollout` left in a folder. It needs no model; what is scored already is kept.

    Example: physbench score runs/a
    """
    from physbench.cli.console import debugging, note
    from physbench.results.read_run import read_manifest
    from physbench.run.evaluate import say_on_stderr
    from physbench.run.stored_stages import score_run

    folder = score_run(run, workers=workers, clips=clips, fresh=fresh, debug=debugging(), say=say_on_stderr)
    shard = read_manifest(folder)["options"].get("shard")
    then = "physbench merge SHARD SHARD [...] --out DIR" if shard else f"physbench finish {shlex.quote(str(run))}"
    note(f"{'Once all shards are scored' if shard else 'Then'}: {then}")
    typer.echo(folder.path)
