"""Stability: does a prediction stay lawful for long, whatever it did before?

The horizon is cut into four quarters. A quarter's share is its explained share of shadowing with breaks counted from
the quarter's own start (from 8 frames before its end, where it has fewer), but for gross ones, behind which there is
another scene; stability is the mean of the shares of quarters 2 to 4. A model may diverge from the recorded future and
still be perfect here. A quarter in which all bodies are lawfully away, behind something or out of the view, says
nothing and does not count; where that is so to the end, nothing unlawful has happened there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.shadowing.lawful_segments import Break
from physbench.shadowing.segment_init import LEAST_POINTS
from physbench.shadowing.shadow import Shadowing
from physbench.shadowing.tolerance_levels import JOIN

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

QUARTERS = 4
FIRST = 1  # quarter that counts, from 0 on: what happens at the join is no drift
LEAST_DUE = 0.2  # s of due object-time in ground truth; a quarter with less is left out
# At 4 frames/s a quarter of 4 s has the places of one segment, which no break can part: what gravity x 0.9 does to a
# bouncing ball would be worth .70 there, and .23 at 30 frames/s. So breaks count over two segments at least.
LEAST_FRAMES = 2 * LEAST_POINTS


@dataclass(frozen=True)
class Stability:
    """Explained shares are 0..1; None: ground truth shows too little; NaN: all that it shows is lawfully away here."""

    rungs: tuple[tuple[float | None, ...], ...]  # (R, QUARTERS) explained share of each quarter at each tolerance
    horizon: float  # s

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Share of each quarter (QUARTERS,), mean of the tolerances at which it has one; None where none has."""
        each = (_known(quarter) for quarter in zip(*self.rungs, strict=True))
        return tuple(float(np.mean(known)) if known else None for known in each)

    @property
    def quality(self) -> float | None:
        """Mean of the tolerances of the mean share of quarters 2 to 4; None where ground truth shows nothing in them.

        A tolerance at which everything is lawfully away in all of them counts 1.
        """
        if all(share is None for rung in self.rungs for share in rung[FIRST:]):
            return None
        return float(np.mean([np.mean(_known(rung[FIRST:]) or [1.0]) for rung in self.rungs]))

    @property
    def slope(self) -> float | None:
        """Change of the share per s over quarters 2 to 4, by least squares; None with fewer than two of them."""
        known = [(q, share) for q, share in enumerate(self.shares) if q >= FIRST and share is not None]
        if len(known) < 2:
            return None
        at = np.array([(q + 0.5) * self.horizon / QUARTERS for q, _ in known])
        return float(np.polyfit(at, [share for _, share in known], 1)[0])


def stability(shadowing: Shadowing) -> Stability:
    """Stability of a prediction, over the rungs of tolerances."""
    seen = shadowing.problem.seen
    each = (quarter_shares(seen.times, seen.owed, rung.due, rung.weight, rung.breaks) for rung in shadowing.rungs)
    return Stability(tuple(each), float(seen.times[-1]))


def _known(shares: Sequence[float | None]) -> list[float]:
    return [share for share in shares if share is not None and not math.isnan(share)]


def quarter_shares(
    times: Array, owed: Mask, due: Mask, weight: Array, breaks: Sequence[Break]
) -> tuple[float | None, ...]:
    """Explained share of each quarter of the horizon, None where less than LEAST_DUE s of object-time is owed.

    NaN where nothing is due of what is owed: bodies are excused only while unbroken, so all of it is lawfully away.

    times: (T,) s ascending, evenly spaced, the hand-over at 0, the horizon at the end. owed: (T, N) where ground truth
    shows a body, which decides what is left out. due: (T, N) what the shares are of. weight: (T, N) of a frame,
    2^-(cost of the breaks of its body before it), 0 where it is unexplained.
    breaks: of all bodies. One in the first frame of a quarter lies before it: what comes after it starts there. Where a
    quarter has fewer than LEAST_FRAMES, those in the frames before it that make up for them count too, but not a join.
    """
    dt, horizon = float(times[1] - times[0]), float(times[-1])
    found: list[float | None] = []
    for quarter in range(QUARTERS):
        low, high = quarter * horizon / QUARTERS, (quarter + 1) * horizon / QUARTERS
        frames = np.flatnonzero((times > low + 1e-9) & (times <= high + 1e-9))
        asked = owed[frames]
        if asked.sum() * dt < LEAST_DUE - 1e-9:
            found.append(None)
            continue
        counted = due[frames]
        if not counted.any():
            found.append(math.nan)
            continue
        start = max(int(frames[-1]) + 1 - max(len(frames), LEAST_FRAMES), 0)
        before = [each for each in breaks if each.frame <= (frames[0] if each.time <= max(JOIN, dt) + 1e-9 else start)]
        fresh = weight[frames] * 2.0 ** discounted_breaks(before, weight.shape[1])
        found.append(float(np.minimum(fresh, 1.0)[counted].mean()))
    return tuple(found)


def discounted_breaks(before: Sequence[Break], bodies: int) -> Array:
    """Number of breaks of each body (N,), of those before a quarter, that do not count in it: those that are not gross.

    Else whoever jumps to a place where going on is easy, such as slow rolling on the floor, would be stable.
    """
    count = np.zeros(bodies)
    for each in before:
        count[each.disc] += not each.gross
    return count
