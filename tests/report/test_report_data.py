"""Why a clip broke, in words and numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.report.clip_selection import SelectedClip
from physbench.report.report_data import figure, predictability, why
from physbench.results.read_run import read_run
from physbench.tracks.tracks import Visibility


@pytest.fixture(scope="module")
def clip(kit) -> Clip:
    return ClipStore().get(Row("orbits/kepler-v1", "test", 0), kit.SPEC)


def test_why_in_words(clip: Clip, kit) -> None:
    error = np.full((clip.horizon, 2), 0.2)
    tracks = kit.true_tracks(clip)
    assert why(clip, error, tracks) == ("Every object stays within its diameter of ground truth.",)
    error[29:60, 0] = 1.5
    error[90:, 0] = np.inf
    error[60:, 1] = np.nan
    tracks.state[tracks.context + 105 :, 0] = Visibility.ABSENT
    (sentence,) = why(clip, error, tracks)
    hue = sentence.split("(")[1].split(")")[0]
    assert sentence == (
        f"Planet ({hue}) is off by more than its diameter at 2.0 s, is missing from 7.1 s (in 12 % of the time it "
        "should be seen) and is too deformed to be located from 6.1 s (in 12 % of the time it should be seen)."
    )
    assert f"A large {hue} planet" in clip.scene.prompt
    assert why(clip, None, tracks) == why(clip, error, None) == ()


def test_a_figure_names_the_readings_that_are_not_those_of_truth(small_run, clip: Clip, kit) -> None:
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)
    found = figure(small_run, fall, shown, None, tables)
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "drift"]
    assert found.readings[0].name == "gravity"
    assert found.readings[0].truth == 9.81
    assert "shadowing time" in [value.name for value in found.readings]
    assert "survival" not in [value.name for value in found.readings]  # 0.97 and 0.99
    assert len(found.strips) == 2
    assert found.motion is not None and found.motion.seconds == 4.0


def test_a_figure_says_which_readings_are_not_valid_in_its_clip(small_run, kit) -> None:
    """Those with one reason together; not that a scene declares no outcomes, which says nothing."""
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)
    assert figure(small_run, fall, shown, None, tables).not_valid == ()
    truth = tables["truth"]
    own = truth["axis"].isin(["consistency", "drift"])
    truth.loc[own, ["value", "quality"]] = None
    truth.loc[own, "reason"] = "cannot be shadowed: boxes that meet others turn and tip"
    other = truth[truth["axis"] == "consistency"].assign(reading="consistency/outcome", reason="none declared")
    found = figure(small_run, fall, shown, None, {**tables, "truth": pd.concat([truth, other])})
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
    found = figure(small_run, fall, shown, None, drift)
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "accuracy"]
    both = {name: with_other(table, "consistency", "consistency/outcome") for name, table in tables.items()}
    found = figure(small_run, fall, shown, None, both)
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
