"""Runs `physbench scorers check` and prints its table."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

import typer

from physbench.cli.console import complain, note, refuse_unwritable, stdout_console
from physbench.errors import UsageError

LEVELS = ("all", "family", "task")
MOST_FAILURES = 10  # that are printed


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
    look: str,
    crf: int | None,
    by: str,
    out: Path,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure, write the table and print it."""
    from physbench.clips.generate import render_spec
    from physbench.clips.task import builtin_task_ids, match_tasks
    from physbench.looks.known_looks import check_look
    from physbench.plugins import user_files
    from physbench.validation import check_scorers as table_of
    from physbench.validation import validity_text
    from physbench.validation.measure_sources import Settings, scorers_of
    from physbench.validation.sources import find_sources
    from physbench.worker_pool import worker_count

    if not 1 <= clips <= 1000 or (truths is not None and not 1 <= truths <= 1000):
        raise UsageError("--clips and --truths: expected 1 to 1000.")
    if by not in LEVELS:
        raise UsageError(f"--by {by}: expected one of {', '.join(LEVELS)}.")
    if out.suffix != ".parquet" or out.is_dir():
        raise UsageError(f"--out {out}: expected the name of a .parquet file.")
    if workers is not None and not 1 <= workers <= 256:
        raise UsageError("--workers: expected 1 to 256.")
    render_spec(size, fps, check_look(look))
    if not 1 <= context <= 2 * fps:
        raise UsageError(f"--context {context}: expected 1 to {int(2 * fps)} frames at {fps:g} frames/s.")
    if crf is not None and not 0 <= crf <= 51:
        raise UsageError(f"--crf {crf}: expected 0 (best) to 51.")
    if crf is not None and size % 2:
        raise UsageError(f"--size {size}: H.264 takes even sizes only.")
    if scorers is not None:
        scorers = user_files.absolute_pattern(scorers)  # means the same in workers, and elsewhere
    scorers_of(scorers)
    settings = Settings(
        tasks=match_tasks(tasks) if tasks is not None else builtin_task_ids(),
        sources=find_sources(violations),
        scorers=scorers,
        clips=clips,
        truths=max(clips, 2 * clips if truths is None else truths),
        size=size,
        fps=fps,
        context=context,
        crf=crf,
        look=look,
    )
    refuse_unwritable(out.absolute().parent)
    started = time.monotonic()
    try:
        table, failures = table_of.check_scorers(settings, out, worker_count(workers), note)
    except KeyboardInterrupt:
        note(f"Stopped. To continue:\n  physbench {shlex.join(sys.argv[1:])}")
        raise
    headlines, own = table_of.headlines(settings), table_of.own_readings(settings)
    if as_json:
        typer.echo(json.dumps(json.loads(table.to_json(orient="records")), indent=1))
    else:
        console = stdout_console()
        for view in validity_text.printed(table, headlines, own, by):
            console.print(view)
            console.print()
        for sentence in validity_text.sentences(table, [*own, *headlines]):
            typer.echo(sentence)
    note(f"{out}: {len(table)} cells of videos of {settings.spec}, {time.monotonic() - started:.0f} s")
    for failure in failures[:MOST_FAILURES]:
        complain(failure)
    if failures:
        complain(
            f"{len(failures)} failures, of videos that could not be shown or scorers on ground truth. "
            "The table has the rest."
        )
        raise typer.Exit(1)
