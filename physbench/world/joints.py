"""Hinges and sliders: the one generalized coordinate that they leave to a body, and its state from that.

In PyBullet a guided body is the one link of a multibody with a fixed base, which has no other coordinate: it cannot
leave its axis or its line, whatever hits it. Of a plank as a pendulum the period is right to (w h)^2 / 24 of a step h,
2e-7 at w = 2.6 rad/s, at any angle and without drift of its energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physbench.support.arrays import Array
from physbench.world.camera import normal
from physbench.world.geometry import cross, product, rotate, unrotate
from physbench.world.scene import Body, Hinge, Scene, Slider

ARM = 0.05  # m from the axis to the middle of a body, from which on its place says how it has turned


@dataclass(frozen=True, eq=False)
class Guide:
    """A body and the one way in which it moves, from its declared pose on: an angle in rad or a way in m."""

    body: Body
    turns: bool
    axis: Array  # (3,) unit vector of the axis, or along the line
    point: Array  # (3,) m, on the axis, or of the body's middle

    @property
    def arm(self) -> Array:
        """From the point to the middle of the body as it is declared (3,) m."""
        return np.asarray(self.body.position) - self.point

    def coordinates(self, states: Array) -> tuple[Array, Array]:
        """The coordinate and its rate (...), rad and rad/s or m and m/s, nearest to states (..., 13).

        How a body has turned follows from its place, where that is ARM away from the axis: states from tracks know it
        no better.
        """
        away, velocity = states[..., :3] - self.point, states[..., 7:10]
        if not self.turns:
            return away @ self.axis, velocity @ self.axis
        square = self.arm @ self.arm
        if square >= ARM**2:
            angle = np.arctan2(np.cross(self.arm, away) @ self.axis, away @ self.arm)
            return angle, np.cross(away, velocity) @ self.axis / np.maximum((away**2).sum(axis=-1), ARM**2)
        turn = product(states[..., 3:7], np.asarray(self.body.orientation) * [-1, -1, -1, 1])  # since it was declared
        return 2 * np.arctan2(turn[..., :3] @ self.axis, turn[..., 3]), states[..., 10:] @ self.axis

    def states(self, coordinate: Array | float, rate: Array | float) -> Array:
        """States (..., 13) of the body from its coordinate and its rate (...)."""
        way, speed = np.asarray(coordinate, dtype=np.float64), np.asarray(rate, dtype=np.float64)
        states = np.zeros((*way.shape, 13))
        if not self.turns:
            states[..., :3] = self.point + way[..., None] * self.axis
            states[..., 3:7], states[..., 7:10] = self.body.orientation, speed[..., None] * self.axis
            return states
        half = way[..., None] / 2
        turn = np.concatenate([np.sin(half) * self.axis, np.cos(half)], axis=-1)
        arm = rotate(turn, self.arm)
        states[..., :3], states[..., 10:] = self.point + arm, speed[..., None] * self.axis
        states[..., 3:7] = product(turn, np.asarray(self.body.orientation))
        states[..., 7:10] = cross(states[..., 10:], arm)
        return states

    def effect(self, coordinate: float) -> Array:
        """Jacobian (3,) of the body's middle at a coordinate: its velocity for a rate of 1."""
        return np.asarray(self.states(coordinate, 1.0)[7:10])

    @property
    def inertia(self) -> float:
        """Generalized inertia of its coordinate: kg m2 about the axis, or kg."""
        if not self.turns:
            return self.body.mass
        own = moments(self.body) @ unrotate(self.body.orientation, self.axis) ** 2
        return float(own + self.body.mass * self.arm @ self.arm)


def guides(scene: Scene) -> dict[int, Guide]:
    """Guides by the index of their body."""
    found = {}
    for joint in scene.guides:
        body = scene.bodies[index := scene.index(joint.body)]
        if isinstance(joint, Hinge):
            axis, point = normal(scene.camera), np.asarray(joint.point, dtype=np.float64)
            point = point + (body.position - point) @ axis * axis  # at the depth of the body: where on it is the same
            found[index] = Guide(body, True, axis, point)
        else:
            found[index] = Guide(body, False, _along(joint), np.asarray(body.position, dtype=np.float64))
    return found


def _along(joint: Slider) -> Array:
    way = np.subtract(joint.end, joint.begin)
    return np.asarray(way / np.linalg.norm(way))


def moments(body: Body) -> Array:
    """Moments of inertia (3,) kg m2 about the axes of a body that is no plane."""
    if body.shape == "sphere":
        return np.full(3, 0.4 * body.mass * body.size[0] ** 2)
    if body.shape == "cylinder":
        axial = body.mass * body.size[0] ** 2 * body.inertia
        return np.array([axial / 2 + body.mass * body.size[1] ** 2 / 12] * 2 + [axial])
    squares = np.square(body.size)
    return np.asarray(body.mass * (squares.sum() - squares) / 3)
