"""A picture of a finding: a few frames in a row, what is meant ringed, and the sentence above."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from physbench.checks.finding import Finding

PICTURE_SIDE, PICTURE_EDGE, PICTURE_TOP = 1.9, 0.15, 0.42  # inches


def save(finding: Finding, path: Path) -> None:
    """Write the finding's shot as a PNG. Expects a finding with a shot."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    shot = finding.shot
    assert shot is not None
    clip = shot.clip
    moments = [int(np.argmin(np.abs(clip.times - time))) for time in shot.times[:5]]
    if not shot.frames:  # near an end of the clip two moments may be one frame
        moments = sorted(set(moments))
    width, height = 2 * PICTURE_EDGE + max(len(moments), 3) * PICTURE_SIDE, PICTURE_TOP + PICTURE_SIDE + 0.3
    figure = Figure(figsize=(width, height))
    text = "\n".join(textwrap.wrap(f"{clip.id}: {finding.text}", int(14 * width))[:2])
    figure.text(PICTURE_EDGE / width, 1 - 0.12 / height, text, fontsize=8, va="top", color="#1d2129")
    for k, index in enumerate(moments):
        place = (
            (PICTURE_EDGE + k * PICTURE_SIDE) / width,
            0.28 / height,
            0.95 * PICTURE_SIDE / width,
            0.95 * PICTURE_SIDE / height,
        )
        axes = figure.add_axes(place)
        axes.imshow(shot.frames[k] if shot.frames else clip.frames[index], interpolation="nearest", vmin=0, vmax=255)
        label = shot.labels[k] if shot.labels else f"{clip.times[index]:.2f} s"
        axes.set_xlabel(label, fontsize=8, labelpad=2)
        axes.set_xticks([])
        axes.set_yticks([])
        names = [body.name for body in clip.tracked_bodies]
        if shot.body in names:
            column = names.index(shot.body)
            centre = clip.px_positions()[index, column]
            radius = 0.6 * clip.diameters()[index, column] * clip.pixels_per_metre
            inside = np.clip(centre, 0, (clip.spec.width, clip.spec.height))
            axes.add_patch(Circle(tuple(inside - 0.5), max(radius, 4), fill=False, color="#c8451b", linewidth=1.5))
            axes.set_xlim(-0.5, clip.spec.width - 0.5)
            axes.set_ylim(clip.spec.height - 0.5, -0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
