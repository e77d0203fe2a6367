"""Which clips a report shows."""

from __future__ import annotations

import pandas as pd

from physbench.report.clip_selection import select, shown_clips
from physbench.results.read_run import read_scores


def test_the_worst_and_the_median_clip_of_each_task(make_run) -> None:
    failed = frozenset({"orbits.kepler-v1.test.0"})
    folder = make_run(5, 0, failed=failed)
    table = read_scores(folder)
    chosen = select(table, read_scores(folder.reference("truth")))
    assert [item.place for item in chosen] == ["worst", "median"] * 4
    quality = table[table["axis"].notna()].groupby(["task", "clip"])["quality"].mean()
    for item in chosen:
        ranked = quality[item.task].drop(list(failed), errors="ignore").sort_values()
        assert item.clip == ranked.index[0 if item.place == "worst" else len(ranked) // 2]
    assert shown_clips(folder) == tuple(item.clip for item in chosen)


def test_the_choice_does_not_depend_on_the_order_of_rows_and_ties_go_by_name(make_run) -> None:
    folder = make_run(5, 0)
    table, truth = read_scores(folder), read_scores(folder.reference("truth"))
    assert select(table.sample(frac=1, random_state=3), truth) == select(table, truth)
    table.loc[table["axis"].notna(), "quality"] = 0.5
    assert [item.clip[-1] for item in select(table, truth)] == ["0", "2"] * 4


def test_an_axis_on_which_truth_does_not_count_does_not_decide(make_run) -> None:
    folder = make_run(5, 0)
    table, truth = read_scores(folder), read_scores(folder.reference("truth"))
    before = select(table, truth)
    table.loc[table["axis"] == "drift", "quality"] = pd.Series(range(len(table)), dtype=float)
    truth.loc[truth["axis"] == "drift", "quality"] = None
    kept = table[table["axis"] != "drift"]
    assert [item.clip for item in select(table, truth)] == [item.clip for item in select(kept, truth)]
    assert before


def test_nothing_is_shown_where_all_failed(make_run) -> None:
    clips = frozenset(read_scores(make_run(2, 0, name="ok"))["clip"])
    assert shown_clips(make_run(2, 0, failed=clips)) == ()
