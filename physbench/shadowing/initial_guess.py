"""First guesses for an arc: states that fit the next few points under the forces that act there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.shadowing.hypothesis import FREE, Arc, Hypothesis

Array = NDArray[np.float64]

GUESS_SPANS = (0.1, 0.17, 0.3, 0.4)  # s of track, each of which gives a guess
GUESS_WINDOW = 2.0  # s after its first frame within which the points of a guess lie
FACE_DISTANCE = 0.12  # diameters; a body that is nearer to a face may lie on it
MAX_SINK = 0.03  # diameters by which a body may lie in a face
MIN_GUESS_POINTS = 3  # points


def initial_guesses(problem: Hypothesis, disc: int, frame: int) -> tuple[Arc, ...]:
    """Arcs of a body that may begin at a frame. Only simulating them tells the best one.

    They are kept: searches at other tolerances ask for them again.
    """
    if (disc, frame) not in problem.guesses:
        problem.guesses[disc, frame] = tuple(_guesses(problem, disc, frame))
    return problem.guesses[disc, frame]


def _guesses(problem: Hypothesis, disc: int, frame: int) -> list[Arc]:
    seen = problem.seen
    window_end = int(np.searchsorted(seen.times, seen.times[frame] + GUESS_WINDOW + 1e-9))
    known = frame + np.flatnonzero(seen.known[frame:window_end, disc])
    found: list[Arc] = []
    # Two places of the context tell a velocity, where ground truth too may show no further one.
    if len(known) < MIN_GUESS_POINTS and seen.given[known, disc].sum() < 2:
        return found
    free_acceleration = _free_acceleration(problem, disc, frame, seen.position[known[0], disc])
    times = seen.moments - seen.moments[frame]
    sizes = sorted({max(MIN_GUESS_POINTS, int((times[known] <= span + 1e-9).sum())) for span in GUESS_SPANS})
    faces = [FREE, *_faces(problem, disc, seen.position[known[:MIN_GUESS_POINTS], disc])]
    for size in sizes:
        points = known[:size]
        dt = times[points]
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        for face in faces:
            acceleration = free_acceleration if face == FREE else _face_acceleration(problem, disc, face)
            target = seen.position[points, disc] - 0.5 * acceleration * dt[:, None] ** 2
            position, velocity = np.linalg.lstsq(design, target, rcond=None)[0]
            if face == FREE and _sunk(problem, disc, faces[1:], position):
                continue  # it rests: a fall that fits the points would begin below the face
            found.append(Arc(disc, frame, len(seen.times), face, problem.numbers(face, position, velocity)))
    if frame == 0 and seen.first_velocity is not None and np.isfinite(seen.first_velocity[disc]).all():
        start = seen.position[0, disc], seen.first_velocity[disc]
        found += [Arc(disc, frame, len(seen.times), face, problem.numbers(face, *start)) for face in faces]
    return found


def _free_acceleration(problem: Hypothesis, disc: int, frame: int, position: Array) -> Array:
    """Acceleration (2,) m/s2 of a free body."""
    positions = np.repeat(position[None], len(problem.seen.diameter), axis=0)
    if problem.forward.world is None and len(positions) > 1:  # attracted by the other one, where that is seen
        for other in range(len(positions)):
            known = np.flatnonzero(problem.seen.known[:, other])
            if other != disc and len(known):
                positions[other] = problem.seen.position[known[np.abs(known - frame).argmin()], other]
    return np.asarray(problem.forward.acceleration(positions)[disc])


def _faces(problem: Hypothesis, disc: int, position: Array) -> list[int]:
    """Faces that carry a body at positions (n, 2) m."""
    world = problem.forward.world
    if world is None or not len(world.normal) or not world.collides[disc]:
        return []
    gap = position @ world.normal.T - world.offset - world.radius[disc]
    along = position @ world.tangent.T
    near = (np.abs(gap).mean(axis=0) < FACE_DISTANCE * problem.seen.diameter[disc]) & (
        -(world.normal @ world.gravity) > 1e-9
    )
    over = ((along >= world.low) & (along <= world.high)).all(axis=0)
    return [int(s) for s in np.flatnonzero(near & over)]


def _sunk(problem: Hypothesis, disc: int, faces: list[int], position: Array) -> bool:
    """Whether a body at a position (2,) m lies too deep in one of the faces that may carry it."""
    world = problem.forward.world
    if world is None or not faces:
        return False
    gap = world.normal[faces] @ position - world.offset[faces] - world.radius[disc]
    return bool(gap.min() < -MAX_SINK * problem.seen.diameter[disc])


def _face_acceleration(problem: Hypothesis, disc: int, face: int) -> Array:
    """Acceleration (2,) m/s2 of a body that rolls on a face, or slides on it without friction."""
    world = problem.forward.world
    assert world is not None
    free_acceleration = float(world.gravity @ world.tangent[face])
    inverse_inertia = float(world.inverse_inertia[disc])
    has_friction = world.friction[disc] * world.face_friction[face] > 0
    return np.asarray(
        (free_acceleration * inverse_inertia / (1 + inverse_inertia) if has_friction else free_acceleration)
        * world.tangent[face]
    )
