"""Extrapolations that know nothing of physics: how gaming baselines go on from the hand-over.

An extrapolation is a function of a clip, states (N, 13) from where on and times (T,) s since then to states (T, N, 13).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.rival_motions import Rival, constant_acceleration, constant_turn, motion_at_handover
from physbench.validation.violations import Inapplicable
from physbench.world.camera import PLANE_AXES
from physbench.world.geometry import gap
from physbench.world.scene import Scene

Array = NDArray[np.float64]
Extrapolation = Callable[[Clip, Array, Array], Array]

ROLL = 0.15  # m/s
EXIT = 12.0  # m/s: out of view within 0.3 s
CREEP = 0.02  # m/s
TO_BORDER = 1.0  # s
LIMP = 1 / 3  # s
STEPS = 400  # in which a fall is looked for


def scene_at_handover(scene: Scene) -> Scene:
    """A scene as it is at the hand-over: what will vanish later is there."""
    bodies = tuple(replace(b, until=None) if b.until is not None and b.until > 0 else b for b in scene.bodies)
    return replace(scene, bodies=bodies)


def moving_bodies(clip: Clip) -> list[int]:
    """Indices of the tracked bodies that move by themselves."""
    return [i for i in clip.tracked if clip.scene.bodies[i].role == "moving"]


def _falls(clip: Clip) -> bool:
    """Whether gravity is seen to pull."""
    return clip.scene.camera.view == "front" and bool(np.any(clip.scene.gravity))


def stay(clip: Clip, start: Array, times: Array) -> Array:
    """Everything stays where it is."""
    states = np.repeat(start[None], len(times), axis=0)
    states[:, moving_bodies(clip), 7:] = 0.0
    return states


def rest(clip: Clip, start: Array, times: Array) -> Array:
    """Everything lies on what is below it, at once; where nothing falls, it stays where it is."""
    states = stay(clip, start, times)
    for i in moving_bodies(clip):
        states[:, i, 2] -= _fall(clip, start, i)
    return states


def _slide(clip: Clip, states: Array, start: Array, speed: float, times: Array) -> Array:
    """States (T, N, 13) with everything moved on at a speed in m/s, in the direction in which it moved."""
    bodies, axis, sign = _heading(clip, start)
    states[:, bodies, axis] += sign * speed * times[:, None]
    return states


def _heading(clip: Clip, start: Array) -> tuple[list[int], int, Array]:
    """Indices (B,) of the moving bodies, the first axis of the plane, and the sign (B,) of their motion along it."""
    bodies, axis = moving_bodies(clip), PLANE_AXES[clip.scene.camera.view][0]
    return bodies, axis, np.where(start[bodies, 7 + axis] < 0, -1.0, 1.0)


def roll(clip: Clip, start: Array, times: Array) -> Array:
    """Everything lies on what is below it and moves on slowly, in the direction in which it moved."""
    return _slide(clip, rest(clip, start, times), start, ROLL, times)


def leave(clip: Clip, start: Array, times: Array) -> Array:
    """Everything leaves the view at once, in the direction in which it moved."""
    states = stay(clip, start, times)
    axes = list(PLANE_AXES[clip.scene.camera.view])
    for i in moving_bodies(clip):
        velocity = start[i, 7:10][axes]
        size = float(np.linalg.norm(velocity))
        way = velocity / size if size > 1e-6 else np.array([1.0, 0.0])
        if len(axes) == 2 and axes[1] == 2:  # from the front: not through the floor
            way = np.array([np.sign(way[0]) or 1.0, 0.0])
        states[:, i, axes] += EXIT * times[:, None] * way
    return states


def creep(clip: Clip, start: Array, times: Array) -> Array:
    """Everything moves on so slowly that it can pass for at rest."""
    return _slide(clip, stay(clip, start, times), start, CREEP, times)


def straight(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line, through everything."""
    states = np.repeat(start[None], len(times), axis=0)
    bodies = moving_bodies(clip)
    states[:, bodies, :3] += start[bodies, 7:10] * times[:, None, None]
    return states


def drop(clip: Clip, start: Array, times: Array) -> Array:
    """Everything falls freely, through everything. Raises Inapplicable where nothing is seen to pull."""
    if not _falls(clip):
        raise Inapplicable("nothing falls in the plane of motion: it would go straight on")
    states = straight(clip, start, times)
    states[:, moving_bodies(clip), :3] += np.asarray(clip.scene.gravity) / 2 * (times**2)[:, None, None]
    return states


def accelerate(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on with the acceleration that it had in the last tenth of a second, through everything."""
    return _as_rival(constant_acceleration, clip, start, times)


def turn(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on at its speed along the circle on which it was in the last tenth of a second."""
    return _as_rival(constant_turn, clip, start, times)


def _as_rival(rival: Rival, clip: Clip, start: Array, times: Array) -> Array:
    """States (T, N, 13) of everything that moves as a simple motion that was seen before the hand-over."""
    states, bodies = np.repeat(start[None], len(times), axis=0), moving_bodies(clip)
    velocity, before, span = motion_at_handover(clip)
    moved = rival(velocity[bodies], before[bodies], span, times)
    for k, axis in enumerate(PLANE_AXES[clip.scene.camera.view]):
        states[:, bodies, axis] += moved[..., k]
    return states


def border(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes to the border of the view and stays there, half outside."""
    states, camera = stay(clip, start, times), clip.scene.camera
    bodies, axis, sign = _heading(clip, start)
    way = camera.center[axis] + sign * camera.width / 2 - start[bodies, axis]
    states[:, bodies, axis] = start[bodies, axis] + way * np.clip(times / TO_BORDER, 0, 1)[:, None]
    return states


def crowd(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes to one place and stays there, one thing in another."""
    states = stay(clip, start, times)
    bodies = moving_bodies(clip)
    goal = start[bodies, :3].mean(axis=0)
    share = np.clip(times / TO_BORDER, 0, 1)[:, None, None]
    states[:, bodies, :3] = (1 - share) * start[bodies, :3] + share * goal
    return states


def limp(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line for a third of a second and stays for another, again and again."""
    whole, part = np.divmod(times, 2 * LIMP)
    return straight(clip, start, LIMP * whole + np.minimum(part, LIMP))


def hide(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line, and stays once it is behind the middle of a screen."""
    states, axes = straight(clip, start, times), list(PLANE_AXES[clip.scene.camera.view])
    for screen in clip.scene.bodies:
        if screen.collides or screen.shape != "box" or screen.role != "fixed":
            continue
        away = np.abs(states[..., axes] - np.asarray(screen.position)[axes])  # (T, N, 2)
        for i in moving_bodies(clip):
            nearest = int(away[:, i, 0].argmin())
            if (away[nearest, i] < np.asarray(screen.size)[axes]).all():
                states[nearest:, i] = states[nearest, i]
    return states


EXTRAPOLATIONS: dict[str, Extrapolation] = {
    each.__name__: each
    for each in (stay, rest, roll, leave, creep, straight, accelerate, turn, drop, border, crowd, limp, hide)
}


def _fall(clip: Clip, start: Array, index: int) -> float:
    """How far (m) a body can fall until it meets something."""
    if not _falls(clip):
        return 0.0
    depths = np.linspace(0.0, 6.0, STEPS)
    places = start[index, :3] - depths[:, None] * np.array([0.0, 0.0, 1.0])
    free = np.ones(STEPS, dtype=bool)
    for i, other in enumerate(clip.scene.bodies):
        if i != index and other.collides and (other.until is None or other.until > 0):
            free &= gap(clip.scene.bodies[index], places, other, start[i, :3]) >= -1e-3
    blocked = np.flatnonzero(~free)
    return float(depths[max(blocked[0] - 1, 0)]) if len(blocked) else 0.0
