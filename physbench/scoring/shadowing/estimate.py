"""The state at the hand-over that the context frames show, by a fit of the scene's own simulation to them alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.shadowing.chain import Chainer
from physbench.scoring.shadowing.fit import Fit
from physbench.scoring.shadowing.limits import Limits
from physbench.scoring.shadowing.problem import FREE, Arc, Problem
from physbench.scoring.shadowing.seen import from_tracks
from physbench.scoring.shadowing.shadow import model_of
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]

TOLERANCE = 0.03  # diameters
MEMBERS = 32  # draws of a fit's uncertainty


@dataclass(frozen=True, eq=False)
class Estimate:
    """States of the N moving bodies at the hand-over, as far as the context shows them.

    NaN: a body was not seen; in velocity and spin: it was seen only once, so that they are unknown.
    """

    index: tuple[int, ...]  # (N,) of the bodies in the scene
    position: Array  # (N, 3) m
    velocity: Array  # (N, 3) m/s
    spin: Array  # (N, 3) rad/s, that of rolling where a body touches or will touch something that turns it
    sd: Array  # (N, 4) of place and velocity in the plane of motion, m and m/s; NaN where unknown
    broken: bool  # whether no lawful motion explains the context as it was tracked

    def states(self, start: Array) -> Array:
        """States (all bodies, 13) with what is known put in place of that of `start` (all bodies, 13)."""
        states = np.array(start, dtype=np.float64)
        for n, i in enumerate(self.index):
            for part, value in (
                (slice(0, 3), self.position),
                (slice(7, 10), self.velocity),
                (slice(10, 13), self.spin),
            ):
                if np.isfinite(value[n]).all():
                    states[i, part] = value[n]
        return states


def estimate(clip: Clip, tracks: Tracks) -> Estimate | None:
    """Estimate the states at the hand-over from the context frames of tracks; None where there is no forward model.

    Later frames of the tracks are not looked at. What a picture does not show is as in `Problem.state`: place along the
    view and orientation are the scene's, spin is that of rolling where that matters. In a central field velocities are
    those of the simulator at the hand-over.
    """
    model = model_of(clip)
    if model is None:
        return None
    seen = from_tracks(clip, tracks, model)
    last = int(np.argmin(np.abs(seen.times)))
    seen = seen.until(last + 1)
    problem = Problem(model, seen)
    count = len(seen.diameter)
    flat, sd = np.full((count, 6), np.nan), np.full((count, 4), np.nan)
    chain = Chainer(problem, TOLERANCE).run() if last else None
    arcs = {arc.disc: a for a, arc in enumerate(chain.arcs) if arc.last > last} if chain is not None else {}
    for n in range(count):
        if n in arcs and chain is not None:
            flat[n], sd[n] = _at_handover(problem, chain.arcs, arcs[n], last)
            continue
        given = np.flatnonzero(seen.given[:, n])
        if len(given) and given[-1] == last:
            flat[n, :2], sd[n, :2] = seen.place[last, n], seen.sd[last, n] * seen.diameter[n]
        if len(given) == 2 and given[-1] == last:  # too few for a fit
            dt = float(seen.times[last] - seen.times[given[0]])
            pull = model.acceleration(np.nan_to_num(seen.place[last]))[n]
            flat[n, 2:4] = (seen.place[last, n] - seen.place[given[0], n]) / dt + pull * dt / 2
            flat[n, 4:] = problem.state(n, FREE, flat[n, :4][None])[0, 4:]
            sd[n, 2:] = np.sqrt(2) * sd[n, :2] / dt
    if model.world is None:  # the simulator's velocities are those of half a step ago
        known = np.isfinite(flat[:, 2])
        if known.any():
            flat[known, 2:4] += (model.acceleration(flat[:, :2]) / (2 * PHYSICS_HZ))[known]
    return _in_the_world(clip, model.index, model.depth, flat, sd, chain is not None and bool(chain.breaks))


def _at_handover(problem: Problem, arcs: list[Arc], a: int, last: int) -> tuple[Array, Array]:
    """State (6,) of an arc's body in the last frame and the sd (4,) of place and velocity."""
    seen = problem.seen
    way = problem.simulate(arcs, last)
    disc, step = arcs[a].disc, seen.steps[[last]]
    place, speed, spin = (part[0, 0, disc] for part in way.at(step))
    fit = Fit(problem, arcs, [a], way, last + 1)
    spread = fit.spread(Limits(seen, TOLERANCE).points(fit, last + 1), fit.start)
    draws = np.random.default_rng(0).normal(size=(MEMBERS, len(fit.start)))
    moved = [part[:, 0, disc] for part in fit.way(fit.start + draws @ spread.T).at(step)[:2]]
    return np.concatenate([place, speed, spin]), np.nanstd(np.concatenate(moved, axis=-1), axis=0)


def _in_the_world(clip: Clip, index: tuple[int, ...], depth: Array, flat: Array, sd: Array, broken: bool) -> Estimate:
    """An estimate from states in the plane of motion (N, 6): place m, velocity m/s, the velocity that the spin is."""
    camera, count = clip.scene.camera, len(index)
    axes, across = list(PLANE_AXES[camera.view]), depth_axis(camera)
    position, velocity, spin = (np.zeros((count, 3)) for _ in range(3))
    position[:, axes], position[:, across] = flat[:, :2], depth
    velocity[:, axes] = flat[:, 2:4]
    radius = np.array([clip.scene.bodies[i].size[0] for i in index])
    if camera.view == "front":
        spin[:, 1] = flat[:, 4] / radius
    else:
        spin[:, 0], spin[:, 1] = -flat[:, 5] / radius, flat[:, 4] / radius
    for part, column in ((position, 0), (velocity, 2), (spin, 2)):
        part[~np.isfinite(flat[:, column])] = np.nan
    return Estimate(index, position, velocity, spin, sd, broken)
