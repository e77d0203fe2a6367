"""What became of each source on each clip, on disk: one file a clip, one line a source, so that work can go on."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic.dataclasses import dataclass

from physbench.clips.clip import Row
from physbench.scoring.scorer_protocol import ScoreRow

PART_VERSION = 2

# unseen: it is there and moves things by less than can be seen; refused: it has nothing to do on this clip.
SourceOutcome = Literal["shown", "unseen", "refused", "failed"]


class Read(NamedTuple):
    """What one reading made of a video."""

    reading: str
    axis: str | None
    value: float | None
    quality: float | None
    status: str
    reason: str


@dataclass(frozen=True)
class MeasuredPart:
    """What became of one source on one clip."""

    clip: str
    task: str
    seed: int
    source: str
    kind: str  # reference, stranger, violation, picture, cheat
    outcome: SourceOutcome
    reason: str = ""  # of what is not shown
    time: float | None = None  # s, when the (first) violation is first to be seen
    bodies: tuple[str, ...] = ()  # on one of which it is seen; () for all of the world
    distance: float | None = None  # diameters from ground truth, of a lawful alternative
    reads: tuple[Read, ...] = ()

    def line(self) -> str:
        """As a line of the clip's file."""
        of_clip = ("clip", "task", "seed")
        return json.dumps({name: value for name, value in asdict(self).items() if name not in of_clip}) + "\n"


def reads_of(rows: list[ScoreRow]) -> tuple[Read, ...]:
    """Score rows of one clip as they are kept."""
    return tuple(Read(row.reading, row.axis, row.value, row.quality, row.status, row.reason) for row in rows)


def path_of(folder: Path, row: Row) -> Path:
    """Where the parts of a clip lie."""
    return folder / f"{row.id}.jsonl"


def append(folder: Path, row: Row, part: MeasuredPart) -> None:
    """Add a part to its clip's file.

    A line that was torn when a process was killed is skipped. A file without its head is begun again.
    """
    path = path_of(folder, row)
    if _lines(path) is None:
        head = {"schema_version": PART_VERSION, "task": row.task, "split": row.split, "seed": row.seed}
        path.write_text(json.dumps(head) + "\n" + part.line(), encoding="utf-8")
        return
    with path.open("r+b") as file:
        file.seek(-1, 2)
        torn = file.read() != b"\n"
        file.write((b"\n" if torn else b"") + part.line().encode())


def _lines(path: Path) -> list[bytes] | None:
    """What follows the head of a file of parts; None where there is no such file or head."""
    try:
        first, *lines = path.read_bytes().split(b"\n")
        head = json.loads(first)
    except (OSError, ValueError):
        return None
    return lines if isinstance(head, dict) and head.get("schema_version") == PART_VERSION else None


def read_parts(folder: Path, row: Row) -> dict[str, MeasuredPart]:
    """The parts of a clip by source; lines that cannot be read are left out, and are then made again."""
    parts = {}
    for line in _lines(path_of(folder, row)) or ():
        with suppress(ValueError, TypeError):
            part = MeasuredPart(row.id, row.task, row.seed, **json.loads(line))
            parts[part.source] = part
    return parts
