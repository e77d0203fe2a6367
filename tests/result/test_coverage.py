"""How often 95 % intervals of skill hold the known skill, in made-up populations of clips.

A quality follows from a rank u in 0..1 by the inverse of its distribution, so that its mean, and with it skill, is
known by quadrature. Models and references share half of the variance of a clip's rank: hard clips are hard for all.

    python tests/result/test_coverage.py     prints the figures of docs/design/skill.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta

from physbench.result.bootstrap import resample
from physbench.result.skill import Kind, Skills, Stratum, skills, task_means

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
