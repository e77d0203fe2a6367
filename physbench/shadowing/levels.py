"""Readings of lawful segments at all tolerance levels: explained share, breaks, violation size, weights of time.

Shares are of counted object-time; in qualities it has weights (`discriminative_weight`). A segment has the weight
2^-(breaks of its body before it), where a gross break counts as GROSS_BREAKS. A segment that is too short is
undetermined, which is unexplained. Where the unbroken arc of a body that is not seen is hidden or outside the image,
the body is lawfully hidden: that time is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physbench.shadowing.change_point import GROSS_JUMP
from physbench.shadowing.fit import Arc, Hypothesis
from physbench.shadowing.nuisances import without_independent_noise
from physbench.shadowing.observed_motion import FORCE_POINTS, FORCE_TIME, REST, PlacedBodies
from physbench.shadowing.search import GROSS_BREAKS, SEGMENT, Break, LawfulSegments, SegmentSearch, is_long_enough
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import resting, runs

# What lawful time is worth: little until simple motions have parted from the lawful one, or have been left.
#
# At a tolerance a frame of a body is *decided* once every naive extrapolation has been off by 4
# tolerances. A lawful trajectory whose start is free comes to within a quarter of such a distance (docs/design/
# tolerances.md), so that at less one may pass for lawful. What is decided depends on the clip alone, not on who is
# judged; what is not lawful always counts in full: nothing undecided excuses a break. Where all that is decided is
# out of sight, time weighs so only for those who show it.


UNDECIDED = 0.1  # weight of a lawful frame in which nothing is


def decided(seen: PlacedBodies, tolerance: float) -> Mask:
    """Mask (T, N) of bodies whose motion is decided; True everywhere, where extrapolations are not known."""
    if seen.extrapolation_distance is None:
        return np.ones(seen.expected_visible.shape, dtype=bool)
    return np.asarray(seen.extrapolation_distance > 4.0 * tolerance)


def discriminative_weight(decisive: Mask, lawful: Mask, counted: Mask) -> Array:
    """Weights of frames (T, N).

    Args:
        decisive: Where something is decided; where nothing is in the frames that are due, all weigh the same.
        lawful: Where the motion is lawful and unbroken.
        counted: Where ground truth or the prediction shows a body.
    """
    if not (decisive & counted).any():
        return np.ones(decisive.shape)
    return np.where(decisive | ~lawful, 1.0, UNDECIDED)


def share_of_level(seen: PlacedBodies, tolerance: float) -> float:
    """Weight of a tolerance: the mean weight of the frames in which ground truth shows a body."""
    expected = seen.expected_visible
    return float(np.where(decided(seen, tolerance), 1.0, UNDECIDED)[expected].mean()) if expected.any() else 1.0


TOLERANCES = (0.03, 0.08, 0.2, 0.5)  # diameters
HIDDEN_TOLERANCE = 0.2  # diameters; at a larger tolerance no frame is lawfully hidden that is due at smaller ones


HANDOVER_WINDOW = 0.2  # s after the hand-over; a first break there is a discontinuity of the hand-over
STRENGTH_GRID = tuple(0.01 * 1.2**k for k in range(30))  # diameters; the last is 1.98


@dataclass(frozen=True, eq=False)
class ToleranceLevel:
    """Lawful motion at one tolerance. Shares are 0..1 of counted object-time."""

    tolerance: float  #: diameters
    explained: float  #: share, weighted
    shadowed: float  #: share before each body's first break
    explained_after_handover: float  #: as `explained`, but a first break at the hand-over is forgiven
    breaks: tuple[Break, ...]  #: in the order of time
    undetermined: float  #: share in segments that are too short to count
    weight: Array  #: (T, N) 2^-(breaks before it) in each frame; 0 where it is unexplained
    counted: Mask  #: (T, N) what shares are of; a body that should be visible and is not lawfully hidden, or is shown
    segments: LawfulSegments  #: arcs, with positions and velocities on them (T, N, 2) m and m/s
    discriminative_weight: Array  #: (T, N) what each frame weighs in `quality`
    quality: float  #: mean of `explained` and `shadowed`, of time as it weighs
    share: float  #: what this tolerance weighs among others


def at_levels(problem: Hypothesis, tolerances: tuple[float, ...] = TOLERANCES) -> tuple[ToleranceLevel, ...]:
    """Read a track at rising tolerances. What is unbroken at one tolerance is unbroken at all larger ones."""
    return judge(problem, tolerances, noise=False)[1]


def judge(
    problem: Hypothesis, tolerances: tuple[float, ...] = TOLERANCES, *, noise: bool = True
) -> tuple[Hypothesis, tuple[ToleranceLevel, ...]]:
    """Read a track at rising tolerances, without its independent noise.

    The largest comes first, and tells noise from motion. Smaller ones look for no lawful motion where a larger one
    found none; an unbroken motion that meets a smaller tolerance, too, is kept. A track that is unbroken at one
    tolerance has no break at larger ones.

    Args:
        problem: The bodies as they are placed, and the law.
        tolerances: In diameters, ascending.
        noise: Whether independent noise is taken off.

    Returns the problem with the bodies as they are judged, and its levels.
    """
    searched = [SegmentSearch(problem, tolerances[-1]).run()]
    if not searched[0].breaks or problem.law.scene.bins:  # chance may hide a path from a search, and not from another
        smallest = searched[0]
        if not _meets(problem.seen, smallest, tolerances[0]):
            smallest = SegmentSearch(problem, tolerances[0], only_first=True).run()
        if smallest.arcs and not smallest.breaks:
            return problem, _levels([smallest] * len(tolerances), problem.seen, tolerances)
    quiet = without_independent_noise(problem.seen, searched[0]) if noise else None
    if quiet is not None:
        return judge(problem.with_bodies(quiet), tolerances, noise=False)
    for tolerance in reversed(tolerances[:-1]):
        kept = _meets(problem.seen, searched[-1], tolerance)
        searched.append(searched[-1] if kept else SegmentSearch(problem, tolerance, coarser=searched[-1]).run())
    for k in reversed(range(len(searched) - 1)):  # a search may miss what one at a smaller tolerance finds
        if searched[k].breaks and searched[k + 1].arcs and not searched[k + 1].breaks:
            searched[k] = searched[k + 1]
    return problem, _levels(searched[::-1], problem.seen, tolerances)


def _levels(
    searched: list[LawfulSegments], seen: PlacedBodies, tolerances: tuple[float, ...]
) -> tuple[ToleranceLevel, ...]:
    """Readings of segments at rising tolerances."""
    levels: list[ToleranceLevel] = []
    for segments, tolerance in zip(searched, tolerances, strict=True):
        judged = next(
            (level.counted for level in reversed(levels) if level.tolerance <= HIDDEN_TOLERANCE < tolerance), None
        )
        levels.append(read(segments, seen, tolerance, judged))
    return tuple(levels)


def _meets(seen: PlacedBodies, segments: LawfulSegments, tolerance: float) -> bool:
    """True if segments without a break lie within a smaller tolerance, too."""
    if segments.breaks or not segments.arcs or seen.velocity_prior is not None:
        return False
    known = np.isfinite(segments.errors)
    return bool((segments.errors[known] <= seen.limit(tolerance)[known]).all())


def quality(levels: tuple[ToleranceLevel, ...]) -> float:
    """Mean of E and S, of time and tolerances as they weigh (`discriminative_weight`, `share_of_level`)."""
    lost = [1 - level.quality for level in levels]
    return 1 - float(np.average(lost, weights=[level.share for level in levels]))


def read(
    segments: LawfulSegments, seen: PlacedBodies, tolerance: float, expected: Mask | None = None
) -> ToleranceLevel:
    """Shares of lawful segments. expected: (T, N) frames that count in any case."""
    weight, first, short = _weights(segments, seen, tolerance)
    # A body that is shown must be lawful also where ground truth shows nothing: it may not come out of a wall.
    # Nothing excuses a body that is out of sight where the scenery is no longer that of the scene.
    moved = scenery_broken(seen, tolerance)[0][:, None] & seen.judged
    counted = ((seen.expected_visible | _shown(seen)) & ~lawfully_hidden(segments, seen)) | moved
    if expected is not None:  # a motion that is off by half a diameter might leave the view, and what follows with it
        counted |= expected
    if not _shows_enough(seen):
        weight, first, short = np.zeros_like(weight), np.zeros_like(first), counted
    total = max(int(counted.sum()), 1)
    # What is shown where ground truth hides it may be what decides: a ball that should have stayed behind a screen.
    weights = discriminative_weight(decided(seen, tolerance), first & (weight == 1), seen.expected_visible | counted)
    lost = weights * (1 - weight * (1 + first) / 2)
    after = weight.copy()
    for body in range(weight.shape[1]):
        at_handover = handover_break(segments, body)
        if at_handover is not None:
            after[at_handover.frame :, body] *= 2.0 ** (GROSS_BREAKS if at_handover.gross else 1)
    return ToleranceLevel(
        tolerance,
        float(weight[counted].sum() / total),
        float((weight * first)[counted].sum() / total),
        float(np.minimum(after, 1.0)[counted].sum() / total),
        tuple(sorted(segments.breaks, key=lambda b: (b.time, b.body))),
        float((short & counted).sum() / total),
        weight,
        counted,
        segments,
        weights,
        1 - float(lost[counted].sum() / weights[counted].sum()) if counted.any() else 0.0,
        share_of_level(seen, tolerance),
    )


def handover_break(segments: LawfulSegments, body: int) -> Break | None:
    """The first break of a body after the hand-over, if it lies within HANDOVER_WINDOW s of it."""
    later = [b for b in segments.breaks if b.body == body and b.time > 1e-9]
    first = min(later, key=lambda b: b.time, default=None)
    return first if first is not None and first.time <= HANDOVER_WINDOW + 1e-9 else None


def lawfully_hidden(segments: LawfulSegments, seen: PlacedBodies) -> Mask:
    """Mask (T, N) of bodies that should be visible, are absent, and are lawfully hidden or outside the image."""
    away = seen.expected_visible & ~seen.present & np.isfinite(segments.position[..., 0])
    for n in range(away.shape[1]):
        away[min((b.frame for b in segments.breaks if b.body == n), default=len(away)) :, n] = False
    if seen.sight is None or not away.any():
        return np.zeros_like(away)
    return away & seen.sight.out_of_sight(segments.position)


def _shown(seen: PlacedBodies) -> Mask:
    """Mask (T, N) of judged bodies that a predicted frame shows at a known position."""
    return np.asarray(seen.known & seen.judged & (seen.times > 1e-9)[:, None])


def _shows_enough(seen: PlacedBodies) -> bool:
    """True if bodies are shown for at least `min_visible` frames."""
    shown = (seen.present | seen.known) & seen.judged & (seen.times > 1e-9)[:, None]
    return int(shown.sum()) >= seen.min_visible


def _weights(segments: LawfulSegments, seen: PlacedBodies, tolerance: float) -> tuple[Array, Mask, Mask]:
    """Weight of each frame, whether it lies before the first break, and whether its segment is too short (T, N)."""
    shape = seen.expected_visible.shape
    weight, first, short = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    # A track that trembles about a position rests there, if its lawful motion rests.
    still = _rest(seen, seen.position, REST.speed) | _rest(seen, segments.position, REST.speed / REST.slack)
    lawfully = _rest(seen, segments.position, REST.slack * REST.speed)
    for arc in segments.arcs:
        n, part = arc.body, slice(arc.first, arc.last)
        before = segments.breaks_until(n, arc.first)
        if not _is_observed(seen, arc, not before):
            short[part, n] = True
            continue
        good = (seen.present | _shown(seen))[part, n] & ~(
            still[part, n] & ~_may_rest(segments, seen, arc, still[part, n], lawfully[part, n], not before)
        )
        weight[part, n] = good * 0.5 ** sum(GROSS_BREAKS if b.gross else 1 for b in before)
        first[part, n] = not before
    for b in segments.breaks:  # the arc before it continues to the first point that it misses
        first[seen.times >= b.time - 1e-9, b.body] = False
    moved, lost = scenery_broken(seen, tolerance)
    first[moved] = False
    weight[moved] *= 0.5
    weight[lost] *= 0.5 ** (GROSS_BREAKS - 1)
    return weight, first, short


def _rest(seen: PlacedBodies, position: Array, slow: float) -> Mask:
    return resting(seen.times, position / seen.diameter[:, None], slow, REST.time)


def _is_observed(seen: PlacedBodies, arc: Arc, unbroken: bool) -> bool:
    """True if enough of a segment is seen to count.

    No prediction is required of what ground truth does not show. It may show a body whole for a few frames or none,
    before that is hidden for good: where the context tells how it moves, half of these places are enough.
    """
    n, part = arc.body, slice(arc.first, arc.last)
    known, expected = seen.known[part, n], seen.expected_visible[part, n]
    whole = np.ones(len(seen.times), dtype=bool) if seen.shown_whole is None else seen.shown_whole[:, n]
    frames_per_position = 2  # of so many frames in which ground truth shows a body whole, a position is asked in one
    # Context alone tells nothing about what follows.
    if (known & expected).sum() < min(SEGMENT.points, (whole[part] & expected).sum() // frames_per_position):
        return False
    shown_briefly = not is_long_enough(seen.times[whole][::frames_per_position])
    return is_long_enough(seen.times[part][known]) or bool(unbroken and shown_briefly and seen.tells_velocity[n])


def scenery_broken(seen: PlacedBodies, tolerance: float) -> tuple[Mask, Mask]:
    """Frames (T,) since a fixed body is off by more than a tolerance: a break of all bodies; and since a gross one."""
    if seen.scenery_off is None:
        return np.zeros(len(seen.times), dtype=bool), np.zeros(len(seen.times), dtype=bool)
    return seen.scenery_off > tolerance, seen.scenery_off > max(tolerance, GROSS_JUMP)


def _may_rest(
    segments: LawfulSegments, seen: PlacedBodies, arc: Arc, still: Mask, lawfully: Mask, unbroken: bool
) -> Mask:
    """Frames of an arc in which rest counts as lawful.

    The body came to rest in this arc, or rests in the context and was not touched since, or rests in ground truth.
    """
    n, begin, end = arc.body, arc.first, arc.last
    speed = np.linalg.norm(segments.velocity[begin:end, n], axis=-1) / seen.diameter[n]
    moves = (speed > 2 * REST.speed) & ~still  # both: a lawful hop below the tolerance is not a motion that was shown
    may = (np.maximum.accumulate(moves) & lawfully) | (seen.rests & seen.expected_visible)[begin:end, n]
    if unbroken and _rested(seen, n):
        may = may | ~segments.touched[begin:end, n]
    return np.asarray(may)


def _rested(seen: PlacedBodies, body: int) -> bool:
    """True if the context frames themselves show a body at rest."""
    shown = np.flatnonzero(seen.given[:, body])
    if len(shown) < FORCE_POINTS or seen.times[shown[-1]] - seen.times[shown[0]] < FORCE_TIME - 1e-9:
        return False
    position = seen.position[shown, body] / seen.diameter[body]
    moved = np.linalg.norm(position - position[0], axis=-1)
    most = REST.speed * (seen.moments[shown] - seen.moments[shown[0]]) + seen.least_limit[shown, body]
    return bool((moved <= most).all())


def jitter(segments: LawfulSegments, seen: PlacedBodies) -> float:
    """Rms in diameters of the part of a track's distance from its lawful arcs that changes from frame to frame.

    d = r(t) - (r(t - 1) + r(t + 1)) / 2; the rms of d over sqrt(3 / 2) is the sd per coordinate of independent noise.
    NaN where no three frames in a row are explained.
    """
    position = seen.position if seen.noise is None else seen.position + seen.noise
    away = (position - segments.position) / seen.diameter[:, None]
    high = (away[1:-1] - (away[:-2] + away[2:]) / 2)[seen.expected_visible[1:-1]]
    high = high[np.isfinite(high).all(axis=-1)]
    return float(np.sqrt((high**2).mean() / 1.5)) if len(high) else float("nan")


def strength(problem: Hypothesis, levels: tuple[ToleranceLevel, ...] = ()) -> float:
    """The smallest tolerance, on the grid 0.01 x 1.2^k diameters, at which a clip has no break; at most 2.

    It is 2 where a body that should be visible and is not lawfully hidden is absent, or in no segment that counts, for
    0.2 s. `levels`, by rising tolerance, are not searched again: where the smallest has no break, they tell
    the strength alone.
    """
    seen = problem.seen
    if not _shows_enough(seen):
        return 2.0
    low, high, best = -1, len(STRENGTH_GRID), None  # breaks at GRID[low], none at GRID[high]
    for level in levels:
        if level.segments.breaks or _loses(level.segments, seen):
            low = int(np.searchsorted(STRENGTH_GRID, level.tolerance, side="right")) - 1
        else:
            reached = int(np.searchsorted(STRENGTH_GRID, level.tolerance))
            high, best = max(_needed(level.segments, seen, reached), low + 1), level.segments.arcs
            break
    trial = next(k for k, value in enumerate(STRENGTH_GRID) if value >= TOLERANCES[0])
    if levels and best is None:  # broken at all of them, mostly at the last of the grid, too
        trial = high - 1
    while high - low > 1:
        if low >= trial or high <= trial:
            trial = high - 1 if low < 0 and high <= 3 else (low + high) // 2
        segments = SegmentSearch(problem, STRENGTH_GRID[trial], only_first=True, arcs=best).run()
        if segments.breaks or _loses(segments, seen):
            low = trial
        else:
            high, best = max(_needed(segments, seen, trial), low + 1), segments.arcs
    size = 2.0 if high == len(STRENGTH_GRID) else STRENGTH_GRID[high]
    return size if seen.scenery_off is None else min(2.0, max(size, float(seen.scenery_off[-1])))


def _needed(segments: LawfulSegments, seen: PlacedBodies, most: int) -> int:
    """Index on the grid of the tolerance that arcs without a break need; `most` where a velocity depends on it, too."""
    if seen.velocity_prior is not None:
        return most
    errors = segments.errors
    beyond = np.where(errors > seen.least_limit, errors / np.maximum(seen.tolerance_share, 1e-9), 0.0)
    return min(most, int(np.searchsorted(STRENGTH_GRID, np.nanmax(beyond, initial=0.0))))


def _loses(segments: LawfulSegments, seen: PlacedBodies) -> bool:
    """True if some body that should be visible is unexplained for 0.2 s: it is lost."""
    _, _, short = _weights(segments, seen, segments.tolerance)
    gone = (
        seen.expected_visible
        & ~lawfully_hidden(segments, seen)
        & (~seen.present | short | np.isnan(segments.position[..., 0]))
    )
    dt = float(seen.times[1] - seen.times[0]) if len(seen.times) > 1 else 0.0
    return any(len(run) * dt > 0.2 + 1e-9 for column in gone.T for run in runs(column))
