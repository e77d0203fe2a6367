"""`physbench leaderboard`: ranks results on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from physbench.cli.console import note
from physbench.errors import UsageError

app = typer.Typer(help="Rank results on one static page.", no_args_is_help=True, rich_markup_mode=None)

Board = Annotated[Path, typer.Option("--board", metavar="DIR", help="Folder of the board.")]
BOARD = Path("board")


@app.command()
def add(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs of core.")],
    board: Board = BOARD,
    submitter: Annotated[str, typer.Option(metavar="NAME", help="Who submits it.")] = "",
    paper: Annotated[str, typer.Option(metavar="URL", help="Link to a paper about the model.")] = "",
    code: Annotated[str, typer.Option(metavar="URL", help="Link to its code.")] = "",
    weights: Annotated[str, typer.Option(metavar="URL", help="Link to its weights.")] = "",
    parameters: Annotated[str, typer.Option(metavar="N", help="Parameters of the model: 350M, 1.3e9.")] = "",
) -> None:
    """Add finished runs to a board. Figures are computed again from each run's scores; the runs are not changed.

    Example: physbench leaderboard add runs/objects-core-1 --submitter "A. Author" --paper https://example.org/paper
    """
    from physbench.leaderboard.entry import add as add_run
    from physbench.leaderboard.submission import Submission, parameter_count
    from physbench.storage.run_folder import RunFolder

    submission = Submission(submitter, paper, code, weights, parameter_count(parameters) if parameters else None)
    if len(runs) > 1 and submission != Submission(submitter):
        raise UsageError("--paper, --code, --weights and --parameters belong to one model: add its run alone.")
    for run in runs:
        entry = add_run(RunFolder(run), board, submission=None if submission == Submission() else submission)
        note(f"{run} is on the board as {entry.name}")
    note(f"Write the page: physbench leaderboard build --board {board}")


@app.command()
def build(board: Board = BOARD) -> None:
    """Write the board's page, and its figures as CSV and JSON: ranks with intervals, axes, families, and reports."""
    from physbench.leaderboard.site import build as build_page

    typer.echo(build_page(board))


@app.command()
def preview(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run of core.")],
    board: Board = BOARD,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("preview.html"),
) -> None:
    """Write the page that a board would have with your run on it. The board itself is not changed.

    Example: physbench leaderboard preview runs/my-model-core-1 --board board
    """
    from physbench.leaderboard.site import preview as write_preview
    from physbench.storage.run_folder import RunFolder

    typer.echo(write_preview(RunFolder(run), board, out))
