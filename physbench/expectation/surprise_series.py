"""From surprise over time to one number for a film, and from two films to one choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.expectation.film_pairs import FilmPair
from physbench.results.bootstrap import TINY

Array = NDArray[np.float64]
Series = Mapping[str, Array]  # surprise (N,) of the films of a clip, by their names
Solved = Mapping[tuple[str, float], tuple[str, ...]]  # (kind, size) -> the pixel baselines that notice it alone

TIE = 1e-9  # of the larger one: two surprises that differ by less are a tie
AHEAD = 1e-3  # of the usual level: surprise that differs by more before two films do
LEAST_LEVEL = 0.1  # of the median level of all pairs; a film in which nothing moves has hardly any


@dataclass(frozen=True)
class PairReading:
    """What one observer makes of one pair. Surprises are in the observer's own unit until `level` divides them."""

    pair: FilmPair
    possible: float = np.nan  # mean over the windows that predict something after the hand-over
    impossible: float = np.nan
    possible_peak: float = np.nan  # maximum over the same windows
    impossible_peak: float = np.nan
    level: float = np.nan  # mean over the windows before the event, the same in both films; NaN where there are none
    peak_time: float = np.nan  # s from the event to the largest surprise of the impossible film
    ahead: float = 0.0  # largest difference before the event, of the level
    failed: bool = False

    @property
    def right(self) -> float:
        """1 where the impossible film has the higher mean, 0.5 for a tie, 0 else and where the observer failed."""
        return 0.0 if self.failed else choice(self.possible, self.impossible)

    @property
    def right_by_peak(self) -> float:
        """The same by the maximum."""
        return 0.0 if self.failed else choice(self.possible_peak, self.impossible_peak)


def choice(possible: float, impossible: float) -> float:
    """1, 0.5 or 0: whether the impossible one is higher."""
    if abs(impossible - possible) <= TIE * max(abs(impossible), abs(possible)) + TINY * TIE:
        return 0.5
    return float(impossible > possible)


def read_pair(pair: FilmPair, series: Series, times: Array) -> PairReading:
    """Read one pair from the surprise of its two films.

    Args:
        pair: The pair.
        series: Surprise (N,) of the films of its clip, by name; a film that is missing or not finite has failed.
        times: (N,) s of the last frame that each surprise rests on.
    """
    one, other = series.get(pair.possible), series.get(pair.impossible)
    if one is None or other is None or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return PairReading(pair, failed=True)
    after, before = times > 1e-9, times <= pair.event + 1e-9
    level = float(one[before].mean()) if before.any() else np.nan
    scale = max(abs(level), TINY) if before.any() else 1.0
    late = np.flatnonzero(after)
    return PairReading(
        pair,
        possible=float(one[after].mean()),
        impossible=float(other[after].mean()),
        possible_peak=float(one[after].max()),
        impossible_peak=float(other[after].max()),
        level=level,
        peak_time=float(times[late[np.argmax(other[late])]]) - pair.event,
        # Surprise may have either sign: what is usual is its level or its spread, whichever is larger.
        ahead=float(np.abs(one - other)[before].max() / max(scale, float(one.std()))) if before.any() else 0.0,
    )


def levels(readings: list[PairReading]) -> Array:
    """What the surprise of each pair (P,) is divided by: its usual level, and no less than LEAST_LEVEL of the median.

    Where no window lies before the event, that is the median; 1 where there is none at all.
    """
    own = np.array([reading.level for reading in readings])
    known = own[np.isfinite(own)]
    middle = float(np.median(known)) if len(known) else 1.0
    middle = middle if middle > TINY else float(known.mean()) if len(known) and known.mean() > TINY else 1.0
    return np.maximum(np.where(np.isfinite(own), own, middle), LEAST_LEVEL * middle)


def auroc(negatives: Array, positives: Array) -> float | None:
    """Probability that one of the positives (P,) exceeds one of the negatives (N,); ties count half. None without."""
    if not len(negatives) or not len(positives):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positives, negatives]))
    most = ranks[: len(positives)].sum() - len(positives) * (len(positives) + 1) / 2
    return float(most / (len(positives) * len(negatives)))
