"""`physbench tasks`: lists, explains, draws, creates and checks tasks; templates of tasks and scorers."""

from __future__ import annotations

import inspect
import json
import keyword
import re
import shlex
import time
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from physbench.cli import console
from physbench.cli.console import READABLE, note, stdout_console
from physbench.result.formats import counted
from physbench.support.errors import UsageError, nearest
from physbench.support.plugins import entries

if TYPE_CHECKING:
    from physbench.clips.clip import Split
    from physbench.clips.task import Parameter, Task
    from physbench.validity.task_checks.finding import Finding, Report


# What `physbench tasks check` prints.

STATE_COLOURS = {"ok": "green", "note": "yellow", "failed": "red"}
WIDTH = 20  # characters of a check's name


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
    """Clips that were checked: "9 clips: 6 of test, 2 of ood, 1 of train"."""
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


app = typer.Typer(help="List, explain, draw, make and check tasks.", no_args_is_help=True, rich_markup_mode=None)


TaskName = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="falling/projectile-v1, projectile-v1, projectile or FILE.py[:Class].",
        autocompletion=console.task_names,
    ),
]


@app.command("list")
def list_tasks(
    pattern: Annotated[
        str, typer.Argument(metavar="[GLOB|FILE.py]", help="Names, families, globs or files, with commas.")
    ] = "*",
) -> None:
    """List the tasks by family, with the suites that hold them."""

    from physbench.clips.suite import SEPARATE_SUITES, golden_tasks
    from physbench.clips.task import builtin_task_ids, find_task, match_tasks, own_tasks

    console = stdout_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("task", no_wrap=True)
    table.add_column("suite", no_wrap=True)
    table.add_column("what happens")
    core, full, pushed = builtin_task_ids(), builtin_task_ids(full=True), builtin_task_ids(actions=True)
    family = ""
    for task_id in match_tasks(pattern):
        if task_id.split("/")[0] != family:
            family = task_id.split("/")[0]
            table.add_row(Text(family, style="bold cyan"))
        suites: dict[str, Collection[str]] = {
            "core": core,
            "full": full,
            "actions": pushed,
            **{name: golden_tasks(name) for name in SEPARATE_SUITES},
            "own": own_tasks(),
        }
        suite = next((name for name, held in suites.items() if task_id in held), "")
        happens = (inspect.getdoc(find_task(task_id)) or "\n").splitlines()[0]
        table.add_row(Text(f"  {task_id}"), Text(suite or "-", style="dim"), happens)
    console.print(table, width=min(console.width, READABLE))


@app.command()
def show(name: TaskName) -> None:
    """Show a task's specification: law, parameters, camera, hand-over, what may be hidden."""

    table = "| parameter"  # begins the table of parameters in a docstring
    from physbench.clips.task import find_task

    task = find_task(name)
    console = stdout_console()
    console.print(Text(task.id, style="bold"))
    blocks = (inspect.getdoc(task) or "").split("\n\n")
    if not any(block.startswith(table) for block in blocks):  # a docstring may leave it to the declaration
        blocks.append(table)
    for block in blocks:
        console.print()
        if block.startswith(table):
            console.print(Padding(_parameter_table(task.parameters), (0, 0, 0, 2)))
            continue
        for paragraph in _paragraphs(block):
            label, colon, rest = paragraph.partition(": ")
            titled = bool(colon) and re.fullmatch(r"[A-Z][a-z -]+", label) is not None
            text = Text.assemble((f"{label}: ", "bold"), rest) if titled else Text(paragraph)
            console.print(text, width=min(console.width, READABLE), soft_wrap=False)


@app.command()
def preview(
    name: TaskName,
    split: Annotated[str, typer.Option(help="train, test or ood.")] = "test",
    seed: Annotated[int, typer.Option(help="Seed of the first clip.")] = 0,
    clips: Annotated[int, typer.Option(help="Number of clips.")] = 4,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .png is a contact sheet; .gif, .webp and .mp4 play. [default: preview-<task>-<split>.png here; "
            "--size, and what is not the default of seed, clips, look and view, is added]",
        ),
    ] = None,
    look: Annotated[
        str,
        typer.Option(
            metavar="LOOK",
            help="plain, or natural: with ground, light and shadows, blurred as filmed; natural:shutter=0: sharp.",
        ),
    ] = "plain",
    view: Annotated[str, typer.Option(metavar="VIEW", help="far; near: from 5 m; or moving.")] = "far",
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            help="Side of a picture. [default: 192 on a sheet, 160 that play; with more shutter or noise twice that]",
            min=32,
        ),
    ] = None,
) -> None:
    """Draw a few clips: frames over time and each clip's trajectories in one picture, or an animation."""
    from physbench.clips.preview import SUFFIXES, default_name, drawn_as
    from physbench.clips.preview import preview as write
    from physbench.clips.task import find_task, short_names
    from physbench.world.styles.catalogue import check_drawn

    task = find_task(name)
    chosen = check_split(split, task)
    if seed < 0:
        raise UsageError(f"--seed: expected 0 or more but got {seed}.")
    if not 1 <= clips <= 16:
        raise UsageError(f"--clips: expected 1 to 16 but got {clips}.")
    check_drawn(look, view)
    path = out or Path()
    if path.is_dir():
        path = path / default_name(short_names(task.id)[0], chosen, seed, look, view, clips, size)
    if path.suffix.lower() not in (".png", *SUFFIXES):
        raise UsageError(
            f"--out: expected a .png, {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file but got '{path}'. "
            f"Write --out {path.with_suffix('.png')} or {path.with_suffix('.gif')}."
        )
    write(task, chosen, range(seed, seed + clips), path, look, view, size)
    note(", ".join([f"{counted(clips, 'clip')} of {task.id}", split, *drawn_as(look, view)]))
    typer.echo(path)


@app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID...",
            help="FILE.py, FILE.py:Class, or ids, names and globs.",
            autocompletion=console.task_names,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All installed tasks, in two processes.")] = False,
    clips: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Clips of test; a third as many of ood and 1 of train are added. [default: 6; with --all 1]",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for pictures of what fails.")] = Path("checks"),
    workers: Annotated[int, typer.Option(metavar="N", help="Processes, where several tasks are checked.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document instead of words.")] = False,
    look: Annotated[
        str, typer.Option(metavar="LOOK", help="natural: pictures in that look are checked, too.")
    ] = "plain",
) -> None:
    """Check whether a task can be used for measurements, and say how to fix it where it cannot.

    Exits with 1 where a task is refused. Example: physbench tasks check my_task.py
    """
    from physbench.clips.task import builtin_task_ids, match_tasks
    from physbench.validity.task_checks.check_task import TEST_CLIPS, check_all, check_task
    from physbench.world.styles.catalogue import check_look

    if bool(names) == everything:
        raise UsageError("Name a task to check (FILE.py, FILE.py:Class or an id), or give --all.")
    if clips is not None and not 1 <= clips <= 100:
        raise UsageError(f"--clips: expected 1 to 100 but got {clips}.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: '{out}' is a file. Name a folder for the pictures.")
    check_look(look)
    started = time.monotonic()
    builtin = (*builtin_task_ids(full=True), *builtin_task_ids(actions=True))
    ids = builtin if everything else match_tasks(",".join(names or ()))
    count = clips or (1 if everything else TEST_CLIPS)  # clips of test, and one of ood, of each task with --all
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


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="In small letters with hyphens, as in my-task.")],
    family: Annotated[str, typer.Option(help="First part of its id.")] = "own",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into.")] = Path(),
) -> None:
    """Write a working task as a starting point for yours, and a test of it."""
    path, test = write_template("task", name, family, out)
    note(f"Change it, then run:\n  physbench tasks check {quoted(path)}\n  physbench tasks preview {quoted(path)}")
    typer.echo(path)
    typer.echo(test)


def check_split(split: str, task: Task) -> Split:
    """Return the split of a task, or raise UsageError with the nearest name."""
    from physbench.clips.task import splits_of

    known = splits_of(task)
    for each in known:
        if split == each:
            return each
    raise UsageError(f"{task.id} has no split named '{split}'.{nearest(split, known)}")


def _paragraphs(block: str) -> list[str]:
    """Lines joined to paragraphs; a line that begins with a label ("Camera: ...") begins a new one."""
    paragraphs: list[str] = []
    for line in block.splitlines():
        if paragraphs and not re.match(r"[A-Z][a-z -]+: ", line):
            paragraphs[-1] += " " + line
        else:
            paragraphs.append(line)
    return paragraphs


def _parameter_table(parameters: Mapping[str, Parameter]) -> Table:

    from physbench.clips.task import PARAMETER_COLUMNS, other_spans

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in PARAMETER_COLUMNS:
        table.add_column(column, no_wrap=column != "meaning")
    for name, parameter in parameters.items():
        other = other_spans(parameter)
        table.add_row(name, parameter.unit, parameter.kind, parameter.span("train"), other, parameter.doc)
    return table


NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"


def write_template(kind: Literal["task", "scorer"], name: str, family: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.py and test_NAME.py into `folder` and return their paths.

    Raises UsageError for a name that cannot be one or is taken, and where a file is there already.
    """
    stem = name.strip().removesuffix(".py").replace("_", "-").replace(" ", "-").lower()
    for what, text in (("name", stem), ("family", family)):
        if not re.fullmatch(NAME, text):
            raise UsageError(f"'{text}' is no {what}: expected small letters, digits and hyphens, as in bouncing-box.")
    file = f"{stem.replace('-', '_')}.py"
    paths = (folder / file, folder / f"test_{file}")
    for path in paths:
        if path.exists():
            raise UsageError(f"'{path}' exists and is not overwritten. Choose another name or --out.")
    words = {
        "title": stem.replace("-", " ").capitalize(),
        "file": file,
        "id": f"{family}/{stem}-v1" if kind == "task" else f"{family}/{stem}",
        "name": "".join(part.capitalize() for part in stem.split("-")) if kind == "task" else stem.replace("-", "_"),
    }
    if words["id"] in entries(f"physbench.{kind}s"):
        raise UsageError(f"There is a {kind} '{words['id']}' already. Choose another name or --family.")
    source = files("physbench.clips").joinpath("templates", f"{kind}.py.txt").read_text(encoding="utf-8")
    if keyword.iskeyword(words["name"]) or re.search(rf"(?m)^(import|from) (.*\([^)]*|.*)\b{words['name']}\b", source):
        raise UsageError(f"'{words['name']}' has a meaning in the file already. Choose a longer name, as in my-{stem}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, template in zip(paths, (f"{kind}.py.txt", f"test_{kind}.py.txt"), strict=True):
            text = files("physbench.clips").joinpath("templates", template).read_text(encoding="utf-8")
            path.write_text(text.format(**words), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write into {folder.absolute()}: {error.strerror}. Choose another --out.") from error
    return paths
