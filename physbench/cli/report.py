"""`physbench report RUN`: rebuild the result and the report from a run folder, or print the result in another form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physbench.cli import completion
from physbench.support.errors import UsageError, nearest

if TYPE_CHECKING:
    from physbench.result.document import ResultDocument
    from physbench.run.remote_run import RunPlace
    from physbench.support.run_folder import RunFolder


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder or URL of a finished run.",
            show_default=False,
            autocompletion=completion.run_folders,
        ),
    ],
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

    from physbench.cli.console import note
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
    from physbench.support.run_folder import RunFolder

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
    _write(out, text)
    typer.echo(f"Wrote {out}", err=True)


def _expectation(place: RunPlace, wanted: str, out: Path | None) -> None:
    """The same for a run of the suite that asks for surprise: its page in the run folder, or its result document."""
    from physbench.cli.console import stdout_console
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
    from physbench.cli.console import stdout_console
    from physbench.result.report.page import write_report
    from physbench.result.report.terminal import print_summary
    from physbench.support.processes import cores

    if out is not None:
        _refuse_folder(out)
    path = write_report(place.folder, out, result, physicist, cores())
    print_summary(result, stdout_console())
    typer.echo(place.named(f"Report: {path}"))


def _write(path: Path, text: str) -> None:
    from physbench.support.files import write_text

    _refuse_folder(path)
    write_text(path, text)


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give a file to --out.")
