"""Several samples a clip as a distribution: CRPS, spread and error, lawful samples, bins; beside the score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from physbench.result.bootstrap import FEWEST, TOO_FEW, ends, resample, rounded
from physbench.result.document import Distribution, DistributionValue
from physbench.result.readings import over_families
from physbench.result.skill import Stratum
from physbench.score.protocol import ReadingRole
from physbench.score.score_clip import reading_of
from physbench.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd


def distribution(tables: Mapping[str, pd.DataFrame], resamples: int) -> Distribution | None:
    """The distribution of a model's samples; None for one sample a clip.

    Each value is a mean over families of the mean over their clips, as that of lawful time is.
    """
    model = tables["model"]
    samples = int(model["sample"].nunique())
    if samples < 2:
        return None
    scores = _blocks(_by_clip(model, role) for role in ("samples-score", "open-score"))
    spread = _by_clip(model, "samples-spread")
    there = _by_clip(model, "samples-apart")  # also of samples that lose an object, or failed
    no_spread = 1e-12  # diameters squared
    equal = bool(len(spread)) and bool((spread**2 < no_spread).all()) and bool((there < no_spread).all())
    squares = {} if equal else _blocks((spread**2, _by_clip(model, "samples-error") ** 2))
    unspread = "all samples of a clip are equal" if equal else "no frame shows an object in two samples"
    lawful = _blocks(_lawful(tables[name]) for name in ("model", "truth"))
    chance = _blocks(_by_clip(model, role) for role in ("chance-distance", "open-chance"))
    return Distribution(
        samples=samples,
        crps=_value(scores, lambda means: means[..., 0], resamples, "no clip has a CRPS"),
        open=_point(scores, lambda means: means[..., 1]),
        spread_over_error=_value(squares, _root_of_ratio, resamples, unspread),
        lawful=_value(lawful, lambda means: means[..., 0], resamples, "no motion is compared with the laws", 1.0),
        lawful_truth=_point(lawful, lambda means: means[..., 1]),
        bins=_value(chance, lambda means: means[..., 0], resamples, "", 1.0) if chance else None,
        open_bins=_point(chance, lambda means: means[..., 1]),
        equal=equal,
    )


def _root_of_ratio(means: Array) -> Array:
    """Mean squares (..., 2) of spread and error -> spread over error (...)."""
    return np.sqrt(means[..., 0] / np.maximum(means[..., 1], 1e-9))  # diameters squared


def _by_clip(table: pd.DataFrame, role: ReadingRole) -> pd.Series[float]:
    """Value of each clip, by (task, split, clip)."""
    rows = table[(table["reading"] == reading_of(role)) & table["value"].notna()]
    return rows.groupby(["task", "split", "clip"])["value"].mean().astype(float)


def _lawful(table: pd.DataFrame) -> pd.Series[float]:
    """Share of the samples of each clip that laws explain throughout, at the smallest tolerance.

    One that failed is not lawful, and neither is one that loses an object, which has no break.
    """
    read = table[(table["reading"] == reading_of("lawfulness")) & (table["status"] != "not applicable")]
    # ground truth through a tracker loses less
    whole = table[(table["reading"] == reading_of("strict-lawfulness")) & (table["value"] >= 1 - 0.005)]
    explained = set(zip(whole["clip"], whole["sample"], strict=True))
    held = [each in explained for each in zip(read["clip"], read["sample"], strict=True)]
    return read.assign(held=held).groupby(["task", "split", "clip"])["held"].mean().astype(float)


def _blocks(columns: Iterable[pd.Series[float]]) -> dict[Stratum, Array]:
    """Values (V, n) of the clips that have all of V columns, by task and split."""
    import pandas as pd

    whole = pd.concat(list(columns), axis=1, join="inner").dropna()
    return {
        Stratum(str(task), str(split)): np.ascontiguousarray(group.to_numpy(dtype=np.float64).T)
        for (task, split), group in whole.groupby(level=["task", "split"], sort=True)
    }


def _point(blocks: Mapping[Stratum, Array], statistic: Callable[[Array], Array]) -> float | None:
    if not blocks:
        return None
    clips = {key: block.shape[1] for key, block in blocks.items()}
    return rounded(statistic(over_families({key: block.mean(axis=1) for key, block in blocks.items()}, clips)))


def _value(
    blocks: Mapping[Stratum, Array],
    statistic: Callable[[Array], Array],
    resamples: int,
    missing: str,
    high: float = np.inf,
) -> DistributionValue:
    """A statistic of means over families (..., V) -> (...), with its interval. missing: reason for none at all."""
    if not blocks:
        return DistributionValue(value=None, interval=None, clips=0, reason=missing)
    clips = {key: block.shape[1] for key, block in blocks.items()}
    least = min(clips.values())
    reason = "" if least >= FEWEST else f"{TOO_FEW}: {least} in a stratum, an interval needs {FEWEST}"
    interval = None
    if not reason:
        drawn = resample(blocks, resamples=resamples)
        interval = ends(drawn.interval(statistic(over_families(drawn.means, clips))), 0.0, high)
    return DistributionValue(
        value=_point(blocks, statistic), interval=interval, clips=sum(clips.values()), reason=reason
    )
