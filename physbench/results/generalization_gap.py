"""Generalisation gap: the quality that a model loses where parameters leave the ranges of `test`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from physbench.results.estimates import Estimate, ends, rounded
from physbench.results.schema import GapValue
from physbench.results.skill import Array, Stratum

INSIDE, OUTSIDE = "test", "ood"


def gaps(e: Estimate) -> dict[str, dict[str, GapValue]]:
    """The gap at every level that has both splits: "all", families, tasks. Empty where a run has one split."""
    if {INSIDE, OUTSIDE} - {stratum.split for stratum in e.counts}:
        return {}
    families = dict.fromkeys(task.split("/")[0] for task in e.tasks)
    levels = {"all": e.tasks, **{family: e.family(family) for family in families}, **{t: (t,) for t in e.tasks}}
    return {
        level: {axis: gap(e, a, tasks) for a, axis in enumerate(e.qualities.axes)} for level, tasks in levels.items()
    }


def gap(e: Estimate, a: int, tasks: Sequence[str]) -> GapValue:
    """The gap on one axis over those of `tasks` that are scored on it and have clips that count in both splits."""
    both = [
        task
        for task in e.scored(a, tasks)
        if all(Stratum(task, split) in e.counts and e.counts[Stratum(task, split)][a] for split in (INSIDE, OUTSIDE))
    ]
    if not both:
        reason = "not scored on this axis" if not e.scored(a, tasks) else "one split alone has clips that count"
        return GapValue(test=None, ood=None, gap=None, truth=None, interval=None, reason=reason)
    model, truth = 0, e.qualities.sources.index("truth")
    test, ood = (_mean(e.stratum_means, both, split, model, a) for split in (INSIDE, OUTSIDE))
    expected = _mean(e.stratum_means, both, INSIDE, truth, a) - _mean(e.stratum_means, both, OUTSIDE, truth, a)
    reason = e.too_few(a, both)
    draws = [_mean(e.stratum_draws, both, split, model, a) for split in (INSIDE, OUTSIDE)]
    return GapValue(
        test=rounded(test),
        ood=rounded(ood),
        gap=rounded(test - ood),
        truth=rounded(expected),
        interval=None if reason else ends(e.resampled.interval(draws[0] - draws[1]), -1, 1),
        reason=reason,
    )


def _mean(means: Mapping[Stratum, Array], tasks: Sequence[str], split: str, source: int, a: int) -> Array:
    """Mean over families of the mean over their tasks, of stratum means (..., S, A)."""
    families: dict[str, list[Array]] = {}
    for task in tasks:
        families.setdefault(task.split("/")[0], []).append(means[Stratum(task, split)][..., source, a])
    return np.asarray(np.mean([np.mean(found, axis=0) for found in families.values()], axis=0), dtype=np.float64)
