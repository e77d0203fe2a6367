"""What `physbench scorers check` does."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from physbench.cli.console import note, refuse_unwritable, stdout_console
from physbench.errors import UsageError

DEFAULT = "*"  # every violation at its main severity, far strangers and cheats
LEVELS = ("all", "family", "task")


def check_scorers(
    *,
    scorers: str | None,
    violations: str,
    tasks: str | None,
    clips: int,
    truths: int | None,
    size: int,
    fps: float,
    context: int,
    by: str,
    out: Path,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure, write the table and print it."""
    from physbench.checks.validity import words
    from physbench.checks.validity.check import check_scorers, headlines, own_readings
    from physbench.checks.validity.measure import Settings
    from physbench.checks.validity.sources import find_sources
    from physbench.clips.generate import render_spec
    from physbench.clips.task import builtin_task_ids, match_tasks
    from physbench.run.pool import cores
    from physbench.scoring.score import find_scorers

    if not 1 <= clips <= 1000 or (truths is not None and not 1 <= truths <= 1000):
        raise UsageError("--clips and --truths: expected 1 to 1000.")
    if by not in LEVELS:
        raise UsageError(f"--by {by}: expected one of {', '.join(LEVELS)}.")
    if out.suffix != ".parquet" or out.is_dir():
        raise UsageError(f"--out {out}: expected the name of a .parquet file.")
    render_spec(size, fps)
    if not 1 <= context <= 2 * fps:
        raise UsageError(f"--context {context}: expected 1 to {int(2 * fps)} frames at {fps:g} frames/s.")
    find_scorers(scorers)
    settings = Settings(
        tasks=match_tasks(tasks) if tasks is not None else builtin_task_ids(),
        sources=find_sources(violations),
        scorers=scorers,
        clips=clips,
        truths=max(clips, 2 * clips if truths is None else truths),
        size=size,
        fps=fps,
        context=context,
    )
    refuse_unwritable(out.absolute().parent)
    started = time.monotonic()
    try:
        table = check_scorers(settings, out, workers or cores(), note)
    except KeyboardInterrupt:
        note("Stopped. The same command goes on with what is left.")
        raise
    if as_json:
        typer.echo(json.dumps(json.loads(table.to_json(orient="records")), indent=1))
    else:
        console = stdout_console()
        for view in words.printed(table, headlines(settings), own_readings(settings), by):
            console.print(view)
            console.print()
        for sentence in words.sentences(table, [*headlines(settings), *own_readings(settings)]):
            typer.echo(sentence)
    note(f"{out}: {len(table)} cells, {time.monotonic() - started:.0f} s")
