"""A contact sheet of a task: a few clips, frames over time, and each clip's motion in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import Task
from physbench.progress import Progress
from physbench.world.scene import PLAIN, RenderSpec

SHEET_SIZE, SHEET_FPS = 192, 20.0  # px and frames/s of the pictures on the sheet
TIMES_BEFORE = (-1.0, -0.5, 0.0)  # s, columns before the hand-over
COLUMNS_AFTER = 6  # columns after it
EXPOSURE_STEP = 0.2  # s between the exposures of the last column
TEXT_COLOUR, FAINT_COLOUR, ACCENT = "#1d2129", "#7b828e", "#c8451b"

# Inches: a picture, the gaps, the labels at the left, the title, the times, the foot.
TILE, GAP, WIDE_GAP, LEFT, TITLE, HEADS, FOOT, SHEET_EDGE = 1.28, 0.07, 0.24, 1.95, 0.72, 0.30, 0.30, 0.28


def make_clips(task: Task, split: Split, seeds: Sequence[int], spec: RenderSpec) -> list[Clip]:
    """Make the clips with these seeds, in their order, with a progress bar."""
    clips = []
    with Progress("clips", len(seeds)) as progress:
        for seed in seeds:
            clips.append(make_clip(Row(task.id, split, seed), spec))
            progress.advance()
    return clips


def preview(task: Task, split: Split, seeds: Sequence[int], path: Path, look: str = PLAIN) -> None:
    """Write a contact sheet of the clips with these seeds as a PNG."""
    figure = draw_sheet(task, make_clips(task, split, seeds, render_spec(SHEET_SIZE, SHEET_FPS, look)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")


def column_times(horizon: float) -> list[float]:
    """Times in s of the columns: closer together soon after the hand-over, where most happens."""
    later = [horizon * ((k + 1) / COLUMNS_AFTER) ** 1.4 for k in range(COLUMNS_AFTER)]
    return [*TIMES_BEFORE, *(round(time * SHEET_FPS) / SHEET_FPS for time in later)]


def multiple_exposure(clip: Clip) -> NDArray[np.uint8]:
    """All of the prediction in one picture (H, W, 3): older exposures fade."""
    from physbench.looks.known_looks import draw_still

    stride = round(EXPOSURE_STEP * clip.spec.fps)
    frames = clip.frames[clip.handover :: stride].astype(np.float32)
    ground = draw_still(clip.scene, clip.spec, hueless=False).astype(np.float32)
    picture: NDArray[np.float32] = ground.copy()
    for k, frame in enumerate(frames):
        moved = np.abs(frame - ground).max(axis=-1, keepdims=True) > 10
        weight = np.float32(0.25 + 0.75 * ((k + 1) / len(frames)) ** 1.5)
        picture = np.where(moved, picture + weight * (frame - picture), picture)
    exposed: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return exposed


def draw_sheet(task: Task, clips: Sequence[Clip]) -> Any:
    """The matplotlib figure with one row per clip."""
    from matplotlib.figure import Figure

    times = column_times(clips[0].scene.horizon)
    columns = [LEFT + k * (TILE + GAP) + (WIDE_GAP if k >= len(TIMES_BEFORE) else 0) for k in range(len(times))]
    columns.append(columns[-1] + TILE + GAP + WIDE_GAP)
    width = columns[-1] + TILE + SHEET_EDGE
    height = TITLE + HEADS + len(clips) * (TILE + GAP) + FOOT
    figure = Figure(figsize=(width, height))

    def say(x: float, y: float, text: str, **style: Any) -> None:
        """Write at x, y inches from the top left."""
        figure.text(x / width, 1 - y / height, text, **{"color": TEXT_COLOUR, "va": "baseline", **style})

    say(SHEET_EDGE, 0.40, task.id, fontsize=15, fontweight="bold")
    say(SHEET_EDGE, 0.64, (task.__doc__ or "").strip().splitlines()[0], fontsize=10, color=FAINT_COLOUR)
    for x, time in zip(columns, times, strict=False):
        label = "hand-over" if time == 0 else f"{time:+.2f}".rstrip("0").rstrip(".").replace("-", "−") + " s"
        colour, weight = (ACCENT, "bold") if time == 0 else (FAINT_COLOUR if time < 0 else TEXT_COLOUR, "normal")
        say(x + TILE / 2, TITLE + HEADS - 0.08, label, fontsize=9, ha="center", color=colour, fontweight=weight)
    say(columns[-1] + TILE / 2, TITLE + HEADS - 0.08, f"0 to {times[-1]:g} s", fontsize=9, ha="center")

    for i, clip in enumerate(clips):
        top = TITLE + HEADS + i * (TILE + GAP)
        say(SHEET_EDGE, top + 0.16, f"{clip.row.split} {clip.row.seed}", fontsize=10, fontweight="bold")
        for j, line in enumerate(_drawn(task, clip.row)):
            say(SHEET_EDGE, top + 0.34 + 0.145 * j, line, fontsize=7, color=FAINT_COLOUR)
        pictures = [clip.frames[int(np.argmin(np.abs(clip.times - time)))] for time in times]
        for x, picture in zip(columns, [*pictures, multiple_exposure(clip)], strict=True):
            axes = figure.add_axes((x / width, 1 - (top + TILE) / height, TILE / width, TILE / height))
            axes.imshow(picture, interpolation="lanczos", vmin=0, vmax=255)
            axes.set_axis_off()
    between = (columns[len(TIMES_BEFORE)] - (GAP + WIDE_GAP) / 2) / width
    figure.add_artist(_line(between, 1 - (TITLE + 0.08) / height, FOOT / height))
    say(
        SHEET_EDGE,
        height - 0.11,
        "Left of the line: history that a model may see. Right of it: what it has to predict. "
        f"Last column: exposures every {EXPOSURE_STEP:g} s.",
        fontsize=7.5,
        color=FAINT_COLOUR,
    )
    return figure


def _line(x: float, top: float, bottom: float) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([x, x], [bottom, top], color=ACCENT, linewidth=1.2)


def _drawn(task: Task, row: Row) -> list[str]:
    """The drawn numbers of a clip, without hues, which the pictures show."""
    params = make_params(row)
    shown = [name for name in params if task.parameters[name].kind != "fixed" and not name.startswith("hue")]
    return [f"{name} {params[name]:.3g} {task.parameters[name].unit}".strip() for name in shown[:7]]
