"""The options that `eval` and `rollout` share, the settings that they make, and the run at --out."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from physbench.cli import completion
from physbench.cli.console import ADVANCED
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from physbench.run.options import Options
    from physbench.run.remote_run import RunPlace
    from physbench.support.run_folder import RunFolder

# What `eval` and `rollout` share: a run at the place of --out, with the settings of the file.


def said_settings(context: typer.Context) -> dict[str, Any]:
    """What a command takes from a file with settings, after saying so."""
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
def asked_run(
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
    from physbench.run.evaluate import say_on_stderr
    from physbench.run.ray_cluster import check_cluster
    from physbench.run.remote_run import run_at, use_of_out

    settings = said_settings(context)
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


# Headings of --help.
WHAT, HOW, WHERE = "What to run", "How to run it", "Where, and what is kept"
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
SuiteName = Annotated[
    str,
    typer.Option(
        help="smoke: a look in a minute; core: the leaderboard's clips; lite: a quarter of them, for slow models; "
        "actions: pushes; counterfactuals: pushes and the same without; expectation: surprise at impossible films "
        "(--limit: pairs, --tasks: their kinds).",
        rich_help_panel=WHAT,
        autocompletion=completion.suite_names,
    ),
]
ModelArguments = Annotated[
    list[str] | None,
    typer.Option("--model-arg", metavar="K=V", help="Passed to the model's factory; repeatable.", rich_help_panel=WHAT),
]
TaskNames = Annotated[
    str | None,
    typer.Option(
        metavar="GLOB|FILE.py",
        help="Only these tasks of the suite, or your own from a file.",
        rich_help_panel=WHAT,
        autocompletion=completion.task_names,
    ),
]
ScorerNames = Annotated[
    str | None,
    typer.Option(
        metavar="GLOB|FILE.py",
        help="Only these scorers; those from a file are added to all others.",
        rich_help_panel=WHAT,
        autocompletion=completion.scorer_names,
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
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE,...",
        help="auto, cpu, cuda, cuda:1, mps; cuda:0,cuda:1: a process on each.",
        rich_help_panel=HOW,
        autocompletion=completion.devices,
    ),
]
BatchSize = Annotated[
    str, typer.Option(metavar="N|auto", help="Clips in one batch; auto measures how many fit.", rich_help_panel=HOW)
]
Look = Annotated[
    str | None,
    typer.Option(
        metavar="plain|natural",
        help="How clips are drawn; natural has ground, light and shadows, and needs Mitsuba. [default: the card's, "
        "else plain]",
        rich_help_panel=WHAT,
        autocompletion=completion.looks,
    ),
]
PromptMotion = Annotated[
    bool,
    typer.Option(
        "--prompt-motion/--no-prompt-motion",
        help="For models that see one image: the prompt says how things move (slowly, to the left); a track of its "
        "own.",
        rich_help_panel=WHAT,
    ),
]
Samples = Annotated[int, typer.Option(help="Rollouts of each clip, for stochastic models.", rich_help_panel=WHAT)]
Seed = Annotated[int, typer.Option(help="Seed of the model's generators.", rich_help_panel=WHAT)]
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="At most N clips in all, not of each task: spread over the tasks (after --tasks) and splits, lowest "
        "seeds first.",
        rich_help_panel=WHAT,
    ),
]
FreshSeeds = Annotated[
    str | None,
    typer.Option(
        metavar="N|RUN",
        help="Clips that no suite holds: N seeds of each task, drawn now, or those of a run on such seeds.",
        rich_help_panel=WHAT,
    ),
]
Dtype = Annotated[
    str, typer.Option(help="float32, float16, bfloat16.", rich_help_panel=HOW, autocompletion=completion.dtypes)
]
Autocast = Annotated[
    str | None,
    typer.Option(
        metavar="float16|bfloat16",
        help="torch.autocast around the model's calls; on the CPU bfloat16.",
        rich_help_panel=HOW,
        autocompletion=completion.autocast_types,
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile/--no-compile", help="torch.compile of the model's networks.", rich_help_panel=HOW)
]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", help="Time limit of one batch; then its clips fail.", rich_help_panel=HOW)
]
Chain = Annotated[
    bool,
    typer.Option(
        "--chain/--no-chain", help="Continue a model with a short horizon on its own last frames.", rich_help_panel=HOW
    ),
]
KeepRollouts = Annotated[
    str,
    typer.Option(
        metavar="shown|all|none",
        help="Videos to keep; shown: those in the report. New scorers need all.",
        rich_help_panel=WHERE,
        autocompletion=completion.kept_rollouts,
    ),
]
Diagnosis = Annotated[
    bool,
    typer.Option(
        "--diagnosis/--no-diagnosis", help="Seek the laws that the model follows instead.", rich_help_panel=HOW
    ),
]
Clips = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL",
        help="Clips of `data pack`, instead of making them; needs no PyBullet to roll out.",
        rich_help_panel=WHAT,
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Only the I-th of N parts of the run, with --batch-size; `merge` joins them.",
        rich_help_panel=ADVANCED,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="No rollout begins after so long (90s, 30m, 1h30m); the result of what is made is partial, and --resume "
        "goes on.",
        rich_help_panel=HOW,
    ),
]
Until = Annotated[
    float | None,
    typer.Option(
        metavar="WIDTH",
        help="End once half the interval of overall is at most this, looked at after fixed fractions of the suite.",
        rich_help_panel=HOW,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Processes that track and score; 0: this one does. [default: cores]", rich_help_panel=HOW
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="local|ray",
        help="Where it runs: processes of this machine, or a Ray cluster (pip install 'physbench[ray]').",
        rich_help_panel=ADVANCED,
        autocompletion=completion.executors,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="Head of the Ray cluster; auto: one that runs here. [default: $RAY_ADDRESS, or this machine alone]",
        rich_help_panel=ADVANCED,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.", rich_help_panel=WHERE)]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Discard the run in --out and start again.", rich_help_panel=WHERE)
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Load files that can run code: .pt2.", rich_help_panel=ADVANCED)
]
Privileged = Annotated[
    bool,
    typer.Option(
        "--privileged",
        help="Hand the clips themselves to a model of yours that has rollout_clips.",
        rich_help_panel=ADVANCED,
    ),
]
Note = Annotated[
    str, typer.Option(metavar="TEXT", help="A line that `physbench runs` and the report show.", rich_help_panel=WHERE)
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG",
        help="A name to find the run by with `physbench runs`; repeatable.",
        rich_help_panel=WHERE,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result document to stdout.", rich_help_panel=WHERE)]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=ADVANCED)]
TAKEN_AS_THEY_ARE = (
    *("model", "suite", "tasks", "scorers", "limit", "device", "samples", "seed", "dtype", "timeout", "chain"),
    *("keep_rollouts", "diagnosis", "workers", "trust_code", "privileged", "look", "note", "shard"),
    *("executor", "address", "prompt_motion", "autocast", "compile"),
)


def asked_options(given: Mapping[str, Any]) -> Options:
    """The settings of a run, checked.

    Args:
        given: The values of the parameters of `eval` or `rollout`, by their names.
    """
    from physbench.run.options import Options, parse_model_args

    if given["resume"] and given["fresh"]:
        raise UsageError("Give --resume or --fresh, not both.")
    batch_size, fresh_seeds, clips = given["batch_size"], given["fresh_seeds"], given["clips"]
    if batch_size != "auto" and not batch_size.isdecimal():
        raise UsageError(f"--batch-size: expected a number or auto, got '{batch_size}'.")
    drawn = fresh_seeds is not None and fresh_seeds.isdecimal()
    options = Options(
        **{name: given[name] for name in TAKEN_AS_THEY_ARE},
        model_arg=parse_model_args(given["model_arg"] or []),
        batch_size=None if batch_size == "auto" else int(batch_size),
        tags=tuple(given["tag"] or ()),
        fresh_seeds=int(fresh_seeds) if drawn else fresh_seeds,
        untrained_copy=given.get("untrained_copy", False),
        for_board=given.get("for_board", False),
        clips=clips,
        budget=given.get("budget"),
        until=given.get("until"),
    )
    options.check()
    return options
