"""The work of `physbench scorers check`: every source on every clip, scored and kept, so that it can go on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import dataclasses as validated

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.clips.video import h264, round_trip
from physbench.rollout.store import Rollout
from physbench.run.jobs import SCORING_PRELOAD
from physbench.run.versions import library_version, versions
from physbench.score.protocol import Scorer, ScoreRow
from physbench.support import plugins
from physbench.support.processes import scheduled
from physbench.validity.sources import LOW_RATE, NEAR_ALTERNATIVES, REFERENCES, at_rate, kind, show
from physbench.validity.violations import Inapplicable
from physbench.world.scene import FAR, PLAIN, RenderSpec
from physbench.world.styles.catalogue import look_hash

# What became of each source on each clip, on disk: one file a clip, one line a source, so that work can go on.

PART_VERSION = 2

# unseen: it is there and moves things by less than can be seen; refused: it has nothing to do on this clip.
SourceOutcome = Literal["shown", "unseen", "refused", "failed"]


class Read(NamedTuple):
    """Value of one reading on a video."""

    reading: str
    axis: str | None
    value: float | None
    quality: float | None
    status: str
    reason: str


@validated.dataclass(frozen=True)
class MeasuredPart:
    """Outcome of one source on one clip."""

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
    """File with the parts of a clip."""
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
    """Lines after the head of a file of parts; None where there is no such file or head."""
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


FIRST_SEED = 5000  # apart from those of suites and of `tasks check`
CAP = 4  # times as many clips are tried as are asked for


Known = dict[tuple[str, int], dict[str, SourceOutcome]]  # (task, number of the clip) -> source -> outcome


@dataclass(frozen=True)
class Settings:
    """Settings of a validity table."""

    tasks: tuple[str, ...]
    sources: tuple[str, ...]  # violations, far alternatives and gaming baselines; the references are added
    scorers: str | None  # as `find_scorers` takes it
    clips: int  # of each task for every source that has something to do there
    truths: int  # of each task for ground truth and near alternatives
    size: int = 64  # px
    fps: float = 15.0
    context: int = 8  # frames
    crf: int | None = None  # predicted frames go through H.264 of this quality
    look: str = PLAIN
    view: str = FAR

    @property
    def spec(self) -> RenderSpec:
        return RenderSpec(self.size, self.size, float(self.fps), self.look, self.view)

    @property
    def lawful(self) -> int:
        """Clips of each task of which there are ground truth, freeze and near alternatives."""
        return max(self.truths, self.clips)

    def row(self, task: str, number: int) -> Row:
        """The clip of that number, from 0 on."""
        return Row(task, "test", FIRST_SEED + number)

    def more(self, outcomes: Sequence[SourceOutcome]) -> int:
        """Number of further clips to try with a source, from the outcomes of the first ones.

        Refused clips are replaced by further ones, up to CAP times as many as requested.
        """
        tried, shown = len(outcomes), outcomes.count("shown")
        if tried < self.clips:
            return self.clips - tried
        # a source that has nothing to do on so many clips has none on others
        if shown == 0 and "unseen" not in outcomes and tried >= max(self.clips, 8):
            return 0
        return max(min(self.clips - shown, CAP * self.clips - tried), 0)


def measured_with(settings: Settings, scorers: Sequence[Scorer]) -> dict[str, str | None]:
    """Versions of code and libraries that decide a part; those of the codec and of the look where there is one."""
    return (
        versions(scorers, "validity")
        | ({} if settings.crf is None else {"av": library_version("av")})
        | ({} if settings.look == PLAIN else {settings.look: look_hash(settings.look)})
    )


def key(settings: Settings, scorers: Sequence[Scorer]) -> str:
    """Hash of what decides a part: code, libraries, tasks of one's own, render spec, codec; not which are asked for."""
    files = [file.document() for file in sorted(plugins.registered_files(), key=lambda file: file.path)]
    ids = sorted((each.id, each.version) for each in scorers)
    content = [measured_with(settings, scorers), str(settings.spec), settings.context, settings.crf, ids, files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def measure_one(
    clip: Clip, context: int, source: str, scorers: Sequence[Scorer], crf: int | None = None
) -> MeasuredPart:
    """Show one source on one clip and read it with every scorer. What goes wrong is a part with its reason.

    crf: of the H.264 video out of which the predicted frames are read; None: they are as they were drawn.
    """
    from physbench.score.score_clip import score_clip

    row = clip.row
    name = (row.id, row.task, row.seed, source, kind(source))
    try:
        shown = show(clip, context, source)
        frames = shown.frames if crf is None else round_trip(shown.frames, clip.spec.fps, h264(crf))
        rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), shown.context or context, scorers)
    except Inapplicable as reason:
        return MeasuredPart(*name, "refused", str(reason))
    except MemoryError:  # says nothing about the source
        raise
    except Exception as error:  # one row must not end the table, now and whenever it is resumed
        return MeasuredPart(*name, "failed", f"{type(error).__name__}: {error}")
    first = min(shown.events, key=lambda event: event.time) if shown.events else None
    bodies = () if first is None or first.body is None else tuple(filter(None, (first.body, first.other)))
    distance = None if shown.distance is None or not math.isfinite(shown.distance) else shown.distance
    outcome: SourceOutcome = "unseen" if shown.unseen else "shown"
    time = None if first is None else first.time
    return MeasuredPart(*name, outcome, shown.unseen, time, bodies, distance, reads_of(rows))


def scorers_of(pattern: str | None) -> tuple[Scorer, ...]:
    """The scorers that a pattern selects, the costly ones too."""
    from physbench.score.score_clip import find_scorers

    return find_scorers(pattern, costly=True)


@cache
def _scorers(pattern: str | None) -> tuple[Scorer, ...]:
    return scorers_of(pattern)


@cache
def _store() -> ClipStore:
    return ClipStore()


def work(folder: Path, settings: Settings, job: tuple[Row, Sequence[str]]) -> dict[str, SourceOutcome]:
    """In a worker: all sources of one clip that are not there yet. Returns what came of those asked for."""
    row, sources = job
    there = read_parts(folder, row)
    for source in sources:
        if source not in there:
            fps, context = at_rate(source, settings.fps, settings.context)
            clip = _store().get(row, replace(settings.spec, fps=fps))
            there[source] = measure_one(clip, context, source, _scorers(settings.scorers), settings.crf)
            append(folder, row, there[source])
    return {source: there[source].outcome for source in sources}


def measure(settings: Settings, folder: Path, workers: int, say: Callable[[str], None]) -> None:
    """Make all parts that are missing in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    known: Known = {}
    for number in range(max(settings.lawful, CAP * settings.clips)):
        for task in settings.tasks:
            row = settings.row(task, number)
            if path_of(folder, row).exists():
                known[task, number] = {source: part.outcome for source, part in read_parts(folder, row).items()}
    if known:
        say(f"{sum(map(len, known.values()))} videos are measured already.")
    while True:
        jobs = dict(_round(settings, known))
        if not jobs:
            return
        missing = [(settings.row(task, number), sources) for (task, number), sources in jobs.items()]
        job = partial(work, folder, settings)
        with scheduled(
            job, missing, workers=workers, preload=SCORING_PRELOAD, label="videos", long=True, size=_videos
        ) as outcomes:
            for (row, _), rows_of_sources in zip(missing, outcomes, strict=True):
                known.setdefault((row.task, row.seed - FIRST_SEED), {}).update(rows_of_sources)


def _videos(job: tuple[Row, Sequence[str]]) -> int:
    return len(job[1])


def _round(settings: Settings, known: Known) -> Iterator[tuple[tuple[str, int], tuple[str, ...]]]:
    """Clips (task, number) with the sources that are next on them, clips of all tasks in turn."""
    missing: dict[tuple[str, int], list[str]] = {}
    for task in settings.tasks:
        for number, source in _wanted(settings, task, known):
            if source not in known.get((task, number), {}):
                missing.setdefault((task, number), []).append(source)
    for place in sorted(missing, key=lambda place: place[::-1]):
        yield place, tuple(missing[place])


def _wanted(settings: Settings, task: str, known: Known) -> list[tuple[int, str]]:
    """Clips (by number) and sources that the cells of a task are made of, as far as can be said with what is known."""
    sources = [(number, source) for number in range(settings.lawful) for source in (*REFERENCES, *NEAR_ALTERNATIVES)]
    for source in settings.sources:
        low_rate = LOW_RATE if source.endswith(LOW_RATE) else ""
        for number in range(clips_needed(settings, task, source, known)):
            sources += [(number, reference + low_rate) for reference in REFERENCES]
            sources.append((number, source))
    return list(dict.fromkeys(sources))


def clips_needed(settings: Settings, task: str, source: str, known: Known) -> int:
    """Number of clips of a task, from 0 on, that a source needs, as far as `known` tells."""
    outcomes: list[SourceOutcome] = []
    while (count := settings.more(outcomes)) > 0:
        more = range(len(outcomes), len(outcomes) + count)
        if not all(source in known.get((task, number), {}) for number in more):
            return more.stop
        outcomes += [known[task, number][source] for number in more]
    return len(outcomes)


def parts_of(settings: Settings, folder: Path, task: str) -> list[MeasuredPart]:
    """The parts of a task that its cells are made of, in an order that depends on the settings alone."""
    numbers = range(max(settings.lawful, CAP * settings.clips))
    parts = {number: read_parts(folder, settings.row(task, number)) for number in numbers}
    known = {(task, number): {s: part.outcome for s, part in mine.items()} for number, mine in parts.items()}
    return [parts[number][source] for number, source in _wanted(settings, task, known)]
