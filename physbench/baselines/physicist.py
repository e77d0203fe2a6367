"""`baseline:physicist`: knows the laws, sees the context's pixels, and simulates the future.

It sees the pixels of the context and the scene's data: the laws, what bodies there are, their shapes, sizes, masses and
orientations, what is fixed, what moves on rails, pushes to come, the camera. It estimates positions and velocities with
the tracker of physbench and the fits of shadowing, and simulates from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.laws.closed_form import face
from physbench.laws.scene_law import FREE, scene_law_or_none
from physbench.models.protocol import ModelCard, answer_parts
from physbench.shadowing.context import body_signature, middle_scene, open_velocities, other_states
from physbench.shadowing.fit import Arc, ArcFit, Hypothesis, initial_guesses
from physbench.shadowing.observed_motion import POSITION, PlacedBodies
from physbench.support.arrays import Array
from physbench.track.tracks import Tracks
from physbench.world.bullet import initial_states, simulate_ensemble
from physbench.world.camera import PLANE_AXES, depth_axis, planes_from_px
from physbench.world.drawing import apparent_radius, full_area
from physbench.world.geometry import gap
from physbench.world.scene import PHYSICS_HZ, ROUND, Body, Scene, Vector
from physbench.world.styles.catalogue import draw

if TYPE_CHECKING:
    from torch import Tensor

# What the physicist is given of a clip: the frames of its context and the scene, and none of its states.


def context_view(clip: Clip, context: int) -> Clip:
    """Reduce a clip to its context, without the states of its moving bodies.

    Shape, size, mass, hue, orientation and plane of motion of these bodies stay. Their positions are NaN, velocities
    and spins zero, and all bodies count as visible in full. A parameter that the context does not reveal has the middle
    of its range. What has no hue and rests until the hand-over, such as the plank of a seesaw, stays where it is seen.

    Args:
        clip: The clip.
        context: Number of frames up to the hand-over.

    Returns:
        A clip that ends at the hand-over.
    """
    scene = middle_scene(clip, context)
    scene = replace(scene, bodies=tuple(_without_state(body, scene) for body in scene.bodies))
    window = slice(clip.handover + 1 - context, clip.handover + 1)
    times = clip.times[window]
    states = np.repeat(initial_states(scene)[None], context, axis=0)
    area = np.zeros((context, len(scene.bodies)), dtype=np.float32)
    middle = np.asarray(scene.camera.center, dtype=np.float64)
    for i in scene.tracked:
        posed = states[:, i].copy()
        for axis in PLANE_AXES[scene.camera.view]:
            posed[:, axis] = np.where(np.isfinite(posed[:, axis]), posed[:, axis], middle[axis])
        area[:, i] = full_area(scene, i, times, posed, clip.spec)
    return replace(
        clip,
        scene=scene,
        times=times,
        frames=clip.frames[window],
        states=states,
        visible_area=area,
        full_area=area,
        contacts=(),
        state_hash="",
    )


def _without_state(body: Body, scene: Scene) -> Body:
    if body.role != "moving":
        return body
    position = np.array(body.position, dtype=np.float64)
    if body.hue is not None or body.release is None or body.release < 0:  # else it is still where it was put
        position[np.arange(3) != depth_axis(scene.camera)] = np.nan
    return replace(body, position=_as_vector(position), velocity=(0.0, 0.0, 0.0), spin=(0.0, 0.0, 0.0))


def with_positions(clip: Clip, positions: Array) -> Clip:
    """The view with its moving bodies at positions (N, 3) in m."""
    bodies = tuple(
        replace(body, position=_as_vector(position)) if body.role == "moving" else body
        for body, position in zip(clip.scene.bodies, positions, strict=True)
    )
    return replace(clip, scene=replace(clip.scene, bodies=bodies))


def _as_vector(vector: Array) -> Vector:
    x, y, z = vector.tolist()
    return (x, y, z)


def plane_positions(clip: Clip, px: Array) -> Array:
    """Convert px (T, K, 2) of the tracked bodies to positions (T, K, 2) in m, each in its plane of motion."""
    camera = clip.scene.camera
    depth = np.array([body.position[depth_axis(camera)] for body in clip.tracked_bodies])
    return planes_from_px(camera, clip.spec, px, depth)


# Fits lawful motion to the tracks of a context, with the law and the segment fits of shadowing.

FIT_START = -0.5  # s; the part of the context after that is fitted


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
        States by index of the body; None where no law can move a scene, or a body was never seen.
    """
    bodies = [(i, body) for i, body in enumerate(view.scene.bodies) if body.role == "moving"]
    released = [body.release for _, body in bodies if body.release is not None]
    law = scene_law_or_none(view.scene, max([FIT_START, *released]))
    if law is None or any(i not in view.tracked for i, _ in bodies):
        return None
    problem = Hypothesis(law, _placed_bodies(view, tracks, law.index))
    seen, total = problem.seen, len(tracks.times)
    since = [seen.start[n] + np.flatnonzero(seen.known[seen.start[n] :, n]) for n in range(len(law.index))]
    if not all(len(known) for known in since):
        return None
    first = max(int(known[0]) for known in since)
    guesses = {n: _initial_arcs(problem, n, first, velocities[i]) for n, i in enumerate(law.index)}
    if not all(guesses.values()):
        return None
    arcs = [guesses[n][-1] for n in range(len(law.index))]
    shown = {n for n in guesses if seen.known[first:, n].sum() > 1}
    for n in sorted(shown):
        arcs[n] = _best_arc(problem, arcs, n, guesses[n], total)
    if shown:
        arcs = _fit_jointly(problem, arcs, sorted(shown), first, total)
    position, velocity, rolling_velocity = (
        array[0, 0] for array in problem.simulate(arcs, total - 1).at(seen.steps[-1:])
    )
    if law.continuous:  # the simulator's velocities are those of half a step before
        velocity = velocity - law.acceleration(position) / (2 * PHYSICS_HZ)
    return {i: EstimatedState(position[n], velocity[n], rolling_velocity[n]) for n, i in enumerate(law.index)}


def _placed_bodies(view: Clip, tracks: Tracks, index: tuple[int, ...]) -> PlacedBodies:
    """The tracked positions of the moving bodies, with the tracker's standard deviations."""
    columns = [view.tracked.index(i) for i in index]
    bodies = [view.scene.bodies[i] for i in index]
    diameter = np.array([2 * apparent_radius(body, view.scene.camera) for body in bodies])
    sd = tracks.position_sd[:, columns] / view.pixels_per_metre / diameter
    sure = sd <= POSITION.max_sd
    since = [FIT_START if body.release is None else max(body.release, FIT_START) for body in bodies]
    nothing = np.zeros(sd.shape, dtype=bool)
    return PlacedBodies(
        times=tracks.times,
        steps=np.round(tracks.times * PHYSICS_HZ),
        position=np.where(sure[..., None], plane_positions(view, tracks.position)[:, columns], np.nan),
        sd=np.where(sure, np.maximum(sd, POSITION.min_sd), POSITION.min_sd),
        diameter=diameter,
        expected_visible=nothing,
        present=sure,
        start=np.asarray(np.searchsorted(tracks.times, np.array(since) - 1e-9)),
        rests=nothing,
    )


def _initial_arcs(problem: Hypothesis, body: int, first: int, velocity: Array) -> list[Arc]:
    """Arcs from frame `first` on that a body may follow; with `velocity` (2,) m/s where it was seen once only."""
    seen = problem.seen
    known = first + np.flatnonzero(seen.known[first:, body])
    if len(known) >= 3 and known[0] == first:  # points of a track, from which on shadowing finds its initial guesses
        return [*initial_guesses(problem, body, first)]
    if not len(known):
        return []
    position = seen.position[known[0], body]
    if len(known) > 1:
        velocity = (seen.position[known[-1], body] - position) / (seen.times[known[-1]] - seen.times[known[0]])
    law = problem.law
    faces = law.charts(body, position[None], float(seen.diameter[body]))[1:]
    nearest = [faces[int(np.abs(law.gaps(body, faces, position)).argmin())]] if faces else []
    charts = [FREE, *nearest]
    return [Arc(body, first, len(seen.times), chart, law.numbers(chart, position, velocity)) for chart in charts]


def _best_arc(problem: Hypothesis, arcs: list[Arc], body: int, guesses: list[Arc], total: int) -> Arc:
    """The arc that explains the track of a body best, by Schwarz's criterion."""
    costs: list[tuple[float, Arc]] = []
    for support in sorted({guess.chart for guess in guesses}):
        candidates: list[tuple[float, Arc]] = []
        for guess in (guess for guess in guesses if guess.chart == support):
            fit = ArcFit(problem, [*arcs[:body], guess, *arcs[body + 1 :]], [body], None, total)
            candidates.append((_squared_error(fit, fit.start, body), guess))
        guess = min(candidates, key=lambda pair: pair[0])[1]
        fit = ArcFit(problem, [*arcs[:body], guess, *arcs[body + 1 :]], [body], None, total)
        mask = np.zeros((total - fit.since, len(arcs)), dtype=bool)
        mask[:, body] = True
        numbers = fit.descend(mask)
        points = int(problem.seen.known[fit.since :, body].sum())
        cost = _squared_error(fit, numbers, body) + len(numbers) * np.log(2 * points)  # Schwarz's criterion
        costs.append((cost, fit.result(numbers)[body]))
    return min(costs, key=lambda pair: pair[0])[1]


def _squared_error(fit: ArcFit, numbers: Array, body: int) -> float:
    """Sum of squared distances of a body from its track, in standard deviations."""
    errors = fit.errors(numbers[None])[0][:, body] / fit.problem.seen.sd[fit.frames, body]
    known = fit.problem.seen.known[fit.frames, body]
    return float(np.nan_to_num(errors[known], nan=1e3).clip(max=1e3) ** 2 @ np.ones(int(known.sum())))


def _fit_jointly(problem: Hypothesis, arcs: list[Arc], chosen: list[int], first: int, total: int) -> list[Arc]:
    """Fit all arcs at once: the track of a body also constrains those that it attracts or meets."""
    fit = ArcFit(problem, arcs, chosen, None, total)
    mask = np.zeros((total - first, len(arcs)), dtype=bool)
    mask[:, chosen] = True
    return fit.result(fit.descend(mask, rounds=12))


# Aligns bodies at rest with the last frame by rendering them.
#
# The edges of an upright box fall on the renderer's grid of half pixels, and pixels between two touching hues are
# mixed: the tracked centre is up to half a pixel difference, by the same amount in all frames.


def align_to_frame(view: Clip, states: Array, bodies: Sequence[int]) -> None:
    """Move resting bodies sideways, in states (N, 13), so that renderings differ least from the last frame.

    Of positions with equal renderings, the middle is taken.
    """
    trials_per_round = 25  # positions
    side = PLANE_AXES[view.scene.camera.view][0]
    frame = view.frames[-1].astype(np.int64)
    for most in (0.6, 0.3):  # px to either side, round by round
        for index in bodies:
            shifts = np.linspace(-most, most, trials_per_round) / view.pixels_per_metre
            trials = np.repeat(states[None], trials_per_round, axis=0)
            trials[:, index, side] += shifts
            rendered = draw(view.scene, np.zeros(trials_per_round), trials, view.spec).frames
            difference = np.abs(rendered - frame).sum(axis=(1, 2, 3))
            states[index, side] += float(shifts[difference == difference.min()].mean())


# Estimates the states at the hand-over from the tracks of a context.


def estimate_states(view: Clip, tracks: Tracks) -> Array:
    """Estimate the states at the hand-over.

    What the context does not show is the mean over other draws of the task.

    Args:
        view: The clip as the physicist sees it.
        tracks: Of its frames.

    Returns:
        States (N, 13): position in m, orientation, velocity in m/s, spin in rad/s.
    """
    states = initial_states(view.scene)
    positions = plane_positions(view, tracks.position)  # (T, K, 2) m
    axes = list(PLANE_AXES[view.scene.camera.view])
    velocities = {}  # (2,) m/s by index, zero where the context shows it
    for column, index in enumerate(view.tracked):
        body = view.scene.bodies[index]
        if body.role != "moving":
            continue
        since = -np.inf if body.release is None or body.release >= 0 else body.release
        known = np.flatnonzero(np.isfinite(positions[:, column, 0]))
        position, velocities[index] = np.zeros(2), np.zeros(2)
        if np.count_nonzero(tracks.times[known] >= since - 1e-9) < 2 and not (body.release or 0.0) > 0:
            position, velocities[index] = _mean_of_other_draws(view, index)
        states[index, axes] = positions[known[-1], column] if len(known) else position
    for index in velocities:
        if view.scene.bodies[index].shape == "box":  # it slides flat on its support; a pixel above it, it would tumble
            _move_onto_support(view, states, index)
    seen = with_positions(view, states[:, :3])
    known_states = fit_states(seen, tracks, velocities)
    if known_states is not None:
        for index, state in known_states.items():
            _set_plane_state(view, states, index, state)
        return states
    for column, index in enumerate(view.tracked):
        if index in velocities:
            _fit_single_body(seen, states, index, positions[:, column], tracks.times, velocities[index])
    resting = [i for i in velocities if not np.any(states[i, 7:10]) and view.scene.bodies[i].collides]
    resting.sort(key=lambda i: -float(states[i, :3] @ np.asarray(view.scene.gravity)))
    for index in resting:  # the lowest first: each block of a tower rests on those below
        _move_onto_support(view, states, index)
    align_to_frame(view, states, [i for i in resting if view.scene.bodies[i].shape != "sphere"])
    return states


def _mean_of_other_draws(view: Clip, index: int) -> tuple[Array, Array]:
    """Mean position (2,) m and velocity (2,) m/s over other draws of the task, else centre of the view and 0.

    The mean velocity is the middle of its range, and about zero where the direction is drawn too; where the prompt
    tells the motion, it is the middle of what its words mean.
    """
    axes = list(PLANE_AXES[view.scene.camera.view])
    others = other_states(view.row.task, view.row.split, body_signature(view.scene), index)
    if not len(others):
        return np.asarray(view.scene.camera.center, dtype=np.float64)[axes], np.zeros(2)
    middle = others.mean(axis=0)
    velocity = (
        open_velocities(view, index).mean(axis=0) if view.stated_velocities else middle[[7 + axis for axis in axes]]
    )
    return middle[axes], velocity


def _set_plane_state(view: Clip, states: Array, index: int, known: EstimatedState) -> None:
    """Write a fitted state in the plane into the states (N, 13)."""
    camera, body = view.scene.camera, view.scene.bodies[index]
    axes = list(PLANE_AXES[camera.view])
    states[index, axes], states[index, [7 + axis for axis in axes]] = known.position, known.velocity
    if body.shape not in ROUND:
        return
    if camera.view == "front":  # clockwise as seen, about the axis into the picture
        states[index, 11] = known.rolling_velocity[0] / body.size[0]
    else:
        states[index, 10:12] = -known.rolling_velocity[1] / body.size[0], known.rolling_velocity[0] / body.size[0]


def _fit_single_body(view: Clip, states: Array, index: int, positions: Array, times: Array, velocity: Array) -> None:
    """Fit one body of a scene that no law moves: at rest if its track rests, else in free motion."""
    body, camera = view.scene.bodies[index], view.scene.camera
    axes = list(PLANE_AXES[camera.view])
    since = -np.inf if body.release is None or body.release >= 0 else body.release
    known = np.flatnonzero(np.isfinite(positions[:, 0]) & (times >= since - 1e-9))
    if not len(known):
        return
    points, dt = positions[known], times[known]
    # The track of a body at rest extends less than 0.01 diameters
    if len(known) > 1 and np.ptp(points, axis=0).max() < 0.01 * 2 * apparent_radius(body, camera):
        states[index, axes], velocity = points.mean(axis=0), np.zeros(2)
    elif len(known) > 1:
        carried = _supporting_face(view, states, index) is not None
        gravity = np.zeros(2) if carried else np.asarray(view.scene.gravity, dtype=np.float64)[axes]
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        position, velocity = np.linalg.lstsq(design, points - gravity * dt[:, None] ** 2 / 2, rcond=None)[0]
        states[index, axes] = position
    states[index, [7 + axis for axis in axes]] = velocity


def _move_onto_support(view: Clip, states: Array, index: int) -> None:
    """Move a body onto the face that carries it, if there is one."""
    support = _supporting_face(view, states, index)
    if support is not None:
        normal, distance = support
        states[index, :3] -= distance * normal


def _supporting_face(view: Clip, states: Array, index: int) -> tuple[Array, float] | None:
    """Normal (3,) of the most level face that carries a body, and the gap in m between both; None if it is free."""
    scene = view.scene
    body, position = scene.bodies[index], states[index, :3]
    gravity = np.asarray(scene.gravity, dtype=np.float64)
    if not np.any(gravity) or not body.collides:
        return None
    up = -gravity / np.linalg.norm(gravity)
    near = 0.12 * 2 * apparent_radius(body, scene.camera)  # diameters; a body nearer to a face may lie on it
    best: tuple[float, Array, float] | None = None
    for i, other in enumerate(scene.bodies):
        present = other.collides and (other.until is None or other.until > 0) and np.isfinite(states[i, :3]).all()
        if i == index or not present:
            continue
        distance = float(gap(body, position, other, states[i, :3]))
        normal = face(replace(other, position=tuple(states[i, :3].tolist())), position)
        if (
            abs(distance) < near
            and normal is not None
            and normal @ up > 0.5  # between the normal and up, for a face that carries bodies
            and (best is None or normal @ up > best[0])
        ):
            best = float(normal @ up), normal, distance
    return None if best is None else best[1:]


class Physicist:
    """Model that knows the laws, and predicts what they allow from a context."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def rollout_clips(self, clips: Sequence[Clip], *, horizon: int, **given: object) -> Iterator[Tensor]:
        import torch

        futures = [predict_frames(clip, self.card.scored_context, horizon) for clip in clips]
        for part in answer_parts(self.card, len(clips), horizon):
            chunk = np.stack([future[part] for future in futures])
            yield torch.from_numpy(chunk).permute(0, 1, 4, 2, 3).float() / 255


def predict_frames(clip: Clip, context: int, horizon: int) -> NDArray[np.uint8]:
    """Frames (horizon, H, W, 3) that follow the last `context` frames of a clip's history."""

    scene, times, states = predict_states(clip, context, horizon)
    return draw(scene, times, states, clip.spec).frames


def predict_states(clip: Clip, context: int, horizon: int) -> tuple[Scene, NDArray[np.float64], NDArray[np.float64]]:
    """Predict the states of a clip after its hand-over.

    Args:
        clip: The clip, of which only the context and the scene's data are used.
        context: Number of context frames.
        horizon: Number of frames to predict.

    Returns:
        The scene as the physicist takes it to be, times (horizon,) in s, and states (horizon, N, 13) at these times.
    """

    from physbench.track.tracker import track

    seen = context_view(clip, context)
    start = estimate_states(seen, track(seen, context, seen.frames))
    ahead = np.arange(1, horizon + 1) * clip.spec.steps / PHYSICS_HZ
    return seen.scene, ahead, simulate_ensemble(seen.scene, 0.0, start[None], ahead)[0]
