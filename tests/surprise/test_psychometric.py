"""An observer with a known threshold gets it back, and one that guesses has none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.surprise.readings import FIT, curve_grid, fit_threshold, weibull

AMOUNTS = (0.1, 0.2, 0.4, 0.8, 1.6)


def observer(
    threshold: float, rng: np.random.Generator, clips: int = 20, steepness: float = 2.0, lapse: float = 0.02
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choices (C, A) of an observer with this threshold, one pair a clip and amount."""
    p = weibull(np.array(AMOUNTS), threshold, steepness, lapse)
    right = (rng.random((clips, len(AMOUNTS))) < p).astype(np.float64)
    return right, np.ones_like(right)


def test_a_curve_is_right_in_three_of_four_at_its_threshold_whatever_its_lapse_rate() -> None:
    for lapse in (0.0, 0.03, 0.06):
        assert weibull(np.array([0.4]), 0.4, 2.5, lapse)[0] == pytest.approx(FIT.noticed)
        assert weibull(np.array([1e-9]), 0.4, 2.5, lapse)[0] == pytest.approx(0.5, abs=1e-6)
        assert weibull(np.array([1e9]), 0.4, 2.5, lapse)[0] == pytest.approx(1 - lapse)


@pytest.mark.parametrize("true", [0.25, 0.5, 1.0])
def test_a_known_threshold_lies_in_its_interval(true: float) -> None:
    rng = np.random.default_rng(7)
    inside, found = 0, []
    for number in range(16):
        fit = fit_threshold(AMOUNTS, *observer(true, rng), seed=number)
        assert fit.interval is not None
        inside += fit.interval[0] <= true <= fit.interval[1]
        found.append(fit.amount)
    assert inside >= 13  # of 16 intervals of 95 %
    assert np.median(found) == pytest.approx(true, rel=0.25)


def test_a_guessing_observer_has_no_threshold() -> None:
    rng = np.random.default_rng(1)
    reached = 0
    for number in range(8):
        right = (rng.random((20, 5)) < 0.5).astype(np.float64)
        fit = fit_threshold(AMOUNTS, right, np.ones_like(right), seed=number)
        reached += fit.reached
        assert fit.interval is not None and fit.interval[1] == np.inf
    assert reached <= 1


def test_one_that_notices_everything_is_below_the_smallest_size() -> None:
    right = np.ones((12, 5))
    fit = fit_threshold(AMOUNTS, right, np.ones_like(right))
    assert fit.amount == AMOUNTS[0] and fit.interval == (AMOUNTS[0], AMOUNTS[0])
    assert fit.curve[-1] > 0.95


def test_a_perfect_step_has_its_threshold_between_the_two_sizes() -> None:
    right = np.tile([0.5, 0.5, 1.0, 1.0, 1.0], (12, 1))  # ties below
    fit = fit_threshold(AMOUNTS, right, np.ones_like(right))
    assert AMOUNTS[1] < fit.amount < AMOUNTS[2]


def test_more_clips_make_the_interval_narrower() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for clips in (12, 120):
        low, high = fit_threshold(AMOUNTS, *observer(0.4, rng, clips)).interval or (0.0, 0.0)
        widths.append(np.log(high / low))
    assert widths[1] < 0.6 * widths[0]


def test_curves_reach_over_all_amounts() -> None:
    grid = curve_grid(AMOUNTS)
    assert grid.probability.min() >= 0.5 and grid.probability.max() <= 1.0
    assert grid.thresholds[0] < AMOUNTS[0] and grid.thresholds[-1] > AMOUNTS[-1]
