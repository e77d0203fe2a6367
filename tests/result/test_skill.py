"""Skill against values worked out by hand, and what must hold for any scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.result.skill import Stratum, clip_qualities, kind, kinds, skills, task_means
from physbench.score.protocol import AXES
from physbench.support.errors import PhysbenchError

REFERENCES = slice(1, 3)


def table(qualities: dict[tuple[str, str, str], list[float | None]], samples: int = 1) -> pd.DataFrame:
    """Score table from {(task, split, axis): quality of each clip}, with a diagnostic row that must not matter."""
    rows = []
    for (task, split, axis), values in qualities.items():
        for seed, value in enumerate(values):
            for sample in range(samples):
                clip = f"{task}.{split}.{seed}"
                head = {"clip": clip, "task": task, "split": split, "seed": seed, "sample": sample}
                rows.append(head | {"reading": f"{axis}/x", "axis": axis, "value": value, "quality": value})
                rows.append(head | {"reading": "laws/x", "axis": None, "value": None, "quality": None})
    return pd.DataFrame(rows)


def scored(model: pd.DataFrame, truth: pd.DataFrame, freeze: pd.DataFrame):
    qualities = clip_qualities({"model": model}, truth, freeze)
    means = task_means(qualities.means(), qualities.counts())
    return skills(means, kinds(qualities), 0, REFERENCES)


def same_on_all_axes(**values: float) -> pd.DataFrame:
    return table({(task.replace("_", "/"), "test", axis): [q, q] for task, q in values.items() for axis in AXES})


@pytest.mark.parametrize(
    ("truth", "freeze", "expected"),
    [
        (1.0, 0.1, "informative"),
        (1.0, 0.75, "informative"),
        (0.9, 0.8, "guard"),
        (0.6, 0.9, "guard"),
        (0.4, 0.1, "unscored"),
        (0.5, 0.1, "informative"),
        (np.nan, 0.1, "absent"),
    ],
)
def test_kind_of_a_task(truth: float, freeze: float, expected: str) -> None:
    assert kind(truth, freeze) == expected


def test_by_hand() -> None:
    """Two families: f/a and f/b informative, g/c informative, g/d a guard, g/e not scored."""
    truth = same_on_all_axes(f_a=1.0, f_b=0.9, g_c=1.0, g_d=0.9, g_e=0.4)
    freeze = same_on_all_axes(f_a=0.2, f_b=0.1, g_c=0.0, g_d=1.0, g_e=0.3)
    model = same_on_all_axes(f_a=0.6, f_b=0.5, g_c=0.3, g_d=0.45, g_e=1.0)
    got = scored(model, truth, freeze)
    np.testing.assert_allclose(got.task["f/a"], 0.4 / 0.8)
    np.testing.assert_allclose(got.task["f/b"], 0.4 / 0.8)
    np.testing.assert_allclose(got.task["g/c"], 0.3)
    np.testing.assert_allclose(got.task["g/d"], 0.45 / 0.9 - 1)
    assert np.isnan(got.task["g/e"]).all()
    # The one family with a guard would give it the weight 1; f/a and f/b weigh a quarter each.
    np.testing.assert_allclose(got.axis, (0.5 + 0.3) / 2 - 0.5 / 4)
    # f gains a half. g gains 0.3 by one task, so that its guard weighs as much as that: it halves what was gained.
    np.testing.assert_allclose([got.family["f"], got.family["g"]], [0.5, 0.3 * (1 - 0.5)])
    np.testing.assert_allclose(got.overall, (0.5 + 0.15) / 2)
    np.testing.assert_allclose(got.family_quality["g"], (0.3 + 0.45) / 2)  # g/e is left out
    np.testing.assert_allclose(got.axis_quality, ((0.6 + 0.5) / 2 + (0.3 + 0.45) / 2) / 2)


def test_guards_of_a_family_are_averaged_before_the_minimum() -> None:
    """One guard 10 % above and one 10 % below the references cost nothing together; alone the second costs 0.1."""
    truth = same_on_all_axes(f_a=1.0, f_b=0.8, f_c=0.8)
    freeze = same_on_all_axes(f_a=0.0, f_b=0.8, f_c=0.8)
    got = scored(same_on_all_axes(f_a=0.5, f_b=0.88, f_c=0.72), truth, freeze)
    np.testing.assert_allclose(got.axis, 0.5)
    np.testing.assert_allclose(got.task["f/c"], -0.1)
    got = scored(same_on_all_axes(f_a=0.5, f_b=0.80, f_c=0.72), truth, freeze)
    np.testing.assert_allclose(got.axis, 0.45)


def test_a_guard_that_ground_truth_fails_costs_nothing() -> None:
    truth = same_on_all_axes(f_a=1.0, f_b=0.0)
    got = scored(truth, truth, same_on_all_axes(f_a=0.0, f_b=0.5))
    assert kind(0.0, 0.5) == "guard"
    np.testing.assert_allclose(got.axis, 1.0)


def test_an_axis_without_informative_task_has_no_skill_and_there_is_no_overall() -> None:
    truth, freeze = same_on_all_axes(f_a=0.9), same_on_all_axes(f_a=0.8)
    got = scored(same_on_all_axes(f_a=0.4), truth, freeze)
    assert np.isnan(got.axis).all()
    assert np.isnan(got.overall)
    np.testing.assert_allclose(got.guard["f"], 0.4 / 0.8 - 1)


def test_overall_is_a_mean_over_families_whatever_their_tasks_and_axes() -> None:
    """Four families of 1 to 4 tasks, one of them informative on more axes: truth in one and frozen elsewhere is 1/4."""
    tasks = {family: [f"{family}/{n}" for n in range(size)] for size, family in enumerate("fghi", 1)}
    informative = {"f": AXES, "g": AXES[:1], "h": AXES[:2], "i": AXES[1:2]}
    every = [(task, axis) for members in tasks.values() for task in members for axis in AXES]
    truth = {(task, "test", axis): [1.0, 1.0] for task, axis in every}
    freeze = {(t, "test", a): [0.0 if a in informative[t[0]] else 1.0] * 2 for t, a in every}
    for family in tasks:
        own = {key: (truth if key[0].startswith(family) else freeze)[key] for key in truth}
        got = scored(table(own), table(truth), table(freeze))
        assert got.family == {name: pytest.approx(float(name == family)) for name in tasks}
        np.testing.assert_allclose(got.overall, 1 / 4)


def test_what_guards_take_never_ranks_a_frozen_frame_above_motion_that_is_wrong() -> None:
    """A motion that is right for a tenth and loses what a frozen frame keeps: it falls, and stays above the frame."""
    truth = same_on_all_axes(f_a=1.0, f_b=1.0, g_c=1.0)
    freeze = same_on_all_axes(f_a=0.0, f_b=1.0, g_c=0.0)
    kept, lost = (scored(same_on_all_axes(f_a=0.1, f_b=b, g_c=0.0), truth, freeze).overall for b in (1.0, 0.0))
    assert kept == pytest.approx(0.05) and lost == pytest.approx(0.0)
    half = scored(same_on_all_axes(f_a=0.1, f_b=0.5, g_c=0.0), truth, freeze).overall
    assert half == pytest.approx(0.025)
    # Below the frame a guard changes nothing: what is lost there cannot be lost twice.
    worse = same_on_all_axes(f_a=0.2, f_b=1.0, g_c=0.0)
    assert scored(same_on_all_axes(f_a=0.1, f_b=0.0, g_c=0.0), truth, worse).overall < 0


def test_axis_skill_is_floored() -> None:
    truth = same_on_all_axes(f_a=1.0, f_b=1.0)
    freeze = same_on_all_axes(f_a=0.7, f_b=1.0)
    np.testing.assert_allclose(scored(same_on_all_axes(f_a=0.0, f_b=0.0), truth, freeze).axis, -1.0)


def test_test_and_ood_clips_are_pooled_with_equal_weight() -> None:
    def make(test: float, ood: float) -> pd.DataFrame:
        return table({("f/a", s, axis): [q] * n for axis in AXES for s, q, n in (("test", test, 24), ("ood", ood, 8))})

    got = scored(make(0.8, 0.2), make(1.0, 1.0), make(0.0, 0.0))
    np.testing.assert_allclose(got.quality["f/a"], (24 * 0.8 + 8 * 0.2) / 32)


def test_what_is_missing_counts_as_zero_where_ground_truth_counts_and_nowhere_else() -> None:
    truth = table({("f/a", "test", axis): [1.0, 1.0, None, 1.0] for axis in AXES})
    freeze = table({("f/a", "test", axis): [0.0, 0.2, 1.0, 0.2] for axis in AXES})
    model = table({("f/a", "test", axis): [1.0, None, 1.0, 0.8] for axis in AXES})
    qualities = clip_qualities({"model": model}, truth, freeze)
    assert qualities.counts()[Stratum("f/a", "test")].tolist() == [3, 3, 3]
    got = scored(model, truth, freeze)
    np.testing.assert_allclose(got.quality["f/a"], 1.8 / 3)
    np.testing.assert_allclose(got.task["f/a"], (0.6 - 0.4 / 3) / (1 - 0.4 / 3))


def test_a_missing_headline_row_of_a_scored_clip_counts_as_zero() -> None:
    truth = same_on_all_axes(f_a=1.0)
    model = same_on_all_axes(f_a=0.6)
    lost = (model["clip"] == "f/a.test.0") & model["axis"].notna()
    np.testing.assert_allclose(scored(model[~lost], truth, same_on_all_axes(f_a=0.0)).quality["f/a"], 0.3)


def test_samples_of_a_clip_are_averaged() -> None:
    model = table({("f/a", "test", axis): [0.5, 0.5] for axis in AXES}, samples=3)
    model.loc[(model["sample"] == 0) & (model["seed"] == 0), "quality"] = 0.2
    got = scored(model, same_on_all_axes(f_a=1.0), same_on_all_axes(f_a=0.0))
    np.testing.assert_allclose(got.quality["f/a"], ((0.5 + 0.5 + 0.2) / 3 + 0.5) / 2)


def test_an_axis_that_was_not_scored_is_absent() -> None:
    truth, freeze, model = same_on_all_axes(f_a=1.0), same_on_all_axes(f_a=0.0), same_on_all_axes(f_a=0.5)
    got = scored(model[model["axis"] != "drift"], truth, freeze)
    np.testing.assert_allclose(got.axis, [0.5, 0.5, np.nan])
    assert np.isnan(got.overall)


def test_a_reference_that_lacks_a_clip_is_refused() -> None:
    truth = same_on_all_axes(f_a=1.0)
    with pytest.raises(PhysbenchError, match=r"truth lack 1 of 2 clips, the first f/a\.test\.0"):
        clip_qualities({"model": truth}, truth[truth["seed"] != 0], truth)


qualities_of_clips = st.lists(st.floats(0, 1), min_size=8, max_size=8)


@settings(max_examples=8, deadline=None)
@given(qualities_of_clips, qualities_of_clips, qualities_of_clips, st.randoms())
def test_for_any_scores(model: list[float], truth: list[float], freeze: list[float], random) -> None:
    """Truth scores 1, freeze 0, order of rows does not matter, a better clip never costs."""

    def make(values: list[float]) -> pd.DataFrame:
        return table({(task, "test", axis): values[i : i + 4] for i, task in ((0, "f/a"), (4, "g/b")) for axis in AXES})

    tables = make(model), make(truth), make(freeze)
    got = scored(*tables)
    ideal, frozen = scored(make(truth), *tables[1:]), scored(make(freeze), *tables[1:])
    for a in range(3):
        if np.isfinite(got.axis[a]):
            assert got.axis[a] >= -1
            assert ideal.axis[a] == pytest.approx(1)  # guards of truth cost nothing
            assert frozen.axis[a] == pytest.approx(0)
    order = list(range(len(tables[0])))
    random.shuffle(order)
    np.testing.assert_array_equal(scored(tables[0].iloc[order], *tables[1:]).axis, got.axis)
    better = scored(make([min(1.0, q + 0.1) for q in model]), *tables[1:])
    assert np.all(~(better.axis < got.axis - 1e-9))
