"""Intervals against SciPy, by simulation of their coverage, and what must hold for any values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.scoring.bootstrap import interval, mean_interval, median_interval, resampled_means, widening
from physbench.scoring.skill import Stratum, skills, task_means

TEST, OOD = Stratum("f/a", "test"), Stratum("f/a", "ood")


def test_one_stratum_agrees_with_scipy_before_widening() -> None:
    values = np.random.default_rng(1).beta(2, 1, size=24)
    draws = resampled_means({TEST: values[None]}, resamples=40_000)[TEST][:, 0]
    low, high = values.mean() + (interval(draws) - values.mean()) / widening(24)
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


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_rule_of_three_where_all_values_are_equal(value: float) -> None:
    low, high = mean_interval({TEST: np.full(24, value)})
    assert low == pytest.approx(value - value * 3 / 24, abs=0.01)
    assert high == pytest.approx(value + (1 - value) * 3 / 24, abs=0.01)


def test_rule_of_three_only_for_the_rows_that_are_asked_for() -> None:
    draws = resampled_means({TEST: np.ones((2, 24))}, bounded=(0,))[TEST]
    assert np.ptp(draws[:, 0]) > 0.1
    assert np.ptp(draws[:, 1]) == 0


def test_the_mean_of_many_strata_of_equal_values_keeps_its_estimate() -> None:
    """Ground truth in 8 strata: at most 1, and not below what three unseen failures in 24 clips could make of it."""
    strata = {Stratum(f"f{i}/a", "test"): np.ones((1, 24)) for i in range(8)}
    draws = resampled_means(strata, bounded=(0,))
    low, high = interval(np.mean([draw[:, 0] for draw in draws.values()], axis=0))
    assert high == 1
    assert 1 - 3 / 24 < low < 1 - 1 / 24


def test_references_move_with_the_clips() -> None:
    """A model that is ground truth has skill 1 in every resample, one that is the frozen frame 0."""
    rng = np.random.default_rng(3)
    truth, freeze = rng.uniform(0.8, 1, 24), rng.uniform(0, 0.3, 24)
    block = np.stack([truth, freeze, truth, freeze])[:, None, :]  # (S, A = 1, n)
    draws = {TEST: resampled_means({TEST: block.reshape(4, -1)})[TEST].reshape(-1, 4, 1)}
    means = task_means(draws, {TEST: np.array([24])})
    kind = {"f/a": ("informative",)}
    np.testing.assert_allclose(skills(means, kind, 0, slice(2, 4)).overall, 1)
    np.testing.assert_allclose(skills(means, kind, 1, slice(2, 4)).overall, 0, atol=1e-12)


def test_the_difference_of_two_models_is_paired() -> None:
    """Two models with the same hard clips: their difference is known better than either mean."""
    rng = np.random.default_rng(4)
    hard = rng.uniform(0, 0.8, 24)
    draws = resampled_means({TEST: np.stack([hard, hard + 0.1 + rng.normal(0, 0.01, 24)])})[TEST]
    low, high = interval(draws[:, 1] - draws[:, 0])
    assert 0.08 < low < 0.1 < high < 0.12
    assert np.ptp(interval(draws[:, 0])) > 5 * (high - low)


@pytest.mark.parametrize("values", [np.ones(24), np.zeros(24), np.linspace(0, 1, 24)], ids=["all 1", "all 0", "spread"])
def test_a_model_differs_from_itself_by_nothing(values: np.ndarray) -> None:
    draws = resampled_means({TEST: np.stack([values, values])}, bounded=(0, 1))[TEST]
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])


def test_draws_are_the_same_again_and_do_not_depend_on_other_strata() -> None:
    values = np.random.default_rng(5).uniform(size=(3, 24))
    alone = resampled_means({TEST: values})[TEST]
    together = resampled_means({OOD: values[:, :8], TEST: values})[TEST]
    np.testing.assert_array_equal(alone, together)
    assert not np.array_equal(alone, resampled_means({TEST: values}, seed=1)[TEST])


def test_values_that_do_not_count() -> None:
    """NaN leaves a value out: the interval is that of the rest."""
    values = np.random.default_rng(6).uniform(size=24)
    some = values.copy()
    some[20:] = np.nan
    got = interval(resampled_means({TEST: np.stack([values, some])})[TEST])
    alone = interval(resampled_means({TEST: values[None, :20]})[TEST])
    np.testing.assert_allclose(got[:, 1], alone[:, 0], atol=0.02)


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
    low, high = mean_interval({TEST: data}, resamples=2000)
    assert low - 1e-9 <= data.mean() <= high + 1e-9
    mirrored = mean_interval({TEST: 1 - data}, resamples=2000)
    if np.ptp(data) > 1e-9:
        np.testing.assert_allclose(mirrored, (1 - high, 1 - low), atol=1e-9)


def coverage(draw, truth: float, sizes: dict[Stratum, int], runs: int, resamples: int) -> float:
    """Share of simulated evaluations whose interval holds the true mean."""
    rng = np.random.default_rng(10)
    hits = 0
    for run in range(runs):
        strata = {key: draw(rng, n) for key, n in sizes.items()}
        low, high = mean_interval(strata, resamples=resamples, seed=run)
        hits += low <= truth <= high
    return hits / runs


def test_coverage_of_one_small_stratum() -> None:
    """8 normal values: plain percentiles cover 88 %, the widened ones 95 %."""
    got = coverage(lambda rng, n: rng.normal(0.5, 0.1, n), 0.5, {TEST: 8}, runs=400, resamples=1000)
    assert 0.92 <= got <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng, n: rng.beta(2, 1, n), 2 / 3),
        (lambda rng, n: rng.beta(0.5, 0.5, n), 0.5),
        (lambda rng, n: (rng.uniform(size=n) < 0.5).astype(float), 0.5),
        (lambda rng, n: np.where(rng.uniform(size=n) < 0.03, 0.0, 1.0), 0.97),
    ],
    ids=["skewed", "u-shaped", "yes or no", "nearly always"],
)
def test_coverage_of_a_task(draw, truth: float) -> None:
    """24 test and 8 ood clips of several distributions of quality."""
    got = coverage(draw, truth, {TEST: 24, OOD: 8}, runs=2000, resamples=1000)
    assert got >= 0.93
