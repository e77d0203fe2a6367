"""How much better a model is on clips that it may know than on others: the difference of skill, its interval, its odds.

Of an honest model, the clips of a suite and fresh ones are draws from one ensemble: within a task and split, which of
them is fresh is exchangeable. A permutation test of the difference of mean skill is then exact for any number of clips.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from physbench.results.bootstrap import MISS
from physbench.results.skill import INFORMATIVE_FROM, clip_qualities, task_means

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
REFUSED_BELOW = 0.001  # a gap this improbable for an honest model is refused: one honest model of 1,000
PERMUTATIONS = 20_000


@dataclass(frozen=True)
class Gap:
    """How much better a model is on clips that it may know."""

    value: float  # mean skill of the one set less that of the other
    interval: tuple[float, float]  # 95 %
    p: float  # how often an honest model has a gap as large
    clips: tuple[int, int]

    @property
    def sure(self) -> bool:
        return self.p <= REFUSED_BELOW and self.interval[0] > 0


@dataclass(frozen=True, eq=False)
class ClipSkills:
    """Skill of each of n clips: mean over the axes on which its task tells truth from the frozen frame."""

    clips: tuple[str, ...]  # (n,)
    strata: NDArray[np.str_]  # (n,) task and split
    skills: Array  # (n,)


def clip_skills(model: pd.DataFrame, truth: pd.DataFrame, freeze: pd.DataFrame) -> ClipSkills:
    """Skill of single clips from score tables; truth and freeze hold the clips of the model."""
    found = clip_qualities({"model": model}, truth, freeze, events=False)
    means = task_means(found.means(), found.counts())
    clips: list[str] = []
    strata: list[str] = []
    skills: list[Array] = []
    for stratum, block in found.values.items():  # (3, A, n)
        _, high, low = means[stratum.task]  # (A,)
        tells = high - low >= INFORMATIVE_FROM
        own = (block[0, tells] - low[tells, None]) / (high - low)[tells, None]
        counts = np.isfinite(own)
        kept = counts.any(axis=0)
        skills.append((np.where(counts, own, 0.0).sum(axis=0) / np.maximum(counts.sum(axis=0), 1))[kept])
        clips += [clip for clip, keep in zip(found.clips[stratum], kept, strict=True) if keep]
        strata += [f"{stratum.task} {stratum.split}"] * int(kept.sum())
    return ClipSkills(tuple(clips), np.array(strata, dtype=np.str_), np.concatenate([np.zeros(0), *skills]))


def unpaired_gap(skills: Array, fresh: NDArray[np.bool_], stratum: NDArray[Any]) -> Gap:
    """Mean skill of stored clips less that of fresh ones, over strata (task and split) that have both.

    skills, fresh, stratum: (n,) per clip. Each stratum counts by its fresh clips. The p value is that of a permutation
    test within strata; the interval is Welch's, from the pooled variances within strata.
    """
    rng = np.random.default_rng(secrets.randbits(64))
    parts = [skills[stratum == name] for name in np.unique(stratum)]
    flags = [fresh[stratum == name] for name in np.unique(stratum)]
    both = [(s, f) for s, f in zip(parts, flags, strict=True) if f.any() and not f.all()]
    total = sum(int(f.sum()) for _, f in both)
    value, null = 0.0, np.zeros(PERMUTATIONS)
    squares, freedom, errors = np.zeros(2), np.zeros(2), np.zeros(2)
    for s, f in both:
        weight, n, m = f.sum() / total, int(f.sum()), int((~f).sum())
        value += weight * (s[~f].mean() - s[f].mean())
        drawn = rng.permuted(np.broadcast_to(s, (PERMUTATIONS, len(s))), axis=1)
        null += weight * (drawn[:, n:].mean(axis=1) - drawn[:, :n].mean(axis=1))
        for side, own in enumerate((s[~f], s[f])):
            squares[side] += ((own - own.mean()) ** 2).sum()
            freedom[side] += len(own) - 1
        errors += weight**2 / np.array([m, n])
    variance = squares / np.maximum(freedom, 1)
    variance = np.where(freedom > 0, variance, variance[::-1])  # of one clip a stratum, the spread of the others
    freedom = np.where(freedom > 0, freedom, freedom[::-1])
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + PERMUTATIONS)
    stored = sum(len(s) for s, _ in both) - total
    return Gap(value, _welch(value, variance * errors, freedom), float(p), (stored, total))


def paired_gap(sent: Array, again: Array) -> Gap:
    """Mean of `sent` less `again`, of the same clips (n,): a test that flips signs, and Student's interval."""
    rng = np.random.default_rng(secrets.randbits(64))
    differences = sent - again
    value = float(differences.mean())
    signs = rng.choice([-1.0, 1.0], size=(PERMUTATIONS, len(differences)))
    null = (signs * differences).mean(axis=1)
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + PERMUTATIONS)
    n = len(differences)
    variance = float(differences.var(ddof=1)) / n if n > 1 else 0.0
    interval = _welch(value, np.array([variance]), np.array([n - 1.0]))
    return Gap(value, interval, float(p), (n, n))


def _welch(value: float, variances: Array, freedom: Array) -> tuple[float, float]:
    """95 % interval of a mean with these variances of its parts and their degrees of freedom."""
    total = float(variances.sum())
    if total <= 0:
        return value, value
    degrees = total**2 / float((variances**2 / np.maximum(freedom, 1)).sum())
    half = float(stdtrit(max(degrees, 1.0), 1 - MISS / 2)) * total**0.5
    return value - half, value + half
