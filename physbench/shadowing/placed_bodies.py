"""What is to be explained: places of bodies over time in the plane of motion, and how well they are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.forward_model import ForwardModel
from physbench.shadowing.sight_model import SightModel, sight_model
from physbench.tracks.finite_differences import runs
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import MAX_GAP, detected, has_position, tracked_with_gaps, truth_visible
from physbench.world.camera import depth_axis, looking, plane_from_px, plane_from_world
from physbench.world.scene import PHYSICS_HZ
from physbench.world.silhouettes import apparent_radius

if TYPE_CHECKING:
    from physbench.shadowing.velocity_prior import VelocityPrior

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CONTEXT = 0.5  # s before the hand-over that are looked at
SURE = 0.015  # diameters; a place with a larger sd tells presence only
NOISE = 0.002  # diameters, the least sd that a place is given: five of it are the smallest tolerance that is read
MOST_SHIFT = 0.2  # diameters; a larger constant shift of a predicted picture is not taken out
SURE_SDS = 5.0  # a point is not asked to be nearer than this many of its sd
SHOWN_FOR, SHOWN_POINTS = 0.1, 3  # s and points of context that show which forces act


@dataclass(frozen=True, eq=False)
class PlacedBodies:
    """Places of N bodies in T frames. Everything but time is in diameters of the body or of shape (T, N)."""

    times: Array  # (T,) s
    steps: Array  # (T,) physics steps
    place: Array  # (T, N, 2) m in the plane of motion, NaN where not known well enough
    sd: Array  # (T, N) diameters, at least NOISE
    diameter: Array  # (N,) m
    owed: Mask  # (T, N) where the body is due
    there: Mask  # (T, N) where it is present
    start: NDArray[np.intp]  # (N,) first frame in which the body moves freely
    rests: Mask  # (T, N) where ground truth rests
    sight: SightModel | None = None  # what the camera sees elsewhere; None: all
    declared: VelocityPrior | None = None  # velocities at the hand-over that the task declares; None: any
    least: float = 0.0  # frames x bodies that must be shown for anything to be said
    brief: tuple[int, ...] = ()  # bodies that not even ground truth shows for long enough: owed nothing, never broken

    @property
    def known(self) -> Mask:
        """Where there is a place (T, N)."""
        return np.isfinite(self.place[..., 0])

    @property
    def judged(self) -> Mask:
        """Which bodies are judged (N,): all that are not `brief`."""
        return ~np.isin(np.arange(len(self.diameter)), self.brief)

    @property
    def given(self) -> Mask:
        """Where a context frame gives a place of a body that moves freely (T, N)."""
        free = np.arange(len(self.times))[:, None] >= self.start
        return np.asarray(self.known & free & (self.times <= 1e-9)[:, None])

    @property
    def tells_speed(self) -> Mask:
        """Whether the context tells how fast each body is (N,)."""
        return np.asarray(self.given.sum(axis=0) >= 2)

    @property
    def tells_forces(self) -> bool:
        """Whether the context shows some body for long enough to tell what acts on it."""
        spans = [self.times[column] for column in self.given.T]
        return any(len(span) >= SHOWN_POINTS and span[-1] - span[0] >= SHOWN_FOR - 1e-9 for span in spans)

    @property
    def share(self) -> Array:
        """Share of a tolerance that each point gets (T, N).

        1 in predicted frames. In the context less, where it is shorter than CONTEXT: it gives a velocity no more
        freedom than one of CONTEXT s does.
        """
        share = np.ones(self.sd.shape)
        for column, given in zip(share.T, self.given.T, strict=True):
            if given.any():
                span = self.times[given][-1] - self.times[given][0]
                column[self.times <= 1e-9] = min(1.0, span / CONTEXT)
        return share

    def limit(self, tolerance: float) -> Array:
        """How far in diameters a lawful motion may be from each point (T, N)."""
        return np.maximum(tolerance * self.share, SURE_SDS * self.sd)

    def until(self, frame: int) -> PlacedBodies:
        """The frames before one."""
        part = slice(0, frame)
        names = ("times", "steps", "place", "sd", "owed", "there", "rests")
        return replace(self, **{name: getattr(self, name)[part] for name in names})


def from_tracks(clip: Clip, tracks: Tracks, model: ForwardModel) -> PlacedBodies:
    """What tracks show of the moving bodies of a clip, its last context frames included."""
    camera = clip.scene.camera
    columns = [clip.tracked.index(i) if i in clip.tracked else -1 for i in model.index]
    if -1 in columns:
        raise ValueError("A body moves that no track follows.")
    plane = plane_from_px(camera, clip.spec, _unshifted(clip, tracks))
    centre = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    across = depth_axis(camera)
    # Behind the plane through the camera's centre things look smaller.
    further = 1 + looking(camera)[across] * (model.depth - camera.center[across]) / camera.distance
    place = centre + (plane[:, columns] - centre) * further[:, None]
    diameter = _diameters(clip, model)
    scale = clip.pixels_per_metre / further
    sd = np.nan_to_num(tracks.position_sd[:, columns], nan=np.inf) / (diameter * scale)
    place = np.where((sd <= SURE)[..., None], place, np.nan)
    window = clip.window(tracks.context)
    owed = truth_visible(clip, tracks.context)[:, columns]
    # What the tracker carries over a frame that shows nothing of a body is no presence.
    there = (tracked_with_gaps(clip, tracks) & (has_position(tracks) | detected(clip, tracks)))[:, columns]
    frames = np.arange(window.start, window.stop)
    return PlacedBodies(
        tracks.times,
        np.round(tracks.times * PHYSICS_HZ),
        place,
        np.maximum(np.where(np.isfinite(sd), sd, NOISE), NOISE),
        diameter,
        owed,
        _present(there, np.isfinite(place[..., 0]), tracks.times),
        _start(clip, model, tracks.times),
        _resting(clip, model)[window],
        sight_model(clip, model.index, model.depth, diameter / 2, frames),
    )


def _present(there: Mask, known: Mask, times: Array) -> Mask:
    """Where a body counts as present (T, N): a stretch without a sure place is forgiven for MAX_GAP s."""
    there = there.copy()
    dt = float(times[1] - times[0]) if len(times) > 1 else 0.0
    for column, vague in zip(there.T, (there & ~known).T, strict=True):
        for run in runs(vague):
            column[run] = len(run) * dt <= MAX_GAP + 1e-9
    return there


def offset(clip: Clip, tracks: Tracks) -> Array:
    """Shift (2,) of the predicted picture in diameters of the fixed bodies that are tracked, median; NaN without one.

    What draws others is such a body: their lawful motion is about the place where it is seen.
    """
    fixed = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed"]
    window, behind = clip.window(tracks.context), slice(tracks.context, None)
    away = (tracks.position - clip.px_positions()[window])[behind, fixed] / clip.pixels_per_metre
    away = away / np.maximum(clip.diameters()[window][behind, fixed], 1e-9)[..., None]
    away = away[np.isfinite(away).all(axis=-1)]
    return np.asarray(np.median(away, axis=0)) if len(away) else np.full(2, np.nan)


def _unshifted(clip: Clip, tracks: Tracks) -> Array:
    """Positions (T, K, 2) px without a small constant shift of the predicted picture.

    The context is not the model's and stays as it is. A larger shift is no fault of drawing.
    """
    shift = offset(clip, tracks)
    position = tracks.position.copy()
    if np.linalg.norm(shift) <= MOST_SHIFT:  # False where NaN
        fixed = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed"]
        diameter = float(np.median(clip.diameters()[clip.handover, fixed])) * clip.pixels_per_metre
        position[tracks.context :] -= shift * diameter
    return position


def _diameters(clip: Clip, model: ForwardModel) -> Array:
    """Apparent diameters (N,) m."""
    return np.array([2 * apparent_radius(clip.scene.bodies[i], clip.scene.camera) for i in model.index])


def _start(clip: Clip, model: ForwardModel, times: Array) -> NDArray[np.intp]:
    """First of the frames at times (T,) s in which each body (N,) moves freely and is looked at."""
    released = [clip.scene.bodies[i].release for i in model.index]
    since = np.array([-CONTEXT if time is None else max(time, -CONTEXT) for time in released])
    return np.asarray(np.searchsorted(times, since - 1e-9))


def _resting(clip: Clip, model: ForwardModel) -> Mask:
    """Where ground truth stands still (T, N)."""
    speed = np.linalg.norm(clip.states[:, list(model.index), 7:10], axis=-1)
    return np.asarray(speed < 0.1 * _diameters(clip, model))


def from_states(clip: Clip, times: Array, states: Array, model: ForwardModel) -> PlacedBodies:
    """What predicted states (T, N, 13) at times (T,) s say of the moving bodies of a clip.

    A body that leaves its plane of motion by more than SURE diameters has no place there.
    """
    camera, index = clip.scene.camera, list(model.index)
    diameter = _diameters(clip, model)
    place = plane_from_world(camera, states[:, index, :3])
    off = np.abs(states[:, index, depth_axis(camera)] - model.depth) / diameter
    place = np.where((off <= SURE)[..., None], place, np.nan)
    true = np.searchsorted(clip.times, times - 1e-9).clip(0, len(clip.times) - 1)
    there = np.isfinite(place[..., 0])
    owed = np.repeat((times > 1e-9)[:, None], len(index), axis=1)
    return PlacedBodies(
        times,
        np.round(times * PHYSICS_HZ),
        place,
        np.full(there.shape, NOISE),
        diameter,
        owed,
        there,
        _start(clip, model, times),
        _resting(clip, model)[true],
    )
