"""Where two lawful arcs of a body part, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.shadowing.problem import FREE, Arc, Problem

Array = NDArray[np.float64]

LARGE = 0.5  # diameters, or of the larger speed: a jump beyond it is gross
SAME = 2.0  # tolerances; cuts whose sums of squares differ by no more than one point that far off are as good
CREEP = 0.1  # diameters/s; a smaller change of velocity is not gross


@dataclass(frozen=True)
class Parting:
    """The break between two arcs."""

    time: float  # s of the first frame that the later arc explains better
    gross: bool
    jump: float  # diameters between the lawful states before and behind it
    kick: float  # m/s between their velocities


def parting(problem: Problem, arcs: Sequence[Arc], old: Arc, new: Arc, earliest: int, tolerance: float) -> Parting:
    """Compare an arc of a body with its next one, not before frame `earliest`. tolerance: diameters, of both.

    The cut is where the old arc up to it and the new one behind it, carried back under the forces of free motion or
    straight along its face, explain the track best. Of those that are about as good the last one is taken: where both
    are one way up to a touch that did not happen, that touch; where the body was hidden, the frame that shows it again.
    """
    seen, n = problem.seen, old.disc
    longer = [replace(old, last=len(seen.times)) if arc is old else arc for arc in arcs if arc is not new]
    place, speed, _ = problem.simulate(longer, new.first).at(seen.steps[: new.first + 1])
    state = problem.state(n, new.face, new.numbers[None])[0]
    last = min(old.last, new.first)  # a break is not later than the first frame that the old arc misses
    frames = np.arange(max(old.first, min(earliest, last)), last + 1)
    back = (seen.times[frames] - seen.times[new.first])[:, None]
    pull = np.zeros(2)
    if new.face == FREE:
        pull = problem.forward.acceleration(np.repeat(state[None, :2], len(seen.diameter), 0))[n]
    behind = state[:2] + back * state[2:4] + 0.5 * pull * back**2
    before = place[0, frames, n]
    cost_old = np.nan_to_num(((before - seen.place[frames, n]) ** 2).sum(-1))
    cost_new = np.nan_to_num(((behind - seen.place[frames, n]) ** 2).sum(-1))
    total = np.concatenate([[0.0], np.cumsum(cost_old)[:-1]]) + np.cumsum(cost_new[::-1])[::-1]
    known = np.flatnonzero(seen.known[frames, n])  # only there the sums change
    slack = (SAME * tolerance * float(seen.diameter[n])) ** 2
    best = total[known].min(initial=np.inf)
    cut = int(known[np.flatnonzero(total[known] <= best + slack)[-1]]) if len(known) else len(frames) - 1
    jump = float(np.linalg.norm(behind[cut] - before[cut])) / float(seen.diameter[n])
    was, now = speed[0, frames[cut], n], state[2:4] + back[cut] * pull
    kick = float(np.linalg.norm(now - was))
    larger = max(float(np.linalg.norm(now)), float(np.linalg.norm(was)))
    gross = jump > LARGE or kick > max(LARGE * larger, CREEP * float(seen.diameter[n]))
    return Parting(float(seen.times[frames[cut]]), bool(gross), jump, kick)
