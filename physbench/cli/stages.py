"""The stages of an evaluation one by one: `rollout`, `score` and `finish` a run, `merge` its shards, its `status`."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated

import typer

from physbench.cli import completion
from physbench.cli import eval as o
from physbench.cli.console import debugging, note, refuse_missing, stdout_console
from physbench.run.options import Options
from physbench.support.errors import UsageError

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


@o.run_command(stage=True)
def rollout(
    context: typer.Context,
    options: Options,
    out: o.Out = None,
    resume: o.Resume = False,
    fresh: o.Fresh = False,
) -> None:
    """Roll a model out into a run folder, and nothing else. `score` and `finish` go on, here or on another machine.

    Example: physbench rollout reference:objects --suite smoke --out runs/a
    """
    if options.suite == "expectation":
        raise UsageError("The suite expectation shows films: run `physbench eval MODEL --suite expectation`.")

    o.refuse_early(options)
    from physbench.run.evaluate import evaluate

    with o.requested_run(context, options, evaluate, stages=("rollout",)) as place:
        name = place.named(place.folder.path)
    note(f"Then: physbench score {shlex.quote(name)}")
    typer.echo(name)


def score(
    run: Run,
    clips: ArchiveNow = None,
    executor: o.ExecutorName = "local",
    address: o.Address = None,
    workers: o.Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the scores that are there.")] = False,
) -> None:
    """Track and score what `rollout` left in a folder. It needs no model; what is scored already is kept.

    Example: physbench score runs/a
    """
    refuse_missing(run)
    if executor == "local" and workers != 0:
        o.begin_workers()
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


def finish(run: Run, clips: ArchiveNow = None, workers: o.Workers = None, as_json: o.Json = False) -> None:
    """Write result and report of a run that is rolled out and scored.

    Example: physbench finish runs/a
    """
    refuse_missing(run)
    from physbench.run.remote_run import run_at
    from physbench.run.stages import finish_run
    from physbench.run.state import say_on_stderr

    with run_at(run, "go on", say_on_stderr) as place:
        finish_run(place.folder.path, workers=workers, clips=clips, debug=debugging(), say=place.say)
        o.print_result(place, as_json)


def merge(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD...", help="Folders or URLs of all shards of a run.")],
    out: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Folder or URL of the whole run, to create.", show_default=False)
    ],
    workers: o.Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the run in --out.")] = False,
    as_json: o.Json = False,
) -> None:
    """Join the shards of a run, made with --shard I/N, and write its result and report. The shards stay as they are.

    Interrupted, it goes on with the same command.

    Example: physbench merge runs/shard-1 runs/shard-2 --out runs/whole
    """
    refuse_missing(*shards)
    from physbench.run.remote_run import run_at, use_of_out
    from physbench.run.shards import merge_runs
    from physbench.run.state import say_on_stderr

    with ExitStack() as stack:
        places = [stack.enter_context(run_at(shard, "read", say_on_stderr)) for shard in shards]
        whole = stack.enter_context(run_at(out, use_of_out(not fresh, fresh), say_on_stderr))
        paths = [place.folder.path for place in places]
        merge_runs(paths, whole.folder.path, workers=workers, fresh=fresh, debug=debugging(), say=whole.say)
        o.print_result(whole, as_json)


def status(run: Run, as_json: o.Json = False) -> None:
    """Show how far a run is, and the result of the clips that are scored, with intervals. The run goes on meanwhile.

    Example: physbench status runs/objects-core-1
    """
    refuse_missing(run)
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
