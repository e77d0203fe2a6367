"""What all bodies share, where no scenery tells it from a camera's: a small shift, and a slow even pan.

A picture that trembles or sits by a px elsewhere moves every body alike. Scenery shows that, and it is taken off before
anything is judged. On bare ground nothing does, and a floor shows no shift along it. There what all bodies of a frame
have in common is free, up to MOST_FREE px, and less for a lone body, of which everything is common.

So is one velocity that two bodies or more have in common from the hand-over on, as a slow pan gives them: no law of one
of them against the other changes by it. Of a lone body it would be any push at the hand-over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.hypothesis import Arc, Hypothesis
from physbench.shadowing.placed_bodies import PlacedBodies
from physbench.tracks.visibility import MOST_CAMERA

Array = NDArray[np.float64]

MOST_FREE = 1.5  # px that bodies may share
MOST_FREE_ALONE = 0.06  # diameters of a body that is seen alone
PAN_TIMES = (0.6, 1.2, 2.5, 5.0, np.inf)  # s after the hand-over up to which a pan is fitted, one after another
PAN_ROUNDS = 3  # of each fit


def without_common_pan(clip: Clip, problem: Hypothesis, arcs: Sequence[Arc]) -> PlacedBodies | None:
    """The placed bodies without a velocity that they have in common from the hand-over on, by least squares.

    Lawful motion and the velocity of the picture, along directions in which nothing shows it, are fitted together, to
    ever longer parts of the track.

    Args:
        clip: Ground truth.
        problem: The bodies as they are placed, with the laws.
        arcs: Of a lawful motion near the hand-over; the first one of each body counts.

    Returns:
        None where less than two bodies are seen, scenery shows every shift, or the pan is faster than a slow camera's.
    """
    seen, free = problem.seen, problem.seen.unshown
    together = (seen.known.sum(axis=1) > 1) & (seen.times > 1e-9)
    if free is None or together.sum() < 2 * len(seen.times[seen.times > 1e-9]) // len(PAN_TIMES):
        return None
    first: dict[int, Arc] = {}
    for arc in arcs:
        first.setdefault(arc.disc, replace(arc, last=len(seen.times)))
    begun, later = list(first.values()), np.maximum(seen.times, 0.0)
    velocity = np.zeros(len(free))
    for until in PAN_TIMES:
        end = int(np.searchsorted(seen.times, until + 1e-9))
        for _ in range(PAN_ROUNDS):
            panned = _panned(seen, velocity @ free)
            fit = ArcFit(problem.with_bodies(panned), begun, range(len(begun)), None, end)
            mask = panned.known[fit.frames].copy()
            for arc in begun:
                mask[: arc.first - fit.since, arc.disc] = False
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
        clip: Ground truth.
        seen: The bodies as they are placed.
        lawful: (T, N, 2) m, a lawful motion that is near all of them; NaN where there is none.

    Returns:
        None where scenery shows every shift, or nothing is common.
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
    alone = np.where(known, seen.diameter, 0.0).sum(axis=1) * MOST_FREE_ALONE
    most = np.where(known.sum(axis=1) > 1, np.inf, alone).clip(max=MOST_FREE / clip.pixels_per_metre)
    size = np.linalg.norm(common, axis=-1)
    common *= np.where(size > most, most / np.maximum(size, 1e-12), 1.0)[:, None]
    common[seen.times <= 1e-9] = 0.0  # the context is given
    if not common.any():
        return None
    return replace(seen, position=seen.position - (common @ free)[:, None])
