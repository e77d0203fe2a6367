"""`physbench data`: makes clips, exports them for models elsewhere, and checks that this machine reproduces them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from physbench.cli.console import note, refuse_unwritable
from physbench.errors import UsageError

app = typer.Typer(
    help="Make clips, export them for models that run elsewhere, and check that this machine reproduces them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Suite = Annotated[str, typer.Option(help="smoke, core, actions, counterfactuals or train.")]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes. [default: cores, at most 8]")]


@app.command()
def generate(
    suite: Suite = "core",
    size: Annotated[int, typer.Option(help="Side of the frames in px.")] = 64,
    fps: Annotated[float, typer.Option(help="Frames a second; divides 1200.")] = 15,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Only so many clips, spread over the tasks.")] = None,
    tasks: Annotated[str | None, typer.Option(metavar="GLOB", help="Only these tasks.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the clips. [default: the cache]")] = None,
) -> None:
    """Simulate and render the clips of a suite. Existing clips are checked and kept."""
    from physbench.clips.generate import render_spec
    from physbench.clips.store import ClipStore
    from physbench.clips.suite import find_suite

    spec = render_spec(size, fps)
    chosen = find_suite(suite, limit, tasks)
    processes = _workers(workers)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out: '{out}' is a file. Name a folder, which is created if it does not exist.")
    if out is not None:
        refuse_unwritable(out)
    store = ClipStore(out, required=True)
    started = time.monotonic()
    try:
        made = store.ensure(chosen.rows, spec, processes)
    except KeyboardInterrupt:
        note("The stored clips are kept: the same command continues.")
        raise
    size_mb = sum(store.path(row, spec).stat().st_size for row in chosen.rows) / 1e6
    note(
        f"{len(chosen.rows)} clips of {suite} at {spec}: {made} made, {len(chosen.rows) - made} existed; "
        f"{size_mb:.1f} MB, {time.monotonic() - started:.1f} s"
    )
    typer.echo(store.directory / str(spec))


@app.command()
def export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to create.", show_default=False)],
    suite: Suite = "core",
    size: Annotated[str, typer.Option(metavar="WxH", help="Width x height of the pictures in px, or one side.")] = (
        "1280x720"
    ),
    fps: Annotated[float, typer.Option(help="Frames a second; divides 1200.")] = 24,
    context: Annotated[int, typer.Option(metavar="N", help="Frames that the model is shown; 1 is an image.")] = 1,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Only so many clips, spread over the tasks.")] = None,
    tasks: Annotated[str | None, typer.Option(metavar="GLOB", help="Only these tasks.")] = None,
    states: Annotated[
        bool, typer.Option("--states", help="Write states of the context as Parquet instead of pictures.")
    ] = False,
    state_noise: Annotated[
        float, typer.Option(metavar="SIGMA", help="Noise of these: sd of positions in m, of velocities in m/s.")
    ] = 0.0,
) -> None:
    """Write image, video, prompt and actions of each clip for a model that runs elsewhere, or states with --states.

    Example: physbench data export --suite smoke --size 1280x720 --fps 24 --out cond
    """
    if states:
        _export_states(suite, limit, tasks, fps, context, out, state_noise)
        return
    if state_noise:
        raise UsageError("--state-noise is for states: add --states.")
    from physbench.clips.export import check_export
    from physbench.clips.export import export as write
    from physbench.clips.export_key import key_path
    from physbench.clips.export_readme import lengths
    from physbench.clips.suite import find_suite
    from physbench.progress import Progress

    width, height = _sides(size)
    spec = check_export(width, height, fps, context)
    chosen = find_suite(suite, limit, tasks)
    started = time.monotonic()
    with Progress(f"conditioning {spec}", len(chosen.rows)) as progress:
        asked = write(
            chosen, spec, context, out, tasks=tasks, limit=limit, workers=_workers(workers), done=progress.advance
        )
    frames = "1 image" if context == 1 else f"{context} frames"
    note(f"{len(asked.clips)} clips of {suite} at {spec}, {frames} each, {time.monotonic() - started:.1f} s")
    note(f"Expected for each: a video of {lengths(asked)}, in {out / 'answers'}. {out / 'README.md'} explains how.")
    note(f"{key_path(out)} says which clip each name stands for: keep it from the model.")
    note(f"Then: physbench eval videos:{out / 'answers'} {asked.suite.options}")
    typer.echo(out)


def _export_states(
    name: str, limit: int | None, tasks: str | None, fps: float, context: int, out: Path, noise: float
) -> None:
    """Write the states of the context, `--states`."""
    from physbench.clips.suite import find_suite
    from physbench.progress import Progress
    from physbench.rollouts.state_export import check_state_export, export_states

    check_state_export(fps, context, noise)
    suite = find_suite(name, limit, tasks)
    refuse_unwritable(out)
    with Progress("states", len(suite.rows)) as progress:
        written = export_states(suite, fps, context, out, noise=noise, done=progress.advance)
    note(f"{len(suite.rows)} clips of {suite.name}, {context} states each: {', '.join(path.name for path in written)}")
    typer.echo(out)


def _sides(size: str) -> tuple[int, int]:
    """ "1280x720" -> (1280, 720)."""
    sides = size.lower().split("x")
    if len(sides) not in (1, 2) or not all(side.isdecimal() and len(side) < 6 for side in sides):
        raise UsageError(f"--size: expected width x height such as 1280x720, or one side such as 512, got '{size}'.")
    return int(sides[0]), int(sides[-1])


@app.command()
def verify(suite: Suite = "core", workers: Workers = None) -> None:
    """Simulate a suite and compare it with its golden states. Exits with 1 where they differ."""
    from physbench.clips.golden import verify as differences
    from physbench.clips.suite import GOLDEN_SUITES, find_suite
    from physbench.progress import Progress

    chosen = find_suite(suite)
    if suite not in GOLDEN_SUITES:
        raise UsageError(f"The suite {suite} has no golden states. Use --suite {' or --suite '.join(GOLDEN_SUITES)}.")
    first, count, farthest = None, 0, 0.0
    with Progress(f"verifying {suite}", len(chosen.rows)) as progress:
        for difference in differences(chosen, _workers(workers)):
            if not difference.same:
                count += 1
                first = first or difference
                farthest = max(farthest, difference.distance)
            progress.advance()
    if first is None:
        typer.echo(f"{suite}: all {len(chosen.rows)} clips reproduce the golden states (suite {chosen.hash[:12]})")
        return
    typer.echo(
        f"{suite}: {count} of {len(chosen.rows)} clips differ from the golden states\n"
        f"first: {first.row.id}, {first.distance:.2g} m at its end; largest distance {farthest:.2g} m"
    )
    note(
        "This machine has another build of the physics (compare the version of pybullet), so results made here are "
        "marked `local`."
    )
    raise typer.Exit(1)


def _workers(asked: int | None) -> int:
    if asked is not None and asked < 1:
        raise UsageError(f"--workers: expected at least 1 but got {asked}.")
    return asked or min(os.cpu_count() or 1, 8)
