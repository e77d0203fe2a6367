"""The file `recording.toml` beside a video, in which a user describes the recording."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from physbench.support.errors import UsageError
from physbench.support.files import user_text
from physbench.support.printable import printable

FILE = "recording.toml"
MOST_POINTS = 20

Place = tuple[FiniteFloat, FiniteFloat]
Box = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]  # left, top, right, bottom
Range = tuple[FiniteFloat, FiniteFloat]
Edge = Annotated[tuple[Place, ...], Field(min_length=3, max_length=MOST_POINTS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(_Part):
    """A point of the plane of motion, in the picture and in metres."""

    px: Place
    """x to the right, y down."""
    m: Place
    """Along the floor to the right, and up."""


class Ball(_Part):
    """A ball that moves."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = "ball"
    box: Box
    """Left, top, right and bottom in px, round the ball in the frame `first`."""
    radius: Annotated[float, Field(gt=0, le=10)] | None = None
    """m. With points it is measured, and one that is given is held against it."""


class Recording(_Part):
    """A video of balls that move in one plane before a camera that stands still."""

    video: Annotated[str, Field(min_length=1)]
    """File, beside this one."""
    time_zero: Annotated[int, Field(ge=1)]
    """The last frame that a model is shown, counted from 0."""
    first: Annotated[int, Field(ge=0)] = 0
    """The first frame in which nothing but gravity, the floor and other balls acts on the balls."""
    last: Annotated[int, Field(ge=2)] | None = None
    """The last frame for which that is so."""
    fps: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Frames a second at which it was filmed, where the file says another rate, as of slow motion."""
    gravity: Annotated[float, Field(ge=0, le=100)] = 9.81
    """m/s2, downwards."""
    floor_px: Place | None = None
    """A pixel at which a ball touches the floor, which is level. None: there is no floor."""
    crop: Box | None = None
    """Left, top, right and bottom in px of the part of the picture that counts. None: all of it."""
    field_of_view: Annotated[float, Field(ge=1, le=150)] | None = None
    """Degrees from the left to the right border of the picture. None: points tell it where the camera leans enough."""
    restitution: Range = (0.2, 1.0)
    """Least and most that it may be."""
    friction: Range = (0.0, 0.8)
    """Least and most that it may be."""
    edges: Annotated[tuple[Edge, ...], Field(max_length=MOST_POINTS)] = ()
    """Pixels along edges that are straight in reality, by which the lens is corrected. None: it needs no correction."""
    points: Annotated[tuple[Point, ...], Field(max_length=MOST_POINTS)] = ()
    """Four or more; none where a ball of known radius is seen by a level camera that looks straight at the plane."""
    balls: Annotated[tuple[Ball, ...], Field(min_length=1, max_length=2)]


def read(folder: Path) -> tuple[Recording, Path]:
    """The recording of a folder, and the path of its video. Raises UsageError with the first thing that is wrong."""
    path = folder / FILE
    if not path.is_file():
        raise UsageError(f"{folder} holds no {FILE}. Make it: physbench record new {folder} --video FILE.")
    try:
        recording = Recording.model_validate(tomllib.loads(user_text(path.read_bytes())))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{path}: {printable(place)}: {printable(first['msg'])}.") from None
    except (ValueError, RecursionError) as error:  # of TOML, of text that is not UTF-8, of huge numbers
        raise UsageError(f"{path}: {printable(str(error))}.") from None
    _check(recording, path)
    video = folder / Path(recording.video).name
    if not video.is_file():
        raise UsageError(f"{path}: video: there is no file {video}.")
    return recording, video


def _check(recording: Recording, path: Path) -> None:
    def refuse(field: str, words: str) -> UsageError:
        return UsageError(f"{path}: {field}: {words}")

    blank = [f"the box of {printable(ball.name)}" for ball in recording.balls if not any(ball.box)]
    if recording.points and not any((*point.px, *point.m) != (0, 0, 0, 0) for point in recording.points):
        blank.insert(0, "px and m of the points (or take these out, and give the radius of the first ball)")
    if blank:
        raise UsageError(f"{path}: still to be filled in, from first.png: {' and '.join(blank)}.")
    before = recording.time_zero + 1 if recording.last is None else recording.last
    if not recording.first < recording.time_zero < before:
        words = f"expected a frame after first ({recording.first}) and before last, got {recording.time_zero}."
        raise refuse("time_zero", words)
    for name in ("restitution", "friction"):
        low, high = getattr(recording, name)
        least, most = {"restitution": (0.01, 1.0), "friction": (0.0, 5.0)}[name]
        if not least <= low <= high <= most:
            words = f"expected two numbers from {least:g} to {most:g} that ascend, got {low:g} and {high:g}."
            raise refuse(name, words)
    if 0 < len(recording.points) < 4:
        raise refuse("points", f"expected four or more, or none and the radius of a ball, got {len(recording.points)}.")
    if not recording.points and recording.balls[0].radius is None:
        raise refuse("balls", "without points the first needs its radius in m: it tells the scale.")
    least_box = 6.0  # px, side of a box round a ball
    for ball in recording.balls:
        left, top, right, bottom = ball.box
        if min(right - left, bottom - top) < least_box:
            raise refuse(f"balls: {printable(ball.name)}", f"its box is smaller than {least_box:g} px: {ball.box}.")
    if len({ball.name for ball in recording.balls}) < len(recording.balls):
        raise refuse("balls", "two have one name.")


TEMPLATE = """\
# What physbench must be told of {video}: {width}x{height} px, {frames} frames, {rate}.
# Pixels are read from first.png (x to the right, y down), frames from frames.png. docs/your-footage.md says more.

video = {video}
first = 0            # first frame in which nothing but gravity, the floor and other balls acts on the balls: no hand
time_zero = {zero}       # last frame that a model is shown
# last = {last}          # last frame that counts
# fps = 240          # at which it was filmed, where the file says another rate (slow motion)

gravity = 9.81       # m/s2
# floor_px = [{x}, {floor}]  # a pixel at which a ball touches the level floor; leave it out where there is none
restitution = [0.2, 1.0]  # within which it is fitted
friction = [0.0, 0.8]
# crop = [0, 0, {width}, {height}]  # left, top, right, bottom px: the part of the picture in which the balls move

# field_of_view = 65  # degrees from the left to the right border, of a camera that looks straight at the plane

# Edges that are straight in reality and bent in the picture, as of a wide lens: three pixels or more along each, best
# two edges near opposite borders. Anywhere in the picture, not in the plane alone.
# edges = [[[0, 20], [{x}, 20], [{width}, 20]], [[0, {floor}], [{x}, {floor}], [{width}, {floor}]]]

# Four points or more in the plane in which the balls move: pixel, and metres to the right and up.
# Remove them where the camera is level and looks straight at the plane, and give the radius of the first ball.
[[points]]
px = [0, 0]
m = [0.0, 0.0]

[[points]]
px = [0, 0]
m = [0.0, 0.0]

[[points]]
px = [0, 0]
m = [0.0, 0.0]

[[points]]
px = [0, 0]
m = [0.0, 0.0]

[[balls]]            # one or two
name = "ball"
box = [0, 0, 0, 0]   # left, top, right, bottom px round it in the frame `first`
# radius = 0.11      # m; with points it is measured, and this is held against it
"""
