"""Skill by level: difficulty, time of the deciding event, and templates that are trained or held out."""

from __future__ import annotations

import io
from collections import Counter

import pandas as pd
import pytest
from rich.console import Console
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import find_task, level_of
from physbench.result.bootstrap import estimate
from physbench.result.build import build_result
from physbench.result.levels import ABNORMAL, PARTS, combination_gaps, skill_by_part, thirds
from physbench.result.report.markdown import markdown
from physbench.result.report.tables import parts
from physbench.result.report.terminal import print_summary
from physbench.score.protocol import AXES
from physbench.validity.task_checks.clip_protocol import events

TASK = "combo/throw-v1"
SOURCES = ("model", "truth", "freeze", "constant-velocity")
NORMAL, BROKEN = ABNORMAL, ABNORMAL + 0.05  # diameters


def rows(split: str, seed: int, quality: float, strength: float | None, task: str = TASK) -> list[dict[str, object]]:
    base = {"clip": f"{task}.{split}.{seed}", "task": task, "split": split, "seed": seed, "sample": 0, "reason": ""}
    axes = [
        {**base, "reading": f"{axis}/made-up", "axis": axis, "value": quality, "quality": quality, "status": "ok"}
        for axis in AXES
    ]
    status = "ok" if strength is not None else "failed"
    own = {"reading": "consistency/strength", "axis": None, "value": strength, "quality": None, "status": status}
    return [*axes, {**base, **own}]


def tables(clips: int = 10, task: str = TASK) -> dict[str, pd.DataFrame]:
    """A model with 0.8 and 2 abnormal clips of ten where templates were trained, 0.5 and 7 and one failed elsewhere."""
    made: dict[str, list[dict[str, object]]] = {name: [] for name in SOURCES}
    for split, quality, broken in (("test", 0.8, 2), ("ood", 0.5, 7)):
        for seed in range(clips):
            strength = None if split == "ood" and seed == broken else BROKEN if seed < broken else NORMAL
            made["model"] += rows(split, seed, quality, strength, task)
            for name, value, size in (("truth", 1.0, 0.01), ("freeze", 0.0, 2.0), ("constant-velocity", 0.2, 2.0)):
                made[name] += rows(split, seed, value, size, task)
    return {name: pd.DataFrame(each) for name, each in made.items()}


def test_lost_quality_and_abnormal_clips_stand_with_their_gap_and_interval() -> None:
    made = tables()
    gaps = combination_gaps(made, estimate(made, resamples=500), 500)
    assert list(gaps) == ["consistency", "permanence", "abnormal"]
    lost, abnormal = gaps["consistency"], gaps["abnormal"]
    assert (lost.trained, lost.held_out) == (0.8, 0.5) and lost.gap == pytest.approx(0.3)
    assert (abnormal.trained, abnormal.held_out) == (0.2, 0.8) and abnormal.gap == pytest.approx(0.6)
    assert abnormal.interval is not None and 0 < abnormal.interval[0] < 0.6 < abnormal.interval[1] <= 1
    assert abnormal.references["truth"] == {"test": 0, "ood": 0} and abnormal.references["freeze"]["ood"] == 1
    assert lost.references["constant-velocity"] == {"test": 0.2, "ood": 0.2}


def test_too_few_clips_have_no_interval_and_other_tasks_no_gap() -> None:
    few = tables(clips=7)
    abnormal = combination_gaps(few, estimate(few, resamples=50), 50)["abnormal"]
    assert abnormal.gap is not None and abnormal.interval is None and "7 in a split" in abnormal.reason
    others = tables(task="falling/projectile-v1")
    assert combination_gaps(others, estimate(others, resamples=50), 50) == {}
    alone = {name: table[table["split"] == "test"] for name, table in tables().items()}
    one = combination_gaps(alone, estimate(alone, resamples=50), 50)
    assert one["abnormal"].gap is None and one["consistency"].gap is None and one["abnormal"].reason


def test_the_gap_is_printed_beside_skill_and_nowhere_else(make_run) -> None:
    made, target = tables(), io.StringIO()
    plain = build_result(make_run(), resamples=50)
    result = plain.model_copy(update={"combinations": combination_gaps(made, estimate(made, resamples=50), 50)})
    print_summary(result, Console(file=target, width=72))
    line = next(each for each in target.getvalue().splitlines() if each.startswith("abnormal"))
    assert line.split()[:4] == ["abnormal", "0.20", "0.80", "0.60"] and line.split()[-2:] == ["0.00/0.00", "1.00/1.00"]
    assert "| abnormal | 0.20 | 0.80 | 0.60 |" in markdown(result)
    assert plain.combinations == {} and "abnormal" not in markdown(plain)


def test_of_several_samples_the_share_that_is_abnormal_counts() -> None:
    """One lost sample of four (strength 2) makes a quarter of a clip, whatever it does to the mean strength."""
    made = tables()
    lost = [
        pd.DataFrame(rows(split, seed, 1.0, 2.0 if sample == 0 else 0.01)).assign(sample=sample)
        for split in ("test", "ood")
        for seed in range(10)
        for sample in range(4)
    ]
    made["model"] = pd.concat(lost, ignore_index=True)
    abnormal = combination_gaps(made, estimate(made, resamples=50), 50)["abnormal"]
    assert (abnormal.trained, abnormal.held_out) == (0.25, 0.25)


def test_clips_to_learn_from_have_no_gap() -> None:
    made = {name: table.assign(split="train") for name, table in tables().items()}
    assert combination_gaps(made, estimate(made, resamples=50), 50) == {}


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
