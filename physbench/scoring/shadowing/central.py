"""Many candidates of a scene in which bodies are drawn by others, in closed form: arcs of Kepler orbits.

The simulator's semi-implicit Euler steps are the leapfrog method seen half a step earlier: 1e-5 of a period off
Kepler's ellipse after three revolutions, less than any track shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.motion import two_bodies
from physbench.scoring.shadowing import orbit
from physbench.scoring.shadowing.changes import Change
from physbench.scoring.shadowing.unmodelled import Unmodelled
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ, Scene

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

H = 1.0 / PHYSICS_HZ


@dataclass(eq=False)
class Arcs:
    """Motion of K candidates of N bodies in pieces, each of which begins with changes of their states."""

    central: Central
    size: int  # K
    begin: list[int]  # steps
    changes: list[list[Change]]
    touches: Sequence[tuple[int, int, int]] = ()

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Places (K, F, N, 2) m, velocities and spins (all 0) at steps (F,), ascending; NaN before a body is there."""
        count = len(self.central.index)
        found = np.full((self.size, len(steps), count, 4), np.nan)
        state = np.full((self.size, count, 4), np.nan)
        for begin, end, changes in zip(self.begin, [*self.begin[1:], np.inf], self.changes, strict=True):
            if begin > steps[-1]:
                break
            for change in changes:
                if change.kind == "gone":
                    state[:, change.disc] = np.nan
                elif change.kind == "push" and change.value is not None:
                    state[:, change.disc, 2:] += change.value
                elif change.value is not None:
                    state[:, change.disc] = change.value[:, :4]
            first, last = np.searchsorted(steps, (begin, end))
            dt = (np.append(steps[first:last], () if np.isinf(end) else end) - begin) * H
            if len(dt):
                moved = self.central.follow(state, dt)
                found[:, first:last] = moved[:, : last - first]
                state = moved[:, -1].copy()
        place, speed = found[..., :2], found[..., 2:]
        return place, speed, np.zeros_like(place)

    def places(self, steps: Array) -> Array:
        """Places (K, F, N, 2) m at steps (F,), ascending."""
        return self.at(steps)[0]


class Central:
    """The forward model of bodies about one fixed source, or of two that draw each other."""

    def __init__(self, scene: Scene, index: tuple[int, ...], factor: Array | None = None) -> None:
        """index: (N,) of the moving bodies in the scene. factor: (K,), times the strength of all fields."""
        axes = list(PLANE_AXES[scene.camera.view])
        self.mutual = two_bodies(scene)
        self.index = index
        sources = [scene.index(field.source) for field in scene.fields]
        self.mu = [field.mu for field in scene.fields]
        self.source = np.asarray(scene.bodies[sources[0]].position, dtype=np.float64)[axes]
        self.order = [index.index(source) for source in sources] if self.mutual else []
        self.scale = None if factor is None else np.sqrt(factor)[:, None]
        radius = [scene.bodies[i].size[0] for i in index]
        self.reach = sum(radius) if self.mutual and all(scene.bodies[i].collides for i in index) else 0.0

    @staticmethod
    def check(scene: Scene, index: tuple[int, ...]) -> None:
        """Raise Unmodelled where a scene is not of this kind."""
        sources = [scene.bodies[scene.index(field.source)] for field in scene.fields]
        bodies = [scene.bodies[i] for i in index]
        if np.any(scene.gravity):
            raise Unmodelled("bodies are drawn by fields and by gravity too")
        if any(body.shape != "sphere" for body in bodies):
            raise Unmodelled("something is drawn by a field that is not a ball")
        if any(body.collides for i, body in enumerate(scene.bodies) if i not in index):
            raise Unmodelled("bodies in a field may meet something fixed")
        if two_bodies(scene):
            return
        if len(sources) != 1 or sources[0].role != "fixed" or sources[0].path:
            raise Unmodelled("more than one thing draws, or it moves, or only one of two draws the other")
        if len(bodies) > 1 and any(body.collides for body in bodies):
            raise Unmodelled("bodies about a centre may meet each other")

    def move(self, state: Array, dt: Array) -> Array:
        """States (K, N, 4) -> (K, T, N, 4), dt (T,) s later."""
        if self.mutual:
            return self._two(state, dt)
        shift = np.array([*self.source, 0.0, 0.0])
        moved = self._orbit((state - shift).reshape(-1, 4), dt, self.mu[0], state.shape[1])
        return np.asarray(np.moveaxis(moved.reshape(*state.shape[:2], len(dt), 4), 1, 2) + shift)

    def _two(self, state: Array, dt: Array) -> Array:
        """Two that draw each other, (K, 2, 4) -> (K, T, 2, 4). Where one is missing the other moves straight on."""
        a, b = self.order
        first, second = self.mu
        share = second / (first + second)
        middle = (1 - share) * state[:, a] + share * state[:, b]
        ahead = np.empty((len(state), len(dt), 4))
        ahead[..., :2] = middle[:, None, :2] + dt[:, None] * middle[:, None, 2:]
        ahead[..., 2:] = middle[:, None, 2:]
        apart = self._orbit(state[:, a] - state[:, b], dt, first + second)
        result = np.empty((len(state), len(dt), 2, 4))
        result[:, :, a], result[:, :, b] = ahead + share * apart, ahead - (1 - share) * apart
        lost = ~np.isfinite(state).all(axis=(1, 2))
        if lost.any():
            result[lost, ..., :2] = state[lost, None, :, :2] + dt[:, None, None] * state[lost, None, :, 2:]
            result[lost, ..., 2:] = state[lost, None, :, 2:]
        return result

    def _orbit(self, state: Array, dt: Array, mu: float, repeat: int = 1) -> Array:
        """States (M, 4) from the centre -> (M, T, 4); a stronger pull is a faster clock."""
        state = np.where(np.isfinite(state), state, 1.0)
        if self.scale is None:
            return orbit.propagate(state, dt, mu)
        scale = np.repeat(np.broadcast_to(self.scale, (len(state) // repeat, 1)), repeat, axis=0)
        slow = np.concatenate([state[:, :2], state[:, 2:] / scale], axis=-1)
        moved = orbit.propagate(slow, scale * dt, mu)
        return np.concatenate([moved[..., :2], moved[..., 2:] * scale[..., None]], axis=-1)

    def acceleration(self, place: Array) -> Array:
        """Acceleration (N, 2) m/s2 of bodies at places (N, 2) m; none of those that are at one place."""
        gain = np.zeros_like(place)
        sources = [place[n] for n in self.order] if self.mutual else [self.source]
        for source, mu in zip(sources, self.mu, strict=True):
            away = source - place
            distance = np.linalg.norm(away, axis=-1, keepdims=True)
            gain += np.where(distance > 1e-6, mu * away / np.maximum(distance, 1e-6) ** 3, 0.0)
        return gain

    def follow(self, state: Array, dt: Array) -> Array:
        """As `move`, NaN from where two bodies have touched: what comes behind that is not modelled.

        A touch is looked for where they overlap at one of the times dt, or pass each other between two of them.
        """
        moved = self.move(state, dt)
        if self.reach:
            apart = moved[:, :, 0] - moved[:, :, 1]
            place, speed = apart[..., :2], apart[..., 2:]
            away = (place * speed).sum(axis=-1) > 0
            overlaps = (place * place).sum(axis=-1) < self.reach**2
            if overlaps.any() or (away[:, 1:] > away[:, :-1]).any():
                mu = sum(self.mu) * (1.0 if self.scale is None else np.square(self.scale[:, 0]))
                until = orbit.time_to(self.reach, state[:, 0] - state[:, 1], mu)
                moved[dt >= until[:, None]] = np.nan
        return moved

    def run(self, changes: Sequence[Change], end: int, smooth: bool = False) -> Arcs:
        """Simulate from the first change to step `end`."""
        size = max(len(change.value) for change in changes if change.kind == "state" and change.value is not None)
        begin = sorted({change.step for change in changes if change.step <= end})
        return Arcs(self, size, begin, [[change for change in changes if change.step == step] for step in begin])
