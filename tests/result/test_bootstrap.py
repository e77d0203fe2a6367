"""Intervals against SciPy and closed forms, and what must hold for any values; how often they hold: test_coverage."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.result.bootstrap import RESAMPLES, median_interval, over_tasks, resample, widening
from physbench.result.skill import Stratum, skills, task_means

TEST, OOD = Stratum("f/a", "test"), Stratum("f/a", "ood")


def test_one_stratum_agrees_with_scipy_before_widening() -> None:
    values = np.random.default_rng(1).beta(2, 1, size=24)
    drawn = resample({TEST: values[None]}, resamples=40_000)
    low, high = values.mean() + (drawn.interval(drawn.means[TEST][:, 0]) - values.mean()) / widening(24)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(2)
    )
    spread = values.std() / np.sqrt(24)
    assert abs(low - reference.confidence_interval.low) < 0.05 * spread
    assert abs(high - reference.confidence_interval.high) < 0.05 * spread


def test_widening_gives_the_t_interval_of_a_mean() -> None:
    """Deviation of a bootstrap mean is s sqrt((n-1)/n) / sqrt(n); widened, 1.96 of them are t s / sqrt(n)."""
    for n in (8, 24, 400):
        plain = np.sqrt((n - 1) / n) / np.sqrt(n) * scipy.stats.norm.ppf(0.975)
        assert plain * widening(n) == pytest.approx(scipy.stats.t.ppf(0.975, n - 1) / np.sqrt(n), rel=1e-6)


def interval_of_mean(values: np.ndarray, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Of values (n,) in 0..1 of one stratum."""
    drawn = resample({TEST: values[None]}, resamples=resamples, bounded=(0,))
    low, high = drawn.interval(drawn.means[TEST][:, 0])
    return float(low), float(high)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_rule_of_three_where_all_values_are_equal(value: float) -> None:
    low, high = interval_of_mean(np.full(24, value))
    assert low == pytest.approx(value - value * 3 / 24, abs=0.01)
    assert high == pytest.approx(value + (1 - value) * 3 / 24, abs=0.01)


def test_rule_of_three_only_for_the_rows_that_are_asked_for() -> None:
    drawn = resample({TEST: np.ones((2, 24))}, bounded=(0,))
    found = drawn.interval(drawn.means[TEST])
    assert found[0, 0] == pytest.approx(1 - 3 / 24, abs=0.01) and found[0, 1] == found[1, 0] == found[1, 1] == 1


def test_many_strata_of_equal_values_are_as_good_as_one_of_all_their_clips() -> None:
    strata = {Stratum(f"f{i}/a", "test"): np.ones((1, 24)) for i in range(8)}
    drawn = resample(strata, bounded=(0,))
    low, high = drawn.interval(np.mean([means[:, 0] for means in drawn.means.values()], axis=0))
    assert high == 1
    assert low == pytest.approx(1 - 3 / (8 * 24), abs=0.002)


def test_two_that_never_failed_may_still_differ_but_not_from_themselves() -> None:
    drawn = resample({TEST: np.ones((2, 24))}, bounded=(0, 1))
    low, high = drawn.interval(*drawn.means[TEST].T)
    assert -3.2 / 24 < low < -1.5 / 24 and 1.5 / 24 < high < 3.2 / 24
    assert drawn.interval(*drawn.means[TEST].T, one_model=True).tolist() == [0, 0]


def test_degrees_of_freedom_follow_the_strata_that_a_statistic_rests_on() -> None:
    """Sum of two means whose variances are 4 : 1, against Welch's formula; a third stratum does not matter."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 12))
    a, b = (a - a.mean()) / a.std() * 2, (b - b.mean()) / b.std()
    strata = {Stratum("f/a", "test"): a[None], Stratum("f/b", "test"): b[None], Stratum("f/c", "test"): a[None]}
    drawn = resample(strata, resamples=40_000)
    low, high = drawn.interval(sum(drawn.means[key][:, 0] for key in list(strata)[:2]))
    df = (4 + 1) ** 2 / ((4**2 + 1) / 11)
    half = scipy.stats.t.ppf(0.975, df) * np.sqrt(5 / 11)  # sd / sqrt(n - 1) each
    assert (high - low) / 2 == pytest.approx(half, rel=0.02)


def test_references_move_with_the_clips() -> None:
    """A model that is ground truth has skill 1 in every resample, one that is the frozen frame 0."""
    rng = np.random.default_rng(3)
    truth, freeze = rng.uniform(0.8, 1, 24), rng.uniform(0, 0.3, 24)
    block = np.stack([truth, freeze, truth, freeze])[:, None, :]  # (S, A = 1, n)
    draws = {TEST: resample({TEST: block.reshape(4, -1)}).means[TEST].reshape(-1, 4, 1)}
    means = task_means(draws, {TEST: np.array([24])})
    kind = {"f/a": ("informative",)}
    np.testing.assert_allclose(skills(means, kind, 0, slice(2, 4)).overall, 1)
    np.testing.assert_allclose(skills(means, kind, 1, slice(2, 4)).overall, 0, atol=1e-12)


def test_the_difference_of_two_models_is_paired() -> None:
    """Two models with the same hard clips: their difference is known better than either mean."""
    rng = np.random.default_rng(4)
    hard = rng.uniform(0, 0.8, 24)
    drawn = resample({TEST: np.stack([hard, hard + 0.1 + rng.normal(0, 0.01, 24)])})
    first, second = drawn.means[TEST].T
    low, high = drawn.interval(second, first)
    assert 0.08 < low < 0.1 < high < 0.12
    assert np.ptp(drawn.interval(first)) > 5 * (high - low)


def test_draws_are_the_same_again_and_do_not_depend_on_other_strata() -> None:
    values = np.random.default_rng(5).uniform(size=(3, 24))
    alone = resample({TEST: values}).means[TEST][: 1 + RESAMPLES]
    together = resample({OOD: values[:, :8], TEST: values}).means[TEST][: 1 + RESAMPLES]
    np.testing.assert_array_equal(alone, together)
    assert not np.array_equal(alone, resample({TEST: values}, seed=1).means[TEST][: 1 + RESAMPLES])


def test_values_that_do_not_count() -> None:
    """NaN leaves a value out: the interval is that of the rest."""
    values = np.random.default_rng(6).uniform(size=24)
    some = values.copy()
    some[20:] = np.nan
    got, alone = (resample({TEST: rows}) for rows in (np.stack([values, some]), values[None, :20]))
    np.testing.assert_allclose(got.interval(got.means[TEST])[:, 1], alone.interval(alone.means[TEST])[:, 0], atol=0.02)


def test_median_against_scipy() -> None:
    values = np.random.default_rng(8).normal(9.8, 0.5, size=32)
    low, high = median_interval({TEST: values[:24], OOD: values[24:]}, resamples=20_000)
    reference = scipy.stats.bootstrap(
        (values,), np.median, n_resamples=20_000, method="percentile", rng=np.random.default_rng(9)
    )
    center, factor = np.median(values), widening(32)
    assert (low - center) / factor + center == pytest.approx(reference.confidence_interval.low, abs=0.1)
    assert (high - center) / factor + center == pytest.approx(reference.confidence_interval.high, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=8, max_size=30))
def test_for_any_values(values: list[float]) -> None:
    """The interval holds the mean, is not wider than what 0..1 allows when widened, and mirrors with its values."""
    data = np.array(values)
    low, high = interval_of_mean(data, 2000)
    assert low - 1e-9 <= data.mean() <= high + 1e-9
    mirrored = interval_of_mean(1 - data, 2000)
    if np.ptp(data) > 1e-9:
        np.testing.assert_allclose(mirrored, (1 - high, 1 - low), atol=1e-9)


def test_tasks_instead_of_clips() -> None:
    skills = [0.2, 0.5, 0.3, np.nan]
    low, high = scipy.stats.t.interval(0.95, 2, loc=np.mean(skills[:3]), scale=scipy.stats.sem(skills[:3]))
    assert over_tasks(skills) == pytest.approx((low, high))
    assert over_tasks(skills[2:]) is None
