"""Ranks with intervals: paired over clips, since every entry was run on the same ones.

All entries are resampled with the same draws of clips, each with its own references (it may have another size and
rate). The interval of a rank counts who is surely ahead and who is surely behind (Mogstad, Romano, Shaikh and Wilhelm
2024, Inference for Ranks, doi:10.1093/restud/rdad006): with K entries, a difference is sure where its interval at level
1 - 0.05 / (K - 1) excludes 0, so that with 95 % confidence the true rank lies between 1 + those ahead and K - those
behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.bootstrap import RESAMPLES, resampled_means
from physbench.scoring.protocol import AXES
from physbench.scoring.skill import clip_qualities, kinds, skills, task_means

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
MISS = 0.05  # how often one of an entry's comparisons may be wrong


@dataclass(frozen=True)
class Rank:
    """Rank of an entry, 1 is best, and its 95 % interval."""

    rank: int
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}–{self.high}"


def overall_draws(tables: dict[str, pd.DataFrame], *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, Array]:
    """Overall skill of one entry, and its draws (R,); `tables` hold "model", "truth" and "freeze"."""
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"], AXES)
    counts, kind = qualities.counts(), kinds(qualities)
    axes = len(AXES)
    flat = {key: block.reshape(3 * axes, -1) for key, block in qualities.values.items()}
    drawn = resampled_means(flat, resamples=resamples, seed=seed, bounded=range(axes))
    draws = {key: values.reshape(-1, 3, axes) for key, values in drawn.items()}
    references = slice(1, 3)
    point = skills(task_means(qualities.means(), counts), kind, 0, references)
    return float(point.overall), skills(task_means(draws, counts), kind, 0, references).overall


def rank(points: Sequence[float], draws: Sequence[Array]) -> tuple[Rank, ...]:
    """Ranks of K entries from their skills and paired draws (R,)."""
    count = len(points)
    tail = 100 * MISS / max(count - 1, 1) / 2
    found = []
    for own, mine in zip(points, draws, strict=True):
        ahead = behind = 0
        for other in draws:
            if other is mine:
                continue
            low, high = np.percentile(mine - other, [tail, 100 - tail])
            ahead += int(high < 0)
            behind += int(low > 0)
        found.append(Rank(1 + sum(point > own for point in points), 1 + ahead, count - behind))
    return tuple(found)
