"""Which clips count on each axis, and why others do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once

from physbench.result.coverage import axis_counts, together
from physbench.result.document import AxisCounts, LeftOut, ResultDocument
from physbench.result.manifest import read_manifest
from physbench.result.read import read_run
from physbench.result.readings import GroupShares
from physbench.result.report.data import ReportData
from physbench.result.report.markdown import markdown
from physbench.result.report.page import render, without_chart
from physbench.result.report.tables import counting, not_valid, partly
from physbench.support.run_folder import RunFolder

TOWER, ORBIT, FALL = "collisions/head-on-v1", "orbits/kepler-v1", "falling/projectile-v1"
TIPS = "cannot be shadowed: boxes that meet others turn and tip"
NONE = "the scene declares no outcomes"
BRIEF = "T_p is 0.1 to 0.2 s, below 0.3 s"
Rows = Callable[[pd.DataFrame], pd.Series]


def change(folder: RunFolder, make: Callable[[pd.DataFrame], pd.DataFrame], sources: Sequence[str] = ("",)) -> None:
    """Let `make` change the score tables of a run and some of its references."""
    for source in sources:
        place = folder.reference(source) if source else folder
        make(pd.read_parquet(place.scores)).to_parquet(place.scores)


def leave_out(rows: pd.DataFrame, which: pd.Series, reason: str | pd.Series) -> pd.DataFrame:
    rows.loc[which, ["value", "quality"]] = None
    rows.loc[which, "status"] = "not applicable"
    rows.loc[which, "reason"] = reason if isinstance(reason, str) else reason[which]
    return rows


@pytest.fixture
def folder(make_run) -> RunFolder:
    """A tower that is read by outcomes, orbits of which some cannot be predicted, a fall of which one shows little."""
    folder: RunFolder = make_run(8, 0)

    def make(table: pd.DataFrame) -> pd.DataFrame:
        shadowing = table["reading"] == "consistency/shadowing"
        outcome = table[shadowing].assign(reading="consistency/outcome")
        little = table[shadowing].assign(
            reading="consistency/shadowing.undetermined", axis=None, quality=None, value=0.0
        )
        table = leave_out(table, shadowing & (table["task"] == TOWER), TIPS)
        outcome = leave_out(outcome, outcome["task"] != TOWER, NONE)
        times = "T_p is 0." + table["seed"].astype(str) + " s, below 0.3 s"
        brief = (table["reading"] == "drift/accuracy") & (table["task"] == ORBIT) & table["seed"].between(1, 2)
        return pd.concat([leave_out(table, brief, times), outcome, little], ignore_index=True)

    def little(table: pd.DataFrame) -> pd.DataFrame:
        one = (table["task"] == FALL) & (table["seed"] == 3)
        table.loc[one & (table["reading"] == "consistency/shadowing.undetermined"), "value"] = 1.0
        table.loc[one & (table["reading"] == "consistency/shadowing"), ["value", "quality"]] = 0.0
        return table

    change(folder, make, ("", "truth", "freeze", "constant-velocity"))
    change(folder, little)
    return folder


def test_counts_are_those_of_the_scores(folder: RunFolder) -> None:
    result = built_once(folder, resamples=50)
    axes = result.axis_counts
    assert {axis: found.counted for axis, found in axes.items()} == {
        "consistency": 32,
        "permanence": 32,
        "drift": 30,
    }
    assert axes["drift"].left_out == [LeftOut(reason=BRIEF, clips=2, tasks={ORBIT: 2})]
    assert axes["consistency"].left_out == axes["permanence"].left_out == []
    readings = axes["consistency"].readings
    assert list(readings) == ["consistency/shadowing", "consistency/outcome"]  # the most valid first
    assert readings["consistency/shadowing"].model_dump() == {
        "valid": 24,
        "not_valid": [{"reason": TIPS, "clips": 8, "tasks": {TOWER: 8}}],
    }
    assert readings["consistency/outcome"].valid == 8 and readings["consistency/outcome"].not_valid[0].clips == 24
    assert axes["consistency"].undetermined.model_dump() == {
        "clips": 1,
        "of": 32,
        "share": pytest.approx(1 / 32),
        "tasks": {FALL: 1},
    }
    assert axes["drift"].undetermined is None
    for axis, found in axes.items():
        counted = sum(result.tasks[task][axis].clips for task in result.tasks)
        assert counted == found.counted == result.counts.clips - sum(row.clips for row in found.left_out)


def test_the_order_of_rows_does_not_matter(folder: RunFolder) -> None:
    first = axis_counts(read_run(folder)[1])
    change(folder, lambda table: table.sample(frac=1, random_state=2), ("", "truth"))
    assert axis_counts(read_run(folder)[1]) == first


def test_an_axis_that_was_not_scored_counts_nothing(folder: RunFolder) -> None:
    change(folder, lambda table: table[table["axis"] != "drift"])
    found = axis_counts(read_run(folder)[1])["drift"]
    assert (found.counted, found.readings, found.left_out[0].reason) == (0, {}, "not measured")
    assert found.left_out[0].clips == 32


def test_a_clip_that_no_reading_tells_gives_the_reasons_of_those_that_could(folder: RunFolder) -> None:
    """Not that the scene declares no outcomes: that holds of most."""

    def make(table: pd.DataFrame) -> pd.DataFrame:
        which = (table["reading"] == "consistency/shadowing") & (table["task"] == FALL) & (table["seed"] < 4)
        return leave_out(table, which, "no moving object is due")

    change(folder, make, ("truth",))
    found = axis_counts(read_run(folder)[1])["consistency"]
    assert found.counted == 28
    assert [row.model_dump() for row in found.left_out] == [
        {"reason": "no moving object is due", "clips": 4, "tasks": {FALL: 4}}
    ]


def test_it_is_said_in_words(folder: RunFolder) -> None:
    result = built_once(folder, resamples=50)
    assert counting(result) == [
        "Of 32 clips count 32 on physical consistency, 32 on object permanence and 30 on long-horizon drift.",
        "1 of them counts as 0 on physical consistency: it shows too little to be judged (projectile 1); 3.1 % of the "
        "time in which objects should be visible is undetermined on average, in the 32 clips whose motion is shadowed.",
        f"Left out of long-horizon drift: 2 clips of kepler ({BRIEF}).",
    ]
    assert partly(result) == [
        f"consistency/shadowing is not valid in 8 clips of head-on ({TIPS}).",
        f"drift/accuracy is not valid in 2 clips of kepler ({BRIEF}).",
    ]
    assert not_valid(result, TOWER) == {
        "consistency": [f"shadowing: not valid ({TIPS}); outcome alone counts"],
        "permanence": [],
        "drift": [],
    }
    assert not_valid(result, ORBIT)["drift"] == [f"accuracy: not valid in 2 of 8 clips ({BRIEF})"]
    assert not_valid(result, FALL)["consistency"] == []  # that it declares no outcomes says nothing


def test_a_task_without_a_curve_of_lawfulness_says_why(folder: RunFolder) -> None:
    result = built_once(folder, resamples=50)
    assert without_chart(result, "collisions", []) == {TOWER: [f"shadowing: not valid ({TIPS}); outcome alone counts"]}
    drawn = GroupShares(TOWER, np.zeros(0), {})
    assert without_chart(result, "collisions", [drawn]) == {}


def test_where_all_counts_that_is_all_that_is_said(make_run) -> None:
    result = built_once(make_run(4, 0), resamples=50)
    assert counting(result) == ["All 16 clips count on every axis."] and partly(result) == []
    single = AxisCounts(counted=1, left_out=[], readings={}, undetermined=None)
    counts = result.counts.model_copy(update={"clips": 1})
    one = result.model_copy(update={"counts": counts, "axis_counts": {"consistency": single}})
    assert counting(one) == ["The clip counts on every axis."]


def test_report_and_markdown_say_it(folder: RunFolder) -> None:
    result = built_once(folder, resamples=50)
    page = render(result, read_manifest(folder), ReportData((), {}, ()))
    for sentence in counting(result):
        assert sentence in page and sentence.replace("_", r"\_") in markdown(result)
    assert f"shadowing: not valid ({TIPS}); outcome alone counts" in page
    assert "24 of 32" in page and f"8 clips of head-on ({TIPS})" in page
    assert all(sentence.replace("_", r"\_") in markdown(result) for sentence in partly(result))


def test_a_result_of_an_older_version_says_nothing(folder: RunFolder) -> None:
    result = built_once(folder, resamples=50).model_dump(mode="json")
    del result["axis_counts"]
    older = ResultDocument.model_validate(result)
    assert counting(older) == partly(older) == []
    page = render(older, read_manifest(folder), ReportData((), {}, ()))
    assert "not valid in" not in page and "By reading" not in page


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (["no moving object is due"] * 2, "no moving object is due"),
        (["known for 0.13 s only"], "known for 0.13 s only"),
        (["known for 0.25 s only", "known for 0.1 s only", "known for 0.2 s only"], "known for 0.1 to 0.25 s only"),
        (["T_p is 1e-05 s, below 0.3 s.", "T_p is 0.1 s, below 0.3 s."], "T_p is 1e-05 to 0.1 s, below 0.3 s."),
        (["ball 1 rests #", "ball 2 rests #"], "ball 1 to 2 rests #"),
        (["2 of 10 in kepler-v1", "10 of 2 in kepler-v1"], "2 to 10 of 2 to 10 in kepler-v1"),
    ],
)
def test_reasons_that_differ_in_numbers_are_one(reasons: list[str], words: str) -> None:
    assert together(reasons) == together(reversed(reasons)) == words


def test_whatever_a_scorer_says_its_numbers_do_not_split_a_count(folder: RunFolder) -> None:
    def make(table: pd.DataFrame) -> pd.DataFrame:
        which = (table["reading"] == "drift/accuracy") & (table["task"] == FALL)
        return leave_out(table, which, "only " + (0.01 * (table["seed"] + 1)).round(2).astype(str) + " s of 4 are told")

    change(folder, make, ("truth",))
    found = axis_counts(read_run(folder)[1])["drift"].left_out
    assert [(row.reason, row.clips) for row in found] == [("only 0.01 to 0.08 s of 4 are told", 8), (BRIEF, 2)]


def test_clips_of_a_task_are_those_that_count_and_those_that_do_not(folder: RunFolder) -> None:
    """Of 8 clips 5 are not shadowed, more than the 3 that count: not the whole task."""

    def make(table: pd.DataFrame) -> pd.DataFrame:
        which = (table["reading"] == "consistency/shadowing") & (table["task"] == FALL) & (table["seed"] < 5)
        return leave_out(table, which, "less than a segment")

    change(folder, make, ("truth",))
    said = not_valid(built_once(folder, resamples=50), FALL)["consistency"]
    assert said == ["shadowing: not valid in 5 of 8 clips (less than a segment)"]
