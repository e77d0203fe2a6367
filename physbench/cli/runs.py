"""The runs below a folder: `runs` lists, `view` shows, `compare`, `diagnose` and `report` read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from physbench.cli import console
from physbench.cli.console import note, refuse_missing, stdout_console
from physbench.result.formats import ascii_minus, counted
from physbench.support.errors import UsageError, nearest
from physbench.support.files import write_text
from physbench.support.processes import cores, worker_count
from physbench.support.remote import is_url
from physbench.support.run_folder import RunFolder, other_contents

if TYPE_CHECKING:
    from physbench.result.document import ResultDocument
    from physbench.result.read import RunSummary
    from physbench.run.remote_run import RunPlace

FinishedRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Folder or URL of a finished run.",
        show_default=False,
        autocompletion=console.run_folders,
    ),
]
WIDE, WIDE_WITH_NOTES = 110, 170  # columns of a terminal from which axes are shown


def runs(
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="Folder with runs, on this machine.")] = "runs",
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Only runs with this tag.")] = None,
    sort: Annotated[
        str,
        typer.Option(metavar="BY", help="changed, run, model, suite, overall, consistency, permanence or drift."),
    ] = "changed",
    check: Annotated[
        bool, typer.Option("--check", help="Read all files of finished runs, and name what was changed since.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List runs with model, suite, overall and state, on a wide terminal with axes; the newest first, or by --sort.

    Example: physbench runs
    """
    from physbench.result.read import SORTED_BY, find_runs, sorted_runs
    from physbench.result.report.runs import axis_words, overall_words, state_words
    from physbench.score.protocol import AXES

    if is_url(folder):
        raise UsageError(
            f"`runs` needs a folder of this machine, and {folder} is a URL. Of one run: physbench status URL"
        )
    if sort not in SORTED_BY:
        raise UsageError(f"--sort: there is no column '{sort}'.{nearest(sort, SORTED_BY)}")
    listed = sorted_runs([each for each in find_runs(Path(folder)) if tag is None or tag in each.tags], sort)
    if check:
        _check(listed)
        return
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in listed], indent=1))
        return
    if not listed:
        note(f"There is no run in {folder}{f' with the tag {tag}' if tag else ''}. `physbench eval MODEL` makes one.")
        return

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    console = stdout_console()
    notes = any(each.note or each.tags for each in listed)
    shown_axes = AXES if console.width >= (WIDE_WITH_NOTES if notes else WIDE) else ()
    columns = ["run", "model", "suite", "overall", *shown_axes, "state", "changed"]
    for name in [*columns, "note"] if notes else columns:
        table.add_column(
            name,
            justify="right" if name in AXES else "left",
            overflow="fold",
            no_wrap=name in ("state", "changed"),
        )
    for each in listed:
        changed = datetime.fromtimestamp(each.changed).strftime("%Y-%m-%d %H:%M")
        tags = " ".join(f"[{name}]" for name in each.tags)
        skills = [overall_words(each), *(axis_words(each, axis) for axis in shown_axes)]
        cells = [each.path, each.model, each.suite, *map(ascii_minus, skills), state_words(each), changed]
        cells += [" ".join(part for part in (tags, each.note) if part)] if notes else []
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _check(runs: list[RunSummary]) -> None:
    """Say of each run whether it consists of what it was finished with. Exits with 1 where one does not."""
    from physbench.result.manifest import read_manifest

    others = 0
    for each in runs:
        folder, state = RunFolder(Path(each.path)), "as it was finished"
        if each.state == "damaged":
            others, state = others + 1, f"damaged: {each.note}"
        else:
            contents = read_manifest(folder).contents
            names = other_contents(folder, contents)
            if names:
                others, state = others + 1, f"changed since: {', '.join(names)}. Repeat its command with --resume."
            elif contents is None:
                state = "not finished" if each.state == "unfinished" else "finished, but holds no hashes of its files"
        stdout_console().print(f"{each.path}: {state}", markup=False, soft_wrap=True)
    if others:
        raise typer.Exit(1)


def view(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder with runs.")] = Path("runs"),
    port: console.Port = 8380,
    open_browser: console.OpenBrowser = True,
) -> None:
    """Show the runs of a folder and their reports in the browser, for this machine alone, until Ctrl-C.

    Example: physbench view
    """
    from physbench.result.read import find_runs
    from physbench.result.report.runs import RunsServer

    count = len(find_runs(folder))
    shown = f"{counted(count, 'run')} in {folder}"
    console.serve(lambda: RunsServer(folder, port), shown, port, open_browser=open_browser)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="Folders or URLs of finished runs: the first, and what it is compared with.",
            autocompletion=console.run_folders,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON to stdout.")] = False,
) -> None:
    """Say whether the first model is ahead of the others, with intervals paired clip by clip.

    Two runs of one model in two looks: what the look changes.

    Runs of the suite expectation: what each model notices, and from which size on, side by side. Runs of both kinds,
    one of each for every model: whether models that roll out lawfully also notice.

    Example: physbench compare runs/objects-core-1 runs/constant-velocity-core-1
    """
    if len(runs) < 2:
        raise UsageError("Expected two runs or more: physbench compare RUN RUN.")
    resolved = [run.rstrip("/") if is_url(run) else str(Path(run).resolve()) for run in runs]
    if twice := [path for path, place in zip(runs, resolved, strict=True) if resolved.count(place) > 1]:
        raise UsageError(f"Expected different runs but got {twice[0]} more than once.")
    refuse_missing(*runs)
    from physbench.result.compare import compare as compare_runs
    from physbench.result.report.terminal import print_comparison
    from physbench.run.remote_run import run_at
    from physbench.surprise.document import print_skill_and_notice, skill_and_notice
    from physbench.surprise.report import print_thresholds, shows_films, threshold_table

    table: Any
    show: Callable[..., None]
    with ExitStack() as stack:
        places = [stack.enter_context(run_at(each, "glance", note)) for each in runs]
        folders = [place.folder for place in places]
        films = [shows_films(folder) for folder in folders]
        if all(films):
            table, show = threshold_table(folders), print_thresholds
        elif any(films):
            table, show = skill_and_notice(folders), print_skill_and_notice
        else:
            table, show = compare_runs(*folders), print_comparison
    if as_json:
        typer.echo(reduce(lambda text, place: place.named(text), places, table.model_dump_json(indent=1)))
    else:
        show(table, stdout_console())


def diagnose(
    run: FinishedRun,
    workers: Annotated[int | None, typer.Option(help="Processes. [default: as many as there are cores]")] = None,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="FILE.py", help="A file with the run's own tasks, or with changed worlds of your own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Name the laws that a model follows instead of the true ones, family by family.

    Worlds with one law changed (gravity, drag, restitution, ...) are fitted to the tracks of a run. The one that
    explains most of what the true laws do not is named with its number. Writes RUN/diagnosis.json, and builds
    result.json and the report again. What is wrong with the timing of frames is said first, with what it explains. No
    score changes.

    `physbench eval` does the same at the end of a run, unless `--no-diagnosis` is given.

    Example: physbench diagnose runs/objects-smoke-1
    """
    refuse_missing(run)
    from physbench.result.build import write_result
    from physbench.result.diagnosis.diagnose_run import diagnose_run
    from physbench.result.findings import implied_sentence
    from physbench.result.manifest import read_manifest
    from physbench.result.report.data import require_tasks
    from physbench.result.report.page import write_report
    from physbench.run.remote_run import run_at

    if tasks is not None:
        from physbench.support import plugins

        for part in plugins.split_pattern(tasks):
            for file, _ in plugins.open_files(part):
                plugins.register_file(file)
    with run_at(run, "go on", note) as place:
        folder = place.folder
        require_tasks(folder, read_manifest(folder))
        worlds = diagnose_run(folder, worker_count(workers), note)
        result = write_result(folder)
        if folder.report.is_file():
            write_report(folder, None, result, workers=worker_count(workers))
    if as_json:
        typer.echo(json.dumps({family: world.model_dump(mode="json") for family, world in worlds.items()}, indent=1))
        return
    if result.timing is not None and result.timing.named:
        typer.echo(result.timing.sentence)
    for family, world in worlds.items():
        typer.echo(f"{family}: {implied_sentence(world)}")
        if world.alike:
            typer.echo(f"  explains as much: {', '.join(world.alike)}")
    if not worlds:
        typer.echo("No motion of this run can be judged by its laws.")


def report(
    run: FinishedRun,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="html|md|model-index|csv|json",
            help="html: the page; md: for a model card; model-index: metadata for its head (YAML); csv: a row per task "
            "and axis; json: the result document.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write. [default: RUN/report/index.html, else stdout]")
    ] = None,
    clips: Annotated[bool, typer.Option("--clips", help="With csv: every reading of every clip.")] = False,
    tasks: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="The file with the run's own tasks, if it has any.")
    ] = None,
    physicist: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A run of baseline:physicist on the same clips, drawn beside the references."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Build result.json and the report again from what a run stored. Nothing is rolled out or scored.

    With --out, or a --format that is printed, nothing is written into RUN.

    Example: physbench report runs/objects-smoke-1 --format md
    """
    refuse_missing(run)
    from physbench.result.report.markdown import FORMATS

    if as_json and form not in (None, "json"):
        raise UsageError(f"Give --json or --format {form}, not both.")
    wanted = form or ("json" if as_json else "html")
    if wanted not in FORMATS:
        raise UsageError(f"--format: there is no '{wanted}'.{nearest(wanted, FORMATS)}")
    if clips and wanted != "csv":
        raise UsageError("--clips is for --format csv.")
    if physicist is not None and wanted != "html":
        raise UsageError("--physicist is drawn on the page: it needs --format html.")

    from physbench.run.remote_run import run_at

    writes = wanted == "html" and out is None
    with run_at(run, "go on" if writes else "read", note) as place:
        _report(place, wanted, out, clips, tasks, physicist)


def _report(
    place: RunPlace, wanted: str, out: Path | None, clips: bool, tasks: str | None, physicist: Path | None
) -> None:
    """Build and print what is wanted of a run."""
    from physbench.clips.suite import EXPECTATION_SUITE
    from physbench.result.build import build_result, write_result
    from physbench.result.manifest import read_manifest

    folder = place.folder
    if read_manifest(folder).suite.name == EXPECTATION_SUITE:
        if tasks is not None or physicist is not None:
            raise UsageError(
                "--tasks and --physicist are for runs with axes, which the suite expectation does not have."
            )
        _expectation(place, wanted, out)
        return
    if tasks is not None:
        from physbench.clips.task import match_tasks

        match_tasks(tasks)
    result = write_result(folder) if wanted == "html" and out is None else build_result(folder)
    if wanted == "html":
        _page(place, result, out, None if physicist is None else RunFolder(physicist))
        return
    from physbench.result.report.markdown import csv_of_clips, csv_of_tasks, markdown, model_index

    if wanted == "json":
        text = json.dumps(result.model_dump(mode="json"), indent=1) + "\n"
    elif wanted == "md":
        text = markdown(result)
    elif wanted == "model-index":
        text = model_index(result)
    else:
        text = csv_of_clips(folder) if clips else csv_of_tasks(result)
    if out is None:
        typer.echo(text, nl=False)
        return

    _refuse_folder(out)
    write_text(out, text)
    typer.echo(f"Wrote {out}", err=True)


def _expectation(place: RunPlace, wanted: str, out: Path | None) -> None:
    """The same for a run of the suite that asks for surprise: its page in the run folder, or its result document."""
    from physbench.result.document import read_result
    from physbench.surprise.document import expectation_of, rewrite_expectation
    from physbench.surprise.report import print_expectation

    if wanted not in ("html", "json") or out is not None:
        raise UsageError("A run of the suite expectation has its page, without --out, and --format json.")
    folder = place.folder
    if wanted == "json":
        typer.echo(expectation_of(folder).model_dump_json(indent=1))
        return
    rewrite_expectation(folder)
    print_expectation(read_result(folder.result), stdout_console())
    typer.echo(place.named(f"Report: {folder.report}"))


def _page(place: RunPlace, result: ResultDocument, out: Path | None, physicist: RunFolder | None) -> None:
    from physbench.result.report.page import write_report
    from physbench.result.report.terminal import print_summary

    if out is not None:
        _refuse_folder(out)
    path = write_report(place.folder, out, result, physicist, cores())
    print_summary(result, stdout_console())
    typer.echo(place.named(f"Report: {path}"))


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give a file to --out.")
