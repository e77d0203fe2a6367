"""`physbench rollout MODEL`: the first stage of an evaluation alone, for machines that have a GPU and no PyBullet."""

from __future__ import annotations

import shlex

import typer

from physbench.cli import eval_options as o
from physbench.run.options import Options
from physbench.support.errors import UsageError


@o.run_command(stage=True)
def command(
    context: typer.Context,
    options: Options,
    out: o.Out = None,
    resume: o.Resume = False,
    fresh: o.Fresh = False,
    debug: o.Debug = False,
) -> None:
    """Roll a model out into a run folder, and nothing else. `score` and `finish` go on, here or on another machine.

    Example: physbench rollout reference:objects --suite smoke --out runs/a
    """
    if options.suite == "expectation":
        raise UsageError("The suite expectation shows films: run `physbench eval MODEL --suite expectation`.")

    from physbench.cli.console import note as note_line
    from physbench.cli.eval_options import requested_run
    from physbench.run.evaluate import evaluate

    with requested_run(context, options, evaluate, stages=("rollout",)) as place:
        name = place.named(place.folder.path)
    note_line(f"Then: physbench score {shlex.quote(name)}")
    typer.echo(name)
