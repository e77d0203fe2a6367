"""Nuisances: noise and a shared shift, taken off before motion is judged, and constants that the context does not show.

A picture may tremble about a lawful motion. Such noise differs from motion in time: one frame tells nothing of the
next, and a local mean leaves little of it. What has inertia stays, a random walk too, a vibration, and so does what is
off along the motion alone, which is a matter of time.

A picture that trembles over a bare floor is a special case: the floor shows that across itself, where it is taken off,
and nothing shows it along the floor. Noise along it alone is then no matter of time.

Constants are free in a second reading: one factor on gravity or on the strength of the fields, where no body is shown
for long enough to tell what acts on it; and the task's parameters that nothing in the context reveals, within their
declared range. The context alone decides what is free, for every model alike. Restitution, friction and directions have
no scale: they are free only where a task declares them `revealed` and the context does not show the event that reveals
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from physbench.clips.clip import Clip
from physbench.clips.generate import make_params, scene_with
from physbench.clips.task import find_task
from physbench.laws.scene_law import SceneLaw, scene_law
from physbench.laws.support_check import Unsupported
from physbench.shadowing.context import unknown_parameters
from physbench.shadowing.fit import Arc, ArcFit, Hypothesis
from physbench.shadowing.observed_motion import POSITION, PlacedBodies
from physbench.shadowing.search import LawfulSegments, SegmentSearch
from physbench.support.arrays import Array, Mask, Whole
from physbench.track.visibility import MOST_CAMERA

# What all bodies share, where no scenery tells it from a camera's: a small shift, and a slow even pan.
#
# A picture that trembles or sits by a px elsewhere moves every body alike. Scenery shows that, and it is taken off
# before anything is judged. On bare ground nothing does, and a floor shows no shift along it. There what all bodies of
# a frame have in common is free, up to 1.5 px, and less for a lone body, of which everything is common.
#
# So is one velocity that two bodies or more have in common from the hand-over on, as a slow pan gives them: no law of
# one of them against the other changes by it. Of a lone body it would be any push at the hand-over.


def without_common_pan(clip: Clip, problem: Hypothesis, arcs: Sequence[Arc]) -> PlacedBodies | None:
    """The placed bodies without a velocity that they have in common from the hand-over on, by least squares.

    Lawful motion and the velocity of the picture, along directions in which nothing shows it, are fitted together, to
    ever longer parts of the track.

    Args:
        problem: The bodies as they are placed, with the laws.
        arcs: Of a lawful motion near the hand-over; the first one of each body counts.

    Returns:
        None where less than two bodies are seen, scenery shows every shift, or the pan is faster than a slow camera's.
    """
    seen, free = problem.seen, problem.seen.unshown
    together = (seen.known.sum(axis=1) > 1) & (seen.times > 1e-9)
    pan_times = (0.6, 1.2, 2.5, 5.0, np.inf)  # s after the hand-over up to which a pan is fitted, one after another
    if free is None or together.sum() < 2 * len(seen.times[seen.times > 1e-9]) // len(pan_times):
        return None
    first: dict[int, Arc] = {}
    for arc in arcs:
        first.setdefault(arc.body, replace(arc, last=len(seen.times)))
    begun, later = list(first.values()), np.maximum(seen.times, 0.0)
    velocity = np.zeros(len(free))
    for until in pan_times:
        end = int(np.searchsorted(seen.times, until + 1e-9))
        for _ in range(3):  # rounds of each fit
            panned = _panned(seen, velocity @ free)
            fit = ArcFit(problem.with_bodies(panned), begun, range(len(begun)), None, end)
            mask = panned.known[fit.frames].copy()
            for arc in begun:
                mask[: arc.first - fit.since, arc.body] = False
            residual, slope = fit.linearized(mask)  # of lawful places against seen ones, in sd
            weight = later[fit.frames, None] * panned.certainty[fit.frames] / panned.diameter
            moved = (weight[..., None, None] * free.T)[mask].reshape(-1, len(free))
            whole = np.concatenate([slope, moved], axis=1)
            scale = np.linalg.norm(whole, axis=0) + 1e-9
            step = np.linalg.lstsq(whole / scale, residual, rcond=1e-8)[0] / scale
            begun = fit.result(fit.start - step[: slope.shape[1]])
            velocity = velocity - step[slope.shape[1] :]
    side = min(clip.spec.width, clip.spec.height) / clip.pixels_per_metre
    if not np.isfinite(velocity).all() or np.linalg.norm(velocity) > MOST_CAMERA[1] * side:
        return None
    return _panned(seen, velocity @ free)


def _panned(seen: PlacedBodies, velocity: Array) -> PlacedBodies:
    """The placed bodies without a velocity (2,) m/s of the picture since the hand-over."""
    off = np.maximum(seen.times, 0.0)[:, None] * velocity
    return replace(seen, position=seen.position - off[:, None])


def without_common_shift(clip: Clip, seen: PlacedBodies, lawful: Array) -> PlacedBodies | None:
    """The placed bodies without what their distances from a lawful motion have in common.

    Args:
        seen: The bodies as they are placed.
        lawful: (T, N, 2) m, a lawful motion that is near all of them; NaN where there is none.

    Returns None where scenery shows every shift, or nothing is common.
    """
    free = seen.unshown
    if free is None:
        return None
    rest = (seen.position - lawful) @ free.T  # (T, N, D)
    known = np.asarray(np.isfinite(rest).all(axis=-1))
    rest = np.where(known[..., None], rest, 0.0)
    least = np.where(known[..., None], np.abs(rest), np.inf).min(axis=1)
    up = (known[..., None] & (rest > 0)).any(axis=1)
    down = (known[..., None] & (rest < 0)).any(axis=1)
    common = np.where(up & ~down, least, np.where(down & ~up, -least, 0.0))  # (T, D) m
    alone = np.where(known, seen.diameter, 0.0).sum(axis=1) * 0.06  # diameters of a body that is seen alone
    # px that bodies may share
    most = np.where(known.sum(axis=1) > 1, np.inf, alone).clip(max=1.5 / clip.pixels_per_metre)
    size = np.linalg.norm(common, axis=-1)
    common *= np.where(size > most, most / np.maximum(size, 1e-12), 1.0)[:, None]
    common[seen.times <= 1e-9] = 0.0  # the context is given
    if not common.any():
        return None
    return replace(seen, position=seen.position - (common @ free)[:, None])


@dataclass(frozen=True)
class NoiseLimits:
    """Independent noise of positions that is taken off."""

    mean_time: float = 0.8  # s over which distances from a lawful motion are averaged
    least: float = 0.006  # diameters, sd per coordinate; `limit_sds` of less lie within the smallest tolerance
    most: float = 0.06  # diameters; what is more stays, as in a video whose bodies shake it is no inaccuracy of drawing
    # standard errors by which the variance of noise is above 0; a walk reaches that in 2 % of clips
    significant: float = 2.0
    significant_each: float = 0.5  # the same for the variance along the motion alone and across it alone
    most_uneven: float = 3.0  # times the smaller of these variances that the larger one counts
    even: float = 0.6  # share of noise in each direction, from which on both have it
    # share of such a variance in what changes from frame to frame: 0 of a walk, 2 of what alternates
    white: tuple[float, float] = (0.5, 1.6)
    min_products: int = 8  # from which a variance is known
    most_product: float = 8.0  # medians; a larger product counts as this, so that single jumps are no noise
    recurs_sds: float = 3.0  # standard errors by which steps three frames apart go together
    # variances by which a line, and a parabola, must be nearer than a mean: .3 % of noise alone
    trends: tuple[float, float] = (11.8, 16.3)


NOISE = NoiseLimits()


@dataclass(frozen=True)
class PresumedNoiseLimits:
    """Few positions of a body that is seldom to be seen, which may be noise about a lawful motion."""

    expected: float = 1 / 3  # share of the predicted time in which the body is to be seen, at most
    least_products: int = 3  # of neighbouring steps; from `NOISE.min_products` on they tell noise themselves
    ratio: tuple[float, float] = (1.0, 3.2)  # squares of steps over those about the mean: 2 of noise
    least_left: float = 0.2  # variance without one frame, or two in a row, over that of all
    most_recurring: float = 0.9  # size of the correlation of positions two or three frames apart
    most_uneven: float = 9.0  # times the smaller of the variances along and across


PRESUMED = PresumedNoiseLimits()


def without_independent_noise(seen: PlacedBodies, segments: LawfulSegments) -> PlacedBodies | None:
    """The placed bodies without noise that is independent from frame to frame.

    A predicted position moves to the local mean of the distances from the lawful motion, or to their trend, by
    `limit_sds` sd of the noise at most, and is then as uncertain as that. Where scenery shows a tremble of the picture
    in one direction, what is taken off of a body that has less in one direction lies in the other one.

    Args:
        seen: The bodies as they are placed.
        segments: Lawful segments near them, as those at a large tolerance are.

    Returns None where no body has noise above `NOISE.least`.
    """
    measured = _measured(seen, segments)
    sd = measured.sd
    if not sd.any():
        return None
    removed, position_sd = np.zeros_like(measured.away), seen.sd.copy()
    reach = _reach(seen)
    for n in np.flatnonzero(sd):
        most, share = POSITION.limit_sds * measured.noise[n, 0], measured.noise[n, 1] * min(1.0, NOISE.most / sd[n])
        for frame in np.flatnonzero(measured.arc[:, n] >= 0).tolist():
            first = max(frame - reach, 0)
            near = first + np.flatnonzero(measured.arc[first : frame + reach + 1, n] == measured.arc[frame, n])
            mean, variance = _local(measured.away[near, n], near - frame, sd[n])
            removed[frame, n] = np.clip(share * (measured.away[frame, n] - mean), -most, most)
            rest = max(0.0, seen.sd[frame, n] ** 2 - sd[n] ** 2)
            position_sd[frame, n] = max(np.sqrt(rest + sd[n] ** 2 * variance), POSITION.min_sd)
    removed = np.einsum("tnij,tni->tnj", measured.ways, removed) * seen.diameter[:, None]
    along_floor = _along_floor(seen)
    if along_floor is not None:
        removed[:, measured.uneven] = removed[:, measured.uneven] @ along_floor.T @ along_floor
    return replace(seen, position=seen.position - removed, sd=position_sd, noise=removed)


def independent_noise(seen: PlacedBodies, segments: LawfulSegments) -> Array:
    """Sd (N,) diameters per coordinate of noise that is independent from frame to frame; 0 up to `least`.

    Arguments as of `without_independent_noise`.
    """
    return _measured(seen, segments).sd


def with_noise(seen: PlacedBodies, sd: Array) -> PlacedBodies:
    """The placed bodies where they are, as uncertain in predicted frames as noise of sd (N,) diameters makes them."""
    sd = np.where((seen.times > 1e-9)[:, None], sd, 0.0)
    return replace(seen, sd=np.maximum(seen.sd, sd), noise_sd=sd)


def local_means(away: Array, used: Mask, seen: PlacedBodies) -> tuple[Array, Array]:
    """Means over `NOISE.mean_time` of distances from a motion about which positions tremble.

    Args:
        away: (T, N, 2) diameters.
        used: (T, N) where they count; elsewhere they may be NaN.
        seen: The bodies, with the noise of their positions.

    Returns:
        Sizes of the means (T, N) diameters, and the sd of each per coordinate, that of the noise over the root of how
        many it is of, with what a position is uncertain by besides. Both are 0 where there is no noise.
    """
    means, sd = np.zeros(used.shape), np.zeros(used.shape)
    if seen.noise_sd is None:
        return means, sd
    used = used & (seen.noise_sd > 0)
    reach, total = _reach(seen), len(used)
    frames = np.arange(total)
    first, last = np.maximum(frames - reach, 0), np.minimum(frames + reach + 1, total)
    sums = np.concatenate([np.zeros((1, *away.shape[1:])), np.where(used[..., None], away, 0.0).cumsum(axis=0)])
    counts = np.concatenate([np.zeros((1, used.shape[1])), used.cumsum(axis=0)])
    count = np.maximum(counts[last] - counts[first], 1)
    mean = np.linalg.norm((sums[last] - sums[first]) / count[..., None], axis=-1)
    own = np.sqrt(np.maximum(seen.sd**2 - seen.noise_sd**2, 0.0) + seen.noise_sd**2 / count)
    return np.where(used, mean, means), np.where(used, own, sd)


def _reach(seen: PlacedBodies) -> int:
    """Frames before and after one over which distances from a lawful motion are averaged."""
    return max(1, round(NOISE.mean_time / 2 / float(seen.times[1] - seen.times[0])))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Distances of N bodies from lawful segments, and the noise in them."""

    away: Array  # (T, N, 2) diameters along the motion and across it
    arc: Whole  # (T, N) index of the arc that covers a predicted frame; -1 without one
    ways: Array  # (T, N, 2, 2) unit vectors along the motion and across it
    noise: Array  # (N, 2, 2) as `_noise` gives it
    uneven: Whole  # bodies with less of it in one direction

    @property
    def sd(self) -> Array:
        """Of the noise of each body (N,) diameters per coordinate; 0 where it is `NOISE.least` or less."""
        sd = self.noise[:, 0].max(axis=1)
        return np.where(sd > NOISE.least, sd, 0.0)


def _measured(seen: PlacedBodies, segments: LawfulSegments) -> _Measured:
    """The noise of bodies about lawful segments.

    Where scenery shows a tremble of the picture in one direction alone, that counts as noise of a body that has less
    in one direction.
    """
    away = (seen.position - segments.position) / seen.diameter[:, None]
    arc = np.where(np.isfinite(away[..., 0]) & (seen.times > 1e-9)[:, None], _arcs(seen, segments), -1)
    # Unit vectors (T, N, 2, 2) along velocities (T, N, 2) and across them; along the axes where nothing moves.
    speed = np.linalg.norm(segments.velocity, axis=-1, keepdims=True)
    along = np.where(speed > 1e-6, segments.velocity / np.maximum(speed, 1e-12), np.array([1.0, 0.0]))
    ways = np.stack([along, np.stack([-along[..., 1], along[..., 0]], axis=-1)], axis=-2)
    recurs = [_recurs(away[:, n], arc[:, n]) for n in range(arc.shape[1])]
    trembles = away
    if _along_floor(seen) is not None and seen.shake is not None:
        trembles = away + seen.shake[:, None] / seen.diameter[:, None]
    away, trembles = (np.einsum("tnij,tnj->tni", ways, each) for each in (away, trembles))
    seldom_expected = seen.expected_visible[seen.times > 1e-9].mean(axis=0) <= PRESUMED.expected
    noise = np.stack([_noise(away[:, n], arc[:, n], bool(seldom_expected[n])) for n in range(arc.shape[1])])
    uneven = np.flatnonzero((noise[:, 1] < NOISE.even).any(axis=1))
    for n in uneven:
        noise[n] = _noise(trembles[:, n], arc[:, n])
    noise[recurs] = 0.0
    return _Measured(away, arc, ways, noise, uneven)


def _along_floor(seen: PlacedBodies) -> Array | None:
    """The one direction (1, 2) along which no scenery shows a shift of the picture; None where all do, or none."""
    return seen.unshown if seen.unshown is not None and len(seen.unshown) == 1 else None


def _arcs(seen: PlacedBodies, segments: LawfulSegments) -> Whole:
    """Index of the arc that covers a frame (T, N); -1 without one."""
    numbers = np.full(seen.known.shape, -1)
    for a, arc in enumerate(segments.arcs):
        numbers[arc.first : arc.last, arc.body] = a
    return numbers


def _noise(away: Array, arc: Whole, seldom_expected: bool = False) -> Array:
    """Independent noise of distances (T, 2), along and across, from the arcs (T,) of a body.

    -E[(r(t) - r(t - 1)) (r(t + 1) - r(t))] is the variance of independent noise, 0 of a random walk (Roll 1984,
    doi:10.1111/j.1540-6261.1984.tb03897.x), and below 0 of what changes slowly. seldom_expected: the body is to
    be seen for so short a time that noise is presumed.

    Returns:
        (2, 2): its sd along and across, diameters, 0 where it is not significant; and the share of the distances that
        is noise. Where one direction has far more than the other, the excess is none.
    """
    step = np.diff(away, axis=0)
    same = (arc[:-1] == arc[1:]) & (arc[1:] >= 0) & step.any(axis=1)  # a still picture tells nothing
    both = same[:-1] & same[1:]
    if both.sum() < NOISE.min_products:
        return _presumed_noise(away, same) if seldom_expected else np.zeros((2, 2))
    products, changes = _clipped(-(step[:-1] * step[1:])[both]), _clipped(step[:-1][both] ** 2)  # (P, 2)
    variance, error = products.mean(axis=0), products.std(axis=0) / np.sqrt(len(products))
    pooled, pooled_error = variance.mean(), products.std() / np.sqrt(products.size)
    white = NOISE.white[0] < 2 * pooled / max(float(changes.mean()), 1e-18) < NOISE.white[1]
    if not white or pooled <= NOISE.significant * pooled_error or (variance <= NOISE.significant_each * error).any():
        return np.zeros((2, 2))
    counted = np.minimum(variance, NOISE.most_uneven * variance.min())
    return np.asarray(np.sqrt(np.stack([np.full(2, counted.mean()), counted / variance])))


def _presumed_noise(away: Array, same: Mask) -> Array:
    """As `_noise`, of too few frames to tell noise from a walk by products: noise unless they look like something else.

    same: (T - 1,) steps within an arc. Squares of steps are twice those about the mean where there is noise (von
    Neumann 1941, doi:10.1214/aoms/1177731677), less on a walk or at a jump, and up to four times where frames repeat.
    What is off in one frame, or in two in a row, leaves little without them. A vibration recurs, or is opposite, after
    two or three frames. The noise of both directions is the same: so few frames tell no two apart.
    """
    at = np.flatnonzero(np.append(same, False) | np.append(False, same))
    step, n = np.diff(away[at], axis=0), len(at)
    if n - 2 < PRESUMED.least_products or not same[at[:-1]].all():  # in one piece
        return np.zeros((2, 2))
    about = away[at] - away[at].mean(axis=0)
    total = float((about**2).sum())
    ratio = float((step**2).sum()) / total
    others = [np.delete(about, slice(k, k + few), axis=0) for few in (1, 2) for k in range(n)]
    left = n * min(float(each.var(axis=0).sum()) for each in others)
    recurs = [float((about[:-k] * about[k:]).sum()) / total * n / (n - k) for k in (2, 3)]
    variance = ((np.diff(step, axis=0) / 2) ** 2).mean(axis=0) / 1.5
    if (
        not PRESUMED.ratio[0] < ratio < PRESUMED.ratio[1]
        or left < PRESUMED.least_left * total
        or np.abs(recurs).max() > PRESUMED.most_recurring
        or variance.max() > PRESUMED.most_uneven * variance.min()
    ):
        return np.zeros((2, 2))
    return np.asarray([np.full(2, np.sqrt(variance.mean())), np.ones(2)])


def _local(away: Array, frames: Whole, sd: float) -> tuple[Array, float]:
    """Distance (2,) now without noise of a sd, from distances (n, 2) in frames (n,) from now; its variance over sd^2.

    Their mean; where a line or a parabola is nearer to them by more than noise is, its value. A wrong force bends a
    path away from the lawful one, and a mean over as much as an arc would take that for noise.
    """
    count = 1 + int(np.any(np.diff(away, axis=0), axis=1).sum())  # of places: a still picture has one
    mean, variance = away.mean(axis=0), 1 / count
    left = float(((away - mean) ** 2).sum())
    for degree, least in enumerate(NOISE.trends, 1):
        if count <= degree + 1:
            break
        powers = frames[:, None] ** np.arange(degree + 1.0)
        inverse = np.linalg.inv(powers.T @ powers)
        numbers = inverse @ powers.T @ away
        if left - float(((away - powers @ numbers) ** 2).sum()) > least * sd**2:
            mean, variance = numbers[0], float(inverse[0, 0])
    return mean, variance


def _recurs(away: Array, arc: Whole) -> bool:
    """True if distances (T, 2) from the arcs (T,) of a body vibrate: steps three frames apart go together.

    Products of neighbouring steps of noise are -s^2 in the mean, s^2 its variance, and those of others 0. A vibration
    with a period of three frames has the same of neighbours, but 2 s^2 of steps three frames apart, and 1.2 s^2 or more
    with periods of 2.6 to 3.5 frames. The standard error of a mean of N such products of noise is 2 s^2 (1.5 / N)^(1/2)
    (Bartlett 1946, doi:10.2307/2983611). Axes are those of the picture: others would turn with the motion.
    """
    step = np.diff(away, axis=0)
    same = (arc[:-1] == arc[1:]) & (arc[1:] >= 0) & step.any(axis=1)
    four = same[:-3] & same[1:-2] & same[2:-1] & same[3:]
    if four.sum() < NOISE.min_products:
        return False
    products = _clipped((step[:-3] * step[3:])[four])
    variance = float(_clipped(step[:-3][four] ** 2).mean()) / 2
    return bool(products.mean() > NOISE.recurs_sds * 2 * variance * np.sqrt(1.5 / products.size))


def _clipped(values: Array) -> Array:
    """Values (P, 2), the largest as `most_product` medians of their size."""
    largest = NOISE.most_product * np.median(np.abs(values), axis=0)
    return np.asarray(np.clip(values, -largest, largest))


FACTOR_RANGE = (0.5, 2.0)  # of the factor
MIN_GAIN = 0.2  # s by which a first segment must last longer than with the scene's own constants

Duration = tuple[int, float]  # frames up to the first break, minus the rms distance in diameters


@dataclass(frozen=True)
class FreeConstants:
    """Values under which a track is lawful for longest."""

    law: SceneLaw
    factor: float = 1.0  # times the first constant of the law: gravity, or the strength of the fields
    parameters: Mapping[str, float] = field(default_factory=dict)  # that differ from the clip's own


def best_constants(clip: Clip, context: int, law: SceneLaw, seen: PlacedBodies) -> FreeConstants:
    """The free constants under which the first segment lasts longest; the scene's own unless MIN_GAIN s are gained.

    Args:
        context: Number of context frames.
        law: Of the clip's own scene.
        seen: Positions of the bodies.
    """
    best = FreeConstants(law)
    if law.has_free_constant and not seen.tells_forces:
        factor = best_factor(law, seen)
        best = replace(best, factor=1.0 if factor is None else factor)
    names = unknown_parameters(clip, context)
    if not names:
        return best
    task, own = find_task(clip.row.task), make_params(clip.row)
    since = float(seen.moments[int(seen.start.max(initial=0))])
    for name in names:
        parameter = task.parameters[name]
        low, high = parameter.range(clip.row.split)
        low = -high if parameter.signed else low

        def other(value: float, name: str = name, now: FreeConstants = best) -> FreeConstants | None:
            params = {**own, **now.parameters, name: value}
            try:
                law = scene_law(scene_with(clip.row, params), since)
            except Unsupported:
                return None
            if type(law) is not type(now.law):  # a value that the law of the scene does not cover
                return None
            return FreeConstants(law, now.factor, {**now.parameters, name: value})

        def duration(
            value: float, seen: PlacedBodies, other: Callable[[float], FreeConstants | None] = other
        ) -> Duration:
            trial = other(value)
            return (0, -np.inf) if trial is None else _duration(Hypothesis(trial.law, seen, trial.factor), seen)

        value = _search(duration, seen, own[name], low, high, parameter.grid)
        if value != own[name]:
            best = other(value) or best
    return best


def best_factor(law: SceneLaw, seen: PlacedBodies) -> float | None:
    """The factor in FACTOR_RANGE under which first segments last longest, 1 unless MIN_GAIN s are gained.

    None where the law has no constant that can be seen.
    """
    if not law.has_free_constant:
        return None
    low, high = np.log(FACTOR_RANGE[0]), np.log(FACTOR_RANGE[1])
    return float(
        np.exp(_search(lambda x, part: _duration(Hypothesis(law, part, float(np.exp(x))), part), seen, 0.0, low, high))
    )


def _search(
    duration: Callable[[float, PlacedBodies], Duration],
    seen: PlacedBodies,
    own: float,
    low: float,
    high: float,
    grid: float | None = None,
) -> float:
    """The value in [low, high] under which a segment lasts longest, then fits best; `own` unless MIN_GAIN s are gained.

    A break that comes early under every value decides nothing. Then the track after that break is tried.
    """
    first_trials = 9  # values in the first round
    dt, total = float(seen.times[1] - seen.times[0]), len(seen.times)
    for _ in range(3):  # parts of the track that are tried, each after the break of the one before
        known = {own: duration(own, seen)}
        if known[own][0] >= total or not seen.known.any():
            return own
        first = max(int(np.flatnonzero(seen.known.any(axis=1))[0]), _handover(seen))
        best, width, trials = own, high - low, np.linspace(low, high, first_trials)
        for round_ in range(7):  # a factor is found to 0.14 %
            for trial in trials.tolist():
                value = trial if grid is None else low + grid * round((trial - low) / grid)
                if value not in known:
                    known[value] = duration(value, seen)
            best = max(known, key=lambda value: known[value])
            # s: a break that comes earlier whatever the value decides nothing
            if known[best][0] < total and (known[best][0] - first) * dt < 0.5:
                break
            width *= 2 / (first_trials - 1) if round_ == 0 else 0.5
            trials = np.clip(best + np.linspace(-width / 2, width / 2, 5), low, high)  # 4 new ones
        else:
            return best if (known[best][0] - known[own][0]) * dt >= MIN_GAIN - 1e-9 else own
        seen = _from_frame(seen, known[best][0])
    return own


def _handover(seen: PlacedBodies) -> int:
    return int(np.searchsorted(seen.times, 1e-9))


def _from_frame(seen: PlacedBodies, frame: int) -> PlacedBodies:
    """The same bodies, placed from a frame on only."""
    position = seen.position.copy()
    position[:frame] = np.nan
    return replace(seen, position=position, start=np.maximum(seen.start, frame))


def _duration(problem: Hypothesis, seen: PlacedBodies) -> Duration:
    segments = SegmentSearch(problem, 0.03, only_first=True).run()  # diameters
    if not segments.arcs:
        return 0, -np.inf
    frames = min((b.frame for b in segments.breaks), default=len(seen.times))
    errors = segments.errors[:frames]
    errors = errors[np.isfinite(errors)]
    return frames, -float(np.sqrt(np.mean(errors**2))) if len(errors) else -np.inf
