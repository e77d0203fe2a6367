"""Links of bodies: the one coordinate that hinges and sliders leave, and pictures of all springs, joints and thrusters.

In PyBullet a guided body is the one link of a multibody with a fixed base, which has no other coordinate: it cannot
leave its axis or its line, whatever hits it. Of a plank as a pendulum the period is right to (w h)^2 / 24 of a step h,
2e-7 at w = 2.6 rad/s, at any angle and without drift of its energy.

Pictures are thin grey boxes and discs, drawn as bodies are. A rod is a box from middle to middle, a slider one from end
to end of its line, a hinge a disc. A spring is a zigzag of rigid pieces, flatter the longer it is, so that its stretch
is seen. A string is a row of short pieces, straight while it is taut, on a parabola of its length while it is slack. A
string over a pulley has as many on each side of it, which cover each other more the shorter that side is; each has its
share of the slack. All lie just behind the middles of the bodies, so that a ball hides what is within its outline; of a
disc the rim is seen. They are in no state of a clip and nobody tracks them.

A thruster is a bar that sticks out of its body on the side away from which it pushes, 0.015 m long for each N; in
the body while it is off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.world.camera import PLANE_AXES, depth_axis, looking, normal
from physbench.world.geometry import cross, product, rotate, unrotate
from physbench.world.scene import ROUND, Body, Camera, Hinge, Quaternion, Rod, Scene, Slider, Spring, String

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


@dataclass(frozen=True)
class LinkLook:
    """Links, springs and thrusters as they are drawn."""

    grey: float = 0.28
    half_width: float = 0.025  # m
    half_depth: float = 0.004  # m
    behind: float = 0.006  # m from the middles of the bodies to that of a link: its front is behind their outlines
    hinge_rim: float = 0.08  # m by which the disc of a hinge sticks out behind its body
    spring_pieces: int = 12
    most_stretched: float = 4.0  # times its length at rest, at which a zigzag is straight; beyond that it has gaps
    shortest_spring: float = 0.5  # m, for which a zigzag is made where the length at rest is less
    string_pieces: int = 16  # of each side of a pulley
    thrust_scale: float = 0.015  # m for a N
    thrust_half_width: float = 0.07  # m


LINK = LinkLook()


def with_links(scene: Scene, states: Array, times: Array) -> tuple[Scene, Array]:
    """The scene with its links as further bodies, and without its fields; its states (T, N, 13) at `times` s too."""
    bodies, added = list(scene.bodies), [states]
    for number, link in enumerate(scene.links):
        ends = [scene.index(name) for name in link.sources]
        if not all(scene.bodies[end].drawn for end in ends):
            continue
        untils = [time for end in ends if (time := scene.bodies[end].until) is not None]
        if isinstance(link, Hinge):
            disc, pose = _disc(f"link {number}", link, scene)
            bodies.append(disc)
            added.append(np.repeat(pose[None, None], len(states), axis=0))
            continue
        if isinstance(link, Slider):
            places = np.repeat([[link.begin, link.end]], len(states), axis=0)  # (T, 2, 3)
        else:
            places = states[:, ends, :3]
        places = places + LINK.behind * looking(scene.camera)
        if isinstance(link, Spring):
            pieces = _zigzag(places, link, scene.camera)
        elif isinstance(link, String):
            pieces = _sagging(places, link, scene)
        else:
            pieces = [(link.length if isinstance(link, Rod) else math.dist(link.begin, link.end), places)]
        for part, (length, piece) in enumerate(pieces):
            bodies.append(_box(f"link {number} {part}", length, scene.camera, min(untils) if untils else None))
            added.append(_posed(piece, scene.camera)[:, None])
    for thrust in scene.thrusts:
        body = scene.bodies[index := scene.index(thrust.body)]
        for part, (burn, following) in enumerate(pairwise([*thrust.burns, None])):
            if burn is None or not (force := float(np.linalg.norm(burn.force))):
                continue
            end = np.inf if following is None else following.time
            length = LINK.thrust_scale * force
            if length > 2 * body.size[0]:  # else the bar is seen before the thruster is on
                most = 2 * body.size[0] / LINK.thrust_scale
                raise UsageError(
                    f"The thruster on {body.name!r}: {force:g} N make a bar of {length:.2f} m, which does not fit into "
                    f"it while it is off. Push with {most:.0f} N at most, or a larger body."
                )
            on = ((times > burn.time + 1e-9) & (times <= end + 1e-9))[:, None]  # what acted until then
            backwards = -np.asarray(burn.force) / force
            middle = states[:, index, :3] + np.where(on, (body.size[0] + length / 2) * backwards, 0.0)
            middle = middle + LINK.behind * looking(scene.camera)
            tips = middle[:, None] + length / 2 * np.stack([-backwards, backwards])
            name = f"thrust {thrust.body} {part}"
            bodies.append(_box(name, length, scene.camera, body.until, LINK.thrust_half_width))
            added.append(_posed(tips, scene.camera)[:, None])
    if len(bodies) == len(scene.bodies):
        return scene, states
    return Scene(tuple(bodies), scene.camera, decor=scene.decor), np.concatenate(added, axis=1)


def depth_in(body: Body, point: Sequence[float], camera: Camera) -> float:
    """Depth in m of a point (x, y, z) m within the outline of a body, as it is declared; below 0 outside."""
    away = np.subtract(point, body.position)
    axes = list(PLANE_AXES[camera.view])
    if body.shape in ROUND:
        return float(body.size[0] - np.linalg.norm(away[axes]))
    local = np.abs(unrotate(body.orientation, np.array([away, np.eye(3)[depth_axis(camera)]])))
    return float(min(half - x for half, x, across in zip(body.size, *local, strict=True) if across < 0.5))


def _disc(name: str, hinge: Hinge, scene: Scene) -> tuple[Body, Array]:
    """The disc of a hinge and its pose as a state (13,): so large that its rim is seen behind the body."""
    body, camera = scene.bodies[scene.index(hinge.body)], scene.camera
    radius = max(depth_in(body, hinge.point, camera), 0.0) + LINK.hinge_rim
    facing: Quaternion = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)) if camera.view == "front" else (0.0, 0.0, 0.0, 1.0)
    x, y, z = (np.asarray(hinge.point) + LINK.behind * looking(camera)).tolist()
    size = (radius, 2 * LINK.half_depth)
    disc = Body(name, "cylinder", size, "fixed", (x, y, z), facing, grey=LINK.grey, collides=False, until=body.until)
    return disc, np.array([x, y, z, *facing, *[0.0] * 6])


def _zigzag(places: Array, spring: Spring, camera: Camera) -> list[tuple[float, Array]]:
    """Lengths in m and ends (T, 2, 3) m of the pieces of a spring between places (T, 2, 3) m.

    The first and the last piece are half as long as the others: there the zigzag begins and ends in its middle.
    """
    length = LINK.most_stretched * max(spring.length, LINK.shortest_spring) / LINK.spring_pieces
    way = places[:, 1] - places[:, 0]
    across = _across(way, camera)
    along = np.linalg.norm(way, axis=-1, keepdims=True) / LINK.spring_pieces
    half = across * np.sqrt(np.maximum(length**2 - along**2, 0.0)) / 2
    corners = [
        places[:, 0] + way * (k + 0.5) / LINK.spring_pieces + half * (-1) ** k for k in range(LINK.spring_pieces)
    ]
    ends = [np.stack(pair, axis=1) for pair in pairwise([places[:, 0], *corners, places[:, 1]])]
    return list(zip([length / 2, *[length] * (LINK.spring_pieces - 1), length / 2], ends, strict=True))


def _across(way: Array, camera: Camera) -> Array:
    """Unit vectors (T, 3) in the plane of motion, to the left of ways (T, 3) m."""
    axes, across = list(PLANE_AXES[camera.view]), np.zeros_like(way)
    across[:, axes] = np.stack([-way[:, axes[1]], way[:, axes[0]]], axis=-1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    return across


def _sagging(places: Array, string: String, scene: Scene) -> list[tuple[float, Array]]:
    """Lengths in m and ends (T, 2, 3) m of the pieces of a string through places (T, 2 or more, 3) m.

    It sags downwards, or to the left of its way where gravity acts along the view or nothing is down.
    """
    ways = np.diff(places, axis=1)  # (T, P, 3)
    direct = np.linalg.norm(ways, axis=-1)
    lengths = direct * np.maximum(string.length / np.maximum(direct.sum(axis=1), 1e-9), 1.0)[:, None]  # (T, P)
    width, count, axes = string.length / LINK.string_pieces, LINK.string_pieces, list(PLANE_AXES[scene.camera.view])
    down, u, pieces = np.zeros(3), np.linspace(0.0, 1.0, 33)[:, None], list[tuple[float, Array]]()
    down[axes] = np.asarray(scene.gravity)[axes]
    for begin, way, length in zip(places.swapaxes(0, 1), ways.swapaxes(0, 1), lengths.T, strict=False):
        sag = np.broadcast_to(down / np.linalg.norm(down), way.shape) if down.any() else _across(way, scene.camera)
        straight, bow = begin[:, None] + u * way[:, None], 4 * u * (1 - u) * sag[:, None]  # (T, points, 3)
        least, most = np.zeros(len(way)), length  # m, between which the depth of the parabola lies
        for _ in range(30):
            depth = (least + most) / 2
            longer = _steps(straight + depth[:, None, None] * bow).sum(axis=1) > length
            least, most = np.where(longer, least, depth), np.where(longer, depth, most)
        curve = straight + least[:, None, None] * bow
        run = np.pad(np.cumsum(_steps(curve), axis=1), ((0, 0), (1, 0)))  # (T, points) m along it
        first = np.arange(count) * (length[:, None] - width) / (count - 1)
        at = np.stack([first, first + width], axis=-1)  # (T, pieces, 2) m
        ends = np.stack(
            [[np.interp(a, r, xyz) for xyz in points.T] for a, r, points in zip(at, run, curve, strict=True)]
        )  # (T, 3, pieces, 2)
        pieces += [(width, piece) for piece in ends.transpose(2, 0, 3, 1)]
    return pieces


def _steps(curve: Array) -> Array:
    """Distances (T, points - 1) m from point to point of curves (T, points, 3) m."""
    return np.asarray(np.linalg.norm(np.diff(curve, axis=1), axis=-1))


def _box(name: str, length: float, camera: Camera, until: float | None, half_width: float = LINK.half_width) -> Body:
    size = [length / 2, half_width, half_width]
    size[depth_axis(camera)] = LINK.half_depth
    x, y, z = size
    return Body(name, "box", (x, y, z), "moving", (0.0, 0.0, 0.0), grey=LINK.grey, collides=False, until=until)


def _posed(ends: Array, camera: Camera) -> Array:
    """States (T, 13) of a box whose own x axis goes along the way between ends (T, 2, 3) m."""
    axes = list(PLANE_AXES[camera.view])
    way = (ends[:, 1] - ends[:, 0])[:, axes]
    half = np.arctan2(way[:, 1], way[:, 0]) / 2
    states = np.zeros((len(ends), 13))
    states[:, :3] = ends.mean(axis=1)
    states[:, 3 + depth_axis(camera)] = np.sin(half if camera.view == "top" else -half)
    states[:, 6] = np.cos(half)
    return states
