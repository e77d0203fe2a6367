"""Consistency with unseen constants free, from known scores and from runs behind one image."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once
from rich.console import Console

from physbench.cli.main import run as cli
from physbench.result.document import ResultDocument, TaskResult, read_result
from physbench.result.manifest import read_manifest
from physbench.result.report.markdown import markdown
from physbench.result.report.page import write_report
from physbench.result.report.summary import unseen_sentences
from physbench.result.report.terminal import print_summary
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

FEW = {"resamples": 400}
SOURCES = ("model", "truth", "freeze", "constant-velocity")
PULLED = ("falling/projectile-v1", "orbits/kepler-v1")
HEADLINE = "consistency/shadowing"
UNSEEN = f"{HEADLINE}.unseen-constants"
FACTOR = f"{HEADLINE}.unseen-factor"
GAIN = 0.2  # in quality, of the model where constants are free


def place(folder: RunFolder, source: str) -> RunFolder:
    return folder if source == "model" else folder.reference(source)


def free(folder: RunFolder, tasks: tuple[str, ...] = PULLED) -> RunFolder:
    """Let no clip of `tasks` show its constants: the model gains GAIN with 0.9 of them, references stay."""
    for source in SOURCES:
        table = pd.read_parquet(place(folder, source).scores)
        own = table[table["reading"] == HEADLINE]
        value = own["value"] + GAIN * (source == "model")
        unseen = own.assign(reading=UNSEEN, axis=None, quality=None, value=value)
        factor = unseen.assign(reading=FACTOR, value=0.9 if source == "model" else 1.0)
        shown = ~own["task"].isin(tasks)
        unseen.loc[shown, ["value", "status", "reason"]] = None, "not applicable", "the context shows every constant"
        unseen.loc[own["status"] == "failed", "value"] = None
        factor.loc[own["status"] == "failed", "value"] = None
        pd.concat([table, unseen, factor[~shown]]).to_parquet(place(folder, source).scores)
    write_json(folder.manifest, {**read_manifest(folder).document(), "context": 1})
    return folder


def test_skill_is_that_of_the_axis_with_the_other_reading_where_it_applies(make_run) -> None:
    before = built_once(make_run(name="before"), **FEW)
    folder = free(make_run())
    result = built_once(folder, **FEW)
    found = result.unseen_constants
    assert found.clips == 64 and result.counts.clips == 128
    skills = []
    for task, own in found.tasks.items():
        q, t, f = (
            float(table.loc[(table["task"] == task) & (table["reading"] == HEADLINE), "value"].mean())
            for table in (pd.read_parquet(place(folder, source).scores) for source in ("model", "truth", "freeze"))
        )
        q += GAIN * (task in PULLED)
        assert own.applies == 32 * (task in PULLED)
        assert own.quality == pytest.approx(q, abs=1e-6) and own.kind == "informative"
        assert own.skill == pytest.approx((q - f) / (t - f), abs=1e-5)
        assert own.interval[0] < q < own.interval[1]
        family = found.families[task.split("/")[0]]
        assert (family.skill, family.applies, family.factor) == (own.skill, own.applies, own.factor)
        skills.append(own.skill)
        scored = before.tasks[task]["consistency"]
        unchanged = TaskResult(**own.model_dump(include=set(TaskResult.model_fields))) == scored
        assert unchanged == (task not in PULLED)
    assert found.consistency.skill == pytest.approx(np.mean(skills), abs=1e-5)
    low, high = found.consistency.interval
    assert low < found.consistency.skill < high
    for level in ("overall", "axes", "families", "tasks"):
        assert getattr(result, level) == getattr(before, level), "no part of the score"
    assert before.unseen_constants is None


@pytest.mark.slow
def test_the_factor_is_a_median_over_clips(make_run) -> None:
    folder = free(make_run())
    table = pd.read_parquet(folder.scores)
    read = (table["reading"] == FACTOR) & (table["task"] == PULLED[0])
    table.loc[read, "value"] = np.linspace(0.7, 0.9, 32)
    table.to_parquet(folder.scores)
    found = built_once(folder, **FEW).unseen_constants
    falling = found.tasks[PULLED[0]].factor
    assert falling.value == pytest.approx(0.8) and falling.clips == 32
    assert 0.7 < falling.interval[0] < 0.8 < falling.interval[1] < 0.9
    assert found.factor.value == pytest.approx(0.9) and found.factor.clips == 64
    assert found.tasks["collisions/head-on-v1"].factor.value is None


def test_truth_reads_one_and_freeze_nothing(make_run) -> None:
    folder = free(make_run())
    for source, skill in (("truth", 1.0), ("freeze", 0.0)):
        folder.scores.write_bytes(folder.reference(source).scores.read_bytes())
        found = built_once(folder, **FEW).unseen_constants
        assert found.consistency.skill == pytest.approx(skill, abs=1e-6)
        assert found.factor.value == 1.0


def test_failed_clips_stay_at_zero_and_few_clips_give_no_interval(make_run) -> None:
    failed = frozenset({"falling.projectile-v1.test.0"})
    folder = free(make_run(4, 0, failed=failed))
    result = built_once(folder, **FEW)
    found = result.unseen_constants
    table = pd.read_parquet(folder.scores)
    of_task = table[(table["task"] == PULLED[0]) & (table["reading"] == HEADLINE)]
    assert found.clips == 8 and found.factor.clips == 7
    quality = (of_task["value"].fillna(0).sum() + 3 * GAIN) / 4
    assert found.tasks[PULLED[0]].quality == pytest.approx(quality, abs=1e-6)
    assert found.consistency.interval is None is found.factor.interval
    assert found.consistency.reason.startswith("too few clips: 4")
    assert found.factor.reason.startswith("too few clips: 3")


def test_it_is_null_where_every_constant_is_shown_or_consistency_was_not_read(make_run) -> None:
    assert built_once(free(make_run(4, 0), tasks=()), **FEW).unseen_constants is None
    folder = free(make_run(4, 0, name="unread"))
    table = pd.read_parquet(folder.scores)
    table[~table["reading"].str.startswith("consistency/")].to_parquet(folder.scores)
    assert built_once(folder, **FEW).unseen_constants is None


def test_a_result_from_before_it_reads(make_run, tmp_path: Path) -> None:
    result = built_once(free(make_run(4, 0)), **FEW).model_dump(mode="json")
    write_json(tmp_path / "new.json", result)
    assert read_result(tmp_path / "new.json").model_dump(mode="json") == result
    del result["unseen_constants"]
    write_json(tmp_path / "old.json", result)
    older = read_result(tmp_path / "old.json")
    assert older.unseen_constants is None and unseen_sentences(older) == []


def summary(result: ResultDocument) -> str:
    out = StringIO()
    print_summary(result, Console(file=out, width=72))
    return " ".join(out.getvalue().split())


def test_words_say_what_is_free_and_what_it_is_instead_of(make_run) -> None:
    result = built_once(free(make_run()), **FEW)
    first, second = unseen_sentences(result)
    own, axis = result.unseen_constants.consistency, result.axes["consistency"]
    assert first.startswith("With the strength of forces left free (an image cannot show it): consistency 0.")
    assert first.endswith(f"instead of {axis.skill:.2f}.") and f"{own.skill:.2f} [" in first
    factors = "0.90 [0.90, 0.90] in falling and 0.90 [0.90, 0.90] in orbits"
    assert second == f"The best factor on it is {factors} (medians; 1 where none is better)."
    assert first in summary(result) and "consistency 0." in markdown(result)
    assert unseen_sentences(result.model_copy(update={"context": 2}))[0].startswith(
        "With the strength of forces left free (the con"
    )
    without = built_once(free(make_run(name="shown"), tasks=()), **FEW)
    assert "left free" not in summary(without) + markdown(without)


@pytest.mark.slow
def test_the_report_has_a_table_of_it_where_it_applies(make_run, tmp_path: Path) -> None:
    tasks = ("falling/projectile-v1", "collisions/head-on-v1")
    folder = free(make_run(2, 0, tasks=tasks))
    page = write_report(folder, tmp_path / "free.html", built_once(folder, **FEW)).read_text(encoding="utf-8")
    table = page[page.index('id="unseen"') :]
    table = table[: table.index("</table>")]
    assert "projectile" in table and "head-on" not in table and "0.90" in table
    assert "2 of 4 clips" in page
    shown = free(make_run(2, 0, name="shown", tasks=tasks), tasks=())
    other = write_report(shown, tmp_path / "shown.html", built_once(shown, **FEW)).read_text(encoding="utf-8")
    assert 'id="unseen"' not in other


@pytest.mark.slow
@pytest.mark.parametrize("context", [1, 8])
def test_wrong_gravity_is_lawful_behind_an_image_only(tmp_path: Path, context: int) -> None:
    """Ground truth under gravity x 0.9, which one image cannot tell from the right one, and eight frames can."""
    asked = {"context": context, "size": 64, "fps": 15}
    arguments = [f"--model-arg={name}={value}" for name, value in asked.items()]
    out = str(tmp_path / "run")
    only = [
        "--suite",
        "smoke",
        "--tasks",
        "projectile*",
        "--scorers",
        "consistency/shadowing",
        "--limit",
        "1",
        "--no-diagnosis",
    ]
    assert cli(["eval", "saboteur:gravity:0.9", *only, *arguments, "--workers", "1", "--out", out]) == 0
    result = read_result(tmp_path / "run" / "result.json")
    found, axis = result.unseen_constants, result.axes["consistency"].skill
    if context > 1:
        assert found is None
        return
    assert found is not None and axis is not None
    assert found.clips == result.counts.clips
    assert found.factor.value == pytest.approx(0.9, abs=0.01)
    assert found.consistency.skill == pytest.approx(1.0, abs=0.02)
    assert axis < 0.7
    assert found.tasks["falling/projectile-v1"].references["truth"] == pytest.approx(1.0, abs=0.02)
