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
        found = run_so_far(place.folder)
    shard = f", shard {found.shard}" if found.shard else ""
    if as_json:
        shown = None if found.result is None else found.result.model_dump(mode="json")
        typer.echo(json.dumps({**asdict(found), "result": shown}, indent=1))
        return
    if found.finished and not found.ended:
        note(
            f"{run} has a result, and its report is not written. If nothing is at work in it, go on with: "
            f"physbench finish {shlex.quote(run)}"
        )
    elif found.finished:
        note(f"{run} is finished.")
    elif found.partial:
        note(
            f"{run} has ended early: {found.rolled} of {found.of} rollouts are made. The result of {found.clips} of "
            f"{found.of_clips} clips; the same eval command with --resume goes on."
        )
    else:
        before = ", before the diagnosis" if found.before_diagnosis else ""
        clips = f"On {found.clips} of {found.of_clips} clips so far{before}:"
        note(
            f"{run}{shard}: {found.rolled} of {found.of} rollouts are made, {found.scored} are scored. "
            + (clips if found.result else "There is no result yet.")
        )
        if found.rolled == found.of:
            # A clip of several samples may lie in two shards, and is whole in none.
            read = found.scored == found.of and not found.unread and (found.shard or found.clips == found.of_clips)
            if not read:
                words = f"physbench score {shlex.quote(run)}"
            elif found.shard:
                words = "physbench merge SHARD SHARD [...] --out DIR, with all shards"
            else:
                words = f"physbench finish {shlex.quote(run)}"
            note(f"If nothing is at work in it, go on with: {words}")
    if found.result:
        print_summary(found.result, stdout_console())
