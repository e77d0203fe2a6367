"""Where two lawful arcs of a body part, and by how much: a change point, with both arcs fitted anew for every cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.forward_model import Trajectory
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.hypothesis import FREE, Arc, Hypothesis

Array = NDArray[np.float64]

LARGE = 0.5  # diameters, or of the larger speed: a jump beyond it is gross
CREEP = 0.1  # diameters/s; a smaller change of velocity is not gross
SETTLED = 3  # frames in which two arcs that meet the same thing both have met it
HELD = 1 / 3  # of what a tolerance leaves open is left to an arc that was fitted to its own side of a break only
BEHIND = 0.4  # s behind the start of the later arc whose points tell where it comes from
FAR = 2.0  # tolerances; the same of a cut where the old arc touches something
CURVED = 3  # numbers per coordinate of a motion that no law gives: a parabola
SAME = 5.0  # sd; cuts whose sums of squares differ by no more than one point that far off are as good
WEAK = 1e-2  # 1/m2 and such, which keeps fits of few points from going anywhere
LEAST_TIME = 0.3  # s over which a tolerance leaves a velocity open


@dataclass(frozen=True)
class ChangePoint:
    """The break between two arcs."""

    time: float  # s of the first frame that the later arc explains better
    gross: bool
    jump: float  # diameters between the lawful states before and behind it, or where the later arc begins
    kick: float  # m/s between their velocities


@dataclass(frozen=True, eq=False)
class _Course:
    """A body's motion in F frames, and how it hangs on p numbers."""

    first: int
    place: Array  # (F, 2) m
    speed: Array  # (F, 2) m/s
    place_slope: Array  # (F, 2, p)
    speed_slope: Array  # (F, 2, p)

    def states(self, first: int, end: int, step: Array) -> tuple[Array, Array]:
        """Places m and velocities m/s (F, 2) in some frames where the numbers are changed by step (p,)."""
        part = slice(first - self.first, end - self.first)
        return self.place[part] + self.place_slope[part] @ step, self.speed[part] + self.speed_slope[part] @ step


def change_point(
    problem: Hypothesis,
    arcs: Sequence[Arc],
    old: Arc,
    new: Arc | None,
    way: Trajectory,
    earliest: int,
    tolerance: float,
) -> ChangePoint:
    """Compare an arc of a body with its next one, not before frame `earliest`. tolerance: diameters, of both.

    arcs: all, both among them. way: their simulation in which the old arc goes on. new: None where nothing lawful
    follows, so that jump and kick are NaN.

    For every cut the old arc is fitted to the points up to it, since the chain leaves it tilted by points behind the
    break. What goes on from the cut is fitted to the points behind it: a motion near the old arc, which meets what that
    meets; the new arc, carried back under the forces of free motion or along its face; and where no lawful
    motion follows at once, a parabola. All fits are linear. The cut is where both sides together explain the track
    best, or the last one that is about as good: where the body was hidden, the frame that shows it again. Where both
    are one way up to a touch that did not happen, it is that touch, though it may be worse than an earlier cut by as
    much as a point off by FAR tolerances: what wobbles slowly is better explained in two pieces than in one.
    """
    seen, n = problem.seen, old.disc
    size = float(seen.diameter[n])
    start = old.last if new is None else new.first
    last = min(old.last, start)  # a break is not later than the first frame that the old arc misses
    cuts = np.arange(max(old.first, min(earliest, last)), last + 1)
    end = int(np.searchsorted(seen.times, seen.times[start] + BEHIND + 1e-9))
    loose = tolerance * size * np.array([1.0, 1 / LEAST_TIME])  # m and m/s by which a fit may move a start
    longer = [replace(arc, last=len(seen.times)) if arc is old else arc for arc in arcs if arc is not new]
    going = ArcFit(problem, longer, [next(a for a, arc in enumerate(arcs) if arc is old)], way, end)
    place, speed, _ = way.at(seen.steps[old.first : end])
    before = _Course(old.first, place[0, :, n], speed[0, :, n], *_slopes(going, n))
    upto, step = _least(problem, n, before, cuts, loose)
    near, near_step = _least(problem, n, before, cuts, None, backward=True)
    behind = None if new is None else _carried_back(problem, arcs, new, way, int(cuts[0]), end)
    at_once = behind is not None and start <= old.last
    if behind is not None and at_once:
        other, other_step = _least(problem, n, behind, cuts, HELD * loose, backward=True)
    else:
        curved = _parabola(problem, int(cuts[0]), last, end)
        other, other_step = _least(problem, n, curved, cuts, None, backward=True)
    free = 2 * int(seen.known[old.first : end, n].sum()) - 2 * len(old.numbers)
    cut, slack = _cut(problem, n, way, cuts, upto + np.minimum(near, other), free, tolerance)
    frame, time = int(cuts[cut]), float(seen.times[cuts[cut]])
    if new is None or behind is None:
        return ChangePoint(time, False, np.nan, np.nan)
    if not at_once:  # carried back for long it may be anywhere: the old arc is carried on instead
        frame = start
    until = max(min(frame + SETTLED, end), frame + 1)
    place, speed, _ = going.way((old.numbers + step[cut])[None]).at(seen.steps[frame:until])
    if not at_once:
        now = behind.states(frame, until, np.zeros(len(new.numbers)))
    elif near[cut] < other[cut] - slack:
        now = before.states(frame, until, near_step[cut])
    else:
        now = behind.states(frame, until, other_step[cut])
    return _apart(time, size, (place[0, :, n], speed[0, :, n]), now)


def _cut(
    problem: Hypothesis, disc: int, way: Trajectory, cuts: NDArray[np.intp], total: Array, free: int, tolerance: float
) -> tuple[int, float]:
    """Index of the cut that is chosen by sums of squares (C,) in sd2, and by how much those may differ.

    free: coordinates less numbers; what of the least sum exceeds them is taken for noise. way: with the old arc.
    """
    seen = problem.seen
    known = np.flatnonzero(seen.known[cuts, disc])  # only there the sums change
    if not len(known):
        return len(cuts) - 1, 0.0
    best = float(total[known].min())
    slack = SAME**2 * max(best / max(free, 1), 1.0)
    wide = max((FAR * tolerance / float(np.median(seen.sd[cuts, disc]))) ** 2, slack)
    met = np.searchsorted(seen.steps[cuts], [step for step, *pair in way.touches if disc in pair])
    good = [*known[total[known] <= best + slack], *np.intersect1d(met, known[total[known] <= best + wide])]
    return int(max(good)), slack


def _apart(time: float, size: float, was: tuple[Array, Array], now: tuple[Array, Array]) -> ChangePoint:
    """The break between two motions, places m and velocities m/s (F, 2) from the break on. size: m, the diameter.

    Where both touch something, one some frames before the other, their velocities differ by that touch in between: the
    least difference counts.
    """
    jump = float(np.linalg.norm(now[0][0] - was[0][0])) / size
    kicks = np.linalg.norm(now[1] - was[1], axis=-1)
    least = int(np.nan_to_num(kicks, nan=np.inf).argmin())
    kick, larger = float(kicks[least]), float(max(np.linalg.norm(each[1][least]) for each in (was, now)))
    return ChangePoint(time, bool(jump > LARGE or kick > max(LARGE * larger, CREEP * size)), jump, kick)


def _least(
    problem: Hypothesis,
    disc: int,
    course: _Course,
    cuts: NDArray[np.intp],
    loose: Array | None,
    *,
    backward: bool = False,
) -> tuple[Array, Array]:
    """Least sums of squares in sd2 of the points of a course before each cut, or from it on (C,), and its steps (C, p).

    loose: sd of places m and velocities m/s (2,) at the start around what they are; None: any.
    """
    seen = problem.seen
    frames = slice(course.first, course.first + len(course.place))
    away, slope = course.place - seen.place[frames, disc], course.place_slope
    sure = np.isfinite(away).all(axis=-1) & np.isfinite(slope).all(axis=(-1, -2))
    weight = np.where(sure, 1 / (seen.sd[frames, disc] * seen.diameter[disc]), 0.0)[:, None]
    parts = np.concatenate([np.nan_to_num(slope), np.nan_to_num(away)[..., None]], axis=-1) * weight[..., None]
    square = (parts[..., None] * parts[..., None, :]).sum(axis=1)  # (F, p + 1, p + 1)
    sums = np.zeros((len(square) + 1, *square.shape[1:]))
    sums[1:] = np.cumsum(square, axis=0)
    part = sums[cuts - course.first]
    if backward:
        part = sums[-1] - part
    count = slope.shape[-1]
    held = np.full(count, WEAK) if loose is None else np.repeat(loose**-2, count // 2)
    normal, right = part[:, :count, :count] + np.diag(held), part[:, :count, count]
    step = -np.linalg.solve(normal, right[..., None])[..., 0]
    return np.maximum(part[:, count, count] + (right * step).sum(axis=-1), 0.0), step


def _slopes(fit: ArcFit, disc: int) -> tuple[Array, Array]:
    """Slopes (F, 2, p) of places and velocities of a body in the frames of a fit."""
    moved = fit.way(np.concatenate([fit.start[None], fit.start + np.diag(fit.steps)]), True)
    places, speeds, _ = moved.at(fit.problem.seen.steps[fit.frames])
    place, speed = (np.moveaxis(each[1:, :, disc] - each[0, :, disc], 0, -1) / fit.steps for each in (places, speeds))
    return place, speed


def _carried_back(problem: Hypothesis, arcs: Sequence[Arc], new: Arc, way: Trajectory, first: int, end: int) -> _Course:
    """The new arc from frame `first`, before its start, up to another one."""
    seen, n, world = problem.seen, new.disc, problem.forward.world
    fit = ArcFit(problem, arcs, [next(a for a, arc in enumerate(arcs) if arc is new)], way, end)
    ahead = fit.way(new.numbers[None])
    place, speed, _ = (part[0, :, n] for part in ahead.at(seen.steps[new.first : end]))
    frames = np.arange(first, new.first)
    time = seen.times[first:end] - seen.times[new.first]
    along = np.eye(2)
    if new.face == FREE or world is None:
        place_back, speed_back = _fallen(problem, n, way, new.numbers, frames, new.first)
    else:
        along = world.tangent[new.face][:, None]
        state = problem.state(n, new.face, new.numbers[None])[0]
        back = time[: len(frames), None]
        gain = _gain(speed, seen.times[new.first : end], float(np.linalg.norm(world.gravity)))
        place_back = state[:2] + back * state[2:4] + 0.5 * back**2 * gain
        speed_back = state[2:4] + back * gain
    places = np.broadcast_to(along, (len(time), *along.shape))
    place_slope = np.concatenate([places, time[:, None, None] * along], axis=-1)
    speed_slope = np.concatenate([np.zeros_like(places), places], axis=-1)
    if any(n in touch[1:] for touch in ahead.touches):  # until then it goes straight on, but for the forces
        place_slope[len(frames) :], speed_slope[len(frames) :] = _slopes(fit, n)
    place, speed = np.concatenate([place_back, place]), np.concatenate([speed_back, speed])
    return _Course(first, place, speed, place_slope, speed_slope)


def _fallen(
    problem: Hypothesis, disc: int, way: Trajectory, start: Array, frames: NDArray[np.intp], frame: int
) -> tuple[Array, Array]:
    """Places and velocities (F, 2) in frames before that of the start (4,) of a free body, leapfrog steps backwards."""
    seen = problem.seen
    if problem.forward.world is not None:
        pull = problem.forward.acceleration(np.zeros((len(seen.diameter), 2)))[disc]
        back = (seen.times[frames] - seen.times[frame])[:, None]
        return start[:2] + back * start[2:] + 0.5 * back**2 * pull, start[2:] + back * pull
    place, speed = np.empty((len(frames), 2)), np.empty((len(frames), 2))
    around = np.nan_to_num(way.at(seen.steps[frame - len(frames) : frame + 1])[0][0])
    at, going = start[:2], start[2:]
    gain = problem.forward.acceleration(_with(around[-1], disc, at))[disc]
    for f in range(len(frames) - 1, -1, -1):
        dt = float(seen.times[frames[f]] - seen.times[frames[f] + 1])
        half = going + 0.5 * dt * gain
        at = at + dt * half
        gain = problem.forward.acceleration(_with(around[f], disc, at))[disc]
        going = half + 0.5 * dt * gain
        place[f], speed[f] = at, going
    return place, speed


def _gain(speed: Array, times: Array, most: float) -> Array:
    """Acceleration (2,) m/s2 between the first two frames; none where it exceeds `most`: a touch lies between."""
    if len(speed) < 2:
        return np.zeros(2)
    gain = (speed[1] - speed[0]) / (times[1] - times[0])
    return np.where(np.linalg.norm(gain) <= most, gain, 0.0)


def _with(places: Array, disc: int, place: Array) -> Array:
    """Places (N, 2) with one body elsewhere."""
    places = places.copy()
    places[disc] = place
    return places


def _parabola(problem: Hypothesis, first: int, middle: int, end: int) -> _Course:
    """Any parabola from a frame up to another one; it begins as none at all. middle: frame of time 0."""
    times = problem.seen.times
    time = (times[first:end] - times[middle])[:, None, None]
    slope = np.concatenate([time**k * np.eye(2) for k in range(CURVED)], axis=-1)
    nothing = np.zeros((end - first, 2))
    return _Course(first, nothing, nothing, slope, np.zeros_like(slope))
