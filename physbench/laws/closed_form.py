"""The law of motion of one body between contacts, in closed form: flight, straight lines, ramps, orbits.

Everything is in the plane of motion (2D). A state is (x, y, vx, vy) in m and m/s at a time called its epoch. There are
three laws. `Constant`: free flight, and straight motion along a level support on which a body rolls, or slides without
friction. `Slope`: rolling and sliding on a ramp. `Orbit`: Kepler motion about a fixed source, or about the barycentre
of two bodies that attract each other, if it rests. Motion without a closed form here has no law (None).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws import kepler
from physbench.support.arrays import Array
from physbench.world.camera import depth_axis, plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.geometry import gap, rotate, unrotate
from physbench.world.scene import ROUND, Body, Scene

# Rolling, slipping and sliding along a straight support, in closed form, from the scene's data alone.
#
# On a board that rises by an angle a, with friction mu (the product of both bodies'), a box decelerates by
# g (sin a + mu cos a) on its way up and accelerates by g (sin a - mu cos a) on its way down; where that is negative it
# stays where it stops. A body that rolls accelerates downwards by g sin a - f both ways. While it does not slip,
# f = k / (1 + k) g sin a with its inertia k m r^2: 2/7 g sin a for a ball, 1/3 g sin a for a full cylinder. Where
# mu g cos a is less, it slips and f = mu g cos a.


@dataclass(frozen=True)
class Slope:
    """Motion along a straight support under weight and friction."""

    along: tuple[float, float]  # unit, up the slope
    normal: tuple[float, float]  # unit, away from the support
    height: float  # m, normal . position
    rising: float  # m/s2 >= 0, deceleration on the way up
    sinking: float  # m/s2, acceleration on the way down; not above 0: the body stays where it stops

    @property
    def stays(self) -> bool:
        """True if a body that has stopped does not start again."""
        return self.sinking <= 0

    def _motion(self, distance: Array, velocity: Array, dt: Array) -> tuple[Array, Array, Array]:
        """Distance m and velocity m/s (...) up the slope -> both (..., T) after dt, and d distance / d velocity."""
        distance, velocity = distance[..., None], velocity[..., None]
        up = velocity > 0
        if self.stays:
            rate = np.where(up, self.rising, max(-self.sinking, 1e-6))
            sign = np.where(up, 1.0, -1.0)
            stop = np.abs(velocity) / rate
            before = np.where(velocity == 0, 0.0, np.minimum(dt - stop, 0.0))
            distance_then = distance + sign * (velocity**2 / rate - rate * before**2) / 2
            return distance_then, -sign * rate * before, stop + before
        rate = np.where(up, self.rising, self.sinking)
        since = dt - velocity / rate  # the moment of turning, which may lie in the past
        a = np.where(since < 0, self.rising, self.sinking)
        return distance + (velocity**2 / rate - a * since**2) / 2, -a * since, (velocity + a * since) / rate

    def propagate(self, state: Array, dt: Array) -> Array:
        """States (..., 4) at their epoch moved by dt (T,) s: (..., T, 4)."""
        along = np.array(self.along)
        distance, velocity = state[..., :2] @ along, state[..., 2:] @ along
        distance_then, velocity_then, _ = self._motion(distance, velocity, dt)
        moved = state[..., None, :2] + (distance_then - distance[..., None])[..., None] * along
        return np.concatenate([moved, velocity_then[..., None] * along], axis=-1)

    def acceleration(self, position: Array) -> Array:
        """Acceleration (..., 2) m/s2 at positions (..., 2) m: the mean of both directions of motion."""
        mean = -self.rising / 2 if self.stays else -(self.rising + self.sinking) / 2
        return np.broadcast_to(mean * np.array(self.along), position.shape).copy()

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        """State (4,) at the epoch by least squares over positions (T, 2) m at times dt (T,) s from the epoch."""
        along = np.array(self.along)
        distance = position @ along
        guesses = [] if start is None else [np.array([start[:2] @ along, start[2:] @ along])]
        for rate in (0.0, -self.rising, -self.sinking):
            for part in (slice(None), slice(max(3, len(dt) // 3))):
                guesses.append(np.polyfit(dt[part], distance[part] - rate * dt[part] ** 2 / 2, 1)[::-1])
        numbers = min((self._descend(guess, dt, distance) for guess in guesses), key=lambda descent: descent[1])[0]
        start_position = numbers[0] * along + self.height * np.array(self.normal)
        return np.concatenate([start_position, numbers[1] * along])

    def _descend(self, numbers: Array, dt: Array, distance: Array) -> tuple[Array, float]:
        """Gauss and Newton's method with halved steps for (distance, velocity) at the epoch; and the sum of squares."""
        distance_then, _, slope = self._motion(numbers[0], numbers[1], dt)
        cost = float(np.sum((distance - distance_then) ** 2))
        for _ in range(12):
            design = np.stack([np.ones_like(dt), slope], axis=-1)
            step = np.linalg.lstsq(design, distance - distance_then, rcond=None)[0]
            for _ in range(4):
                distance_trial, _, slope_trial = self._motion((numbers + step)[0], (numbers + step)[1], dt)
                cost_trial = float(np.sum((distance - distance_trial) ** 2))
                if cost_trial < cost:
                    break
                step = step / 2
            if not cost_trial < cost:
                break
            done = cost - cost_trial < 1e-6 * cost + 1e-12 * len(dt)
            numbers, distance_then, slope, cost = numbers + step, distance_trial, slope_trial, cost_trial
            if done:
                break
        return numbers, cost

    def covariance(self, state: Array, dt: Array, sd: float) -> Array:
        """Covariance (4, 4) of `fit` where each coordinate at dt (T,) carries independent noise of `sd` m."""
        along = np.array(self.along)
        slope = self._motion(state[:2] @ along, state[2:] @ along, dt)[2]
        design = np.stack([np.ones_like(dt), slope], axis=-1)
        return np.asarray(np.kron(np.linalg.pinv(design.T @ design), np.outer(along, along)) * sd**2)


def slope_law(scene: Scene, index: int, support: int, position: Array) -> Slope | None:
    """The law of a body that never leaves a straight support.

    Args:
        index: The moving body.
        support: The fixed body that carries it.
        position: (3,) m, any point of its path, which tells the face that carries it.

    Returns:
        The law. None where the motion has no closed form: the camera does not see a flat face under the body edge-on, a
        ball or cylinder neither rolls nor starts from rest, or it may rebound from another body with a spin other than
        that of rolling.
    """
    body, board = scene.bodies[index], scene.bodies[support]
    normal = face(board, position)
    weight = -np.asarray(scene.gravity, dtype=np.float64)
    across = depth_axis(scene.camera)
    if normal is None or abs(normal[across]) > 1e-9 or abs(weight[across]) > 1e-9 or weight @ normal <= 0:
        return None
    flat = plane_from_world(scene.camera, normal)
    along = np.array([-flat[1], flat[0]])
    sine, cosine = float(plane_from_world(scene.camera, weight) @ along), float(weight @ normal)  # times g
    if sine < 0:
        along, sine = -along, -sine
    friction_deceleration = body.friction * board.friction * cosine
    rising, sinking = sine + friction_deceleration, sine - friction_deceleration
    if body.shape in ROUND:
        if not _rolls(body, normal) or _may_be_thrown_back(scene, index, support):
            return None
        k = body.inertia
        rising = sinking = sine - min(friction_deceleration, k / (1 + k) * sine)
        if sinking < 1e-9:
            return None  # level: its speed stays the same
    elif friction_deceleration <= 1e-9 and sine <= 1e-9:
        return None
    height = float(plane_from_world(scene.camera, position) @ flat)
    return Slope((float(along[0]), float(along[1])), (float(flat[0]), float(flat[1])), height, rising, sinking)


def straight_on(scene: Scene, index: int, support: int, position: Array, fastest: float) -> bool:
    """True if body `index` keeps its speed on the level fixed body `support`, which it never leaves.

    It does without friction. With friction it does where it rests or rolls from its release on, unless a push or a
    rebound makes it slip for longer than 0.25 s: one that rolls again so soon counts as rolling. fastest: m/s, the
    highest speed of all bodies.
    """
    body, board = scene.bodies[index], scene.bodies[support]
    normal = face(board, position)
    if body.friction * board.friction == 0 or normal is None:
        return True
    still = not np.any(body.velocity) and not np.any(body.spin)
    if not still and not (body.shape in ROUND and _rolls(body, normal)):
        return False
    if not any(action.body == body.name for action in scene.impulses) and not _may_be_thrown_back(
        scene, index, support
    ):
        return True
    if body.shape not in ROUND:
        return False
    k = body.inertia
    friction_deceleration = body.friction * board.friction * float(np.linalg.norm(scene.gravity))  # m/s2
    return 2 * fastest * k / (1 + k) <= 0.25 * friction_deceleration  # a straight rebound that leaves the spin


def face(board: Body, position: Array) -> Array | None:
    """Outward unit normal (3,) of the flat face of a plane or box under a point (3,) m; None for other shapes."""
    if board.shape == "plane":
        return rotate(board.orientation, (0.0, 0.0, 1.0))
    if board.shape != "box":
        return None
    local = unrotate(board.orientation, position - np.asarray(board.position))
    axis = int((np.abs(local) - np.asarray(board.size)).argmax())
    return rotate(board.orientation, np.sign(local[axis]) * np.eye(3)[axis])


def _rolls(body: Body, normal: Array) -> bool:
    """True if a ball or cylinder rolls from its release on; from rest it does."""
    axis = rotate(body.orientation, (0.0, 0.0, 1.0))
    if body.shape == "cylinder" and abs(axis @ normal) > 1e-9:
        return False  # it stands on an end
    velocity = np.asarray(body.velocity, dtype=np.float64)
    slip = velocity - np.cross(body.spin, body.size[0] * normal)
    # A body rolls that slips by less than 0.02 of its speed at its release
    return float(np.linalg.norm(slip)) <= 0.02 * float(np.linalg.norm(velocity)) + 1e-6


def _may_be_thrown_back(scene: Scene, index: int, support: int) -> bool:
    return any(
        # Nothing rebounds where the restitution of a pair, the product of both, is below 0.05
        other.restitution * scene.bodies[index].restitution > 0.05 and other.collides
        for j, other in enumerate(scene.bodies)
        if j not in (index, support)
    )


# Motion of a body on a ramp from its release to rest, in phases of constant acceleration, in closed form.
#
# The solver makes scenes of tasks and their golden states: its values must stay equal to the last bit. The law of
# motion on a ramp, which tracks are compared with, is in `planar_motion.py`.


@dataclass(frozen=True)
class Phase:
    """A part of the motion with one acceleration; distance, velocity and acceleration count up the ramp."""

    start: float  # s
    distance: float  # m from the foot of the ramp, at the start
    velocity: float  # m/s, at the start
    acceleration: float  # m/s2


def ramp_phases(start: float, distance: float, velocity: float, rising: float, sinking: float) -> list[Phase]:
    """The motion of a body on a ramp with a stop at its foot that takes all speed.

    Args:
        start: When it is released, s.
        distance: Its distance from the stop then, m.
        velocity: Its velocity up the ramp then, m/s.
        rising: Deceleration on its way up, m/s2.
        sinking: Acceleration on its way down, m/s2; not above 0: it stays where it stops.

    Returns the phases in order; the last one is rest.

    A body that slides down 2 m without friction at 1 m/s2:

    >>> [(phase.start, phase.distance) for phase in ramp_phases(0.0, 2.0, 0.0, 1.0, 1.0)]
    [(0.0, 2.0), (2.0, 0.0)]
    """
    now = Phase(start, distance, velocity, -rising)
    phases = []
    if now.velocity > 0:
        phases.append(now)
        turn = now.velocity / rising
        now = Phase(now.start + turn, now.distance + now.velocity * turn / 2, 0.0, -sinking)
    elif sinking > 0 or now.velocity < 0:
        now = replace(now, acceleration=-sinking)
    if sinking <= 0 and now.velocity == 0:
        return [*phases, replace(now, acceleration=0.0)]
    phases.append(now)
    reach = now.velocity**2 + 2 * sinking * now.distance
    if reach <= 0:  # it stops before it reaches the foot
        slow = now.velocity / sinking
        return [*phases, Phase(now.start + slow, now.distance + now.velocity * slow / 2, 0.0, 0.0)]
    hit = 2 * now.distance / (math.sqrt(reach) - now.velocity)
    return [*phases, Phase(now.start + hit, 0.0, 0.0, 0.0)]


def distance_at(phases: Sequence[Phase], time: float) -> float:
    """Distance in m up the ramp at `time` s, at or after the release."""
    phase = [phase for phase in phases if phase.start <= time][-1]
    since = time - phase.start
    return phase.distance + phase.velocity * since + phase.acceleration * since**2 / 2


SUPPORT_GAP = 0.02  # diameters; a support is permanent if the true body never leaves it by more


class Law(Protocol):
    """Motion of a body while nothing but its permanent supports touches it."""

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

    index: The body among those of the clip's scene. Returns indices of the permanent supports.
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

    Returns `Constant`, `Slope` or `Orbit`; None where the motion has no closed form.
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
    sources = [scene.index(field.source) for field in scene.central]
    if np.any(gravity) or scene.own_fields:
        return None
    if len(sources) == 1 and scene.bodies[sources[0]].role == "fixed":
        centre, mu = np.asarray(scene.bodies[sources[0]].position, dtype=np.float64), scene.central[0].mu
    elif len(sources) == 2 and index in sources and two_bodies(scene) and not scene.impulses:
        a, b = (clip.states[0, source] for source in sources)
        first, second = (field.mu for field in scene.central)
        total = first + second
        centre, drift = ((first * a[part] + second * b[part]) / total for part in (np.s_[:3], np.s_[7:10]))
        # Their barycentre rests if it is slower than 1e-6 of their relative speed
        if np.linalg.norm(drift) > 1e-6 * np.linalg.norm(a[7:10] - b[7:10]):
            return None  # the barycentre moves on
        mu = (second if index == sources[0] else first) ** 3 / total**2  # of the other one, as felt from there
    else:
        return None
    middle = plane_from_world(scene.camera, centre)
    return Orbit((float(middle[0]), float(middle[1])), mu)


def two_bodies(scene: Scene) -> bool:
    """True if a scene's fields are those of two free bodies that attract each other with opposite forces."""
    sources = [scene.bodies[scene.index(field.source)] for field in scene.central]
    if (
        scene.own_fields
        or len(sources) != 2
        or any(body.role != "moving" or body.release is not None for body in sources)
    ):
        return False
    first, second = (field.mu / body.mass for field, body in zip(scene.central, sources, strict=True))
    return abs(first - second) <= 1e-6 * first and sum(body.role == "moving" for body in scene.bodies) == 2


def around_each_other(scene: Scene, states: Array, dt: Array) -> dict[int, Array]:
    """Trajectories of two bodies that attract each other, whatever their barycentre does.

    Args:
        scene: A scene for which `two_bodies` holds.
        states: (..., N, 4) m and m/s of all bodies in the plane of motion, at one time.
        dt: (T,) s from that time.

    Returns positions (..., T, 2) m of both bodies by their indices in the scene.
    """
    (a, first), (b, second) = ((scene.index(field.source), field.mu) for field in scene.central)
    share = second / (first + second)
    middle = (1 - share) * states[..., a, :] + share * states[..., b, :]
    apart = kepler.propagate(states[..., a, :] - states[..., b, :], dt, first + second)[..., :2]
    ahead = middle[..., None, :2] + dt[:, None] * middle[..., None, 2:]
    return {a: ahead + share * apart, b: ahead - (1 - share) * apart}


def free_paths(clip: Clip, states: Array, dt: Array) -> dict[int, Array] | None:
    """Paths of all moving bodies in closed form while nothing but their permanent supports touches them.

    Args:
        states: (M, N, 4) m and m/s of all its bodies in the plane of motion, at one time.
        dt: (T,) s from that time.

    Returns positions (M, T, 2) m by index; None where the motion of some body has no closed form.
    """
    if two_bodies(clip.scene):  # whose barycentre need not rest
        return around_each_other(clip.scene, states, dt)
    paths = {}
    for index, body in enumerate(clip.scene.bodies):
        if body.role == "moving":
            law = law_of(clip, index)
            if law is None:
                return None
            paths[index] = law.propagate(states[:, index], dt)[..., :2]
    return paths
