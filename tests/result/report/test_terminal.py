"""The summary on a terminal and off one."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once
from rich.console import Console

from physbench.result.document import BeyondMemory, ReadingResult, ReadingValue, ResultDocument, SkillValue
from physbench.result.formats import number
from physbench.result.manifest import read_manifest
from physbench.result.report.data import ReportData
from physbench.result.report.markdown import markdown
from physbench.result.report.page import render
from physbench.result.report.terminal import print_summary

EMPTY = ReportData((), {}, ())


def printed(result: ResultDocument, width: int = 80, **options: object) -> str:
    target = io.StringIO()
    print_summary(result, Console(file=target, width=width, **options))  # type: ignore[arg-type]
    return target.getvalue()


@pytest.fixture
def core(make_run) -> ResultDocument:
    return built_once(make_run(failed=frozenset({"orbits.kepler-v1.test.3"})), resamples=200)


def test_scorers_of_ones_own_are_said_with_their_references(core: ResultDocument) -> None:
    """The median over tasks; further readings stand below, and a reading of physbench is not among them."""

    def value(of: float | None, **references: float) -> ReadingValue:
        return ReadingValue(value=of, interval=None, clips=8, applicable=8, references=references, departs=False)

    values = (0.1, 0.4, 0.5)
    rows = [value(of, truth=0.01, freeze=2.0) for of in values]
    tasks = dict(zip(core.tasks, rows, strict=False)) | {"nothing": value(None)}
    for name in ("own/speed", "own/speed.last"):
        core.readings[name] = ReadingResult(unit="m/s2", axis=None, statistic="median", tasks=tasks)
    lines = [line.rstrip() for line in printed(core).splitlines() if line.startswith("own/")]
    middle = float(np.median(values[: len(core.tasks)]))
    assert len(lines) == 2
    beside = f"truth {number(0.01)}, freeze {number(2.0)}; median of {len(tasks) - 1} tasks"
    assert lines[0] == f"own/speed {number(middle)} m/s² ({beside})"
    assert not [line for line in printed(core).splitlines() if line.startswith("laws/")]


def test_it_fits_80_columns_and_has_no_codes_off_a_terminal(core: ResultDocument) -> None:
    text = printed(core)
    assert "\x1b" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_it_says_what_counts(core: ResultDocument) -> None:
    text = printed(core, width=120)
    for sentence in core.sentences:
        assert sentence in text
    assert "orbits: kepler" in text
    assert f"{core.overall.skill:.2f}" in text
    assert "1 of 128 clips failed and count as 0: ValueError: <b>NaN</b> in frame 3" in text
    assert "appearance/lpips is unavailable: weights" in text
    assert "ahead by" in text


def test_extras_that_are_missing_are_named_in_one_line(core: ResultDocument) -> None:
    absent = {
        f"{group}/{name}": f"not installed (pip install 'physbench[{extra}]')"
        for group, name, extra in (("appearance", "lpips", "lpips"), ("permanence", "hota", "tracking"))
    }
    text = printed(core.model_copy(update={"unavailable": absent}), width=120)
    (line,) = [line for line in text.splitlines() if "unavailable" in line]
    assert line.startswith("appearance/lpips and permanence/hota are unavailable: not installed ")
    assert line.endswith("(pip install 'physbench[lpips,tracking]')")
    only = {"permanence/hota": absent["permanence/hota"]}
    one = printed(core.model_copy(update={"unavailable": only}), width=120)
    assert "permanence/hota is unavailable: not installed (pip install 'physbench[tracking]')" in one


def test_a_scorer_that_broke_is_said_and_one_of_a_failed_clip_is_not(make_run) -> None:
    """What the model failed on is the model's; what the scorer raised is the scorer's."""
    folder = make_run(failed=frozenset({"orbits.kepler-v1.test.3"}))
    table = pd.read_parquet(folder.scores)
    own = table[table["reading"] == "permanence/intact.survival"].assign(reading="own/height-error", value=None)
    whole = own["status"] == "ok"
    own.loc[whole, ["status", "reason"]] = ["failed", "own/height-error raised ValueError in line 5 (f): odd"]
    pd.concat([table, own]).to_parquet(folder.scores)
    result = built_once(folder, resamples=200)
    said = "failed on 127 of 128 clips: raised ValueError in line 5 (f): odd"
    assert result.unavailable == {"appearance/lpips": "weights", "own/height-error": said}
    assert f"unavailable: own/height-error {said}" in printed(result, width=120)
    assert said in render(result, read_manifest(folder), ReportData((), {}, ()))
    assert result.counts.failed == 1


def test_every_reason_is_said_with_its_count(make_run) -> None:
    names = [f"orbits.kepler-v1.test.{seed}" for seed in range(6)]
    folder = make_run(8, 0, failed=frozenset(names))
    table = pd.read_parquet(folder.scores)
    reasons = [f"There is no video '{name}'" for name in names[:3]] + ["too late", "too dark\nLook at it", "too odd"]
    for name, reason in zip(names, reasons, strict=True):
        table.loc[(table["clip"] == name) & (table["status"] == "failed"), "reason"] = reason
    table.to_parquet(folder.scores)
    result = built_once(folder, resamples=200)
    text = printed(result)
    assert "6 of 32 clips failed and count as 0:" in text
    assert "  3 x There is no video 'orbits.kepler-v1.test.0'" in text and "  1 x too late" in text
    assert "  1 x too dark\n    Look at it" in text
    assert "and 1 more, in result.json" in text
    assert "orbits.kepler-v1.test.0' (3); too late (1)" in markdown(result)


def test_memory_and_the_gap_stand_in_the_table(make_run, core: ResultDocument) -> None:
    assert "lost out of range" in printed(core)
    assert "Beyond memory is not known: the card of this trained model" in " ".join(printed(core, width=200).split())
    value = SkillValue(skill=0.1, interval=(0.05, 0.15))
    axes = dict.fromkeys(core.axes, value)
    known = BeyondMemory(stated=900, clips=1500, memory=value, memory_axes=axes, overall=value, axes=axes)
    result = core.model_copy(update={"beyond_memory": known})
    text = " ".join(printed(result, width=120).split())
    assert "memory, 1,500 clips" in text and "beyond memory 0.10 [0.05, 0.15]" in text and "not known" not in text
    page = render(result, read_manifest(make_run()), EMPTY)
    assert "not below the 900 on the model" in page and "Quality lost out of range" in page


def test_a_look_is_called_one(make_run) -> None:
    text = printed(built_once(make_run(4, 0, suite="smoke"), resamples=200))
    assert "A look, not a score: 4 clips a task" in text
    assert "[" not in text.replace("[/", "")


def test_families_of_several_tasks_are_grouped(make_run) -> None:
    tasks = ("falling/projectile-v1", "falling/drop-bounce-v1", "occlusion/screen-pass-v1")
    lines = printed(built_once(make_run(tasks=tasks), resamples=200)).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("falling "))
    assert [line.split()[0] for line in lines[first : first + 4]] == [
        "falling",
        "drop-bounce",
        "projectile",
        "occlusion:",
    ]
    assert lines[first + 1].startswith("  drop-bounce")
    assert "kept" in lines[first + 1] or "lost" in lines[first + 1]


def test_what_a_family_loses_is_called_lost_beside_a_gain_too(make_run) -> None:
    """On each axis at once, in as few columns as the table needs; nothing is cut."""
    result = built_once(make_run(tasks=("falling/projectile-v1", "falling/drop-bounce-v1")), resamples=200)
    for axis, own in result.families["falling"].items():
        result.families["falling"][axis] = own.model_copy(update={"skill": 0.06, "guard": -0.17})
    for width in (72, 80, 120):
        lines = printed(result, width=width).splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("falling "))
        assert lines[first].count("0.06") == 3 and lines[first + 1].split() == ["-0.17", "lost"] * 3
        assert not any("…" in line for line in lines)


def test_a_run_of_failures_alone_has_no_table(make_run) -> None:
    clips = frozenset(pd.read_parquet(make_run(2, 0).scores)["clip"])
    text = printed(built_once(make_run(2, 0, failed=clips, name="failed"), resamples=200))
    assert "No clip could be scored" in text
    assert "8 of 8 clips failed" in text
    assert "skill" not in text and "overall" not in text


def test_markup_in_names_is_not_read(core: ResultDocument) -> None:
    model = core.model.model_copy(update={"name": "[red]net[/red]"})
    assert "[red]net[/red]" in printed(core.model_copy(update={"model": model}))


def test_what_does_not_exist_is_a_dash(make_run) -> None:
    text = printed(built_once(make_run(tasks=("falling/projectile-v1",)), resamples=200))
    assert "overall –" in text
    assert "no skill on object permanence" in text


@pytest.mark.parametrize("kind", ["unscored", "absent"])
def test_where_a_task_has_no_skill_its_kind_stands(core: ResultDocument, kind: str) -> None:
    """In the word of result.json, in place of a dash."""
    before = printed(core).count(kind), markdown(core).count(f"| {kind} |")
    result = core.model_copy(deep=True)
    axes = next(iter(result.tasks.values()))
    axes["drift"] = axes["drift"].model_copy(update={"kind": kind, "skill": None})
    assert (printed(result).count(kind), markdown(result).count(f"| {kind} |")) == (before[0] + 1, before[1] + 1)


def test_in_colour_on_a_terminal(core: ResultDocument) -> None:
    assert "\x1b[" in printed(core, force_terminal=True, color_system="truecolor")
