"""`physbench data`: makes clips, exports them for models elsewhere, and checks that this machine reproduces them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physbench.cli import console
from physbench.cli.console import interrupted_note, note, refuse_unwritable
from physbench.result.formats import counted
from physbench.support.errors import UsageError, nearest
from physbench.support.progress import Progress, duration

if TYPE_CHECKING:
    from physbench.clips.clip import Clip, Row
    from physbench.clips.packed import PackedClips
    from physbench.world.scene import RenderSpec

# `physbench data verify`: does this machine make the clips of a suite, and is an archive of clips whole?


def verify_suite(name: str, workers: int) -> None:
    """Simulate a suite and print how it compares with its golden states; exit 1 where they differ."""
    from physbench.clips.golden import verify as differences
    from physbench.clips.suite import GOLDEN_SUITES, find_suite

    chosen = find_suite(name)
    if name not in GOLDEN_SUITES:
        raise UsageError(f"The suite {name} has no golden states. Use --suite {' or --suite '.join(GOLDEN_SUITES)}.")
    first, count, farthest = None, 0, 0.0
    with Progress(f"verifying {name}", len(chosen.rows)) as progress:
        for difference in differences(chosen, workers):
            if not difference.same:
                count += 1
                first = first or difference
                farthest = max(farthest, difference.distance)
            progress.advance()
    if first is None:
        typer.echo(f"{name}: all {len(chosen.rows)} clips reproduce the golden states (suite {chosen.hash[:12]})")
        return
    typer.echo(
        f"{name}: {count} of {len(chosen.rows)} clips differ from the golden states\n"
        f"first: {first.row.id}, {first.distance:.2g} m at its end; largest distance {farthest:.2g} m"
    )
    note(
        "This machine has another build of the physics (compare the version of pybullet), so results made here are "
        "marked `local`."
    )
    raise typer.Exit(1)


def verify_train(name: str, clips: int | None, workers: int) -> None:
    """Simulate clips to learn from and print their hash; exit 1 where it is not the published one of as many clips."""
    from physbench.clips.golden import published_lists, state_hashes
    from physbench.clips.suite import find_suite, suite_hash

    chosen, published = find_suite(name, limit=clips), published_lists(name)
    digest, many = suite_hash(state_hashes(chosen.rows, workers).items()), len(chosen.rows)
    typer.echo(f"{counted(many, 'clip')} of {name}, suite version {chosen.version}: {digest}")
    if many not in published:
        sizes = ", ".join(f"{size:,}" for size in published) or "no number of"
        note(f"There are published hashes of {sizes} clips, none of {many:,}.")
    elif published[many] == digest:
        typer.echo("This is the published list.")
    else:
        typer.echo(f"The published list is another one: {published[many]}")
        note("This machine has another build of the physics (compare the version of pybullet).")
        raise typer.Exit(1)


def verify_archive(place: str) -> None:
    """Read all that an archive holds, and print whether it is what was packed; exit 1 where its states are not golden.

    Raises UsageError: there is none, it is damaged, or of another version of physbench.
    """
    from physbench.clips.suite import suite_names

    if place in suite_names() and not Path(place).exists():
        raise UsageError(f"'{place}' is a suite and no archive of clips: physbench data verify --suite {place}")
    with _archive(place) as packed, Progress(f"checking {packed.spec}", len(packed)) as progress:
        packed.check(progress.advance)
    summary = f"{counted(len(packed), 'clip')} of {packed.suite['name']} at {packed.spec}, index {packed.sha256[:12]}"
    other = packed.other_states()
    if other:
        typer.echo(f"{place}: {summary}, whole; {len(other)} differ from the golden states, first {other[0]}")
        note("They were made with another build of the physics, so that results on them are marked `local`.")
        raise typer.Exit(1)
    typer.echo(f"{place}: {summary}, all as they were packed")


@contextmanager
def _archive(place: str) -> Iterator[PackedClips]:
    """An archive that is named without the option --clips, of which its errors speak."""
    from physbench.clips.packed import opened_archive

    try:
        yield opened_archive(place)
    except UsageError as error:
        raise UsageError(str(error).removeprefix("--clips: ")) from error


app = typer.Typer(
    help="Make clips, export them for models that run elsewhere, and check that this machine reproduces them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

CONDITIONING = "conditioning"  # the format of what models elsewhere are given
SUITE_NAMES = (
    "smoke, lite, core, full, actions, counterfactuals, phyworld, pusher, thrust, combo, train, combo-6, combo-30, "
    "combo-60."
)
Suite = Annotated[str, typer.Option(help=SUITE_NAMES, autocompletion=console.clip_suites)]
Look = Annotated[
    str,
    typer.Option(metavar="LOOK", help="plain, or natural: ground, light and shadows.", autocompletion=console.looks),
]
View = Annotated[
    str,
    typer.Option(
        metavar="VIEW",
        help="far; near: from 5 m, a little above; or moving.",
        autocompletion=console.views,
    ),
]
Tasks = Annotated[str | None, typer.Option(metavar="GLOB", help="Only these tasks.", autocompletion=console.task_names)]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes. [default: cores, at most 8]")]
PromptMotion = Annotated[
    bool, typer.Option("--prompt-motion/--no-prompt-motion", help="Of an image: the prompt says how things move.")
]


@app.command()
def generate(
    suite: Suite = "core",
    size: Annotated[int, typer.Option(help="Side of the frames in px, 16 to 2048; models have at least 32.")] = 64,
    fps: Annotated[float, typer.Option(help="Frames a second, 1 to 60; divides 1200.")] = 15,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Only N clips in all, spread over the tasks.")] = None,
    tasks: Tasks = None,
    look: Look = "plain",
    view: View = "far",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the clips. [default: the cache]")] = None,
) -> None:
    """Simulate and render the clips of a suite. Existing clips are checked and kept."""
    from physbench.clips.generate import render_spec
    from physbench.clips.store import ClipStore
    from physbench.clips.suite import find_suite

    spec = render_spec(size, fps, look, view)
    chosen = find_suite(suite, limit, tasks)
    processes = _workers(workers)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out: '{out}' is a file. Name a folder, which is created if it does not exist.")
    if out is not None:
        refuse_unwritable(out)
    store = ClipStore(out, required=True)
    started = time.monotonic()
    with interrupted_note("The stored clips are kept: the same command continues."):
        written = store.ensure(chosen.rows, spec, processes)
    size_mb = sum(store.path(row, spec).stat().st_size for row in chosen.rows) / 1e6
    note(
        f"{len(chosen.rows)} clips of {suite} at {spec}: {written} made, {len(chosen.rows) - written} existed; "
        f"{size_mb:.1f} MB, {time.monotonic() - started:.1f} s"
    )
    typer.echo(store.folder(spec))


@app.command()
def pack(
    suite: Annotated[
        str,
        typer.Argument(metavar="SUITE", help=SUITE_NAMES, show_default=False, autocompletion=console.clip_suites),
    ],
    out: Annotated[str, typer.Option(metavar="FILE|URL", help="The file to write.", show_default=False)],
    size: Annotated[str, typer.Option(metavar="WxH", help="Width x height in px, or one side, of the model.")] = "64",
    fps: Annotated[float, typer.Option(help="Frames a second of the model, 1 to 60; divides 1200.")] = 15,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Only N clips in all, spread over the tasks.")] = None,
    tasks: Annotated[
        str | None, typer.Option(metavar="GLOB|FILE.py", help="Only these tasks of the suite, or your own from a file.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there.")] = False,
    look: Annotated[
        str, typer.Option(metavar="LOOK", help="plain, or natural, which is read without Mitsuba.")
    ] = "plain",
    view: View = "far",
    prompt_motion: PromptMotion = False,
) -> None:
    """Pack the clips of a suite into one file, for `rollout --clips` on machines without PyBullet.

    Example: physbench data pack core --size 128 --fps 30 --out core-128.clips
    """
    from physbench.clips.generate import render_spec
    from physbench.clips.packed import archive_to_write, pack_clips
    from physbench.clips.store import ClipStore
    from physbench.clips.suite import EXPECTATION_SUITE, chosen_suite

    if suite == EXPECTATION_SUITE:
        raise UsageError(f"{suite}: its films are made from clips in each run, and are not packed.")
    width, height = _sides(size)
    spec = render_spec((height, width), fps, look, view)
    chosen, processes = chosen_suite(suite, limit, tasks, prompt_motion), _workers(workers)
    if Path(out).is_dir():
        raise UsageError(f"--out: '{out}' is a folder. Name a file, such as {Path(out) / f'{suite}-{size}.clips'}.")
    with archive_to_write(out, replace) as path:
        refuse_unwritable(path.parent)
        store = ClipStore()
        with interrupted_note("The stored clips are kept: the same command continues."):
            store.ensure(chosen.rows, spec, processes)
        with Progress(f"packing {spec}", len(chosen.rows)) as progress:

            def clip(row: Row) -> Clip:
                progress.advance()
                return store.get(row, spec)

            sha256 = pack_clips(chosen, spec, clip, path)
        megabytes = path.stat().st_size / 1e6
    note(f"{counted(len(chosen.rows), 'clip')} of {suite} at {spec}, {megabytes:.1f} MB, index {sha256[:12]}")
    typer.echo(out)


@app.command(name="import")
def import_(
    archive: Annotated[str, typer.Argument(metavar="FILE|URL", help="An archive of `data pack`.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the clips. [default: the cache]")] = None,
) -> None:
    """Take the clips of an archive into the cache, where every command finds them instead of making them.

    Refused is an archive that was made by another build of the physics, of a suite without golden states, or in the
    natural look: give those to one run, eval --clips FILE. Hashes tell damage and no forgery: take archives from people
    whom you trust.

    Example: physbench data import core-128.clips
    """
    from physbench.clips.store import ClipStore

    with _archive(archive) as packed:
        if other := packed.other_states():
            raise UsageError(
                f"{archive}: {len(other)} of its clips differ from the golden states of {packed.suite['name']}, the "
                f"first {other[0]}: another build of the physics made them. Give it to one run, eval --clips {archive}."
            )
        rows = packed.golden_rows()
        if out is not None:
            refuse_unwritable(out)
        store = ClipStore(out, required=True)
        with Progress(f"importing {packed.spec}", len(rows)) as progress:
            for row in rows:
                store.put(packed.get(row, packed.spec))
                progress.advance()
    note(f"{counted(len(rows), 'clip')} of {packed.suite['name']} at {packed.spec}")
    typer.echo(store.folder(packed.spec))


@app.command()
def export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to create.", show_default=False)],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="conditioning, or a data set to train on: parquet+video, hdf5, webdataset or lerobot.",
        ),
    ] = "conditioning",
    suite: Annotated[
        str | None,
        typer.Option(help=f"{SUITE_NAMES} [default: core; of a data set train]", autocompletion=console.clip_suites),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Width x height in px, or one side: 16 to 2048; models have at least 32. "
            "[default: 1280x720; of a data set 64]",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frames a second, 4 to 60, of a data set from 1; divides 1200. [default: 24; of a data set 15]"
        ),
    ] = None,
    context: Annotated[
        int | None, typer.Option(metavar="N", help="Conditioning: frames that a model is shown. [default: 1, an image]")
    ] = None,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Only N clips in all, spread over the tasks.")] = None,
    tasks: Tasks = None,
    look: Look = "plain",
    view: View = "far",
    prompt_motion: PromptMotion = False,
    actions: Annotated[
        str | None,
        typer.Option(metavar="MAP.py", help="Conditioning: actions of the model in place of those of each clip."),
    ] = None,
    states: Annotated[
        bool, typer.Option("--states", help="Conditioning: states of the context as Parquet instead of pictures.")
    ] = False,
    state_noise: Annotated[
        float, typer.Option(metavar="SIGMA", help="Noise of these: sd of positions in m, of velocities in m/s.")
    ] = 0.0,
    video: Annotated[
        str | None,
        typer.Option(metavar="CODEC", help="Data set: lossless, or h264, which browsers play. [default: lossless]"),
    ] = None,
    clips_per_file: Annotated[
        int | None, typer.Option(metavar="N", help="Data set: clips in a shard or table. [default: 50]")
    ] = None,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out",
            help="Data set: clips of test or ood, too, with their futures and states. A model that has seen them must "
            "not be submitted to a board: its card says track=trained only of what learned from train alone.",
        ),
    ] = False,
) -> None:
    """Write what models that run elsewhere are given, or clips with all that is known of them, to train on.

    Conditioning is the image, video, prompt and actions of each clip, or its states: nothing of the future. A data set
    has frames, actions, states, contacts, parameters and prompts of whole clips; an interrupted export goes on when the
    same command is given again.

    Examples: physbench data export --suite smoke --size 1280x720 --fps 24 --out cond

    physbench data export --format webdataset --limit 5000 --workers 8 --out clips
    """
    chosen = suite or ("core" if format_name == CONDITIONING else "train")
    if prompt_motion and (states or format_name != CONDITIONING):
        raise UsageError("--prompt-motion: states and data sets hold all velocities. Leave it out.")
    if actions is not None and (states or format_name != CONDITIONING):
        raise UsageError("--actions: states and data sets hold the pushes themselves. Leave it out.")
    if format_name != CONDITIONING:
        if states or state_noise or context is not None:
            raise UsageError("--states, --state-noise and --context are of conditioning: a data set has whole clips.")
        spec = _spec_of_dataset(size, fps, look, view)
        processes = _workers(workers)
        _export_dataset(format_name, chosen, spec, limit, tasks, out, processes, video, clips_per_file, held_out)
        return
    if video is not None or clips_per_file is not None or held_out:
        raise UsageError(
            "--video, --clips-per-file and --held-out are of data sets: "
            "add --format parquet+video, hdf5, webdataset or lerobot."
        )
    fps, context = 24.0 if fps is None else fps, 1 if context is None else context
    if states:
        if look != "plain" or view != "far":
            raise UsageError("--look and --view are of pictures: states are the same in all of them.")
        _export_states(chosen, limit, tasks, fps, context, out, state_noise)
        return
    if state_noise:
        raise UsageError("--state-noise is for states: add --states.")
    pixels, processes = size or "1280x720", _workers(workers)
    _export_conditioning(chosen, limit, tasks, pixels, fps, context, out, processes, look, view, prompt_motion, actions)


def _spec_of_dataset(size: str | None, fps: float | None, look: str, view: str) -> RenderSpec:
    from physbench.clips.generate import render_spec

    width, height = _sides(size or "64")
    return render_spec((height, width), 15.0 if fps is None else fps, look, view)


def _export_dataset(
    format_name: str,
    name: str,
    spec: RenderSpec,
    limit: int | None,
    tasks: str | None,
    out: Path,
    workers: int,
    video: str | None,
    clips_per_file: int | None,
    held_out: bool,
) -> None:
    """Write whole clips, `--format`."""
    from physbench.clips.suite import find_suite
    from physbench.data.export import export_dataset, refuse_other_export
    from physbench.data.tables import CLIPS_PER_FILE, DATASET_NEEDS, check_dataset, plan_dataset
    from physbench.run.progress import StatusLines

    if format_name not in DATASET_NEEDS:
        known = nearest(format_name, (CONDITIONING, *DATASET_NEEDS))
        raise UsageError(f"--format: there is no format '{format_name}'.{known}")
    suite = find_suite(name, limit, tasks)
    check_dataset(format_name, video, spec, suite, held_out)
    refuse_other_export(out)
    started = time.monotonic()
    with Progress("scenes", len(suite.rows)) as progress:
        plan = plan_dataset(
            suite,
            spec,
            format_name,
            video=video,
            clips_per_file=CLIPS_PER_FILE if clips_per_file is None else clips_per_file,
            held_out=held_out,
            done=progress.advance,
        )
    refuse_unwritable(out)
    progress, began = Progress(f"{format_name} {spec}", plan.clips, lines=False), time.monotonic()

    existing = 0  # clips of an interrupted export: they say nothing about how long a clip takes

    def keep(clips: int) -> None:
        nonlocal existing
        existing += clips
        progress.advance(clips)

    def status() -> str:
        passed = time.monotonic() - began
        rate = (progress.done - existing) / passed
        left = f", {rate:.1f} a second, {duration((plan.clips - progress.done) / rate)} left" if rate else ""
        return f"After {duration(passed)}: {progress.done} of {plan.clips} clips written{left}."

    with (
        interrupted_note("What is written is kept: the same command continues."),
        progress,
        StatusLines(note, status),
    ):
        exported = export_dataset(plan, out, workers=workers, done=progress.advance, kept=keep)
    kept = f", {plan.clips - exported.written} were there" if exported.written < plan.clips else ""
    seconds = time.monotonic() - started
    note(
        f"{counted(plan.clips, 'clip')} of {name} at {spec} as {format_name}: {exported.written} made{kept}; "
        f"{exported.size / 1e6:.1f} MB, {seconds:.1f} s. {out / 'README.md'} says how to load them."
    )
    typer.echo(out)


def _export_conditioning(
    name: str,
    limit: int | None,
    tasks: str | None,
    size: str,
    fps: float,
    context: int,
    out: Path,
    workers: int,
    look: str,
    view: str,
    prompt_motion: bool,
    actions: str | None,
) -> None:
    """Write image, video, prompt and actions of each clip."""
    from physbench.clips.conditioning import key_path
    from physbench.clips.export import check_export, lengths
    from physbench.clips.export import export as write
    from physbench.clips.suite import check_prompt_motion, chosen_suite

    width, height = _sides(size)
    spec = check_export(width, height, fps, context, look, view)
    if prompt_motion:
        check_prompt_motion(name, context)
    chosen = chosen_suite(name, limit, tasks, prompt_motion)
    started = time.monotonic()
    with Progress(f"conditioning {spec}", len(chosen.rows)) as progress:
        requested = write(
            chosen,
            spec,
            context,
            out,
            tasks=tasks,
            limit=limit,
            actions=actions,
            workers=workers,
            done=progress.advance,
        )
    frames = "1 image" if context == 1 else f"{context} frames"
    clips = f"{counted(len(requested.clips), 'clip')} of {chosen.name}"
    note(f"{clips} at {spec}, {frames} each, {time.monotonic() - started:.1f} s")
    note(f"Expected for each: a video of {lengths(requested)}, in {out / 'answers'}. {out / 'README.md'} explains how.")
    note(f"{key_path(out)} says which clip each name stands for: keep it from the model.")
    note(f"Then: physbench eval videos:{out / 'answers'} {requested.suite.options}")
    typer.echo(out)


def _export_states(
    name: str, limit: int | None, tasks: str | None, fps: float, context: int, out: Path, noise: float
) -> None:
    """Write the states of the context, `--states`."""
    from physbench.clips.suite import find_suite
    from physbench.rollout.states import check_state_export, export_states

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
def verify(
    archive: Annotated[
        str | None, typer.Argument(metavar="FILE|URL", help="An archive of `data pack`, to be checked instead.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help=f"{SUITE_NAMES} [default: core]"),
    ] = None,
    workers: Workers = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of clips to learn from: how many, such as 150, 1500 or 15000."),
    ] = None,
) -> None:
    """Simulate a suite and compare it with its golden states. Exits with 1 where they differ.

    Of clips to learn from, of any number, the hash of the first N is printed; three of train are published.

    Of an archive, all clips are compared with their hashes, and the states from which they were made with the golden
    ones. Exits with 1 where these differ, and with 2 where it is damaged or of another version of physbench.

    Examples: physbench data verify --suite core

    physbench data verify --suite train --limit 150

    physbench data verify core-128.clips
    """

    from physbench.clips.suite import TRAINING_LISTS

    if limit is not None and suite not in TRAINING_LISTS:
        raise UsageError("--limit is for --suite train and combo-6, -30 and -60: others are verified as a whole.")
    if archive is None and suite in TRAINING_LISTS:
        verify_train(suite, limit, _workers(workers))
    elif archive is None:
        verify_suite(suite or "core", _workers(workers))
    elif suite is not None or workers is not None:
        raise UsageError("--suite and --workers are for suites that are simulated. Leave them out with an archive.")
    else:
        verify_archive(archive)


def _workers(wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise UsageError(f"--workers: expected at least 1 but got {wanted}.")
    return wanted or min(os.cpu_count() or 1, 8)
