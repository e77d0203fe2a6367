"""Findings of checks: a sentence, a remedy, and the clip and frames in which it can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from physbench.clips.clip import Clip

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
    """How an axis reads a task: mean quality of ground truth and baselines."""

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
        """For --json."""
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
