"""What `physbench tasks check` prints."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from physbench.cli.console import note
from physbench.errors import UsageError

if TYPE_CHECKING:
    from physbench.checks.finding import Finding, Report

STATE_COLOURS = {"ok": "green", "note": "yellow", "failed": "red"}
WIDTH = 20  # characters of a check's name
QUICK = 1  # clips of test, and one of ood, of each task with --all


def check_tasks(
    names: Sequence[str],
    *,
    everything: bool,
    clips: int | None,
    out: Path,
    workers: int,
    as_json: bool,
    look: str,
) -> None:
    """Check tasks and print what was found; raises typer.Exit(1) where one is refused."""
    from physbench.checks.check_task import TEST_CLIPS, check_all, check_task
    from physbench.clips.task import builtin_task_ids, match_tasks
    from physbench.looks.known_looks import check_look

    if bool(names) == everything:
        raise UsageError("Name a task to check (FILE.py, FILE.py:Class or an id), or give --all.")
    if clips is not None and not 1 <= clips <= 100:
        raise UsageError(f"--clips: expected 1 to 100 but got {clips}.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: '{out}' is a file. Name a folder for the pictures.")
    check_look(look)
    started = time.monotonic()
    ids = (*builtin_task_ids(), *builtin_task_ids(actions=True)) if everything else match_tasks(",".join(names))
    count = clips or (QUICK if everything else TEST_CLIPS)
    if len(ids) == 1:
        reports = [check_task(ids[0], count, out, look)]
        if not as_json:
            _print(reports[0])
    else:
        reports = []
        for report in check_all(ids, count, out, workers, look):
            reports.append(report)
            if not as_json:
                _line(report)
    if as_json:
        typer.echo(json.dumps([r.document() for r in reports] if len(ids) > 1 else reports[0].document(), indent=1))
    refused = sum(not report.passed for report in reports)
    if len(ids) > 1:
        note(f"{len(ids) - refused} of {len(ids)} tasks pass, {time.monotonic() - started:.0f} s")
    if refused:
        raise typer.Exit(1)


def quoted(path: Path) -> str:
    """A path quoted for a shell."""
    return shlex.quote(str(path))


def _print(report: Report) -> None:
    typer.echo(f"{report.task}  ({report.source})\n")
    for finding in report.findings:
        _finding(finding)
    for axis, reading in report.axes.items():
        values = {"truth": reading.truth, "freeze": reading.freeze, "constant velocity": reading.constant_velocity}
        words = ", ".join(f"{name} {value:.2f}" for name, value in values.items() if value is not None)
        typer.echo(f"{'':6} {axis:{WIDTH}} {reading.kind}" + (f": {words}" if words else ""))
    failures = sum(finding.state == "failed" for finding in report.findings)
    verdict = (
        f"refused: {failures} of the checks failed" if failures else f"fit to be measured with ({clips_of(report)})"
    )
    typer.echo("")
    typer.echo(typer.style(f"{report.task} is {verdict}", fg="red" if failures else "green", bold=True))


def clips_of(report: Report) -> str:
    """Which clips were checked: "9 clips: 6 of test, 2 of ood, 1 of train"."""
    return f"{report.clips} clips: " + ", ".join(f"{count} of {split}" for split, count in report.splits.items())


def _finding(finding: Finding) -> None:
    where = f" [{finding.clip}]" if finding.clip else ""
    head = typer.style(f"{finding.state:6}", fg=STATE_COLOURS[finding.state])
    typer.echo(f"{head} {finding.check:{WIDTH}} {finding.text}{where}")
    indent = " " * (8 + WIDTH)
    if finding.remedy:
        typer.echo("\n".join(indent + line for line in finding.remedy.splitlines()))
    if finding.picture:
        typer.echo(f"{indent}picture: {finding.picture}")


def _line(report: Report) -> None:
    """Print one line, and below it the failures of a task that does not pass."""
    kinds = ", ".join(f"{axis} {reading.kind}" for axis, reading in report.axes.items())
    state = "ok" if report.passed else "failed"
    typer.echo(f"{typer.style(f'{state:6}', fg=STATE_COLOURS[state])} {report.task:32} {kinds}")
    for finding in report.findings:
        if finding.state == "failed":
            _finding(finding)
