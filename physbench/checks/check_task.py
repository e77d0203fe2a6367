"""All checks of one task, in the order in which they depend on each other, and of many tasks in processes."""

from __future__ import annotations

import inspect
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.checks.declaration import check_declaration, check_scene
from physbench.checks.finding import AxisReading, Finding, Report, failed
from physbench.checks.splits import check_splits
from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_scene
from physbench.clips.task import NothingAccepted, Task, find_task
from physbench.errors import PhysbenchError
from physbench.plugins.tracebacks import describe_error_in_file
from physbench.progress import Progress
from physbench.world.scene import PLAIN, RenderSpec

if TYPE_CHECKING:
    from physbench.checks.task_readings import Measured

SPEC = RenderSpec(64, 64, 15.0)
CHECK_CONTEXT = 8  # frames
CHECK_SEED = 900  # apart from those of any suite
TEST_CLIPS = 6  # of test; a third as many of ood, and one of train
STAGES = 4  # of progress: declaration, other process, protocol, result
LOOK_SIDE = 128  # px of pictures in another look


@dataclass
class _Work:
    """A task and the findings so far."""

    task: Task
    file: Path
    look: str = PLAIN  # another one is checked besides
    findings: list[Finding] = field(default_factory=list)
    axes: dict[str, AxisReading] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        return any(finding.state == "failed" for finding in self.findings)

    def add(self, found: Iterable[Finding]) -> None:
        self.findings += found

    def add_once(self, found: Iterable[Finding]) -> None:
        """Add one finding per check, of many clips: the first failure, or else the one with the largest value."""
        best: dict[str, Finding] = {}
        for finding in found:
            old = best.get(finding.check)
            better = finding.size > old.size if old and old.state == finding.state else finding.state == "failed"
            if old is None or better:
                best[finding.check] = finding
        self.findings += best.values()


def check_task(name: str, clips: int = TEST_CLIPS, pictures: Path | None = None, look: str = PLAIN) -> Report:
    """Check a task by id, short name or FILE.py:Class. `clips` of test are measured, and a third as many of ood.

    In a look other than the plain one a clip of test and one of ood are drawn and tracked besides. PNGs of what failed
    are written into the folder `pictures`. Raises UsageError where there is no such task, or the look cannot be drawn;
    whatever the task itself does wrong is in the report.
    """
    task = find_task(name)
    source = inspect.getsourcefile(type(task)) or "?"
    work = _Work(task, Path(source), look)
    rows = rows_of(task.id, clips)
    with Progress(f"checking {task.id}", len(rows) + STAGES + 2) as progress:
        _stages(work, rows, progress.advance)
    findings = tuple(_drawn(finding, pictures) for finding in work.findings)
    return Report(task.id, source, Counter(row.split for row in rows), findings, work.axes, work.seconds)


def rows_of(task_id: str, clips: int) -> tuple[Row, ...]:
    """The clips that are checked: of test, of ood, one of train."""
    counts: tuple[tuple[Split, int], ...] = (("test", clips), ("ood", max(1, clips // 3)), ("train", 1))
    return tuple(Row(task_id, split, CHECK_SEED + k) for split, count in counts for k in range(count))


def _stages(work: _Work, rows: Sequence[Row], advance: Callable[[], None]) -> None:
    task, static = work.task, bool(getattr(work.task, "static_history", False))
    if not _guarded(work, "declaration", lambda: check_declaration(task)) or work.refused:
        return
    if not _guarded(work, "splits", lambda: check_splits(task)):
        return
    if not _guarded(work, "scene", lambda: (f for row in rows for f in check_scene(make_scene(row))), once=True):
        return
    advance()
    if any(finding.check == "scene" for finding in work.findings if finding.state == "failed"):
        return
    from physbench.checks.repeatability import FreshProcess

    repeated = {"test": rows[0], "ood": next(row for row in rows if row.split == "ood")}
    fresh_process = FreshProcess(tuple(repeated.values()), SPEC)
    try:
        made: dict[Row, Clip] = {}
        started = time.process_time()
        for row in rows:
            try:
                made[row] = make_clip(row, SPEC)
            except Exception as error:
                work.add([failed("simulation", f"{row.id}: {_words(error, work.file)}", "Mend the scene.")])
                return
            advance()
        work.seconds["clip"] = (time.process_time() - started) / len(rows)
        work.add(fresh_process.findings([made[row] for row in repeated.values()]))
        advance()
    finally:
        fresh_process.close()
    if not work.refused:
        _check_states(work, list(made.values()), static)
    advance()
    if not work.refused:
        _check_readings(work, [clip for clip in made.values() if clip.row.split != "train"], static)
    if not work.refused and work.look != PLAIN:
        _check_look(work, list(repeated.values()))
    advance()


def _check_states(work: _Work, clips: Sequence[Clip], static: bool) -> None:
    """Checks of states and frames, without tracking or scoring."""
    from physbench.checks.clip_protocol import check_event, check_history, check_view, events
    from physbench.checks.finding import fine
    from physbench.checks.hidden_bodies import check_hidden
    from physbench.checks.physics import check_energy, check_overlap, check_sane
    from physbench.checks.visible import check_seen

    for check in (check_overlap, check_sane, check_energy):  # one follows from the other
        work.add_once(f for clip in clips for f in check(clip))
        if work.refused:
            return
    before = len(work.findings)
    work.add_once(f for clip in clips for f in (*check_history(clip, static), *check_view(clip)))
    work.add_once(f for clip in clips for f in check_event(clip, static))
    if len(work.findings) == before:
        seen = sorted({kind for clip in clips for kind in events(clip)})
        work.add([fine("protocol", f"history, view and deciding event are in order ({', '.join(seen) or 'at rest'})")])
    work.add_once(f for clip in clips for f in check_seen(clip))
    work.add_once(f for clip in clips for f in check_hidden(clip, PLAIN))


def _check_look(work: _Work, rows: Sequence[Row]) -> None:
    """Checks of pictures in another look: hidden bodies are not betrayed, and the others are found."""
    from physbench.checks.hidden_bodies import check_hidden
    from physbench.checks.task_readings import check_tracks

    clips = [make_clip(row, RenderSpec(LOOK_SIDE, LOOK_SIDE, SPEC.fps, work.look)) for row in rows]
    hidden = [finding for clip in clips for finding in check_hidden(clip, work.look)]
    tracked = check_tracks(_measured(clips))
    work.add_once(replace(each, check=f"{each.check}, {work.look}") for each in (*hidden, *tracked))


def _check_readings(work: _Work, clips: Sequence[Clip], static: bool) -> None:
    """Checks that track and score, and that simulate with a smaller step."""
    from physbench.checks import task_readings as m
    from physbench.checks.forward_model_fit import check_shadowing
    from physbench.checks.physics import check_step

    measured = _measured(clips)
    work.add_once(f for one in (measured[0], measured[-1]) for f in check_step(one.clip, one.known_for))
    work.add_once(m.check_tracks(measured))
    work.add(m.check_known(measured))
    work.add(check_shadowing(clips, CHECK_CONTEXT))
    work.axes = m.axis_readings(measured)
    work.add(m.check_axes(measured, work.axes))
    work.seconds["score"] = sum(one.seconds for one in measured) / len(measured)
    work.add(m.check_cost(work.seconds))


def _measured(clips: Sequence[Clip]) -> list[Measured]:
    """Ground truth and baselines on clips of one size, tracked and read by the headline scorers."""
    from physbench.adapters.model_protocol import ModelCard
    from physbench.checks.task_readings import measure
    from physbench.scoring.score_clip import find_scorers

    spec = clips[0].spec
    card = ModelCard("check", (spec.height, spec.width), spec.fps, CHECK_CONTEXT)
    scorers = tuple(each for each in find_scorers() if each.headline)
    return [measure(clip, card, scorers) for clip in clips]


def _guarded(work: _Work, check: str, run: Callable[[], Iterable[Finding]], once: bool = False) -> bool:
    """Run a check of the task's own code; False where that code raises, which becomes a finding."""
    try:
        found = list(run())
    except NothingAccepted as error:
        work.add([failed(check, str(error).removesuffix(f" {error.remedy}"), error.remedy)])
        return False
    except PhysbenchError:
        raise
    except Exception as error:
        if not _from(error, work.file):
            raise
        work.add([failed(check, _words(error, work.file), "Mend that line.")])
        return False
    (work.add_once if once else work.add)(found)
    return True


def _from(error: Exception, file: Path) -> bool:
    """Whether an error went through the task's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).resolve() == file.resolve() for frame in frames)


def _words(error: Exception, file: Path) -> str:
    return str(error) if isinstance(error, PhysbenchError) else describe_error_in_file(error, file)


def _drawn(finding: Finding, pictures: Path | None) -> Finding:
    """Write the picture of a failure and drop the clip that it shows."""
    if finding.shot is None or pictures is None:
        return replace(finding, shot=None)
    from physbench.checks.finding_picture import save

    name = f"{finding.clip or 'task'}-{finding.check.replace(' ', '-')}.png"
    save(finding, pictures / name)
    return replace(finding, shot=None, picture=str(pictures / name))


def check_all(
    names: Sequence[str], clips: int, pictures: Path | None, workers: int, look: str = PLAIN
) -> Iterator[Report]:
    """Check tasks in processes, in order."""
    from physbench.run.worker_jobs import SCORING_PRELOAD
    from physbench.worker_pool import ordered, worker_pool

    with worker_pool(workers, 3 * len(names), SCORING_PRELOAD) as pool:
        yield from ordered(pool, partial(_one, clips, pictures, look), names)


def _one(clips: int, pictures: Path | None, look: str, name: str) -> Report:
    import torch

    torch.set_num_threads(1)
    return check_task(name, clips, pictures, look)
