"""Why a clip broke, in words and numbers."""

from __future__ import annotations

import pandas as pd

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.result.read import read_run
from physbench.result.report.data import SelectedClip, figure, predictability, readings_of


def test_a_figure_names_the_readings_that_are_not_those_of_truth(small_run, kit) -> None:
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)
    found = figure(small_run, fall, shown, None, readings_of(tables, fall.row))
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "drift"]
    assert found.readings[0].name == "gravity"
    assert found.readings[0].truth == 9.81
    assert "shadowing time" in [value.name for value in found.readings]
    assert "survival" not in [value.name for value in found.readings]  # 0.97 and 0.99
    assert len(found.strips) == 2
    assert found.player is not None and found.player.seconds == 4.0


def test_a_figure_says_which_readings_are_not_valid_in_its_clip(small_run, kit) -> None:
    """Those with one reason together; not that a scene declares no outcomes, which says nothing."""
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)
    assert figure(small_run, fall, shown, None, readings_of(tables, fall.row)).not_valid == ()
    truth = tables["truth"]
    own = truth["axis"].isin(["consistency", "drift"])
    truth.loc[own, ["value", "quality"]] = None
    truth.loc[own, "reason"] = "cannot be shadowed: boxes that meet others turn and tip"
    other = truth[truth["axis"] == "consistency"].assign(reading="consistency/outcome", reason="none declared")
    changed = {**tables, "truth": pd.concat([truth, other])}
    found = figure(small_run, fall, shown, None, readings_of(changed, fall.row))
    assert found.not_valid == (
        "Shadowing and accuracy: not valid (cannot be shadowed: boxes that meet others turn and tip).",
    )


def test_an_axis_of_two_readings_names_the_one_that_is_valid(small_run, kit) -> None:
    """Else the accuracy of a tower, which cannot be shadowed, would be called stability."""
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)

    def with_other(table: pd.DataFrame, axis: str, reading: str) -> pd.DataFrame:
        return pd.concat([table, table[table["axis"] == axis].assign(reading=reading, value=None, quality=None)])

    drift = {name: with_other(table, "drift", "drift/stability") for name, table in tables.items()}
    found = figure(small_run, fall, shown, None, readings_of(drift, fall.row))
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "accuracy"]
    both = {name: with_other(table, "consistency", "consistency/outcome") for name, table in tables.items()}
    found = figure(small_run, fall, shown, None, readings_of(both, fall.row))
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "drift"]


def test_predictability_is_that_of_the_scores() -> None:
    table = pd.DataFrame(
        {
            "clip": ["a", "a", "b", "c"],
            "reading": ["drift/accuracy", *["drift/accuracy.predictability"] * 3],
            "value": [0.5, 3.0, None, 2.5],
        }
    )
    assert predictability(table) == {"a": 3.0, "c": 2.5}
