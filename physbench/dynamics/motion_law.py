"""The law of motion of a scene's body, from its gravity, force fields and supports, in closed form.

All in the plane of motion (2D). A state is (x, y, vx, vy) in m and m/s at a time called its epoch. A body that rolls
or, where nothing grips, slides on a level support for good moves straight along it; one in free flight is ballistic
(straight without gravity); one in a central field runs on a Kepler orbit, and two that draw each other on one each
around their barycentre, if that rests. What has no closed form here has no law (None).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics import kepler
from physbench.dynamics.rolling_sliding import slope_law, straight_on
from physbench.world.camera import plane_from_world
from physbench.world.geometry import gap
from physbench.world.scene import Scene
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]

AT_REST = 1e-6  # of their relative speed: the barycentre of two bodies rests
SUPPORT_GAP = 0.02  # diameters; a support that the true body never leaves by more is permanent


class Law(Protocol):
    """How a body moves while nothing touches it that does not touch it all the time."""

    def propagate(self, state: Array, dt: Array) -> Array:
        """States (..., 4) at their epoch and dt (T,) s -> states (..., T, 4) at epoch + dt."""
        ...

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        """Least squares over times dt (T,) s from the epoch and positions (T, 2) m -> state (4,) at the epoch.

        start: a state nearby, where one is known."""
        ...

    def acceleration(self, position: Array) -> Array:
        """(..., 2) m -> (..., 2) m/s2."""
        ...

    def covariance(self, state: Array, dt: Array, sd: float) -> Array:
        """Covariance (4, 4) of `fit` where each coordinate at dt (T,) carries independent noise of `sd` m."""
        ...


@dataclass(frozen=True)
class Constant:
    """Constant acceleration: ballistic or straight; on a permanent support only along it."""

    gravity: tuple[float, float]  # m/s2
    normal: tuple[float, float] | None = None  # unit, of the permanent support
    height: float = 0.0  # m, normal . position

    @property
    def _free(self) -> Array:
        """Directions in which the body is free (2, m)."""
        if self.normal is None:
            return np.eye(2)
        return np.array([[-self.normal[1]], [self.normal[0]]])

    def acceleration(self, position: Array) -> Array:
        along = self._free @ (self._free.T @ np.asarray(self.gravity))
        return np.broadcast_to(along, position.shape).copy()

    def propagate(self, state: Array, dt: Array) -> Array:
        a = self.acceleration(np.zeros(2))
        time = dt[:, None]
        position, velocity = state[..., None, :2], state[..., None, 2:]
        moved = position + velocity * time + 0.5 * a * time**2
        return np.concatenate([moved, velocity + a * time], axis=-1)

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        free = self._free
        a = self.acceleration(np.zeros(2))
        target = (position - 0.5 * a * dt[:, None] ** 2) @ free  # (T, m)
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        numbers = np.linalg.lstsq(design, target, rcond=None)[0] @ free.T  # (2, 2) position, velocity
        if self.normal is not None:
            numbers[0] += self.height * np.asarray(self.normal)
        return numbers.reshape(4)

    def covariance(self, state: Array, dt: Array, sd: float) -> Array:
        design = np.stack([np.ones_like(dt), dt], axis=-1)
        along = self._free @ self._free.T
        return np.asarray(np.kron(np.linalg.pinv(design.T @ design), along) * sd**2, dtype=np.float64)


@dataclass(frozen=True)
class Orbit:
    """Kepler motion about a fixed source."""

    source: tuple[float, float]  # m
    mu: float  # m3/s2

    @property
    def _shift(self) -> Array:
        return np.array([*self.source, 0.0, 0.0])

    def acceleration(self, position: Array) -> Array:
        away = position - self._shift[:2]
        distance = np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-2)
        return np.asarray(-self.mu * away / distance**3, dtype=np.float64)

    def propagate(self, state: Array, dt: Array) -> Array:
        return kepler.propagate(state - self._shift, dt, self.mu) + self._shift

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        if start is None:
            a = self.acceleration(position[np.abs(dt) <= np.median(np.abs(dt))].mean(axis=0))
            start = Constant((float(a[0]), float(a[1]))).fit(dt, position)
        away = position - self._shift[:2]
        return descend(lambda state: kepler.positions_and_slopes(state - self._shift, dt, self.mu), start, away)

    def covariance(self, state: Array, dt: Array, sd: float) -> Array:
        slope = kepler.positions_and_slopes(state - self._shift, dt, self.mu)[1].reshape(-1, 4)
        return np.asarray(np.linalg.pinv(slope.T @ slope) * sd**2, dtype=np.float64)


def descend(run: Callable[[Array], tuple[Array, Array]], state: Array, position: Array) -> Array:
    """Levenberg and Marquardt's method on the squared distances of a track (T, 2) m from the motion of a state (4,).

    run: state -> its positions (T, 2) m and their derivatives by the state (T, 2, 4).
    """
    moved, slope = run(state)
    residual = position - moved
    cost, damping = float(np.sum(residual**2)), 1e-4
    for _ in range(25):
        flat = slope.reshape(-1, 4)
        normal = flat.T @ flat
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), flat.T @ residual.reshape(-1))
        moved, trial_slope = run(state + step)
        trial = position - moved
        gain = cost - float(np.sum(trial**2))
        if not gain > 0:
            damping *= 10
            if damping > 1e4:
                break
            continue
        state, residual, slope, cost, damping = state + step, trial, trial_slope, cost - gain, damping * 0.1
        if gain < 1e-3 * cost + 1e-9 * len(position):  # 1e-9: 0.03 mm rms
            break
    return state


def supports(clip: Clip, index: int) -> tuple[int, ...]:
    """Fixed bodies that body `index` truly touches from its release, or the start of the history, to the end."""
    body = clip.scene.bodies[index]
    free = clip.times >= (body.release if body.release is not None else clip.times[0]) - 1e-9
    near = SUPPORT_GAP * 2 * apparent_radius(body, clip.scene.camera)
    return tuple(
        j
        for j, other in enumerate(clip.scene.bodies)
        if other.role == "fixed"
        and other.collides
        and body.collides
        and np.all(gap(body, clip.states[free, index, :3], other, clip.states[free, j, :3]) < near)
    )


def law_of(clip: Clip, index: int) -> Law | None:
    """The law of motion of moving body `index` of a clip's scene, or None where it has no closed form."""
    scene = clip.scene
    body = scene.bodies[index]
    gravity = plane_from_world(scene.camera, np.asarray(scene.gravity, dtype=np.float64))
    if scene.fields:
        return _orbit(clip, index, gravity)
    under = supports(clip, index)
    size = float(np.linalg.norm(gravity))
    if not under or not np.any(scene.gravity):
        return Constant((float(gravity[0]), float(gravity[1])))
    last = clip.states[-1, index, :3]
    slope = slope_law(scene, index, under[0], last) if len(under) == 1 and size > 0 else None
    if slope is not None:
        return slope
    fastest = float(np.linalg.norm(clip.states[..., 7:10], axis=-1).max())
    if not all(straight_on(scene, index, support, last, fastest) for support in under):
        return None
    if size == 0:  # a table from straight above
        return Constant((0.0, 0.0))
    normal = -gravity / size
    free = clip.times >= (body.release if body.release is not None else clip.times[0]) - 1e-9
    heights = plane_from_world(scene.camera, clip.states[free, index, :3]) @ normal
    if np.ptp(heights) > SUPPORT_GAP * 2 * apparent_radius(body, scene.camera):
        return None
    return Constant((float(gravity[0]), float(gravity[1])), (float(normal[0]), float(normal[1])), float(heights[-1]))


def _orbit(clip: Clip, index: int, gravity: Array) -> Orbit | None:
    scene = clip.scene
    sources = [scene.index(field.source) for field in scene.fields]
    if np.any(gravity):
        return None
    if len(sources) == 1 and scene.bodies[sources[0]].role == "fixed":
        centre, mu = np.asarray(scene.bodies[sources[0]].position, dtype=np.float64), scene.fields[0].mu
    elif len(sources) == 2 and index in sources and two_bodies(scene) and not scene.impulses:
        a, b = (clip.states[0, source] for source in sources)
        first, second = (field.mu for field in scene.fields)
        total = first + second
        centre, drift = ((first * a[part] + second * b[part]) / total for part in (np.s_[:3], np.s_[7:10]))
        if np.linalg.norm(drift) > AT_REST * np.linalg.norm(a[7:10] - b[7:10]):
            return None  # the barycentre moves on
        mu = (second if index == sources[0] else first) ** 3 / total**2  # of the other one, as felt from there
    else:
        return None
    middle = plane_from_world(scene.camera, centre)
    return Orbit((float(middle[0]), float(middle[1])), mu)


def two_bodies(scene: Scene) -> bool:
    """Whether the sources of a scene's fields are two free bodies that draw each other with forces that cancel."""
    sources = [scene.bodies[scene.index(field.source)] for field in scene.fields]
    if len(sources) != 2 or any(body.role != "moving" or body.release is not None for body in sources):
        return False
    first, second = (field.mu / body.mass for field, body in zip(scene.fields, sources, strict=True))
    return abs(first - second) <= 1e-6 * first and sum(body.role == "moving" for body in scene.bodies) == 2


def around_each_other(scene: Scene, states: Array, dt: Array) -> dict[int, Array]:
    """Ways of two bodies that draw each other, whatever their barycentre does.

    states (..., N, 4) of all bodies in the plane at one time, dt (T,) s -> positions (..., T, 2) m by index of a body.
    """
    (a, first), (b, second) = ((scene.index(field.source), field.mu) for field in scene.fields)
    share = second / (first + second)
    middle = (1 - share) * states[..., a, :] + share * states[..., b, :]
    apart = kepler.propagate(states[..., a, :] - states[..., b, :], dt, first + second)[..., :2]
    ahead = middle[..., None, :2] + dt[:, None] * middle[..., None, 2:]
    return {a: ahead + share * apart, b: ahead - (1 - share) * apart}
