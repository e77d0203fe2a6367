"""The work of `physbench scorers check`: every source on every clip, scored, one file each, so that it can go on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

from physbench.checks.validity.sources import NEAR, REFERENCES, kind, show
from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.progress import Progress
from physbench.results.folder import write_atomically
from physbench.rollouts.rollout import Rollout
from physbench.run.parts import rows_document, rows_from
from physbench.run.versions import DECIDING, versions
from physbench.scoring.protocol import Scorer, ScoreRow
from physbench.world.scene import RenderSpec
from physbench.world.violations import Inapplicable

FIRST_SEED = 5000  # apart from those of suites and of `tasks check`
SCHEMA_VERSION = 1
DECIDING_HERE = (*DECIDING, "checks/validity")


@dataclass(frozen=True)
class Settings:
    """What a validity table is made of."""

    tasks: tuple[str, ...]
    sources: tuple[str, ...]  # violations, far strangers and cheats; the references come by themselves
    scorers: str | None  # as `find_scorers` takes it
    clips: int  # of each task for every source
    truths: int  # of each task for ground truth and near strangers
    size: int = 64  # px
    fps: float = 15.0
    context: int = 8  # frames

    @property
    def spec(self) -> RenderSpec:
        return RenderSpec(self.size, self.size, float(self.fps))

    def rows(self) -> list[tuple[Row, tuple[str, ...]]]:
        """Every clip with its sources: a clip is made once for all of them. Clips of all tasks in turn."""
        found: list[tuple[Row, tuple[str, ...]]] = []
        for number in range(max(self.truths, self.clips)):
            for task in self.tasks:
                wanted: tuple[str, ...] = (*REFERENCES, *NEAR, *(self.sources if number < self.clips else ()))
                found.append((Row(task, "test", FIRST_SEED + number), wanted))
        return found


@dataclass(frozen=True)
class Part:
    """What became of one source on one clip."""

    clip: str
    task: str
    seed: int
    source: str
    kind: str  # reference, stranger, violation, picture, cheat
    refused: str | None  # why the source has nothing to do on this clip
    time: float | None  # s, when the (first) violation is first to be seen
    body: str | None
    distance: float | None  # diameters from ground truth, of a stranger
    rows: tuple[ScoreRow, ...]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "rows"}
        return {"schema_version": SCHEMA_VERSION, **values, "rows": rows_document(self.rows)}


def read_part(path: Path) -> Part | None:
    """A part, or None where there is none or it cannot be read: it is then made again."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("schema_version") != SCHEMA_VERSION:
            return None
        return Part(**{**document, "rows": tuple(rows_from(document["rows"]))})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def key(settings: Settings, scorers: Sequence[Scorer]) -> str:
    """Hash of what decides a part: code, libraries and render spec; not which parts are asked for."""
    said = [versions(scorers, DECIDING_HERE), str(settings.spec), settings.context, settings.scorers]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def part_path(folder: Path, row: Row, source: str) -> Path:
    """Where a part lies."""
    return folder / f"{row.id}.{source.replace(':', '_').replace('/', '_')}.json"


def measure_one(clip: Clip, context: int, source: str, scorers: Sequence[Scorer]) -> Part:
    """Show one source on one clip and read it with every scorer."""
    from physbench.scoring.score import score_clip

    row = clip.row
    try:
        shown = show(clip, context, source)
        first = min(shown.events, key=lambda event: event.time) if shown.events else None
    except Inapplicable as reason:
        return Part(row.id, row.task, row.seed, source, kind(source), str(reason), None, None, None, ())
    rows, _ = score_clip(clip, Rollout(clip.id, 0, shown.frames), context, scorers)
    time, body = (None, None) if first is None else (first.time, first.body)
    distance = None if shown.distance is None or not math.isfinite(shown.distance) else shown.distance
    return Part(row.id, row.task, row.seed, source, kind(source), None, time, body, distance, tuple(rows))


@cache
def _scorers(glob: str | None) -> tuple[Scorer, ...]:
    from physbench.scoring.score import find_scorers

    return find_scorers(glob)


@cache
def _store() -> ClipStore:
    return ClipStore()


def work(folder: Path, settings: Settings, row: Row, sources: tuple[str, ...]) -> int:
    """In a worker: all sources of one clip that are not there yet. Returns how many it looked at."""
    missing = [source for source in sources if read_part(part_path(folder, row, source)) is None]
    if missing:
        clip = _store().get(row, settings.spec)
        for source in missing:
            part = measure_one(clip, settings.context, source, _scorers(settings.scorers))
            write_atomically(part_path(folder, row, source), partial(_write, part))
    return len(sources)


def _write(part: Part, path: Path) -> None:
    path.write_text(json.dumps(part.document()) + "\n", encoding="utf-8")


def measure(settings: Settings, folder: Path, workers: int, say: Callable[[str], None]) -> list[Part]:
    """Make all parts that are missing in `folder` and return all, in an order that depends on the settings alone."""
    jobs = settings.rows()
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(len(sources) for _, sources in jobs)
    there = {path.name for path in folder.glob("*.json")}
    open_ = [(r, s) for r, s in jobs if any(part_path(folder, r, source).name not in there for source in s)]
    done = total - sum(len(sources) for _, sources in open_)
    if done:
        say(f"{done} of {total} videos are measured already.")
    with Progress("videos", total) as progress:
        progress.advance(done)
        if workers > 1 and len(open_) > 1:
            from physbench.run.pool import Pool

            with Pool(min(workers, len(open_))) as pool:
                waiting = [pool.submit(work, folder, settings, row, sources) for row, sources in open_]
                for future in as_completed(waiting):
                    progress.advance(future.result())
        else:
            for row, sources in open_:
                progress.advance(work(folder, settings, row, sources))
    parts = []
    for row, sources in jobs:
        for source in sources:
            part = read_part(part_path(folder, row, source))
            if part is None:  # damaged since it was looked for
                part = measure_one(
                    _store().get(row, settings.spec), settings.context, source, _scorers(settings.scorers)
                )
            parts.append(part)
    return parts
