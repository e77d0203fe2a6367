"""A run at work: time left, lines in a log, overall skill so far, looks at which it may stop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from physbench.clips.clip import Row
from physbench.result.bootstrap import MODELS, estimate, pooled
from physbench.result.coverage import inapplicable_axes
from physbench.result.formats import bracket, counted, fixed
from physbench.result.levels import overall
from physbench.result.read import REFERENCE_MODELS
from physbench.result.skill import SCALE
from physbench.result.task_roles import fixed_kinds
from physbench.rollout.batches import Batch
from physbench.run.jobs import Jobs, done_after, in_turn
from physbench.run.state import Run
from physbench.score.protocol import ScoreRow, read_part, rows_document
from physbench.score.score_clip import scorer_of
from physbench.support import progress
from physbench.support.progress import Progress, duration

if TYPE_CHECKING:
    import pandas as pd

# Lines while a run is at work: in a log at regular times, where no terminal shows a bar, and of what has begun.


class Settable(Protocol):
    """An event of threads or of processes."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Announced:
    """`with Announced(say, line, event): ...` says a line as soon as the event is set, if it is set in here.

    Args:
        say: Prints a line; it is called from another thread.
        event: Of this process, or of several.
    """

    def __init__(self, say: Callable[[str], None], line: str, event: Settable) -> None:
        self._say, self._line, self._event = say, line, event
        self._end = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not (self._end or self._event.wait(0.5)):  # s
            pass
        if not self._end:
            self._say(self._line)

    def __enter__(self) -> Announced:
        if not self._event.is_set():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = True  # it sees that within 0.5 s, and nobody waits for it


class StatusLines:
    """`with StatusLines(say, status): ...` says `status()` every minute, if stderr is no terminal.

    Args:
        say: Prints a line.
        status: What is done and left; "" for nothing to say. It is called from another thread.
        every: s from one line to the next.
    """

    def __init__(self, say: Callable[[str], None], status: Callable[[], str], every: float = 60.0) -> None:
        self._say, self._status, self._every = say, status, every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._end.wait(self._every):
            line = self._status()
            if line:
                self._say(line)

    def __enter__(self) -> StatusLines:
        if not (progress.on_terminal() or progress.is_silenced()):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()


# Overall skill of a run at work, from the score rows that lie in its folder, each read once.


class RunningSkill:
    """Overall of the clips that are scored with all samples and references."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._parts: dict[Path, list[ScoreRow]] = {}  # rows that overall is made of
        self._words, self._counted = "", time.monotonic()

    def tables(self, rows: Iterable[Row], *names: str) -> dict[str, pd.DataFrame] | None:
        """Score tables of these clips by source; None where a part is not there."""
        import pandas as pd

        clips, tables_of_kinds = list(rows), dict[str, pd.DataFrame]()
        for name in names:
            parts = [self._part(path) for row in clips for path in self._paths(name, row)]
            if not all(parts):
                return None
            tables_of_kinds[name] = pd.DataFrame(rows_document(row for part in parts for row in part or ()))
        return tables_of_kinds

    def words(self) -> str:
        """ "overall 0.52 [0.45, 0.59] on 120 clips", at most every half minute anew; "" where there is none yet."""
        if time.monotonic() - self._counted >= 30.0:  # s from one estimate to the next
            self._words = self._now()
            self._counted = time.monotonic()
        return self._words

    def _now(self) -> str:
        names = (*MODELS, *(name for name in REFERENCE_MODELS if name not in MODELS))
        rows = [row for row in self.run.rows if all(self._part(p) for name in names for p in self._paths(name, row))]
        if {row.task for row in rows} != set(self.run.suite.tasks):
            return ""
        tables, manifest = self.tables(rows, *names), self.run.manifest
        if tables is None:
            return ""
        inapplicable = inapplicable_axes(manifest.card)
        reading = overall(
            estimate(pooled(tables), resamples=1000, fixed=fixed_kinds(manifest), inapplicable=inapplicable), 0, ""
        )
        return (
            f"overall {fixed(reading.skill)} {bracket(reading.interval)}".rstrip() + f" on {counted(len(rows), 'clip')}"
        )

    def _paths(self, name: str, row: Row) -> list[Path]:
        if name != MODELS[0]:
            return [self.run.folder.reference(name).part(row.id)]
        return [self.run.folder.part(row.id, item.sample) for item in self.run.samples_of(row)]

    def _part(self, path: Path) -> list[ScoreRow] | None:
        if path not in self._parts:
            part = read_part(path) if path.is_file() else None
            if part is None:
                return None
            events = scorer_of("event-balance").id
            self._parts[path] = [row for row in part if row.axis or row.reading.partition(".")[0] == events]
        return self._parts[path]


@dataclass(frozen=True)
class Leg:
    """A part of a run's batches."""

    batches: tuple[int, ...]  # those of it that are missing, in turn
    rows: tuple[Row, ...] = ()  # clips that are done after it, at a look; () for no look
    analysis: int = 0  # number of the interim analysis, from 1
    analyses: int = 0  # how many there are
    miss: float = 0.0  # how often the interval of this look may miss


def legs(run: Run, batches: Sequence[Batch]) -> list[Leg]:
    """The batches that are missing, in turn, up to each look. After the whole suite there is nothing to stop."""
    missing = set(run.missing())
    order = in_turn(batches, run.own_batches())
    left = [index for index in order if index in missing]
    if run.options.until is None:
        return [Leg(tuple(left))]
    from physbench.result.stop_rule import interim_points, misses  # with scipy: runs without looks do not wait for it

    done = done_after(batches, order)
    points = interim_points([_splits(rows) for rows in done], _splits(run.suite.rows))
    chances = misses([len(done[point - 1]) / len(run.suite.rows) for point in points])
    legs_of_parts, begin = list[Leg](), 0
    for number, (point, miss) in enumerate(zip(points, chances, strict=True), 1):
        if point < len(order):
            part = tuple(index for index in order[begin:point] if index in missing)
            legs_of_parts.append(Leg(part, tuple(done[point - 1]), number, len(points), miss))
            begin = point
    return [*legs_of_parts, Leg(tuple(index for index in order[begin:] if index in missing))]


def _splits(rows: Iterable[Row]) -> Counter[tuple[str, str]]:
    """Number of clips of each task and split."""
    return Counter((row.task, str(row.split)) for row in rows)


def stops_at(run: Run, running: RunningSkill, leg: Leg) -> bool:
    """Look at a run after a leg: whether it ends with it, which is then written down.

    Where a rollout of it has to be made again, too, so that the same look can be taken once that is done.
    """
    from physbench.result.stop_rule import interim_reading

    until = run.options.until
    assert until is not None
    tables = running.tables(leg.rows, "model", *SCALE)
    references = running.tables(run.suite.rows, *SCALE)
    if tables is None or references is None:
        return True
    inapplicable = inapplicable_axes(run.manifest.card)
    reading = interim_reading(tables, references, leg.miss, fixed=fixed_kinds(run.manifest), inapplicable=inapplicable)
    level = 1 - leg.miss
    shown = (
        f"overall {fixed(reading.skill)} {bracket(reading.interval)}".rstrip()
        if reading.skill is not None
        else "no overall"
    )
    why = f" ({reading.reason})" if reading.reason else f", half its width {reading.half_width:.3f}"
    run.say(
        f"Interim analysis {leg.analysis} of {leg.analyses}, {counted(len(leg.rows), 'clip')}: "
        f"{shown} at {100 * level:.4g} %{why}."
    )
    if reading.half_width > until:
        return False
    run.stop(
        "until",
        f"{until:g}",
        leg.rows,
        looks=leg.analysis,
        of_looks=leg.analyses,
        level=round(level, 6),
        skill=reading.skill,
        interval=reading.interval,
    )
    run.say(f"That is at most {until:g}: {run.ended()}")
    return True


# How far a run is, and how long it will take.


class Outlook:
    """Rollouts and scores, which are made at the same time.

    Args:
        run: Is told.
        progress: The bar of all that is done.
        jobs: Of the workers.
        rollouts: How many this session has to score, or to make where none is scored.
        rolls, scores: Whether rollouts are made, and scored.
        clips: How many there are to make.
        noticed: Is set while workers compile; None: there are no workers.
    """

    def __init__(
        self,
        run: Run,
        progress: Progress,
        jobs: Jobs,
        rollouts: int,
        *,
        rolls: bool,
        scores: bool,
        clips: int = 0,
        noticed: Settable | None = None,
    ) -> None:
        self.run, self.progress, self.jobs, self.rollouts = run, progress, jobs, rollouts
        self.rolls, self.scores, self.clips, self.noticed = rolls, scores, clips, noticed
        self.skill = RunningSkill(run)
        self.rolled = 0  # rollouts made
        self.rolling = None if rolls else 0.0  # s that the batches still take; None: not known yet
        self._begun = time.monotonic()
        self._reported = False

    def seconds_left(self) -> float | None:
        """None where it is not known yet."""
        left = self.jobs.seconds_left()
        return None if left is None or self.rolling is None else max(left, self.rolling)

    def estimate(self) -> None:
        """Say once how long it will take, as soon as enough jobs of each kind were measured."""
        if self.scores and self.progress.is_shown:
            self.progress.advance(0, self.skill.words())
        left = None if self._reported else self.seconds_left()
        if left is not None:
            self._reported = True
            if left > 2.0:  # s
                what = " and ".join(["rollouts"] * self.rolls + ["scores"] * self.scores)
                self.run.say(f"{what.capitalize()}: about {duration(left)} left.")

    def status(self) -> str:
        """Progress for a log: "12 of 56 rollouts scored, 0.4 a second, about 2 min left"."""
        passed, left = time.monotonic() - self._begun, self.seconds_left()
        done = self.jobs.done("score") if self.scores else self.rolled
        parts = [f"{done} of {counted(self.rollouts, 'rollout')} {'scored' if self.scores else 'made'}"]
        if done:
            rate = done / passed
            parts.append(f"{rate:.1f} a second" if rate >= 0.95 else f"{rate * 60:.1f} a minute")
        elif self.clips and (clips := self.jobs.done("clip")) < self.clips:
            parts.append(f"{clips} of {counted(self.clips, 'clip')} made")
        elif self.scores and (known := self.jobs.done("references")):
            parts.append(f"ground truth and baselines scored on {counted(known, 'clip')}")
        unknown = "time left not known yet"
        if self.noticed is not None and self.noticed.is_set():
            unknown = f"compiling (once on this machine), {unknown}"
        parts.append(unknown if left is None else f"about {duration(left)} left")
        return f"After {duration(passed)}: {', '.join(parts)}."
