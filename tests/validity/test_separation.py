"""AUROC, its intervals and bounds of shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm

from physbench.validity.table import Separation, auroc, least_likely_share, mean_of, most_likely_share, separation


def test_auroc_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 30).astype(float), rng.integers(0, 5, 40).astype(float)
    assert auroc(a, b) == pytest.approx(mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    found = separation(a, np.arange(30), b, np.arange(40))
    assert found.value == pytest.approx(auroc(a, b)) and found.clips == 30
    assert np.isnan(auroc(a[:0], b))


def test_the_variance_is_that_of_clips_left_out_one_by_one() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 9), rng.normal(0, 1, 18)
    seeds, others = np.arange(9), np.tile(np.arange(9), 2)
    left = [auroc(a[seeds != s], b[others != s]) for s in range(9)]
    expected = 8 / 9 * sum((value - auroc(a, b)) ** 2 for value in left)
    found = separation(a, seeds, b, others)
    assert found.variance == pytest.approx(expected) and found.degrees == pytest.approx(8)


def drawn(rng: np.random.Generator, shift: float, few: int, many: int, shared: float) -> Separation:
    """Normals of `few` clips that are told from three lawful videos each of `many`, with what a clip shares."""
    clip = rng.normal(0, np.sqrt(shared), many)
    own = np.sqrt(1 - shared)
    positive = shift + clip[:few] + rng.normal(0, own, few)
    negative = np.tile(clip, 3) + rng.normal(0, own, 3 * many)
    return separation(positive, np.arange(few), negative, np.tile(np.arange(many), 3))


@pytest.mark.parametrize("area", [0.6, 0.9, 0.96, 0.99])
@pytest.mark.parametrize(
    ("few", "many"), [(12, 24), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((8, 16), (30, 60)))]
)
def test_intervals_contain_the_known_value(area: float, few: int, many: int) -> None:
    rng, shift = np.random.default_rng([few, round(area * 100)]), float(np.sqrt(2) * norm.ppf(area))
    ends = np.array([drawn(rng, shift, few, many, 0.5).interval() for _ in range(300)])
    inside = ((ends[:, 0] <= area) & (area <= ends[:, 1])).mean()
    assert inside >= 0.92  # sd 0.013 around 0.95; plain percentiles reach 0.73 at 12 clips and 0.96


def test_intervals_of_a_family_contain_the_known_value() -> None:
    rng, shift = np.random.default_rng(5), float(np.sqrt(2) * norm.ppf(0.95))
    ends = np.array([mean_of([drawn(rng, shift, n, 2 * n, 0.5) for n in (12, 12, 20)]).interval() for _ in range(300)])
    assert ((ends[:, 0] <= 0.95) & (ends[:, 1] >= 0.95)).mean() >= 0.92
    assert np.median(ends[:, 1] - ends[:, 0]) < 0.12


def test_what_was_not_seen_may_still_happen() -> None:
    def apart(n: int) -> tuple[float, float]:
        return separation(np.ones(n), np.arange(n), np.zeros(2 * n), np.arange(2 * n)).interval()

    assert apart(100) == (pytest.approx(0.05 ** (1 / 100)), 1.0)
    assert 0.97 <= apart(100)[0] < 0.971 and 0.77 < apart(12)[0] < 0.8  # the rule of three: 3 / n
    assert np.isnan(apart(7)).all()
    wrong = separation(np.zeros(20), np.arange(20), np.ones(20), np.arange(20)).interval()
    assert wrong == (0.0, pytest.approx(1 - 0.05 ** (1 / 20)))
    both = [separation(np.ones(50), np.arange(50), np.zeros(50), np.arange(50))] * 2
    assert mean_of(both).interval() == pytest.approx(apart(100))
    nothing = Separation(float("nan"), 0.0, 1.0, 0)
    assert mean_of([both[0], nothing]).interval() == pytest.approx(apart(50)) and np.isnan(mean_of([nothing]).value)


@pytest.mark.parametrize(("count", "of"), [(0, 100), (3, 1000), (20, 1000), (6, 150)])
def test_bounds_of_a_share_are_those_of_clopper_and_pearson(count: int, of: int) -> None:
    upper = binomtest(count, of, alternative="less").proportion_ci(0.95).high
    lower = binomtest(count, of, alternative="greater").proportion_ci(0.95).low
    assert most_likely_share(count, of) == pytest.approx(upper, abs=1e-9)
    assert least_likely_share(count, of) == pytest.approx(lower, abs=1e-9)
    assert most_likely_share(of, of) == 1.0 and np.isnan(most_likely_share(0, 0))
