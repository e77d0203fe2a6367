"""`physbench eval MODEL`: roll a model out on a suite, score it and write a report; and its stages one by one.

`rollout`, `score` and `finish` a run, `merge` its shards, its `status`.
"""

from __future__ import annotations

import atexit
import json
import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from inspect import Parameter, Signature, signature
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from physbench.cli import console
from physbench.cli.cache import readable_size
from physbench.cli.console import complain, debugging, note, refuse_missing, stdout_console
from physbench.result.formats import counted
from physbench.run.options import OPTIONS, WHAT, WHERE, Options
from physbench.support.errors import LAW_FAULT, UsageError
from physbench.support.processes import start_fork_server
from physbench.support.progress import duration
from physbench.support.remote import is_url
from physbench.support.run_folder import RunFolder

if TYPE_CHECKING:
    from physbench.run.evaluate import Plan
    from physbench.run.remote_run import RunPlace

# What `eval` and `rollout` share: a run at the place of --out, with the settings of the file, and those of the run as
# options.


def announced_settings(context: typer.Context) -> dict[str, Any]:
    """Settings that a command takes from a file, after a note of them."""
    from physbench.cli.settings_file import settings_used

    settings = settings_used(context)
    if settings:
        note(settings["file"] + ": " + ", ".join(f"{key} = {value}" for key, value in settings["values"].items()))
    return settings


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """End the program with what it does at its end. An exception would be another one where a library catches it while
    it is imported."""
    complain("Interrupted.")
    atexit._run_exitfuncs()
    os._exit(130)


def refuse_early(options: Options) -> None:
    """Raise what `evaluate` would of settings, suite, archive and model that cannot be, before imports of seconds."""
    from physbench.clips.suite import EXPECTATION_SUITE, find_suite
    from physbench.models.load_model import check_target

    options.check()
    if options.suite != EXPECTATION_SUITE:
        own = options.tasks is not None and ".py" in options.tasks  # a file is read once, by `evaluate`
        find_suite(options.suite, None, None if own else options.tasks)
    if options.clips is not None and not is_url(options.clips):
        from physbench.clips.packed import opened_archive

        opened_archive(options.clips)
    check_target(options.model, trust_code=options.trust_code, model_args=options.model_arg)


def begin_workers() -> None:
    """Start the fork server of the workers, which imports what they score with while the command does its own imports.

    Either takes a second or two. From here on the scheduler's SIGTERM ends the command at once, until the run answers
    to it, but not before the temporary folder of the server is gone.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_at_once)
    from physbench.run.jobs import SCORING_PRELOAD

    start_fork_server(SCORING_PRELOAD)


@contextmanager
def requested_run(
    context: typer.Context, options: Options, evaluate: Callable[..., RunFolder], **changes: object
) -> Iterator[RunPlace]:
    """Evaluate at --out. What is made in the block is at its URL, too.

    Args:
        context: Of a command with --out, --resume and --fresh.
        options: The settings of the run.
        changes: Further arguments of `evaluate`.
    """
    from physbench.run.ray_cluster import check_cluster
    from physbench.run.remote_run import run_at, use_of_out
    from physbench.run.state import say_on_stderr

    settings = announced_settings(context)
    resume, fresh = context.params["resume"], context.params["fresh"]
    if fresh:  # what lies at --out goes before `evaluate` looks at the settings
        options.check()
        if options.executor == "ray":
            check_cluster(options.address)
    with run_at(context.params["out"], use_of_out(resume, fresh), say_on_stderr) as place:
        folder = evaluate(
            options,
            out=place.path,
            resume=resume,
            fresh=fresh,
            debug=debugging(),
            say=place.say,
            settings=settings,
            **changes,
        )
        yield replace(place, path=folder.path)


ModelName = Annotated[
    str,
    typer.Argument(
        help="A checkpoint (.safetensors), a graph (.onnx, .pt2), path/to/file.py:factory, "
        "python:package.module:factory, baseline:freeze|constant-velocity|physicist|oracle, reference:NAME, "
        "saboteur:NAME (broken physics, to test scorers), videos:DIR or http://HOST:PORT; `models list` has all.",
        metavar="MODEL",
        show_default=False,
        autocompletion=console.model_names,
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="DIR|URL",
        help="Run folder, or where one lies in an object store (s3://BUCKET/NAME). [default: runs/MODEL-SUITE-N, MODEL "
        "as you gave it: file or name]",
        rich_help_panel=WHERE,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.", rich_help_panel=WHERE)]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Discard the run in --out and start again.", rich_help_panel=WHERE)
]
Json = Annotated[bool, typer.Option("--json", help="Print the result document to stdout.", rich_help_panel=WHERE)]


def declared(name: str) -> Any:
    """A setting of a run as an option of a command."""
    option = OPTIONS[name]
    named = getattr(console, option.offers) if option.offers else None
    offered = console.one_of(option.known) if option.known else named
    return typer.Option(
        *((option.word,) if option.granted or option.flag != name else ()),
        help=option.help,
        metavar=option.metavar,
        rich_help_panel=option.heading,
        autocompletion=offered,
    )


Workers = Annotated[int | None, declared("workers")]
ExecutorName = Annotated[str, declared("executor")]
Address = Annotated[str | None, declared("address")]


def run_command(*, stage: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the settings of a run as its options, and the checked settings as its argument `options`.

    Its own options stand before those that BEFORE names, else after all of them. stage: it is a stage of `eval` alone,
    without what only `eval` has.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints, types = get_type_hints(function, include_extras=True), get_type_hints(Options)
        own = {name: each for name, each in signature(function).parameters.items() if name != "options"}
        hints["model"] = ModelName
        taken = {"context": own.pop("context"), "model": Parameter("model", Parameter.KEYWORD_ONLY)}
        for each in fields(Options):
            option = OPTIONS.get(each.name)
            if option is None or (stage and option.eval_alone):
                continue
            taken |= {name: own.pop(name) for name, next_one in BEFORE.items() if next_one == each.name}
            default = each.default if option.usual is ... else option.usual
            hints[option.flag] = Annotated[option.typed or types[each.name], declared(each.name)]
            taken[option.flag] = Parameter(option.flag, Parameter.KEYWORD_ONLY, default=default)
        taken |= own

        def command(context: typer.Context, model: str, **given: Any) -> None:
            if given["resume"] and given["fresh"]:
                raise UsageError("Give --resume or --fresh, not both.")
            left = {name: value for name, value in given.items() if name in signature(function).parameters}
            function(context, Options.typed(model, given), **left)

        command.__doc__, command.__name__, command.__module__ = function.__doc__, function.__name__, function.__module__
        command.__annotations__ = {name: hints[name] for name in taken}
        parameters = [each.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[name]) for name, each in taken.items()]
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


BEFORE = {"out": "keep_rollouts", "resume": "note", "fresh": "note"}  # places of options that are no settings


@run_command()
def command(
    context: typer.Context,
    options: Options,
    out: Out = None,
    resume: Resume = False,
    fresh: Fresh = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel=WHAT,
            help="Try a batch, and say what would be made and how long it would take.",
        ),
    ] = False,
    as_json: Json = False,
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

    refuse_early(options)
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
        note(f"Shard {options.shard} is done. Once all are: physbench merge SHARD SHARD [...] --out DIR")
        typer.echo(place.named(place.folder.path))


def print_result(place: RunPlace, as_json: bool) -> None:
    """Print what a finished run found; exit 1 where nothing could be scored."""
    from physbench.result.document import read_result

    folder = place.folder
    result = read_result(folder.result)
    if as_json:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=1))
    else:
        from physbench.result.report.terminal import print_summary

        print_summary(result, stdout_console())
        typer.echo(place.named(f"Report: {folder.report}"))
    if result.counts.scored == 0:
        first = next((f" {each.clip}: {each.reason.rstrip('.')}." for each in result.failures), "")
        check = "tasks check FILE" if LAW_FAULT in first else "models check"
        complain(f"No clip could be scored.{first} All reasons are in the report; `physbench {check}` may help.")
        raise typer.Exit(1)


def _expectation(context: typer.Context, options: Options, as_json: bool) -> None:
    """Ask a model how surprised it is, and print what it notices."""
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
        as_json: Whether to print it as JSON.
        request: Lines of the plan's kind on what is asked for.
        cost: Lines of its kind on what it costs beside time and memory.
        tried: What was tried.
        then: What follows after the time that is estimated.
    """
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


Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Folder or URL of the run.", show_default=False, autocompletion=console.run_folders
    ),
]
ArchiveNow = Annotated[
    str | None,
    typer.Option(metavar="FILE|URL", help="Where the archive of clips lies now, if it was rolled out on one."),
]


@run_command(stage=True)
def rollout(
    context: typer.Context,
    options: Options,
    out: Out = None,
    resume: Resume = False,
    fresh: Fresh = False,
) -> None:
    """Roll a model out into a run folder, and nothing else. `score` and `finish` go on, here or on another machine.

    Example: physbench rollout reference:objects --suite smoke --out runs/a
    """
    if options.suite == "expectation":
        raise UsageError("The suite expectation shows films: run `physbench eval MODEL --suite expectation`.")

    refuse_early(options)
    from physbench.run.evaluate import evaluate

    with requested_run(context, options, evaluate, stages=("rollout",)) as place:
        name = place.named(place.folder.path)
    note(f"Then: physbench score {shlex.quote(name)}")
    typer.echo(name)


def score(
    run: Run,
    clips: ArchiveNow = None,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the scores that are there.")] = False,
) -> None:
    """Track and score what `rollout` left in a folder. It needs no model; what is scored already is kept.

    Example: physbench score runs/a
    """
    refuse_missing(run)
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


def finish(run: Run, clips: ArchiveNow = None, workers: Workers = None, as_json: Json = False) -> None:
    """Write result and report of a run that is rolled out and scored.

    Example: physbench finish runs/a
    """
    refuse_missing(run)
    from physbench.run.remote_run import run_at
    from physbench.run.stages import finish_run
    from physbench.run.state import say_on_stderr

    with run_at(run, "go on", say_on_stderr) as place:
        finish_run(place.folder.path, workers=workers, clips=clips, debug=debugging(), say=place.say)
        print_result(place, as_json)


def merge(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD...", help="Folders or URLs of all shards of a run.")],
    out: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Folder or URL of the whole run, to create.", show_default=False)
    ],
    workers: Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the run in --out.")] = False,
    as_json: Json = False,
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
        print_result(whole, as_json)


def status(run: Run, as_json: Json = False) -> None:
    """Show how far a run is, and the result of the clips that are scored, with intervals. The run goes on meanwhile.

    Example: physbench status runs/objects-core-1
    """
    refuse_missing(run)
    from physbench.result.report.terminal import print_summary
    from physbench.run.finalize import run_progress
    from physbench.run.remote_run import run_at

    with run_at(run, "glance", note) as place:
        progress = run_progress(place.folder)
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
