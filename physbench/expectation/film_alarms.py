"""Alarms: surprise, over what is usual in a film, beyond one level for all films; the lawful ones give false alarms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.expectation.expectation_kinds import CONTROLS
from physbench.expectation.surprise_series import PairReading, auroc, levels
from physbench.results.expectation_schema import ControlResult

Array = NDArray[np.float64]
Readings = Sequence[PairReading]

CALM = 0.95  # of the possible films raise no alarm


def film_alarms(pairs: Readings, controls: Readings, *, by_peak: bool = False) -> dict[str, float | None]:
    """AUROC with controls among the negatives, the level of an alarm, and the share of impossible films above it.

    A failure never helps: where the model failed on a pair, its impossible film has the least surprise and its lawful
    one the most. The level is that of possible films that were read.
    """
    every = [*pairs, *controls]
    possible, other = relative(every, by_peak=by_peak)
    lawful = np.array([reading.pair.control for reading in every], dtype=bool)
    read = possible[np.isfinite(possible)]
    level = float(np.quantile(read, CALM)) if len(read) else None
    hits = other[~lawful]
    return {
        "auroc": auroc(np.concatenate([possible[~lawful], other[lawful]]), hits) if len(read) else None,
        "level": level,
        "hits": float((hits > level).mean()) if level is not None and len(hits) else None,
    }


def relative(readings: Readings, *, by_peak: bool = False) -> tuple[Array, Array]:
    """Surprise (P,) at the possible and at the other film of each pair, over its usual level; of a pair on which the
    model failed infinite: more at what is lawful, less at what is impossible."""
    found = [reading for reading in readings if not reading.failed]
    names = ("possible_peak", "impossible_peak") if by_peak else ("possible", "impossible")
    good = np.array([not reading.failed for reading in readings], dtype=bool)
    possible = np.full(len(readings), np.inf)
    other = np.array([np.inf if reading.pair.control else -np.inf for reading in readings])
    scale = levels(found)
    possible[good], other[good] = (np.array([getattr(reading, name) for reading in found]) / scale for name in names)
    return possible, other


def control_alarms(name: str, controls: Readings, pairs: Readings) -> ControlResult:
    every = [*pairs, *controls]
    level = film_alarms(pairs, controls)["level"]
    _, surprise = relative(every)
    own = surprise[[reading.pair.kind == name for reading in every]]
    alarms = None if level is None else float((own > level).mean())
    return ControlResult(shows=CONTROLS[name], films=len(own), alarms=alarms)
