"""`physbench leaderboard`: ranks results on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from physbench.cli.console import note

app = typer.Typer(help="Rank results on one static page.", no_args_is_help=True, rich_markup_mode=None)

Board = Annotated[Path, typer.Option("--board", metavar="DIR", help="Folder of the board.")]
BOARD = Path("board")


@app.command()
def add(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs of core.")],
    board: Board = BOARD,
) -> None:
    """Add finished runs to a board. Figures are computed again from each run's scores; the runs are not changed.

    Example: physbench leaderboard add runs/objects-core-1
    """
    from physbench.leaderboard.entry import add as add_run
    from physbench.storage.run_folder import RunFolder

    for run in runs:
        entry = add_run(RunFolder(run), board)
        note(f"{run} is on the board as {entry.name}")
    note(f"Write the page: physbench leaderboard build --board {board}")


@app.command()
def build(board: Board = BOARD) -> None:
    """Write the board's page: ranks with intervals for each track, axes, speed, and a link to each report."""
    from physbench.leaderboard.site import build as build_page

    typer.echo(build_page(board))
