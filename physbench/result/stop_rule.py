"""Stopping rule of a run with `--until`, as pure functions.

The overall skill is looked at after fixed fractions of the suite. At each look its interval is one of a level of its
own, so that all of them together contain the known skill 95 % of the time (repeated confidence intervals: Jennison and
Turnbull 1989, J. R. Stat. Soc. B 51:305). The chance that one misses is spent over the looks by a spending function
(Lan and DeMets 1983, Biometrika 70:659), here a(t) = a t^2 of the power family of Kim and DeMets 1987 (Biometrika
74:149), between Pocock's (near t) and that of O'Brien and Fleming (near t^3). So it does not matter why a run stopped.

Test and ood are pooled by task: it is the task that needs enough clips for an interval, as a fraction of the suite has
few of each. They are still drawn apart where each has two clips, since a difference between them is no error. The
references are those of the whole suite and fixed at their means, so that only the model's clips are drawn.
docs/design/skill.md has the evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from physbench.result.bootstrap import MISS, POOLED, RESAMPLES, Fixed, ends, resample, rounded, too_few
from physbench.result.skill import COUNTED, SCALE, Kind, Stratum, clip_qualities, kinds, skills, task_means
from physbench.score.protocol import AXES
from physbench.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

INTERIM_FRACTIONS = (1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1.0)  # fractions of the suite


def spent(fraction: float) -> float:
    """Part of MISS that may be spent up to a fraction (0..1) of the clips."""
    return float(MISS * fraction**2.0)  # of the spending function


def misses(fractions: Sequence[float]) -> tuple[float, ...]:
    """Miss probability of the interval of each look alone, such that all of them together keep to `spent`.

    The estimates at the looks are a Brownian motion in the fraction t of the clips, W(t) / sqrt(t) in standard errors.
    Boundaries +-z_k are found one after the other, by integrating over the paths that stayed inside the ones before
    (Armitage, McPherson and Rowe 1969, J. R. Stat. Soc. A 132:235).

    fractions: Rising, in (0, 1]. The looks that were not taken may be left out at the end.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    place, density = np.zeros(1), np.ones(1)  # of W at the look before: quadrature nodes, density x weight
    before, chances = 0.0, list[float]()
    for fraction in fractions:
        step, chance = np.sqrt(fraction - before), spent(fraction) - spent(before)

        def too_often(
            bound: float, place: Array = place, density: Array = density, step: float = step, chance: float = chance
        ) -> float:
            leaves = ndtr((-bound - place) / step) + ndtr((place - bound) / step)
            return float(density @ leaves) - chance

        bound = brentq(too_often, 1e-9, 12.0 * np.sqrt(fraction))  # standard errors; no boundary lies beyond
        chances.append(float(2 * ndtr(-bound / np.sqrt(fraction))))
        new = bound * nodes
        kernel = np.exp(-0.5 * ((new[:, None] - place) / step) ** 2) / (step * np.sqrt(2 * np.pi))
        place, density, before = new, bound * weights * (kernel @ density), fraction
    return tuple(chances)


def interim_points(done: Sequence[Mapping[tuple[str, str], int]], whole: Mapping[tuple[str, str], int]) -> list[int]:
    """At which steps of a run it is looked at: the first ones that reach each of INTERIM_FRACTIONS, each once.

    Args:
        done: After each step, how many clips of each (task, split) are done; the last step is that of the whole suite.
        whole: How many there are.

    Returns:
        Rising numbers of steps, from 1. Left out are steps at which the splits of a task are not done alike, within a
        clip: their skill would be that of another mixture.
    """
    total, points = sum(whole.values()), list[int]()
    for fraction in INTERIM_FRACTIONS:
        point = next(n for n, each in enumerate(done, 1) if sum(each.values()) >= fraction * total - 1e-9)
        if point not in points and _is_alike(done[point - 1], whole):
            points.append(point)
    return points


def _is_alike(done: Mapping[tuple[str, str], int], whole: Mapping[tuple[str, str], int]) -> bool:
    for task in {task for task, _ in whole}:
        keys = [key for key in whole if key[0] == task]
        share = sum(done.get(key, 0) for key in keys) / sum(whole[key] for key in keys)
        if any(abs(done.get(key, 0) - share * whole[key]) > 1 + 1e-9 for key in keys):
            return False
    return True


@dataclass(frozen=True)
class InterimSkill:
    """The overall skill of a part of the suite."""

    skill: float | None
    interval: tuple[float, float] | None
    reason: str = ""  # why there is no interval

    @property
    def half_width(self) -> float:
        """Half of the interval's width; infinite where there is none."""
        return np.inf if self.interval is None else round((self.interval[1] - self.interval[0]) / 2, 6)


def interim_analysis(
    values: Mapping[Stratum, Array],
    references: Mapping[str, Array],
    kinds: Mapping[str, tuple[Kind, ...]],
    asked: Sequence[int],
    miss: float,
    *,
    resamples: int = RESAMPLES,
) -> InterimSkill:
    """Overall skill with its interval.

    Args:
        values: The model's qualities of the clips that are done (A, n); NaN where one does not count.
        references: Mean qualities of truth and freeze over the whole suite, by task (2, A).
        kinds: Kind of each task on each axis (A,).
        asked: Axes that overall is the mean of.
        miss: How often the interval may miss.
        resamples: Draws of the bootstrap.
    """
    strata = _joined(values)
    counts = {key: np.isfinite(block).sum(axis=-1) for key, block in strata.items()}  # (A,)
    tasks = tuple(dict.fromkeys(key.task for key in strata))
    if set(tasks) != set(references):
        return InterimSkill(None, None, "not every task has a clip yet")
    clips = [
        int(sum(count[a] for key, count in counts.items() if key.task == task))
        for task in tasks
        for a in asked
        if kinds[task][a] in COUNTED
    ]
    least = min(clips, default=0)
    if least < 1:
        return InterimSkill(None, None, "not every task has a clip that counts yet")
    drawn = resample(strata, resamples=resamples, bounded=range(len(next(iter(strata.values())))))
    means = {
        task: np.stack([own, *np.broadcast_to(references[task][:, None], (2, *own.shape))], axis=1)
        for task, own in task_means(drawn.means, counts).items()
    }  # (L, 3, A)
    overall = skills(means, kinds, 0, slice(1, 3), asked).overall
    if reason := too_few(least, " of a task"):
        return InterimSkill(rounded(overall[0]), None, reason)
    return InterimSkill(rounded(overall[0]), ends(drawn.interval(overall, miss=miss)))


def _joined(values: Mapping[Stratum, Array]) -> dict[Stratum, Array]:
    """The splits of a task as one stratum, where one of them has too few clips to tell how much they differ."""
    strata: dict[Stratum, Array] = {}
    for task in dict.fromkeys(key.task for key in values):
        own = {key: block for key, block in values.items() if key.task == task}
        apart = min(block.shape[-1] for block in own.values()) >= 2  # clips of each split, to be drawn apart
        strata |= own if apart else {Stratum(task, POOLED): np.concatenate(list(own.values()), axis=-1)}
    return strata


def interim_reading(
    tables: Mapping[str, pd.DataFrame],
    references: Mapping[str, pd.DataFrame],
    miss: float,
    *,
    fixed: Fixed | None = None,
    inapplicable: Collection[str] = (),
) -> InterimSkill:
    """As `interim_analysis`, from score tables.

    Args:
        tables: "model", "truth" and "freeze" on the clips that are done.
        references: "truth" and "freeze" on the whole suite.
        miss: How often the interval may miss.
        fixed: Kinds of tasks, as of `physbench.result.bootstrap.estimate`.
        inapplicable: Axes that the model is not asked about.
    """
    whole = clip_qualities({"truth": references["truth"]}, references["truth"], references["freeze"])
    own = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"])
    anchors = [whole.sources.index(name) for name in SCALE]
    means = {task: block[anchors] for task, block in task_means(whole.means(), whole.counts()).items()}
    values = {key: block[0] for key, block in own.values.items()}
    counted = [a for a, axis in enumerate(AXES) if axis not in inapplicable]
    return interim_analysis(values, means, kinds(whole, fixed), counted, miss)
