"""Where an arc may begin: states that fit the next few points under the forces that act there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.shadowing.hypothesis import FREE, Arc, Hypothesis

Array = NDArray[np.float64]

SPANS = (0.1, 0.17, 0.3, 0.4)  # s of track that give a start
AHEAD = 2.0  # s, within which the points of a start lie
NEAR = 0.12  # diameters from a face; a body may lie on it
SUNK = 0.03  # diameters
LEAST = 3  # points


def starts(problem: Hypothesis, disc: int, frame: int) -> list[Arc]:
    """Arcs of a body that may begin at a frame; the best is found by simulating them."""
    seen = problem.seen
    ahead = int(np.searchsorted(seen.times, seen.times[frame] + AHEAD + 1e-9))
    known = frame + np.flatnonzero(seen.known[frame:ahead, disc])
    found: list[Arc] = []
    if len(known) < LEAST:
        return found
    pull = _pull(problem, disc, frame, seen.place[known[0], disc])
    times = seen.times - seen.times[frame]
    sizes = sorted({max(LEAST, int((times[known] <= span + 1e-9).sum())) for span in SPANS})
    faces = [FREE, *_faces(problem, disc, seen.place[known[:LEAST], disc])]
    for size in sizes:
        points = known[:size]
        dt = times[points]
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        for face in faces:
            gain = pull if face == FREE else _along(problem, disc, face)
            target = seen.place[points, disc] - 0.5 * gain * dt[:, None] ** 2
            place, speed = np.linalg.lstsq(design, target, rcond=None)[0]
            if face == FREE and _sunk(problem, disc, faces[1:], place):
                continue  # it rests: a fall that fits the points begins below the face
            found.append(Arc(disc, frame, len(seen.times), face, problem.numbers(face, place, speed)))
    return found


def _pull(problem: Hypothesis, disc: int, frame: int, place: Array) -> Array:
    """Acceleration (2,) m/s2 of a free body."""
    places = np.repeat(place[None], len(problem.seen.diameter), axis=0)
    if problem.forward.world is None and len(places) > 1:  # drawn by the other one, as it is seen
        for other in range(len(places)):
            known = np.flatnonzero(problem.seen.known[:, other])
            if other != disc and len(known):
                places[other] = problem.seen.place[known[np.abs(known - frame).argmin()], other]
    return np.asarray(problem.forward.acceleration(places)[disc])


def _faces(problem: Hypothesis, disc: int, place: Array) -> list[int]:
    """Faces that carry a body at places (n, 2)."""
    world = problem.forward.world
    if world is None or not len(world.normal) or not world.solid[disc]:
        return []
    gap = place @ world.normal.T - world.offset - world.radius[disc]
    along = place @ world.tangent.T
    near = (np.abs(gap).mean(axis=0) < NEAR * problem.seen.diameter[disc]) & (-(world.normal @ world.gravity) > 1e-9)
    over = ((along >= world.low) & (along <= world.high)).all(axis=0)
    return [int(s) for s in np.flatnonzero(near & over)]


def _sunk(problem: Hypothesis, disc: int, faces: list[int], place: Array) -> bool:
    """Whether a body at a place (2,) m lies in one of the faces that may carry it."""
    world = problem.forward.world
    if world is None or not faces:
        return False
    gap = world.normal[faces] @ place - world.offset[faces] - world.radius[disc]
    return bool(gap.min() < -SUNK * problem.seen.diameter[disc])


def _along(problem: Hypothesis, disc: int, face: int) -> Array:
    """Acceleration (2,) m/s2 of a body that rolls on a face, or slides where nothing holds it."""
    world = problem.forward.world
    assert world is not None
    pull = float(world.gravity @ world.tangent[face])
    spins = float(world.turn[disc])
    rubs = world.rub[disc] * world.face_rub[face] > 0
    return np.asarray((pull * spins / (1 + spins) if rubs else pull) * world.tangent[face])
