"""Intervals against SciPy and closed forms, what must hold for any values, and how often 95 % intervals hold skill.

For the last, populations of clips are made up. A quality follows from a rank u in 0..1 by the inverse of its
distribution, so that its mean, and with it skill, is known by quadrature. Models and references share half of the
variance of a clip's rank: hard clips are hard for all.

    python tests/result/test_bootstrap.py     prints the figures of docs/design/skill.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta

from physbench.result.bootstrap import RESAMPLES, median_interval, over_tasks, resample, widening
from physbench.result.skill import Kind, Skills, Stratum, skills, task_means

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


Array = NDArray[np.float64]
Shape = Callable[[Array, Array], Array]  # ranks (..., n) and a rate in 0..1 that broadcasts to them -> qualities
ACCURACY = 4000  # points of a quadrature
SOURCES = 4  # two models, truth, freeze


def _shape(zeros: float, ones: float, a: float, b: float) -> Shape:
    """A share of zeros, a share of ones, and a beta distribution between them."""
    grid = np.linspace(0, 1, 4001)
    between = beta.ppf(grid, a, b)

    def quality(u: Array, rate: Array) -> Array:
        inner = np.interp((u - zeros) / max(1 - zeros - ones, 1e-9), grid, between)
        return np.where(u < zeros, 0.0, np.where(u >= 1 - ones, 1.0, inner))

    return quality


def _seldom(u: Array, rate: Array) -> Array:
    """1 but for 1 to 30 % of the clips, where it is anything; how many, differs between populations."""
    share = 10 ** (-2 + 1.5 * rate)
    return np.where(u < share, u / share, 1.0)


SHAPES: dict[str, Shape] = {
    "broad": _shape(0, 0, 2, 1.5),
    "low": _shape(0.1, 0, 0.7, 3),
    "zeros and ones": _shape(0.4, 0.3, 1, 1),
    "bimodal": _shape(0.05, 0.05, 0.25, 0.25),
    "yes or no": _shape(0.5, 0.5, 1, 1),
    "narrow": _shape(0, 0, 20, 20),
    "mostly zero": _shape(0.85, 0, 1, 1),
    "seldom fails": _seldom,
    "always 1": _shape(0, 1, 1, 1),
    "truth": _shape(0, 0.8, 20, 1),
    "freeze": _shape(0.3, 0, 1, 7),
    "freeze guard": _shape(0, 0.9, 10, 1),
}


@dataclass(frozen=True)
class Suite:
    """What every task looks like: shapes of model, second model, truth and freeze on each of the axes, and its kind."""

    tasks: Mapping[str, tuple[tuple[tuple[str, str, str, str], ...], tuple[Kind, ...]]]
    clips: Mapping[str, int]  # by split


CORE = {"test": 24, "ood": 8}


def one_task(shape: str, clips: Mapping[str, int], other: str = "broad") -> Suite:
    """An informative task on a single axis."""
    return Suite({"f/a": (((shape, other, "truth", "freeze"),), ("informative",))}, clips)


def many_tasks(shapes: Sequence[str], clips: Mapping[str, int], families: int = 5, guards: bool = True) -> Suite:
    """A suite of as many tasks as shapes, three axes; permanence asks for what is guarded in two of three tasks."""
    tasks: dict[str, tuple[tuple[tuple[str, str, str, str], ...], tuple[Kind, ...]]] = {}
    for i in range(len(shapes)):
        rows, kinds = [], []
        for a in range(3):
            model, other = shapes[(i + 3 * a) % len(shapes)], shapes[(i + 5 * a + 1) % len(shapes)]
            kind: Kind = "guard" if guards and a == 1 and i % 3 else "informative"
            if kind == "guard":
                model, other = ("seldom fails", "always 1")[i % 2], "seldom fails"
            rows.append((model, other, "truth", "freeze guard" if kind == "guard" else "freeze"))
            kinds.append(kind)
        tasks[f"f{i % families}/t{i}"] = (tuple(rows), tuple(kinds))
    return Suite(tasks, clips)


MIXED = (
    "broad",
    "low",
    "zeros and ones",
    "bimodal",
    "yes or no",
    "seldom fails",
    "mostly zero",
    "broad",
    "narrow",
    "seldom fails",
    "zeros and ones",
    "broad",
    "always 1",
    "bimodal",
)
GOOD = ("seldom fails", "always 1", "seldom fails", "seldom fails", "narrow", "seldom fails", "always 1")
SINGLE = tuple(SHAPES)[:8]
SUITES: dict[str, Suite] = {
    **{f"a task of 24 + 8 clips, {shape}": one_task(shape, CORE) for shape in SINGLE},
    **{f"a task of 8 clips, {shape}": one_task(shape, {"test": 8}) for shape in SINGLE},
    "14 tasks x (24 + 8), mixed": many_tasks(MIXED, CORE),
    "14 tasks x (24 + 8), a good model": many_tasks(GOOD * 2, CORE),
    "4 tasks x 8, mixed": many_tasks(("broad", "yes or no", "zeros and ones", "seldom fails"), {"test": 8}, 2),
}
Statistic = Callable[[Skills], Array]
STATISTICS: dict[str, Statistic] = {
    "task": lambda found: np.asarray(next(iter(found.task.values()))[..., 0]),
    "axis": lambda found: np.asarray(found.axis[..., 0]),
    "guarded axis": lambda found: np.asarray(found.axis[..., 1]),
    "overall": lambda found: found.overall,
}


def statistics(suite: Suite) -> dict[str, Statistic]:
    """Those of STATISTICS that differ in a suite."""
    return STATISTICS if len(suite.tasks) > 1 else {"task": STATISTICS["task"]}


def _draw(rng: np.random.Generator, shapes: Sequence[Sequence[str]], rates: Array, n: int) -> Array:
    """Qualities (B, S, A, n) of n clips in B populations of the given rates (B, S, A, 1)."""
    populations, axes = len(rates), len(shapes)
    shared = rng.normal(size=(populations, 1, 1, n)) + rng.normal(size=(populations, 1, axes, n))
    own = rng.normal(size=(populations, SOURCES, axes, n))
    u = ndtr(shared / 2 + own / np.sqrt(2))
    out = np.empty_like(u)
    for a, row in enumerate(shapes):
        for s, name in enumerate(row):
            out[:, s, a] = SHAPES[name](u[:, s, a], rates[:, s, a])
    return np.asarray(out, dtype=np.float64)


def _known(shapes: Sequence[Sequence[str]], rates: Array) -> Array:
    """True means (B, S, A)."""
    u = (np.arange(ACCURACY) + 0.5)[None] / ACCURACY
    out = np.empty(rates.shape[:3])
    for a, row in enumerate(shapes):
        for s, name in enumerate(row):
            out[:, s, a] = SHAPES[name](u, rates[:, s, a]).mean(axis=-1)
    return out


def coverage(
    suite: Suite, repetitions: int = 2000, resamples: int = 1000, batch: int = 50, seed: int = 5
) -> dict[str, float]:
    """How often the 95 % interval holds the known value, of each statistic and of its paired difference."""
    rng = np.random.default_rng(seed)
    kinds = {task: kind for task, (_, kind) in suite.tasks.items()}
    hits: dict[str, float] = {}
    for _ in range(repetitions // batch):
        rates = {t: rng.uniform(size=(batch, SOURCES, len(kind), 1)) for t, kind in kinds.items()}
        shapes = {task: rows for task, (rows, _) in suite.tasks.items()}
        axes = len(next(iter(kinds.values())))
        flat, bounded = {}, np.arange(batch * SOURCES * axes).reshape(batch, SOURCES, axes)[:, :2].ravel().tolist()
        for task in suite.tasks:
            for split, n in suite.clips.items():
                values = _draw(rng, shapes[task], rates[task], n)
                flat[Stratum(task, split)] = values.reshape(-1, n)
        drawn = resample(flat, resamples=resamples, bounded=bounded)
        means = {key: rows.reshape(-1, batch, SOURCES, axes) for key, rows in drawn.means.items()}
        counts = {key: np.full(axes, suite.clips[key.split]) for key in flat}
        by_task = task_means(means, counts)
        first, second = (skills(by_task, kinds, model, slice(2, 4)) for model in (0, 1))
        truth = {task: _known(shapes[task], rates[task]) for task in suite.tasks}
        known, known_second = (skills(truth, kinds, model, slice(2, 4)) for model in (0, 1))
        for name, of in statistics(suite).items():
            alone = drawn.interval(of(first))
            paired = drawn.interval(of(first), of(second))
            for label, (low, high), value in (
                (name, alone, of(known)),
                (f"{name}, difference", paired, of(known) - of(known_second)),
            ):
                held = (low - 1e-9 <= value) & (value <= high + 1e-9)
                hits[label] = hits.get(label, 0.0) + float(held.sum())
    return {name: count / (repetitions // batch * batch) for name, count in hits.items()}


def test_of_a_task_and_of_the_difference_of_two_models() -> None:
    """400 evaluations: 95 % +- 3 %. Plain percentiles at 8 clips hold it in 88 %."""
    found = coverage(one_task("broad", CORE), repetitions=400, resamples=600, batch=400)
    assert all(0.92 <= share <= 0.98 for share in found.values()), found
    found = coverage(one_task("broad", {"test": 8}), repetitions=400, resamples=600, batch=400)
    assert all(0.91 <= share <= 0.98 for share in found.values()), found


def test_of_axes_and_overall() -> None:
    """Many strata of 8 clips: plain percentiles hold an axis in 90 to 92 %."""
    found = coverage(many_tasks(MIXED[:4], {"test": 8}, 2, guards=False), repetitions=300, resamples=400, batch=100)
    assert all(0.91 <= share <= 0.985 for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("title", SUITES)
def test_of_everything(title: str) -> None:
    """93 to 97 % at the 24 + 8 clips of core and in suites; a lone task of 8 clips: near."""
    suite = SUITES[title]
    found = coverage(suite, batch=50 if len(suite.tasks) > 4 else 200)
    few = len(suite.tasks) == 1 and suite.clips == {"test": 8}
    low, high = (0.92, 0.98) if few else (0.93, 0.97)
    print(title, found)
    assert all(low <= share <= high for share in found.values()), found


if __name__ == "__main__":
    for title, found_suite in SUITES.items():
        if len(sys.argv) < 2 or sys.argv[1] in title:
            found = coverage(found_suite, batch=50 if len(found_suite.tasks) > 4 else 200)
            print(
                f"| {title} | " + " | ".join(f"{name} {value:.3f}" for name, value in found.items()) + " |", flush=True
            )
