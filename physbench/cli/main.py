"""The program `physbench`: assembles the commands and turns errors into one or two lines and an exit code.

Exit 0: done; 1: the run failed; 2: wrong use; 130: interrupted. Only the file of the given command is
imported, and none of them imports torch, numpy or pandas at the top: `physbench --help` takes 0.1 s.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from physbench import __version__
from physbench.cli.console import COMPLETING, GroupedHelp, answer, complain, note, prepare_streams
from physbench.cli.settings_file import FileSettings, read_settings
from physbench.support.errors import DISK_FULL, SYSTEM_LIMITS, PhysbenchError

# A noun has `app`, a verb a function of its name. The line is what `physbench --help` says of it.
COMMANDS: Mapping[str, str] = {
    "eval": "Evaluate a model: roll it out, score it, write a report.",
    "rollout": "The first stage of eval alone: roll a model out.",
    "score": "The second stage of eval alone: track and score rollouts.",
    "finish": "The last stage of eval alone: write result and report.",
    "merge": "Join the shards of a run.",
    "status": "Say how far a run is, and what it shows so far.",
    "train": "Train a reference model on clips of the train split.",
    "export": "Write a model as a graph, which runs without its code.",
    "tasks": "List, explain, draw, make and check tasks.",
    "scorers": "List, explain, make and check scorers.",
    "models": "List what can be evaluated, and check a model.",
    "data": "Make clips, and export them for other programs.",
    "record": "Score models on footage of one's own.",
    "runs": "List runs with model, suite, overall skill and state.",
    "view": "Show runs and their reports in the browser.",
    "report": "Build result and report of a run again.",
    "probe": "Say which physical quantities a model's latents hold.",
    "diagnose": "Name the laws that a model follows instead.",
    "compare": "Say which of some models is ahead, with intervals.",
    "leaderboard": "Check, send and rank results.",
    "cache": "Show or prune the cache of clips and references.",
    "doctor": "Show what works on this machine and what is missing.",
}


FILES: Mapping[str, str] = {  # in this folder, of verbs that have none of their own
    **dict.fromkeys(("rollout", "score", "finish", "merge", "status"), "eval"),
    **dict.fromkeys(("train", "export", "probe"), "models"),
    **dict.fromkeys(("view", "report", "diagnose", "compare"), "runs"),
}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"physbench {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks. Works after every command too.")] = False,
) -> None:
    """Has this world model learned physics, and if not, which law breaks, where, and how far ahead?"""


def build(commands: Collection[str] = COMMANDS) -> typer.Typer:
    """Return the program with these commands. Help is plain text: rich would make it take twice as long."""
    app = _program()
    for name in commands:
        module = importlib.import_module(f"physbench.cli.{FILES.get(name, name)}")
        if name not in FILES and hasattr(module, "app"):
            app.add_typer(module.app, name=name, short_help=COMMANDS[name])
        else:
            function = getattr(module, name if hasattr(module, name) else "command")  # `eval` is one of Python's
            app.command(name, cls=GroupedHelp, short_help=COMMANDS[name])(function)
    return app


def _program() -> typer.Typer:
    app = typer.Typer(name="physbench", rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)
    app.callback()(_root)
    return app


def _names() -> typer.Typer:
    """The program with the names of all commands and nothing behind them: to list them takes half of the time."""
    app = _program()
    for name, line in COMMANDS.items():
        app.command(name, short_help=line)(lambda: None)
    return app


def typed_options(command: str) -> dict[str, str] | None:
    """Options and arguments of a command ("data.pack") by name, as they are typed; None where there is none."""
    first, *rest = command.split(".")
    if first not in COMMANDS:
        return None
    program: Any = typer.main.get_command(build([first]))
    group = program.commands[first]
    for word in rest:
        group = getattr(group, "commands", {}).get(word)
    typed: dict[str, str] = {}
    for parameter in getattr(group, "params", ()):
        flag = parameter.opts[-1] if parameter.param_type_name == "option" else parameter.name.upper()
        typed |= dict.fromkeys((parameter.name, flag.strip("-").replace("-", "_")), flag)
    return typed if group else None


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in arguments
    arguments = [word for word in arguments if word != "--debug"] or ["--help"]
    completing = COMPLETING in os.environ
    command = next((word for word in arguments if not word.startswith("-")), None)
    known = [name for name in COMMANDS if name == command]
    app = build() if completing else build(known) if known else _names()
    program = typer.main.get_command(app)
    try:
        if completing:
            answer(lambda: program.main(args=list(arguments), prog_name="physbench"))
        settings = read_settings(Path.cwd(), typed_options) if known else FileSettings()
        with program.make_context("physbench", arguments, obj=settings, default_map=settings.default_map) as context:
            program.invoke(context)
        sys.stdout.flush()
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        complain("Interrupted.")
        return 130
    except BrokenPipeError:  # `physbench tasks list | head -1` closes the pipe early
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _explain(error)
    return 0


def _explain(error: Exception) -> int:
    """Print an error as one or two lines and return its exit code."""
    if isinstance(error, PhysbenchError):
        (note if error.exit_code == 130 else complain)(str(error))
        return error.exit_code
    if hasattr(error, "format_message"):  # typer's own: a wrong option, a missing argument
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "physbench"
        settings = context.find_root().obj if context else None
        file = settings.file if isinstance(settings, FileSettings) else ""
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
        else:
            also = f" Some options are from {file}." if file else ""
            message = error.format_message().rstrip(".")
            stop = "" if message.endswith("?") else "."
            complain(f"{message}{stop}{_of_model(message, context)}\nSee '{path} --help'.{also}")
        return 2
    if isinstance(error, OSError) and (sentence := system_sentence(error)):
        complain(sentence)
        return 1 if error.errno in (*DISK_FULL, *SYSTEM_LIMITS) else 2
    if isinstance(error, ModuleNotFoundError) and (lacks := _lacking(error.name or "")):
        complain(
            f"{lacks} is not installed here, which this command needs. The dependency group rollout has what "
            "`physbench rollout` needs; install physbench whole for all others."
        )
        return 2
    if isinstance(error, MemoryError):
        complain("Memory is full. Use --workers 1 or a smaller --batch-size; --resume continues.")
        return 1
    frames = traceback.extract_tb(error.__traceback__)
    if own := next((frame for frame in reversed(frames) if frame.filename in _own_files()), None):
        where = f"{Path(own.filename).name}, line {own.lineno} ({own.name})"
        complain(f"{type(error).__name__} in {where}: {error}\nMend that line.")
        return 2
    last = frames[-1]
    complain(
        f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno}).\n"
        "This should not happen: run it again with --debug and report what it prints."
    )
    return 1


def _own_files() -> set[str]:
    """The user's files with tasks that this command has read."""
    plugins = sys.modules.get("physbench.support.plugins")
    return {str(file.path) for file in plugins.registered_files()} if plugins else set()


def _of_model(message: str, context: Any) -> str:
    """Hint at --model-arg for a word that the command does not know and the model may; "" for none."""
    if context is None or "model_arg" not in {each.name for each in context.command.params}:
        return ""
    words = re.search(r"unexpected extra argument\S* \((.*)\)", message)
    if words and ("=" in words[1] or "--model-arg" in sys.argv):
        pair = re.fullmatch(r"(\w+)=(.+)", words[1])
        return f" Of the model each is one word: --model-arg {pair[0] if pair else 'KEY=VALUE'}."
    unknown = re.fullmatch(r"No such option: --([\w-]+)\.?", message)
    return f" Of the model: --model-arg {unknown[1].replace('-', '_')}=VALUE." if unknown else ""


def _lacking(module: str) -> str:
    """The library that physbench names as its own need and whose module this is; "" for any other module."""
    from importlib.metadata import requires

    # This library has another name than its module
    name = {"skimage": "scikit-image"}.get(module.partition(".")[0], module.partition(".")[0])
    needed = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in requires("physbench") or () if "extra ==" not in line}
    return name if name in needed else ""


def system_sentence(error: OSError) -> str | None:
    """Message and remedy for an error of the file system; None for any other."""
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in DISK_FULL:
        return f"The disk is full{where}. Free some space, or write elsewhere (--out, PHYSBENCH_CACHE)."
    if error.errno in SYSTEM_LIMITS:
        return f"{error.strerror}{where}. {SYSTEM_LIMITS[error.errno]}."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission{where}. Choose a writable folder (--out, PHYSBENCH_CACHE) or change its permissions."
    if error.filename and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG):
        return f"{error.strerror}{where}. Name another path."
    return None


def main() -> None:
    """Entry point of the console script."""
    prepare_streams()
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while the command is imported
        complain("Interrupted.")
        sys.exit(130)
