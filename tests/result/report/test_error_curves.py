"""Error over time against NumPy, and what missing objects do to it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from physbench.result.report.charts import CurvePool, first_off, pool

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
    assert first_off(TIMES, error) == [(0.2, 0.3), (None, 0.1), (None, None)]
