"""Flight without contact, in numpy: the semi-implicit Euler step that Bullet makes, for many copies of a scene at once.

Bullet needs every force body by body and step by step; where nothing touches, v += h a, x += h v is the same to
1e-12 m.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Mask
from physbench.support.errors import PhysbenchError
from physbench.world.geometry import gap
from physbench.world.scene import PHYSICS_STEP, CentralGravity, ForceField, Joint, Rod, Scene, String

# Rods and strings without mass: the tensions that keep bodies at their distances, solved anew at every physics step.
#
# The simulator adds h a to a velocity v and then h v to a position x. The tensions are those with which the distances
# are right after the step (Ryckaert, Ciccotti and Berendsen 1977, J. Comput. Phys. 23, 327): a pendulum keeps its
# length to rounding, and its period to (w h)^2 / 24, 3e-7 at w = 3 rad/s, without drift of its energy.
#
# A string acts where it would be too long after the step, with a tension of 0 or more (an inequality constraint:
# Moreau 1988, in Nonsmooth Mechanics and Applications). The step in which it becomes taut ends at its length, and the
# next one takes the rest of the velocity away. One that is too long already, by a contact or in states from tracks, is
# shortened slowly: a rod would turn the error of a place into a velocity 1200 times as large.

CLOSING = 0.005  # m/s by which a string that is too long gets shorter; friction lengthens one by a g h, 0.0025 m/s
SAME_TIME = 1e-9  # s


class _Links:
    """The rods and strings of a scene: what does not change from step to step is made once."""

    def __init__(self, scene: Scene, links: Sequence[Rod | String]) -> None:
        self._scene, self._links = scene, links
        self._bodies = [tuple(map(scene.index, link.sources)) for link in links]
        self._changes = sorted(scene.change_times)
        self._phases: dict[int, _Held | None] = {}

    def accelerations(self, states: Array, other: Array, time: float, step: float, stride: float) -> Array:
        """Accelerations (..., N, 3) m/s2 that rods and strings give bodies.

        One does not act where one of its bodies is gone, or where none can move.

        Args:
            states: (..., N, 13) of all bodies.
            other: (..., N, 3) m/s2 of all that acts beside them, gravity included.
            time: s.
            step: s, of the simulator.
            stride: steps for which strings, and rods beside strings, act.
        """
        phase = bisect_right(self._changes, time + SAME_TIME)
        if phase not in self._phases:
            self._phases[phase] = self._held(time)
        held = self._phases[phase]
        if held is None:
            return np.zeros((*states.shape[:-1], 3))
        step = step * stride if held.strings else step
        if held.alone is not None:
            flat = np.ascontiguousarray(states).reshape(-1, *states.shape[-2:])
            beside = np.ascontiguousarray(other).reshape(-1, *other.shape[-2:])
            return held.alone(flat, beside, step).reshape(other.shape)
        away = held.sign @ states[..., :3]  # (..., P, 3) from anchor to body
        ahead = away + step * (held.sign @ (states[..., 7:10] + step * held.free * other))
        effect = -(step**2) * held.coupling  # on spans, of tensions over lengths
        if held.strings:
            pull = _taut(held, away, ahead, effect, CLOSING * step)
        else:
            pull = _together(ahead, effect[..., None] * away[..., None, :, :], held.length**2)
        return np.asarray(-held.inverse * (held.sign.T @ (pull[..., None] * away)))

    def _held(self, time: float) -> _Held | None:
        """Rods and strings that act from `time` s until a body is released or gone; None where none acts."""
        # Inverse masses (N,) 1/kg; 0 of what is fixed, on rails or held.
        inverse = np.array(
            [
                1 / body.mass
                if body.role == "moving" and (body.release is None or body.release <= time + SAME_TIME)
                else 0.0
                for body in self._scene.bodies
            ]
        )
        acting = [
            (link, bodies)
            for link, bodies in zip(self._links, self._bodies, strict=True)
            if inverse[list(bodies)].sum() > 0 and not _gone(self._scene, bodies, time)
        ]
        if not acting:
            return None
        ends = [pair for _, bodies in acting for pair in pairwise(bodies)]
        sign = np.zeros((len(ends), len(inverse)))
        for row, (anchor, body) in zip(sign, ends, strict=True):
            row[anchor], row[body] = -1.0, 1.0
        coupling = sign * inverse @ sign.T
        rigid = np.array([isinstance(link, Rod) for link, _ in acting])
        length = np.array([link.length for link, _ in acting])
        coupled = np.any(coupling - np.diag(coupling.diagonal()))
        alone: Callable[[Array, Array, float], Array] | None = None
        if (rigid.all() and not coupled) or (len(acting) == 1 and not rigid[0]):
            from physbench.world.compiled_rods import lone_rods, lone_string  # Numba takes long to import

            alone = partial(lone_rods, np.array(ends), length, inverse)
            if not rigid[0]:
                alone = partial(lone_string, np.array(acting[0][1]), length[0], inverse, CLOSING)
        return _Held(
            strings=not rigid.all(),
            rigid=rigid,
            parts=np.repeat(np.eye(len(acting)), [len(bodies) - 1 for _, bodies in acting], axis=1),
            length=length,
            sign=sign,
            inverse=inverse[:, None],
            free=(inverse > 0)[:, None],
            coupling=coupling,
            alone=alone,
        )


@dataclass(frozen=True, eq=False)
class _Held:
    """Rods and strings that act on N bodies, in P parts: a string over a body has two."""

    strings: bool  # whether one of them is a string
    rigid: Mask  # whether each of them is a rod
    parts: Array  # (links, P): 1 of its own parts
    length: Array  # m, of each rod or string
    sign: Array  # (P, N): -1 at the anchor, 1 at the body
    inverse: Array  # (N, 1) 1/kg
    free: Mask  # (N, 1): whether it can move
    coupling: Array  # (P, P) 1/kg: by how much parts accelerate each other
    alone: Callable[[Array, Array, float], Array] | None  # compiled, of states, `other` and step, where none does


def _together(ahead: Array, effect: Array, length2: Array) -> Array:
    """Tensions over lengths (..., E) N/m of rods whose bodies pull at each other, by Newton's method."""
    pull = np.zeros(ahead.shape[:-1])
    for _ in range(8):  # steps of Newton's method; three are enough for a double pendulum
        span = ahead + (effect * pull[..., None, :, None]).sum(axis=-2)
        wrong = (span**2).sum(axis=-1) - length2
        if np.abs(wrong).max() < 1e-13:  # m2, of the squares of distances
            break
        slope = 2 * (span[..., :, None, :] * effect).sum(axis=-1)
        try:
            pull = pull - np.linalg.solve(slope, wrong[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise PhysbenchError("Rods hold the same bodies twice: leave one of them out.") from None
    return pull


def _taut(held: _Held, away: Array, ahead: Array, effect: Array, closing: float) -> Array:
    """Tensions over lengths (..., P) N/m of the parts of rods and strings; a string over a body has two.

    Newton's method, in which a string pulls while it is too long or has a tension (a primal-dual active set:
    Hintermueller, Ito and Kunisch 2002, SIAM J. Optim. 13, 865).

    away, ahead: (..., P, 3) m of parts now, and after the step if nothing pulled. effect: (P, P), as above. closing: m
    by which a string that is too long gets shorter.
    """
    rigid, length, parts = held.rigid, held.length, held.parts  # (E,), (E,), (E, P) of E rods and strings
    now = _size(away)
    over = np.maximum(now @ parts.T - length, 0.0)
    target = length + np.where(rigid, 0.0, np.maximum(over - closing, 0.0))
    pull = np.zeros(target.shape)
    if not rigid.any() and (_size(ahead) @ parts.T <= target).all():
        return np.zeros(now.shape)

    def each(vectors: Array, lengths: Array) -> Array:
        """Unit vectors (..., E, P, 3) of the parts of each, from vectors (..., P, 3) m of lengths (..., P) m."""
        return parts[..., None] * (vectors / np.maximum(lengths, 1e-9)[..., None])[..., None, :, :]

    wide = (*target.shape, away.shape[-2] * 3)
    along = each(away, now)
    change = effect @ along  # (..., E, P, 3) m/N, of parts by a tension
    back = change.reshape(wide).swapaxes(-1, -2)
    reach = -(along * change).sum(axis=(-2, -1))  # (..., E) m/N by which a tension shortens its own rod
    own = np.eye(len(length)) * reach[..., None]
    for _ in range(20):  # steps of Newton's method; two are enough for a pulley
        span = ahead + (pull[..., None, None] * change).sum(axis=-3)
        far = _size(span)
        wrong = far @ parts.T - target
        pulls = rigid | (wrong + reach * pull > 0)
        wrong = np.where(pulls, wrong, -reach * pull)
        if np.abs(wrong).max() < 1e-10:  # m
            break
        slope = np.where(pulls[..., None], -each(span, far).reshape(wide) @ back, own)
        slope = slope + 1e-9 * own  # strings that hold the same bodies share their tension
        pull = pull + np.linalg.solve(slope, wrong[..., None])[..., 0]
    return np.asarray((pull @ parts) / np.maximum(now, 1e-9))


def _size(vectors: Array) -> Array:
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)))


def _gone(scene: Scene, ends: tuple[int, ...], time: float) -> bool:
    untils = [scene.bodies[end].until for end in ends]
    return any(until is not None and until <= time + SAME_TIME for until in untils)


def flies(scene: Scene, start: float) -> bool:
    """True if nothing but gravity and force fields happens to the moving bodies of a scene after `start` s."""
    times = [*scene.change_times, *(action.time for action in scene.impulses)]
    paths = any(body.path for body in scene.bodies)
    balls = all(body.shape == "sphere" and body.until is None for body in scene.bodies if body.role == "moving")
    return balls and not paths and not scene.guides and all(time <= start for time in times)


def touchable(scene: Scene) -> list[tuple[int, int]]:
    """Pairs of bodies that may touch."""
    return [
        (i, j)
        for i, j in combinations(range(len(scene.bodies)), 2)
        if scene.bodies[i].collides
        and scene.bodies[j].collides
        and "moving" in (scene.bodies[i].role, scene.bodies[j].role)
    ]


class Forces:
    """Accelerations that fields give the bodies of a scene, for one who asks at every step.

    fields: of the scene, in the order in which they are added. step: s, of the simulator: rods are as long as they
    should be after it.
    """

    def __init__(self, scene: Scene, fields: Sequence[ForceField], step: float = PHYSICS_STEP) -> None:
        self._scene, self._step = scene, step
        self._plain = [field for field in fields if not isinstance(field, Joint)]
        links = [field for field in fields if isinstance(field, Rod | String)]
        self._links = _Links(scene, links) if links else None
        self._beside = [each for each in scene.central if each not in fields]  # rods and strings bear it, too
        self._gravity = np.asarray(scene.gravity)

    def at(self, states: Array, time: float, stride: float = 1.0) -> Array:
        """Accelerations (..., N, 3) m/s2 of bodies with states (..., N, 13) at `time` s.

        stride: steps until they are asked for again: strings must not get too long before.
        Raises PhysbenchError where a field gives something else.
        """
        total, scene = np.zeros((*states.shape[:-1], 3)), self._scene
        for field in self._plain:
            term = field.accelerations(scene, states[..., :3], states[..., 7:10], time)
            if np.shape(term) != total.shape:
                raise PhysbenchError(
                    f"{type(field).__name__}.accelerations: expected the shape {total.shape}, that of the positions, "
                    f"but got {np.shape(term)}. Begin with zeros of that shape and set the rows of bodies that it "
                    "moves."
                )
            total += term
        if self._links is not None:
            other = total + self._gravity
            for central in self._beside:
                other = other + central.accelerations(scene, states[..., :3], states[..., 7:10], time)
            total += self._links.accelerations(states, other, time, self._step, stride)
        return total


def accelerations(scene: Scene, fields: Sequence[ForceField], states: Array, time: float) -> Array:
    """As `Forces.at`, for one who asks once."""
    return Forces(scene, fields).at(states, time)


def fly(scene: Scene, states: Array, steps: NDArray[np.int64], start: float) -> tuple[Array, NDArray[np.bool_]]:
    """Move copies of a scene by numbers of physics steps.

    states: (M, N, 13) at `start` s; steps: (T,) ascending, from 0. Returns states (M, T, N, 13) and for each copy (M,)
    whether two bodies that collide came near each other, so that the result does not hold.
    """
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    pairs = touchable(scene)
    positions, velocity = states[..., :3].copy(), states[:, moving, 7:10].copy()
    position = positions[:, moving]
    near = np.zeros(len(states), dtype=bool)
    result = np.repeat(states[:, None], len(steps), axis=1)
    fields = [_Field(scene, field, positions, moving) for field in scene.central]
    own, now = Forces(scene, scene.own_fields) if scene.own_fields else None, states.copy()
    fall = PHYSICS_STEP * np.asarray(scene.gravity, dtype=np.float64)
    done = 0
    for t, step in enumerate(steps.tolist()):
        for passed in range(done, step):
            change = sum(field.velocity_change(position) for field in fields)
            if own is not None:
                now[:, moving, :3], now[:, moving, 7:10] = position, velocity
                time = start + passed * PHYSICS_STEP
                change = change + PHYSICS_STEP * own.at(now, time)[:, moving]
            velocity += change
            velocity += fall
            position += PHYSICS_STEP * velocity
            if pairs:
                positions[:, moving] = position
                for i, j in pairs:
                    # m: bodies nearer than this may touch
                    near |= gap(scene.bodies[i], positions[:, i], scene.bodies[j], positions[:, j]) < 0.01
        done = step
        result[:, t, moving, :3], result[:, t, moving, 7:10] = position, velocity
        result[:, t, :, 3:7] = _turned(states[..., 3:7], states[..., 10:], step * PHYSICS_STEP)
    return result, near


def glide(scene: Scene, states: Array, steps: NDArray[np.int64], start: float, stride: int) -> Array:
    """Move copies of a scene that touch nothing by numbers of physics steps, in steps up to `stride` times as long.

    A velocity of the simulator is that of half a step ago: it is taken back by half of a longer step at the beginning,
    and brought forward again at each of the steps that are asked for.

    states: (M, N, 13) at `start` s; steps: (T,) ascending, from 0. Returns states (M, T, N, 13), without turns.
    """
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    part: list[int] | slice = moving
    if moving == list(range(moving[0], moving[-1] + 1)):
        part = slice(moving[0], moving[-1] + 1)  # a view, which is faster
    now, result = states.copy(), np.repeat(states[:, None], len(steps), axis=1)
    gravity, done = np.asarray(scene.gravity, dtype=np.float64), 0
    forces = Forces(scene, scene.fields)

    def pull(at: float, long: float) -> Array:
        return np.asarray(forces.at(now, start + at * PHYSICS_STEP, max(long, 1.0))[:, part] + gravity)

    for t, step in enumerate(steps.tolist()):
        parts = -(-(step - done) // stride)
        long = (step - done) / max(parts, 1)  # physics steps
        acceleration, lag = pull(done, long), (long - 1) / 2 * PHYSICS_STEP
        now[:, part, 7:10] -= lag * acceleration
        for k in range(parts):
            now[:, part, 7:10] += long * PHYSICS_STEP * acceleration
            now[:, part, :3] += long * PHYSICS_STEP * now[:, part, 7:10]
            acceleration = pull(done + (k + 1) * long, long)
        now[:, part, 7:10] += lag * acceleration
        result[:, t], done = now, step
    return result


class _Field:
    """A central field with its source, which may move."""

    def __init__(self, scene: Scene, field: CentralGravity, positions: Array, moving: list[int]) -> None:
        source = scene.index(field.source)
        self._member = moving.index(source) if source in moving else None
        self._centre = positions[:, source, None]
        self._strength = PHYSICS_STEP * field.mu

    def velocity_change(self, position: Array) -> Array:
        """Change in a step of the velocities (M, m, 3) m/s of the moving bodies at `position` (M, m, 3)."""
        centre = self._centre if self._member is None else position[:, self._member, None]
        offset = centre - position
        square = np.einsum("mni,mni->mn", offset, offset)
        if self._member is not None:
            square[:, self._member] = np.inf
        return np.asarray((self._strength / (square * np.sqrt(square)))[..., None] * offset)


def _turned(orientation: Array, spin: Array, time: float) -> Array:
    """Quaternions (M, N, 4) after turning with a constant spin (M, N, 3) rad/s."""
    rate = np.linalg.norm(spin, axis=-1, keepdims=True)
    half = rate * time / 2
    w1 = np.cos(half)
    v1 = np.where(rate > 0, np.sin(half) / np.where(rate > 0, rate, 1.0), 0.0) * spin
    v2, w2 = orientation[..., :3], orientation[..., 3:]
    axis = w1 * v2 + w2 * v1 + np.cross(v1, v2)
    return np.concatenate([axis, w1 * w2 - (v1 * v2).sum(axis=-1, keepdims=True)], axis=-1)
