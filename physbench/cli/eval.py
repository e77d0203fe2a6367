"""`physbench eval MODEL`: roll a model out on a suite, score it and write a report."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from physbench.cli import eval_options as o
from physbench.run.options import WHAT, Options
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    from physbench.run.evaluate import Plan
    from physbench.run.remote_run import RunPlace


@o.run_command()
def command(
    context: typer.Context,
    options: Options,
    out: o.Out = None,
    resume: o.Resume = False,
    fresh: o.Fresh = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel=WHAT,
            help="Try a batch, and say what would be made and how long it would take.",
        ),
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Evaluate a model: roll it out, score it, write a report. `rollout`, `score` and `finish` are its stages alone.

    Example: physbench eval reference:objects --suite smoke
    """
    films = options.suite == "expectation"
    if options.shard is not None and (films or dry_run or as_json):
        raise UsageError(
            "--shard: a shard is a part of a run on clips and has no result: leave out --suite expectation, --dry-run "
            "and --json."
        )
    if (options.budget is not None or options.until is not None) and (films or dry_run):
        name = "--budget" if options.until is None else "--until"
        raise UsageError(f"{name}: films and --dry-run have no part that could be a result. Leave it out.")
    if options.executor == "ray" and (films or dry_run):
        raise UsageError("--executor ray: films and --dry-run are for one machine. Leave it out.")
    if options.clips is not None and (films or dry_run):
        raise UsageError("--clips: films and --dry-run make clips of their own. Leave it out.")

    from physbench.cli.console import note as note_line
    from physbench.cli.eval_options import announced_settings, begin_workers, requested_run

    if dry_run:
        announced_settings(context)
        (_say_films_plan if films else _say_plan)(options, out, as_json)
        return
    if films:
        _expectation(context, options, as_json)
        return

    if options.executor == "local" and options.workers != 0 and not resume:  # a run that is resumed may be done already
        begin_workers()
    from physbench.run.evaluate import evaluate

    with requested_run(context, options, evaluate) as place:
        if options.shard is None:
            print_result(place, as_json)
    if options.shard is not None:
        note_line(f"Shard {options.shard} is done. Once all are: physbench merge SHARD SHARD [...] --out DIR")
        typer.echo(place.named(place.folder.path))


def print_result(place: RunPlace, as_json: bool) -> None:
    """Print what a finished run found; exit 1 where nothing could be scored."""
    from physbench.result.document import read_result

    folder = place.folder
    result = read_result(folder.result)
    if as_json:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=1))
    else:
        from physbench.cli.console import stdout_console
        from physbench.result.report.terminal import print_summary

        print_summary(result, stdout_console())
        typer.echo(place.named(f"Report: {folder.report}"))
    if result.counts.scored == 0:
        from physbench.cli.console import complain

        first = next((f" {each.clip}: {each.reason.rstrip('.')}." for each in result.failures), "")
        complain(f"No clip could be scored.{first} All reasons are in the report; `physbench models check` may help.")
        raise typer.Exit(1)


def _expectation(context: typer.Context, options: Options, as_json: bool) -> None:
    """Ask a model how surprised it is, and print what it notices."""
    from physbench.cli.console import complain, stdout_console
    from physbench.cli.eval_options import requested_run
    from physbench.result.document import read_result
    from physbench.surprise.report import print_expectation
    from physbench.surprise.run import evaluate_expectation

    with requested_run(context, options, evaluate_expectation) as place:
        folder = place.folder
    result = read_result(folder.result)
    if as_json:
        typer.echo(folder.result.read_text(encoding="utf-8").rstrip())
    else:
        print_expectation(result, stdout_console())
        typer.echo(place.named(f"Report: {folder.report}"))
    expectation = result.expectation
    if expectation is not None and expectation.failed == expectation.everything.pairs + expectation.beyond_memory.pairs:
        complain(
            "The model failed on a film of every pair. The reasons are in the report; try `physbench models check`."
        )
        raise typer.Exit(1)


def _say_plan(options: Options, out: str | None, as_json: bool) -> None:
    """Print what an evaluation would do."""
    from physbench.cli.cache import readable_size
    from physbench.cli.console import note
    from physbench.result.formats import counted
    from physbench.run.evaluate import dry_run

    plan = dry_run(options, note, out)
    least, most = plan.horizon
    frames = f"{least} to {most} frames" if least != most else f"{most} frames"
    calls = f", in up to {plan.calls} calls" if plan.calls > 1 else ""
    rollouts = f", {plan.rollouts} rollouts" if plan.rollouts != plan.clips else ""
    request = [
        ("suite", f"{plan.suite}: {counted(plan.clips, 'clip')} of {counted(plan.tasks, 'task')}{rollouts}"),
        ("frames", f"{plan.render_spec}, {plan.context_frames} in the context, {frames} to predict{calls}"),
        ("clips", f"{plan.to_make} to make, {plan.clips - plan.to_make} in the cache"),
        ("batches", f"{plan.batches}, of up to {counted(plan.batch_size, 'rollout')}"),
    ]
    disk = "not known" if plan.failure else f"up to {readable_size(plan.disk)} while it runs"
    _print_plan(plan, as_json, request, [("disk", disk)], tried="the batch", then=", then diagnosis and report")


def _say_films_plan(options: Options, out: str | None, as_json: bool) -> None:
    """Print what a run of the suite expectation would do."""
    from physbench.cli.console import note
    from physbench.result.formats import counted
    from physbench.surprise.run import films_dry_run

    plan = films_dry_run(options, note, out)
    pairs = f"{counted(plan.pairs, 'pair')} and {counted(plan.controls, 'control')}"
    request = [
        ("suite", f"expectation: {pairs} of {counted(plan.clips, 'clip')}, {counted(plan.films, 'film')}"),
        ("frames", f"{plan.render_spec}, {plan.context_frames} in the context, {plan.batch_size} at a time"),
    ]
    _print_plan(plan, as_json, request, [], tried="a film", then="")


def _print_plan(
    plan: Plan, as_json: bool, request: list[tuple[str, str]], cost: list[tuple[str, str]], *, tried: str, then: str
) -> None:
    """Print a plan as JSON, or in lines; these exit 1 where what was tried failed.

    Args:
        plan: The plan.
        as_json: Whether to print it as JSON.
        request: Lines of the plan's kind on what is asked for.
        cost: Lines of its kind on what it costs beside time and memory.
        tried: What was tried.
        then: What follows after the time that is estimated.
    """
    from physbench.cli.cache import readable_size
    from physbench.result.formats import counted
    from physbench.support.progress import duration

    if as_json:
        typer.echo(json.dumps({**asdict(plan), "seconds": plan.seconds}, indent=1))
        return
    device = f", {readable_size(plan.device_memory)} on the device" if plan.device_memory else ""
    if plan.workers:
        beside = f"beside it {counted(plan.workers, 'worker')} {duration(plan.worker_seconds / plan.workers)}"
    else:
        beside = f"clips and scores {duration(plan.worker_seconds)}"
    time = f"about {duration(plan.seconds)}{then}: model {duration(plan.model_seconds)}, {beside}"
    for name, text in (
        ("model", f"{plan.model} on {plan.device}, {plan.dtype}"),
        *request,
        ("memory", f"{readable_size(plan.peak_memory)} in all processes{device}"),
        ("time", f"not known, since {tried} failed" if plan.failure else time),
        *cost,
        ("folder", plan.out),
        *([("failure", plan.failure)] if plan.failure else []),
    ):
        typer.echo(f"{name:<8} {text}")
    if plan.failure:
        raise typer.Exit(1)
