"""What readings made of the sources of one task, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.validation.measured_parts import MeasuredPart
from physbench.validation.thresholds import last_part

Array = NDArray[np.float64]

STATUSES = ("ok", "failed", "unavailable", "not applicable")
OK, FAILED = 0, 1
# Directions of further readings, by the last part of their id; of others nothing is known but their distance from truth
DIRECTIONS = {
    **dict.fromkeys(("explained", "shadowing-time", "behind-join", "strict", "medium", "lenient"), "higher"),
    **dict.fromkeys(("first-break", "unseen-constants"), "higher"),
    **dict.fromkeys(("breaks-per-second", "undetermined", "join-jump", "join-kick", "jitter"), "lower"),
}


@dataclass(frozen=True, eq=False)
class ScoreArrays:
    """What readings made of the sources of one task, as arrays (R readings, P sources, S seeds)."""

    task: str
    readings: list[str]
    sources: list[str]
    seeds: list[int]
    lawful: NDArray[np.bool_]  # (S,) seeds that give negatives
    value: Array  # NaN where there is none
    quality: Array
    status: NDArray[np.int8]  # index into STATUSES; -1 where there is nothing
    unseen: NDArray[np.bool_]  # (P, S)
    reasons: Mapping[tuple[int, int, int], str] = field(repr=False)  # of readings that are values


def score_arrays(task: str, parts: Sequence[MeasuredPart], lawful_before: float) -> ScoreArrays:
    """The parts of a task as arrays. Seeds from `lawful_before` on give no negatives."""
    readings = sorted({read.reading for part in parts for read in part.reads})
    sources = sorted({part.source for part in parts})
    seeds = sorted({part.seed for part in parts})
    r, p, s = ({name: i for i, name in enumerate(names)} for names in (readings, sources, seeds))
    shape = (len(readings), len(sources), len(seeds))
    value, quality, status = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, -1, dtype=np.int8)
    unseen = np.zeros(shape[1:], dtype=bool)
    reasons = {}
    for part in parts:
        i, j = p[part.source], s[part.seed]
        unseen[i, j] = part.outcome == "unseen"
        for read in part.reads:
            at = (r[read.reading], i, j)
            value[at] = np.nan if read.value is None else read.value
            quality[at] = np.nan if read.quality is None else read.quality
            status[at] = STATUSES.index(read.status)
            if read.reason and read.status == "ok":
                reasons[at] = read.reason
    lawful = np.array(seeds) < lawful_before
    return ScoreArrays(task, readings, sources, seeds, lawful, value, quality, status, unseen, reasons)


def direction_of(reading: str, declared: Mapping[str, str]) -> str | None:
    """What is better of a reading: as its scorer declares it, or as it is known of a further one."""
    return declared.get(reading) or DIRECTIONS.get(last_part(reading))


def suspicion(values: Array, failed: NDArray[np.bool_], truth: Array, better: str | None) -> Array:
    """How wrong a reading finds each value (P, S): the larger the worse.

    better: "lower" or "higher" as the scorer declares it; else the distance from the median of ground truth (S,) of the
    other clips, which is all that is known of a reading without a direction. A failed reading is the worst of all.
    """
    if better == "lower":
        scores = values
    elif better == "higher":
        scores = -values
    else:
        scores = np.abs(values - others_median(truth))
    return np.where(failed, np.inf, scores)


def others_median(truth: Array) -> Array:
    """Median of the values (S,) of all others, NaN left out: a clip is not judged by itself."""
    known = np.isfinite(truth)
    if known.sum() < 2:
        return np.full(len(truth), np.nan)
    middle = np.full(len(truth), float(np.median(truth[known])))
    for i in np.flatnonzero(known):
        middle[i] = np.median(np.delete(truth, i)[np.delete(known, i)])
    return middle
