"""`physbench cache`: what it holds, how large it is, and its removal."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from physbench.cli.console import note, stdout_console
from physbench.support.cache import CACHE_AREAS, cache_areas, unsent_copies
from physbench.support.cache import prune as remove
from physbench.support.errors import UsageError, nearest
from physbench.support.files import cache_dir
from physbench.support.remote import COPIES

app = typer.Typer(
    help="Show the cache of clips and references, or remove what is old.", no_args_is_help=False, rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show where the cache is, what it holds and how large it is. Set PHYSBENCH_CACHE to move it.

    Example: physbench cache
    """
    if context.invoked_subcommand is not None:
        return

    areas = cache_areas()
    if as_json:
        parts = {
            area.name: {"purpose": area.purpose, "files": area.files, "bytes": area.size, "newest": area.newest}
            for area in areas
        }
        typer.echo(json.dumps({"path": str(cache_dir()), "areas": parts}, indent=1))
        return
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for name, side in (("", "left"), ("files", "right"), ("size", "right"), ("newest", "left"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for area in areas:
        newest = "" if area.newest is None else datetime.fromtimestamp(area.newest).strftime("%Y-%m-%d %H:%M")
        table.add_row(area.name, f"{area.files:,}", readable_size(area.size), newest, area.purpose)
    table.add_row("in all", f"{sum(area.files for area in areas):,}", readable_size(sum(area.size for area in areas)))
    stdout_console().print(table)
    typer.echo(cache_dir())


@app.command()
def prune(
    older_than: Annotated[
        float, typer.Option(metavar="DAYS", help="Remove what was written so many days ago or earlier; 0: all.")
    ] = 30.0,
    only: Annotated[str | None, typer.Option(metavar="NAME", help="clips, references, ...: only this part.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove what was written some time ago. Whatever is needed again is made again; runs are not touched.

    Of a run behind a URL, a copy whose files were not all sent stays.

    Example: physbench cache prune --older-than 7 --only clips
    """
    if only is not None and only not in CACHE_AREAS:
        raise UsageError(f"--only: there is no '{only}'.{nearest(only, CACHE_AREAS)}")
    if not older_than >= 0:
        raise UsageError(f"--older-than: expected days of at least 0, got {older_than:g}.")
    count, size = remove((only,) if only else tuple(CACHE_AREAS), older_than, dry=dry_run)
    verb = "would be removed" if dry_run else "removed"
    note(f"{count:,} file{'' if count == 1 else 's'}, {readable_size(size)}, {verb}.")
    kept = unsent_copies() if only in (None, COPIES) else 0
    if kept:
        copies = "1 copy of a run behind a URL stays" if kept == 1 else f"{kept} copies of runs behind URLs stay"
        note(f"{copies}: not all files were sent. The command of the run with --resume sends them.")


def readable_size(size: int) -> str:
    """ "0 B", "8.2 MB"."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
