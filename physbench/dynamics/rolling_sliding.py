"""Rolling, slipping and sliding along a straight support, in closed form, from the scene's data alone.

On a board that rises by an angle a, with friction mu (the product of both bodies'), a body is slowed by g sin a + f on
its way up and pulled by g sin a - f on its way down. A box has f = mu g cos a, and stays where it stops if that
exceeds g sin a. What rolls is held back on both ways: by k / (1 + k) g sin a while it rolls without slipping (inertia
k m r^2; 2/7 g sin a for a ball, 1/3 g sin a for a cylinder), and by mu g cos a if that is less and it slips.
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
ROLLS = 0.02  # of the speed: slip at the release up to which a body rolls
RETURNS = 0.05  # restitution of a pair, the product of both, up to which nothing is thrown back
SLIPS = 0.25  # s that a ball may slip on a level floor after it was thrown back, until it rolls, and count as rolling
STEPS = 12  # of a fit


@dataclass(frozen=True)
class Slope:
    """Motion along a straight support under weight and friction."""

    along: tuple[float, float]  # unit, up the slope
    normal: tuple[float, float]  # unit, away from the support
    height: float  # m, normal . position
    rising: float  # m/s2 >= 0, by which a body on its way up is slowed
    sinking: float  # m/s2, by which one on its way down gains speed; not above 0: it stops and stays

    @property
    def stays(self) -> bool:
        """Whether a body that has stopped does not start again."""
        return self.sinking <= 0

    def _run(self, way: Array, speed: Array, dt: Array) -> tuple[Array, Array, Array]:
        """way m and speed m/s (...) up the slope at the epoch -> both (..., T) at epoch + dt, and d way / d speed."""
        way, speed = way[..., None], speed[..., None]
        up = speed > 0
        if self.stays:
            rate = np.where(up, self.rising, max(-self.sinking, 1e-6))
            sign = np.where(up, 1.0, -1.0)
            stop = np.abs(speed) / rate
            before = np.where(speed == 0, 0.0, np.minimum(dt - stop, 0.0))
            run = way + sign * (speed**2 / rate - rate * before**2) / 2
            return run, -sign * rate * before, stop + before
        rate = np.where(up, self.rising, self.sinking)
        since = dt - speed / rate  # the turning point, which may lie in the past
        a = np.where(since < 0, self.rising, self.sinking)
        return way + (speed**2 / rate - a * since**2) / 2, -a * since, (speed + a * since) / rate

    def propagate(self, state: Array, dt: Array) -> Array:
        """States (..., 4) at their epoch and dt (T,) s -> states (..., T, 4) at epoch + dt."""
        along = np.array(self.along)
        way, speed = state[..., :2] @ along, state[..., 2:] @ along
        run, pace, _ = self._run(way, speed, dt)
        moved = state[..., None, :2] + (run - way[..., None])[..., None] * along
        return np.concatenate([moved, pace[..., None] * along], axis=-1)

    def acceleration(self, position: Array) -> Array:
        """(..., 2) m -> (..., 2) m/s2: the mean of both directions, where a position does not tell which."""
        mean = -self.rising / 2 if self.stays else -(self.rising + self.sinking) / 2
        return np.broadcast_to(mean * np.array(self.along), position.shape).copy()

    def fit(self, dt: Array, position: Array, start: Array | None = None) -> Array:
        """Least squares over times dt (T,) s from the epoch and positions (T, 2) m -> state (4,) at the epoch."""
        along = np.array(self.along)
        way = position @ along
        guesses = [] if start is None else [np.array([start[:2] @ along, start[2:] @ along])]
        for rate in (0.0, -self.rising, -self.sinking):
            for part in (slice(None), slice(max(3, len(dt) // 3))):
                guesses.append(np.polyfit(dt[part], way[part] - rate * dt[part] ** 2 / 2, 1)[::-1])
        numbers = min((self._descend(guess, dt, way) for guess in guesses), key=lambda found: found[1])[0]
        place = numbers[0] * along + self.height * np.array(self.normal)
        return np.concatenate([place, numbers[1] * along])

    def _descend(self, numbers: Array, dt: Array, way: Array) -> tuple[Array, float]:
        """Gauss and Newton's method with halved steps, on (way, speed) at the epoch; the sum of squares with it."""
        run, _, slope = self._run(numbers[0], numbers[1], dt)
        cost = float(np.sum((way - run) ** 2))
        for _ in range(STEPS):
            design = np.stack([np.ones_like(dt), slope], axis=-1)
            step = np.linalg.lstsq(design, way - run, rcond=None)[0]
            for _ in range(4):
                run_, _, slope_ = self._run((numbers + step)[0], (numbers + step)[1], dt)
                cost_ = float(np.sum((way - run_) ** 2))
                if cost_ < cost:
                    break
                step = step / 2
            if not cost_ < cost:
                break
            done = cost - cost_ < 1e-6 * cost + 1e-12 * len(dt)
            numbers, run, slope, cost = numbers + step, run_, slope_, cost_
            if done:
                break
        return numbers, cost

    def covariance(self, state: Array, dt: Array, sd: float) -> Array:
        """Covariance (4, 4) of `fit` where each coordinate at dt (T,) carries independent noise of `sd` m."""
        along = np.array(self.along)
        slope = self._run(state[:2] @ along, state[2:] @ along, dt)[2]
        design = np.stack([np.ones_like(dt), slope], axis=-1)
        return np.asarray(np.kron(np.linalg.pinv(design.T @ design), np.outer(along, along)) * sd**2)


def slope_law(scene: Scene, index: int, support: int, place: Array) -> Slope | None:
    """The law of body `index`, which stays on the fixed body `support` for good; place (3,) m: it is there once.

    None where it has no closed form: no flat face under the body that the camera sees edge-on, a ball or cylinder that
    neither rolls nor starts from rest, or that something else throws back with another spin than that of rolling.
    """
    body, board = scene.bodies[index], scene.bodies[support]
    normal = face(board, place)
    pull = -np.asarray(scene.gravity, dtype=np.float64)
    across = depth_axis(scene.camera)
    if normal is None or abs(normal[across]) > 1e-9 or abs(pull[across]) > 1e-9 or pull @ normal <= 0:
        return None
    flat = plane_from_world(scene.camera, normal)
    along = np.array([-flat[1], flat[0]])
    sine, cosine = float(plane_from_world(scene.camera, pull) @ along), float(pull @ normal)  # times g
    if sine < 0:
        along, sine = -along, -sine
    grip = body.friction * board.friction * cosine
    rising, sinking = sine + grip, sine - grip
    if body.shape in INERTIA:
        if not _rolls(body, normal) or _thrown_back(scene, index, support):
            return None
        k = INERTIA[body.shape]
        rising = sinking = sine - min(grip, k / (1 + k) * sine)
        if sinking < 1e-9:
            return None  # level: nothing changes its speed
    elif grip <= 1e-9 and sine <= 1e-9:
        return None
    height = float(plane_from_world(scene.camera, place) @ flat)
    return Slope((float(along[0]), float(along[1])), (float(flat[0]), float(flat[1])), height, rising, sinking)


def straight_on(scene: Scene, index: int, support: int, place: Array, fastest: float) -> bool:
    """Whether body `index` keeps its speed on the level fixed body `support`, on which it stays for good.

    It does where nothing grips, and where it rolls from its release on or rests, unless a push or a throw makes it slip
    for longer than SLIPS; fastest: m/s, of all bodies. What slips or slides on a rough floor loses speed.
    """
    body, board = scene.bodies[index], scene.bodies[support]
    normal = face(board, place)
    if body.friction * board.friction == 0 or normal is None:
        return True
    still = not np.any(body.velocity) and not np.any(body.spin)
    if not still and not (body.shape in INERTIA and _rolls(body, normal)):
        return False
    if not any(action.body == body.name for action in scene.impulses) and not _thrown_back(scene, index, support):
        return True
    if body.shape not in INERTIA:
        return False
    k = INERTIA[body.shape]
    grip = body.friction * board.friction * float(np.linalg.norm(scene.gravity))  # m/s2
    return 2 * fastest * k / (1 + k) <= SLIPS * grip  # thrown straight back, with the spin of before


def face(board: Body, place: Array) -> Array | None:
    """Outward normal (3,) of the flat face of a body that a point (3,) m lies over."""
    if board.shape == "plane":
        return rotate(board.orientation, (0.0, 0.0, 1.0))
    if board.shape != "box":
        return None
    local = unrotate(board.orientation, place - np.asarray(board.position))
    axis = int((np.abs(local) - np.asarray(board.size)).argmax())
    return rotate(board.orientation, np.sign(local[axis]) * np.eye(3)[axis])


def _rolls(body: Body, normal: Array) -> bool:
    """Whether a ball or cylinder rolls when it is let go; from rest it will."""
    axis = rotate(body.orientation, (0.0, 0.0, 1.0))
    if body.shape == "cylinder" and abs(axis @ normal) > 1e-9:
        return False  # it stands on an end
    velocity = np.asarray(body.velocity, dtype=np.float64)
    slip = velocity - np.cross(body.spin, body.size[0] * normal)
    return float(np.linalg.norm(slip)) <= ROLLS * float(np.linalg.norm(velocity)) + 1e-6


def _thrown_back(scene: Scene, index: int, support: int) -> bool:
    return any(
        other.restitution * scene.bodies[index].restitution > RETURNS and other.collides
        for j, other in enumerate(scene.bodies)
        if j not in (index, support)
    )
