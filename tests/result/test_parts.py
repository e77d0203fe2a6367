"""Skill by difficulty and by time of the deciding event: the levels that tasks declare, and where a model breaks."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import find_task, level_of
from physbench.result.bootstrap import estimate
from physbench.result.build import build_result
from physbench.result.levels import PARTS, skill_by_part, thirds
from physbench.result.report.tables import parts
from physbench.validity.task_checks.clip_protocol import events

CORE = find_suite("core").tasks
TIMED = [task for task in CORE if "event" in find_task(task).levels]  # type: ignore[attr-defined]


def test_every_task_of_core_declares_its_difficulty_and_all_but_the_tower_an_event() -> None:
    assert all("difficulty" in find_task(task).levels for task in CORE)  # type: ignore[attr-defined]
    assert set(CORE) - set(TIMED) == {"falling/stack-v1"}, "it is let go at 0"


@pytest.mark.parametrize("task", others_slow(TIMED, 3))
def test_the_declared_event_is_one_that_happens(task: str) -> None:
    row = Row(task, "test", 3)
    declared = level_of(find_task(task), "event", make_params(row))
    happens = [time for times in events(make_clip(row, render_spec(64, 20.0))).values() for time in times]
    assert declared is not None and min(abs(time - declared) for time in happens) < 0.08
    assert 0.15 <= declared <= 0.6 * 8.0


def test_thirds_are_equal_in_every_task_and_equal_values_stay_together() -> None:
    rows = [row for row in find_suite("core").rows if row.task in ("collisions/billiards-v1", "falling/projectile-v1")]
    values = {row: value for row in rows if (value := level_of(find_task(row.task), "difficulty", make_params(row)))}
    found = thirds(values)
    counts = Counter((row.task, part) for row, part in found.items())
    assert all(10 <= counts["falling/projectile-v1", part] <= 11 for part in range(3))
    balls = {(values[row], found[row]) for row in rows if row.task == "collisions/billiards-v1"}
    assert len(balls) == len({value for value, _ in balls}), "clips with as many balls are in one part"
    for task in {row.task for row in rows}:
        own = sorted((values[row], found[row]) for row in rows if row.task == task)
        assert [part for _, part in own] == sorted(part for _, part in own), "harder clips are in a later part"


def test_a_model_that_fails_late_events_breaks_there(make_run) -> None:
    folder = make_run(24, 8)
    tables = {"model": pd.read_parquet(folder.scores)}
    tables |= {
        name: pd.read_parquet(folder.reference(name).scores) for name in ("truth", "freeze", "constant-velocity")
    }
    clips = tables["model"].drop_duplicates("clip")
    rows = [Row(r.task, r.split, r.seed) for r in clips.itertuples() if r.split == "test"]
    late = thirds({row: float(level_of(find_task(row.task), "event", make_params(row)) or 0) for row in rows})
    lost = {row.id for row, part in late.items() if part == 2}
    swapped = {
        name: tables[name][tables[name]["clip"].isin(lost) == (name == "freeze")] for name in ("truth", "freeze")
    }
    tables["model"] = pd.concat(swapped.values())
    found = skill_by_part(tables, rows, estimate(tables, resamples=50), 50)["event"]
    skills = [found[name].overall.skill for name in PARTS["event"]]
    assert skills[:2] == pytest.approx([1, 1], abs=1e-6) and skills[2] == pytest.approx(0, abs=1e-6)
    assert [part.mean for part in found.values()] == sorted(part.mean or 0 for part in found.values())


def test_a_result_and_its_report_say_where_it_breaks(make_run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # with parts
    result = build_result(make_run(24, 8), resamples=100)
    assert {kind: tuple(found) for kind, found in result.by_part.items()} == PARTS
    for found in result.by_part.values():
        assert len({part.tasks for part in found.values()}) == 1, "thirds are of the same tasks"
        assert 0 < sum(part.clips for part in found.values()) < result.counts.clips, "clips of ood are in none"
    shown = parts(result)
    assert shown is not None and len(shown.groups) == 2
    assert shown.groups[1][1].name.startswith("earliest third, 0.")
    assert parts(result.model_copy(update={"by_part": {}})) is None
