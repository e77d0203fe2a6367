"""`physbench merge SHARD SHARD [...] --out DIR`: the parts of a run become one run, with result and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from physbench.cli import eval_options as o


def command(
    shards: Annotated[list[Path], typer.Argument(metavar="SHARD...", help="Folders of all shards of a run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the whole run, to create.", show_default=False)],
    workers: o.Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the run in --out.")] = False,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Join the shards of a run, made with --shard I/N, and write its result and report. The shards stay as they are.

    Example: physbench merge runs/shard-1 runs/shard-2 --out runs/whole
    """
    from physbench.cli.console import debugging
    from physbench.cli.eval import print_result
    from physbench.run.evaluate import say_on_stderr
    from physbench.run.merge_runs import merge_runs

    folder = merge_runs(shards, out, workers=workers, fresh=fresh, debug=debugging(), say=say_on_stderr)
    print_result(folder, as_json)
