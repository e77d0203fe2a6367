"""Date of a break: where two lawful arcs of a body part, and by how much.

The break is a change point: both arcs are fitted anew for every possible cut between them, and the cut that explains
the track best is chosen. `ChangePoint` holds its time, the jumps of position and velocity, and whether it is gross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.laws.point_distances import cumulative_squares
from physbench.laws.scene_law import FREE, Trajectory
from physbench.shadowing.fit import Arc, ArcFit, Hypothesis
from physbench.support.arrays import Array

GROSS_JUMP = 0.5  # diameters, or share of the larger speed: a larger jump is gross


@dataclass(frozen=True)
class CutLimits:
    """Cuts between two arcs."""

    # tolerances, one point off by which may make a cut worse where the old arc touches something
    contact_slack: float = 2.0
    equal_fit: float = 5.0  # sd; cuts are equally good if their sums of squares differ by at most one point so far off
    # share of what a tolerance leaves open that an arc keeps if only its own side was fitted
    start_freedom: float = 1 / 3
    after_span: float = 0.4  # s after the start of the later arc whose points tell where it comes from
    weak_prior: float = 1e-2  # 1/m2 and the like, which keeps fits to few points finite


CUT = CutLimits()


@dataclass(frozen=True)
class ChangePoint:
    """The break between two arcs."""

    time: float  # s of the first frame that the later arc explains better
    gross: bool
    position_jump: float  # diameters between the lawful states before and after it, or where the later arc begins
    velocity_jump: float  # m/s between their velocities


@dataclass(frozen=True, eq=False)
class _LinearTrajectory:
    """A body's trajectory in F frames, linear in p numbers."""

    first: int
    position: Array  # (F, 2) m
    velocity: Array  # (F, 2) m/s
    position_slope: Array  # (F, 2, p)
    velocity_slope: Array  # (F, 2, p)

    def states(self, first: int, end: int, step: Array) -> tuple[Array, Array]:
        """Positions m and velocities m/s (F, 2) in some frames if the numbers are changed by step (p,)."""
        part = slice(first - self.first, end - self.first)
        return self.position[part] + self.position_slope[part] @ step, self.velocity[part] + self.velocity_slope[
            part
        ] @ step


def change_point(
    problem: Hypothesis,
    arcs: Sequence[Arc],
    old: Arc,
    new: Arc | None,
    trajectory: Trajectory,
    earliest: int,
    tolerance: float,
) -> ChangePoint:
    """Date the break between an arc of a body and its next one.

    For every cut the old arc is fitted to the points before it, since the search has tilted it towards points after the
    break. The points after the cut are fitted by three motions: one near the old arc, with the same contacts; the new
    arc, carried back under the forces of free motion or along its face; and, where no lawful motion follows at once, a
    parabola. All fits are linear.

    The cut is the last one that explains the track about as well as the best one. Where the body was hidden, it is
    therefore the frame that shows it again. Where both sides are one trajectory up to a contact that did not happen,
    the cut is that contact, although it may be worse than an earlier cut by as much as a point off by `contact_slack`
    tolerances: two pieces explain a slowly wobbling track better than one.

    Args:
        problem: What is seen, and the law.
        arcs: All arcs, `old` and `new` among them.
        old: The arc that ends at the break.
        new: The next arc; None where nothing lawful follows, so that the jumps are NaN.
        trajectory: Simulation of all arcs in which the old arc goes on.
        earliest: First frame at which the break may lie.
        tolerance: Of both arcs, diameters.
    """
    seen, n = problem.seen, old.body
    size = float(seen.diameter[n])
    start = old.last if new is None else new.first
    last = min(old.last, start)  # a break lies no later than the first frame that the old arc misses
    cuts = np.arange(max(old.first, min(earliest, last)), last + 1)
    end = int(np.searchsorted(seen.times, seen.times[start] + CUT.after_span + 1e-9))
    # s; a tolerance leaves a velocity open by itself over this time
    start_sd = tolerance * size * np.array([1.0, 1 / 0.3])  # m and m/s by which a fit may move a start
    longer = [replace(arc, last=len(seen.times)) if arc is old else arc for arc in arcs if arc is not new]
    old_fit = ArcFit(problem, longer, [next(a for a, arc in enumerate(arcs) if arc is old)], trajectory, end)
    position, velocity, _ = trajectory.at(seen.steps[old.first : end])
    before = _LinearTrajectory(old.first, position[0, :, n], velocity[0, :, n], *_derivatives(old_fit, n))
    upto, step = _best_fits(problem, n, before, cuts, start_sd)
    near, near_step = _best_fits(problem, n, before, cuts, None, backward=True)
    following = None if new is None else _carried_back(problem, arcs, new, trajectory, int(cuts[0]), end)
    at_once = following is not None and start <= old.last
    if following is not None and at_once:
        other, other_step = _best_fits(problem, n, following, cuts, CUT.start_freedom * start_sd, backward=True)
    else:
        curved = _parabola(problem, int(cuts[0]), last, end)
        other, other_step = _best_fits(problem, n, curved, cuts, None, backward=True)
    free = 2 * int(seen.known[old.first : end, n].sum()) - 2 * len(old.numbers)
    cut, slack = _cut(problem, n, trajectory, cuts, upto + np.minimum(near, other), free, tolerance)
    frame, time = int(cuts[cut]), float(seen.times[cuts[cut]])
    if new is None or following is None:
        return ChangePoint(time, False, np.nan, np.nan)
    if not at_once:  # long carried back it is uncertain: the old arc is continued instead
        frame = start
    until = max(min(frame + 3, end), frame + 1)  # frames within which both arcs have touched a thing that both touch
    position, velocity, _ = old_fit.trajectory((old.numbers + step[cut])[None]).at(seen.steps[frame:until])
    if not at_once:
        new_motion = following.states(frame, until, np.zeros(len(new.numbers)))
    elif near[cut] < other[cut] - slack:
        new_motion = before.states(frame, until, near_step[cut])
    else:
        new_motion = following.states(frame, until, other_step[cut])
    return _break_between(time, size, (position[0, :, n], velocity[0, :, n]), new_motion)


def _cut(
    problem: Hypothesis,
    body: int,
    trajectory: Trajectory,
    cuts: NDArray[np.intp],
    total: Array,
    free: int,
    tolerance: float,
) -> tuple[int, float]:
    """Choose a cut by sums of squares (C,) in sd2: its index, and by how much equally good sums may differ.

    free: number of coordinates less the fitted numbers; by how much the least sum exceeds it is taken for noise.
    trajectory: simulation in which the old arc goes on.
    """
    seen = problem.seen
    known = np.flatnonzero(seen.known[cuts, body])  # only there the sums change
    if not len(known):
        return len(cuts) - 1, 0.0
    best = float(total[known].min())
    slack = CUT.equal_fit**2 * max(best / max(free, 1), 1.0)
    wide = max((CUT.contact_slack * tolerance / float(np.median(seen.sd[cuts, body]))) ** 2, slack)
    met = np.searchsorted(seen.steps[cuts], [step for step, *pair in trajectory.contacts if body in pair])
    near, met_at = known[total[known] <= best + wide].tolist(), set(met.tolist())
    good = [*known[total[known] <= best + slack].tolist(), *(cut for cut in near if cut in met_at)]
    return max(good), slack


def _break_between(
    time: float, size: float, old_motion: tuple[Array, Array], new_motion: tuple[Array, Array]
) -> ChangePoint:
    """The break between two motions, positions m and velocities m/s (F, 2) from the break on. size: m, the diameter.

    Where both touch something, one some frames before the other, their velocities differ by that contact in between.
    Therefore the least difference counts.
    """
    position_jump = float(np.linalg.norm(new_motion[0][0] - old_motion[0][0])) / size
    velocity_jumps = np.linalg.norm(new_motion[1] - old_motion[1], axis=-1)
    least = int(np.nan_to_num(velocity_jumps, nan=np.inf).argmin())
    velocity_jump, larger = (
        float(velocity_jumps[least]),
        float(max(np.linalg.norm(each[1][least]) for each in (old_motion, new_motion))),
    )
    return ChangePoint(
        time,
        # 0.1 diameters/s; a smaller velocity jump is not gross
        bool(position_jump > GROSS_JUMP or velocity_jump > max(GROSS_JUMP * larger, 0.1 * size)),
        position_jump,
        velocity_jump,
    )


def _best_fits(
    problem: Hypothesis,
    body: int,
    linear: _LinearTrajectory,
    cuts: NDArray[np.intp],
    start_sd: Array | None,
    *,
    backward: bool = False,
) -> tuple[Array, Array]:
    """Fit the points before each cut, or from it on: least sums of squares (C,) in sd2, and changes of numbers (C, p).

    start_sd: (2,) m and m/s, by which the position and velocity at the start may change; None: freely.
    """
    seen = problem.seen
    frames = slice(linear.first, linear.first + len(linear.position))
    away = np.ascontiguousarray(linear.position - seen.position[frames, body])
    slope = np.ascontiguousarray(linear.position_slope)
    sums = cumulative_squares(away, slope, seen.sd[frames, body] * seen.diameter[body])
    part = sums[cuts - linear.first]
    if backward:
        part = sums[-1] - part
    count = slope.shape[-1]
    precision = np.full(count, CUT.weak_prior) if start_sd is None else np.repeat(start_sd**-2, count // 2)
    normal, right = part[:, :count, :count] + np.diag(precision), part[:, :count, count]
    step = np.asarray(-np.linalg.solve(normal, right[..., None])[..., 0], dtype=np.float64)
    least: Array = np.maximum(part[:, count, count] + (right * step).sum(axis=-1), 0.0)
    return least, step


def _derivatives(fit: ArcFit, body: int) -> tuple[Array, Array]:
    """Derivatives (F, 2, p) of positions and velocities of a body in the frames of a fit."""
    moved = fit.trajectory(np.concatenate([fit.start[None], fit.start + np.diag(fit.steps)]), True)
    positions, velocities, _ = moved.at(fit.problem.seen.steps[fit.frames])
    position, velocity = (
        np.moveaxis(each[1:, :, body] - each[0, :, body], 0, -1) / fit.steps for each in (positions, velocities)
    )
    return position, velocity


def _carried_back(
    problem: Hypothesis, arcs: Sequence[Arc], new: Arc, trajectory: Trajectory, first: int, end: int
) -> _LinearTrajectory:
    """The new arc from frame `first`, which lies before its start, up to frame `end`."""
    seen, n, law = problem.seen, new.body, problem.law
    fit = ArcFit(problem, arcs, [next(a for a, arc in enumerate(arcs) if arc is new)], trajectory, end)
    simulated = fit.trajectory(new.numbers[None])
    position, velocity, _ = (part[0, :, n] for part in simulated.at(seen.steps[new.first : end]))
    frames = np.arange(first, new.first)
    time = seen.times[first:end] - seen.times[new.first]
    along = law.directions(new.chart)
    around = np.zeros((len(frames) + 1, len(seen.diameter), 4))
    if law.linked.any():
        positions, velocities, _ = trajectory.at(seen.steps[first : new.first + 1])
        around = np.nan_to_num(np.concatenate([positions[0], velocities[0]], axis=-1))
    if new.chart == FREE:
        position_back, velocity_back = law.before(n, new.numbers, seen.times[first : new.first + 1], around)
    else:
        state = problem.state(n, new.chart, new.numbers[None])[0]
        back = time[: len(frames), None]
        most = float(np.linalg.norm(law.acceleration(around[-1, :, :2])[n]))
        acceleration = _first_acceleration(velocity, seen.times[new.first : end], most)
        position_back = state[:2] + back * state[2:4] + 0.5 * back**2 * acceleration
        velocity_back = state[2:4] + back * acceleration
    positions = np.broadcast_to(along, (len(time), *along.shape))
    position_slope = np.concatenate([positions, time[:, None, None] * along], axis=-1)
    velocity_slope = np.concatenate([np.zeros_like(positions), positions], axis=-1)
    if any(n in touch[1:] for touch in simulated.contacts):  # without contacts it depends on its start linearly
        position_slope[len(frames) :], velocity_slope[len(frames) :] = _derivatives(fit, n)
    position, velocity = np.concatenate([position_back, position]), np.concatenate([velocity_back, velocity])
    return _LinearTrajectory(first, position, velocity, position_slope, velocity_slope)


def _first_acceleration(velocity: Array, times: Array, most: float) -> Array:
    """Acceleration (2,) m/s2 between the first two frames; 0 where it exceeds `most`: a contact lies between."""
    if len(velocity) < 2:
        return np.zeros(2)
    acceleration = (velocity[1] - velocity[0]) / (times[1] - times[0])
    return np.where(np.linalg.norm(acceleration) <= most, acceleration, 0.0)


def _parabola(problem: Hypothesis, first: int, middle: int, end: int) -> _LinearTrajectory:
    """A parabola to be fitted from frame `first` up to frame `end`. middle: frame of time 0."""
    times = problem.seen.times
    time = (times[first:end] - times[middle])[:, None, None]
    # numbers per coordinate of the parabola that stands for unlawful motion
    slope = np.concatenate([time**k * np.eye(2) for k in range(3)], axis=-1)
    nothing = np.zeros((end - first, 2))
    return _LinearTrajectory(first, nothing, nothing, slope, np.zeros_like(slope))
