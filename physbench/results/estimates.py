"""Point estimates and intervals of one run at every level, from its score tables and those of its references."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.results.bootstrap import FEWEST, RESAMPLES, TOO_FEW, Resampled, resample
from physbench.results.skill import Array, Kind, Qualities, Skills, Stratum, clip_qualities, kinds, skills, task_means
from physbench.scoring.scorer_protocol import AXES

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("model", "constant-velocity")  # sources 0 and 1; truth and freeze are 2 and 3
ANCHORS = slice(2, 4)
POOLED = "pooled"  # the split of a stratum that holds all clips of a task
Fixed = Mapping[str, Mapping[str, Kind]]  # by task and axis


@dataclass(frozen=True, eq=False)
class Estimate:
    """Skills of the model and of constant velocity on the same clips: point values and the draws of the bootstrap."""

    qualities: Qualities
    counts: dict[Stratum, NDArray[np.int64]]
    kinds: dict[str, tuple[Kind, ...]]
    means: dict[str, Array]  # per task (S, A)
    point: tuple[Skills, Skills]  # of MODELS
    draws: tuple[Skills, Skills]  # the same with a leading axis, the rows of `resampled`
    stratum_means: dict[Stratum, Array]  # (S, A)
    stratum_draws: dict[Stratum, Array]  # (L, S, A)
    resampled: Resampled[Stratum]
    asked: tuple[int, ...]  # axes of the overall skill

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.means)

    def family(self, name: str) -> tuple[str, ...]:
        """Tasks of a family."""
        return tuple(task for task in self.tasks if task.split("/")[0] == name)

    def scored(self, axis: int, tasks: Sequence[str] | None = None) -> tuple[str, ...]:
        """Those of `tasks` (default all) that are informative or a guard on an axis."""
        chosen = self.tasks if tasks is None else tasks
        return tuple(task for task in chosen if self.kinds[task][axis] in ("informative", "guard"))

    def clips(self, axis: int, tasks: Sequence[str], split: str | None = None) -> int:
        """Number of clips that count."""
        return int(sum(self._counts(axis, tasks, split)))

    def too_few(self, axis: int, tasks: Sequence[str], split: str | None = None) -> str:
        """Why these clips give no interval; "" where they do. A stratum in which no clip counts is no obstacle."""
        counts = [count for count in self._counts(axis, tasks, split) if count]
        if not counts:
            return "no clip counts"
        least = min(counts)
        return "" if least >= FEWEST else f"{TOO_FEW}: {least} in a stratum, an interval needs {FEWEST}"

    def _counts(self, axis: int, tasks: Sequence[str], split: str | None) -> list[int]:
        return [
            int(count[axis])
            for stratum, count in self.counts.items()
            if stratum.task in tasks and split in (None, stratum.split)
        ]


def estimate(
    tables: Mapping[str, pd.DataFrame],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    fixed: Fixed | None = None,
    axes: tuple[str, ...] = AXES,
    unasked: Collection[str] = (),
) -> Estimate:
    """Line up the tables ("model", "constant-velocity", "truth", "freeze") and compute every level once.

    fixed: kinds of tasks that do not depend on these clips (`physbench.results.task_roles`). axes: the overall skill
    is the mean of these without those in `unasked`.
    """
    qualities = clip_qualities({name: tables[name] for name in MODELS}, tables["truth"], tables["freeze"], axes)
    counts = qualities.counts()
    sources, width = len(qualities.sources), len(qualities.axes)
    flat = {key: block.reshape(sources * width, -1) for key, block in qualities.values.items()}
    bounded = range(len(MODELS) * width)  # references are what is compared with: no rule of three on them
    resampled = resample(flat, resamples=resamples, seed=seed, bounded=bounded)
    drawn = {key: values.reshape(-1, sources, width) for key, values in resampled.means.items()}
    kind = kinds(qualities, fixed)
    asked = tuple(a for a, axis in enumerate(axes) if axis not in unasked)
    part = asked if unasked else None
    means, mean_draws = task_means(qualities.means(), counts), task_means(drawn, counts)
    return Estimate(
        qualities,
        counts,
        kind,
        means,
        (skills(means, kind, 0, ANCHORS, part), skills(means, kind, 1, ANCHORS, part)),
        (skills(mean_draws, kind, 0, ANCHORS, part), skills(mean_draws, kind, 1, ANCHORS, part)),
        qualities.means(),
        drawn,
        resampled,
        asked,
    )


def pooled(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables in which the splits of a task are one: a part of a suite has too few clips of each for an interval."""
    return {name: table.assign(split=POOLED) for name, table in tables.items()}


def one_model(a: Estimate, b: Estimate, other: int = 0) -> bool:
    """Whether the model of `a` and a model of `b` have the same qualities, not all of them alike, on the same clips."""
    pairs = [(block[0], b.qualities.values[key][other]) for key, block in a.qualities.values.items()]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs) and any(
        np.ptp(row[np.isfinite(row)]) > 0 for x, _ in pairs for row in x if np.isfinite(row).any()
    )


def rounded(value: float | np.floating | Array) -> float | None:
    """A float (or array of one) for JSON, rounded to 6 decimal places; None for NaN."""
    return round(float(value), 6) + 0.0 if np.isfinite(value) else None


def ends(interval: Array, low: float = -np.inf, high: float = np.inf) -> tuple[float, float] | None:
    """Interval (2,) for JSON, within what the quantity can be; None where it is NaN."""
    if not np.isfinite(interval).all():
        return None
    a, b = np.clip(interval, low, high)
    return round(float(a), 6) + 0.0, round(float(b), 6) + 0.0
