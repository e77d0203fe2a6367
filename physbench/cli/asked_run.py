"""What `eval` and `rollout` share: a run at the place of --out, with the settings of the file."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from types import FrameType

    from physbench.run.options import Options
    from physbench.run.remote_run import RunPlace
    from physbench.storage.run_folder import RunFolder


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
    from physbench.run.worker_jobs import SCORING_PRELOAD
    from physbench.worker_pool import start_fork_server

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
