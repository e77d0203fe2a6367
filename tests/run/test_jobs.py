"""Jobs: their order, their estimate, their errors, their processes, and clips that are read ahead."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_manifests import made_manifest

from physbench.cli.main import run
from physbench.clips.clip import Row
from physbench.clips.suite import find_suite
from physbench.rollout.batches import BatchItem, plan_batches
from physbench.rollout.store import Rollout
from physbench.run import rollouts as rollout_keeping
from physbench.run.interruption import Interrupted, PeakMemory, explained, interruptible, memory_of, processes_of
from physbench.run.jobs import ClipsReadAhead, Jobs, done_after, first_of_each_task, in_turn, rows_in_turn, splits_mixed
from physbench.run.options import Options
from physbench.run.state import LOCK, Run
from physbench.support import processes
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import read_sealed_json
from physbench.support.processes import WorkerDiedError, WorkerPool
from physbench.support.progress import Progress, duration
from physbench.support.run_folder import RunFolder


def done(seconds: float, first: bool = False) -> Future[SimpleNamespace]:
    future: Future[SimpleNamespace] = Future()
    future.set_result(SimpleNamespace(seconds=seconds, first=first))
    return future


def test_the_estimate_waits_until_each_kind_that_is_left_was_measured() -> None:
    jobs = Jobs(Progress("jobs"), workers=2, expected={"clip": 3, "references": 6, "score": 4})
    for _ in range(3):
        jobs.add("clip", done(3.0))
        jobs.add("references", done(8.0))
    assert jobs.seconds_left() is None, "no score is measured"
    for _ in range(3):
        jobs.add("score", done(2.0))
    assert jobs.seconds_left() == pytest.approx((3 * 8 + 1 * 2) / 2)
    assert jobs.done("references") == 3
    for _ in range(3):
        jobs.add("references", done(8.0))
    jobs.add("score", done(2.0))
    assert jobs.seconds_left() == pytest.approx(0)
    assert len(jobs.results(lambda: None)) == 13


def test_what_a_worker_does_first_says_nothing_of_the_rest() -> None:
    jobs = Jobs(Progress("jobs"), workers=2, expected={"score": 110})
    for seconds in (30.0, 25.0):
        jobs.add("score", done(seconds, first=True))
    assert jobs.seconds_left() is None
    for _ in range(8):
        jobs.add("score", done(0.5))
    assert jobs.seconds_left() == pytest.approx(100 * 0.5 / 2)


def test_the_first_error_is_raised() -> None:
    jobs = Jobs(Progress("jobs"), workers=1, expected={"score": 2})
    failed: Future[SimpleNamespace] = Future()
    failed.set_exception(ValueError("odd"))
    jobs.add("score", done(1.0))
    jobs.add("score", failed)
    with pytest.raises(ValueError, match="odd"):
        jobs.raise_failure()
    with pytest.raises(ValueError, match="odd"):
        jobs.results(lambda: None)


def test_durations_are_said_as_exactly_as_they_are_known() -> None:
    assert [duration(s) for s in (0.2, 40.4, 200, 7300)] == ["1 s", "40 s", "3 min", "2.0 h"]


def test_workers_end_with_the_run() -> None:
    with WorkerPool(2) as pool:
        pids = {pool.submit(os.getpid).result() for _ in range(4)}
        workers = [each for each in processes_of(os.getpid()) if each.pid in pids]
        assert {each.pid for each in workers} == pids and memory_of(workers) > 1e6
    assert not pids & {each.pid for each in processes_of(os.getpid())}


@pytest.mark.parametrize(
    ("job", "full", "said", "again"),
    [
        ((os._exit, 3), 0, "exited with code 3.", "--workers 2 --resume"),
        ((os._exit, 0), 0, "exited with code 0.", "--workers 2 --resume"),
        ((signal.raise_signal, signal.SIGSEGV), 0, "was killed by SIGSEGV.", "--workers 2 --resume"),
        (
            (signal.raise_signal, signal.SIGKILL),
            0,
            "was killed by SIGKILL (not for want of memory).",
            "--workers 2 --resume",
        ),
        (
            (signal.raise_signal, signal.SIGKILL),
            1,
            "was killed by SIGKILL (was memory full?). Retry with --workers 1.",
            "--resume --workers 1",
        ),
    ],
)
def test_a_worker_that_died_is_explained(
    job: tuple[Any, ...], full: int, said: str, again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([0, full])  # of processes ended for want of memory: when the pool begins, and when it ends
    monkeypatch.setattr(processes, "out_of_memory_kills", lambda: next(counts))
    with (
        pytest.raises(PhysbenchError) as caught,
        explained("physbench eval x --workers 2 --resume", lambda: "kept", Path("x")),
        WorkerPool(2) as pool,
    ):
        other = pool.submit(time.sleep, 60)
        pool.submit(*job).result()
    assert other.done()
    assert isinstance(caught.value.__cause__, WorkerDiedError)
    assert str(caught.value) == f"A worker process {said} kept. Go on with:\n  physbench eval x {again}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_become_an_interruption_that_says_how_to_go_on(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="2 of 3 kept") as caught, interruptible():  # noqa: SIM117
        with explained("physbench eval x --resume", lambda: "2 of 3 kept", Path("x")):
            signal.raise_signal(number)
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) == before


IMPATIENT = """
import os, signal, time
from physbench.run.interruption import interruptible
from physbench.support.processes import WorkerPool

with interruptible(), WorkerPool(2, patient=True) as pool:
    for job in [pool.submit(time.sleep, 0.2), pool.submit(time.sleep, 0.2)]:
        job.result()
    pool.submit(time.sleep, 60)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("physbench eval m --note 'a --workers 5'", "physbench eval m --note 'a --workers 5' --workers 1"),
        ("physbench score m && physbench finish m", "physbench score m && physbench finish m"),
        ("evaluate(model, fresh=True)", "evaluate(model, fresh=True)"),
    ],
)
def test_one_worker_is_named_in_one_command_of_this_program(command: str, said: str) -> None:
    with pytest.raises(PhysbenchError) as caught, explained(command, lambda: "kept", Path("x")):
        raise WorkerDiedError(-signal.SIGKILL, None)
    assert str(caught.value).endswith(f"\n  {said}")


def test_who_presses_ctrl_c_twice_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == "Interrupted again: ended at once. What was stored is kept, and the run can go on.\n"
    assert not list(tmp_path.iterdir())


SENT_TWICE = """
import signal
from physbench.run.interruption import interruptible

try:
    with interruptible():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    print("once")
"""


def test_a_sigterm_that_comes_on_two_ways_is_one() -> None:
    """`timeout 2h physbench ...` sends it to the command, and at once to the group."""
    done = subprocess.run([sys.executable, "-c", SENT_TWICE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")


def test_peak_memory_is_seen() -> None:
    with PeakMemory() as peak:
        pass
    assert peak.bytes > 1e6


def test_files_that_were_deleted_during_a_run_are_told(tmp_path: Path) -> None:
    inside = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "rollouts" / "a.mkv"))
    words = r"were deleted while it was at work.*kept\. Go on with:\n  again"
    with pytest.raises(PhysbenchError, match=words), explained("again", lambda: "kept", tmp_path):
        raise inside
    with pytest.raises(FileNotFoundError), explained("again", lambda: "kept", tmp_path / "other"):
        raise inside


def test_a_folder_that_was_deleted_is_noticed_though_it_is_there_again(tmp_path: Path) -> None:
    """A model deletes it at once; what comes later is stored anew, and nothing would be missing at the end."""
    place = tmp_path / "run"
    place.mkdir()
    (place / LOCK).touch()
    run = Run(RunFolder(place), Options("m.py"), None, made_manifest(), print, 1)  # type: ignore[arg-type]
    run.refuse_deleted()
    shutil.rmtree(place)
    place.mkdir()
    words = "were deleted while it was at work, by its model or by another program"
    with pytest.raises(PhysbenchError, match=words), explained("again", lambda: "nothing is kept", place):
        run.refuse_deleted()


@pytest.mark.parametrize("gone", ["parts", ".lock"])
def test_what_is_gone_at_the_end_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    item = BatchItem(Row("falling/projectile-v1", "test", 0))
    monkeypatch.setattr(Run, "items", (item,))
    folder = RunFolder(tmp_path)
    (tmp_path / LOCK).touch()
    folder.part(item.row.id, 0).parent.mkdir(parents=True)
    folder.part(item.row.id, 0).touch()
    run = Run(folder, Options("m.py"), None, made_manifest(), print, 1)  # type: ignore[arg-type]
    run.refuse_deleted(parts=True)
    shutil.rmtree(tmp_path / gone) if gone == "parts" else (tmp_path / gone).unlink()
    with pytest.raises(PhysbenchError, match="were deleted"), explained("again", lambda: "kept", tmp_path):
        run.refuse_deleted(parts=True)


@pytest.mark.parametrize("size", [1, 4, 8])
def test_every_prefix_of_core_is_balanced(size: int) -> None:
    rows = find_suite("core").rows
    batches = plan_batches(rows, size, horizon=lambda row: 120 if row.task.startswith("orbits") else 60)
    order = in_turn(batches, range(len(batches)))
    assert sorted(order) == list(range(len(batches)))
    tasks, done = {row.task for row in rows}, Counter[str]()
    for index in order:
        done[batches[index].items[0].row.task] += 1
        assert max(done.values()) - min(done[task] for task in tasks) <= 1
    assert in_turn(batches, order[5:9]) == order[5:9], "what is left keeps its order"
    clips = rows_in_turn(batches, reversed(rows))
    assert clips == [item.row for index in order for item in batches[index].items]


def test_clips_outside_the_plan_come_last() -> None:
    rows = find_suite("smoke", 3, "falling/projectile").rows
    (batch,) = plan_batches(rows[1:], 8, horizon=lambda row: 60)
    assert rows_in_turn([batch], rows) == [*rows[1:], rows[0]]
    other = Row("orbits/kepler-v1", "test", 0)
    assert first_of_each_task([*rows, other]) == [rows[0], other]


def test_a_run_rolls_its_tasks_out_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan stays in the order of the suite."""
    order, store = [], rollout_keeping.store.store_rollouts

    def stored(folder: RunFolder, rollouts: Sequence[Rollout], fps: float) -> Iterator[Rollout]:
        order.extend(rollout.clip_id for rollout in rollouts)
        return store(folder, rollouts, fps)

    monkeypatch.setattr(rollout_keeping.store, "store_rollouts", stored)
    words = ("--suite", "smoke", "--tasks", "falling/projectile,falling/drop-bounce", "--batch-size", "2")
    assert run(("rollout", "baseline:freeze", *words, "--device", "cpu", "--out", str(tmp_path / "run"))) == 0
    bounce, throw = ([f"falling.{name}-v1.test.{seed}" for seed in range(4)] for name in ("drop-bounce", "projectile"))
    plan = read_sealed_json(tmp_path / "run" / "manifest.json")["batches"]
    whole = [name for batch in plan for name in batch]
    first, second = (bounce, throw) if whole[0] == bounce[0] else (throw, bounce)
    assert whole == [*first, *second]
    assert order == [*first[:2], *second[:2], *first[2:], *second[2:]]


def test_every_prefix_of_a_task_has_its_splits_alike() -> None:
    """Of 24 + 8 clips a quarter holds 6 + 2; batches of one split come in turn as well."""
    rows = find_suite("core").rows
    batches = plan_batches(splits_mixed(rows), 8, horizon=lambda row: 60)
    order = in_turn(batches, range(len(batches)))
    for quarter, done in enumerate(done_after(batches, order)[13::14], 1):
        found = Counter((row.task, row.split) for row in done)
        assert {split: {n for (_, own), n in found.items() if own == split} for split in ("test", "ood")} == {
            "test": {6 * quarter},
            "ood": {2 * quarter},
        }
    alone = plan_batches(rows, 4, horizon=lambda row: 60)
    own = [
        alone[i].items[0].row.split
        for i in in_turn(alone, range(len(alone)))
        if alone[i].items[0].row.task in rows[0].task
    ]
    assert own == ["test", "test", "ood", "test", "test", "test", "ood", "test"]


def test_a_clip_is_done_with_its_last_sample() -> None:
    rows = find_suite("smoke", 2, "falling/projectile").rows
    batches = plan_batches(rows, 3, horizon=lambda row: 60, samples=2)
    assert done_after(batches, (0, 1)) == [[rows[0]], list(rows)]
    assert done_after(batches, (1, 0)) == [[], [rows[0], rows[1]]]


ROWS = [Row("falling/projectile-v1", "test", seed) for seed in range(6)]


class Reader:
    """Reads a clip as its row, and remembers which were read, and where."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, row: Row) -> Any:
        self.gate.wait(60)
        self.rows.append(row)
        self.threads.add(threading.current_thread().name)
        if row.seed == 4:
            raise UsageError("damaged")
        return row


def test_what_comes_next_is_read_in_advance() -> None:
    read = Reader()
    with ClipsReadAhead(read, lambda _: True, [ROWS[0], ROWS[0], *ROWS[1:]], 2) as clips:
        assert clips.get(ROWS[0]) == ROWS[0]
        threads = clips._threads
    threads.shutdown()
    assert sorted(read.rows) == ROWS[:3], "it and two more"
    assert threading.current_thread().name not in read.threads


def test_each_is_read_once_however_slow_reading_is() -> None:
    read = Reader()
    read.gate.clear()
    with ClipsReadAhead(read, lambda _: True, ROWS[:4], 3) as clips:
        threading.Timer(0.1, read.gate.set).start()
        assert [clips.get(row) for row in ROWS[:4]] == ROWS[:4]
    assert sorted(read.rows) == ROWS[:4]


def test_one_that_is_not_made_yet_is_read_when_it_is_asked_for() -> None:
    read, made = Reader(), {ROWS[0]}
    with ClipsReadAhead(read, made.__contains__, ROWS, 2) as clips:
        clips.get(ROWS[0])
        assert clips.get(ROWS[1]) == ROWS[1]
    assert read.rows == ROWS[:2]
    assert read.threads >= {threading.current_thread().name}


def test_errors_are_raised_where_the_clip_is_asked_for() -> None:
    with ClipsReadAhead(Reader(), lambda _: True, ROWS, 5) as clips:
        assert clips.get(ROWS[3]) == ROWS[3]
        with pytest.raises(UsageError, match="damaged"):
            clips.get(ROWS[4])
        assert clips.get(ROWS[5]) == ROWS[5]


def test_one_that_nobody_expected_is_read_all_the_same() -> None:
    with ClipsReadAhead(Reader(), lambda _: True, ROWS[:2], 2) as clips:
        assert clips.get(ROWS[5]) == ROWS[5]
