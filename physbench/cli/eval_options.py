"""The settings of a run as options of `eval` and `rollout`, and the run at --out."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from physbench.cli import completion
from physbench.run.options import OPTIONS, WHERE, Options
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from physbench.run.remote_run import RunPlace
    from physbench.support.run_folder import RunFolder

# What `eval` and `rollout` share: a run at the place of --out, with the settings of the file.


def announced_settings(context: typer.Context) -> dict[str, Any]:
    """Settings that a command takes from a file, after a note of them."""
    from physbench.cli.console import note
    from physbench.cli.settings_file import settings_used

    settings = settings_used(context)
    if settings:
        note(settings["file"] + ": " + ", ".join(f"{key} = {value}" for key, value in settings["values"].items()))
    return settings


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """End the program with what it does at its end. An exception would be another one where a library catches it while
    it is imported."""
    from physbench.cli.console import complain

    complain("Interrupted.")
    atexit._run_exitfuncs()
    os._exit(130)


def begin_workers() -> None:
    """Start the fork server of the workers, which imports what they score with while the command does its own imports.

    Either takes a second or two. From here on the scheduler's SIGTERM ends the command at once, until the run answers
    to it, but not before the temporary folder of the server is gone.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_at_once)
    from physbench.run.jobs import SCORING_PRELOAD
    from physbench.support.processes import start_fork_server

    start_fork_server(SCORING_PRELOAD)


@contextmanager
def requested_run(
    context: typer.Context, options: Options, evaluate: Callable[..., RunFolder], **changes: object
) -> Iterator[RunPlace]:
    """Evaluate at --out. What is made in the block is at its URL, too.

    Args:
        context: Of a command with --out, --resume and --fresh.
        options: The settings of the run.
        evaluate: What does it.
        changes: Further arguments of `evaluate`.
    """
    from physbench.cli.console import debugging
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
        autocompletion=completion.model_names,
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
    return typer.Option(
        *((option.word,) if option.granted or option.flag != name else ()),
        help=option.help,
        metavar=option.metavar,
        rich_help_panel=option.heading,
        autocompletion=getattr(completion, option.offers) if option.offers else None,
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
