"""Rolling, slipping and sliding along a straight support, in closed form, from the scene's data alone.

On a board that rises by an angle a, with friction mu (the product of both bodies'), a box decelerates by
g (sin a + mu cos a) on its way up and accelerates by g (sin a - mu cos a) on its way down; where that is negative it
stays where it stops. A body that rolls accelerates downwards by g sin a - f both ways. While it does not slip,
f = k / (1 + k) g sin a with its inertia k m r^2: 2/7 g sin a for a ball, 1/3 g sin a for a cylinder. Where mu g cos a
is less, it slips and f = mu g cos a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.world.camera import depth_axis, plane_from_world
from physbench.world.geometry import rotate, unrotate
from physbench.world.scene import Body, Scene

Array = NDArray[np.float64]

INERTIA = {"sphere": 2 / 5, "cylinder": 1 / 2}  # over m r^2, about the axis on which it rolls
MAX_SLIP = 0.02  # of the speed; a body that slips less at its release rolls
MAX_RESTITUTION = 0.05  # of a pair, the product of both; with less nothing rebounds
MAX_SLIP_TIME = 0.25  # s; a ball that rolls again so soon after a rebound on a level floor counts as rolling
MAX_FIT_STEPS = 12


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
        """Whether a body that has stopped does not start again."""
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
        numbers = min((self._descend(guess, dt, distance) for guess in guesses), key=lambda found: found[1])[0]
        start_position = numbers[0] * along + self.height * np.array(self.normal)
        return np.concatenate([start_position, numbers[1] * along])

    def _descend(self, numbers: Array, dt: Array, distance: Array) -> tuple[Array, float]:
        """Gauss and Newton's method with halved steps for (distance, velocity) at the epoch; and the sum of squares."""
        distance_then, _, slope = self._motion(numbers[0], numbers[1], dt)
        cost = float(np.sum((distance - distance_then) ** 2))
        for _ in range(MAX_FIT_STEPS):
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
        scene: The scene.
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
    if body.shape in INERTIA:
        if not _rolls(body, normal) or _may_be_thrown_back(scene, index, support):
            return None
        k = INERTIA[body.shape]
        rising = sinking = sine - min(friction_deceleration, k / (1 + k) * sine)
        if sinking < 1e-9:
            return None  # level: its speed stays the same
    elif friction_deceleration <= 1e-9 and sine <= 1e-9:
        return None
    height = float(plane_from_world(scene.camera, position) @ flat)
    return Slope((float(along[0]), float(along[1])), (float(flat[0]), float(flat[1])), height, rising, sinking)


def straight_on(scene: Scene, index: int, support: int, position: Array, fastest: float) -> bool:
    """Whether body `index` keeps its speed on the level fixed body `support`, which it never leaves.

    It does without friction. With friction it does where it rests or rolls from its release on, unless a push or a
    rebound makes it slip for longer than MAX_SLIP_TIME. fastest: m/s, the highest speed of all bodies.
    """
    body, board = scene.bodies[index], scene.bodies[support]
    normal = face(board, position)
    if body.friction * board.friction == 0 or normal is None:
        return True
    still = not np.any(body.velocity) and not np.any(body.spin)
    if not still and not (body.shape in INERTIA and _rolls(body, normal)):
        return False
    if not any(action.body == body.name for action in scene.impulses) and not _may_be_thrown_back(
        scene, index, support
    ):
        return True
    if body.shape not in INERTIA:
        return False
    k = INERTIA[body.shape]
    friction_deceleration = body.friction * board.friction * float(np.linalg.norm(scene.gravity))  # m/s2
    return 2 * fastest * k / (1 + k) <= MAX_SLIP_TIME * friction_deceleration  # a straight rebound that leaves the spin


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
    """Whether a ball or cylinder rolls from its release on; from rest it does."""
    axis = rotate(body.orientation, (0.0, 0.0, 1.0))
    if body.shape == "cylinder" and abs(axis @ normal) > 1e-9:
        return False  # it stands on an end
    velocity = np.asarray(body.velocity, dtype=np.float64)
    slip = velocity - np.cross(body.spin, body.size[0] * normal)
    return float(np.linalg.norm(slip)) <= MAX_SLIP * float(np.linalg.norm(velocity)) + 1e-6


def _may_be_thrown_back(scene: Scene, index: int, support: int) -> bool:
    return any(
        other.restitution * scene.bodies[index].restitution > MAX_RESTITUTION and other.collides
        for j, other in enumerate(scene.bodies)
        if j not in (index, support)
    )
