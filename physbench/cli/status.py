"""`physbench status RUN`: how far a run is, and what it has found so far."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict

import typer

from physbench.cli import eval_options as o
from physbench.cli.score import Run


def command(run: Run, as_json: o.Json = False, debug: o.Debug = False) -> None:
    """Show how far a run is, and the result of the clips that are scored, with intervals. The run goes on meanwhile.

    Example: physbench status runs/objects-core-1
    """
    from physbench.cli.console import note, stdout_console
    from physbench.result.report.terminal import print_summary
    from physbench.run.finalize import run_so_far
    from physbench.run.remote_run import run_at

    with run_at(run, "glance", note) as place:
        progress = run_so_far(place.folder)
    shard = f", shard {progress.shard}" if progress.shard else ""
    if as_json:
        shown = None if progress.result is None else progress.result.model_dump(mode="json")
        typer.echo(json.dumps({**asdict(progress), "result": shown}, indent=1))
        return
    if progress.finished and not progress.ended:
        note(
            f"{run} has a result, and its report is not written. If nothing is at work in it, go on with: "
            f"physbench finish {shlex.quote(run)}"
        )
    elif progress.finished:
        note(f"{run} is finished.")
    elif progress.partial:
        note(
            f"{run} has ended early: {progress.rolled} of {progress.of} rollouts are made. "
            f"The result of {progress.clips} of {progress.of_clips} clips; the same eval command with --resume goes on."
        )
    else:
        before = ", before the diagnosis" if progress.before_diagnosis else ""
        clips = f"On {progress.clips} of {progress.of_clips} clips so far{before}:"
        note(
            f"{run}{shard}: {progress.rolled} of {progress.of} rollouts are made, {progress.scored} are scored. "
            + (clips if progress.result else "There is no result yet.")
        )
        if progress.rolled == progress.of:
            # A clip of several samples may lie in two shards, and is whole in none.
            read = (
                progress.scored == progress.of
                and not progress.unread
                and (progress.shard or progress.clips == progress.of_clips)
            )
            if not read:
                words = f"physbench score {shlex.quote(run)}"
            elif progress.shard:
                words = "physbench merge SHARD SHARD [...] --out DIR, with all shards"
            else:
                words = f"physbench finish {shlex.quote(run)}"
            note(f"If nothing is at work in it, go on with: {words}")
    if progress.result:
        print_summary(progress.result, stdout_console())
