"""Clips, rollouts and scores at the same time, with a run and a store in memory and workers that fail, die or are slow.

What a worker does is a name here and its results are given by hand, so that every order of events can be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any, cast

import pytest

from physbench.clips.clip import Row
from physbench.rollout.batches import Batch, BatchItem
from physbench.run import pipeline, worker
from physbench.run.jobs import Jobs
from physbench.run.pipeline import Pipeline
from physbench.run.progress import Outlook
from physbench.run.rollouts import ClipPreparation, ShownClips
from physbench.support.errors import PhysbenchError
from physbench.support.progress import Progress

ROWS = tuple(Row(task, "test", seed) for seed in range(3) for task in ("falling/projectile-v1", "orbits/kepler-v1"))
ITEMS = tuple(BatchItem(row) for row in ROWS)


class MemoryRun:
    """What the pipeline asks of a run: which rollouts and scores there are, in two sets."""

    suite = SimpleNamespace(rows=ROWS, name="six")
    card = SimpleNamespace(spec=None, fps=15.0)
    salt, shard, planned, workers, stages = "", None, True, 2, ("rollout", "score")
    items, rows = ITEMS, ROWS

    def __init__(self, batch: int = 2) -> None:
        self.rollouts: set[BatchItem] = set()
        self.scores: set[BatchItem] = set()
        self.said: list[str] = []
        self.stopped: tuple[Any, ...] = ()
        self.budget_spent = False
        self.options = SimpleNamespace(until=None, budget=None, scorers=None)
        self.folder = SimpleNamespace(path="memory")
        self._batch = batch

    def batches(self) -> list[Batch]:
        return [Batch(ITEMS[k : k + self._batch], 4) for k in range(0, len(ITEMS), self._batch)]

    def own_batches(self) -> range:
        return range(len(self.batches()))

    def scored(self, item: BatchItem) -> bool:
        return item in self.scores

    def rolled(self, item: BatchItem) -> bool:
        return item in self.rollouts

    def has(self, item: BatchItem) -> bool:
        return item in self.scores | self.rollouts

    def missing(self) -> list[int]:
        return [k for k, batch in enumerate(self.batches()) if not all(map(self.has, batch.items))]

    def samples_of(self, row: Row) -> tuple[BatchItem, ...]:
        return (BatchItem(row),)

    def say(self, line: str) -> None:
        self.said.append(line)

    def stop(self, *what: Any) -> None:
        self.stopped = what

    def ended(self) -> str:
        return "ended"

    def further(self) -> str:
        return "Give it more."

    def refuse_deleted(self) -> None:
        pass


class Workers:
    """A pool that does a job when it is told to. `fate`: an error, True: done at once, False: not yet."""

    shares_memory = False

    def __init__(self, run: MemoryRun) -> None:
        self.run = run
        self.fate: Callable[[str, Row], BaseException | bool] = lambda name, row: True
        self.begun: list[tuple[str, Row]] = []
        self.slow: list[tuple[str, Row, Future[Any]]] = []

    def submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        name, future = function.__name__, Future[Any]()
        row = next((each for each in given if isinstance(each, Row)), ROWS[0])
        self.begun.append((name, row))
        fate = self.fate(name, row)
        if isinstance(fate, BaseException):
            future.set_exception(fate)
        elif fate:
            self.finish(name, row, future)
        else:
            self.slow.append((name, row, future))
        return future

    def finish(self, name: str, row: Row, future: Future[Any]) -> None:
        if name == "score":
            self.run.scores.add(BatchItem(row))
            future.set_result(worker.Scored(row, 0, readable=True, seconds=1.0))
        elif name == "references":
            future.set_result(worker.Referenced(row, "state", 1.0))
        else:
            future.set_result(worker.Finished(row, 1.0))

    def catch_up(self) -> None:
        slow, self.slow = self.slow, []
        for each in slow:
            self.finish(*each)


class Model:
    """Rolls out batch by batch; a rollout is its item. `ready` is called with a batch, `between` after it."""

    devices, notes = 1, ()

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ready: Callable[[], None] = lambda: None
        self.between: Callable[[], None] = lambda: None
        self.closed = False

    def run(self, batches: Sequence[Batch], clip: Callable[[Row], Any], *, only: Sequence[int]) -> Iterator[Any]:
        for index in only:
            self.asked.append(index)
            for row in batches[index].rows:
                clip(row)
            self.ready()
            yield SimpleNamespace(batch=batches[index], rollouts=batches[index].items, seconds=0.0)
            self.between()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryRun:
    """A run whose rollouts go into a set, and whose manifest learns nothing."""
    run = MemoryRun()

    class Keeping:
        def __init__(self, *_: Any) -> None: ...
        def kept(self, rollouts: Sequence[BatchItem]) -> Iterator[None]:
            for item in rollouts:
                run.rollouts.add(item)
                yield None

    monkeypatch.setattr(pipeline.rollouts, "RolloutKeeping", Keeping)
    monkeypatch.setattr(
        pipeline.rollouts, "RolloutNotes", lambda *_: SimpleNamespace(write_down=lambda *_: 0, note_down=int)
    )
    monkeypatch.setattr(pipeline, "prepare_finish", lambda _: None)
    return run


def session(run: MemoryRun, workers: Workers, model: Model | None) -> list[Any]:
    """One session of a run in memory. Returns what its jobs returned."""
    todo = {item for item in ITEMS if not run.scored(item)}
    with Progress("test", lines=False) as progress:
        jobs = Jobs(progress, 2, {"clip": 0, "references": len(ROWS), "score": len(todo)})
        outlook = Outlook(cast(Any, run), progress, jobs, len(todo), rolls=model is not None, scores=True)
        clips = ClipPreparation(cast(Any, run), cast(Any, workers), jobs, None, set(), references=True)
        shown = ShownClips(lambda row: cast(Any, SimpleNamespace(state_hash=row.id)), clips)
        each = cast(Any, run), cast(Any, workers), cast(Any, model)
        results = Pipeline(*each, jobs, outlook, shown, todo, shares=True, scores=True).work(clips)
        assert shown.states == {
            row: row.id for index in (model.asked if model else ()) for row in run.batches()[index].rows
        }
        return results


def of(workers: Workers, name: str) -> list[Row]:
    return [row for kind, row in workers.begun if kind == name]


def test_everything_is_done_once(memory: MemoryRun) -> None:
    workers, model = Workers(memory), Model()
    results = session(memory, workers, model)
    assert memory.scores == memory.rollouts == set(ITEMS) and model.closed
    assert sorted(of(workers, "score")) == sorted(of(workers, "references")) == sorted(ROWS)
    assert len(results) == 2 * len(ROWS)
    assert sorted(model.asked) == [0, 1, 2]


@pytest.mark.parametrize("scored", [0, 1, 3, 6])
@pytest.mark.parametrize("rolled", [0, 2, 5, 6])
def test_a_session_does_what_is_missing_and_nothing_else(memory: MemoryRun, scored: int, rolled: int) -> None:
    memory.scores |= set(ITEMS[:scored])
    memory.rollouts |= set(ITEMS[:rolled])
    missing = memory.missing()
    workers, model = Workers(memory), Model()
    session(memory, workers, model if missing else None)
    assert sorted(model.asked) == missing, "a batch is rolled out as a whole, or not at all"
    assert sorted(of(workers, "score")) == sorted(ROWS[scored:])
    assert memory.scores == set(ITEMS)


def test_scores_that_are_slow_do_not_hold_up_the_model(memory: MemoryRun) -> None:
    workers, model = Workers(memory), Model()
    workers.fate = lambda name, row: name != "score"
    waiting: list[int] = []

    def between() -> None:
        waiting.append(len(workers.slow))
        if len(model.asked) == 3:
            workers.catch_up()

    model.between = between
    session(memory, workers, model)
    assert waiting == [2, 4, 6] and memory.scores == set(ITEMS)


@pytest.mark.parametrize(
    ("error", "kind"), [(PhysbenchError("The disk is full."), PhysbenchError), (BrokenProcessPool(), BrokenProcessPool)]
)
@pytest.mark.parametrize("name", ["score", "references"])
def test_what_a_worker_raises_ends_the_run_and_the_next_session_goes_on(
    memory: MemoryRun, name: str, error: Exception, kind: type[Exception]
) -> None:
    """A worker that fails, or dies, ends the run at the next batch: what is scored by then is not done again."""
    workers, model = Workers(memory), Model()
    bad = memory.batches()[1].rows[0]
    workers.fate = lambda job, row: error if (job, row) == (name, bad) else True
    with pytest.raises(kind):
        session(memory, workers, model)
    kept = set(memory.scores)
    assert kept < set(ITEMS)
    again, more = Workers(memory), Model()
    session(memory, again, more if memory.missing() else None)
    assert memory.scores == set(ITEMS)
    assert set(of(again, "score")) == {item.row for item in set(ITEMS) - kept}
    assert not set(more.asked) & {k for k, batch in enumerate(memory.batches()) if set(batch.items) <= kept}


def test_a_model_that_fails_leaves_what_it_made(memory: MemoryRun) -> None:
    workers, model = Workers(memory), Model()

    def fail() -> None:
        raise PhysbenchError("The model's process was killed.")

    model.between = fail
    with pytest.raises(PhysbenchError, match="was killed"):
        session(memory, workers, model)
    assert len(memory.rollouts) == len(memory.scores) == 2
    again = Model()
    session(memory, Workers(memory), again)
    assert memory.scores == set(ITEMS) and len(again.asked) == 2


def test_a_budget_that_is_spent_ends_with_whole_clips(memory: MemoryRun) -> None:
    workers, model = Workers(memory), Model()
    memory.options.budget = "1m"

    def spend() -> None:
        memory.budget_spent = True

    model.ready = spend
    session(memory, workers, model)
    done = memory.batches()[model.asked[0]].rows
    assert model.asked == model.asked[:1] and memory.scores == {BatchItem(row) for row in done}
    assert memory.stopped == ("budget", "1m", [row for row in ROWS if row in done])
    assert memory.said[-1] == "The time of --budget 1m is spent: ended"


def test_a_budget_that_is_spent_at_once_says_so(memory: MemoryRun) -> None:
    memory.options.budget, memory.budget_spent = "1s", True
    with pytest.raises(PhysbenchError, match=r"before a clip was rolled out\. Give it more"):
        session(memory, Workers(memory), Model())
