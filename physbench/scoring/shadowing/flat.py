"""A scene as discs in its plane of motion: what the fast forward model of shadowing needs to know.

Most scenes move in one plane: balls seen from the front, where gravity lies in the plane, or from above, where it
presses them onto a table. Their bodies are then discs, cylinders and flat cubes too, and what they meet is faces and
corners. A scene that is not of this kind has no `Flat`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.geometry import rotate
from physbench.world.scene import Body, Scene

Array = NDArray[np.float64]

MARGIN = 0.04  # m by which Bullet rounds the corners of a box, at most a tenth of its thinnest half extent
ALIGNED = 1e-6
TOUCHING = 1e-3  # m


@dataclass(frozen=True, eq=False)
class Flat:
    """N moving discs, S faces and C corners in the plane of motion."""

    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    radius: Array  # (N,) m
    mass: Array  # (N,) kg
    turn: Array  # (N,) m r^2 / I: 5/2 of a ball, 2 of a cylinder, 0 of what does not turn
    bounce: Array  # (N,) restitution
    rub: Array  # (N,) friction
    depth: Array  # (N,) m, coordinate along the view, constant
    gravity: Array  # (2,) m/s2, in the plane
    hold: Array  # (N,) friction with a table across the view; 0 where there is none
    grip: Array  # (N,) m/s2, that times gravity
    normal: Array  # (S, 2) of faces, towards the free side
    offset: Array  # (S,) m, normal . x on the face
    low: Array  # (S,) m, where the face begins and ends along (normal_y, -normal_x)
    high: Array  # (S,)
    face_bounce: Array  # (S,)
    face_rub: Array  # (S,)
    corner: Array  # (C, 2) m, centres of rounded corners and of fixed balls
    pad: Array  # (C,) m, their radii
    corner_bounce: Array  # (C,)

    @cached_property
    def tangent(self) -> Array:
        """Direction (S, 2) along each face in which a disc that turns clockwise rolls."""
        return np.stack([self.normal[:, 1], -self.normal[:, 0]], axis=-1)


def flat(scene: Scene, since: float) -> Flat | None:
    """The discs of a scene from `since` s on, or None where its motion is not one of discs in a plane."""
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    if any((scene.bodies[i].release or -math.inf) > since or scene.bodies[i].until is not None for i in moving):
        return None
    discs = [_disc(scene.bodies[i], across) for i in moving]
    if any(disc is None for disc in discs):
        return None
    gravity = np.asarray(scene.gravity, dtype=np.float64)
    hold = np.zeros(len(moving))
    table: Body | None = None
    faces: list[tuple[Array, float, float, float, Body]] = []
    corners: list[tuple[Array, float, Body]] = []
    depths = [scene.bodies[i].position[across] for i in moving]
    for body in scene.bodies:
        if body.role == "moving" or not body.collides:
            continue
        if body.until is not None and body.until <= since:
            continue
        if body.path or body.until is not None or body.shape == "cylinder":
            return None
        normal = rotate(body.orientation, (0.0, 0.0, 1.0))
        if body.shape == "plane" and abs(normal[across]) > 1 - ALIGNED:
            table = body
        elif body.shape == "plane":
            if abs(normal[across]) > ALIGNED:
                return None
            up = normal[axes]
            faces.append((up, float(up @ np.asarray(body.position)[axes]), -math.inf, math.inf, body))
        elif not _meets(body, scene, moving, depths, across):
            continue
        elif body.shape == "sphere":
            corners.append((np.asarray(body.position)[axes], body.size[0], body))
        else:
            parts = _box(body, axes, across)
            if parts is None:
                return None
            faces += [(*face, body) for face in parts[0]]
            corners += [(*corner, body) for corner in parts[1]]
    bodies = [scene.bodies[i] for i in moving]
    if any(body.shape == "box" for body in bodies) and not (len(bodies) == 1 and _slides(bodies[0], faces, axes)):
        return None
    if table is not None:
        if len({body.size[0] for body in bodies}) > 1 or any(body.shape != "sphere" for body in bodies):
            return None
        hold = np.array([body.friction * table.friction for body in bodies])
    elif abs(gravity[across]) > 0:
        return None
    for i, a in enumerate(depths):
        for j, b in enumerate(depths[:i]):
            if 1e-6 < abs(a - b) < bodies[i].size[0] + bodies[j].size[0]:
                return None  # they would meet out of the plane
    solid = [body.collides for body in bodies]
    if not all(solid) and any(solid) and len(bodies) > 1:
        return None
    return Flat(
        index=tuple(moving),
        radius=np.array([disc[0] for disc in discs if disc]),
        mass=np.array([body.mass for body in bodies]),
        turn=np.array([disc[1] for disc in discs if disc]),
        bounce=np.array([body.restitution for body in bodies]),
        rub=np.array([body.friction for body in bodies]),
        depth=np.array(depths),
        gravity=gravity[axes],
        hold=hold,
        grip=hold * abs(gravity[across]),
        normal=np.array([face[0] for face in faces]).reshape(-1, 2),
        offset=np.array([face[1] for face in faces]),
        low=np.array([face[2] for face in faces]),
        high=np.array([face[3] for face in faces]),
        face_bounce=np.array([face[4].restitution for face in faces]),
        face_rub=np.array([face[4].friction for face in faces]),
        corner=np.array([corner[0] for corner in corners]).reshape(-1, 2),
        pad=np.array([corner[1] for corner in corners]),
        corner_bounce=np.array([corner[2].restitution for corner in corners]),
    )


def _disc(body: Body, across: int) -> tuple[float, float] | None:
    """Radius in m and m r^2 / I of a body as a disc, or None."""
    if body.shape == "sphere":
        return body.size[0], 2.5
    if not body.flat:
        return None
    if body.shape == "cylinder":
        axis = rotate(body.orientation, (0.0, 0.0, 1.0))
        return (body.size[0], 2.0) if abs(axis[across]) > 1 - ALIGNED else None
    sides = sorted({size for axis, size in enumerate(body.size) if axis != 1})
    return (sides[0], 0.0) if len(sides) == 1 else None


def _slides(body: Body, faces: list[tuple[Array, float, float, float, Body]], axes: list[int]) -> bool:
    """Whether a cube begins flat on a face, so that it slides and does not tip."""
    place, own = np.asarray(body.position)[axes], _axes(body)[:, axes]
    return any(
        abs(float(normal @ place) - offset - body.size[0]) < TOUCHING and np.abs(own @ normal).max() > 1 - ALIGNED
        for normal, offset, *_ in faces
    )


def _meets(body: Body, scene: Scene, moving: list[int], depths: list[float], across: int) -> bool:
    """Whether a fixed body reaches into the plane in which a body moves."""
    reach = body.size[0] if body.shape == "sphere" else float(np.abs(_axes(body)[:, across]) @ np.asarray(body.size))
    return any(abs(body.position[across] - depth) < reach for depth in depths)


def _axes(body: Body) -> Array:
    return rotate(body.orientation, np.eye(3))


def _box(
    body: Body, axes: list[int], across: int
) -> tuple[list[tuple[Array, float, float, float]], list[tuple[Array, float]]] | None:
    """Faces (normal, offset, begin, end) and rounded corners of a box in the plane; None if it stands askew."""
    own = _axes(body)
    level = [k for k in range(3) if abs(own[k, across]) < ALIGNED]
    if len(level) != 2:
        return None
    middle = np.asarray(body.position)[axes]
    margin = min(MARGIN, 0.1 * min(body.size))
    (a, b), (half_a, half_b) = (own[k][axes] for k in level), (body.size[k] for k in level)
    faces = []
    for side, reach, width in ((a, half_a, half_b), (-a, half_a, half_b), (b, half_b, half_a), (-b, half_b, half_a)):
        along = float(np.array([side[1], -side[0]]) @ middle)
        faces.append((side, float(side @ middle) + reach, along - width + margin, along + width - margin))
    corners = [
        (middle + s * (half_a - margin) * a + t * (half_b - margin) * b, margin) for s in (-1, 1) for t in (-1, 1)
    ]
    return faces, corners
