"""Rollouts of a run: when clips are made, and that it makes no difference who stores a rollout."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from physbench.cli.main import run
from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.rollout.batches import BatchItem
from physbench.rollout.store import Rollout, SharedRollout, has_rollout, load_rollout, share
from physbench.run import pipeline, rollouts
from physbench.run import rollouts as clip_preparation
from physbench.run.jobs import Jobs
from physbench.run.rollouts import (
    CLIPS_BEFORE_REFERENCES,
    WAITING,
    BeingStored,
    ClipPreparation,
    RolloutKeeping,
    encoders,
    patience,
)
from physbench.run.worker import Scored
from physbench.support.errors import PhysbenchError
from physbench.support.processes import WorkerPool
from physbench.support.progress import Progress
from physbench.support.run_folder import RunFolder

ROLLOUTS = [Rollout(f"clip.{n}", 0, np.full((2, 16, 16, 3), n, np.uint8)) for n in range(3)]
FILES = ("rollouts/*.mkv", "parts/*", "tracks/*", "traces/*", "scores.parquet")


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("waiting", "held", "shares", "by_worker"),
    [(8, 10**9, True, True), (9, 10**9, True, False), (9, 32_000_000, True, True), (0, 0, False, False)],
)
def test_workers_store_where_few_jobs_or_few_bytes_wait(
    tmp_path: Path, waiting: int, held: int, shares: bool, by_worker: bool
) -> None:
    folder, jobs = RunFolder(tmp_path), Jobs(Progress("jobs"), 2, {"score": 20})
    for _ in range(waiting):
        jobs.add("score", Future())
    assert (WAITING.jobs * jobs.workers, WAITING.frame_bytes * jobs.workers) == (8, 32_000_000)
    keeping, scoring = RolloutKeeping(folder, 15.0, jobs, shares, None), Future[None]()
    big = SharedRollout(ROLLOUTS[0], (held,), os.getpid(), os.dup(0))
    keeping.scoring(big, scoring)
    for rollout, sent in zip(ROLLOUTS, keeping.kept(ROLLOUTS), strict=True):
        assert (sent is not None) == by_worker
        assert has_rollout(folder, rollout.clip_id, 0) != by_worker
        if sent is not None:
            assert isinstance(sent, SharedRollout) and np.array_equal(sent.load().frames, rollout.frames)
            sent.close()
    scoring.set_result(None)  # the worker has it: its memory is let go, and no longer counts
    assert keeping._shared == 0
    with pytest.raises(OSError):
        os.fstat(big.descriptor)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("many", "workers", "waits"), [(1, 1, True), (2, 2, True), (2, 1, False), (3, 4, True), (4, 4, False)]
)
def test_the_model_waits_where_workers_have_all_of_a_few_cores(
    many: int, workers: int, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "cores", lambda: many)
    assert (patience(workers) > 0) == waits


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("end", ["done", "failed", "patience", "stall"])
def test_a_batch_waits_for_workers_until_one_fails_or_its_patience_ends(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, waiting = Jobs(Progress("jobs"), 1, {"score": 20}), [Future[Any]() for _ in range(WAITING.jobs + 1)]
    for each in waiting:
        jobs.add("score", each)
    monkeypatch.setattr(rollouts, "WAITING", replace(WAITING, stall=0.4 if end == "stall" else 60.0))
    wait = 60.0 if end == "stall" else 0.6
    keeping, scoring = RolloutKeeping(RunFolder(tmp_path), 15.0, jobs, True, None, wait), Future[None]()
    keeping.scoring(SharedRollout(ROLLOUTS[0], (WAITING.frame_bytes + 1,), os.getpid(), os.dup(0)), scoring)
    answers: dict[str, tuple[Any, Any]] = {
        "done": (waiting[0].set_result, Scored(Row("a/b-v1", "test", 0), 0, True, 0.1)),
        "failed": (waiting[0].set_exception, PhysbenchError("the disk is full")),
    }
    if end in answers:
        threading.Timer(0.2, answers[end][0], [answers[end][1]]).start()
    began = time.monotonic()
    kept = list(keeping.kept(ROLLOUTS))
    assert 0.15 < time.monotonic() - began < 30
    for rollout, shared in zip(ROLLOUTS, kept, strict=True):  # nothing of a batch is lost, whatever ended the wait
        assert isinstance(shared, SharedRollout) == (end == "done")
        assert has_rollout(keeping._folder, rollout.clip_id, 0) == (end != "done")
        if isinstance(shared, SharedRollout):
            shared.close()
    scoring.set_result(None)


@pytest.mark.usefixtures("no_report")
def test_encoders_store_what_waits_and_the_job_begins_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "cores", lambda: 4)
    folder, jobs = RunFolder(tmp_path), Jobs(Progress("jobs"), 2, {})
    states = Rollout("clip.9", 0, np.zeros((0, 16, 16, 3), np.uint8), failure="none")
    with encoders(2) as pool:
        sent = list(RolloutKeeping(folder, 15.0, jobs, False, pool).kept([*ROLLOUTS, states]))
        assert [isinstance(each, Future) for each in sent] == [True, True, True, False]
        for rollout, each in zip(ROLLOUTS, sent, strict=False):
            assert isinstance(each, Future)
            each.result()
            stored = load_rollout(folder, rollout.clip_id, 0)
            assert stored is not None and np.array_equal(stored.frames, rollout.frames)
    assert has_rollout(folder, "clip.9", 0)


@pytest.mark.usefixtures("no_report")
def test_who_does_not_see_the_memory_does_not_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "cores", lambda: 4)
    monkeypatch.setattr(rollouts.store, "share", hidden)
    with encoders(2) as pool:
        keeping = RolloutKeeping(RunFolder(tmp_path), 15.0, Jobs(Progress("jobs"), 2, {}), False, pool)
        assert list(keeping.kept(ROLLOUTS)) == [None] * 3
    assert all(has_rollout(RunFolder(tmp_path), rollout.clip_id, 0) for rollout in ROLLOUTS)


def hidden(rollout: Rollout) -> SharedRollout | None:
    """Shared, but as the system may have it, so that no other process can look."""
    found = share(rollout)
    return None if found is None else replace(found, owner=0)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(("many", "workers"), [(3, 2), (4, 1)])
def test_few_cores_or_one_worker_have_no_encoders(many: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "cores", lambda: many)
    with encoders(workers) as pool:
        assert pool is None


@pytest.mark.usefixtures("no_report")
def test_without_room_for_processes_threads_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise PhysbenchError("/dev/shm has no room")

    monkeypatch.setattr(rollouts, "cores", lambda: 4)
    monkeypatch.setattr(rollouts, "WorkerPool", full)
    with encoders(2) as pool:
        assert pool is None


@pytest.mark.usefixtures("no_report")
def test_what_is_stored_goes_on_at_once_and_the_last_batches_are_not_waited_for() -> None:
    storing, slow, quick = BeingStored(), Future[None](), Future[None]()
    items = [BatchItem(Row("falling/stack-v1", "test", seed)) for seed in range(3)]
    quick.set_result(None)
    storing.add([(items[0], quick)], 0)
    assert list(storing.stored(2)) == items[:1]
    storing.add([(items[1], slow)], 0.01)
    storing.add([(items[2], quick)], 0)
    assert list(storing.stored(2)) == [], "in order"
    threading.Timer(0.05, slow.set_result, [None]).start()
    assert list(storing.stored(0)) == items[1:]


@pytest.mark.usefixtures("no_report")
def test_where_a_run_fails_what_was_made_is_stored_first() -> None:
    storing, slow = BeingStored(), Future[None]()
    storing.add([(BatchItem(Row("falling/stack-v1", "test", 0)), slow)], 0)
    threading.Timer(0.05, slow.set_result, [None]).start()
    with pytest.raises(ValueError, match="another"), storing:
        raise ValueError("another")
    assert slow.done()


def evaluated(out: Path, toys: Path) -> dict[str, bytes]:
    """What a small run leaves."""
    what = ("--suite", "smoke", "--tasks", "projectile,head-on", "--workers", "2", "--keep-rollouts", "all")
    model = (f"{toys / 'toy.py'}:factory", "--device", "cpu", "--batch-size", "3")
    assert run(("eval", *model, *what, "--scorers", "drift/accuracy", "--no-diagnosis", "--out", str(out))) == 0
    return {path.name: path.read_bytes() for files in FILES for path in out.glob(files)}


@pytest.mark.usefixtures("no_report")
@pytest.mark.slow
def test_a_run_has_the_same_bytes_whoever_stores_and_where_workers_cannot_look(
    tmp_path: Path, toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[SharedRollout] = []
    known = 0

    def counted(rollout: Rollout) -> SharedRollout | None:
        found = share(rollout)
        if found is not None:
            sent.append(found)
        return found

    def unseen(rollout: Rollout) -> Any:
        found = counted(rollout)
        return None if found is None else replace(found, owner=0)

    found = {}
    ways = (
        ("files", -1, 2, counted),
        ("encoders", -1, 4, counted),
        ("memory", 100, 2, counted),
        ("hidden", 100, 2, unseen),
    )
    for name, ahead, many, shared in ways:
        monkeypatch.setattr(rollouts, "cores", lambda many=many: many)
        monkeypatch.setattr(rollouts, "WAITING", replace(WAITING, jobs=ahead, frame_bytes=ahead, patience=0.0))
        monkeypatch.setattr(rollouts.store, "share", shared)
        found[name] = evaluated(tmp_path / name, toys)
        assert (len(sent) > known) == (name != "files"), name
        assert ("cannot be read and are made again" in capsys.readouterr().err) == (name == "hidden")
        known = len(sent)
    assert any(name.endswith(".mkv") for name in found["files"])
    assert (
        found["encoders"] == found["files"] and found["memory"] == found["files"] and found["hidden"] == found["files"]
    )


ROWS = tuple(Row("falling/incline-v1", "test", seed) for seed in range(20))


class Recorded:
    """A pool that begins nothing."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Row]] = []

    def submit(self, function: Callable[..., Any], folder: Path, row: Row, *_: Any) -> Future[Any]:
        self.jobs.append((function.__name__, row))
        return Future()


def preparation(
    folder: Path, absent: set[Row], references: bool = True, ahead: int = 5, workers: int = 1
) -> tuple[ClipPreparation, Recorded]:
    pool, fixed = Recorded(), SimpleNamespace
    card, options = fixed(spec=None), fixed(scorers=None)
    one = fixed(workers=workers, card=card, options=options, folder=fixed(path=folder), salt="")
    jobs = Jobs(Progress("jobs"), 1, {"clip": len(absent), "references": len(ROWS), "score": 0})
    made = ClipPreparation(cast(Any, one), cast(WorkerPool, pool), jobs, ClipStore(folder), absent, references)
    made.expect(ROWS, ahead)
    return made, pool


def test_so_many_are_on_their_way_as_are_asked_for(tmp_path: Path) -> None:
    clips, pool = preparation(tmp_path, set(ROWS))
    clips.up_to(ROWS[0])
    clips.up_to(ROWS[0])
    clips.up_to(Row("falling/incline-v1", "test", 99))
    assert [row.seed for name, row in pool.jobs if name == "make"] == [0, 1, 2, 3, 4, 5]
    assert [row.seed for name, row in pool.jobs if name == "references"] == [0, 1]
    clips.rest()
    assert len(pool.jobs) == len(set(pool.jobs)) == 2 * len(ROWS)


def test_clips_come_before_their_references(tmp_path: Path) -> None:
    clips, pool = preparation(tmp_path, set(ROWS))
    clips.make([ROWS[7]])  # the longest, for the probe
    clips.rest()
    for row in ROWS[:-CLIPS_BEFORE_REFERENCES]:
        between = pool.jobs[pool.jobs.index(("make", row)) + 1 : pool.jobs.index(("references", row))]
        assert sum(name == "make" for name, _ in between) >= CLIPS_BEFORE_REFERENCES - 1  # one was made before
    assert [row for name, row in pool.jobs if name == "references"] == list(ROWS)


def test_what_is_stored_is_not_made_and_rollouts_alone_need_no_references(tmp_path: Path) -> None:
    clips, pool = preparation(tmp_path, {ROWS[3]}, references=False)
    clips.rest()
    assert pool.jobs == [("make", ROWS[3])]


@pytest.mark.parametrize("workers", (1, 64))
@pytest.mark.parametrize("absent", (set[Row](), set(ROWS)))
def test_references_come_as_soon_as_a_clip_is_asked_for(tmp_path: Path, absent: set[Row], workers: int) -> None:
    clips, pool = preparation(tmp_path, absent, workers=workers)
    for place in range(3):
        clips.up_to(ROWS[place])
        begun = [row for name, row in pool.jobs if name == "references"]
        assert set(begun) >= set(ROWS[: place + 1]), "else nothing is known of what is scored"
        if not absent:
            assert begun == list(ROWS[: place + 6]), "they wait for no clip"


def test_rollouts_alone_can_be_given_up(tmp_path: Path) -> None:
    clips, _ = preparation(tmp_path, set(ROWS), references=False)
    clips.jobs = Jobs(Progress("jobs"), 1, {"clip": len(ROWS)})
    clips.up_to(ROWS[0])
    clips.give_up_all_but({ROWS[0]})
    assert [row for row, future in clips.futures.items() if not future.cancelled()] == [ROWS[0]]


def test_what_is_given_up_is_not_expected(tmp_path: Path) -> None:
    clips, pool = preparation(tmp_path, set(ROWS), ahead=0)
    clips.up_to(ROWS[9])
    running = clips.futures[ROWS[2]]
    running.set_running_or_notify_cancel()
    clips.give_up_all_but({ROWS[0], ROWS[15]})
    assert {row for row, future in clips.futures.items() if not future.cancelled()} == {ROWS[0], ROWS[2], ROWS[15]}
    assert {row for row, future in clips.brought.items() if not future.cancelled()} == {ROWS[0], ROWS[15]}
    assert clips.jobs._left == {"clip": 3, "references": 2, "score": 0}
    assert ("references", ROWS[15]) in pool.jobs


@pytest.mark.slow
def test_scores_do_not_wait_for_all_clips(
    stage_words: Callable[..., tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing prepared in advance a batch is scored before the last one is prepared."""
    names, submit = list[str](), WorkerPool.submit

    def recorded(pool: WorkerPool, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        names.append(function.__name__)
        return submit(pool, function, *args, **kwargs)

    monkeypatch.setattr(WorkerPool, "submit", recorded)
    monkeypatch.setattr(pipeline, "BATCHES_AHEAD", 0)
    monkeypatch.setattr(pipeline, "CLIPS_AHEAD", 0)
    monkeypatch.setattr(clip_preparation, "CLIPS_BEFORE_REFERENCES", 0)
    words = list(stage_words("eval", tmp_path / "run"))
    words[words.index("--batch-size") + 1] = "1"
    assert run(tuple(words)) == 0
    jobs = [name for name in names if name in ("references", "score")]
    assert jobs.count("references") == 4 and jobs.count("score") == 8
    assert jobs.index("score") < len(jobs) - 1 - jobs[::-1].index("references")
