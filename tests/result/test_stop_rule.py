"""The rule by which a run with `--until` stops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from physbench.result import stop_rule
from physbench.result.bootstrap import MISS
from physbench.result.skill import Stratum
from physbench.result.stop_rule import INTERIM_FRACTIONS, interim_analysis, interim_points, misses

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def bounds(fractions: tuple[float, ...]) -> np.ndarray:
    """In standard errors."""
    return -ndtri(np.array(misses(fractions)) / 2)


@pytest.mark.parametrize(
    ("spent", "published"),
    [
        (lambda t: 0.05 * np.log(1 + (np.e - 1) * t), (2.438, 2.427, 2.410, 2.397, 2.386)),
        (lambda t: 4 * (1 - _phi(2.2414 / np.sqrt(max(t, 1e-9)))), (4.877, 3.357, 2.680, 2.290, 2.031)),
    ],
    ids=["Pocock", "O'Brien and Fleming"],
)
def test_boundaries_are_the_published_ones(
    spent: object, published: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five equal looks, two-sided 0.05, the spending functions of Lan and DeMets 1983 (each side its half): the values
    that textbooks and the package ldbounds give."""
    monkeypatch.setattr(stop_rule, "spent", spent)
    assert bounds(FIVE) == pytest.approx(published, abs=0.002)


def _phi(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(z))


def test_all_looks_together_miss_as_often_as_may_be() -> None:
    """By the multivariate normal distribution of three looks, instead of the recursion."""
    fractions = (0.25, 0.5, 1.0)
    limit = bounds(fractions)
    early = np.minimum.outer(fractions, fractions) / np.sqrt(np.outer(fractions, fractions))
    inside = multivariate_normal(cov=early).cdf(limit, lower_limit=-limit)
    assert 1 - inside == pytest.approx(MISS, abs=2e-4)
    assert misses((1.0,)) == pytest.approx((MISS,))


def test_the_whole_suite_costs_little_width() -> None:
    """At the end the half width is at most 1.15 of the plain one; earlier looks are ever stricter."""
    found = bounds(INTERIM_FRACTIONS)
    assert found[-1] / bounds((1.0,))[0] < 1.11
    assert (np.diff(found) < 0).all()
    assert misses(INTERIM_FRACTIONS[:3]) == pytest.approx(misses(INTERIM_FRACTIONS)[:3]), (
        "a look depends on those before it alone"
    )


def steps(size: int, splits: dict[str, int], tasks: int = 3) -> tuple[list[Counter], Counter]:
    """What is done after each batch of so many clips of one task, the tasks in turn, their splits mixed."""
    whole = Counter({(f"a/{t}", split): n for t in range(tasks) for split, n in splits.items()})
    order = sorted((k / n, split) for split, n in splits.items() for k in range(n))
    done: list[Counter] = []
    for first in range(0, len(order), size):
        for task in range(tasks):
            new = Counter((f"a/{task}", split) for _, split in order[first : first + size])
            done.append((done[-1] if done else Counter()) + new)
    return done, whole


def test_looks_are_at_fixed_fractions() -> None:
    done, whole = steps(1, {"test": 24, "ood": 8})
    assert [sum(done[point - 1].values()) / 96 for point in interim_points(done, whole)] == list(INTERIM_FRACTIONS)
    done, whole = steps(16, {"test": 24, "ood": 8})  # six steps: some fractions are reached together
    assert interim_points(done, whole) == [2, 3, 4, 5, 6]


def test_no_look_where_a_split_lags_behind() -> None:
    """A task with its test clips alone has another skill than with all."""
    key, other = ("a/b", "test"), ("a/b", "ood")
    done = [Counter({key: 12}), Counter({key: 24}), Counter({key: 24, other: 8})]
    assert interim_points(done, done[-1]) == [3]


KINDS = {f"{family}/t": ("informative",) for family in "ab"}
REFERENCES = {task: np.array([[1.0], [0.2]]) for task in KINDS}


def qualities(n: int, split: str = "test") -> dict[Stratum, np.ndarray]:
    rng = np.random.default_rng(3)
    return {Stratum(task, split): rng.uniform(0.3, 0.7, size=(1, n)) for task in KINDS}


def test_skill_is_that_of_fixed_references() -> None:
    """Closed form: mean over tasks of (Q - freeze) / (truth - freeze), and t times its standard error."""
    values = qualities(16)
    found = interim_analysis(values, REFERENCES, KINDS, (0,), MISS)
    each = np.array([(block.mean() - 0.2) / 0.8 for block in values.values()])
    assert found.skill == pytest.approx(each.mean(), abs=1e-6)
    error = np.sqrt(sum((block.std(ddof=1) / 0.8) ** 2 / 16 for block in values.values())) / 2
    assert found.half_width == pytest.approx(2.04 * error, rel=0.05)  # t with 30 degrees of freedom
    assert interim_analysis(values, REFERENCES, KINDS, (0,), 0.003).half_width > 1.4 * found.half_width


def test_few_clips_give_no_interval() -> None:
    few = interim_analysis(qualities(7), REFERENCES, KINDS, (0,), MISS)
    assert few.interval is None and few.half_width == np.inf and "7 of a task" in few.reason and few.skill is not None
    one = {key: block for key, block in qualities(16).items() if key.task == "a/t"}
    assert interim_analysis(one, REFERENCES, KINDS, (0,), MISS).skill is None, "a task without a clip"


def test_a_difference_between_splits_is_no_error() -> None:
    """What every clip of a split has in common adds nothing to the width, unless a split has one clip."""
    test = qualities(24)
    shifted = test | {Stratum(key.task, "ood"): block[:, :8] + 0.3 for key, block in test.items()}
    alike = test | {Stratum(key.task, "ood"): block[:, :8] for key, block in test.items()}
    apart, same = (interim_analysis(each, REFERENCES, KINDS, (0,), MISS).half_width for each in (shifted, alike))
    assert apart == pytest.approx(same, rel=1e-4)
    lone = test | {Stratum(key.task, "ood"): block[:, :1] + 0.3 for key, block in test.items()}
    assert interim_analysis(lone, REFERENCES, KINDS, (0,), MISS).half_width > same
