"""A scene as discs, faces and corners in its plane of motion, for the planar simulator.

The bodies of most scenes move in one plane: seen from the front, where gravity lies in the plane, or from above, where
it presses them onto a table. Balls, cylinders and flat cubes are then discs, and they meet faces and corners. A scene
that is not of this kind has no `PlanarScene`: `Unsupported` says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.box_geometry import Corner, Face, box_axes, box_in_plane, check_steps, is_obstacle, reachable
from physbench.dynamics.support_check import (
    ALIGNMENT,
    MIN_CUSHION_RESTITUTION,
    TOUCH_GAP,
    Unsupported,
    check_spin,
    check_table,
)
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.geometry import rotate
from physbench.world.scene import Body, Scene

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROUNDING = 1e-3  # m by which PyBullet rounds the corners of a box: its default margin of collisions


@dataclass(frozen=True, eq=False)
class PlanarScene:
    """N moving discs, S faces and C corners in the plane of motion."""

    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    radius: Array  # (N,) m
    mass: Array  # (N,) kg
    inverse_inertia: Array  # (N,) m r^2 / I: 5/2 of a ball, 2 of a cylinder, 0 of what does not turn
    restitution: Array  # (N,) of the body; that of a contact is the product of both
    friction: Array  # (N,) of the body; that of a contact is the product of both
    collides: Mask  # (N,) whether anything touches it
    depth: Array  # (N,) m, coordinate along the view, constant
    gravity: Array  # (2,) m/s2, in the plane
    table_friction: Array  # (N,) friction with a table across the view; 0 where there is none
    slide_deceleration: Array  # (N,) m/s2, table_friction times gravity
    normal: Array  # (S, 2) of faces, towards the free side
    offset: Array  # (S,) m, normal . x on the face
    low: Array  # (S,) m, where the face begins and ends along (normal_y, -normal_x)
    high: Array  # (S,)
    face_restitution: Array  # (S,)
    face_friction: Array  # (S,)
    corner: Array  # (C, 2) m, corners and centres of fixed balls
    corner_radius: Array  # (C,) m, the radii of their rounding
    corner_restitution: Array  # (C,)
    corner_friction: Array  # (C,)

    @cached_property
    def tangent(self) -> Array:
        """Direction (S, 2) along each face in which a disc that turns clockwise rolls."""
        return np.stack([self.normal[:, 1], -self.normal[:, 0]], axis=-1)


def planar_scene(scene: Scene, since: float) -> PlanarScene:
    """The planar scene from `since` s on. Raises Unsupported where bodies do not just move in a plane."""
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    bodies = [scene.bodies[i] for i in index]
    if len(bodies) > 1 and any(body.shape == "box" for body in bodies):
        raise Unsupported("boxes that meet others turn and tip")
    discs = [_disc(body, across) for body in bodies]
    gravity = np.asarray(scene.gravity, dtype=np.float64)
    faces, corners, table = _surroundings(scene, bodies, since)
    radius = np.array([disc[0] for disc in discs])
    _check_boxes(bodies, faces, axes)
    _check_depths(bodies, across)
    table_friction = np.zeros(len(bodies))
    if table is not None:
        check_table(bodies, table, gravity, across)
        table_friction = np.array([body.friction * table.friction for body in bodies])
        if np.any(table_friction > 0) and any(
            body.restitution * part.body.restitution < MIN_CUSHION_RESTITUTION for body in bodies for part in faces
        ):
            raise Unsupported("a cushion takes so much speed that a ball's own spin presses it there")
    elif abs(gravity[across]) > 0:
        raise Unsupported("gravity acts along the view, and nothing carries the bodies")
    check_steps(bodies, faces, corners, gravity[axes], radius)
    corners = reachable(corners, faces, {disc[0] for disc in discs})
    normals = np.zeros((len(faces), 3))
    normals[:, axes] = np.array([face.normal for face in faces]).reshape(-1, 2)
    check_spin(scene, bodies, table, normals)
    return PlanarScene(
        index=index,
        radius=radius,
        mass=np.array([body.mass for body in bodies]),
        inverse_inertia=np.array([disc[1] for disc in discs]),
        restitution=np.array([body.restitution for body in bodies]),
        friction=np.array([body.friction for body in bodies]),
        collides=np.array([body.collides for body in bodies], dtype=bool),
        depth=np.array([body.position[across] for body in bodies]),
        gravity=gravity[axes],
        table_friction=table_friction,
        slide_deceleration=table_friction * abs(gravity[across]),
        normal=normals[:, axes],
        offset=np.array([face.offset for face in faces]),
        low=np.array([face.low for face in faces]),
        high=np.array([face.high for face in faces]),
        face_restitution=np.array([face.body.restitution for face in faces]),
        face_friction=np.array([face.body.friction for face in faces]),
        corner=np.array([corner.position for corner in corners]).reshape(-1, 2),
        corner_radius=np.array([corner.radius for corner in corners]),
        corner_restitution=np.array([corner.body.restitution for corner in corners]),
        corner_friction=np.array([corner.body.friction for corner in corners]),
    )


def _surroundings(scene: Scene, bodies: list[Body], since: float) -> tuple[list[Face], list[Corner], Body | None]:
    """Faces and corners that the moving bodies of a scene may touch, and the table on which they lie, if any."""
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    faces: list[Face] = []
    corners: list[Corner] = []
    table: Body | None = None
    for body in scene.bodies:
        gone = body.until is not None and body.until <= since
        if body.role == "moving" or not body.collides or gone or not any(other.collides for other in bodies):
            continue
        if body.path or body.until is not None:
            raise Unsupported(f"{body.name} is an obstacle that moves or vanishes")
        if body.shape == "cylinder":
            raise Unsupported(f"{body.name} is an obstacle and a cylinder")
        normal = rotate(body.orientation, (0.0, 0.0, 1.0))
        if body.shape == "plane" and abs(normal[across]) > 1 - ALIGNMENT:
            gaps = [abs(other.position[across] - body.position[across]) - max(other.size) for other in bodies]
            if abs(scene.gravity[across]) > 0 or min(gaps) < TOUCH_GAP:
                table = body
        elif body.shape == "plane":
            if abs(normal[across]) > ALIGNMENT:
                raise Unsupported(f"{body.name} stands askew to the plane of motion")
            up = normal[axes]
            faces.append(Face(up, float(up @ np.asarray(body.position)[axes]), -math.inf, math.inf, body))
        elif not is_obstacle(body, bodies, across):
            continue
        elif body.shape == "sphere":
            corners.append(Corner(np.asarray(body.position)[axes], body.size[0], body))
        else:
            parts = box_in_plane(body, axes, across, ROUNDING)
            faces += parts[0]
            corners += parts[1]
    return faces, corners, table


def _check_boxes(bodies: list[Body], faces: list[Face], axes: list[int]) -> None:
    """Raise Unsupported for a cube that does anything but slide."""
    if not any(body.shape == "box" for body in bodies):
        return
    position, own = np.asarray(bodies[0].position)[axes], box_axes(bodies[0])[:, axes]
    if not any(
        abs(float(face.normal @ position) - face.offset - bodies[0].size[0]) < TOUCH_GAP
        and np.abs(own @ face.normal).max() > 1 - ALIGNMENT
        for face in faces
    ):
        raise Unsupported(f"{bodies[0].name} is a box that does not begin flat on a face, so that it turns")
    if max(bodies[0].friction * face.body.friction for face in faces) >= 1:
        raise Unsupported(f"{bodies[0].name} is a box on so rough a face that it tips")


def _check_depths(bodies: list[Body], across: int) -> None:
    """Raise Unsupported for bodies that would meet out of the plane of motion."""
    for i, one in enumerate(bodies):
        for other in bodies[:i]:
            apart = abs(one.position[across] - other.position[across])
            if one.collides and other.collides and ALIGNMENT < apart < one.size[0] + other.size[0]:
                raise Unsupported(f"{other.name} and {one.name} would meet beside the plane of motion")


def _disc(body: Body, across: int) -> tuple[float, float]:
    """Radius in m and m r^2 / I of a body as a disc."""
    if body.shape == "sphere":
        return body.size[0], 2.5
    if body.flat and body.shape == "cylinder":
        if abs(rotate(body.orientation, (0.0, 0.0, 1.0))[across]) > 1 - ALIGNMENT:
            return body.size[0], 2.0
        raise Unsupported(f"{body.name} is a cylinder that is not seen from its end")
    sides = sorted({size for axis, size in enumerate(body.size) if axis != 1})
    if not body.flat or body.shape != "box" or len(sides) > 1:
        raise Unsupported(f"{body.name} is a {body.shape} that is neither a ball nor a disc nor a cube")
    return sides[0], 0.0
