"""Pictures to read coordinates from, and to judge a fit by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physbench.recording.recorded import Recorded
from physbench.support.arrays import Image
from physbench.world.camera import plane_from_px

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET, COLUMNS = 20, 4  # frames of a sheet, and those side by side


def _figure(width: float, height: float) -> Figure:
    """An empty figure, in inches of 100 px, without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_first(path: Path, frame: Image, step: int) -> None:
    """Write a frame (H, W, 3) with a grid of `step` px to read places from."""
    height, width = frame.shape[:2]
    figure = _figure(15, 15 * height / width)
    axes = figure.subplots()
    axes.imshow(frame, extent=(0, width, height, 0))
    axes.set_xticks(np.arange(0, width + 1, 2 * step), labels=[f"{x}" for x in range(0, width + 1, 2 * step)])
    axes.set_yticks(np.arange(0, height + 1, 2 * step), labels=[f"{y}" for y in range(0, height + 1, 2 * step)])
    axes.set_xticks(np.arange(0, width, step), minor=True)
    axes.set_yticks(np.arange(0, height, step), minor=True)
    axes.grid(which="both", color="white", linewidth=0.4)
    axes.grid(which="major", color="yellow", linewidth=0.6)
    axes.tick_params(labeltop=True, labelright=True)
    figure.savefig(path)


def draw_sheet(path: Path, frames: Sequence[tuple[int, Image]]) -> None:
    """Write some frames (number, (H, W, 3)) side by side, with their numbers."""
    rows = -(-len(frames) // COLUMNS)
    height, width = frames[0][1].shape[:2]
    figure = _figure(16, rows * (4 * height / width + 0.3))
    for axes in (grid := figure.subplots(rows, COLUMNS, squeeze=False)).flat:
        axes.axis("off")
    for axes, (number, frame) in zip(grid.flat, frames, strict=False):
        axes.imshow(frame)
        axes.set_title(f"frame {number}", fontsize=9)
    figure.savefig(path)


def draw_check(path: Path, recorded: Recorded, frame: Image) -> None:
    """Write the track and the lawful motion nearest to it over a frame (H, W, 3), and their distance over time."""
    figure = _figure(12, 12 * frame.shape[0] / frame.shape[1] + 3)
    picture, below = figure.subplots(2, 1, height_ratios=(3, 1))
    clip, plane = recorded.clip, recorded.plane
    seen = plane.picture_px(plane_from_px(clip.scene.camera, clip.spec, recorded.tracks.position))
    fitted = plane.picture_px(recorded.segments.position)
    picture.imshow(frame, extent=(0, frame.shape[1], frame.shape[0], 0))
    for k, ball in enumerate(recorded.recording.balls):
        picture.plot(*fitted[:, k].T, color="white", linewidth=1, label=f"{ball.name}: lawful motion")
        picture.plot(*seen[:, k].T, "+", color="red", markersize=5, label=f"{ball.name}: tracked")
        below.plot(clip.times, recorded.segments.errors[:, k], ".-", label=ball.name)
    picture.set_xlim(0, frame.shape[1])
    picture.set_ylim(frame.shape[0], 0)
    picture.legend(loc="upper right")
    below.axhline(recorded.tolerance, color="grey", linestyle="--", label="tolerance")
    below.axvline(0, color="grey", linewidth=0.5)
    below.set(xlabel="time, s", ylabel="distance, diameters", ylim=(0, None))
    below.legend(loc="upper right")
    figure.savefig(path)
