"""What chains of lawful segments say: explained share, shadowing time, breaks, join, offset, jitter, strength.

Definitions: the shares are of due object-time. A segment counts with 2^-(breaks of its body before it), a gross break
counting GROSS times; too short a segment is undetermined, which is unexplained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.shadowing.chain import LEAST_SPAN, LEAST_SPARE, Break, Chain, Chainer
from physbench.scoring.shadowing.problem import Arc, Problem
from physbench.scoring.shadowing.seen import Seen

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

RUNGS = (0.03, 0.08, 0.2)  # diameters
GROSS = 4  # breaks that a gross one counts
SLOW, SLOW_TIME = 0.1, 0.3  # diameters/s and s: a slower track rests
JOIN = 0.2  # s behind the hand-over; a break there is a jump of the join
LOST = 0.2  # s without a body that is due: it is lost
GRID = tuple(0.01 * 1.2**k for k in range(30))  # diameters, of strengths; the last is 1.98


@dataclass(frozen=True, eq=False)
class Rung:
    """What is lawful at one tolerance. Shares are 0..1."""

    tolerance: float  # diameters
    explained: float  # share of due object-time, weighted
    shadowed: float  # share of due object-time up to each body's first break
    behind_join: float  # as `explained`, from behind a break of the join on
    breaks: tuple[Break, ...]
    undetermined: float  # share of due object-time in segments too short to count
    weight: Array  # (T, N) of each frame
    chain: Chain

    @property
    def quality(self) -> float:
        """Mean of explained share and shadowing time."""
        return (self.explained + self.shadowed) / 2


def ladder(problem: Problem, rungs: tuple[float, ...] = RUNGS) -> tuple[Rung, ...]:
    """Read a track at rising tolerances. What is lawful at one is lawful at all above it."""
    found: list[Rung] = []
    for tolerance in rungs:
        if found and not found[-1].chain.breaks and found[-1].chain.arcs:
            chain = found[-1].chain
        else:
            chain = Chainer(problem, tolerance).run()
        found.append(read(chain, problem.seen, tolerance))
    return tuple(found)


def read(chain: Chain, seen: Seen, tolerance: float) -> Rung:
    """Shares of a chain."""
    weight, first, short = _weights(chain, seen)
    due = seen.owed
    total = max(int(due.sum()), 1)
    after = weight.copy()
    for disc in range(weight.shape[1]):
        joins = [b for b in chain.breaks if b.disc == disc and b.time <= JOIN + 1e-9]
        count = sum(GROSS if b.gross else 1 for b in joins)
        after[:, disc] *= 2.0**count
    return Rung(
        tolerance,
        float(weight[due].sum() / total),
        float((weight * first)[due].sum() / total),
        float(np.minimum(after, 1.0)[due].sum() / total),
        tuple(sorted(chain.breaks, key=lambda b: (b.time, b.disc))),
        float((short & due).sum() / total),
        weight,
        chain,
    )


def _weights(chain: Chain, seen: Seen) -> tuple[Array, Mask, Mask]:
    """Weight of each frame, whether it lies before the first break, and whether its segment is too short (T, N)."""
    shape = seen.owed.shape
    weight, first, short = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    still = resting(seen, seen.place)
    lawfully = resting(seen, chain.place, 1.2 * SLOW)  # so that noise does not part the two
    for arc in chain.arcs:
        n, part = arc.disc, slice(arc.first, arc.last)
        before = [b for b in chain.breaks if b.disc == n and b.frame <= arc.first]
        known = arc.first + np.flatnonzero(seen.known[part, n])
        span = float(seen.times[known[-1]] - seen.times[known[0]]) if len(known) else 0.0
        if span < LEAST_SPAN - 1e-9 or len(known) < len(arc.numbers) + LEAST_SPARE:
            short[part, n] = True
            continue
        good = seen.there[part, n] & ~(
            still[part, n] & ~_may_rest(chain, seen, arc, still[part, n], lawfully[part, n], not before)
        )
        weight[part, n] = good * 0.5 ** sum(GROSS if b.gross else 1 for b in before)
        first[part, n] = not before
    return weight, first, short


def _may_rest(chain: Chain, seen: Seen, arc: Arc, still: Mask, lawfully: Mask, unbroken: bool) -> Mask:
    """Frames of an arc in which rest counts.

    The body came to rest in it, or rested in the context and was not met, or truly rests.
    """
    n, begin, end = arc.disc, arc.first, arc.last
    speed = np.linalg.norm(chain.speed[begin:end, n], axis=-1) / seen.diameter[n]
    moves = speed > 2 * SLOW
    may = (np.maximum.accumulate(moves) & lawfully) | seen.rests[begin:end, n]
    context = (seen.times[begin:end] <= 1e-9) & seen.known[begin:end, n]
    if unbroken and context.any() and still[context].all():
        may = may | ~chain.touched[begin:end, n]
    return np.asarray(may)


def resting(seen: Seen, place: Array, slow: float = SLOW) -> Mask:
    """Where places (T, N, 2) m move by less than `slow` diameters/s in SLOW_TIME (T, N)."""
    dt = float(seen.times[1] - seen.times[0])
    half = max(1, round(SLOW_TIME / 2 / dt))
    at = np.arange(len(seen.times))
    before, behind = np.maximum(at - half, 0), np.minimum(at + half, len(at) - 1)
    span = ((behind - before) * dt)[:, None]
    moved = [np.linalg.norm(place[b] - place[a], axis=-1) for a, b in ((before, behind), (before, at), (at, behind))]
    return np.asarray(np.max(moved, axis=0) < slow * span * seen.diameter)  # False where NaN


def jitter(chain: Chain, seen: Seen) -> float:
    """Rms in diameters of what of a track's distance from its lawful arcs changes from frame to frame.

    d = r(t) - (r(t - 1) + r(t + 1)) / 2; the rms of d over sqrt(3 / 2) is the sd per coordinate of independent noise.
    NaN where no three frames in a row are explained.
    """
    away = (seen.place - chain.place) / seen.diameter[:, None]
    high = (away[1:-1] - (away[:-2] + away[2:]) / 2)[seen.owed[1:-1]]
    high = high[np.isfinite(high).all(axis=-1)]
    return float(np.sqrt((high**2).mean() / 1.5)) if len(high) else float("nan")


def strength(problem: Problem) -> float:
    """The smallest tolerance, on the grid 0.01 x 1.2^k diameters, at which a clip has no break; at most 2.

    A body that is due and not there for LOST s makes it 2.
    """
    seen = problem.seen
    dt = float(seen.times[1] - seen.times[0])
    gone = seen.owed & ~seen.there
    for column in gone.T:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], column, [False]]).astype(np.int8))).reshape(-1, 2)
        if len(edges) and (edges[:, 1] - edges[:, 0]).max() * dt > LOST:
            return 2.0
    low, high, best = -1, len(GRID), None  # breaks at GRID[low], none at GRID[high]
    trial = next(k for k, value in enumerate(GRID) if value >= RUNGS[0])
    while high - low > 1:
        chain = Chainer(problem, GRID[trial], only_first=True, arcs=best).run()
        if chain.breaks or not chain.arcs:
            low = trial
        else:
            excess = np.where(chain.errors > 5 * seen.sd, chain.errors, 0.0)
            high = min(trial, int(np.searchsorted(GRID, np.nanmax(excess, initial=0.0))))
            best = chain.arcs
        trial = (low + high) // 2
        if low < 0 <= high - 2:
            trial = high - 1 if high <= 3 else (low + high) // 2
    return 2.0 if high == len(GRID) else GRID[high]
