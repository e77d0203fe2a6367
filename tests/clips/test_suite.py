"""Suites: rows, parts, hashes; and the golden states of their clips."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from physbench.clips import golden
from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import (
    FRESH_SEEDS,
    GOLDEN_SUITES,
    SUITE_VERSION,
    Golden,
    find_suite,
    fresh_suite,
    golden_rows,
    golden_tasks,
    spread,
    suite_hash,
    suite_names,
)
from physbench.clips.task import builtin_task_ids
from physbench.support.errors import UsageError


def test_suites_hold_what_they_promise() -> None:
    smoke, core, actions, pairs = (find_suite(name) for name in ("smoke", "core", "actions", "counterfactuals"))
    assert suite_names() == (
        "smoke",
        "lite",
        "core",
        "full",
        "actions",
        "counterfactuals",
        "phyworld",
        "pusher",
        "thrust",
        "combo",
        "expectation",
        "train",
        "combo-6",
        "combo-30",
        "combo-60",
    )
    quiet, pushed = builtin_task_ids(), builtin_task_ids(actions=True)
    assert not set(quiet) & set(pushed) and len(pushed) == 3
    assert Counter((row.task, row.split) for row in smoke.rows) == {(task, "test"): 4 for task in quiet}
    for suite, tasks in ((core, quiet), (actions, pushed)):
        assert Counter((row.task, row.split) for row in suite.rows) == {
            (task, split): count for task in tasks for split, count in (("test", 24), ("ood", 8))
        }
    assert Counter((row.task, row.split, row.change) for row in pairs.rows) == {
        (task, "test", change): 16 for task in pushed for change in ("", "unpushed")
    }
    for suite in (smoke, core, actions, pairs):
        assert suite.version == SUITE_VERSION and not suite.partial and set(suite.golden) == set(suite.rows)
        assert suite.rows == golden_rows(suite.name, golden_tasks(suite.name))
        document = json.loads(files("physbench.clips").joinpath("golden", f"{suite.name}.json").read_text())
        assert document["hash"] == suite.hash and document["made_by"] == golden.GOLDEN_COMMAND
    assert smoke.hash != core.hash


# Results that are published name these: a task that is added must leave them alone.
CORE_TASKS = (
    "collisions/billiards-v1",
    "collisions/head-on-v1",
    "collisions/wall-bounce-v1",
    "falling/drop-bounce-v1",
    "falling/incline-v1",
    "falling/projectile-v1",
    "falling/stack-v1",
    "occlusion/screen-lift-v1",
    "occlusion/screen-pass-v1",
    "occlusion/screen-stop-v1",
    "occlusion/screen-swap-v1",
    "orbits/binary-v1",
    "orbits/flyby-v1",
    "orbits/kepler-v1",
)
PUBLISHED = {
    "smoke": "1341f4c69c4d37b75ee3dd30e123cec0e8d13617d560dc9e38fe3c04aba1a632",
    "lite": "ab57c268026c4d631dd4b33f145157f7480b0e0adadd7d59357e18fb1db32b2e",
    "core": "3cd215aae0c35100963baf26fb3cff049d359605e62f9810a5fa3f239eb1f260",
    "actions": "4409d11d99f17fb5c2ea1e734234fe026783750ad1345fa94bb705ff1fbd5a18",
    "counterfactuals": "dcb146098b191f035826095d7cffc321ac0c95ef5b2c694d9ac2e4f65f1cf0e2",
    "expectation": "10f95faf8bc8818dd2d9b47429cd9303ff210d6ceef4493f5a5290c931fed856",
}


def test_more_tasks_leave_published_suites_alone() -> None:
    assert SUITE_VERSION == 4 and {name: find_suite(name).hash for name in PUBLISHED} == PUBLISHED
    train = find_suite("train", limit=150)
    assert train.tasks == find_suite("core").tasks == builtin_task_ids() == CORE_TASKS
    lists = golden.published_lists("train")
    assert lists[150] == "ebecdd8797d090b4b0634c0e4bde999a81d618628ef8b99e51545dee0ae36ee4"


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)], ids=["some states", "all states"])
def test_full_is_core_and_half_as_much_of_every_other_task(every: int) -> None:
    full, core = find_suite("full"), find_suite("core")
    assert set(CORE_TASKS) < set(full.tasks) and full.tasks == builtin_task_ids(full=True)
    assert not set(full.tasks) & set(builtin_task_ids(actions=True))
    assert full.rows == golden_rows("full", golden_tasks("full")) and full.hash != core.hash and not full.partial
    assert Counter((row.task, row.split) for row in full.rows) == {
        (task, split): count // (1 if task in CORE_TASKS else 2)
        for task in full.tasks
        for split, count in (("test", 24), ("ood", 8))
    }
    assert {row: full.golden[row] for row in core.rows} == core.golden
    others = tuple(row for row in full.rows if row.task not in CORE_TASKS and row.seed == 0)
    more = replace(full, rows=others[::every])
    assert all(difference.same for difference in golden.verify(more, workers=1))


def test_pushes_are_where_the_suite_says() -> None:
    for actions in (False, True):
        for task in builtin_task_ids(actions):
            assert bool(make_scene(Row(task, "test", 0)).impulses) is actions


def test_parts_are_spread_and_marked() -> None:
    core = find_suite("core")
    part = find_suite("core", limit=2 * len(core.tasks) + 1)
    assert part.partial and len(part.rows) == 2 * len(core.tasks) + 1 and part.hash != core.hash
    assert set(Counter(row.task for row in part.rows).values()) == {2, 3}
    assert [row for row in core.rows if row in part.rows] == list(part.rows), "in the order of the suite"
    orbits = find_suite("core", tasks="orbits")
    assert orbits.partial and "orbits/kepler-v1" in orbits.tasks and len(orbits.rows) == 32 * len(orbits.tasks)
    assert find_suite("core", limit=10_000) == core and find_suite("core", tasks="*") == core
    assert find_suite("core", limit=4, tasks="orbits").rows == spread(orbits.rows, 4)


def test_a_part_holds_whole_pairs() -> None:
    pairs = find_suite("counterfactuals")
    for limit in (1, 2, 6, 7, 13):
        rows = find_suite("counterfactuals", limit=limit).rows
        assert len(rows) == limit and [row for row in pairs.rows if row in rows] == list(rows)
        alone = [row for row in rows if not {row.unchanged, replace(row, change="unpushed")} <= set(rows)]
        assert len(alone) == limit % 2 and not any(row.change for row in alone)
    assert {row.seed for row in find_suite("counterfactuals", limit=6).rows} == {0}


def test_train_has_any_size() -> None:
    count = len(builtin_task_ids())
    train = find_suite("train", limit=2 * count + 3)
    assert [len([row for row in train.rows if row.task == task]) for task in train.tasks] == [3] * 3 + [2] * (count - 3)
    assert {row.split for row in train.rows} == {"train"} and not train.partial
    assert set(find_suite("train", limit=6).rows) < set(train.rows)
    assert len(find_suite("train").rows) == 2000
    assert find_suite("train", limit=2, tasks="kepler").rows == tuple(
        Row("orbits/kepler-v1", "train", k) for k in (0, 1)
    )


def test_hash_covers_rows_and_states() -> None:
    rows = find_suite("smoke").rows[:2]
    states = ["a", "b"]
    base = suite_hash(zip(rows, states, strict=True))
    assert suite_hash(zip(rows[::-1], states, strict=True)) != base
    assert suite_hash(zip(rows, ["a", "c"], strict=True)) != base
    assert suite_hash(zip([rows[0], replace(rows[1], change="unpushed")], states, strict=True)) != base
    lines = "".join(f"{row.task}|test|{row.seed}|{state}\n" for row, state in zip(rows, states, strict=True))
    assert base == hashlib.sha256(lines.encode()).hexdigest(), "a row without a change is hashed as ever"


def test_hash_of_a_suite_without_golden_states_is_computed() -> None:
    smoke = find_suite("smoke", limit=1)
    computed = replace(smoke, golden={})
    assert computed.hash == smoke.hash, "this machine reproduces the golden states"


@pytest.mark.parametrize(
    ("name", "offer"),
    [
        ("cor", "Did you mean core"),
        (
            "zzz",
            "Known: actions, combo, combo-30, combo-6, combo-60, core, counterfactuals, expectation, full, "
            "lite, phyworld, pusher, smoke, thrust, train",
        ),
    ],
)
def test_unknown_suites(name: str, offer: str) -> None:
    with pytest.raises(UsageError, match=offer):
        find_suite(name)


def test_bad_parts() -> None:
    with pytest.raises(UsageError, match="at least one clip"):
        find_suite("core", limit=0)
    with pytest.raises(UsageError, match="Did you mean orbits/kepler-v1"):
        find_suite("core", tasks="keppler")


def test_golden_states_are_reproduced_and_differences_are_found() -> None:
    part = find_suite("smoke", limit=4)
    assert all(difference.same and difference.distance == 0 for difference in golden.verify(part, workers=1))
    row = part.rows[1]
    final = {name: (x, y, z + 0.25) for name, (x, y, z) in part.golden[row].final.items()}
    wrong = replace(part, golden={**part.golden, row: Golden("0" * 64, final)})
    found = [difference for difference in golden.verify(wrong, workers=1) if not difference.same]
    assert [difference.row for difference in found] == [row] and found[0].distance == pytest.approx(0.25)


def test_lite_is_a_part_of_core_with_enough_clips_for_an_interval_everywhere() -> None:
    lite, core = find_suite("lite"), find_suite("core")
    assert not lite.partial and lite.hash != core.hash
    assert Counter((row.task, row.split) for row in lite.rows) == {(task, "test"): 8 for task in core.tasks}
    assert all(core.golden[row] == golden for row, golden in lite.golden.items())
    own = find_suite("lite", tasks="collisions/head-on-v1,collisions/head-on-push-v1")
    pushed = [row.seed for row in own.rows if row.task == "collisions/head-on-push-v1"]
    assert own.name == "own-lite" and pushed == list(range(8))


@pytest.mark.slow
def test_golden_files_are_made_by_their_command(tmp_path: Path) -> None:
    golden.write_golden(tmp_path)
    for name in GOLDEN_SUITES:
        shipped = files("physbench.clips").joinpath("golden", f"{name}.json").read_text()
        assert (tmp_path / f"{name}.json").read_text() == shipped


@pytest.mark.parametrize("name", ["smoke", "core", "counterfactuals"])
def test_fresh_seeds_are_others_for_the_same_tasks(name: str) -> None:
    suite = find_suite(name)
    fresh, again = fresh_suite(suite, 3), fresh_suite(suite, 3)
    assert fresh.name == f"fresh-{name}" and fresh.local and not suite.local and not fresh.golden
    places = {(row.task, row.split, row.change) for row in suite.rows}
    assert Counter((row.task, row.split, row.change) for row in fresh.rows) == dict.fromkeys(places, 3)
    seeds = [{row.seed for row in each.rows} for each in (suite, fresh, again)]
    assert seeds[1] <= {seed for seed in seeds[1] if seed in FRESH_SEEDS}
    assert not seeds[0] & seeds[1] and not seeds[1] & seeds[2]
    assert all(row.unchanged in fresh.rows for row in fresh.rows), "a pair shares its seed"
    assert all(int(float(seed)) == seed for seed in seeds[1]), "a reader of JSON may keep it as a float"
