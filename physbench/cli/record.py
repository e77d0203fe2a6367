"""`physbench record`: footage of one's own, and answers of models to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from physbench.cli.console import note
from physbench.support.errors import UsageError

if TYPE_CHECKING:
    from physbench.recording.answer import AnswerReadings
    from physbench.recording.recorded import Recorded
    from physbench.support.arrays import Image

app = typer.Typer(help="Score models on footage of one's own.", no_args_is_help=True, rich_markup_mode=None)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the recording.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(short_help="Make a folder for a video, with a file to fill in.")
def new(folder: Folder, video: Annotated[Path, typer.Option(help="The footage, mp4, mkv, mov or webm.")]) -> None:
    """Copy a video into a folder, and write recording.toml, first.png (with a grid of pixels) and frames.png."""
    from physbench.models.videos.decode import decode_frames, probe_video
    from physbench.recording.document import FILE, TEMPLATE
    from physbench.recording.recorded import SHEET, draw_first, draw_sheet, open_video

    if not video.is_file():
        raise UsageError(f"--video: there is no file {video}.")
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise UsageError(f"{folder} is not empty. Name a new folder.")
    source, entry = open_video(video)
    info = probe_video(source, entry)
    chosen = set(range(0, info.frames, max(1, -(-info.frames // SHEET))))
    frames = [(number, frame) for number, frame in decode_frames(source, entry, info) if number in chosen]
    if info.frames < 3 or not frames:
        raise UsageError(f"{video} has {info.frames} frames: expected a video.")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(video, folder / video.name)
    draw_first(folder / "first.png", frames[0][1], 10 if max(info.height, info.width) <= 640 else 20)
    draw_sheet(folder / "frames.png", frames)
    rate = "of no rate" if info.rate is None else f"{info.rate:g} frames/s"
    (folder / FILE).write_text(
        TEMPLATE.format(
            video=json.dumps(video.name),  # a string of TOML, too
            width=info.width,
            height=info.height,
            frames=info.frames,
            rate=rate,
            zero=info.frames // 3,
            last=info.frames - 1,
            x=info.width // 2,
            floor=info.height - 1,
        ),
        encoding="utf-8",
    )
    note(f"Fill in {folder / FILE} by first.png and frames.png, then: physbench record check {folder}")


@app.command(short_help="Track and fit a recording, and say its tolerance.")
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Learn hue and size of the balls, track them, fit the lawful motion nearest to them, write check.png.

    Refuses, in a line, what cannot judge a model.
    """
    from physbench.recording.recorded import draw_check, load

    recorded = load(folder)
    (frame,) = _pictures(recorded, folder, [recorded.recording.time_zero])
    draw_check(folder / "check.png", recorded, frame)
    document = recorded.document()
    if as_json:
        typer.echo(json.dumps(document, indent=1))
        return
    for line in _lines(document):
        typer.echo(line)
    note(f"Track and fit: {folder / 'check.png'}")


def _lines(document: dict[str, Any]) -> Iterable[str]:
    yield (
        f"{document['context_frames']} frames of context, {document['future_frames']} after it: "
        f"{document['future_seconds']:.2f} s at {document['fps']:g} frames/s"
    )
    if document["lens"] is not None:
        yield f"lens        {document['lens']:+.1%} at the corners, corrected".replace("%", " %")
    if document["camera"] is None:
        yield "camera      not told by points: a ball off its axis reads too large. Give field_of_view, if it is near"
    else:
        yield "camera      {distance:.2f} m from the plane, {field_of_view:.0f} degrees wide".format(
            **document["camera"]
        )
    for ball in document["balls"]:
        yield f"{ball['name']}: radius {ball['radius']:.3f} m, {ball['radius_px']:.1f} px of the window"
    if document["gravity"] is not None:
        yield f"gravity     {document['gravity']:.2f} m/s2 by its falls, {document['gravity_given']:g} said"
    for name, value in document["constants"].items():
        yield f"{name:11} {value:.3f}"
    yield (
        f"distance from the nearest lawful motion: rms {document['rms']:.3f} diameters "
        f"({document['rms_m'] * 1000:.1f} mm, {document['rms_px']:.1f} px), 95 % within {document['residual']:.3f}"
    )
    yield f"tolerance   {document['tolerance']:.3f} diameters"


@app.command(short_help="Write the frames that a model is shown.")
def context(folder: Folder, out: Annotated[Path, typer.Option(help="A new folder.")]) -> None:
    """Write what a model may see of a recording: context.mp4, last.png and context.json. Nothing later is in them."""
    from physbench.clips.video import H264, encode, png
    from physbench.recording.recorded import load

    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise UsageError(f"{out} is not empty. Name a new folder.")
    recorded = load(folder)
    recording = recorded.recording
    numbers = list(
        range(recording.time_zero - recorded.stride * (recorded.context - 1), recording.time_zero + 1, recorded.stride)
    )
    frames = _pictures(recorded, folder, numbers)
    out.mkdir(parents=True, exist_ok=True)
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    encode(out / "context.mp4", even, recorded.rate / recorded.stride, H264)
    (out / "last.png").write_bytes(png(even[-1]))
    document = recorded.document()
    request = {
        "context": "context.mp4",
        "image": "last.png",
        "width": even.shape[2],
        "height": even.shape[1],
        "fps": recorded.rate / recorded.stride,
        "context_frames": document["context_frames"],
        "frames_to_predict": document["future_frames"],
    }
    (out / "context.json").write_text(json.dumps(request, indent=1) + "\n", encoding="utf-8")
    note(f"Give a model {out}, then: physbench record score {folder} ANSWER.mp4")


@app.command(short_help="Read answers of models to a recording.")
def score(
    folder: Folder,
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWER...", help="Videos of what follows the context.")],
    time_zero: Annotated[
        int | None,
        typer.Option(help="Frame of the answers, from 0, that shows time 0; -1: their first one follows it.", min=-1),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read answers: lawful time, distance from lawful motion and from the recording, gravity, restitution, permanence.

    A recording is one scene: its readings stand on no board.
    """
    from physbench.recording.answer import read_answer
    from physbench.recording.recorded import load

    recorded = load(folder)
    readings, refused = [], 0
    for path in answers:
        try:
            readings.append(read_answer(recorded, path, time_zero))
        except UsageError as error:
            note(str(error))
            refused += 1
    if as_json:
        typer.echo(json.dumps([each.document() for each in readings], indent=1))
    else:
        for each in readings:
            _print(each)
    if refused:
        raise typer.Exit(UsageError.exit_code)


def _print(read: AnswerReadings) -> None:
    def number(value: float | None, digits: int = 2) -> str:
        return "not shown" if value is None else f"{value:.{digits}f}"

    errors = ", ".join(f"{one.seconds:.2g} s {number(one.diameters)}" for one in read.errors)
    size = f"{read.strength:.3f}" if read.strength < 2 else "2 or more"
    typer.echo(f"{read.answer}  {read.sentence}")
    typer.echo(f"  strength     {size} diameters (tolerance {read.tolerance:.3f})")
    typer.echo(f"  error        {errors} diameters from the recording")
    typer.echo(f"  gravity      {number(read.gravity)} m/s2 (recording {number(read.gravity_recorded)})")
    typer.echo(f"  restitution  {number(read.restitution)} (recording {number(read.restitution_recorded)})")
    lost = "" if read.lost_at is None else f", gone from {read.lost_at:.2f} s on"
    twice = f", {read.doubles} doubles" if read.doubles else ""
    typer.echo(f"  kept         {100 * read.kept:.0f} % of the frames{lost}{twice}")


def _pictures(recorded: Recorded, folder: Path, numbers: list[int]) -> Image:
    """Frames (n, H, W, 3) of a recording's video, as they are."""
    import numpy as np

    from physbench.models.videos.decode import decode_frames, probe_video
    from physbench.recording.recorded import open_video

    source, entry = open_video(folder / recorded.recording.video)
    frames = decode_frames(source, entry, probe_video(source, entry))
    wanted = {number: frame for number, frame in frames if number in set(numbers)}
    return np.stack([wanted[number] for number in numbers])
