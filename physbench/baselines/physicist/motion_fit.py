"""Fits lawful motion to the tracks of a context, with the forward model and the segment fits of shadowing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.physicist.physicist_view import plane_positions
from physbench.clips.clip import Clip
from physbench.dynamics.forward_model import forward_model_or_none
from physbench.shadowing.arc_fit import ArcFit
from physbench.shadowing.hypothesis import FREE, Arc, Hypothesis
from physbench.shadowing.initial_guess import initial_guesses
from physbench.shadowing.placed_bodies import MAX_POSITION_SD, MIN_POSITION_SD, PlacedBodies
from physbench.tracks.tracks import Tracks
from physbench.world.scene import PHYSICS_HZ
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]

FIT_START = -0.5  # s; the part of the context after that is fitted
MIN_POINTS = 3  # of a track, from which on shadowing finds its initial guesses
SUPPORT_DISTANCE = 0.12  # diameters; a body nearer to a face may lie on it
JOINT_FIT_ROUNDS = 12


@dataclass(frozen=True, eq=False)
class EstimatedState:
    """The fitted state of a body at the hand-over, in the plane of motion."""

    position: Array  # (2,) m
    velocity: Array  # (2,) m/s
    rolling_velocity: Array  # (2,) m/s, spin times radius: the velocity at which a body with this spin rolls


def fit_states(view: Clip, tracks: Tracks, velocities: Mapping[int, Array]) -> dict[int, EstimatedState] | None:
    """Fit the states of the moving bodies at the hand-over.

    Args:
        view: The clip as the physicist sees it.
        tracks: Of its frames.
        velocities: (2,) m/s by index of the body, for bodies that the context shows at one position only.

    Returns:
        States by index of the body; None where a scene has no forward model, or a body was never seen.
    """
    bodies = [(i, body) for i, body in enumerate(view.scene.bodies) if body.role == "moving"]
    released = [body.release for _, body in bodies if body.release is not None]
    model = forward_model_or_none(view.scene, max([FIT_START, *released]))
    if model is None or any(i not in view.tracked for i, _ in bodies):
        return None
    problem = Hypothesis(model, _placed_bodies(view, tracks, model.index))
    seen, total = problem.seen, len(tracks.times)
    since = [seen.start[n] + np.flatnonzero(seen.known[seen.start[n] :, n]) for n in range(len(model.index))]
    if not all(len(known) for known in since):
        return None
    first = max(int(known[0]) for known in since)
    guesses = {n: _initial_arcs(problem, n, first, velocities[i]) for n, i in enumerate(model.index)}
    if not all(guesses.values()):
        return None
    arcs = [guesses[n][-1] for n in range(len(model.index))]
    shown = {n for n in guesses if seen.known[first:, n].sum() > 1}
    for n in sorted(shown):
        arcs[n] = _best_arc(problem, arcs, n, guesses[n], total)
    if shown:
        arcs = _fit_jointly(problem, arcs, sorted(shown), first, total)
    position, velocity, rolling_velocity = (
        array[0, 0] for array in problem.simulate(arcs, total - 1).at(seen.steps[-1:])
    )
    if model.world is None:  # an orbit in closed form; the simulator's velocities are those of half a step before
        velocity = velocity - model.acceleration(position) / (2 * PHYSICS_HZ)
    return {i: EstimatedState(position[n], velocity[n], rolling_velocity[n]) for n, i in enumerate(model.index)}


def _placed_bodies(view: Clip, tracks: Tracks, index: tuple[int, ...]) -> PlacedBodies:
    """The tracked positions of the moving bodies, with the tracker's standard deviations."""
    columns = [view.tracked.index(i) for i in index]
    bodies = [view.scene.bodies[i] for i in index]
    diameter = np.array([2 * apparent_radius(body, view.scene.camera) for body in bodies])
    sd = tracks.position_sd[:, columns] / view.pixels_per_metre / diameter
    sure = sd <= MAX_POSITION_SD
    since = [FIT_START if body.release is None else max(body.release, FIT_START) for body in bodies]
    nothing = np.zeros(sd.shape, dtype=bool)
    return PlacedBodies(
        times=tracks.times,
        steps=np.round(tracks.times * PHYSICS_HZ),
        position=np.where(sure[..., None], plane_positions(view, tracks.position)[:, columns], np.nan),
        sd=np.where(sure, np.maximum(sd, MIN_POSITION_SD), MIN_POSITION_SD),
        diameter=diameter,
        expected_visible=nothing,
        present=sure,
        start=np.asarray(np.searchsorted(tracks.times, np.array(since) - 1e-9)),
        rests=nothing,
    )


def _initial_arcs(problem: Hypothesis, disc: int, first: int, velocity: Array) -> list[Arc]:
    """Arcs from frame `first` on that a body may follow; with `velocity` (2,) m/s where it was seen once only."""
    seen = problem.seen
    known = first + np.flatnonzero(seen.known[first:, disc])
    if len(known) >= MIN_POINTS and known[0] == first:
        return [*initial_guesses(problem, disc, first)]
    if not len(known):
        return []
    position = seen.position[known[0], disc]
    if len(known) > 1:
        velocity = (seen.position[known[-1], disc] - position) / (seen.times[known[-1]] - seen.times[known[0]])
    faces = [FREE, *_supporting_faces(problem, disc, position)]
    return [Arc(disc, first, len(seen.times), face, problem.numbers(face, position, velocity)) for face in faces]


def _supporting_faces(problem: Hypothesis, disc: int, position: Array) -> list[int]:
    """The face that carries a body at a position (2,) m: none or one."""
    world, model = problem.forward.world, problem.forward
    if world is None or not len(world.normal) or not model.scene.bodies[model.index[disc]].collides:
        return []
    distance = np.abs(world.normal @ position - world.offset - world.radius[disc])
    along = world.tangent @ position
    carries = (-(world.normal @ world.gravity) > 1e-9) & (along >= world.low) & (along <= world.high)
    distance = np.where(carries & (distance < SUPPORT_DISTANCE * problem.seen.diameter[disc]), distance, np.inf)
    return [int(distance.argmin())] if np.isfinite(distance).any() else []


def _best_arc(problem: Hypothesis, arcs: list[Arc], disc: int, guesses: list[Arc], total: int) -> Arc:
    """The arc that explains the track of a body best, by Schwarz's criterion."""
    found: list[tuple[float, Arc]] = []
    for face in sorted({guess.face for guess in guesses}):
        candidates: list[tuple[float, Arc]] = []
        for guess in (guess for guess in guesses if guess.face == face):
            fit = ArcFit(problem, [*arcs[:disc], guess, *arcs[disc + 1 :]], [disc], None, total)
            candidates.append((_squared_error(fit, fit.start, disc), guess))
        guess = min(candidates, key=lambda pair: pair[0])[1]
        fit = ArcFit(problem, [*arcs[:disc], guess, *arcs[disc + 1 :]], [disc], None, total)
        mask = np.zeros((total - fit.since, len(arcs)), dtype=bool)
        mask[:, disc] = True
        numbers = fit.descend(mask)
        points = int(problem.seen.known[fit.since :, disc].sum())
        cost = _squared_error(fit, numbers, disc) + len(numbers) * np.log(2 * points)  # Schwarz's criterion
        found.append((cost, fit.result(numbers)[disc]))
    return min(found, key=lambda pair: pair[0])[1]


def _squared_error(fit: ArcFit, numbers: Array, disc: int) -> float:
    """Sum of squared distances of a body from its track, in standard deviations."""
    errors = fit.errors(numbers[None])[0][:, disc] / fit.problem.seen.sd[fit.frames, disc]
    known = fit.problem.seen.known[fit.frames, disc]
    return float(np.nan_to_num(errors[known], nan=1e3).clip(max=1e3) ** 2 @ np.ones(int(known.sum())))


def _fit_jointly(problem: Hypothesis, arcs: list[Arc], chosen: list[int], first: int, total: int) -> list[Arc]:
    """Fit all arcs at once: the track of a body also constrains those that it attracts or meets."""
    fit = ArcFit(problem, arcs, chosen, None, total)
    mask = np.zeros((total - first, len(arcs)), dtype=bool)
    mask[:, chosen] = True
    return fit.result(fit.descend(mask, rounds=JOINT_FIT_ROUNDS))
