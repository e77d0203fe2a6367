"""Findings of task checks: a sentence, a remedy, and a picture in which it can be seen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from physbench.clips.clip import Clip
from physbench.world.camera import homographies, mapped

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True, eq=False)
class Shot:
    """Moments of a clip that show what is wrong: at most five of them."""

    clip: Clip
    times: tuple[float, ...]  # s
    body: str | None = None  # marked, where a single one is meant
    frames: tuple[Any, ...] = ()  # (H, W, 3) u8, in place of those of the clip
    labels: tuple[str, ...] = ()  # what stands under `frames`


@dataclass(frozen=True)
class Finding:
    """One sentence on one subject. A failed one refuses the task and names a remedy."""

    check: str  # "overlap"
    state: State
    text: str
    remedy: str = ""
    clip: str | None = None  # the first one in which it was found
    shot: Shot | None = field(default=None, repr=False, compare=False)
    picture: str | None = None  # path of the PNG that shows it
    size: float = field(default=0.0, repr=False, compare=False)  # of what was measured; the largest is reported


@dataclass(frozen=True)
class AxisReading:
    """Reading of a task on an axis: mean quality of ground truth and baselines."""

    kind: str  # informative, guard, unscored or absent
    truth: float | None
    freeze: float | None
    constant_velocity: float | None


@dataclass(frozen=True)
class Report:
    """All that was found about a task."""

    task: str
    source: str  # the file of its class
    splits: Mapping[str, int]  # number of clips that were looked at, by split
    findings: tuple[Finding, ...]
    axes: dict[str, AxisReading]
    seconds: dict[str, float]  # a clip: of processor time, "clip" to make it, "score" to track and score it

    @property
    def clips(self) -> int:
        """Number of clips that were looked at."""
        return sum(self.splits.values())

    @property
    def passed(self) -> bool:
        return all(finding.state != "failed" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        findings = [{k: v for k, v in vars(finding).items() if k not in ("shot", "size")} for finding in self.findings]
        return {
            "task": self.task,
            "source": self.source,
            "passed": self.passed,
            "clips": self.clips,
            "clips_by_split": dict(self.splits),
            "findings": findings,
            "axes": {name: asdict(axis) for name, axis in self.axes.items()},
            "seconds_per_clip": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def failed(check: str, text: str, remedy: str, clip: Clip | None = None, shot: Shot | None = None) -> Finding:
    """A reason to refuse the task."""
    return Finding(check, "failed", text, remedy, clip.id if clip else None, shot)


def fine(check: str, text: str, size: float = 0.0) -> Finding:
    """A check that found nothing wrong, with what it measured."""
    return Finding(check, "ok", text, size=size)


def remark(check: str, text: str, remedy: str = "") -> Finding:
    """Something to know, which refuses nothing."""
    return Finding(check, "note", text, remedy)


# A picture of a finding: a few frames in a row, what is meant ringed, and the sentence above.

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
            if clip.scene.camera.path:
                centre = mapped(homographies(clip.scene.camera, clip.spec, clip.times[[index]])[0], centre)
            radius = 0.6 * clip.diameters()[index, column] * clip.pixels_per_metre
            inside = np.clip(centre, 0, (clip.spec.width, clip.spec.height))
            axes.add_patch(Circle(tuple(inside - 0.5), max(radius, 4), fill=False, color="#c8451b", linewidth=1.5))
            axes.set_xlim(-0.5, clip.spec.width - 0.5)
            axes.set_ylim(clip.spec.height - 0.5, -0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
