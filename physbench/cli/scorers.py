"""`physbench scorers`: lists, explains, checks and creates scorers."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from physbench.cli import console
from physbench.cli.console import READABLE, complain, note, refuse_unwritable, stdout_console
from physbench.support.errors import UsageError
from physbench.support.processes import worker_count

LEVELS = ("all", "family", "task")


app = typer.Typer(help="List and explain the scorers.", no_args_is_help=True, rich_markup_mode=None)

ScorerName = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="consistency/shadowing, shadowing, laws/*, or FILE.py.",
        autocompletion=console.scorer_names,
    ),
]


@app.command("list")
def list_scorers() -> None:
    """List the installed scorers: what counts on an axis first, then the diagnostics outside every mean, by group."""

    from physbench.score.protocol import AXES
    from physbench.score.score_clip import find_scorers

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("scorer", "unit", "better", "what it is"):
        table.add_column(column, no_wrap=column == "scorer")
    scorers = find_scorers(costly=True)
    counting = [each for axis in AXES for each in scorers if each.axis == axis]
    groups = {"axes": counting}
    for each in scorers:
        if each.axis is None:
            groups.setdefault(each.id.split("/")[0], []).append(each)
    for name, members in groups.items():
        heading = "count on an axis" if name == "axes" else f"{name} (diagnostics)"
        if table.rows:
            table.add_row()
        table.add_row(Text(heading, style="bold"))
        for each in members:
            unit = "" if each.unit == "1" else each.unit
            better = "" if each.better == "neither" else each.better
            about = _first_line(each.doc)
            table.add_row(
                f"  {each.id}", unit, better, about if each.headline or not each.axis else f"{about} (beside)"
            )
    console = stdout_console()
    console.print(table, width=min(console.width, READABLE))


def _first_line(doc: str | None) -> str:
    return next(iter(inspect.cleandoc(doc or "").splitlines()), "")


@app.command()
def show(name: ScorerName) -> None:
    """Show a scorer's definition: formula, unit, range, direction, noise floor, source."""

    from physbench.score.score_clip import find_scorers
    from physbench.support import plugins

    console = stdout_console()
    shown = find_scorers(name, costly=True)
    if all(
        plugins.names_files(part) for part in plugins.split_pattern(name)
    ):  # which would be added to all that is installed
        installed = {each.id for each in find_scorers(costly=True)}
        shown = tuple(each for each in shown if each.id not in installed)
    for rank, each in enumerate(shown):
        if rank:
            console.print()
        console.print(Text(each.id, style="bold") + Text(f"  version {each.version}", style="dim"))
        console.print()
        console.print(Text(inspect.cleandoc(each.doc)))
        console.print()
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="dim")
        table.add_column()
        place = "none: a diagnostic, outside every mean"
        if each.axis:
            place = each.axis + (", its quality is the axis's" if each.headline else "")
        table.add_row("axis", place)
        table.add_row("unit", {"1": "1 (a pure number)"}.get(each.unit, each.unit))
        table.add_row("better", each.better)
        table.add_row("noise floor", each.noise_floor)
        table.add_row("source", each.source)
        for key, phrase in each.phrases:
            table.add_row(f"phrase of {key}" if key else "phrase", phrase)
        if each.breaks_at is not None:
            unit = "" if each.unit == "1" else f" {each.unit}"
            table.add_row("breaks at", f"a difference of {each.breaks_at:g}{unit} from ground truth")
        if each.needs_constants:
            keys = ", ".join(key or "its own" for key in each.needs_constants)
            table.add_row("needs constants", f"{keys}: left out where the context does not show every constant")
        table.add_row("needs", ", ".join((*each.needs, *each.packages)))
        if each.precheck is not None:
            table.add_row("precheck", _first_line(each.precheck.__doc__) or each.precheck.__name__)
        console.print(table)


@app.command()
def check(
    scorers: Annotated[str | None, typer.Option(help="Ids, globs, or FILE.py with your own, added to all.")] = None,
    violations: Annotated[
        str,
        typer.Option(help="Names or globs: gravity, gravity:*, teleport:0.3, hue+kick, gravity@4, cheat-*, bars."),
    ] = "*",
    tasks: Annotated[str | None, typer.Option(help="Ids, families, globs or FILE.py. Default: those of core.")] = None,
    clips: Annotated[int, typer.Option(help="Clips of each task for every source; refused ones are replaced.")] = 12,
    truths: Annotated[
        int | None, typer.Option(help="The same for ground truth and near alternatives. Default: twice --clips.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the frames in px.")] = 64,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 15.0,
    context: Annotated[int, typer.Option(help="Context frames.")] = 8,
    look: Annotated[
        str, typer.Option(metavar="plain|natural", help="How videos are drawn; natural needs Mitsuba.")
    ] = "plain",
    view: Annotated[str, typer.Option(metavar="far|near|moving", help="From where clips are seen.")] = "far",
    crf: Annotated[
        int | None, typer.Option(help="Encode predicted frames with H.264 of this quality first: 0 (best) to 51.")
    ] = None,
    by: Annotated[str, typer.Option(help="One printed line for: all, family or task.")] = "all",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write; FILE.parts holds partial results.")] = Path(
        "validity.parquet"
    ),
    workers: Annotated[int | None, typer.Option(help="Processes. Default: one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every cell as JSON.")] = False,
) -> None:
    """Test scorers on broken physics, lawful alternatives ("strangers") and gaming baselines ("cheats").

    A run that was stopped continues. Every video is made, tracked and read with every scorer: on two cores that takes
    about half a second. Start with fewer (--scorers, --tasks, --violations, --clips).
    """
    from physbench.clips.generate import render_spec
    from physbench.clips.task import builtin_task_ids, match_tasks
    from physbench.support import plugins
    from physbench.validity import text
    from physbench.validity.measure import Settings, scorers_of
    from physbench.validity.sources import find_sources

    if not 1 <= clips <= 1000 or (truths is not None and not 1 <= truths <= 1000):
        raise UsageError("--clips and --truths: expected 1 to 1000.")
    if by not in LEVELS:
        raise UsageError(f"--by {by}: expected one of {', '.join(LEVELS)}.")
    if out.suffix != ".parquet" or out.is_dir():
        raise UsageError(f"--out {out}: expected the name of a .parquet file.")
    if workers is not None and not 1 <= workers <= 256:
        raise UsageError("--workers: expected 1 to 256.")
    render_spec(size, fps, look, view)
    if not 1 <= context <= 2 * fps:
        raise UsageError(f"--context {context}: expected 1 to {int(2 * fps)} frames at {fps:g} frames/s.")
    if crf is not None and not 0 <= crf <= 51:
        raise UsageError(f"--crf {crf}: expected 0 (best) to 51.")
    if crf is not None and size % 2:
        raise UsageError(f"--size {size}: H.264 takes even sizes only.")
    if scorers is not None:
        scorers = plugins.absolute_pattern(scorers)  # means the same in workers, and elsewhere
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
        view=view,
    )
    refuse_unwritable(out.absolute().parent)
    started = time.monotonic()
    try:
        table, failures = text.check_scorers(settings, out, worker_count(workers), note)
    except KeyboardInterrupt:
        note(f"Stopped. To continue:\n  physbench {shlex.join(sys.argv[1:])}")
        raise
    headlines, own = text.headlines(settings), text.own_readings(settings)
    if as_json:
        typer.echo(json.dumps(json.loads(table.to_json(orient="records")), indent=1))
    else:
        console = stdout_console()
        for shown in text.printed(table, headlines, own, by):
            console.print(shown)
            console.print()
        for sentence in text.sentences(table, [*own, *headlines]):
            typer.echo(sentence)
    note(f"{out}: {len(table)} cells of videos of {settings.spec}, {time.monotonic() - started:.0f} s")
    for failure in failures[:10]:
        complain(failure)
    if failures:
        complain(
            f"{len(failures)} failures, of videos that could not be shown or scorers on ground truth. "
            "The table has the rest."
        )
        raise typer.Exit(1)


@app.command()
def fetch(
    scorer: Annotated[str, typer.Argument(metavar="SCORER", help="lpips, the one that needs weights.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A copy of the weights, where there is no internet.")
    ] = None,
) -> None:
    """Fetch the published weights that a scorer stands on into the cache, once, and check their hash.

    Example: physbench scorers fetch lpips
    """
    from physbench.scorers.diagnostics import perceptual

    if scorer not in ("lpips", perceptual.lpips.id):
        raise UsageError(f"{scorer}: no scorer of this name needs weights. Expected lpips.")
    typer.echo(perceptual.fetch_trunk(source))
    if missing := perceptual.why_unavailable():
        note(f"{scorer} is still unavailable: {missing}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="In small letters with hyphens, as in my-scorer.")],
    family: Annotated[str, typer.Option(help="First part of its id.")] = "own",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into.")] = Path(),
) -> None:
    """Write a working scorer as a starting point for yours, and a test of it."""
    from physbench.cli.tasks import quoted, write_template

    path, test = write_template("scorer", name, family, out)
    note(f"Change it, then run:\n  physbench eval MODEL --suite smoke --scorers {quoted(path)}")
    typer.echo(path)
    typer.echo(test)
