"""Error over time against NumPy, and what missing objects do to it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from physbench.results.curves import CurvePool, first_off, pool

TIMES = np.array([0.1, 0.2, 0.3])


def test_quantiles_are_those_of_numpy() -> None:
    table = np.random.default_rng(1).uniform(0, 5, size=(6, 21))
    curve = pool([table[:, :8], table[:, 8:]], 6)
    for got, share in ((curve.low, 0.25), (curve.median, 0.5), (curve.high, 0.75)):
        np.testing.assert_allclose(got, np.quantile(table, share, axis=1, method="inverted_cdf"))
    np.testing.assert_allclose(curve.present, 1)


def test_what_is_absent_is_infinitely_far_and_what_is_not_due_does_not_count() -> None:
    table = np.array([[0.1, 0.2, np.inf], [np.inf, 0.2, np.inf], [np.nan, np.nan, np.nan], [np.nan, 3.0, np.nan]])
    curve = pool([table], 4)
    np.testing.assert_array_equal(curve.median, [0.2, np.inf, np.nan, 3.0])
    np.testing.assert_allclose(curve.present, [2 / 3, 1 / 3, np.nan, 1.0])
    np.testing.assert_allclose(curve.off, [1 / 3, 2 / 3, np.nan, 1.0])


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
    assert np.all(curve.low[some] <= curve.median[some])
    assert np.all(curve.median[some] <= curve.high[some])
    assert np.all((curve.present[some] >= 0) & (curve.present[some] <= 1))
    assert np.all(np.isinf(curve.median[some]) == (curve.present[some] < 0.5))


def test_first_off() -> None:
    error = np.array([[0.5, np.inf, np.nan], [1.5, np.nan, 0.1], [np.inf, 0.2, 1.0]])
    assert first_off(TIMES, error) == [(0.2, 0.3), (None, 0.1), (None, None)]
