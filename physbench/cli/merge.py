"""`physbench merge SHARD SHARD [...] --out DIR`: the parts of a run become one run, with result and report."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from physbench.cli import eval_options as o


def command(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD...", help="Folders or URLs of all shards of a run.")],
    out: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Folder or URL of the whole run, to create.", show_default=False)
    ],
    workers: o.Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the run in --out.")] = False,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Join the shards of a run, made with --shard I/N, and write its result and report. The shards stay as they are.

    Interrupted, it goes on with the same command.

    Example: physbench merge runs/shard-1 runs/shard-2 --out runs/whole
    """
    from physbench.cli.console import debugging
    from physbench.cli.eval import print_result
    from physbench.run.remote_run import run_at, use_of_out
    from physbench.run.shards import merge_runs
    from physbench.run.state import say_on_stderr

    with ExitStack() as stack:
        places = [stack.enter_context(run_at(shard, "read", say_on_stderr)) for shard in shards]
        whole = stack.enter_context(run_at(out, use_of_out(not fresh, fresh), say_on_stderr))
        paths = [place.folder.path for place in places]
        merge_runs(paths, whole.folder.path, workers=workers, fresh=fresh, debug=debugging(), say=whole.say)
        print_result(whole, as_json)
