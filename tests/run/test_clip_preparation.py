"""In which order clips and references are made: shortly before they are needed, and each once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from physbench.cli.main import run
from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.run import pipeline
from physbench.run import rollouts as clip_preparation
from physbench.run.jobs import Jobs
from physbench.run.rollouts import CLIPS_BEFORE_REFERENCES, ClipPreparation
from physbench.support.processes import WorkerPool
from physbench.support.progress import Progress

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
