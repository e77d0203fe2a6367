"""Every prefix of a run holds about as many batches of each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.clips.clip import Row
from physbench.clips.suite import find_suite
from physbench.rollout.batches import plan_batches
from physbench.rollout.store import Rollout
from physbench.run import rollouts as rollout_keeping
from physbench.run.jobs import done_after, first_of_each_task, in_turn, rows_in_turn, splits_mixed
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder


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
