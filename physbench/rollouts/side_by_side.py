"""Draws truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.drawn_states import shown_frames
from physbench.rollouts.rollout import Rollout

FRAMES_A_ROW = 7
FRAME_SIDE, NAMES_WIDTH, TOP, BOTTOM = 1.25, 0.95, 0.55, 0.12  # inches


def save_comparison(path: Path, clips: Sequence[Clip], rollouts: Sequence[Rollout], title: str) -> None:
    """Write a PNG: for each clip a row of truth and a row of prediction, from the last context frame on."""
    from matplotlib.figure import Figure

    wide = max(1.0, min(2.0, clips[0].spec.width / clips[0].spec.height))
    rows = 2 * len(clips)
    width, height = NAMES_WIDTH + FRAMES_A_ROW * FRAME_SIDE * wide + 0.1, TOP + rows * FRAME_SIDE + BOTTOM
    figure = Figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.2 / height, title, fontsize=10, weight="bold", va="center")
    for number, (clip, rollout) in enumerate(zip(clips, rollouts, strict=True)):
        predicted = shown_frames(clip, rollout)
        shown = np.linspace(0, clip.horizon, FRAMES_A_ROW).round().astype(int)
        truth = np.concatenate([clip.context(1), clip.future()])
        for line, name in enumerate(("truth", "prediction")):
            row = 2 * number + line
            bottom = 1 - (TOP + (row + 1) * FRAME_SIDE) / height
            figure.text(0.1 / width, bottom + 0.5 * FRAME_SIDE / height, name, fontsize=8, va="center", color="#5b6270")
            if line == 0:
                label = clip.row.task.split("/")[-1]
                figure.text(0.1 / width, bottom + 0.85 * FRAME_SIDE / height, label, fontsize=7, va="center")
            for column, frame in enumerate(shown):
                box = (
                    (NAMES_WIDTH + column * FRAME_SIDE * wide) / width,
                    bottom,
                    0.96 * FRAME_SIDE * wide / width,
                    0.96 * FRAME_SIDE / height,
                )
                axes = figure.add_axes(box)
                axes.set_axis_off()
                if row == 0:
                    axes.set_title(f"{frame / clip.spec.fps:.2g} s", fontsize=8, pad=3)
                if line == 0 or frame == 0:
                    axes.imshow(truth[frame], interpolation="nearest")
                elif frame <= len(predicted):
                    axes.imshow(predicted[frame - 1], interpolation="nearest")
                else:
                    axes.text(0.5, 0.5, "failed" if rollout.failure else "missing", ha="center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white", metadata={"Software": None})
