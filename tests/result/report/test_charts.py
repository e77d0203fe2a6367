"""Charts: well-formed, escaped, in the page's colours, the same again, with words; error over time against NumPy."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from physbench.result.document import ResultDocument, TaskResult
from physbench.result.report.charts import (
    CurvePool,
    GroupCurves,
    axis_chart,
    error_chart,
    even_ticks,
    first_off,
    hidden_spans,
    pool,
)

PAGE_COLOURS = [f"var(--{name})" for name in ("soft", "line", "model", "freeze", "cv", "truth", "band")]


def result(name: str, **changes: Any) -> ResultDocument:
    found = TaskResult(
        kind="informative",
        why="truth 1.00, freeze 0.10: apart by 0.25 or more",
        quality=0.5,
        interval=(0.4, 0.6),
        clips=8,
        skill=0.4,
        skill_interval=None,
        references={"truth": 1.0, "freeze": 0.1, "constant-velocity": 0.3},
        splits={},
    ).model_copy(update=changes)
    return ResultDocument.model_construct(tasks={name: {"drift": found}})


def family(name: str = "orbits") -> GroupCurves:
    pool = CurvePool(name)
    times = np.arange(1, 31) / 10
    error = np.stack([times, times**2, np.where(times > 2, np.inf, 0.1)], axis=1)
    pool.add(times, {"model": error, "freeze": 2 * error}, 2.5)
    return pool.result()


@pytest.mark.parametrize("name", ["orbits/kepler-v1", 'a"b<script>&/c$x$-v1', "plain"])
def test_axis_chart(name: str) -> None:
    chart = axis_chart(result(name), "drift")
    root = ElementTree.fromstring(chart)
    label = root.attrib["aria-label"]
    assert label.startswith("Quality by task, drift.")
    assert "model 0.50, truth 1.00, freeze 0.10" in label
    assert "<script" not in chart
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', chart)) <= {"none", *PAGE_COLOURS}
    assert chart == axis_chart(result(name), "drift")


@pytest.mark.parametrize("kind", ["guard", "unscored", "absent"])
def test_what_is_not_informative_is_marked(kind: str) -> None:
    changes: dict[str, object] = {"kind": kind, "interval": None}
    if kind == "absent":
        changes |= {"quality": None, "references": dict.fromkeys(("truth", "freeze", "constant-velocity"))}
    assert f">{kind}</text>" in axis_chart(result("a/b-v1", **changes), "drift")


def test_error_chart() -> None:
    chart = error_chart(family())
    label = ElementTree.fromstring(chart).attrib["aria-label"]
    assert "Predictable for 2.5 s." in label
    assert "model: median off by a diameter at 1.1 s." in label
    assert "constant velocity" not in label  # it was not given
    assert "nan" not in chart.lower().replace("nano", "")


def bands(chart: str) -> list[str]:
    """The areas of a chart through which the lines are seen."""
    return re.findall(r'fill-opacity="0\.2"', chart)


def test_a_band_is_drawn_where_there_are_clips_enough() -> None:
    pool = CurvePool("falling/projectile-v1")
    times = np.arange(1, 11) / 10
    for clip in range(9):
        pool.add(times, {"model": (clip + 1) * times[:, None], "truth": np.full((10, 1), 0.01)}, None)
    chart = error_chart(pool.result(), small=True)
    assert bands(chart)
    assert "truth: median within a diameter" in chart
    assert not bands(error_chart(family()))


def test_ids_of_two_charts_differ() -> None:
    ids = [set(re.findall(r'id="([^"]+)"', error_chart(family(name)))) for name in ("orbits", "fall<ing")]
    assert not ids[0] & ids[1]
    assert all(re.fullmatch(r"[\w.-]+", name) for found in ids for name in found)


def test_a_family_without_any_due_object() -> None:
    pool = CurvePool("empty")
    pool.add(np.array([0.1, 0.2]), {"model": np.full((2, 1), np.nan)}, None)
    ElementTree.fromstring(error_chart(pool.result()))


def test_a_curve_has_a_gap_where_objects_are_hidden() -> None:
    """Behind a screen the median is that of the few objects left, and jumps."""
    pool = CurvePool("occlusion")
    times = np.arange(1, 31) / 10
    error = np.full((30, 2), 0.1)
    error[9:20, 0] = np.nan
    pool.add(times, {"model": error, "truth": error}, None)
    group = pool.result()
    assert hidden_spans(group) == [pytest.approx((0.95, 2.05))]
    chart = error_chart(group)
    assert (
        ">hidden</text>" in chart and "Hidden from 0.9 to 2.0 s." in ElementTree.fromstring(chart).attrib["aria-label"]
    )
    seen = CurvePool("occlusion")
    seen.add(times, {"model": np.full((30, 2), 0.1), "truth": error[:, 1:]}, None)
    assert hidden_spans(seen.result()) == [] and ">hidden<" not in error_chart(seen.result())
    assert hidden_spans(GroupCurves("none", times, {}, None)) == []


@pytest.mark.parametrize(
    ("low", "high", "most", "labels"),
    [
        (0, 4, 9, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]),
        (0, 4, 5, ["0", "1", "2", "3", "4"]),
        (0, 0.55, 2, ["0.0", "0.5"]),
        (-0.2, 2.2, 5, ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        (1012.5, 1013.1, 5, ["1012.6", "1012.8", "1013.0"]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, most: int, labels: list[str]) -> None:
    ticks, said = even_ticks(low, high, most)
    assert said == labels and ticks == pytest.approx([float(label) for label in labels])


TIMES = np.array([0.1, 0.2, 0.3])


def test_the_median_is_that_of_numpy() -> None:
    table = np.random.default_rng(1).uniform(0, 5, size=(6, 21))
    curve = pool([table[:, :8], table[:, 8:]], 6)
    np.testing.assert_allclose(curve.median, np.quantile(table, 0.5, axis=1, method="inverted_cdf"))
    np.testing.assert_allclose(curve.present, 1)
    assert curve.median_band is None and curve.present_band is None  # two clips


def test_bands_are_those_of_resampled_clips() -> None:
    """Against SciPy's bootstrap of the mean of a share; objects of one clip stay together."""
    from scipy.stats import bootstrap

    rng = np.random.default_rng(3)
    seen = rng.uniform(size=(40, 1)) < rng.uniform(0.2, 1.0, size=(40, 1))  # per clip
    clips = [np.where(np.repeat(one, 3)[None], 0.5, np.inf) for one in seen]  # three objects, all seen or none
    curve = pool(clips, 1)
    assert curve.present_band is not None
    found = bootstrap((seen[:, 0].astype(float),), np.mean, method="percentile", rng=1).confidence_interval
    np.testing.assert_allclose([end[0] for end in curve.present_band], found, atol=0.04)


def test_the_band_of_the_median_holds_it_and_shrinks_with_the_clips() -> None:
    rng = np.random.default_rng(5)
    widths = []
    for n in (8, 128):
        curve = pool(list(rng.lognormal(size=(n, 4, 2))), 4)
        assert curve.median_band is not None
        low, high = curve.median_band
        assert np.all(low <= curve.median) and np.all(curve.median <= high)
        widths.append(float(np.mean(high - low)))
    assert widths[1] < 0.5 * widths[0]
    assert pool(list(rng.lognormal(size=(7, 4, 2))), 4).median_band is None
    assert pool(list(rng.lognormal(size=(9, 4, 2))), 4, bands=False).median_band is None


def test_long_clips_are_thinned_out() -> None:
    clips = CurvePool("orbits/kepler-v1")
    times = np.arange(1, 241) / 30
    clips.add(times, {"model": times[:, None]}, None)
    found = clips.result()
    assert len(found.times) <= 64
    assert found.times[0] == times[0] and found.times[-1] == times[-1]
    np.testing.assert_array_equal(found.curves["model"].median, found.times)


def test_what_is_absent_is_infinitely_far_and_what_is_not_due_does_not_count() -> None:
    table = np.array([[0.1, 0.2, np.inf], [np.inf, 0.2, np.inf], [np.nan, np.nan, np.nan], [np.nan, 3.0, np.nan]])
    curve = pool([table], 4)
    np.testing.assert_array_equal(curve.median, [0.2, np.inf, np.nan, 3.0])
    np.testing.assert_allclose(curve.present, [2 / 3, 1 / 3, np.nan, 1.0])


def test_clips_of_different_length_are_pooled() -> None:
    clips = CurvePool("orbits")
    clips.add(TIMES[:2], {"model": np.ones((2, 1))}, 1.0)
    clips.add(TIMES, {"model": np.full((3, 2), 2.0)}, 3.0)
    family = clips.result()
    np.testing.assert_array_equal(family.times, TIMES)
    np.testing.assert_array_equal(family.curves["model"].median, [2, 2, 2])
    assert family.predictability == 2.0


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (3, 5), elements=st.floats(0, 9) | st.sampled_from([np.nan, np.inf])))
def test_for_any_errors(table: np.ndarray) -> None:
    curve = pool([table], 3)
    some = ~np.isnan(curve.median)
    np.testing.assert_array_equal(some, (~np.isnan(table)).any(axis=1))
    assert np.all((curve.present[some] >= 0) & (curve.present[some] <= 1))
    assert np.all(np.isinf(curve.median[some]) == (curve.present[some] < 0.5))


def test_first_off() -> None:
    error = np.array([[0.5, np.inf, np.nan], [1.5, np.nan, 0.1], [np.inf, 0.2, 1.0]])
    assert [first_off(TIMES, of_object) for of_object in error.T] == [0.2, None, None]
