"""The law of motion of a scene's body between contacts, in closed form: from gravity, force fields and supports.

Everything is in the plane of motion (2D). A state is (x, y, vx, vy) in m and m/s at a time called its epoch. There are
three laws. `Constant`: free flight, and straight motion along a level support on which a body rolls, or slides without
friction. `Slope`: rolling and sliding on a ramp. `Orbit`: Kepler motion about a fixed source, or about the barycentre
of two bodies that attract each other, if it rests. Motion without a closed form here has no law (None).
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

MAX_DRIFT = 1e-6  # of the relative speed of two bodies; their barycentre rests if it is slower
SUPPORT_GAP = 0.02  # diameters; a support is permanent if the true body never leaves it by more


class Law(Protocol):
    """How a body moves while nothing but its permanent supports touches it."""

    def propagate(self, state: Array, dt: Array) -> Array:
        """States (..., 4) at their epoch moved by dt (T,) s: (..., T, 4)."""
        ...

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        """State (4,) at the epoch by least squares over positions (T, 2) m at times dt (T,) s from the epoch.

        start: a state nearby, where one is known."""
        ...

    def acceleration(self, position: Array) -> Array:
        """Acceleration (..., 2) m/s2 at positions (..., 2) m."""
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
        return levenberg_marquardt(
            lambda state: kepler.positions_and_slopes(state - self._shift, dt, self.mu), start, away
        )

    def covariance(self, state: Array, dt: Array, sd: float) -> Array:
        slope = kepler.positions_and_slopes(state - self._shift, dt, self.mu)[1].reshape(-1, 4)
        return np.asarray(np.linalg.pinv(slope.T @ slope) * sd**2, dtype=np.float64)


def levenberg_marquardt(run: Callable[[Array], tuple[Array, Array]], state: Array, position: Array) -> Array:
    """Fit a state (4,) to a track (T, 2) m by Levenberg and Marquardt's method with analytic derivatives.

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
        improvement = cost - float(np.sum(trial**2))
        if not improvement > 0:
            damping *= 10
            if damping > 1e4:
                break
            continue
        state, residual, slope, cost, damping = state + step, trial, trial_slope, cost - improvement, damping * 0.1
        if improvement < 1e-3 * cost + 1e-9 * len(position):  # 1e-9: 0.03 mm rms
            break
    return state


def supports(clip: Clip, index: int) -> tuple[int, ...]:
    """Fixed bodies that a moving body touches in ground truth from its release, or the first frame, to the end.

    Args:
        clip: The clip.
        index: The body among those of the clip's scene.

    Returns:
        Indices of the permanent supports.
    """
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
    """The law of motion of a moving body.

    Args:
        clip: The clip; its ground truth shows which supports are permanent.
        index: The body among those of the clip's scene.

    Returns:
        `Constant`, `Slope` or `Orbit`; None where the motion has no closed form.
    """
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
        if np.linalg.norm(drift) > MAX_DRIFT * np.linalg.norm(a[7:10] - b[7:10]):
            return None  # the barycentre moves on
        mu = (second if index == sources[0] else first) ** 3 / total**2  # of the other one, as felt from there
    else:
        return None
    middle = plane_from_world(scene.camera, centre)
    return Orbit((float(middle[0]), float(middle[1])), mu)


def two_bodies(scene: Scene) -> bool:
    """Whether a scene's fields are those of two free bodies that attract each other with opposite forces."""
    sources = [scene.bodies[scene.index(field.source)] for field in scene.fields]
    if len(sources) != 2 or any(body.role != "moving" or body.release is not None for body in sources):
        return False
    first, second = (field.mu / body.mass for field, body in zip(scene.fields, sources, strict=True))
    return abs(first - second) <= 1e-6 * first and sum(body.role == "moving" for body in scene.bodies) == 2


def around_each_other(scene: Scene, states: Array, dt: Array) -> dict[int, Array]:
    """Trajectories of two bodies that attract each other, whatever their barycentre does.

    Args:
        scene: A scene for which `two_bodies` holds.
        states: (..., N, 4) m and m/s of all bodies in the plane of motion, at one time.
        dt: (T,) s from that time.

    Returns:
        Positions (..., T, 2) m of both bodies by their indices in the scene.
    """
    (a, first), (b, second) = ((scene.index(field.source), field.mu) for field in scene.fields)
    share = second / (first + second)
    middle = (1 - share) * states[..., a, :] + share * states[..., b, :]
    apart = kepler.propagate(states[..., a, :] - states[..., b, :], dt, first + second)[..., :2]
    ahead = middle[..., None, :2] + dt[:, None] * middle[..., None, 2:]
    return {a: ahead + share * apart, b: ahead - (1 - share) * apart}
