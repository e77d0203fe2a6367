"""Stability: whether a prediction stays lawful for long, whatever it did before.

The horizon is cut into four quarters. A quarter's share is its explained share of shadowing with breaks counted from
the quarter's own start (from 8 frames before its end, where it has fewer), except for gross ones, after which the scene
is another one; stability is the mean of the shares of quarters 2 to 4. Frames weigh as they do in shadowing. A model
may diverge from the recorded future and still be perfect here. A quarter in which all bodies are lawfully hidden or
outside the view does not count; where that holds to the end, nothing unlawful has happened there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from physbench.shadowing.levels import HANDOVER_WINDOW
from physbench.shadowing.search import SEGMENT, Break
from physbench.shadowing.shadow import Shadowing
from physbench.support.arrays import Array, Mask


@dataclass(frozen=True)
class QuarterLimits:
    """Quarters of the horizon in which breaks are counted."""

    count: int = 4
    first: int = 1  # that counts, from 0 on: a break at the hand-over is no drift
    min_expected: float = 0.2  # s of object-time that ground truth shows; a quarter with less is left out


QUARTER = QuarterLimits()


# At 4 frames/s a quarter of 4 s has as many positions as one segment needs, so that no break fits into it: a bouncing
# ball under gravity x 0.9 would read .70 there, and .23 at 30 frames/s. So breaks count over two segments at least.
MIN_BREAK_FRAMES = 2 * SEGMENT.points


@dataclass(frozen=True)
class Stability:
    """Explained shares 0..1. None: ground truth shows too little; NaN: all of it is lawfully hidden or outside."""

    levels: tuple[tuple[float | None, ...], ...]  # (R, 4) explained share of each quarter at each tolerance level
    horizon: float  # s
    weights: tuple[float, ...] | None = None  # (R,) of the tolerance levels; None: all the same

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Share of each quarter (4,), mean of the tolerance levels at which it has one; None where none has."""
        each = (_known(quarter) for quarter in zip(*self.levels, strict=True))
        return tuple(float(np.mean(known)) if known else None for known in each)

    @property
    def quality(self) -> float | None:
        """Weighted mean over the tolerance levels of the mean share of quarters 2 to 4.

        None where ground truth shows nothing. A level at which everything is lawfully hidden or outside in all of them
        counts 1.
        """
        if all(share is None for level in self.levels for share in level[QUARTER.first :]):
            return None
        each = [np.mean(_known(level[QUARTER.first :]) or [1.0]) for level in self.levels]
        return 1 - float(np.average(1 - np.array(each), weights=self.weights))

    @property
    def slope(self) -> float | None:
        """Change of the share per s over quarters 2 to 4, by least squares; None with fewer than two of them."""
        known = [(q, share) for q, share in enumerate(self.shares) if q >= QUARTER.first and share is not None]
        if len(known) < 2:
            return None
        at = np.array([(q + 0.5) * self.horizon / QUARTER.count for q, _ in known])
        return float(np.polyfit(at, [share for _, share in known], 1)[0])


def stability(shadowing: Shadowing) -> Stability:
    """Stability of a prediction, over the tolerance levels."""
    seen = shadowing.problem.seen
    each = (
        quarter_shares(seen.times, seen.expected_visible, level.counted, level.weight, level.breaks, level.importance)
        for level in shadowing.levels
    )
    return Stability(tuple(each), float(seen.times[-1]), tuple(level.share for level in shadowing.levels))


def _known(shares: Sequence[float | None]) -> list[float]:
    return [share for share in shares if share is not None and not math.isnan(share)]


def quarter_shares(
    times: Array,
    truth: Mask,
    expected: Mask,
    weight: Array,
    breaks: Sequence[Break],
    importance: Array | None = None,
) -> tuple[float | None, ...]:
    """Explained share of each quarter of the horizon.

    Args:
        times: (T,) s ascending, evenly spaced, the hand-over at 0, the horizon at the end.
        truth: (T, N) where ground truth shows a body.
        expected: (T, N) where a body should be visible, which the shares are of.
        weight: (T, N) of a frame, 2^-(cost of the breaks of its body before it), 0 where it is unexplained.
        breaks: of all bodies. A break in the first frame of a quarter lies before it: the motion after it starts there.
            Where a quarter has fewer than MIN_BREAK_FRAMES, breaks in the missing number of frames before it count too,
            except for one at the hand-over.
        importance: (T, N) what a frame weighs in its quarter; None: all the same.

    Returns:
        A share 0..1 per quarter. None where ground truth shows bodies for less than `min_expected`. NaN where it shows
        them and none is expected: only unbroken motion is excused, so all of it is lawfully hidden or outside.
    """
    dt, horizon = float(times[1] - times[0]), float(times[-1])
    quarters: list[float | None] = []
    for quarter in range(QUARTER.count):
        low, high = quarter * horizon / QUARTER.count, (quarter + 1) * horizon / QUARTER.count
        frames = np.flatnonzero((times > low + 1e-9) & (times <= high + 1e-9))
        shown = truth[frames]
        if shown.sum() * dt < QUARTER.min_expected - 1e-9:
            quarters.append(None)
            continue
        counted = expected[frames]
        if not counted.any():
            quarters.append(math.nan)
            continue
        start = max(int(frames[-1]) + 1 - max(len(frames), MIN_BREAK_FRAMES), 0)
        before = [
            each
            for each in breaks
            if each.frame <= (frames[0] if each.time <= max(HANDOVER_WINDOW, dt) + 1e-9 else start)
        ]
        fresh = weight[frames] * 2.0 ** discounted_breaks(before, weight.shape[1])
        important = None if importance is None else importance[frames][counted]
        quarters.append(1 - float(np.average(1 - np.minimum(fresh, 1.0)[counted], weights=important)))
    return tuple(quarters)


def discounted_breaks(before: Sequence[Break], bodies: int) -> Array:
    """Number of the breaks of each body (N,) before a quarter that do not count in it: those that are not gross.

    Otherwise a jump to a position where lawful motion is easy, such as slow rolling on the floor, would be stable.
    """
    count = np.zeros(bodies)
    for each in before:
        count[each.body] += not each.gross
    return count
