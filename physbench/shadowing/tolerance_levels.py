"""What chains of lawful segments say: explained share, shadowing time, breaks, join, jitter, strength.

Definitions: the shares are of due object-time. A segment counts with 2^-(breaks of its body before it), a gross break
counting GROSS times; too short a segment is undetermined, which is unexplained. Where the unbroken arc of a body that
is not seen is hidden or outside the image, the body is excused: that time is not due.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.shadowing.hypothesis import Arc, Hypothesis
from physbench.shadowing.lawful_segments import Break, LawfulSegments, SegmentSearch
from physbench.shadowing.placed_bodies import SHOWN_FOR, SHOWN_POINTS, SURE_SDS, PlacedBodies
from physbench.shadowing.segment_init import LEAST_POINTS, lasts
from physbench.tracks.finite_differences import runs
from physbench.tracks.visibility import MAX_GAP

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TOLERANCES = (0.03, 0.08, 0.2)  # diameters
GROSS = 4  # breaks that a gross one counts
SLOW, SLOW_TIME = 0.1, 0.3  # diameters/s and s: a slower track rests
PARTED = 1.2  # times that: noise may part a lawful motion from ground truth, or from the track, by so much
JOIN = 0.2  # s behind the hand-over; a break there is a jump of the join
LOST = 0.2  # s without a body that is due: it is lost
GRID = tuple(0.01 * 1.2**k for k in range(30))  # diameters, of strengths; the last is 1.98


@dataclass(frozen=True, eq=False)
class ToleranceLevel:
    """What is lawful at one tolerance. Shares are 0..1."""

    tolerance: float  # diameters
    explained: float  # share of due object-time, weighted
    shadowed: float  # share of due object-time up to each body's first break
    behind_join: float  # as `explained`, where the first break of a body is forgiven if it is one of the join
    breaks: tuple[Break, ...]
    undetermined: float  # share of due object-time in segments too short to count
    weight: Array  # (T, N) of each frame
    due: Mask  # (T, N) what the shares are of: due in ground truth and not excused, or shown at a sure place
    chain: LawfulSegments

    @property
    def quality(self) -> float:
        """Mean of explained share and shadowing time."""
        return (self.explained + self.shadowed) / 2


def at_levels(problem: Hypothesis, rungs: tuple[float, ...] = TOLERANCES) -> tuple[ToleranceLevel, ...]:
    """Read a track at rising tolerances. What is lawful at one is lawful at all above it."""
    found: list[ToleranceLevel] = []
    for tolerance in rungs:
        if found and not found[-1].chain.breaks and found[-1].chain.arcs:
            chain = found[-1].chain
        else:
            chain = SegmentSearch(problem, tolerance).run()
        found.append(read(chain, problem.seen, tolerance))
    return tuple(found)


def read(chain: LawfulSegments, seen: PlacedBodies, tolerance: float) -> ToleranceLevel:
    """Shares of a chain."""
    weight, first, short = _weights(chain, seen)
    # What is shown has to be lawful too, where ground truth shows nothing: else coming out of a wall would be free.
    due = (seen.owed | _shown(seen)) & ~excused(chain, seen)
    if not _shows_enough(seen):
        weight, first, short = np.zeros_like(weight), np.zeros_like(first), due
    total = max(int(due.sum()), 1)
    after = weight.copy()
    for disc in range(weight.shape[1]):
        joins = join_of(chain, disc)
        if joins is not None:
            after[joins.frame :, disc] *= 2.0 ** (GROSS if joins.gross else 1)
    return ToleranceLevel(
        tolerance,
        float(weight[due].sum() / total),
        float((weight * first)[due].sum() / total),
        float(np.minimum(after, 1.0)[due].sum() / total),
        tuple(sorted(chain.breaks, key=lambda b: (b.time, b.disc))),
        float((short & due).sum() / total),
        weight,
        due,
        chain,
    )


def join_of(chain: LawfulSegments, disc: int) -> Break | None:
    """The first break of a body behind the hand-over, if it is a jump of the join."""
    behind = [b for b in chain.breaks if b.disc == disc and b.time > 1e-9]
    first = min(behind, key=lambda b: b.time, default=None)
    return first if first is not None and first.time <= JOIN + 1e-9 else None


def excused(chain: LawfulSegments, seen: PlacedBodies) -> Mask:
    """Where a body that is due and not there is lawfully hidden or outside the image (T, N)."""
    away = seen.owed & ~seen.there & np.isfinite(chain.place[..., 0])
    for n in range(away.shape[1]):
        away[min((b.frame for b in chain.breaks if b.disc == n), default=len(away)) :, n] = False
    if seen.sight is None or not away.any():
        return np.zeros_like(away)
    return away & seen.sight.excused(chain.place)


def _shown(seen: PlacedBodies) -> Mask:
    """Where a predicted frame shows a body, of those that are judged, at a sure place (T, N)."""
    return np.asarray(seen.known & seen.judged & (seen.times > 1e-9)[:, None])


def _shows_enough(seen: PlacedBodies) -> bool:
    """Whether bodies are shown for as long as nearly any lawful future shows them."""
    shown = (seen.there | seen.known) & seen.judged & (seen.times > 1e-9)[:, None]
    return int(shown.sum()) >= seen.least


def _weights(chain: LawfulSegments, seen: PlacedBodies) -> tuple[Array, Mask, Mask]:
    """Weight of each frame, whether it lies before the first break, and whether its segment is too short (T, N)."""
    shape, dt = seen.owed.shape, float(seen.times[1] - seen.times[0])
    weight, first, short = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    # What trembles about a place rests there, if that is the lawful motion within the tolerance.
    still = resting(seen, seen.place) | resting(seen, chain.place, SLOW / PARTED)
    lawfully = resting(seen, chain.place, PARTED * SLOW)
    for arc in chain.arcs:
        n, part = arc.disc, slice(arc.first, arc.last)
        before = chain.broken(n, arc.first)
        known = arc.first + np.flatnonzero(seen.known[part, n])
        owed = arc.first + np.flatnonzero(seen.owed[part, n])
        sure = int(seen.known[owed, n].sum())  # context alone says nothing of what follows
        # What is due for a moment only, before it is hidden, may be half hidden for nearly all of it.
        least = min(LEAST_POINTS, len(owed)) if len(owed) * dt > MAX_GAP else min(1, len(owed))
        if not lasts(seen.times[known]) or sure < least:
            short[part, n] = True
            continue
        good = (seen.there | _shown(seen))[part, n] & ~(
            still[part, n] & ~_may_rest(chain, seen, arc, still[part, n], lawfully[part, n], not before)
        )
        weight[part, n] = good * 0.5 ** sum(GROSS if b.gross else 1 for b in before)
        first[part, n] = not before
    for b in chain.breaks:  # the arc before it goes on to the first point that it misses
        first[seen.times >= b.time - 1e-9, b.disc] = False
    return weight, first, short


def _may_rest(chain: LawfulSegments, seen: PlacedBodies, arc: Arc, still: Mask, lawfully: Mask, unbroken: bool) -> Mask:
    """Frames of an arc in which rest counts.

    The body came to rest in it, or is seen to rest in the context and was not met, or truly rests.
    """
    n, begin, end = arc.disc, arc.first, arc.last
    speed = np.linalg.norm(chain.speed[begin:end, n], axis=-1) / seen.diameter[n]
    moves = (speed > 2 * SLOW) & ~still  # both: a lawful hop below the tolerance is no motion that was shown
    may = (np.maximum.accumulate(moves) & lawfully) | (seen.rests & seen.owed)[begin:end, n]
    if unbroken and _rested(seen, n):
        may = may | ~chain.touched[begin:end, n]
    return np.asarray(may)


def _rested(seen: PlacedBodies, disc: int) -> bool:
    """Whether the context frames themselves show a body at rest."""
    given = np.flatnonzero(seen.given[:, disc])
    if len(given) < SHOWN_POINTS or seen.times[given[-1]] - seen.times[given[0]] < SHOWN_FOR - 1e-9:
        return False
    place = seen.place[given, disc] / seen.diameter[disc]
    moved = np.linalg.norm(place - place[0], axis=-1)
    most = SLOW * (seen.times[given] - seen.times[given[0]]) + SURE_SDS * seen.sd[given, disc]
    return bool((moved <= most).all())


def resting(seen: PlacedBodies, place: Array, slow: float = SLOW) -> Mask:
    """Where places (T, N, 2) m move by less than `slow` diameters/s in SLOW_TIME (T, N)."""
    dt = float(seen.times[1] - seen.times[0])
    half = max(1, round(SLOW_TIME / 2 / dt))
    at = np.arange(len(seen.times))
    before, behind = np.maximum(at - half, 0), np.minimum(at + half, len(at) - 1)
    span = ((behind - before) * dt)[:, None]
    moved = [np.linalg.norm(place[b] - place[a], axis=-1) for a, b in ((before, behind), (before, at), (at, behind))]
    return np.asarray(np.max(moved, axis=0) < slow * span * seen.diameter)  # False where NaN


def jitter(chain: LawfulSegments, seen: PlacedBodies) -> float:
    """Rms in diameters of what of a track's distance from its lawful arcs changes from frame to frame.

    d = r(t) - (r(t - 1) + r(t + 1)) / 2; the rms of d over sqrt(3 / 2) is the sd per coordinate of independent noise.
    NaN where no three frames in a row are explained.
    """
    away = (seen.place - chain.place) / seen.diameter[:, None]
    high = (away[1:-1] - (away[:-2] + away[2:]) / 2)[seen.owed[1:-1]]
    high = high[np.isfinite(high).all(axis=-1)]
    return float(np.sqrt((high**2).mean() / 1.5)) if len(high) else float("nan")


def strength(problem: Hypothesis) -> float:
    """The smallest tolerance, on the grid 0.01 x 1.2^k diameters, at which a clip has no break; at most 2.

    It is 2 where a body that is due and not excused is not there, or in no segment that counts, for LOST s.
    """
    seen = problem.seen
    if not _shows_enough(seen):
        return 2.0
    low, high, best = -1, len(GRID), None  # breaks at GRID[low], none at GRID[high]
    trial = next(k for k, value in enumerate(GRID) if value >= TOLERANCES[0])
    while high - low > 1:
        chain = SegmentSearch(problem, GRID[trial], only_first=True, arcs=best).run()
        if chain.breaks or _loses(chain, seen):
            low = trial
        else:
            high, best = trial, chain.arcs
            if seen.declared is None:  # else what is allowed at the start depends on the tolerance, too
                needed = np.where(chain.errors > SURE_SDS * seen.sd, chain.errors / np.maximum(seen.share, 1e-9), 0.0)
                high = min(trial, int(np.searchsorted(GRID, np.nanmax(needed, initial=0.0))))
        trial = (low + high) // 2
        if low < 0 <= high - 2:
            trial = high - 1 if high <= 3 else (low + high) // 2
    return 2.0 if high == len(GRID) else GRID[high]


def _loses(chain: LawfulSegments, seen: PlacedBodies) -> bool:
    """Whether a chain leaves some body that is due unexplained for LOST s."""
    _, _, short = _weights(chain, seen)
    gone = seen.owed & ~excused(chain, seen) & (~seen.there | short | np.isnan(chain.place[..., 0]))
    dt = float(seen.times[1] - seen.times[0]) if len(seen.times) > 1 else 0.0
    return any(len(run) * dt > LOST + 1e-9 for column in gone.T for run in runs(column))
