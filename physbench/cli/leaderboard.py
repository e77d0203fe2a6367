"""`physbench leaderboard`: ranks results on one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from physbench.cli import console
from physbench.cli.cache import readable_size
from physbench.cli.console import note, refuse_missing
from physbench.cli.models import ModelArg
from physbench.run.options import parse_model_args
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.printable import printable
from physbench.support.processes import worker_count
from physbench.support.run_folder import RunFolder

if TYPE_CHECKING:
    from physbench.leaderboard.verify import How

app = typer.Typer(help="Check, send and rank results.", no_args_is_help=True, rich_markup_mode=None)

Board = Annotated[Path, typer.Option("--board", metavar="DIR", help="Folder of the board.")]
BOARD = Path("board")

# What `verify` and `add` share.
Model = Annotated[str, typer.Option(metavar="MODEL", help="The model itself, as of eval: it is run again.")]
FreshSeeds = Annotated[
    int, typer.Option(metavar="N", help="With --model: also on N seeds of each task that are drawn now.")
]
Device = Annotated[str, typer.Option(help="With --model: auto, cpu, cuda, cuda:1, mps.")]
BatchSize = Annotated[int | None, typer.Option(metavar="N", help="With --model: clips in one batch. [default: 8]")]
Draw = Annotated[
    str,
    typer.Option(metavar="HEX", help="With --model: the clips of an earlier check, which printed this."),
]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="With --model: load files that can run code: .pt2.")]
Clips = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="The archive of clips that the board publishes, for runs of the look natural; or its URL."
    ),
]
Cached = Annotated[
    bool,
    typer.Option("--cached-references", help="Take references from the cache of this machine: much faster."),
]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes that read tracks again. [default: cores]")]


def _how(given: Mapping[str, Any], *, rescore: bool) -> How:
    """Settings of a check, from the options of `verify` or `add`. rescore: whether all is read again."""
    from physbench.clips.packed import opened_archive
    from physbench.leaderboard.fresh_rollouts import ModelToRun, SecretDraw
    from physbench.leaderboard.verify import How

    model, model_arg, draw = given["model"], given["model_arg"], given.get("draw", "")
    if not model and (given["fresh_seeds"] or model_arg or draw):
        raise UsageError("--fresh-seeds, --model-arg and --draw need the model itself: --model MODEL.")
    if draw:
        SecretDraw(draw)  # raises where it is none
    for name, least in (("fresh_seeds", 0), ("workers", 1), ("batch_size", 1)):
        if given[name] is not None and given[name] < least:
            raise UsageError(f"--{name.replace('_', '-')}: expected at least {least}, got {given[name]}.")
    settings = {name: given[name] for name in ("fresh_seeds", "device", "batch_size", "trust_code")}
    return How(
        workers=worker_count(given["workers"]),
        rescore=rescore,
        cached_references=given["cached_references"],
        model=ModelToRun(model, model_arg=parse_model_args(model_arg or []), draw=draw, **settings) if model else None,
        board=Path(given["board"]) if given["board"] else None,
        archive=opened_archive(given["clips"]) if given["clips"] else None,
    )


@app.command()
def verify(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE|RUN", help="A submission, or the folder of a run.")],
    board: Annotated[Path | None, typer.Option(metavar="DIR", help="The board whose challenges count.")] = None,
    model: Model = "",
    model_arg: ModelArg = None,
    fresh_seeds: FreshSeeds = 0,
    draw: Draw = "",
    device: Device = "auto",
    batch_size: BatchSize = None,
    trust_code: TrustCode = False,
    clips: Clips = "",
    cached_references: Cached = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only checks of seconds: nothing is tracked or read again.")
    ] = False,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON to stdout.")] = False,
) -> None:
    """Check a submission or a run, in the order of cost, with a verdict for each check. Exit code 1 where one fails.

    Example: physbench leaderboard verify submission.zip --model my_model.py:make --fresh-seeds 4
    """
    from physbench.leaderboard.verify import verified

    with verified(path, _how(context.params, rescore=not quick)) as checked:
        verification = checked.verification
    if as_json:
        typer.echo(json.dumps(verification.document(), indent=1))
    else:
        width = max(len(each.check) for each in verification.verdicts)
        for each in verification.verdicts:
            typer.echo(f"{each.check:<{width}}  {each.outcome:<12}  {printable(each.detail)}")
        typer.echo(f"\n{'Not accepted.' if verification.problems else f'Accepted: {verification.badge}.'}")
    if verification.problems:
        raise typer.Exit(1)


@app.command()
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run (eval --for-board).")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The submission to write.")],
    commit: Annotated[
        bool, typer.Option("--commit", help="What the run found, its tracks, and the hashes of all rollouts.")
    ] = False,
    reveal: Annotated[
        Path | None, typer.Option(metavar="CHALLENGE", help="The same with the rollouts that a board asks for.")
    ] = None,
) -> None:
    """Write a submission: first with --commit; then, once a board has answered, with --reveal.

    Example: physbench leaderboard submit runs/my-model-core-1 --commit --out submission.zip
    """
    from physbench.leaderboard.submission import commit as write_commitment
    from physbench.leaderboard.submission import reveal as write_rollouts

    if commit == (reveal is not None):
        raise UsageError("Give --commit or --reveal CHALLENGE.")
    if out.is_dir():
        raise UsageError(f"--out: {out} is a folder. Name a file, such as submission.zip.")
    if reveal is None:
        commitment = write_commitment(RunFolder(run), out)
        note(f"Committed to {len(commitment.rollouts)} rollouts: {commitment.id}")
    else:
        shown = write_rollouts(RunFolder(run), reveal, out)
        note(f"With {len(shown.rollouts)} rollouts that the board has asked for.")
    typer.echo(f"{out}  {readable_size(out.stat().st_size)}")


@app.command()
def challenge(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A submission with a commitment.")],
    board: Board = BOARD,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The challenge to send back.")] = Path("challenge.json"),
    submitter: Annotated[str, typer.Option(metavar="NAME", help="Who has committed; the board remembers it.")] = "",
) -> None:
    """Answer a commitment, on the side of the board: draw a seed that chooses a tenth of its rollouts, and keep it."""
    from physbench.leaderboard.submission import Submission
    from physbench.leaderboard.verify import challenge as answer

    Submission(submitter).check()
    answered = answer(path, board, submitter)
    issued = answered.challenge
    write_json(out, issued.model_dump(mode="json"))
    note(f"The board asks for {len(issued.rollouts)} rollouts of {issued.commitment[:16]}.")
    if answered.remark:
        note(f"Note: {answered.remark}.")
    typer.echo(out)


@app.command()
def add(
    context: typer.Context,
    runs: Annotated[
        list[Path], typer.Argument(metavar="FILE|RUN...", help="Submissions, or folders of finished runs of core.")
    ],
    board: Board = BOARD,
    submitter: Annotated[str, typer.Option(metavar="NAME", help="Who submits it.")] = "",
    paper: Annotated[str, typer.Option(metavar="URL", help="Link to a paper about the model.")] = "",
    code: Annotated[str, typer.Option(metavar="URL", help="Link to its code.")] = "",
    weights: Annotated[str, typer.Option(metavar="URL", help="Link to its weights.")] = "",
    parameters: Annotated[str, typer.Option(metavar="N", help="Parameters of the model: 350M, 1.3e9.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of an entry of the same model; the old one is kept.")
    ] = False,
    self_reported: Annotated[
        bool,
        typer.Option("--self-reported", help="Only checks of seconds; the entry says that nothing was read again."),
    ] = False,
    model: Model = "",
    model_arg: ModelArg = None,
    fresh_seeds: FreshSeeds = 0,
    device: Device = "auto",
    batch_size: BatchSize = None,
    trust_code: TrustCode = False,
    clips: Clips = "",
    cached_references: Cached = False,
    diagnosis: Annotated[
        bool, typer.Option("--diagnosis/--no-diagnosis", help="Seek the laws that the model follows instead.")
    ] = True,
    workers: Workers = None,
) -> None:
    """Add submissions or finished runs to a board, after all checks of `verify`. The runs are not changed.

    Example: physbench leaderboard add runs/objects-core-1 --submitter "A. Author" --paper https://example.org/paper
    """
    from physbench.leaderboard.submission import Submission, parameter_count
    from physbench.leaderboard.verify import admit

    submission = Submission(submitter, paper, code, weights, parameter_count(parameters) if parameters else None)
    if len(runs) > 1 and submission != Submission(submitter):
        raise UsageError("--paper, --code, --weights and --parameters belong to one model: add its run alone.")
    if len(runs) > 1 and model:
        raise UsageError("--model belongs to one submission: add it alone.")
    submission.check()
    how = _how(context.params, rescore=not self_reported)
    for run in runs:
        stated = None if submission == Submission() else submission
        entry = admit(run, board, how, submission=stated, replace=replace, diagnosis=diagnosis)
        note(f"{run} is on the board as {entry.name}: {entry.about.badge}")
    note(f"Write the page: physbench leaderboard build --board {board}")


@app.command()
def build(board: Board = BOARD) -> None:
    """Write the board's page, and its figures as CSV and JSON: ranks with intervals, axes, families, and reports."""
    from physbench.leaderboard.site import build as build_page

    typer.echo(build_page(board))


@app.command()
def serve(
    board: Board = BOARD,
    port: console.Port = 8381,
    open_browser: console.OpenBrowser = True,
) -> None:
    """Build the board's page and show it in the browser, for this machine alone, until Ctrl-C.

    Example: physbench leaderboard serve --board board
    """
    from physbench.leaderboard.site import BoardServer
    from physbench.leaderboard.site import build as build_page

    build_page(board)
    console.serve(lambda: BoardServer(board, port), f"The board {board}", port, open_browser=open_browser)


@app.command()
def preview(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    board: Board = BOARD,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("preview.html"),
) -> None:
    """Write the page that a board would have with your run on it. The board itself is not changed, and need not exist.

    A run that no board ranks, such as one of smoke, is shown without a rank, with the reason.

    Example: physbench leaderboard preview runs/my-model-core-1 --board board
    """
    refuse_missing(str(run))
    from physbench.leaderboard.site import preview as write_preview

    if out.is_dir():
        raise UsageError(f"--out: {out} is a folder. Name a file, such as preview.html.")
    if out.suffix.lower() not in (".html", ".htm"):  # no browser would show it as a page
        raise UsageError(f"--out: {out} is the name of no page. Name a file such as {out}.html.")
    written = write_preview(RunFolder(run), board, out)
    if written.problem:
        note(f"Not rankable: {written.problem}")
    note("Written, to be opened in a browser:")
    typer.echo(written.path.resolve())
