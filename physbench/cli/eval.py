"""`physbench eval MODEL`: roll a model out on a suite, score it and write a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physbench.errors import UsageError

if TYPE_CHECKING:
    from physbench.run.options import Options


def command(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A checkpoint (.safetensors), a graph (.onnx, .pt2), path/to/file.py:factory, "
            "python:package.module:factory, baseline:freeze|constant-velocity|physicist|oracle, reference:NAME, "
            "saboteur:NAME (broken physics, to test scorers), videos:DIR or http://HOST:PORT.",
            metavar="MODEL",
            show_default=False,
        ),
    ],
    suite: Annotated[
        str,
        typer.Option(
            help="smoke: a look in a minute; core: the leaderboard's clips; actions: pushes; counterfactuals: pushes "
            "and the same without; expectation: surprise at impossible films (--limit: pairs, --tasks: their kinds)."
        ),
    ] = "core",
    model_arg: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Passed to the model's factory; repeatable.")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(metavar="GLOB|FILE.py", help="Only these tasks of the suite, or your own from a file.")
    ] = None,
    scorers: Annotated[
        str | None,
        typer.Option(metavar="GLOB|FILE.py", help="Only these scorers; those from a file are added to all others."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Run folder. [default: runs/MODEL-SUITE-N, MODEL as you gave it: file or name]"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    batch_size: Annotated[
        str, typer.Option(metavar="N|auto", help="Clips in one batch; auto measures how many fit.")
    ] = "auto",
    look: Annotated[
        str | None,
        typer.Option(
            metavar="plain|natural",
            help="How clips are drawn; natural has ground, light and shadows, and needs Mitsuba. [default: the card's, "
            "else plain]",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Rollouts of each clip, for stochastic models.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the model's generators.")] = 0,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="At most N clips in all, not of each task: spread over the tasks (after --tasks) and splits, lowest "
            "seeds first.",
        ),
    ] = None,
    fresh_seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|RUN",
            help="Clips that no suite holds: N seeds of each task, drawn now, or those of a run on such seeds.",
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16.")] = "float32",
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time limit of one batch; then its clips fail.")
    ] = 600.0,
    chain: Annotated[
        bool, typer.Option("--chain/--no-chain", help="Continue a model with a short horizon on its own last frames.")
    ] = True,
    keep_rollouts: Annotated[
        str,
        typer.Option(
            metavar="shown|all|none", help="Videos to keep; shown: those in the report. New scorers need all."
        ),
    ] = "shown",
    for_board: Annotated[
        bool,
        typer.Option("--for-board", help="Keep all that `leaderboard submit` sends: every rollout of all of core."),
    ] = False,
    diagnosis: Annotated[
        bool, typer.Option("--diagnosis/--no-diagnosis", help="Seek the laws that the model follows instead.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that track and score. [default: cores]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try a batch, and say what would be made and how long it would take.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the run in --out and start again.")] = False,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Load files that can run code: .pt2.")] = False,
    privileged: Annotated[
        bool, typer.Option("--privileged", help="Hand the clips themselves to a model of yours that has rollout_clips.")
    ] = False,
    note: Annotated[str, typer.Option(metavar="TEXT", help="A line that `physbench runs` and the report show.")] = "",
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="A name to find the run by with `physbench runs`; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result document to stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Evaluate a model: roll it out, score it, write a report.

    Example: physbench eval reference:objects --suite smoke
    """
    from physbench.run.options import Options, parse_model_args

    if resume and fresh:
        raise UsageError("Give --resume or --fresh, not both.")
    if batch_size != "auto" and not batch_size.isdecimal():
        raise UsageError(f"--batch-size: expected a number or auto, got '{batch_size}'.")
    if for_board:
        if suite == "expectation":
            raise UsageError("--for-board: boards rank by the axes, which the suite expectation does not have.")
        given = {"--tasks": tasks, "--scorers": scorers, "--limit": limit, "--fresh-seeds": fresh_seeds}
        if wrong := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"--for-board: a board ranks all of a suite, read by all scorers. Leave out {wrong[0]}.")
        keep_rollouts = "all"
    options = Options(
        model=model,
        suite=suite,
        model_arg=parse_model_args(model_arg or []),
        tasks=tasks,
        scorers=scorers,
        limit=limit,
        device=device,
        batch_size=None if batch_size == "auto" else int(batch_size),
        samples=samples,
        seed=seed,
        dtype=dtype,
        timeout=timeout,
        chain=chain,
        keep_rollouts=keep_rollouts,  # type: ignore[arg-type]  # checked by Options.check
        diagnosis=diagnosis,
        workers=workers,
        trust_code=trust_code,
        privileged=privileged,
        look=look,
        note=note,
        tags=tuple(tag or ()),
        fresh_seeds=int(fresh_seeds) if fresh_seeds is not None and fresh_seeds.isdecimal() else fresh_seeds,
    )
    options.check()

    from physbench.cli.console import note as note_line
    from physbench.cli.settings_file import settings_used

    settings = settings_used(context)
    if settings:
        note_line(settings["file"] + ": " + ", ".join(f"{key} = {value}" for key, value in settings["values"].items()))
    if suite == "expectation":
        _expectation(options, out, resume, fresh, dry_run, as_json, settings)
        return
    if dry_run:
        _say_plan(options, out, as_json)
        return

    from physbench.cli.console import debugging
    from physbench.run.evaluate import evaluate
    from physbench.storage.sealed_file import read_sealed_json

    folder = evaluate(options, out=out, resume=resume, fresh=fresh, debug=debugging(), settings=settings)
    result = read_sealed_json(folder.result)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
    else:
        from physbench.cli.console import stdout_console
        from physbench.report.terminal_summary import print_summary

        print_summary(result, stdout_console())
        typer.echo(f"Report: {folder.report}")
    if result["counts"]["scored"] == 0:
        from physbench.cli.console import complain

        complain("No clip could be scored. The reasons are in the report; try `physbench models check` on the model.")
        raise typer.Exit(1)


def _expectation(
    options: Options,
    out: Path | None,
    resume: bool,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
    settings: Mapping[str, object],
) -> None:
    """Ask a model how surprised it is, and print what it notices."""
    from physbench.cli.console import complain, debugging, stdout_console
    from physbench.expectation.expectation_run import evaluate_expectation
    from physbench.expectation.expectation_text import print_expectation
    from physbench.results.schema import read_result
    from physbench.run.evaluate import say_on_stderr

    if dry_run:
        raise UsageError("--dry-run is not there for the suite expectation. Try --limit 20.")
    folder = evaluate_expectation(
        options, out=out, resume=resume, fresh=fresh, debug=debugging(), say=say_on_stderr, settings=settings
    )
    result = read_result(folder.result)
    if as_json:
        typer.echo(folder.result.read_text(encoding="utf-8").rstrip())
    else:
        print_expectation(result, stdout_console())
        typer.echo(f"Report: {folder.report}")
    if result.counts.scored == 0:
        complain(
            "The model failed on films of every clip. The reasons are in the report; try `physbench models check`."
        )
        raise typer.Exit(1)


def _say_plan(options: Options, out: Path | None, as_json: bool) -> None:
    """Print what an evaluation would do."""
    from dataclasses import asdict

    from physbench.cli.cache import readable_size
    from physbench.cli.console import note
    from physbench.results.number_format import counted
    from physbench.run.dry_run import dry_run
    from physbench.run.worker_jobs import duration

    plan = dry_run(options, note, out)
    if as_json:
        typer.echo(json.dumps({**asdict(plan), "out": str(plan.out), "seconds": plan.seconds}, indent=1))
        return
    least, most = plan.horizon
    frames = f"{least} to {most} frames" if least != most else f"{most} frames"
    calls = f", in up to {plan.calls} calls" if plan.calls > 1 else ""
    device = f", {readable_size(plan.device_memory)} on the device" if plan.device_memory else ""
    rollouts = f", {plan.rollouts} rollouts" if plan.rollouts != plan.clips else ""
    model, workers = duration(plan.model_seconds), counted(plan.workers, "worker")
    parts = f"model {model}, beside it {workers} {duration(plan.worker_seconds / plan.workers)}"
    time = f"about {duration(plan.seconds)}, then diagnosis and report: {parts}"
    lines = [
        ("model", f"{plan.model} on {plan.device}, {plan.dtype}"),
        ("suite", f"{plan.suite}: {counted(plan.clips, 'clip')} of {counted(plan.tasks, 'task')}{rollouts}"),
        ("frames", f"{plan.render_spec}, {plan.context_frames} in the context, {frames} to predict{calls}"),
        ("clips", f"{plan.to_make} to make, {plan.clips - plan.to_make} in the cache"),
        ("batches", f"{plan.batches}, of up to {counted(plan.batch_size, 'rollout')}"),
        ("memory", f"{readable_size(plan.peak_memory)} in all processes{device}"),
        ("time", "not known, since the batch failed" if plan.failure else time),
        ("disk", "not known" if plan.failure else f"up to {readable_size(plan.disk)} while it runs"),
        ("folder", str(plan.out)),
    ]
    if plan.failure:
        lines.append(("failure", plan.failure))
    for name, text in lines:
        typer.echo(f"{name:<8} {text}")
    if plan.failure:
        raise typer.Exit(1)
